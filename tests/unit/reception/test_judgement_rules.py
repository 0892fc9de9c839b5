"""History, order and the CRM as measures of a file; content whatever its order. All pure."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zanc_pipeline.reception import business, content
from zanc_pipeline.reception.business import Comparison
from zanc_pipeline.reception.findings import Finding
from zanc_pipeline.reception.history import Gap, Past, judge_sequence, judge_volume, usual
from zanc_pipeline.reception.layout import Limits
from zanc_pipeline.reception.unique import hashes

DAY = date(2026, 11, 23)
LIMITS = Limits()


def past(*rows: int) -> list[Past]:
    return [
        Past(rows=count, day=date.fromordinal(DAY.toordinal() - 1 - place))
        for place, count in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("before", "rows", "fits"),
    [
        ([], 5, True),
        ([90], 5, True),  # too few to say anything
        ([200], 140, True),
        ([200], 139, False),  # a file cut exactly at a line's end
        ([200], 600, True),
        ([200], 601, False),
        ([200, 210, 5000, 190], 150, True),  # one strange file moves nothing
        ([1000] * 8, 710, True),
        ([1000] * 8, 690, False),
        ([1000] * 8, 1310, False),
        ([1000, 400, 1700, 900, 1100, 500, 1500, 1000], 550, True),  # it always varied
    ],
)
def test_the_volume_is_measured_by_what_this_convenio_sends(
    before: list[int], rows: int, fits: bool
) -> None:
    finding = judge_volume(rows, usual(past(*before), DAY), LIMITS)
    assert (finding is None) == fits
    assert finding is None or finding.rule == "volume"


def test_a_weekday_that_is_always_small_is_measured_by_its_own_kind() -> None:
    days = [date.fromordinal(DAY.toordinal() - back) for back in range(1, 40)]
    weeks = [Past(rows=100 if day.weekday() == DAY.weekday() else 1000, day=day) for day in days]
    same, other = usual(weeks, DAY), usual(weeks[:20], DAY)
    assert same is not None
    assert (same.middle, same.weekday) == (100, True)
    assert other is not None
    assert (other.middle, other.weekday) == (1000, False)


def test_a_volume_that_a_person_accepted_is_the_new_measure() -> None:
    history = [Past(rows=500, level=True), *past(*[1000] * 10)]
    found = usual(history, DAY)
    assert found is not None
    assert (found.middle, found.deliveries) == (500, 1)


def numbered(*numbers: int, day: date = DAY) -> list[Past]:
    return [Past(rows=1, day=day, sequence=number) for number in numbers]


@pytest.mark.parametrize(
    ("mode", "sequence", "day", "before", "expected"),
    [
        ("continua", 7, DAY, [], None),
        ("continua", 8, DAY, numbered(7, 6), None),
        ("continua", 9, DAY, numbered(7), Gap(first=8, last=8)),
        ("continua", 11, DAY, numbered(7), Gap(first=8, last=10)),
        ("continua", 1, date(2027, 1, 2), numbered(300), None),
        ("continua", 2, date(2027, 1, 3), numbered(300), "late"),
        ("continua", 2, date(2027, 1, 3), [*numbered(1, day=date(2027, 1, 2)), *numbered(9)], None),
        ("continua", 7, DAY, numbered(7), "late"),
        ("continua", None, DAY, numbered(7), None),
        ("diaria", 1, DAY, numbered(3, day=date(2026, 11, 22)), None),
        ("diaria", 2, DAY, [], Gap(first=1, last=1)),
        ("livre", 99, DAY, numbered(3), None),
    ],
)
def test_a_file_waits_for_its_turn(
    mode: str, sequence: int | None, day: date, before: list[Past], expected: object
) -> None:
    turn = judge_sequence(mode, sequence, day, before)  # type: ignore[arg-type]
    if expected == "late":
        assert isinstance(turn, Finding)
        assert turn.rule == "sequencia"
    else:
        assert turn == expected


def seen(**changes: object) -> Comparison:
    known: dict[str, object] = {
        "rows": 100,
        "known": 100,
        "still_open": 100,
        "open_before": 100,
        "debt_before": Decimal(1000),
        "debt_after": Decimal(1000),
    }
    return Comparison(**(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("comparison", "rules"),
    [
        (seen(), []),
        (Comparison(rows=1000), []),
        (seen(changed=30, moved=50, other_cpf=1), []),
        (seen(changed=31), ["valores"]),
        (seen(debt_after=Decimal(1501)), ["divida"]),
        (seen(debt_after=Decimal(499)), ["divida"]),
        (seen(moved=51), ["vencimentos"]),
        (seen(other_cpf=2), ["cpf"]),
        (seen(still_open=49), ["carteira"]),
        (seen(rows=301), ["carteira"]),
        (seen(known=10, still_open=90, foreign=Counter(outro=60)), ["remetente"]),
        (seen(known=10, still_open=90, foreign=Counter(outro=40)), []),
        (Comparison(rows=49, foreign=Counter(outro=49)), []),
    ],
)
def test_the_crm_speaks_against_a_file(comparison: Comparison, rules: list[str]) -> None:
    assert [one.rule for one in business.judge(comparison, LIMITS)] == rules


ROWS = pa.table(
    {
        "line": [2, 3, 4],
        "cpf": ["1", "2", "3"],
        "contract": ["a", "b", "c"],
        "amount": pa.array([Decimal("1.00"), Decimal("2.50"), None], pa.decimal128(14, 2)),
        "due_date": [DAY, date(2026, 1, 1), None],
        "deceased": [True, False, False],
    }
)


def digest(*tables: pa.Table) -> str:
    found = content.ContentDigest()
    for table in tables:
        found.add(table)
    return found.text


def test_a_digest_is_of_the_rows_whatever_their_order_and_line() -> None:
    moved = ROWS.take([2, 0, 1]).set_column(0, "line", pa.array([9, 8, 7]))
    assert digest(ROWS) == digest(moved) == digest(moved.slice(0, 1), moved.slice(1))
    assert digest(ROWS) != digest(ROWS.slice(0, 2))
    assert digest(ROWS, ROWS.slice(0, 1)) != digest(ROWS)
    for name in ROWS.column_names[1:]:
        swapped = ROWS.set_column(ROWS.column_names.index(name), name, ROWS[name].take([1, 0, 2]))
        assert digest(swapped) != digest(ROWS), name


def test_the_same_rows_are_compared_value_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    pq.write_table(ROWS, one)
    pq.write_table(ROWS.take([1, 2, 0]), two)
    pq.write_table(ROWS.set_column(1, "cpf", pa.array(["1", "2", "4"])), other)
    assert content.same_rows(one, two)
    assert not content.same_rows(one, other)
    monkeypatch.setattr(content, "_ROWS_AT_ONCE", 1)
    assert content.same_rows(one, two)
    assert not content.same_rows(one, other)


def test_the_hash_of_a_text_does_not_hang_on_those_beside_it() -> None:
    texts = ["", "a", "abcdefgh", "abcdefghi", "x" * 64, "x" * 65, "x" * 200]
    together = hashes(pa.array(texts))
    assert together.tolist() == [int(hashes(pa.array([text]))[0]) for text in texts]
    assert len(set(together.tolist())) == len(texts)
