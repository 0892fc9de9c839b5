"""Files of few rows: each row is judged by its own past, or by the laws of its column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.unit.reception.drift_rows import Row, print_of, told
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.reception.drift.compare import compare
from zanc_pipeline.reception.drift.doubts import Doubt, weighed
from zanc_pipeline.reception.drift.fingerprint import Fingerprint

TYPES = {
    "contrato": "texto",
    "cpf": "cpf",
    "nome": "texto",
    "valor": "dinheiro",
    "principal": "dinheiro",
    "vencimento": "data",
    "emissao": "data",
    "telefone_1": "telefone",
    "parcelas": "inteiro",
    "uf": "uf",
}
NAMES = ("Ana Beatriz", "Bento", "Clara Dias", "Davi", "Elisa Prado", "Fabio Reis", "Gil")


def row(number: int) -> Row:
    """A debt; all that it holds follows from its number."""
    base = f"{number * 7_654_321 % 10**9:09}"
    issued = date(2026, 1, 1) + timedelta(days=number * 11 % 300)
    principal = 10_000 + number * 7_919 % 90_000
    return {
        "contrato": f"40{number:06}",
        "cpf": base + cpf_check_digits(base),
        "nome": f"{NAMES[number % 7]} {NAMES[number // 7 % 7]} {chr(65 + number % 26) * 3}",
        "valor": f"{principal * 1.1:.0f}",
        "principal": str(principal),
        "vencimento": (issued + timedelta(days=(30, 60)[number % 2])).isoformat(),
        "emissao": issued.isoformat(),
        "telefone_1": f"119{80000000 + number * 13_577}",
        "parcelas": str(number * 5 % 36 + 1),
        "uf": "SP",
    }


def seen(rows: list[Row]) -> Fingerprint:
    """The fingerprint of a file of these rows."""
    return print_of(rows, TYPES, {})


def days(size: int, known: int) -> tuple[Fingerprint, list[Row]]:
    """What is remembered of two days, and the rows of a third, of which ``known`` came again."""
    first, second = seen([row(n) for n in range(size)]), seen([row(n) for n in range(1, size + 1)])
    found = compare(second, first)
    assert found.doubts == []
    before = replace(second, overlap=known / size, history=found.history)
    return before, [row(n) for n in range(size + 1 - known, 2 * size + 1 - known)]


def kinds(before: Fingerprint, rows: list[Row]) -> set[str]:
    return {one.kind for one in told(compare(seen(rows), before))}


def move(name: str, value: Callable[[list[Row], int], str], rows: list[Row]) -> list[Row]:
    return [one | {name: value(rows, at)} for at, one in enumerate(rows)]


@pytest.mark.parametrize(("size", "known"), [(8, 7), (18, 4), (18, 17), (60, 50), (60, 6)])
def test_new_rows_alone_raise_no_doubt(size: int, known: int) -> None:
    before, rows = days(size, known)
    assert compare(seen(rows), before).doubts == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("contrato", lambda rows, at: "81" + rows[at]["contrato"][2:] if at == 9 else "", "begins"),
        ("contrato", lambda rows, at: rows[at]["contrato"][4:] if at == 9 else "", "begins"),
        ("nome", lambda rows, at: rows[at - 1]["nome"] if at in {1, 2} else "", "changed"),
        ("cpf", lambda rows, at: rows[at - 1]["cpf"] if at in {6, 9} else "", "two_people"),
        ("valor", lambda rows, at: rows[at]["valor"] + "00" if at in {12, 14} else "", "scale"),
        ("principal", lambda rows, at: rows[at]["principal"] + "0" if at == 1 else "", "scale"),
        ("vencimento", lambda rows, at: rows[at - 1]["vencimento"] if at > 8 else "", "steps"),
        ("parcelas", lambda rows, at: "99" if at in {0, 2} else "", "together"),
        ("uf", lambda _, at: "RJ" if at in {0, 1} else "", "changed"),
        ("principal", lambda _, at: "0" if at in {10, 12, 14, 16} else "", "sign"),
    ],
)
def test_few_rows_tell_what_was_done_to_a_part_of_them(
    name: str, value: Callable[[list[Row], int], str], kind: str
) -> None:
    before, rows = days(18, 4)
    changed = move(name, lambda rows, at: value(rows, at) or rows[at][name], rows)
    assert kind in kinds(before, changed)


def test_a_contract_that_comes_twice_with_other_data_is_seen() -> None:
    before, rows = days(18, 15)
    assert "twice" not in kinds(before, [*rows, rows[0]])
    assert "twice" in kinds(before, [*rows, rows[0] | {"valor": "1,00"}])


def test_a_field_that_never_moved_is_doubted_once() -> None:
    before, rows = days(60, 50)
    moved = [one | {"uf": "RJ"} if at > 56 else one for at, one in enumerate(rows)]
    found = compare(seen(moved), before)
    assert {(one.field, one.kind) for one in found.doubts} == {("uf", "list")}
    known = replace(seen(moved), overlap=found.overlap, history=found.history)
    assert "list" not in kinds(known, moved)


def test_a_habit_of_large_files_is_kept() -> None:
    before, rows = days(150, 140)
    moved = [one | {"vencimento": "2026-11-30"} if at < 12 else one for at, one in enumerate(rows)]
    assert "changed" in kinds(before, moved)
    assert "changed" not in kinds(before, moved[8:])


def test_phones_may_change_places_only_where_they_did() -> None:
    before, _ = days(18, 17)
    assert before.history["telefone_1"] == (17.0, 17.0)
    again = Fingerprint.from_json(before.to_json())
    assert again is not None and again.history["telefone_1"] == (17.0, 17.0)


def test_earlier_files_know_contracts_and_shapes() -> None:
    weekly, other = [row(n) for n in range(40)], [row(n) for n in range(300, 340)]
    half = [one | {"telefone_1": ""} for one in weekly]
    earlier, before = seen(half), replace(seen(other), overlap=0.0)
    found = compare(seen(half), before, [earlier])
    assert (found.linked, found.doubts) == (40, [])
    assert compare(seen(half), before).linked == 0
    assert "filled" in kinds(before, half)
    wrong = [one | {"nome": half[at - 1]["nome"]} for at, one in enumerate(half)]
    assert "changed" in {one.kind for one in compare(seen(wrong), before, [earlier]).doubts}


def test_weak_doubts_count_when_two_agree_on_a_field() -> None:
    one = Doubt(field="nome", kind="changed", text="", weak=True)
    other = replace(one, kind="repeated")
    ends, length = replace(one, kind="ends"), replace(one, kind="length")
    assert weighed([one]) == []
    assert weighed([one, replace(other, field="cpf")]) == []
    assert weighed([ends, length]) == []  # they look at the same texts
    assert weighed([one, other]) == [one, other]
