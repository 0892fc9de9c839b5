"""Files of a set that changed: what is loaded of them is right, what is not proved waits.

Some kinds of ``bench/drift_mutations.py`` over each file of ``bench/drift_sets.py``.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from drift_files import shaped
from drift_mutations import KINDS, Case, cases
from drift_sets import SetCreditor

SOME = {
    "contratos": (
        "all columns renamed",
        "header vanished and columns reordered",
        "month before day",
        "amounts swapped in part of the rows",
        "amounts in cents in a few rows",
        "contracts with a new prefix",
    ),
    "clientes": (
        "shifted by some bytes",
        "all fields shuffled",
        "field narrowed, values cut",
        "optional field removed",
        "part of the lines shifted",
        "accents encoded twice",
    ),
    "telefones": (
        "header appeared",
        "other separator and encoding",
        "columns reordered",
        "month before day in part of the rows",
        "CPFs of other people",
    ),
}


@pytest.fixture(scope="module")
def creditors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SetCreditor]:
    return {name: SetCreditor(name, 7, 100, tmp_path_factory.mktemp("conjunto")) for name in SOME}


@pytest.mark.parametrize("member", SOME)
def test_no_mutation_of_a_file_of_a_set_loads_a_wrong_value(
    creditors: dict[str, SetCreditor], member: str
) -> None:
    creditor = creditors[member]
    kinds = [kind for kind in KINDS if kind.name in SOME[member]]
    found = {
        kind.name: creditor.outcome(case)
        for kind, case in cases(creditor.file, creditor.rows, 7, kinds)
    }
    assert len(found) == len(SOME[member])
    assert {name: one.wrong for name, one in found.items() if one.wrong} == {}
    assert {name: one for name, one in found.items() if not one.good} == {}


@pytest.mark.parametrize("member", SOME)
def test_newer_data_in_any_order_raise_no_alarm(
    creditors: dict[str, SetCreditor], member: str
) -> None:
    creditor = creditors[member]
    rows = random.Random(1).sample(creditor.rows, len(creditor.rows))
    case = Case(content=creditor.file.content(rows), truth=rows, right="harmless")
    assert creditor.outcome(case).said == "fits"


def test_phones_that_slid_to_the_next_person_are_not_loaded(
    creditors: dict[str, SetCreditor],
) -> None:
    creditor = creditors["telefones"]
    slid = [*creditor.rows[1:], *creditor.rows[:1]]
    rows = [replace(one, phones=of.phones) for one, of in zip(creditor.rows, slid, strict=True)]
    case = Case(content=creditor.file.content(rows), truth=creditor.rows, right="refuse")
    assert creditor.outcome(case).said == "quarantine"


@pytest.mark.parametrize(
    ("shape", "said"),
    [("%Y-%d-%m", "adapt"), ("%Y-%m-%dT00:00:00", "adapt"), ("%d-%m-%y", "propose")],
)
def test_dates_written_otherwise_adapt_unless_the_century_is_gone(
    creditors: dict[str, SetCreditor], shape: str, said: str
) -> None:
    creditor = creditors["contratos"]
    file = replace(creditor.file, day=shaped(shape))
    case = Case(content=file.content(creditor.rows), truth=creditor.rows, right="lossless")
    found = creditor.outcome(case)
    assert (found.said, found.wrong, found.proposal_wrong) == (said, "", "")
