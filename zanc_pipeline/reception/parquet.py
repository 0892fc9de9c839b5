"""Accepted rows as Parquet, written some batches at a time: fast to write, small enough to keep."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zanc_pipeline.common.byte_cells import validity

GROUP_ROWS = 50_000
"""Rows of a row group: what a reader of the file holds in memory at once."""

_SAMPLED = 10_000
_FEW = 500
_TIMES = 8
"""How often a text stands in a column on the average, for a dictionary to be worth its keeping."""


class RowsWriter:
    """Writes tables of one schema to ``path``; few and large row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer: pq.ParquetWriter | None = None
        self._written = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        """Take rows; they may wait for more."""
        self._waiting.append(_narrowed(rows))
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush()

    def finish(self) -> None:
        """Write what waits and the end of the file."""
        self._flush()
        self.close()

    def close(self) -> None:
        """Let the file go, finished or not."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._waiting, self._rows = None, [], 0

    def _flush(self) -> None:
        if self._writer is None:
            empty = _narrowed(self._schema.empty_table())
            self._written = (self._waiting[0] if self._waiting else empty).schema
            options = _options(self._written, self._waiting)
            self._writer = pq.ParquetWriter(self._path, self._written, **options)
            # What is read again are the columns of the schema, however they were written.
            named = {b"ARROW:schema": b64encode(self._schema.serialize().to_pybytes())}
            self._writer.add_key_value_metadata(named)
        if self._rows:
            table = pa.concat_tables(_as(self._written, rows) for rows in self._waiting)
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._rows = [], 0


_NARROW = 18
"""Digits that 64 bits hold."""


def _narrowed(rows: pa.Table) -> pa.Table:
    """The rows with decimals in 64 bits: as Parquet keeps them, and half of what waits."""
    columns, arrays = list(rows.schema), list(rows.columns)
    for place, column in enumerate(columns):
        kind = column.type
        if pa.types.is_decimal128(kind) and kind.precision <= _NARROW:
            narrow = pa.decimal64(kind.precision, kind.scale)
            columns[place] = column.with_type(narrow)
            parts = [_low_half(part, narrow) for part in arrays[place].chunks]
            arrays[place] = pa.chunked_array(parts, type=narrow)
    return pa.Table.from_arrays(arrays, schema=pa.schema(columns))


def _low_half(values: pa.Array, narrow: pa.DataType) -> pa.Array:
    """Decimals of 128 bits in 64; they hold no more digits than that."""
    first, count = values.offset, len(values)
    words = np.frombuffer(values.buffers()[1], dtype=np.int64)[2 * first : 2 * (first + count)]
    valid = (
        validity(values.is_valid().to_numpy(zero_copy_only=False)) if values.null_count else None
    )
    return pa.Array.from_buffers(narrow, count, [valid, pa.py_buffer(words[::2].copy())])


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_decimal(kind) or types.is_date(kind) or types.is_integer(kind))


def _as(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """The rows with the types of ``schema``: texts as a dictionary, or written out."""
    if rows.schema.equals(schema):
        return rows
    arrays = []
    for column, array in zip(schema, rows.columns, strict=True):
        if pa.types.is_dictionary(column.type) and array.type == pa.string():
            array = pc.dictionary_encode(array)
        arrays.append(array.cast(column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _options(schema: pa.Schema, tables: Sequence[pa.Table]) -> dict[str, Any]:
    """How each column is written, judged by the first rows.

    Few different texts: a dictionary. Numbers and dates: byte by byte, so that LZ4 finds the equal
    high ones. Texts all of digits: plain, since nothing of what is offered makes them smaller. So
    are texts that mostly differ (e-mails): LZ4 would take a tenth of the file's bytes away for
    three times the time that they cost.
    """
    dictionary, compression, encoding = [], {}, {}
    for column in schema:
        compression[column.name] = "lz4"
        if column.name in {"line", "offset"}:
            encoding[column.name] = "DELTA_BINARY_PACKED"
            compression[column.name] = "none"
        elif _is_number(column.type):
            encoding[column.name] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_dictionary(column.type):
            dictionary.append(column.name)
        elif column.type == pa.string() and tables:
            sample = tables[0][column.name].slice(0, _SAMPLED)
            different = pc.count_distinct(sample).as_py()
            if different <= max(_FEW, len(sample) // _TIMES):
                dictionary.append(column.name)
            elif (
                2 * different > len(sample)
                or pc.all(pc.ascii_is_decimal(sample.drop_null())).as_py()
            ):
                compression[column.name] = "none"
    return {
        "use_dictionary": dictionary,
        "write_batch_size": GROUP_ROWS,
        "compression": compression,
        "column_encoding": encoding,
        "write_statistics": ["line"],
        "store_decimal_as_integer": True,
        "store_schema": False,
    }
