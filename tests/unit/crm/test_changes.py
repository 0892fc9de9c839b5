"""What changed between two deliveries, beside the same found out row by row."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zanc_pipeline.crm import changes
from zanc_pipeline.crm.changes import changes_since
from zanc_pipeline.crm.entities import Portfolio, read_portfolio
from zanc_pipeline.crm.fields import CANONICAL, Kind

KINDS = {
    Kind.TEXT: pa.string(),
    Kind.NUMBER: pa.decimal128(14, 2),
    Kind.INTEGER: pa.int64(),
    Kind.DATE: pa.date32(),
    Kind.BOOLEAN: pa.bool_(),
}
Row = dict[str, Any]


def portfolio(folder: Path, name: str, rows: list[Row], *, extra: bool = False) -> Portfolio:
    fields = [pa.field(column, KINDS[kind]) for column, kind in CANONICAL.values()]
    fields += [pa.field("campo_loja", pa.string())] if extra else []
    filled = [
        {field.name: row.get(field.name) for field in fields} | {"line": line}
        for line, row in enumerate(rows, 2)
    ]
    path = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(filled, schema=pa.schema(fields)), path)
    return read_portfolio(path, delivery_id=1, convenio="x", reference_date=date(2026, 11, 23))


def row(number: int, person: int) -> Row:
    return {
        "cpf": f"{person:011d}",
        "contract": f"C{number}",
        "name": f"P{person}",
        "amount": Decimal(number),
        "email": None if number % 3 else "a@b",
        "deceased": False,
    }


def by_person(rows: list[Row]) -> dict[str, list[Row]]:
    people: dict[str, list[Row]] = {}
    for one in rows:
        people.setdefault(one["cpf"], []).append(one)
    return people


@pytest.mark.parametrize("seed", range(30))
def test_the_people_of_whom_anything_changed(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST", 1.0)
    chosen = random.Random(seed)
    old = [row(number, chosen.randrange(12)) for number in range(20)]
    new = [dict(one) for one in old if chosen.random() > 0.1]
    for one in new:
        if chosen.random() < 0.15:
            field, value = chosen.choice(
                [
                    ("amount", Decimal("7.5")),
                    ("email", None),
                    ("name", None),
                    ("cpf", f"{chosen.randrange(14):011d}"),
                    ("deceased", True),
                ]
            )
            one[field] = value
    new += [row(number, chosen.randrange(14)) for number in range(30, 32)]
    if seed % 2:
        chosen.shuffle(new)
    was, now = by_person(old), by_person(new)
    wanted = {cpf for cpf in was.keys() | now.keys() if was.get(cpf) != now.get(cpf)}
    found = changes_since(portfolio(tmp_path, "a", old), portfolio(tmp_path, "b", new))
    assert found is not None
    assert set(found.people.to_pylist()) == wanted
    touched = [one["contract"] for one in (*old, *new) if one["cpf"] in wanted]
    assert sorted(found.contracts.to_pylist()) == sorted(set(touched))


def test_all_is_looked_at_when_much_changed_or_the_fields_did(tmp_path: Path) -> None:
    old = [row(number, number) for number in range(10)]
    new = [{**one, "amount": Decimal(99)} for one in old[:4]] + old[4:]
    before = portfolio(tmp_path, "a", old)
    assert changes_since(before, portfolio(tmp_path, "b", new)) is None
    assert changes_since(before, portfolio(tmp_path, "c", old, extra=True)) is None
    assert changes_since(before, portfolio(tmp_path, "d", [*old, old[0]])) is None
