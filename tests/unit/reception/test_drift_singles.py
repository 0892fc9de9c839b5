"""Single rows that break what nearly all keep: each goes aside alone, and the rest loads."""

from __future__ import annotations

from functools import cache

import pytest

from tests.unit.reception.drift_rows import Row, print_of
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.reception.drift.check_digit import check_digit, follows
from zanc_pipeline.reception.drift.compare import Comparison, compare
from zanc_pipeline.reception.drift.diagnose import Diagnosis, Trial, remembered
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.layout import JsonLayout

TYPES = {
    "contrato": "texto",
    "cpf": "cpf",
    "nome": "texto",
    "valor": "dinheiro",
    "principal": "dinheiro",
    "juros": "dinheiro",
    "multa": "dinheiro",
    "telefone_1": "telefone",
    "cidade": "texto",
    "uf": "uf",
}
PLACES = (
    ("Recife", "PE", "81"),
    ("Natal", "RN", "84"),
    ("Belém", "PA", "91"),
    ("Olinda", "PE", "81"),
)
NAMES = ("Ana", "Bento", "Clara", "Davi", "Elisa", "Fabio", "Gil")


def luhn(digits: str) -> str:
    """The check digit of Luhn's rule."""
    doubled = [int(one) * 2 if at % 2 == 0 else int(one) for at, one in enumerate(digits[::-1])]
    return str(-sum(one - 9 * (one > 9) for one in doubled) % 10)


def row(number: int) -> Row:
    """A debt; all that it holds follows from its number."""
    base = f"{number * 7_654_321 % 10**9:09}"
    cents = [10_000 + number * 7_919 % 90_000, 100 + number * 31 % 900, 200 + number * 17 % 300]
    city, state, area = PLACES[number * 5 % 11 % 4]
    principal, interest, fine, total = (f"{c // 100},{c % 100:02}" for c in (*cents, sum(cents)))
    return {
        "contrato": f"40{number * 37 % 10_000:04}" + luhn(f"40{number * 37 % 10_000:04}"),
        "cpf": base + cpf_check_digits(base),
        "nome": f"{NAMES[number % 7]} {NAMES[number // 7 % 7]} {chr(65 + number % 26) * 3}",
        "valor": total,
        "principal": principal,
        "juros": interest,
        "multa": fine,
        "telefone_1": f"{area}9{80_000_000 + number * 1_357_713 % 19_000_000}",
        "cidade": city,
        "uf": state,
    }


def seen(rows: list[Row], day: int) -> Fingerprint:
    return print_of(rows, TYPES, {"arrived": f"2026-11-{day:02}"})


@cache
def before() -> Fingerprint:
    """What is remembered after three days of 60 debts."""
    files = [seen([row(n) for n in range(day, day + 60)], 10 + day) for day in range(3)]
    for place in (1, 2):
        found = compare(files[place], files[place - 1])
        assert (found.doubts, found.aside) == ([], {})
        files[place] = taken(files[place], found)
    return files[-1]


def taken(file: Fingerprint, found: Comparison) -> Fingerprint:
    trial = Trial(layout=JsonLayout.model_construct(), refusal=None, seen=file)
    made = Diagnosis(kind="fits", layout=trial.layout, trial=trial, comparison=found)
    again = Fingerprint.from_json(remembered(made).to_json())
    assert again is not None
    return again


def third() -> list[Row]:
    return [row(number) for number in range(3, 63)]


def aside(rows: list[Row]) -> dict[int, set[str]]:
    """Place of a row → the fields for which it goes alone; the file itself is not doubted."""
    file = seen(rows, 13)
    found = compare(file, before())
    assert found.doubts == []
    assert file.at_hand is not None
    lines = file.at_hand.lines
    return {lines[key] - 2: {one.field for one in why} for key, why in found.aside.items()}


def test_an_honest_day_puts_nothing_aside() -> None:
    assert aside(third()) == {}


@pytest.mark.parametrize(
    ("place", "change", "field"),
    [
        (5, {"nome": "Zenaide Outra"}, "nome"),
        (5, {"uf": "SP"}, "uf"),
        (59, {"uf": "RN" if row(62)["uf"] != "RN" else "PA"}, "uf"),
        (59, {"nome": "N*** I*****"}, "nome"),
        (59, {"valor": f"{int(row(62)['valor'][:-3]) + 1}{row(62)['valor'][-3:]}"}, "valor"),
        (5, {"juros": row(8)["multa"], "multa": row(8)["juros"]}, "juros"),
        (5, {"telefone_1": "84" + row(8)["telefone_1"][2:]}, "telefone_1"),
        (5, {"telefone_1": row(8)["telefone_1"][:-3] + "000"}, "telefone_1"),
        (
            59,
            {"contrato": row(62)["contrato"][:-1] + str(9 - int(row(62)["contrato"][-1]))},
            "contrato",
        ),
    ],
)
def test_one_strange_row_goes_alone(place: int, change: Row, field: str) -> None:
    rows = third()
    rows[place] = rows[place] | change
    found = aside(rows)
    assert [*found] == [place] and field in found[place]


def test_what_was_put_aside_is_not_remembered_and_waits() -> None:
    rows = third()
    rows[5] = rows[5] | {"nome": "Zenaide Outra"}
    file = seen(rows, 13)
    found = compare(file, before())
    (key,) = found.aside
    kept = taken(file, found)
    assert kept.column("nome")[key] == before().column("nome")[key]
    assert kept.waiting == {key: {"nome": file.column("nome")[key]}}
    assert compare(seen(rows, 13), kept).aside.keys() == {key}  # the same day's file again
    later = compare(seen(rows, 14), kept)
    assert (later.aside, later.insisted) == ({}, {key})
    other = compare(
        seen([one | {"nome": "Zuleica"} if one is rows[5] else one for one in rows], 14), kept
    )
    assert other.aside.keys() == {key}


def test_a_person_confirms_a_row() -> None:
    rows = third()
    rows[5] = rows[5] | {"nome": "Zenaide Outra"}
    file = seen(rows, 13)
    (key,) = compare(file, before()).aside
    found = compare(file, before(), confirmed={key})
    assert (found.doubts, found.aside) == ([], {})
    agreed, of = found.history["nome"]
    assert of - agreed == pytest.approx(1)


def test_all_amounts_a_little_less_hold_the_file() -> None:
    amounts = ("valor", "principal", "juros", "multa")
    rows = [
        one
        | {
            name: f"{float(one[name].replace(',', '.')) - 0.5:.2f}".replace(".", ",")
            for name in amounts
        }
        for one in third()
    ]
    assert {"valor", "principal"} <= {one.field for one in compare(seen(rows, 13), before()).doubts}


@pytest.mark.parametrize("rule", [luhn, lambda digits: str(int(digits) * 7 % 10), lambda _: "3"])
def test_check_digits_are_found_in_the_contracts_themselves(rule) -> None:  # type: ignore[no-untyped-def]
    contracts = [f"{n * 37 % 10_000:04}" for n in range(80)]
    found = check_digit([f"40{one}{rule('40' + one)}" for one in contracts])
    if rule("1234") == rule("1235"):
        assert found is None
        return
    assert found is not None
    wrong = [f"40{n:04}{(int(rule(f'40{n:04}')) + 1) % 10}" for n in range(1_500, 1_550)]
    assert all(follows(found, f"40{n:04}{rule(f'40{n:04}')}") for n in range(1_500, 1_550))
    assert sum(follows(found, one) for one in wrong) < 5


def test_no_rule_where_last_digits_are_by_chance() -> None:
    assert check_digit([f"40{n:04}{n * n * 7 % 13 % 10}" for n in range(200)]) is None


def test_a_row_that_was_rejected_is_not_known() -> None:
    file = seen(third(), 13)
    trial = Trial(layout=JsonLayout.model_construct(), refusal=None, seen=file)
    found = compare(file, before())
    made = Diagnosis(kind="fits", layout=trial.layout, trial=trial, comparison=found)
    [line, *_] = (file.at_hand.lines if file.at_hand else {}).values()
    assert len(remembered(made, {line}).links) == len(remembered(made).links) - 1
