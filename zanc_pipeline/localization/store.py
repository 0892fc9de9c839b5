"""The localization base through asyncpg: what the service asks of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.batching import Answer, Batcher, Item
from zanc_pipeline.localization.calls import (
    AMEND_COLUMNS,
    CALL_COLUMNS,
    Call,
    amendments,
    archived_month,
)
from zanc_pipeline.localization.limits import (
    DialQuestion,
    DialVerdict,
    Lease,
    decide,
    held_lease,
    limit_days,
    only,
    ranking_days,
)
from zanc_pipeline.localization.ranking import RankedPhone, Viewer, rank_phones
from zanc_pipeline.localization.rules import Rules

POOL_SIZE = 10
WAIT_FOR_CONNECTION_SECONDS = 3.0
STATEMENT_SECONDS = 15.0
GATHER_SECONDS = 0.004
"""So long do the calls of one connection wait for those of others."""

CALLS_PER_STATEMENT = 2000
MOST_WAITING_CALLS = 20_000
"""Calls of one process that wait to be written; half of them at most are one CRM's."""

MOST_WAITING_QUESTIONS = 5000

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
    asyncpg.CheckViolationError,  # the month of a call got its partition at this moment
)


class Overloaded(UnavailableError):
    """More waits already than can be served soon; ``by_caller`` when it is all one CRM's."""

    def __init__(self, what: str, *, by_caller: bool) -> None:
        super().__init__("localization", what, "too much waits already")
        self.by_caller = by_caller


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer to a DialQuestion; ``lease`` when a phone was reserved."""

    verdicts: Sequence[DialVerdict]
    lease: Lease | None = None


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
        self._viewers = _viewers(settings)
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self.waiting: Counter[str] = Counter()
        """Calls that wait to be written, by CRM."""
        self._questions = 0
        self._writes = Batcher(
            self._record,
            most=CALLS_PER_STATEMENT,
            flights=2,
            linger=GATHER_SECONDS,
            weight=lambda item: len(item[1]),
        )
        self._lookups = Batcher(self._rank, most=200, flights=2)
        self._checks = Batcher(self._check, most=200, flights=2)
        self._reservations = Batcher(self._reserve, most=100, flights=1)

    async def record(self, crm: str, calls: Sequence[Call]) -> tuple[int, int]:
        """Append calls of ``crm``: (accepted, duplicates). Durable when it returns.

        Raises Overloaded when too many wait already, DataError for a new call of an archived month.
        """
        if not calls:
            return 0, 0
        if self.waiting[crm] and self.waiting[crm] + len(calls) > MOST_WAITING_CALLS // 2:
            raise Overloaded("calls", by_caller=True)
        if self.waiting.total() + len(calls) > MOST_WAITING_CALLS:
            raise Overloaded("calls", by_caller=False)
        self.waiting[crm] += len(calls)
        try:
            accepted = await self._writes.ask((crm, calls))
        finally:
            self.waiting[crm] -= len(calls)
        return accepted, len(calls) - accepted

    async def rank(self, crm: str, cpf: str) -> list[RankedPhone]:
        """The known phones of a person, best first, as ``crm`` may see them."""
        return await self._asked(self._lookups, (crm, cpf))

    async def check(self, crm: str, question: DialQuestion) -> Decision:
        """For each phone, whether ``crm`` may dial it for this person now; reserves when asked.

        What two callers ask at once is decided as if one had come first, over all processes.
        """
        batcher = self._checks if question.lease_seconds is None else self._reservations
        return await self._asked(batcher, (crm, question))

    async def release(self, crm: str, leases: Sequence[UUID]) -> list[bool]:
        """End leases of ``crm``; of each, whether it still lived."""
        async with self._connection() as connection:
            rows = await _fetch(connection, queries.RELEASE, {"ids": leases, "crm": crm})
        lived = {row["id"] for row in rows if row["live"]}
        return [lease in lived for lease in leases]

    async def tokens(self) -> list[Mapping[str, Any]]:
        """The rows of ``localization.token``."""
        async with self._connection() as connection:
            rows: list[Mapping[str, Any]] = await connection.fetch(
                "SELECT sha256, crm, may, expires_at, revoked_at FROM localization.token"
            )
        return rows

    async def audit(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows to ``localization.audit``."""
        async with self._connection() as connection:
            await connection.copy_records_to_table(
                "audit", schema_name="localization", records=rows
            )

    async def tend(self) -> None:
        """Make the partitions of this month and the next; drop what need not be kept."""
        now = datetime.now(UTC)
        days = [now.date() + timedelta(days=offset) for offset in (-1, 0, 20, 31)]
        async with self._connection() as connection:
            await _fetch(connection, queries.ENSURE_MONTHS, {"days": days})
            oldest = now - timedelta(days=self._rules.audit_days)
            await _fetch(connection, queries.PURGE, {"audit_before": oldest})

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

    async def _asked(self, batcher: Batcher[Item, Answer], item: Item) -> Answer:
        if self._questions >= MOST_WAITING_QUESTIONS:
            raise Overloaded("questions", by_caller=False)
        self._questions += 1
        try:
            return await batcher.ask(item)
        finally:
            self._questions -= 1

    async def _record(self, batch: Sequence[tuple[str, Sequence[Call]]]) -> list[int]:
        columns: dict[str, list[Any]] = {
            name: [getattr(call, name) for _, calls in batch for call in calls]
            for name in CALL_COLUMNS
        }
        columns["crm"] = [crm for crm, calls in batch for _ in calls]
        ends, total = [], 0
        for _, calls in batch:
            total += len(calls)
            ends.append(total)
        async with self._connection() as connection, connection.transaction():
            [row] = await _fetch(connection, queries.RECORD, columns)
            if row["late"]:
                raise archived_month(min(row["late"]))
            if row["recount_cpfs"]:
                pairs = {"cpfs": row["recount_cpfs"], "phones": row["recount_phones"]}
                await _fetch(connection, queries.RECOUNT_MISSES, pairs)
            accepted = sorted(row["accepted"] or ())
            late = amendments([call for _, calls in batch for call in calls], accepted)
            if late:
                amended = {name: [columns[name][place] for place in late] for name in AMEND_COLUMNS}
                await _fetch(connection, queries.AMEND, amended)
        counts, start = [], 0
        for end in ends:
            place = start
            while place < len(accepted) and accepted[place] < end:
                place += 1
            counts.append(place - start)
            start = place
        return counts

    async def _rank(self, batch: Sequence[tuple[str, str]]) -> list[list[RankedPhone]]:
        now = datetime.now(UTC)
        parameters = {
            "cpfs": [cpf for _, cpf in batch],
            "crms": [crm for crm, _ in batch],
            **ranking_days(now),
        }
        async with self._connection() as connection:
            rows = await _fetch(connection, queries.PHONES_OF, parameters)
        found: list[list[Mapping[str, Any]]] = [[] for _ in batch]
        for row in rows:
            found[row["position"] - 1].append(row)
        return [
            rank_phones(mine, now=now, rules=self._rules, viewer=self._viewers[crm])
            for (crm, _), mine in zip(batch, found, strict=True)
        ]

    async def _check(self, batch: Sequence[tuple[str, DialQuestion]]) -> list[Decision]:
        now = datetime.now(UTC)
        async with self._connection() as connection:
            facts = await _dial_facts(connection, batch, now)
        limits = self._rules.limits
        return [
            Decision(verdicts=decide(mine, now=now, limits=limits, agreed=question.agreed))
            for (_, question), mine in zip(batch, facts, strict=True)
        ]

    async def _reserve(self, batch: Sequence[tuple[str, DialQuestion]]) -> list[Decision]:
        people = sorted({question.cpf for _, question in batch})
        phones = sorted({phone for _, question in batch for phone in question.phones})
        async with self._connection() as connection, connection.transaction():
            names = {
                name
                for _, question in batch
                for phone in question.phones
                for name in _names(question.cpf, phone)
            }
            await _fetch(connection, queries.LOCK, {"names": list(names)})
            gone = {"cpfs": people, "phones": phones}
            await _fetch(connection, queries.DROP_EXPIRED_LEASES, gone)
            now = datetime.now(UTC)
            facts = await _dial_facts(connection, batch, now)
            plans = _plan(batch, facts, now, self._rules)
            leases = await _insert_leases(connection, batch, plans)
        return [
            Decision(
                verdicts=plan.verdicts if lease is None else only(plan.verdicts, lease.phone),
                lease=lease,
            )
            for plan, lease in zip(plans, leases, strict=True)
        ]

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
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._target,
                    min_size=0,
                    max_size=POOL_SIZE,
                    timeout=WAIT_FOR_CONNECTION_SECONDS,
                    command_timeout=STATEMENT_SECONDS,
                    server_settings={
                        "application_name": "zanc localization service",
                        # A plan for every partition costs more than the questions themselves.
                        "plan_cache_mode": "force_generic_plan",
                    },
                )
        return self._pool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    verdicts: Sequence[DialVerdict]
    phone: str | None = None
    held: Lease | None = None


def _plan(
    batch: Sequence[tuple[str, DialQuestion]],
    facts: Sequence[Sequence[Mapping[str, Any]]],
    now: datetime,
    rules: Rules,
) -> list[_Plan]:
    """What each question gets, the earlier ones of the batch first."""
    plans, taken = [], set[str]()
    for (crm, question), mine in zip(batch, facts, strict=True):
        held = held_lease(crm, question, mine)
        if held is not None:
            verdicts = decide(mine, now=now, limits=rules.limits, agreed=question.agreed)
            plans.append(_Plan(verdicts=verdicts, held=held))
            continue
        rows = [
            {**row, "lease_ids": row["lease_ids"] or taken & _names(row["cpf"], row["phone"])}
            for row in mine
        ]
        verdicts = decide(rows, now=now, limits=rules.limits, agreed=question.agreed)
        phone = next((verdict.phone for verdict in verdicts if verdict.dial), None)
        if phone is not None:
            taken |= _names(question.cpf, phone)
        plans.append(_Plan(verdicts=verdicts, phone=phone))
    return plans


def _names(cpf: str, phone: str) -> set[str]:
    """A CPF and a mobile may be the same digits."""
    return {f"person {cpf}", f"phone {phone}"}


async def _insert_leases(
    connection: Any, batch: Sequence[tuple[str, DialQuestion]], plans: Sequence[_Plan]
) -> list[Lease | None]:
    leases: list[Lease | None] = [plan.held for plan in plans]
    for crm in sorted({crm for crm, _ in batch}):
        places = [
            place
            for place, (plan, (asker, _)) in enumerate(zip(plans, batch, strict=True))
            if asker == crm and plan.phone is not None
        ]
        if not places:
            continue
        questions = [batch[place][1] for place in places]
        rows = await _fetch(
            connection,
            queries.RESERVE,
            {
                "crm": crm,
                "cpfs": [question.cpf for question in questions],
                "phones": [plans[place].phone for place in places],
                "references": [question.reference for question in questions],
                "seconds": [question.lease_seconds for question in questions],
            },
        )
        made = {
            row["phone"]: Lease(id=str(row["id"]), phone=row["phone"], expires_at=row["expires_at"])
            for row in rows
        }
        for place in places:
            leases[place] = made[str(plans[place].phone)]
    return leases


async def _dial_facts(
    connection: Any, batch: Sequence[tuple[str, DialQuestion]], now: datetime
) -> list[list[Mapping[str, Any]]]:
    """The rows of ``queries.DIAL_FACTS`` of each question."""
    asked = [(question.cpf, phone) for _, question in batch for phone in question.phones]
    parameters = {
        "cpfs": [cpf for cpf, _ in asked],
        "phones": [phone for _, phone in asked],
        **limit_days(now),
    }
    rows = iter(await _fetch(connection, queries.DIAL_FACTS, parameters))
    return [[next(rows) for _ in question.phones] for _, question in batch]


def _viewers(settings: Settings) -> dict[str, Viewer]:
    """Each CRM sees its own name and those of its creditors."""
    crms = frozenset(settings.crms)
    return {
        crm: Viewer(
            crms=crms,
            sources={crm}
            | {name for name, convenio in settings.convenios.items() if convenio.get("crm") == crm},
        )
        for crm in crms
    }


async def _fetch(
    connection: Any, query: str, parameters: Mapping[str, object]
) -> list[Mapping[str, Any]]:
    text, names = queries.positional(query)
    rows: list[Mapping[str, Any]] = await connection.fetch(
        text, *(parameters[name] for name in names)
    )
    return rows
