"""The accepted rows of a delivery: typed columns, each row with its line and byte offset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.fields import MAX_PHONES, MONEY, NARROW_MONEY, Column, arrow_type
from zanc_pipeline.reception.layout import CANONICAL, AnyLayout, is_partial
from zanc_pipeline.reception.readers.base import Batch

ACCEPTED_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("cpf", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("contract", pa.string(), nullable=False),
        pa.field("product", pa.string()),
        pa.field("amount", MONEY, nullable=False),
        pa.field("due_date", pa.date32(), nullable=False),
        pa.field("birth_date", pa.date32()),
        pa.field("email", pa.string()),
        pa.field("city", pa.string()),
        pa.field("state", pa.string()),
        pa.field("phone_1", pa.string()),
        pa.field("phone_2", pa.string()),
        pa.field("phone_3", pa.string()),
        pa.field("deceased", pa.bool_(), nullable=False),
    ]
)
"""The canonical columns of an accepted delivery: one row a contract. ``offset`` is the byte where
the row's line starts in the archived file (in the file inside a zip), -1 in a spreadsheet."""

PHONES = tuple(f"phone_{place + 1}" for place in range(MAX_PHONES))

EXTRA = "campo_"
"""Before the layout's name of a field that is no canonical column."""


def column_of(name: str) -> str:
    """The column that a field of a layout fills; ``telefones`` fills ``PHONES``."""
    return CANONICAL.get(name, (EXTRA + name,))[0]


def accepted_schema(layout: AnyLayout) -> pa.Schema:
    """The canonical columns, then every other field of the layout under ``campo_<nome>``.

    A member of a set alone is no portfolio: it has the canonical columns of its own fields only. So
    have payments and phones, with ``cpf``, which the CRM knows where the file has none.
    """
    canonical = list(ACCEPTED_SCHEMA)
    if is_partial(layout):
        names = {"line", "offset"} | ({"cpf"} if layout.content != "carteira" else set())
        for spec in layout.fields:
            names |= set(PHONES if spec.name == "telefones" else CANONICAL.get(spec.name, ())[:1])
        canonical = [column for column in canonical if column.name in names]
    if layout.content != "carteira" and "cpf" not in {spec.name for spec in layout.fields}:
        canonical = [one.with_nullable(one.nullable or one.name == "cpf") for one in canonical]
    extras = [
        pa.field(EXTRA + spec.name, arrow_type(spec))
        for spec in layout.fields
        if spec.name not in CANONICAL
    ]
    return pa.schema([*canonical, *extras])


def accepted_rows(
    schema: pa.Schema, batch: Batch, columns: Mapping[str, Column], keep: npt.NDArray[np.bool_]
) -> pa.Table:
    """The rows of ``batch`` where ``keep`` is true, in the columns of ``schema``.

    A column of a few texts may come as a dictionary of them, amounts as ``NARROW_MONEY``.
    """
    values: dict[str, pa.Array] = {
        "line": pa.array(batch.line),
        "offset": pa.array(batch.offset),
    }
    for name, column in columns.items():
        if name == "telefones":
            values |= dict(zip(PHONES, _spread(column.values), strict=True))
        elif name in CANONICAL:
            values[CANONICAL[name][0]] = column.values
        else:
            values[EXTRA + name] = column.values
    rows = len(batch.line)
    if "deceased" in values:
        values["deceased"] = pc.fill_null(values["deceased"], False)
    else:
        values["deceased"] = pa.array(np.zeros(rows, dtype=np.bool_))
    arrays = [
        values[column.name] if column.name in values else pa.nulls(rows, column.type)
        for column in schema
    ]
    if not keep.all():
        mask = pa.array(keep)
        arrays = [array.filter(mask) for array in arrays]
    columns_ = zip(schema, arrays, strict=True)
    kept = pa.schema(
        column.with_type(array.type)
        if pa.types.is_dictionary(array.type) or array.type == NARROW_MONEY
        else column
        for column, array in columns_
    )
    return pa.Table.from_arrays(arrays, schema=kept)


def _spread(lists: pa.Array) -> list[pa.Array]:
    """The first, second, … phone of every row."""
    rows = [phones or () for phones in lists.to_pylist()]
    return [
        pa.array(
            [phones[place] if place < len(phones) else None for phones in rows], type=pa.string()
        )
        for place in range(MAX_PHONES)
    ]
