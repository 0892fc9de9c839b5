"""Campaigns and their leads in the dialer's database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dialer import queries, rule_queries
from dialer.database import Database
from dialer.hopper import Hopper
from dialer.mailing import MailingLead
from dialer.rows import CampaignRow, Lead, LeadUpdate, lead_of
from dialer.rules import Finished, PastAttempt
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.common.settings import Settings

LEADS_AT_ONCE = 500
"""A mailing may hold hundreds of thousands: who answers another campaign's call must not wait."""
MAILING_SECONDS = 300.0
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
"""When somebody new is due, whatever the clocks of the database and the dialer say."""


class LeadStore(Database):
    """What is known of campaigns and of the people in them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._hoppers: dict[str, Hopper] = {}

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
        async with self.transaction(MAILING_SECONDS) as connection:
            added = await connection.fetchval(
                queries.INSERT_CAMPAIGN, campaign_id, name, dict(settings), mailing, sha256
            )
            if added is None:
                return False
            for start in range(0, len(leads), LEADS_AT_ONCE):
                await connection.copy_records_to_table(
                    "lead",
                    columns=["campaign_id", "rank", "cpf", "name", "crm", "convenio", "contract",
                             "amount", "phones", "refused", "segment", "hours", "best_hours",
                             "not_before"],
                    records=[
                        (campaign_id, lead.rank, lead.cpf, lead.name, lead.crm, lead.convenio,
                         lead.contract, lead.amount, list(lead.phones), lead.refused,
                         lead.segment, lead.hours, _first_hours(lead), AT_ONCE)
                        for lead in leads[start : start + LEADS_AT_ONCE]
                    ],
                )  # fmt: skip
                await asyncio.sleep(0)  # calls go on meanwhile
            return True

    async def campaign(self, campaign_id: str) -> CampaignRow | None:
        """One campaign, None when there is none of that id."""
        row = await self._fetchrow(queries.CAMPAIGN, campaign_id)
        return None if row is None else CampaignRow(**dict(row))

    async def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return [CampaignRow(**dict(row)) for row in await self._fetch(queries.CAMPAIGNS)]

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
        async with self.transaction() as connection:
            await connection.execute(queries.SET_CAMPAIGN_STATUS, campaign_id, status, reason, why)
            if idle_until is not None:
                await connection.execute(queries.BOOK_IDLE, campaign_id, idle_until)
        if status in ("finished", "failed"):
            self._hoppers.pop(campaign_id, None)

    async def change_settings(
        self, campaign_id: str, changes: Mapping[str, Any], who: str, before: Mapping[str, Any]
    ) -> None:
        """Change a campaign's settings, with the audit of it."""
        async with self.transaction() as connection:
            await connection.execute(queries.CHANGE_SETTINGS, campaign_id, dict(changes))
            await connection.execute(
                queries.INSERT_AUDIT,
                who, "settings", campaign_id, {"before": dict(before), "after": dict(changes)},
            )  # fmt: skip

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
        async with self.transaction() as connection:
            row = await connection.fetchrow(query, *values)
            return None if row is None else (lead_of(row), await _history(connection, row["id"]))

    async def held_leads(self, campaign_id: str, hour: int) -> tuple[int, int] | None:
        """How many people wait for a later hour than ``hour``, and the next of these hours."""
        row = await self._fetchrow(rule_queries.HELD_LEADS, campaign_id, hour)
        return (row["people"], row["hour"]) if row["people"] else None

    async def leads_left(self, campaign_id: str) -> tuple[bool, bool]:
        """Whether anybody of a campaign is to be called or in a call; whether it has anybody."""
        row = await self._fetchrow(queries.LEADS_LEFT, campaign_id)
        return row["unfinished"], row["people"]

    async def history(self, lead_id: int) -> list[PastAttempt]:
        """The attempts of a lead that ended, first to last."""
        async with self.transaction() as connection:
            return await _history(connection, lead_id)

    async def update_lead(
        self, lead_id: int, update: LeadUpdate, refused: Mapping[str, str] | None = None
    ) -> None:
        """Put a lead back among the waiting or end it; ``refused`` adds phones not to dial."""
        async with self.transaction() as connection:
            await write_lead(connection, lead_id, update, refused or {})

    async def stranded_leads(self) -> list[Lead]:
        """Active leads that no open attempt holds."""
        return [lead_of(row) for row in await self._fetch(queries.STRANDED_LEADS)]

    async def end_waiting(self, campaign_id: str, reason: str, most: int) -> int:
        """End at most so many of a campaign's waiting leads; how many were ended."""
        async with self.transaction() as connection:
            done: str = await connection.execute(
                queries.END_WAITING_LEADS, campaign_id, reason, most
            )
            return int(done.rpartition(" ")[2])

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
        async with self.transaction() as connection:
            ended = await connection.fetch(queries.WITHDRAW_WAITING, *values)
            await connection.execute(rule_queries.DROP_CALLBACKS, *values)
            active = await connection.fetch(queries.WITHDRAW_ACTIVE, *values)
            if ended or active:
                await connection.execute(
                    queries.INSERT_AUDIT, who, "withdraw", "leads",
                    {"reason": reason, "ended": len(ended), "in_call": len(active)},
                )  # fmt: skip
            return [row["id"] for row in ended], [row["id"] for row in active]


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


async def write_lead(
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


def _first_hours(lead: MailingLead) -> list[int] | None:
    """The best hours of the first phone that may be called."""
    for phone, hours in zip(lead.phones, lead.hours, strict=False):
        if phone not in lead.refused:
            return list(hours) or None
    return None


def _campaign(row: Any) -> CampaignRow:
    return CampaignRow(**dict(row))
