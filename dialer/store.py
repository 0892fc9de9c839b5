"""The dialer's database as the engine uses it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dialer import queries, rule_queries
from dialer.attempt_store import AttemptStore, write_opt_out
from dialer.rows import CampaignRow, OperatorRow


class Store(AttemptStore):
    """Campaigns, leads and attempts; operators, orders, and who asked not to be called."""

    async def operators(self) -> list[OperatorRow]:
        """All operators."""
        return [OperatorRow(**dict(row)) for row in await self._fetch(queries.OPERATORS)]

    async def add_operator(self, operator: str) -> None:
        """Record an operator who is offline; one who is known stays as recorded."""
        async with self.transaction() as connection:
            await connection.execute(queries.ADD_OPERATOR, operator)

    async def set_operator_campaign(self, operator: str, campaign: str | None) -> None:
        """Record the only campaign that an operator works for; None is all of them."""
        async with self.transaction() as connection:
            await connection.execute(queries.SET_OPERATOR_CAMPAIGN, operator, campaign)

    async def opt_outs(self) -> list[tuple[str | None, str | None]]:
        """The people and phones that are never called again."""
        rows = await self._fetch(rule_queries.OPT_OUTS)
        return [(row["cpf"], row["phone"]) for row in rows]

    async def add_opt_out(
        self, cpf: str | None, phone: str | None, *, who: str, reason: str
    ) -> None:
        """Record one, with the audit of it; again does nothing."""
        async with self.transaction() as connection:
            await write_opt_out(connection, cpf, phone, who=who, reason=reason)

    async def note(
        self, who: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Record who did what to a campaign or an operator."""
        async with self.transaction() as connection:
            await connection.execute(queries.INSERT_AUDIT, who, action, subject, dict(detail or {}))

    async def audit(self, after: int, subject: str | None, limit: int) -> list[dict[str, Any]]:
        """What was changed and by whom, oldest first, after the entry ``after``."""
        return [dict(row) for row in await self._fetch(queries.AUDIT, after, subject, limit)]

    async def figures(self, campaign: CampaignRow) -> dict[str, Any]:
        """What a supervisor sees of a campaign: counts, shares and means."""
        async with self.transaction() as connection:
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
