"""What moves by itself moves in step; a debt keeps its number, its order of dates, its shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import pytest

from tests.unit.reception.drift_rows import Row, print_of, told
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.reception.drift.belongs import belonging, parted
from zanc_pipeline.reception.drift.compare import compare
from zanc_pipeline.reception.drift.counters import ARRIVED
from zanc_pipeline.reception.drift.fingerprint import Fingerprint

TYPES = {
    "contrato": "texto",
    "cpf": "cpf",
    "valor": "dinheiro",
    "multa": "dinheiro",
    "emissao": "data",
    "vencimento": "data",
    "atraso": "inteiro",
    "visitas": "inteiro",
    "telefone_1": "telefone",
}
START = date(2026, 10, 5)


def row(number: int, day: int) -> Row:
    """A debt as it is on a day; only the days overdue and the visits move."""
    base = f"{number * 7_654_321 % 10**9:09}"
    due = START - timedelta(days=10 + number * 37 % 300)
    amount = 10_000 + number * 7_919 % 90_000
    return {
        "contrato": f"40{number:06}",
        "cpf": base + cpf_check_digits(base),
        "valor": str(amount),
        "multa": f"{amount * 0.02:.2f}".replace(".", ","),
        "emissao": (due - timedelta(days=20 + number * 13 % 40)).isoformat(),
        "vencimento": due.isoformat(),
        "atraso": str((START - due).days + day),
        "visitas": str(number * 5 % 40 + day),
        "telefone_1": f"119{80000000 + number * 13_577}",
    }


def seen(rows: list[Row], day: int | None = None) -> Fingerprint:
    """The fingerprint of a file of these rows; ``day``: when it came, if that is known."""
    facts = {} if day is None else {ARRIVED: (START + timedelta(days=day)).isoformat()}
    return print_of(rows, TYPES, facts)


@cache
def remembered(size: int, *, known: bool = False) -> Fingerprint:
    """What is kept of two days; ``known``: with the days on which they came."""
    first = seen([row(n, 0) for n in range(size)], 0 if known else None)
    second = seen([row(n, 1) for n in range(1, size + 1)], 1 if known else None)
    found = compare(second, first)
    assert found.doubts == []
    kept = replace(
        second, overlap=0.9, agreement=found.agreement, history=found.history, steps=found.steps
    )
    again = Fingerprint.from_json(kept.to_json())
    assert again is not None
    return again


def third(size: int, day: int = 2) -> list[Row]:
    return [row(n, day) for n in range(2, size + 2)]


def doubts(before: Fingerprint, rows: list[Row], day: int | None = None) -> set[tuple[str, str]]:
    return {(one.field, one.kind) for one in told(compare(seen(rows, day), before))}


@pytest.mark.parametrize("size", [8, 18, 60])
def test_what_counts_is_no_doubt_from_the_second_day_on(size: int) -> None:
    before = remembered(size)
    assert before.steps["visitas"][0] == before.steps["vencimento+atraso"][0] == 1
    assert doubts(before, third(size)) == set()
    assert doubts(before, third(size, 4)) == set()  # after a weekend


@pytest.mark.parametrize("size", [8, 18, 60])
@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("name", ["atraso", "visitas"])
def test_a_counter_that_moves_by_another_step_is_seen(size: int, every: int, name: str) -> None:
    before = remembered(size)
    rows = [
        one | {name: str(int(one[name]) + 30)} if at % every == 0 else one
        for at, one in enumerate(third(size))
    ]
    assert (name, "counter") in doubts(before, rows)


def test_after_a_pause_the_days_that_went_by_are_the_step() -> None:
    before = remembered(18, known=True)
    assert doubts(before, third(18, 31), 31) == set()
    assert ("visitas", "counter") in doubts(before, third(18, 31), 2)


def test_on_a_second_day_dates_that_all_moved_are_doubted() -> None:
    """Numbers may count from the first day on; dates that moved at once are another thing."""
    first = seen([row(n, 0) for n in range(18)])
    rows = [row(n, 1) for n in range(18)]
    for one in rows:
        one["emissao"] = (date.fromisoformat(one["emissao"]) + timedelta(days=2)).isoformat()
    assert "emissao" in {field for field, _ in doubts(first, rows)}
    same = seen([row(n, 1) for n in range(18)])
    kept = replace(same, steps=compare(same, first).steps)
    still = replace(seen([row(n, 1) for n in range(18)]), steps=compare(same, kept).steps)
    assert still.steps["visitas"][0] == 1  # the same file again is no other habit
    assert doubts(still, [row(n, 2) for n in range(18)]) == set()


def test_a_debt_that_was_paid_in_part_may_count_anew() -> None:
    before, rows = remembered(18), third(18)
    rows[3] |= {"valor": "5000", "multa": "100,00", "visitas": "0"}
    assert doubts(before, rows) == set()


def again(rows: list[Row]) -> list[Row]:
    """The last debt under another number."""
    return [*rows[:-1], row(1, 2) | {"contrato": "40900001"}]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (again, ("contrato", "renamed")),
        (lambda rows: [rows[0] | {"vencimento": "2026-10-05"}, *rows[1:]], ("atraso", "counter")),
        (lambda rows: [rows[0] | {"emissao": "2026-10-05"}, *rows[1:]], ("emissao", "single")),
        (lambda rows: [rows[0] | {"multa": "0"}, *rows[1:]], ("valor", "scale")),
        (
            lambda rows: [rows[0] | {"telefone_1": rows[0]["telefone_1"][:-1]}, *rows[1:]],
            ("telefone_1", "short"),
        ),
    ],
)
def test_one_row_of_sixty_tells(
    change: Callable[[list[Row]], list[Row]], found: tuple[str, str]
) -> None:
    before = remembered(60)
    assert found in doubts(before, change(third(60)))


def test_another_debt_of_the_same_person_is_no_renamed_one() -> None:
    before, rows = remembered(60), third(60)
    other = row(80, 2) | {"cpf": row(1, 2)["cpf"]}
    assert doubts(before, [*rows[:-1], other]) == set()


def test_phones_stay_in_their_state_and_people_in_their_emails() -> None:
    kinds = {"telefone_1": "telefone", "uf": "uf", "nome": "texto", "email": "email"}
    values = {
        "telefone_1": [f"{area}98765432{n}" for n, area in enumerate(("81", "11", "21") * 3)],
        "uf": ["PE", "SP", "RJ"] * 3,
        "nome": ["Zé Cícero Sá", "Ana Luz", "Eva Reis"] * 3,
        "email": ["cicero.1@ex.example", "ana@ex.example", "evareis@ex.example"] * 2 + [""] * 3,
    }
    law = belonging(kinds, values)
    assert law == {"telefone_1|uf": [9, 9], "email|nome": [6, 6]}
    moved = {name: column[1:] + column[:1] for name, column in values.items()}
    wrong = belonging(kinds, values | {"telefone_1": moved["telefone_1"]})
    assert [name for name, _ in parted(wrong, law)] == ["telefone_1"]
    wrong = belonging(kinds, values | {"nome": moved["nome"]})
    assert [name for name, _ in parted(wrong, law)] == ["email"]
    assert not list(parted(law, wrong)) and not list(parted(law, law))
