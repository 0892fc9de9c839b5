"""What a delivery's rows are, whatever their order: a digest, and the comparison that proves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zanc_pipeline.reception.unique import Hashes, hashes

_TRACE = frozenset({"line", "offset"})
_FACTOR, _SECOND = np.uint64(0x100000001B3), np.uint64(0xC2B2AE3D27D4EB4F)
_ROWS_AT_ONCE = 1_000_000


class ContentDigest:
    """Adds up the hashes of rows: the same rows in another order give the same digest."""

    def __init__(self) -> None:
        self._rows = 0
        self._sums = np.zeros(2, dtype=np.uint64)

    def add(self, rows: pa.Table) -> None:
        """Take some rows; where they came from in the file does not count."""
        row = _row_hashes(rows)
        self._rows += len(row)
        other = (row ^ (row >> np.uint64(31))) * _SECOND
        self._sums += np.array([row.sum(), other.sum()], dtype=np.uint64)

    @property
    def text(self) -> str:
        """The digest so far."""
        return f"{self._rows}-{int(self._sums[0]):016x}{int(self._sums[1]):016x}"


def same_rows(one: Path, other: Path) -> bool:
    """Whether two Parquet files hold the same rows, in any order: value by value, no hash decides.

    Large files are compared in parts, each with the contracts of some hashes.
    """
    left, right = pq.ParquetFile(one), pq.ParquetFile(other)
    rows = left.metadata.num_rows
    if rows != right.metadata.num_rows or left.schema_arrow.names != right.schema_arrow.names:
        return False
    parts = rows // _ROWS_AT_ONCE + 1
    return all(_part(left, part, parts).equals(_part(right, part, parts)) for part in range(parts))


def _part(file: pq.ParquetFile, part: int, parts: int) -> pa.Table:
    names = [name for name in file.schema_arrow.names if name not in _TRACE]
    tables = []
    for batch in file.iter_batches(columns=names):
        table = pa.Table.from_batches([batch])
        if parts > 1:
            chosen = hashes(_texts(table["contract"])) % np.uint64(parts) == np.uint64(part)
            table = table.filter(pa.array(chosen))
        tables.append(table)
    if not tables:
        return file.schema_arrow.empty_table()
    found = pa.concat_tables(tables)
    return found.sort_by([("contract", "ascending"), ("cpf", "ascending")]).combine_chunks()


def _row_hashes(rows: pa.Table) -> Hashes:
    row: Hashes = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in rows.column_names:
        if name not in _TRACE:
            row = row * _FACTOR + hashes(_texts(rows[name]))
    return row


def _texts(column: pa.ChunkedArray) -> pa.Array:
    texts = pc.fill_null(column.cast(pa.string()), "\0")
    return texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
