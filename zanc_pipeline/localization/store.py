"""The localization base through asyncpg: what the service asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.calls import CALL_COLUMNS, Call
from zanc_pipeline.localization.limits import DialVerdict, decide, start_of_day
from zanc_pipeline.localization.ranking import RankedPhone, rank_phones
from zanc_pipeline.localization.rules import Rules

POOL_SIZE = 10
WAIT_FOR_CONNECTION_SECONDS = 3.0
STATEMENT_SECONDS = 15.0

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the rollback of a statement that the server's death cut off
    asyncpg.OperatorInterventionError,  # it starts, stops, or cancelled the statement
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # one of two that collided
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,  # the stack has not prepared the database yet
)


class Store:
    """A pool of connections, made on demand: the service starts and waits without PostgreSQL.

    Every method raises UnavailableError while PostgreSQL is away; a repeated call is harmless.
    """

    def __init__(self, settings: Settings, rules: Rules) -> None:
        target = settings.postgres.target("zanc")
        target["database"] = target.pop("dbname")
        self._target = target
        self._address = f"{target['host']}:{target['port']}/zanc"
        self._rules = rules
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def record(self, crm: str, calls: Sequence[Call]) -> tuple[int, int]:
        """Append calls of ``crm``: (accepted, duplicates). Durable when it returns."""
        if not calls:
            return 0, 0
        values = {name: [getattr(call, name) for call in calls] for name in CALL_COLUMNS}
        async with self._connection() as connection, connection.transaction():
            row = await _fetch(connection, queries.RECORD_ARRAYS, {"crm": crm, **values})
            found = row[0]
            if found["recount_cpfs"]:
                await _fetch(
                    connection,
                    queries.RECOUNT_MISSES,
                    {"cpfs": found["recount_cpfs"], "phones": found["recount_phones"]},
                )
        accepted = int(found["accepted"])
        return accepted, len(calls) - accepted

    async def rank(self, cpf: str) -> list[RankedPhone]:
        """The known phones of a person, best first."""
        async with self._connection() as connection:
            rows = await _fetch(connection, queries.PHONES_OF, {"cpf": cpf})
        return rank_phones(rows, now=datetime.now(UTC), rules=self._rules)

    async def dial_check(self, cpf: str, phones: Sequence[str]) -> list[DialVerdict]:
        """For each phone, whether it may be dialled for this person now."""
        now = datetime.now(UTC)
        parameters = {"cpf": cpf, "phones": list(phones), "today": start_of_day(now)}
        async with self._connection() as connection:
            facts = await _fetch(connection, queries.DIAL_FACTS, parameters)
        return decide(facts, now=now, limits=self._rules.limits)

    async def ping(self) -> None:
        """Ask for the schema: healthy means that requests would be answered."""
        async with self._connection() as connection:
            await connection.fetch("SELECT 1 FROM localization.person_phone LIMIT 1")

    async def close(self) -> None:
        """Close the connections; bounded in time."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            pool = await self._open()
            async with pool.acquire(timeout=WAIT_FOR_CONNECTION_SECONDS) as connection:
                yield connection
        except _AWAY as error:
            why = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise UnavailableError("PostgreSQL", self._address, why[0]) from None

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._target,
                    min_size=0,
                    max_size=POOL_SIZE,
                    timeout=WAIT_FOR_CONNECTION_SECONDS,
                    command_timeout=STATEMENT_SECONDS,
                    server_settings={"application_name": "zanc localization service"},
                )
        return self._pool


async def _fetch(
    connection: Any, query: str, parameters: Mapping[str, object]
) -> list[Mapping[str, Any]]:
    text, names = queries.positional(query)
    rows: list[Mapping[str, Any]] = await connection.fetch(
        text, *(parameters[name] for name in names)
    )
    return rows
