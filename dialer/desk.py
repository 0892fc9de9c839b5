"""What operators ask of the engine, through the API."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from dialer.attempt import Attempt
from dialer.engine import Engine
from dialer.live import Agent, Call, utc_now
from dialer.pbx import OPERATOR_ID
from dialer.rows import OperatorState
from dialer.rules import CallNext
from dialer.settings import PAUSE_REASONS
from dialer.store import Store
from dialer.switchboard import UNTABULATED
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.outcomes import Tabulation

log = logging.getLogger(__name__)

LONGEST_CALLBACK = timedelta(days=60)
SKIPPED = timedelta(minutes=15)
"""A person whom an operator skipped is not shown before."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What an operator records of a conversation. Raises DataError when it contradicts itself.

    A promise has a date and an amount (reais), a callback may have the time that was agreed.
    """

    tabulation: Tabulation
    promise_date: date | None = None
    promise_amount: Decimal | None = None
    callback_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.tabulation is Tabulation.PROMISE) != (self.promise_date is not None):
            raise DataError("promise_date belongs to a promise, and a promise needs one")
        if (self.promise_date is None) != (self.promise_amount is None):
            raise DataError("a promise needs both promise_date and promise_amount")
        if self.promise_amount is not None and not 0 < self.promise_amount < Decimal(10) ** 12:
            raise DataError("promise_amount must be more than 0")
        if self.callback_at is None:
            return
        if self.tabulation is not Tabulation.CALLBACK:
            raise DataError("callback_at belongs to a callback")
        if not timedelta() < self.callback_at - utc_now() <= LONGEST_CALLBACK:
            raise DataError("callback_at must be a time to come, within 60 days")

    def of(self, attempt: Attempt) -> Attempt:
        """The attempt with what was said in it."""
        return replace(
            attempt,
            tabulation=self.tabulation,
            promise_date=self.promise_date,
            promise_amount=self.promise_amount,
            callback_at=self.callback_at,
        )


class Desk:
    """Orders of operators. A repeated one is harmless.

    Every method raises UnavailableError while the engine starts or its database is away: what was
    ordered may hold then, and is recorded when the database is back.
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
                await self._store.add_operator(operator)
                agent = Agent(id=operator, state="offline", since=utc_now())
                self._floor.agents[operator] = agent
            if agent.leaving == "offline":
                await self._wants(agent, None)
            if agent.state == "offline":
                await self._becomes(agent, "idle")

    async def work_for(self, operator: str, campaign: str | None) -> None:
        """An operator takes calls of the campaigns of this name only; None is all of them.

        Raises ConflictError when the operator is not logged in, DataError when nothing of that
        name runs.
        """
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            running = {one.row.name for one in self._engine.campaigns.values()}
            if campaign is not None and campaign not in running:
                raise DataError(f"a campanha {campaign[:60]!r} não está em curso")
            await self._store.set_operator_campaign(operator, campaign)
            agent.only = campaign
            agent.bump()
            self._floor.wake.set()

    async def hang_up(self, operator: str) -> None:
        """The operator ends the present conversation. Raises ConflictError when there is none."""
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            call = self._floor.calls.get(agent.attempt_id or "")
            pbx = None if call is None else self._engine.pbxs.get(call.pbx)
            if call is None or pbx is None or agent.state != "talking":
                raise ConflictError(f"operator {operator} has no conversation to end")
            pbx.hang_up(call.attempt.id)

    async def leave(self, operator: str, state: OperatorState, reason: str | None = None) -> None:
        """An operator pauses (``paused``, for ``reason``) or logs out (``offline``).

        That happens after the present call, and not while a line counts on this operator. Raises
        ConflictError when a pause is asked for somebody who is not logged in, DataError when the
        reason is none of the campaigns'.
        """
        async with self._engine.api():
            agent = self._floor.agents.get(operator)
            if state == "offline" and (agent is None or agent.state == "offline"):
                return
            agent = self._floor.logged_in(operator)
            if reason is not None and reason not in self.pause_reasons():
                known = ", ".join(self.pause_reasons())
                raise DataError(f"o motivo da pausa deve ser um destes: {known}")
            agent.reason = reason if state == "paused" else None
            if agent.state == "paused" or (
                agent.state == "idle" and self._engine.switchboard.spare(agent)
            ):
                await self._becomes(agent, state)
                return
            await self._wants(agent, state)
            if agent.state == "preview" and agent.preview is not None and not agent.placing:
                await self._engine.switchboard.return_preview(agent, timedelta())

    def pause_reasons(self) -> tuple[str, ...]:
        """Why an operator may pause: what the running campaigns list."""
        listed = [one.settings.motivos_de_pausa for one in self._engine.campaigns.values()]
        return tuple(dict.fromkeys(reason for reasons in listed for reason in reasons)) or (
            PAUSE_REASONS
        )

    async def make_ready(self, operator: str) -> None:
        """An operator wants calls again: ends a pause, a pause to come, or a wrap-up untabulated.

        Raises ConflictError when the operator is not logged in.
        """
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            if agent.leaving is not None:
                await self._wants(agent, None)
            call = self._floor.calls.get(agent.attempt_id or "")
            if agent.state == "wrapup" and call is not None:
                await self._engine.close(call, replace(call.attempt, tabulation=UNTABULATED))
            elif agent.state in ("paused", "wrapup"):
                await self._becomes(agent, "idle")

    async def _becomes(self, agent: Agent, state: OperatorState) -> None:
        self._engine.course.record([self._floor.move(agent, state, None, None)])
        await self._engine.settled(agent.id)

    async def _wants(self, agent: Agent, state: OperatorState | None) -> None:
        """To be so after the present call; None is to go on."""
        agent.leaving = state
        agent.reason = agent.reason if state == "paused" else None
        agent.bump()
        change = self._floor.change(agent, agent.state, None, attempt_id=agent.attempt_id)
        self._engine.course.record([change])
        await self._engine.settled(agent.id)

    async def decide(self, operator: str, *, call: bool) -> None:
        """The operator has read the card: call the person, or skip to another.

        Raises ConflictError when no card is shown, or it is being dialled already.
        """
        async with self._engine.api():
            agent = self._floor.logged_in(operator)
            if agent.preview is None or agent.placing:
                raise ConflictError(f"operator {operator} has no card to decide on")
            if call:
                self._engine.placer.accept(agent)
            else:
                await self._engine.switchboard.return_preview(agent, SKIPPED)

    async def tabulate(self, operator: str, attempt_id: str, said: Said) -> None:
        """What the operator records of a conversation: during it, in the wrap-up, or too late.

        In the wrap-up it ends that. After its limit it is stored all the same: nothing tabulated is
        lost. Raises ConflictError when the call is none of the operator's, or is tabulated.
        """
        async with self._engine.api():
            call = self._floor.calls.get(attempt_id)
            agent = self._floor.agents.get(operator)
            if call is None:
                await self._tabulate_closed(operator, attempt_id, said)
            elif agent is not None and agent.attempt_id == attempt_id:
                await self._tabulate_present(agent, call, said)
            elif call.attempt.ended and call.operator == operator:
                await self._engine.close(call, said.of(call.attempt))
            else:
                raise ConflictError(f"attempt {attempt_id} is not the present call of {operator}")

    async def _tabulate_present(self, agent: Agent, call: Call, said: Said) -> None:
        if call.attempt.connected_at is None:
            raise ConflictError(f"attempt {call.attempt.id} has not been connected yet")
        tabulated = said.of(call.attempt)
        if call.attempt.ended:
            await self._engine.close(call, tabulated)
        else:
            self._engine.course.say(call, tabulated)
            agent.bump()
            await self._engine.heed(tabulated, call.lead, call.phone)
            await self._engine.settled(call.attempt.id)

    async def _tabulate_closed(self, operator: str, attempt_id: str, said: Said) -> None:
        attempt = said.of(Attempt(id=attempt_id, created_at=utc_now(), operator=operator))
        late = await self._store.tabulate_late(attempt)
        if late is None:
            raise ConflictError(
                f"attempt {attempt_id} is not the present call of {operator}, and no call of"
                " theirs that waits for its tabulation"
            )
        log.info("dialer: attempt %s was tabulated late", attempt_id)
        lead, phone = late
        await self._engine.heed(attempt, lead, phone)
        if lead.campaign_id in self._engine.campaigns:
            update = await self._engine.plan_of(lead, None)
            if isinstance(update, CallNext):
                await self._store.update_lead(lead.id, update)
                self._floor.wake.set()
