"""Small accepted deliveries for the CRM's tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings

SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("cpf", pa.string()),
        ("name", pa.string()),
        ("contract", pa.string()),
        ("product", pa.string()),
        ("amount", pa.decimal128(14, 2)),
        ("due_date", pa.date32()),
        ("birth_date", pa.date32()),
        ("email", pa.string()),
        ("city", pa.string()),
        ("state", pa.string()),
        ("phone_1", pa.string()),
        ("phone_2", pa.string()),
        ("phone_3", pa.string()),
        ("deceased", pa.bool_()),
    ]
)


def cpf(number: int) -> str:
    """A valid CPF, different for each number."""
    base = f"{number:09d}"
    return base + cpf_check_digits(base)


def contract(number: int, *, owner: int | None = None, **changed: Any) -> dict[str, Any]:
    """A contract of the delivery; its owner is the person of the same number by default."""
    person = number if owner is None else owner
    return {
        "cpf": cpf(person + 1000),
        "name": f"PESSOA {person}",
        "contract": f"C{number:06d}",
        "product": None,
        "amount": Decimal("100.00") + number,
        "due_date": date(2026, 8, 1),
        "birth_date": None,
        "email": None,
        "city": 'Sao "Paulo"; \\N',
        "state": "SP",
        "phone_1": f"119{80000000 + person}",
        "phone_2": None,
        "phone_3": None,
        "deceased": False,
        **changed,
    }


def deliver(
    settings: Settings,
    convenio: str,
    day: date,
    contracts: Iterable[dict[str, Any]],
    extras: Iterable[pa.Field] = (),
) -> int:
    """Register an accepted delivery as reception does, with ``extras`` of its layout; its id."""
    rows = [{**row, "line": line} for line, row in enumerate(contracts, 2)]
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO reception.delivery "
            "(convenio, file_name, sha256, size_bytes, status, reference_date, rows_accepted) "
            "VALUES (%s, 'f', 'x', 1, 'accepted', %s, %s) RETURNING id",
            (convenio, day, len(rows)),
        )
        row = cursor.fetchone()
    assert row is not None
    folder = settings.var / "deliveries" / str(row["id"])
    folder.mkdir(parents=True)
    schema = pa.schema([*SCHEMA, *extras])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "accepted.parquet")
    return int(row["id"])
