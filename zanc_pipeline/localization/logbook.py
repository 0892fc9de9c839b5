"""Reads the whole log of calls, by phone: the partitions in PostgreSQL and the archived months."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization.queries import CALL_COLUMNS

PART_ROWS = 500_000

_SELECT = f"SELECT {', '.join(CALL_COLUMNS)} FROM {{table}} ORDER BY phone, started_at"  # noqa: S608


def archive_folder(settings: Settings) -> Path:
    """Where archived months are."""
    return settings.var / "archive" / "localization"


def archived_files(settings: Settings, cursor: Any) -> list[Path]:
    """The files of the archived months, oldest first. DataError names one that is missing."""
    cursor.execute(
        "SELECT file FROM localization.archive WHERE state = 'archived' AND calls > 0 "
        "ORDER BY month"
    )
    paths = [archive_folder(settings) / row["file"] for row in cursor.fetchall()]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing: restore it, its calls are nowhere else")
    return paths


def all_calls(settings: Settings, cursor: Any) -> Iterator[Any]:
    """Every call ever taken as ``pyarrow.Table``s of CALL_COLUMNS.

    They come in order of the phones; all calls of a phone are in one table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    paths = archived_files(settings, cursor)
    # All of them are open at once: together they hold about as much as one part of the log.
    rows = max(PART_ROWS // max(len(paths), 1), 10_000)
    archives = [_Stream(parquet_calls(path, rows=rows)) for path in paths]
    live = _Stream(table_calls(cursor, "localization.call"))
    streams = [live, *archives]
    while any(stream.more() for stream in streams):
        # All streams are known up to here: none gives an earlier phone any more.
        limit = min(stream.last_phone() for stream in streams if stream.more())
        parts = [stream.take(limit) for stream in streams]
        table = pa.concat_tables(part for part in parts if part is not None)
        if table.num_rows:
            yield table.take(pc.sort_indices(table, [("phone", "ascending")]))


def table_calls(cursor: Any, table: str) -> Iterator[Any]:
    """The calls of ``table`` (a name of ours) by phone and time, streamed."""
    import pyarrow.csv as pc

    cursor.execute("SET LOCAL timezone = 'UTC'")
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def copy() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                cursor.copy_expert(
                    f"COPY ({_SELECT.format(table=table)}) TO STDOUT WITH (FORMAT csv)", pipe
                )
        except BrokenPipeError:
            pass  # the reader gave up
        except BaseException as error:
            failures.append(error)

    copier = threading.Thread(target=copy, name="copy", daemon=True)
    copier.start()
    try:
        with os.fdopen(reading, "rb") as pipe:
            first = pipe.peek(1)
            if first:
                reader = pc.open_csv(
                    pipe,
                    read_options=pc.ReadOptions(
                        column_names=list(CALL_COLUMNS), block_size=64 * 1024 * 1024
                    ),
                    convert_options=pc.ConvertOptions(
                        column_types=call_schema(), strings_can_be_null=True
                    ),
                )
                for batch in reader:
                    yield _as_table(batch)
    finally:
        copier.join()
    if failures:
        raise failures[0]


def call_schema() -> Any:
    """The ``pyarrow.Schema`` of CALL_COLUMNS."""
    import pyarrow as pa

    kinds = {
        "started_at": pa.timestamp("us", tz="UTC"),
        "ring_seconds": pa.float32(),
        "talk_seconds": pa.float32(),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in CALL_COLUMNS])


def _as_table(batch: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def parquet_calls(path: Path, *, rows: int = PART_ROWS) -> Iterator[Any]:
    """The calls of an archived month by phone and time, so many ``rows`` at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(CALL_COLUMNS)):
            yield _as_table(batch)


class _Stream:
    """Tables sorted by phone, taken up to a phone at a time."""

    def __init__(self, tables: Iterator[Any]) -> None:
        self._tables = tables
        self._held: Any = None
        self._ended = False

    def more(self) -> bool:
        """Whether something is left; reads ahead so far that ``last_phone`` is known."""
        while not self._ended and (self._held is None or self._held.num_rows == 0):
            self._held = next(self._tables, None)
            self._ended = self._held is None
        return self._held is not None and self._held.num_rows > 0

    def last_phone(self) -> str:
        """Up to here all is read: at the end it is the last, else the one before it is whole."""
        return str(self._held["phone"][-1])

    def take(self, limit: str) -> Any:
        """The rows of phones up to ``limit``, of the tables that follow too."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = []
        while self.more():
            count = pc.sum(pc.less_equal(self._held["phone"], limit)).as_py()
            parts.append(self._held.slice(0, count))
            self._held = self._held.slice(count)
            if self._held.num_rows:
                break
        return pa.concat_tables(parts) if parts else None
