"""What speaks although no contract of a file is known: chance, small print, laws between fields."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from zanc_pipeline.reception.drift.chance import apart, at_least, is_new, more_than_before, too_few
from zanc_pipeline.reception.drift.exact import number_columns
from zanc_pipeline.reception.drift.keys import as_columns, keyed_table
from zanc_pipeline.reception.drift.looks import looks, strange
from zanc_pipeline.reception.drift.relations import broken, relations
from zanc_pipeline.reception.layout import JsonLayout, parse_layout


@pytest.mark.parametrize(
    ("found", "rows", "share", "expected"),
    [(8, 16, 0.9, True), (14, 16, 0.9, False), (0, 0, 0.9, False), (0, 9, 0.5, True)],
)
def test_few_rows_say_little(found: int, rows: int, share: float, expected: bool) -> None:
    assert too_few(found, rows, share) is expected


def test_a_difference_counts_beyond_what_chance_makes_of_it() -> None:
    assert apart({"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.4}, 9, 9) == 0
    assert apart({"a": 1.0}, {"b": 1.0}, 150, 150) > 0.9
    assert is_new(15, 150, 150)
    assert not is_new(2, 150, 150)
    assert not is_new(6, 150, 150)
    assert is_new(6, 150, 150, alone=True)  # where nothing else can judge the rows
    assert at_least(1, 4, 0.01) == pytest.approx(1 - 0.99**4)
    assert more_than_before(10, 18, 2, 36) < 0.001 < more_than_before(2, 18, 2, 36)


NAMES = ["Ana Sá", "João Luz", "Eva Paz", "Léo Reis", "Ivo Góes"] * 8


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("sign", [name.replace("ã", "?").replace("é", "?") for name in NAMES]),
        ("sign", ["NULL", "NULL", *NAMES[2:]]),
        ("ends", [f"{number}0" for number in range(10, 50)]),
        ("peak", ["Ana Sá"] * 30 + NAMES[:10]),
    ],
)
def test_the_small_print_of_a_column(kind: str, texts: list[str]) -> None:
    before = NAMES if kind != "ends" else [str(number) for number in range(100, 140)]
    assert kind in {found for found, *_ in strange(looks(texts), looks(before))}
    assert not list(strange(looks(before), looks(before)))


def test_laws_between_fields_hold_or_are_broken() -> None:
    kinds = {"valor": "dinheiro", "principal": "dinheiro", "juros": "dinheiro", "d": "data"}
    kinds["e"] = "data"
    day = date(2026, 1, 1)

    def rows(*, swapped: bool) -> dict[str, list[object]]:
        principal = [Decimal(100 + number) for number in range(60)]
        juros = [Decimal(1 + number % 7) for number in range(60)]
        total = [one + other for one, other in zip(principal, juros, strict=True)]
        first = [day + timedelta(days=number) for number in range(60)]
        then = [one + timedelta(days=30) for one in first]
        if swapped:
            total, principal = principal, total
            first, then = then, first
        return {"valor": total, "principal": principal, "juros": juros, "d": first, "e": then}

    right, wrong = (rows(swapped=swapped) for swapped in (False, True))
    numbers, others = (number_columns(kinds, one, None) for one in (right, wrong))
    usual = relations(kinds, right, numbers)
    assert json.loads(json.dumps(usual)) == usual
    assert not list(broken(usual, usual, numbers))
    found = broken(relations(kinds, wrong, others), usual, others)
    said = {(field, kind) for field, kind, *_ in found}
    assert {("valor", "relation"), ("valor", "sum"), ("d", "relation")} <= said


def test_json_records_are_columns_by_their_paths(tmp_path: Path) -> None:
    content = {
        "versao": "1",
        "vigencia": date(2026, 1, 1),
        "arquivos": "*",
        "formato": "jsonl",
        "campos": [{"nome": "cpf", "tipo": "cpf", "caminho": "cliente.cpf"}],
    }
    layout = parse_layout(content, "x")
    assert isinstance(layout, JsonLayout)
    path = tmp_path / "a.jsonl"
    path.write_text('{"cliente": {"cpf": "1"}, "fones": ["2"]}\nnada\n{"outro": true}\n')
    table = keyed_table(layout, path)
    assert table is not None
    assert table.titles == ["cliente.cpf", "fones[0]", "outro"]
    assert table.rows == [["1", "2", ""], ["", "", "true"]]
    assert [one.column for one in as_columns(layout)] == ["cliente.cpf"]
