"""What operators and supervisors ask of the engine, through the API."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from dialer.attempt import CancelWanted
from dialer.engine import UNTABULATED, Engine
from dialer.live import Agent, utc_now
from dialer.mailing import MailingLead
from dialer.pbx import OPERATOR_ID
from dialer.settings import parse_campaign
from dialer.store import OperatorState, Store
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.outcomes import Tabulation

log = logging.getLogger(__name__)


class Desk:
    """Orders to the engine. Each is recorded before it counts, so a repeated order is harmless.

    Every method raises UnavailableError while the engine starts or its database is away.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store, self._floor = engine, store, engine.floor

    async def login(self, operator: str) -> None:
        """An operator is there and free; again does nothing. Raises DataError for a bad id."""
        if OPERATOR_ID.fullmatch(operator) is None:
            raise DataError(f"operator {operator!r}: ids are op01, op02, …")
        async with self._engine.api():
            agent = self._floor.agents.get(operator)
            if agent is None:
                agent = Agent(id=operator, state="offline", since=utc_now())
            agent.leaving = None
            if agent.state == "offline":
                change = self._floor.change(agent, "idle", None)
                await self._store.set_operator(change, add=True)
                self._floor.agents[operator] = agent
                self._floor.set(agent, "idle", None)

    async def leave(self, operator: str, state: OperatorState) -> None:
        """An operator pauses (``paused``) or logs out (``offline``), after the present call.

        Raises ConflictError when a pause is asked for somebody who is not logged in.
        """
        async with self._engine.api():
            agent = self._floor.agents.get(operator)
            if state == "offline" and (agent is None or agent.state == "offline"):
                return
            agent = self._floor.logged_in(operator)
            if agent.state in ("idle", "paused") and not agent.placing:
                await self._store.set_operator(self._floor.change(agent, state, None))
                self._floor.set(agent, state, None)
            else:
                agent.leaving = state

    async def make_ready(self, operator: str) -> None:
        """An operator wants calls again: ends a pause, a pause to come, or a wrap-up untabulated.

        Raises ConflictError when the operator is not logged in.
        """
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            agent.leaving = None
            call = self._floor.calls.get(agent.attempt_id or "")
            if agent.state == "wrapup" and call is not None:
                await self._engine.close(call, replace(call.attempt, tabulation=UNTABULATED), agent)
            elif agent.state in ("paused", "wrapup"):
                await self._store.set_operator(self._floor.change(agent, "idle", None))
                self._floor.set(agent, "idle", None)

    async def tabulate(
        self,
        operator: str,
        attempt_id: str,
        tabulation: Tabulation,
        promise_date: date | None = None,
        promise_amount: Decimal | None = None,
    ) -> None:
        """What the operator records of the conversation, during or after it; ends the wrap-up.

        Raises ConflictError when it is not the operator's present call, DataError when a promise
        lacks its date or amount or something else has them.
        """
        if (tabulation is Tabulation.PROMISE) != (promise_date is not None):
            raise DataError("promise_date belongs to a promise, and a promise needs one")
        if (promise_date is None) != (promise_amount is None):
            raise DataError("a promise needs both promise_date and promise_amount")
        if promise_amount is not None and not 0 < promise_amount < Decimal(10) ** 12:
            raise DataError("promise_amount must be more than 0")
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            call = self._floor.calls.get(attempt_id)
            if call is None or agent.attempt_id != attempt_id:
                raise ConflictError(f"attempt {attempt_id} is not the present call of {operator}")
            if call.attempt.connected_at is None:
                raise ConflictError(f"attempt {attempt_id} has not been connected yet")
            tabulated = replace(
                call.attempt,
                tabulation=tabulation,
                promise_date=promise_date,
                promise_amount=promise_amount,
            )
            if call.attempt.ended:
                await self._engine.close(call, tabulated, agent)
            else:
                await self._store.save_attempt(tabulated)
                call.attempt = tabulated
                agent.bump()

    async def submit(
        self,
        campaign_id: str,
        *,
        name: str,
        settings: dict[str, Any],
        mailing: str,
        sha256: str,
        read_leads: Callable[[], Awaitable[list[MailingLead]]],
    ) -> bool:
        """Start a campaign; False when this very campaign is already recorded.

        Raises ConflictError when the id is recorded with something else, ConfigError and DataError
        when settings or mailing are wrong.
        """
        parse_campaign(settings, f"campanha {name}")
        if not await self._same(campaign_id, name, settings, sha256):
            leads = await read_leads()
            async with self._engine.api():
                added = await self._store.add_campaign(
                    campaign_id,
                    name=name,
                    settings=settings,
                    mailing=mailing,
                    sha256=sha256,
                    leads=leads,
                )
                row = await self._store.campaign(campaign_id)
                assert row is not None
                if added:
                    self._engine.admit(row)
                    log.info("dialer: campaign %s: %d leads", campaign_id, len(leads))
                    return True
            await self._same(campaign_id, name, settings, sha256)
        return False

    async def _same(
        self, campaign_id: str, name: str, settings: dict[str, Any], sha256: str
    ) -> bool:
        row = await self._store.campaign(campaign_id)
        if row is None:
            return False
        if (row.name, row.settings, row.sha256) != (name, settings, sha256):
            raise ConflictError(
                f"campaign {campaign_id} is already recorded with another mailing or settings"
            )
        return True

    async def control(self, campaign_id: str, order: str) -> None:
        """``pause``, ``resume`` or ``stop``; repeating an order does nothing more.

        Raises ConflictError when the campaign is over or was never submitted.
        """
        async with self._engine.api():
            campaign = self._engine.campaigns.get(campaign_id)
            if campaign is None:
                row = await self._store.campaign(campaign_id)
                if row is not None and order == "stop":
                    return
                raise ConflictError(f"campaign {campaign_id} is not running")
            if order == "stop":
                await self._engine.wind_up(campaign, "stopped")
                for call in self._engine.unanswered():
                    if call.lead.campaign_id == campaign_id:
                        self._engine.notice(call.attempt.id, CancelWanted(at=utc_now()))
                return
            if campaign.status == "stopping":
                raise ConflictError(f"campaign {campaign_id} is already ending")
            status = "paused" if order == "pause" else "running"
            await self._store.set_campaign_status(campaign_id, status, None)
            campaign.status = status
