"""Accepted rows as Parquet, written some batches at a time: fast to write, small enough to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP_ROWS = 100_000
"""Rows of a row group: what a reader of the file holds in memory at once."""

_SAMPLED = 10_000
_FEW = 500


class RowsWriter:
    """Writes tables of one schema to ``path``; few and large row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        """Take rows; they may wait for more."""
        self._waiting.append(rows)
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
        table = pa.concat_tables([self._schema.empty_table(), *self._waiting])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema, **_options(table))
        if self._rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._rows = [], 0


def _options(table: pa.Table) -> dict[str, Any]:
    """How each column is written, judged by the first rows.

    Few different texts: a dictionary. Numbers and dates: byte by byte, so that LZ4 finds the equal
    high ones. Texts all of digits: plain, since nothing of what is offered makes them smaller.
    """
    dictionary, compression, encoding = [], {}, {}
    for column in table.schema:
        sample = table[column.name].slice(0, _SAMPLED)
        compression[column.name] = "lz4"
        if pa.types.is_decimal(column.type) or pa.types.is_date(column.type):
            encoding[column.name] = "BYTE_STREAM_SPLIT"
        elif column.name in {"line", "offset"}:
            encoding[column.name] = "DELTA_BINARY_PACKED"
            compression[column.name] = "none"
        elif column.type == pa.string():
            if pc.count_distinct(sample).as_py() <= _FEW:
                dictionary.append(column.name)
            elif pc.all(pc.ascii_is_decimal(sample.drop_null())).as_py():
                compression[column.name] = "none"
    return {
        "use_dictionary": dictionary,
        "compression": compression,
        "column_encoding": encoding,
        "write_statistics": ["line"],
        "store_decimal_as_integer": True,
    }
