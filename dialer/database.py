"""The connection to the dialer's own database: real-time state, apart from the business."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg

from dialer import queries
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings

DATABASE = "dialer"
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
"""A transaction that takes longer is given up, with its connection: the server stands still."""

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # its own words for a connection that broke in mid-question
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class Database:
    """Access to the ``dialer`` database.

    Every method raises UnavailableError when the server does not answer; each is one transaction,
    so that the caller may simply try again.
    """

    def __init__(self, settings: Settings) -> None:
        target = settings.postgres.target(DATABASE)
        self._target = {
            **{name: target[name] for name in ("host", "port", "user", "password")},
            "database": target["dbname"],
            "timeout": CONNECT_SECONDS,
        }
        self.address = f"{target['host']}:{target['port']}/{DATABASE}"
        self._pool: Any = None
        self._lock_holder: Any = None

    async def take_over(self, *, doubtful: bool = False) -> bool:
        """Become the one engine of this database; False while another process is.

        Cheap when we already are; to be asked before every round. ``doubtful``: the server was away
        meanwhile, and may have given the lock to another without our connection's noticing.
        """
        async with self._errors():
            if self._lock_holder is not None and not self._lock_holder.is_closed():
                if doubtful:
                    with _limited(self._lock_holder, CONNECT_SECONDS):
                        await self._lock_holder.execute("SELECT 1")
                return True
            connection = await asyncpg.connect(
                **self._target, server_settings={"application_name": "zanc dialer lock"}
            )
            with _limited(connection, CONNECT_SECONDS):
                taken = await connection.fetchval(queries.TAKE_OVER)
            if taken:
                self._lock_holder = connection
            else:
                connection.terminate()
            return bool(taken)

    async def close(self) -> None:
        """Close all connections; the lock is free afterwards."""
        with contextlib.suppress(*_UNREACHABLE):
            if self._pool is not None:
                await self._pool.close()
            if self._lock_holder is not None:
                await self._lock_holder.close()

    async def ping(self) -> None:
        """Ask the database for nothing: does it answer?"""
        await self._fetchrow("SELECT 1")

    @contextlib.asynccontextmanager
    async def transaction(self, seconds: float = COMMAND_SECONDS) -> AsyncIterator[Any]:
        """A connection inside one transaction, for at most so many seconds."""
        async with self._errors():
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._target,
                    min_size=0,  # else the pool itself logs again and again that PostgreSQL is away
                    max_size=6,
                    init=_teach_json,
                    reset=_nothing,
                    server_settings={"application_name": "zanc dialer"},
                )
            async with self._pool.acquire(timeout=COMMAND_SECONDS) as connection:
                with _limited(connection, seconds):
                    begun = connection.transaction()
                    try:
                        await begun.start()
                        yield connection
                        await begun.commit()
                    except asyncio.CancelledError:
                        connection.terminate()  # else the server would be asked, and waited for
                        raise
                    except BaseException:
                        if not connection.is_closed() and connection.is_in_transaction():
                            await begun.rollback()
                        raise

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        async with self.transaction() as connection:
            rows: list[Any] = await connection.fetch(query, *values)
            return rows

    async def _fetchrow(self, query: str, *values: object) -> Any:
        async with self.transaction() as connection:
            return await connection.fetchrow(query, *values)

    @contextlib.asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except _UNREACHABLE as error:
            raise UnavailableError("PostgreSQL", self.address, _reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return "the connection is cut"  # its own words are about its own objects
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextlib.contextmanager
def _limited(connection: Any, seconds: float) -> Iterator[None]:
    """Cut the connection should the block take longer: whatever it waits for ends with an error.

    asyncpg's own time limit asks the server to cancel and waits until it did, however long.
    """
    watch = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        yield
    finally:
        watch.cancel()


async def _nothing(_connection: Any) -> None:
    """To be reset: a transaction of ours leaves nothing behind."""


async def _teach_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + json.dumps(value).encode(),
        decoder=lambda data: json.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )
