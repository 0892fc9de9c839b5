"""Follows the calls: what happens to them, in order, and what follows from it at once.

People who answer wait for nothing that a disk does: all news that came are applied in memory, with
the commands that follow from them, then stored together in one transaction; calls that ended are
closed one at a time between the news. Killed between the two, the dialer finds at the PBX what it
did not store (``dialer.reconcile``). Only a hangup of ours is stored before it is ordered: else it
would be taken for no answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dialer import attempt as calls_
from dialer.attempt import Attempt, FindOperator, HangUp, advance
from dialer.live import Call, utc_now
from dialer.store import OperatorChange
from dialer.switchboard import LATE_TABULATION_SECONDS
from zanc_pipeline.common.errors import UnavailableError

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
"""News that are stored together."""

AGAIN_SECONDS = 5.0
"""A call that could not be closed, by an error of ours, is tried again so much later."""


@dataclass
class Unstored:
    """What is to be stored: attempts as they stand, and what operators do, in order."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    operators: list[OperatorChange] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.attempts or self.operators)


class Course:
    """The news of the calls. Runs under the engine's lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._floor = engine, engine.floor
        self._news: asyncio.Queue[tuple[str, calls_.Event]] = asyncio.Queue()
        self._closing: deque[Call] = deque()
        """Calls that ended and are not closed yet."""

    @property
    def idle(self) -> bool:
        """Whether all news are applied and stored."""
        return self._news.empty() and not self._closing

    @property
    def behind(self) -> int:
        """Calls that ended and are not closed yet: the database is slower than the calls."""
        return len(self._closing)

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self._news.put_nowait((attempt_id, event))

    async def run(self, lock: asyncio.Lock) -> None:
        """Follow the calls until cancelled."""
        while True:
            first = None if self._closing else await self._news.get()
            async with lock:
                await self.follow(first)

    async def follow(self, first: tuple[str, calls_.Event] | None = None) -> None:
        """Apply and store ``first`` and the news that are there, and close one call that ended."""
        unstored = Unstored()
        for _ in range(MOST_AT_ONCE):
            if first is None:
                if self._news.empty():
                    break
                first = self._news.get_nowait()
            await self._guarded(*first, unstored)
            first = None
        if unstored:
            await self._engine.persist(
                lambda: self._engine.store.save_together(
                    list(unstored.attempts.values()), unstored.operators
                )
            )
        if self._closing:
            call = self._closing.popleft()
            try:
                await self._close(call)
            except Exception:
                log.exception("dialer: attempt %s was not closed", call.attempt.id)
                later = asyncio.get_running_loop().call_later
                later(AGAIN_SECONDS, self._closing.append, call)

    async def _guarded(self, attempt_id: str, event: calls_.Event, unstored: Unstored) -> None:
        try:
            await self._apply(attempt_id, event, unstored)
        except Exception:
            log.exception("dialer: attempt %s: %r was not applied", attempt_id, event)
            call = self._floor.calls.get(attempt_id)
            if call is not None:
                call.doubt()

    async def _apply(self, attempt_id: str, event: calls_.Event, unstored: Unstored) -> None:
        call = self._floor.calls.get(attempt_id)
        if call is None:
            return
        engine, before = self._engine, call.attempt
        if isinstance(event, calls_.Confirmed):
            call.settled = max(call.settled, event.doubts)
        if call.unconfirmed and not calls_.tells_the_end(before, event):
            # Its channel is gone: the reconciler judges it by the records.
            call.attempt = calls_.in_doubt(before, event)
            call.doubt()  # whatever its PBX was asked before
            return
        step = advance(before, event)
        call.attempt = step.attempt
        if isinstance(event, calls_.Refused):
            engine.pbxs.refused(call, event.reason, utc_now())
        elif step.attempt != before:
            engine.pbxs.went_on(call, before, utc_now())
        if step.attempt.cancel_wanted and not before.cancel_wanted:
            # Before it is hung up: killed between the two, we must not take it for no answer.
            await engine.persist(lambda: engine.store.save_attempt(call.attempt))
        for command in step.commands:
            unstored.operators += self.execute(call, command, event.at)
        campaign = engine.campaigns.get(call.lead.campaign_id)
        if campaign is not None and not call.kept:
            campaign.pace.changed(before, step.attempt, utc_now(), call.expected)
        if step.attempt.ended and not before.ended:
            self._ended(call, unstored)
            return
        if step.attempt.connected_at is not None and before.connected_at is None:
            unstored.operators += engine.switchboard.talking(call, step.attempt)
        if step.attempt.abandoned and not before.abandoned:
            unstored.operators += engine.switchboard.release(call)
        stored = replace(
            before,
            channel_seen=step.attempt.channel_seen,
            rang_out=step.attempt.rang_out,
            cancel_wanted=step.attempt.cancel_wanted,
        )
        if step.attempt != stored:
            unstored.attempts[attempt_id] = step.attempt

    def execute(self, call: Call, command: calls_.Command, at: datetime) -> list[OperatorChange]:
        """Do what follows from an event at ``at``; what operators do now is to be stored."""
        match command:
            case FindOperator(failed=failed):
                call.waiting_since = at  # the PBX counts from then on, however late we hear of it
                return self._engine.switchboard.find(call, failed)
            case HangUp():
                pbx = self._engine.pbxs.get(call.pbx)
                try:
                    if pbx is not None:
                        pbx.hang_up(call.attempt.id)
                except UnavailableError as error:
                    log.warning("dialer: attempt %s: %s", call.attempt.id, error)
        return []

    def _ended(self, call: Call, unstored: Unstored) -> None:
        attempt, ended = call.attempt, self._engine.ended
        assert attempt.outcome is not None
        ended[attempt.outcome.value] = ended.get(attempt.outcome.value, 0) + 1
        if not attempt.placed:
            self._engine.placer.gate.not_placed(call)
        if attempt.connected_at is None or attempt.tabulation is not None:
            self._closing.append(call)
            return
        unstored.attempts[attempt.id] = attempt
        agent = self._floor.agent_of(call)
        if agent is None:
            self.await_tabulation(call)
        else:
            unstored.operators.append(self._floor.move(agent, "wrapup", attempt.id, call))

    def await_tabulation(self, call: Call) -> None:
        """Nobody is in wrap-up for it, but what was said may still be told."""
        call.late_until = utc_now() + timedelta(seconds=LATE_TABULATION_SECONDS)

    async def _close(self, call: Call) -> None:
        if self._floor.calls.get(call.attempt.id) is not call:
            return  # it was tabulated meanwhile, or is taken up anew from the database
        engine, agent = self._engine, self._floor.agent_of(call)
        await engine.persist(lambda: engine.close(call, call.attempt, agent))
