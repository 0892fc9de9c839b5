"""The dialer's own database: real-time state, apart from the business."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import asyncpg

from dialer import queries, rule_queries
from dialer.attempt import Attempt, State
from dialer.budget import Past
from dialer.hopper import Hopper
from dialer.mailing import MailingLead
from dialer.rules import Agreed, CallNext, Finished, PastAttempt
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConflictError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.common.settings import Settings

DATABASE = "dialer"
COMMAND_SECONDS = 10.0
LEADS_AT_ONCE = 500
"""A mailing may hold hundreds of thousands: who answers another campaign's call must not wait."""
ASKED_IN_CALL = "pediu na ligação"
"""Why somebody whom an operator tabulates so is not called again."""

OperatorState = Literal["offline", "paused", "preview", "idle", "reserved", "talking", "wrapup"]

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # its own words for a connection that broke in mid-question
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@dataclass(frozen=True, kw_only=True)
class CampaignRow:
    """A campaign as recorded.

    ``settings`` is the ``discador`` section as submitted, ``changes`` what was changed of it since.
    """

    id: str
    name: str
    settings: dict[str, Any]
    changes: dict[str, Any]
    mailing: str
    sha256: str
    status: str
    reason: str | None
    why: str | None
    submitted_at: datetime
    finished_at: datetime | None

    @property
    def goes_on(self) -> bool:
        """Whether it is not over."""
        return self.status in ("running", "paused", "stopping")

    @property
    def section(self) -> dict[str, Any]:
        """The ``discador`` section as it holds now."""
        return {**self.settings, **self.changes}


@dataclass(frozen=True, kw_only=True)
class Lead:
    """One person of a campaign."""

    id: int
    campaign_id: str
    cpf: str
    name: str
    crm: str
    convenio: str
    contract: str
    amount: Decimal
    phones: tuple[str, ...]
    refused: dict[str, str] = field(default_factory=dict)
    segment: str = ""
    hours: tuple[tuple[int, ...], ...] = ()
    """Of each phone the best hours, best first; or nothing."""
    agreed: Agreed | None = None


@dataclass(frozen=True, kw_only=True)
class OpenAttempt:
    """An attempt that is not closed: it lives, or ended and waits for its tabulation."""

    attempt: Attempt
    lead: Lead
    phone: str
    caller_id: str
    pbx: str
    trunk: str


@dataclass(frozen=True, kw_only=True)
class OperatorChange:
    """The next state of an operator; ``campaign_id`` is where the time until now was spent.

    ``reason`` is that of a pause.
    """

    id: str
    state: OperatorState
    attempt_id: str | None
    at: datetime
    campaign_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator as recorded."""

    id: str
    name: str
    state: OperatorState
    reason: str | None
    attempt_id: str | None
    since: datetime
    campaign: str | None = None


LeadUpdate = CallNext | Finished


class Store:
    """Access to the ``dialer`` database.

    Every method raises UnavailableError when the server does not answer; each is one transaction,
    so that the caller may simply try again.
    """

    def __init__(self, settings: Settings) -> None:
        target = settings.postgres.target(DATABASE)
        self._target = {
            **{name: target[name] for name in ("host", "port", "user", "password")},
            "database": target["dbname"],
        }
        self.address = f"{target['host']}:{target['port']}/{DATABASE}"
        self._pool: Any = None
        self._lock_holder: Any = None
        self._hoppers: dict[str, Hopper] = {}

    async def take_over(self) -> bool:
        """Become the one engine of this database; False while another process is.

        Cheap when we already are; to be asked before every round.
        """
        async with self._errors():
            if self._lock_holder is not None and not self._lock_holder.is_closed():
                return True
            connection = await asyncpg.connect(
                **self._target, timeout=5, server_settings={"application_name": "zanc dialer lock"}
            )
            if await connection.fetchval(queries.TAKE_OVER):
                self._lock_holder = connection
                return True
            await connection.close()
            return False

    async def close(self) -> None:
        """Close all connections; the lock is free afterwards."""
        with contextlib.suppress(*_UNREACHABLE):
            if self._pool is not None:
                await self._pool.close()
            if self._lock_holder is not None:
                await self._lock_holder.close()

    # ---- campaigns and leads

    async def add_campaign(
        self,
        campaign_id: str,
        *,
        name: str,
        settings: Mapping[str, Any],
        mailing: str,
        sha256: str,
        leads: Sequence[MailingLead],
    ) -> bool:
        """Record a campaign and all its leads at once; False when the id is already recorded."""
        async with self._transaction() as connection:
            added = await connection.fetchval(
                queries.INSERT_CAMPAIGN, campaign_id, name, dict(settings), mailing, sha256
            )
            if added is None:
                return False
            for start in range(0, len(leads), LEADS_AT_ONCE):
                await connection.copy_records_to_table(
                    "lead",
                    columns=["campaign_id", "rank", "cpf", "name", "crm", "convenio", "contract",
                             "amount", "phones", "refused", "segment", "hours", "best_hours"],
                    records=[
                        (campaign_id, lead.rank, lead.cpf, lead.name, lead.crm, lead.convenio,
                         lead.contract, lead.amount, list(lead.phones), lead.refused,
                         lead.segment, lead.hours, _first_hours(lead))
                        for lead in leads[start : start + LEADS_AT_ONCE]
                    ],
                )  # fmt: skip
                await asyncio.sleep(0)  # calls go on meanwhile
            return True

    async def campaign(self, campaign_id: str) -> CampaignRow | None:
        """One campaign, None when there is none of that id."""
        row = await self._fetchrow(queries.CAMPAIGN, campaign_id)
        return None if row is None else _campaign(row)

    async def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return [_campaign(row) for row in await self._fetch(queries.CAMPAIGNS)]

    async def set_campaign_status(
        self,
        campaign_id: str,
        status: str,
        reason: str | None,
        *,
        idle_until: datetime | None = None,
        why: str | None = None,
    ) -> None:
        """Change a campaign's status; ``why`` is the pacer's last decision.

        With ``idle_until`` the idle time of the operators until then is booked on it.
        """
        async with self._transaction() as connection:
            await connection.execute(queries.SET_CAMPAIGN_STATUS, campaign_id, status, reason, why)
            if idle_until is not None:
                await connection.execute(queries.BOOK_IDLE, campaign_id, idle_until)
        if status in ("finished", "failed"):
            self._hoppers.pop(campaign_id, None)

    async def claim_lead(
        self, campaign_id: str, now: datetime, *, kept: bool = False
    ) -> tuple[Lead, list[PastAttempt]] | None:
        """Claim the best lead that is due, with its past attempts; None when none is due.

        ``kept`` chooses between those for whom an operator is kept and all others; of these come
        first those whose best hour is now, last those whose best hour is still to come.
        """
        if kept:
            return await self._claim(queries.CLAIM_KEPT_LEAD, campaign_id, now)

        async def look(now: datetime, hour: int, most: int) -> list[int]:
            found = await self._fetch(queries.DUE_LEADS, campaign_id, now, hour, most)
            return [row["id"] for row in found]

        hopper = self._hoppers.setdefault(campaign_id, Hopper())
        hour = now.astimezone(LOCAL).hour
        while (lead_id := await hopper.next(now, hour, look)) is not None:
            claimed = await self._claim(queries.CLAIM_LEAD, lead_id, now)
            if claimed is not None:
                return claimed
        return None

    async def _claim(self, query: str, *values: object) -> tuple[Lead, list[PastAttempt]] | None:
        async with self._transaction() as connection:
            row = await connection.fetchrow(query, *values)
            return None if row is None else (_lead(row), await _history(connection, row["id"]))

    async def end_waiting(self, campaign_id: str, reason: str, most: int) -> int:
        """End at most so many of a campaign's waiting leads; how many were ended."""
        async with self._transaction() as connection:
            done: str = await connection.execute(
                queries.END_WAITING_LEADS, campaign_id, reason, most
            )
            return int(done.rpartition(" ")[2])

    async def leads_left(self, campaign_id: str) -> tuple[bool, bool]:
        """Whether anybody of a campaign is to be called or in a call; whether it has anybody."""
        row = await self._fetchrow(queries.LEADS_LEFT, campaign_id)
        return row["unfinished"], row["people"]

    async def history(self, lead_id: int) -> list[PastAttempt]:
        """The attempts of a lead that ended, first to last."""
        async with self._transaction() as connection:
            return await _history(connection, lead_id)

    async def update_lead(
        self, lead_id: int, update: LeadUpdate, refused: Mapping[str, str] | None = None
    ) -> None:
        """Put a lead back among the waiting or end it; ``refused`` adds phones not to dial."""
        async with self._transaction() as connection:
            await _update_lead(connection, lead_id, update, refused or {})

    async def stranded_leads(self) -> list[Lead]:
        """Active leads that no open attempt holds."""
        return [_lead(row) for row in await self._fetch(queries.STRANDED_LEADS)]

    # ---- attempts

    async def begin_attempt(
        self,
        attempt: Attempt,
        *,
        lead_id: int,
        phone: str,
        pbx: str,
        trunk: str,
        operator: OperatorChange | None,
        caller_id: str,
        evidence: Mapping[str, Any],
        record: bool,
    ) -> bool:
        """Record an attempt and keep its operator, if it has one, before anything is dialled.

        ``evidence`` says by which rules and figures the call is allowed. False when the lead was
        withdrawn meanwhile. Raises ConflictError when it has an open attempt already.
        """
        try:
            async with self._transaction() as connection:
                added = await connection.fetchval(
                    queries.INSERT_ATTEMPT,
                    attempt.id, lead_id, phone, pbx, attempt.operator, attempt.created_at, trunk,
                    caller_id, dict(evidence), f"{attempt.id}.wav" if record else None,
                )  # fmt: skip
                if added is not None and operator is not None:
                    await _set_operator(connection, operator)
                return added is not None
        except asyncpg.UniqueViolationError as error:
            raise ConflictError(f"lead {lead_id} is already being called: {error}") from None

    async def save_attempt(
        self,
        attempt: Attempt,
        *,
        close: bool = False,
        lead_id: int | None = None,
        lead: LeadUpdate | None = None,
        operator: OperatorChange | None = None,
        short: bool = False,
    ) -> None:
        """Record an attempt as it stands and what follows for its lead and its operator.

        ``short`` says of one that is closed that Anatel takes it for a short call.
        """
        async with self._transaction() as connection:
            await connection.execute(queries.UPDATE_ATTEMPT, *_values(attempt))
            if close:
                await connection.execute(queries.CLOSE_ATTEMPT, attempt.id, int(short))
                await connection.execute(rule_queries.RECORD_CALLBACK, attempt.id)
            if lead_id is not None and lead is not None:
                await _update_lead(connection, lead_id, lead, {})
            if operator is not None:
                await _set_operator(connection, operator)

    async def save_together(
        self, attempts: Sequence[Attempt], operators: Sequence[OperatorChange]
    ) -> None:
        """Record attempts as they stand, and changes of operators in this order, all or nothing."""
        async with self._transaction() as connection:
            if attempts:
                await connection.executemany(queries.UPDATE_ATTEMPT, map(_values, attempts))
            for change in operators:
                await _set_operator(connection, change)

    async def open_attempts(self) -> list[OpenAttempt]:
        """Every attempt that is not closed."""
        rows = await self._fetch(queries.OPEN_ATTEMPTS)
        return [
            OpenAttempt(
                attempt=_attempt(row),
                lead=_lead(row["lead"]),
                phone=row["phone"],
                caller_id=row["caller_id"],
                pbx=row["pbx"],
                trunk=row["trunk"],
            )
            for row in rows
        ]

    async def ended_of(self, attempts: Sequence[str]) -> list[str]:
        """Those of ``attempts`` that are ours and have ended."""
        return [row["id"] for row in await self._fetch(queries.ENDED_OF, list(attempts))]

    async def closed_attempts(
        self, campaign_id: str, after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Closed attempts of a campaign in the order of closing.

        ``after`` is the closing number, or the id, of the last one that was read already.
        """
        number = None if after is None or len(after) > 18 else int(after)
        return [
            dict(row)
            for row in await self._fetch(queries.CLOSED_ATTEMPTS, campaign_id, after, limit, number)
        ]

    async def tabulate_late(self, attempt: Attempt) -> tuple[Lead, str] | None:
        """Record the tabulation of a call that was closed without one.

        Its lead and phone, or None when there is no such call of that operator.
        """
        async with self._transaction() as connection:
            row = await connection.fetchrow(
                queries.TABULATE_LATE,
                attempt.id, attempt.operator, attempt.tabulation,
                attempt.promise_date, attempt.promise_amount, attempt.callback_at,
            )  # fmt: skip
            if row is None:
                return None
            await connection.execute(rule_queries.RECORD_CALLBACK, attempt.id)
            lead = await connection.fetchrow("SELECT * FROM lead WHERE id = $1", row["lead_id"])
            if attempt.tabulation is Tabulation.DO_NOT_CALL:
                # With it, for whoever sends it again is told that it is recorded.
                await _add_opt_out(
                    connection, lead["cpf"], row["phone"],
                    who=attempt.operator or "?", reason=ASKED_IN_CALL,
                )  # fmt: skip
            return _lead(lead), row["phone"]

    # ---- rules

    async def calling_days(self, since: date) -> list[tuple[date, str, int, int]]:
        """By day and caller id since a day: calls that left, and the short ones among them."""
        rows = await self._fetch(rule_queries.CALLING_DAYS, since)
        return [(row["day"], row["caller_id"], row["calls"], row["short"]) for row in rows]

    async def opt_outs(self) -> list[tuple[str | None, str | None]]:
        """The people and phones that are never called again."""
        rows = await self._fetch(rule_queries.OPT_OUTS)
        return [(row["cpf"], row["phone"]) for row in rows]

    async def add_opt_out(
        self, cpf: str | None, phone: str | None, *, who: str, reason: str
    ) -> None:
        """Record one, with the audit of it; again does nothing."""
        async with self._transaction() as connection:
            await _add_opt_out(connection, cpf, phone, who=who, reason=reason)

    async def forget_recordings(self, names: Sequence[str]) -> None:
        """These files are gone."""
        if names:
            async with self._transaction() as connection:
                ids = [name.removesuffix(".wav") for name in names]
                await connection.execute(rule_queries.FORGET_RECORDINGS, ids)

    async def held_leads(self, campaign_id: str, hour: int) -> tuple[int, int] | None:
        """How many people wait for a later hour than ``hour``, and the next of these hours."""
        row = await self._fetchrow(rule_queries.HELD_LEADS, campaign_id, hour)
        return (row["people"], row["hour"]) if row["people"] else None

    # ---- pacing

    async def past_people(self, name: str, day: date) -> Past:
        """People of the campaigns ``name`` who answered and were abandoned, for the pacer."""
        return Past(**dict(await self._fetchrow(queries.DAYS, name, day)))

    async def answer_rates(self, name: str, day: date) -> dict[tuple[int, str], tuple[int, int]]:
        """By hour and segment, over 30 days: lines opened, lines that a person answered."""
        rows = await self._fetch(queries.ANSWER_RATES, name, day)
        return {(row["hour"], row["segment"]): (row["lines"], row["answered"]) for row in rows}

    # ---- orders

    async def change_settings(
        self, campaign_id: str, changes: Mapping[str, Any], who: str, before: Mapping[str, Any]
    ) -> None:
        """Change a campaign's settings, with the audit of it."""
        async with self._transaction() as connection:
            await connection.execute(queries.CHANGE_SETTINGS, campaign_id, dict(changes))
            await connection.execute(
                queries.INSERT_AUDIT,
                who, "settings", campaign_id, {"before": dict(before), "after": dict(changes)},
            )  # fmt: skip

    async def withdraw(
        self,
        contracts: Sequence[tuple[str, str]],
        people: Sequence[str],
        *,
        reason: str,
        who: str,
    ) -> tuple[list[int], list[int]]:
        """Take leads out of all campaigns: those ended now, and those that are in a call."""
        values = (
            reason,
            [convenio for convenio, _ in contracts],
            [contract for _, contract in contracts],
            list(people),
        )
        async with self._transaction() as connection:
            ended = await connection.fetch(queries.WITHDRAW_WAITING, *values)
            await connection.execute(rule_queries.DROP_CALLBACKS, *values)
            active = await connection.fetch(queries.WITHDRAW_ACTIVE, *values)
            if ended or active:
                await connection.execute(
                    queries.INSERT_AUDIT, who, "withdraw", "leads",
                    {"reason": reason, "ended": len(ended), "in_call": len(active)},
                )  # fmt: skip
            return [row["id"] for row in ended], [row["id"] for row in active]

    async def note(
        self, who: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Record who did what to a campaign or an operator."""
        async with self._transaction() as connection:
            await connection.execute(queries.INSERT_AUDIT, who, action, subject, dict(detail or {}))

    async def audit(self, after: int, subject: str | None, limit: int) -> list[dict[str, Any]]:
        """What was changed and by whom, oldest first, after the entry ``after``."""
        return [dict(row) for row in await self._fetch(queries.AUDIT, after, subject, limit)]

    # ---- operators

    async def operators(self) -> list[OperatorRow]:
        """All operators."""
        return [OperatorRow(**dict(row)) for row in await self._fetch(queries.OPERATORS)]

    async def set_operator(self, change: OperatorChange, *, add: bool = False) -> None:
        """Record an operator's new state; with ``add`` an unknown operator is added first."""
        async with self._transaction() as connection:
            if add:
                await connection.execute(queries.ADD_OPERATOR, change.id)
            await _set_operator(connection, change)

    async def set_operator_campaign(self, operator: str, campaign: str | None) -> None:
        """Record the only campaign that an operator works for; None is all of them."""
        async with self._transaction() as connection:
            await connection.execute(queries.SET_OPERATOR_CAMPAIGN, operator, campaign)

    # ---- outbox

    async def outbox(self, limit: int, without: Sequence[str]) -> list[dict[str, Any]]:
        """Closed, placed attempts that localization has not confirmed, oldest first."""
        return [dict(row) for row in await self._fetch(queries.OUTBOX, limit, list(without))]

    async def mark_exported(self, attempts: Sequence[tuple[str, int]]) -> None:
        """Localization confirmed that these, as they were closed then, are durable.

        One that was tabulated meanwhile has another closing number: it is sent once more.
        """
        async with self._transaction() as connection:
            await connection.execute(
                queries.MARK_EXPORTED,
                [attempt_id for attempt_id, _ in attempts],
                [closed for _, closed in attempts],
            )

    async def mark_refused(self, attempt_id: str, closed_number: int, reason: str) -> None:
        """Localization will never take this one, as it was closed then."""
        async with self._transaction() as connection:
            await connection.execute(queries.MARK_REFUSED, attempt_id, reason, closed_number)

    async def ping(self) -> None:
        """Ask the database for nothing: does it answer?"""
        await self._fetchrow("SELECT 1")

    async def count_outbox(self) -> dict[str, int]:
        """Calls not yet, and never, taken by localization."""
        return dict(await self._fetchrow(queries.COUNT_OUTBOX))

    # ---- figures

    async def figures(self, campaign: CampaignRow) -> dict[str, Any]:
        """What a supervisor sees of a campaign: counts, shares and means."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(queries.CAMPAIGN_FIGURES, campaign.id)
            attempts = await connection.fetch(queries.COUNT_ATTEMPTS, campaign.id)
            tabulations = await connection.fetch(queries.COUNT_TABULATIONS, campaign.id)
            leads = await connection.fetch(queries.COUNT_LEADS, campaign.id)
            occupancy = None
            if row["first_attempt_at"] is not None:
                until = campaign.finished_at or datetime.now(UTC)
                occupancy = await connection.fetchval(
                    queries.OCCUPANCY, row["first_attempt_at"], until
                )
        people = row["connected"] + row["abandoned"]
        return {
            "leads": {
                status: sum(one["n"] for one in leads if one["status"] == status)
                for status in ("waiting", "active", "ended")
            },
            "ended_because": {one["end_reason"]: one["n"] for one in leads if one["end_reason"]},
            "attempts": {one["outcome"]: one["n"] for one in attempts},
            "tabulations": {one["tabulation"]: one["n"] for one in tabulations},
            "abandoned_share": row["abandoned"] / people if people else 0.0,
            "mean_wait_seconds": row["mean_wait_seconds"],
            "mean_talk_seconds": row["mean_talk_seconds"],
            "occupancy": occupancy,
            "first_ring_at": row["first_ring_at"],
        }  # fmt: skip

    # ---- plumbing

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside one transaction, for queries of other modules."""
        async with self._transaction() as connection:
            yield connection

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        async with self._transaction() as connection:
            rows: list[Any] = await connection.fetch(query, *values)
            return rows

    async def _fetchrow(self, query: str, *values: object) -> Any:
        async with self._transaction() as connection:
            return await connection.fetchrow(query, *values)

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async with self._errors():
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._target,
                    min_size=0,  # else the pool itself logs again and again that PostgreSQL is away
                    max_size=6,
                    timeout=5,
                    command_timeout=COMMAND_SECONDS,
                    init=_teach_json,
                    server_settings={"application_name": "zanc dialer"},
                )
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection

    @contextlib.asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except _UNREACHABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UnavailableError("PostgreSQL", self.address, reason) from error


async def _teach_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + json.dumps(value).encode(),
        decoder=lambda data: json.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )


async def _history(connection: Any, lead_id: int) -> list[PastAttempt]:
    return [
        PastAttempt(
            phone=row["phone"],
            outcome=Outcome(row["outcome"]),
            ended_at=row["ended_at"],
            placed=row["placed"],
            tabulation=row["tabulation"] and Tabulation(row["tabulation"]),
            callback_at=row["callback_at"],
            operator=row["operator"],
        )
        for row in await connection.fetch(queries.PAST_ATTEMPTS, lead_id)
    ]


async def _update_lead(
    connection: Any, lead_id: int, update: LeadUpdate, refused: Mapping[str, str]
) -> None:
    if isinstance(update, Finished):
        values: tuple[object, ...] = (
            "ended", None, None, update.reason, dict(refused), False, None,
        )  # fmt: skip
    else:
        values = (
            "waiting", update.index, update.not_before, None, dict(refused), update.kept,
            list(update.hours) or None,
        )  # fmt: skip
    await connection.execute(queries.UPDATE_LEAD, lead_id, *values)


def _values(attempt: Attempt) -> tuple[object, ...]:
    """Of ``queries.UPDATE_ATTEMPT``."""
    return (
        attempt.id, attempt.state.value, attempt.placed, attempt.operator,
        attempt.ringing_at, attempt.answered_at, attempt.detected_at,
        attempt.connected_at, attempt.ended_at, attempt.hangup_cause,
        attempt.outcome and attempt.outcome.value,
        attempt.tabulation and attempt.tabulation.value,
        attempt.promise_date, attempt.promise_amount, attempt.callback_at,
        attempt.cancel_wanted,
    )  # fmt: skip


async def _set_operator(connection: Any, change: OperatorChange) -> None:
    await connection.execute(
        queries.SET_OPERATOR,
        change.id, change.state, change.attempt_id, change.campaign_id, change.at, change.reason,
    )  # fmt: skip


def _campaign(row: Any) -> CampaignRow:
    return CampaignRow(**dict(row))


def _lead(row: Any) -> Lead:
    return Lead(
        id=row["id"],
        campaign_id=row["campaign_id"],
        cpf=row["cpf"],
        name=row["name"],
        crm=row["crm"],
        convenio=row["convenio"],
        contract=row["contract"],
        amount=Decimal(str(row["amount"])),
        phones=tuple(row["phones"]),
        refused=dict(row["refused"]),
        segment=row["segment"],
        hours=tuple(tuple(listed) for listed in row["hours"]),
        agreed=row["agreed"] and _agreed(row["agreed"]),
    )


def _agreed(stored: Mapping[str, Any]) -> Agreed:
    return Agreed(
        at=datetime.fromisoformat(stored["at"]),
        phone=stored["phone"],
        operator=stored["operator"],
        since=datetime.fromisoformat(stored["since"]),
    )


async def _add_opt_out(
    connection: Any, cpf: str | None, phone: str | None, *, who: str, reason: str
) -> None:
    added = await connection.fetchval(rule_queries.INSERT_OPT_OUT, cpf, phone, who, reason)
    if added is not None:
        detail = {"reason": reason, "id": added}
        await connection.execute(queries.INSERT_AUDIT, who, "opt_out", "leads", detail)


def _first_hours(lead: MailingLead) -> list[int] | None:
    """The best hours of the first phone that may be called."""
    for phone, hours in zip(lead.phones, lead.hours, strict=False):
        if phone not in lead.refused:
            return list(hours) or None
    return None


def _attempt(row: Any) -> Attempt:
    state = State(row["state"])
    return Attempt(
        id=row["id"],
        created_at=row["created_at"],
        state=state,
        operator=row["operator"],
        placed=row["placed"],
        channel_seen=state is not State.DIALLING,
        # a person who was detected waits or talks; what was detected and only answered is a machine
        machine=state is State.ANSWERED and row["detected_at"] is not None,
        cancel_wanted=row["cancel_wanted"],
        ringing_at=row["ringing_at"],
        answered_at=row["answered_at"],
        detected_at=row["detected_at"],
        connected_at=row["connected_at"],
        ended_at=row["ended_at"],
        hangup_cause=row["hangup_cause"],
        outcome=row["outcome"] and Outcome(row["outcome"]),
        tabulation=row["tabulation"] and Tabulation(row["tabulation"]),
        promise_date=row["promise_date"],
        promise_amount=row["promise_amount"],
        callback_at=row["callback_at"],
    )
