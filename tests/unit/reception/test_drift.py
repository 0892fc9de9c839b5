"""Files that changed: nothing wrong is loaded, what is proved adapts, the rest waits for a person.

A small part of ``bench/bench_drift.py``, which has all kinds, layouts and seeds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from bench_drift import HASHER, UNCHANGED, Creditor, outcome
from drift_mutations import KINDS, Case, Kind, cases

from zanc_pipeline.reception.drift.compare import compare
from zanc_pipeline.reception.drift.content import content_of, written
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.sample import Sampler
from zanc_pipeline.reception.layout import load_layout

ROWS = 120
SOME = {
    "delimited": (
        "all columns renamed",
        "amounts swapped under their titles",
        "header vanished and columns reordered",
        "DDD joined to its phone",
        "other separator and encoding",
        "amounts in cents",
        "amounts in cents in a few rows",
        "month before day",
        "month before day in part of the rows",
        "optional column removed",
        "yes and no inverted",
        "contract column removed",
        "amounts rounded to whole reais",
        "another creditor's portfolio",
    ),
    "fixed width": (
        "text field widened",
        "amount inserted before another",
        "shifted by some bytes",
        "all fields shuffled",
        "other order of dates",
        "field narrowed, values cut",
        "part of the lines shifted",
        "contracts with a new prefix",
    ),
    "records": ("field inserted", "trailer that does not add up"),
}


@pytest.fixture(scope="module")
def creditors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Creditor]:
    return {name: Creditor(name, 7, ROWS, tmp_path_factory.mktemp("credor")) for name in SOME}


def chosen(creditor: Creditor, names: tuple[str, ...]) -> Iterator[tuple[Kind, Case]]:
    kinds = [kind for kind in KINDS if kind.name in names]
    yield from cases(creditor.file, creditor.rows, 7, kinds)


@pytest.mark.parametrize("layout", SOME)
def test_no_mutation_loads_a_wrong_value(creditors: dict[str, Creditor], layout: str) -> None:
    creditor = creditors[layout]
    found = {kind.name: outcome(creditor, case) for kind, case in chosen(creditor, SOME[layout])}
    assert len(found) == len(SOME[layout])
    assert {name: one.wrong for name, one in found.items() if one.wrong} == {}
    assert {name: one for name, one in found.items() if not one.good} == {}


@pytest.mark.parametrize("layout", SOME)
def test_newer_data_raises_no_alarm(creditors: dict[str, Creditor], layout: str) -> None:
    creditor = creditors[layout]
    content = creditor.file.content(creditor.rows)
    case = Case(content=content, truth=creditor.rows, right=UNCHANGED.right)
    assert outcome(creditor, case).said == "fits"


def test_a_fingerprint_survives_its_storage_and_holds_no_person(
    creditors: dict[str, Creditor],
) -> None:
    creditor = creditors["delimited"]
    before = creditor.before
    assert before is not None
    text = json.dumps(before.to_json(), sort_keys=True)  # jsonb keeps no order of keys either
    again = Fingerprint.from_json(json.loads(text))
    assert again is not None and again.links == before.links
    assert compare(again, before).doubts == []
    assert not any(one.cpf in text or one.name in text for one in creditor.rows)
    assert Fingerprint.from_json({"format": 0}) is None


def test_a_layout_written_from_its_content_reads_the_same(
    creditors: dict[str, Creditor], tmp_path: Path
) -> None:
    for creditor in creditors.values():
        path = tmp_path / "layout.yaml"
        path.write_text(written(content_of(creditor.layout), ["uma nota"]), encoding="utf-8")
        assert load_layout(path) == creditor.layout


def test_two_days_sample_the_same_contracts_whatever_their_order() -> None:

    def sample(contracts: list[str]) -> set[str]:
        sampler = Sampler(HASHER, size=50)
        for start in range(0, len(contracts), 70):
            some = contracts[start : start + 70]
            sampler.see({"contrato": pa.array(some)}, np.arange(start, start + len(some)))
        return set(sampler.sample().cells["contrato"])

    contracts = [f"C{number}" for number in range(1000)]
    one, other = sample(contracts), sample([*contracts[::-1], "novo"])
    assert len(one) == 50
    assert len(one & other) >= 49
