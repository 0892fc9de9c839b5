"""Reads and judges bytes as reception does, without a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from reception_files import Judge

from zanc_pipeline.reception.layout import Layout, load_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import Collected, judge_file, validate

CONVENIOS = Path(__file__).parents[3] / "config" / "convenios"


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Read and judge bytes by the layout of a convênio of the demo (or a layout given)."""

    def run(
        convenio: str,
        content: bytes,
        *,
        name: str = "arquivo",
        layout: Layout | None = None,
        facts: NameFacts | None = None,
    ) -> Collected:
        chosen = layout or load_layout(CONVENIOS / convenio / "layout.yaml")
        path = tmp_path / name
        path.write_bytes(content)
        result = validate(chosen, read_file(chosen, path, facts or NameFacts()))
        judge_file(chosen, result)
        return result

    return run
