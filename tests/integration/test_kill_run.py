"""At least 20 random kills and cuts in one campaign; ZANC_KILLS asks for more (``make kill``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration import killing

pytestmark = pytest.mark.integration

BLOWS, SEED = int(os.environ.get("ZANC_KILLS", "20")), int(os.environ.get("ZANC_SEED", "7"))


def test_by_the_carriers_records_nothing_is_dialled_twice_lost_or_told_wrong(
    empty_stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            if "ZANC_KILLS" in os.environ:
                print(line, flush=True)

    with killing.battlefield(empty_stack, tmp_path, SEED) as field:
        field.long_freezes = 0.3 if BLOWS > 20 else 0.0
        killing.fight(field, BLOWS, say)
        assert "Traceback" not in field.dialer.log.read_text()
