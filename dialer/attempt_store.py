"""Attempts in the dialer's database, and what is counted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import asyncpg

from dialer import queries, rule_queries
from dialer.attempt import Attempt
from dialer.budget import Past
from dialer.lead_store import LeadStore, write_lead
from dialer.rows import (
    Lead,
    LeadUpdate,
    OpenAttempt,
    OperatorChange,
    attempt_of,
    lead_of,
    values_of,
)
from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.common.outcomes import Tabulation

ASKED_IN_CALL = "pediu na ligação"
"""Why somebody whom an operator tabulates so is not called again."""


class AttemptStore(LeadStore):
    """What is known of the calls."""

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
            async with self.transaction() as connection:
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

    async def close_attempt(
        self, attempt: Attempt, *, lead_id: int, lead: LeadUpdate, short: bool
    ) -> None:
        """Record the end of an attempt, for readers to see, and what follows for its lead.

        ``short`` says that Anatel takes it for a short call.
        """
        async with self.transaction() as connection:
            await connection.execute(queries.UPDATE_ATTEMPT, *values_of(attempt))
            await connection.execute(queries.CLOSE_ATTEMPT, attempt.id, int(short))
            await connection.execute(rule_queries.RECORD_CALLBACK, attempt.id)
            await write_lead(connection, lead_id, lead, {})

    async def save_together(
        self, attempts: Sequence[Attempt], operators: Sequence[OperatorChange]
    ) -> None:
        """Record attempts as they stand, and changes of operators in this order, all or nothing."""
        async with self.transaction() as connection:
            if attempts:
                await connection.executemany(queries.UPDATE_ATTEMPT, map(values_of, attempts))
            for change in operators:
                await _set_operator(connection, change)

    async def open_attempts(self) -> list[OpenAttempt]:
        """Every attempt that is not closed."""
        rows = await self._fetch(queries.OPEN_ATTEMPTS)
        return [
            OpenAttempt(
                attempt=attempt_of(row),
                lead=lead_of(row["lead"]),
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
        async with self.transaction() as connection:
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
                await write_opt_out(
                    connection, lead["cpf"], row["phone"],
                    who=attempt.operator or "?", reason=ASKED_IN_CALL,
                )  # fmt: skip
            return lead_of(lead), row["phone"]

    async def forget_recordings(self, names: Sequence[str]) -> None:
        """These files are gone."""
        if names:
            async with self.transaction() as connection:
                ids = [name.removesuffix(".wav") for name in names]
                await connection.execute(rule_queries.FORGET_RECORDINGS, ids)

    async def calling_days(self, since: date) -> list[tuple[date, str, int, int]]:
        """By day and caller id since a day: calls that left, and the short ones among them."""
        rows = await self._fetch(rule_queries.CALLING_DAYS, since)
        return [(row["day"], row["caller_id"], row["calls"], row["short"]) for row in rows]

    async def past_people(self, name: str, day: date) -> Past:
        """People of the campaigns ``name`` who answered and were abandoned, for the pacer."""
        return Past(**dict(await self._fetchrow(queries.DAYS, name, day)))

    async def answer_rates(self, name: str, day: date) -> dict[tuple[int, str], tuple[int, int]]:
        """By hour and segment, over 30 days: lines opened, lines that a person answered."""
        rows = await self._fetch(queries.ANSWER_RATES, name, day)
        return {(row["hour"], row["segment"]): (row["lines"], row["answered"]) for row in rows}

    async def outbox(self, limit: int, without: Sequence[str]) -> list[dict[str, Any]]:
        """Closed, placed attempts that localization has not confirmed, oldest first."""
        return [dict(row) for row in await self._fetch(queries.OUTBOX, limit, list(without))]

    async def mark_exported(self, attempts: Sequence[tuple[str, int]]) -> None:
        """Localization confirmed that these, as they were closed then, are durable.

        One that was tabulated meanwhile has another closing number: it is sent once more.
        """
        async with self.transaction() as connection:
            await connection.execute(
                queries.MARK_EXPORTED,
                [attempt_id for attempt_id, _ in attempts],
                [closed for _, closed in attempts],
            )

    async def mark_refused(self, attempt_id: str, closed_number: int, reason: str) -> None:
        """Localization will never take this one, as it was closed then."""
        async with self.transaction() as connection:
            await connection.execute(queries.MARK_REFUSED, attempt_id, reason, closed_number)

    async def count_outbox(self) -> dict[str, int]:
        """Calls not yet, and never, taken by localization."""
        return dict(await self._fetchrow(queries.COUNT_OUTBOX))


async def _set_operator(connection: Any, change: OperatorChange) -> None:
    await connection.execute(
        queries.SET_OPERATOR,
        change.id, change.state, change.attempt_id, change.campaign_id, change.at, change.reason,
        change.leaving,
    )  # fmt: skip


async def write_opt_out(
    connection: Any, cpf: str | None, phone: str | None, *, who: str, reason: str
) -> None:
    """Record that a person or a phone is not called again, with the audit of it, once."""
    added = await connection.fetchval(rule_queries.INSERT_OPT_OUT, cpf, phone, who, reason)
    if added is not None:
        detail = {"reason": reason, "id": added}
        await connection.execute(queries.INSERT_AUDIT, who, "opt_out", "leads", detail)
