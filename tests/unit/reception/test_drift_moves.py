"""A value that moved as damage moves it, a law to the cent: what one row alone says."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.reception.drift_rows import print_of
from zanc_pipeline.common.holidays import national_holidays
from zanc_pipeline.reception.drift.exact import (
    number_columns,
    off_share,
    off_sum,
    pooled_shares,
    shares,
    sums,
)
from zanc_pipeline.reception.drift.moves import STEP, moves, spoiled
from zanc_pipeline.reception.validate import spared_of

DAY = date(2026, 10, 7)
DUE = date(2026, 3, 5)


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        ("dinheiro", 175_588, 75_588, True),  # the first digit lost
        ("dinheiro", 17_217, 172, True),
        ("dinheiro", 65_566, 56_566, True),
        ("dinheiro", 65_566, 32_783, False),  # half of it was paid
        ("data", DUE, DUE + timedelta(days=1462), True),
        ("data", DUE, DAY, True),
        ("data", DUE, DUE - timedelta(days=1), True),
        ("data", DUE, DUE + timedelta(days=30), False),  # an instalment was paid
        ("texto", "Marcionília Couto", "Marcionlia Couto", True),
        ("texto", "Marcionília Couto Sá", "Marcionília", True),
        ("texto", "Ana Couto", "Ana Couto Reis", False),  # she married
        ("email", "eva@icloud.com", "eva@icloud.co", True),
        ("email", "eva.paz12@icloud.com", "eva873@bol.com.br", False),
        ("inteiro", 123, 132, True),
        ("sim_nao", True, False, False),
    ],
)
def test_what_spoils_a_value_is_known_from_what_a_debt_does(
    kind: str, old: Any, new: Any, expected: bool
) -> None:
    assert spoiled(kind, new, old, DAY, 1) is expected


KINDS = {"valor": "dinheiro", "principal": "dinheiro", "juros": "dinheiro", "multa": "dinheiro"}
KINDS |= {"vencimento": "data"}


def debts(rows: int, first: int = 0) -> dict[str, list[Any]]:
    """Interest by the day, a fine of 2 %, and their sum."""
    found: dict[str, list[Any]] = {name: [] for name in KINDS}
    for number in range(first, first + rows):
        principal, due = (
            9_000 + number * 7_919 % 90_000,
            DAY - timedelta(days=40 + number * 37 % 300),
        )
        interest = round(principal * 0.00033 * (DAY - due).days)
        parts = (principal, interest, round(principal * 0.02))
        for name, cents in zip(KINDS, (sum(parts), *parts), strict=False):
            found[name].append(Decimal(cents).scaleb(-2))
        found["vencimento"].append(due)
    return found


def test_sums_and_shares_that_hold_to_the_cent_judge_each_row_of_the_next_file() -> None:
    past = [number_columns(KINDS, debts(9, first), DAY) for first in (0, 9)]
    assert sums(KINDS, past[0])["valor|principal|juros|multa"]["exact"] == 1
    laws = pooled_shares([shares(KINDS, one) for one in past])
    assert laws["multa=principal"]["rows"] == 18
    assert "juros=principal*@vencimento" in laws or "juros=valor*@vencimento" in laws
    rows = debts(5, 30)
    rows["valor"][1] += Decimal("0.01")
    rows["juros"][3] *= 2
    now = number_columns(KINDS, rows, DAY)
    off = off_sum("valor|principal|juros|multa", now, 0)
    assert off is not None and off.tolist() == [False, True, False, True, False]
    found = [off_share(names, law, now) for names, law in laws.items() if names[:6] == "juros="]
    assert [one.tolist() for one in found if one is not None] == [[False] * 3 + [True, False]]


def test_amounts_that_moved_by_one_factor_while_the_others_stood_still() -> None:
    types = {"contrato": "texto", "valor": "dinheiro"}
    amounts = [10_007 + number * 7_919 % 90_000 for number in range(12)]

    def file(moved: list[int]) -> Any:
        rows = [{"contrato": f"C{n}", "valor": f"{c / 100:.2f}".replace(".", ",")}
                for n, c in enumerate(moved)]  # fmt: skip
        return print_of(rows, types, {})

    before = file(amounts)
    dearer = [round(cents * 1.02) if at in {2, 5} else cents for at, cents in enumerate(amounts)]
    paid = [cents // (at + 2) if at in {2, 5} else cents for at, cents in enumerate(amounts)]
    for now, count in ((dearer, 2), (paid, 0), (amounts, 0)):
        assert len(moves(file(now), before, before.links)["valor" + STEP]) == count


def test_a_few_rows_of_a_small_file_hold_it_no_more() -> None:
    assert [spared_of(aside, 12) for aside in (0, 1, 4, 9)] == [0, 1, 4, 4]
    assert (spared_of(3, 6), spared_of(2, 2)) == (2, 1)


def test_the_nation_rests_on_its_holidays() -> None:
    assert date(2026, 9, 7) in national_holidays(2026)
    carnival = date(2026, 2, 17)
    assert carnival not in national_holidays(2026)
    assert carnival in national_holidays(2026, optional=True)
