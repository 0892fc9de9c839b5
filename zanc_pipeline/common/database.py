"""PostgreSQL access: short transactions through psycopg2, errors in one line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

from zanc_pipeline.common.errors import ConfigError, UnavailableError
from zanc_pipeline.common.settings import Settings

Connection = psycopg2.extensions.connection

CONNECT_TIMEOUT_SECONDS = 20
"""A server that a busy machine keeps waiting for seconds is not away."""


def connect(settings: Settings, database: str, *, application: str = "zanc") -> Connection:
    """Open a connection to ``database`` (``zanc``, ``dialer``, ``crm_norma``, …).

    Raises UnavailableError, which names the server's address, when it does not answer.
    """
    target = settings.postgres.target(database)
    try:
        connection: Connection = psycopg2.connect(
            **target,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name=application,
            cursor_factory=psycopg2.extras.RealDictCursor,
        )
    except psycopg2.OperationalError as error:
        # The first line says what failed; libpq's advice on the next ones repeats the address.
        reason = (str(error).strip().splitlines() or [""])[0].rpartition(" failed: ")[2]
        raise UnavailableError("PostgreSQL", _address(settings, database), reason) from None
    return connection


@contextmanager
def transaction(settings: Settings, database: str, *, application: str = "zanc") -> Iterator[Any]:
    """A cursor (rows are dicts) inside one transaction: commit at the end, roll back on error.

    Raises UnavailableError when the server goes away, gives the transaction up or has no room,
    ConfigError when our tables were never created there.
    """
    connection = connect(settings, database, application=application)
    try:
        with unavailable(settings, database), connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextmanager
def unavailable(settings: Settings, database: str) -> Iterator[None]:
    """Turns what the server says into our errors, as ``transaction`` raises them."""
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        # Also when the server chose this one of two transactions to give up: it succeeds later.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnavailableError("PostgreSQL", _address(settings, database), reason) from error
    except (
        psycopg2.errors.UndefinedTable,
        psycopg2.errors.InvalidSchemaName,
        psycopg2.errors.UndefinedColumn,
    ) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"PostgreSQL at {_address(settings, database)} lacks our tables, or has them of "
            f"another version ({reason}): run 'zanc migrate'"
        ) from error


def _address(settings: Settings, database: str) -> str:
    return f"{settings.postgres.host}:{settings.postgres.port}/{database}"


def copy_rows(
    cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """COPY ``rows`` into ``table`` (a name of ours, never user input); ``None`` becomes NULL."""
    buffer = io.StringIO()
    for row in rows:
        buffer.write("\t".join(_copy_text(value) for value in row))
        buffer.write("\n")
    buffer.seek(0)
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", buffer)


def copy_table(cursor: Any, table: str, arrow: Any) -> None:
    """COPY a ``pyarrow.Table`` into ``table`` (a name of ours), columns by name."""
    import pyarrow.csv as pc

    buffer = io.BytesIO()
    pc.write_csv(arrow, buffer, pc.WriteOptions(include_header=False))
    buffer.seek(0)
    columns = ", ".join(arrow.column_names)
    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv)", buffer)


def copy_batches(cursor: Any, table: str, columns: Sequence[str], batches: Iterable[Any]) -> None:
    """COPY the ``columns`` of Arrow record batches into ``table``; one batch is in memory."""
    names = ", ".join(columns)
    cursor.copy_expert(
        f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv)",
        _CsvReader(batch.select(list(columns)) for batch in batches),
        size=1 << 20,
    )


class _CsvReader(io.RawIOBase):
    """A file of the CSV lines of record batches, written as it is read."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        import pyarrow as pa
        import pyarrow.csv as pc

        while not self._rest:
            batch = next(self._batches, None)
            if batch is None:
                return b""
            with pa.BufferOutputStream() as buffer:
                pc.write_csv(batch, buffer, pc.WriteOptions(include_header=False))
                self._rest = memoryview(buffer.getvalue())
        taken = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(taken) :]
        return bytes(taken)


def _copy_text(value: object) -> str:
    if value is None:
        return "\\N"
    text = str(value)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
