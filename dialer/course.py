"""Follows the calls: what happens to them, in order, and what follows from it at once.

People who answer wait for nothing that a disk does: what happens is applied in memory the moment it
is heard, with the commands that follow from it, then stored together in one transaction, in order;
calls that ended are closed one at a time beside it. While the database is slow or away the news go
on being applied; nobody is told meanwhile that anything is recorded, and no line is opened. Killed
between the two, the dialer finds at the PBX what it did not store (``dialer.reconcile``). Only a
hangup of ours is stored before it is ordered: else it would be taken for no answer; and nobody who
answers meanwhile is hung up on.

What operators do is stored by nobody else (but for the calls for which one is kept): so it stands
in the database in the order in which it happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dialer import attempt as calls_
from dialer.attempt import UNANSWERED, Attempt, FindOperator, HangUp, advance
from dialer.live import Call, utc_now
from dialer.rows import OperatorChange
from dialer.switchboard import LATE_TABULATION_SECONDS
from zanc_pipeline.common.errors import UnavailableError

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
"""A call that could not be closed, by an error of ours, is tried again so much later."""


@dataclass
class Unstored:
    """What is to be stored: attempts as they stand, and what operators do, in order.

    ``hang_up`` are the calls that are hung up once it is ``stored``.
    """

    attempts: dict[str, Attempt] = field(default_factory=dict)
    operators: list[OperatorChange] = field(default_factory=list)
    hang_up: list[Call] = field(default_factory=list)
    stored: asyncio.Event = field(default_factory=asyncio.Event)

    def __bool__(self) -> bool:
        return bool(self.attempts or self.operators or self.hang_up)

    def concerns(self, names: Iterable[str]) -> bool:
        """Whether it is about one of these attempts or operators."""
        mine = self.attempts.keys() | {change.id for change in self.operators}
        return not mine.isdisjoint(names)


class Course:
    """The news of the calls."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._floor = engine, engine.floor
        self._news: deque[tuple[str, calls_.Event]] = deque()
        """What came before ``run``, or while another event was being applied."""
        self._followed = False
        self._unstored, self._being_stored = Unstored(), Unstored()
        self._closing: deque[Call] = deque()
        """Calls that ended and are not closed yet."""
        self._at_work = 0
        self._to_store, self._to_close = asyncio.Event(), asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether all news are applied and stored."""
        return not (self._news or self._unstored or self._closing or self._at_work)

    @property
    def behind(self) -> int:
        """Calls that ended and are not closed yet: the database is slower than the calls."""
        return len(self._closing)

    # ---- what others tell

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self._news.append((attempt_id, event))
        if self._followed:
            self._take_in()

    def record(self, changes: Iterable[OperatorChange]) -> None:
        """Operators did something: it is to be stored, in this order."""
        self._unstored.operators += changes
        self._stir()

    def say(self, call: Call, attempt: Attempt) -> None:
        """Something was said of a call; it is to be stored, and closed if the call has ended."""
        call.attempt, call.late_until = attempt, None
        if attempt.ended:
            self._to_be_closed(call)
        else:
            self._unstored.attempts[attempt.id] = attempt
            self._stir()

    async def stored(self, *names: str) -> None:
        """Wait until what is known now of these attempts and operators is stored."""
        for batch in (self._being_stored, self._unstored):
            if batch.concerns(names):
                await batch.stored.wait()

    # ---- at work

    async def run(self, lock: asyncio.Lock) -> None:
        """Follow the calls until cancelled. Calls are closed under ``lock``."""
        self._followed = True
        self._take_in()
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self._keep_storing())
            jobs.create_task(self._keep_closing(lock))

    async def _keep_storing(self) -> None:
        while True:
            await self._to_store.wait()
            self._to_store.clear()
            await self.store()

    async def _keep_closing(self, lock: asyncio.Lock) -> None:
        while True:
            await self._to_close.wait()
            async with lock:
                await self.close_one()
            if not self._closing:
                self._to_close.clear()

    def _stir(self) -> None:
        if self._unstored:
            self._to_store.set()

    def _take_in(self) -> None:
        """Apply the news that are there, in order; what one of them leads to comes after it."""
        followed, self._followed = self._followed, False
        while self._news:
            self._guarded(*self._news.popleft())
        self._followed = followed
        self._stir()

    async def store(self) -> None:
        """Store together what is new; then hang up what may be hung up."""
        self._take_in()
        if not self._unstored:
            return
        batch, self._unstored = self._unstored, Unstored()
        self._being_stored = batch
        self._at_work += 1
        try:
            failed = await self._store(batch)
            self._take_in()
            self._hang_up(batch.hang_up, but=failed)
        finally:
            self._at_work -= 1
        batch.stored.set()

    async def _store(self, batch: Unstored) -> set[str]:
        """Store it all; the attempts that could not be stored, by an error of ours."""
        attempts, operators = list(batch.attempts.values()), batch.operators
        if not attempts and not operators:
            return set()
        if await self._saved(attempts, operators):
            return set()
        # One of them can't be stored: it holds none of the others back.
        failed = {one.id for one in attempts if not await self._saved([one], [])}
        for change in operators:
            await self._saved([], [change])
        return failed

    async def _saved(
        self, attempts: Sequence[Attempt], operators: Sequence[OperatorChange]
    ) -> bool:
        engine = self._engine
        try:
            await engine.persist(lambda: engine.store.save_together(attempts, operators))
        except Exception:
            names = [*(one.id for one in attempts), *(one.id for one in operators)]
            log.exception("dialer: what is new of %s was not stored", ", ".join(names))
            return False
        return True

    def _hang_up(self, calls: Sequence[Call], *, but: set[str]) -> None:
        """Hang up those that nobody answered while it was stored that we do."""
        for call in calls:
            attempt, pbx = call.attempt, self._engine.pbxs.get(call.pbx)
            if pbx is None or attempt.state not in UNANSWERED or attempt.id in but:
                continue
            try:
                pbx.hang_up(attempt.id)
            except UnavailableError as error:
                log.warning("dialer: attempt %s: %s", attempt.id, error)

    async def close_one(self) -> None:
        """Close the call that ended first; the news go on being applied beside it."""
        if not self._closing:
            return
        call = self._closing.popleft()
        if self._floor.calls.get(call.attempt.id) is not call:
            return  # it was tabulated meanwhile, or is taken up anew from the database
        engine = self._engine
        self._at_work += 1
        try:
            await engine.persist(lambda: engine.close(call, call.attempt))
        except Exception:
            log.exception("dialer: attempt %s was not closed", call.attempt.id)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._to_be_closed, call)
        finally:
            self._at_work -= 1

    def _to_be_closed(self, call: Call) -> None:
        self._closing.append(call)
        self._to_close.set()

    # ---- one event

    def _guarded(self, attempt_id: str, event: calls_.Event) -> None:
        try:
            self._apply(attempt_id, event)
        except Exception:
            log.exception("dialer: attempt %s: %r was not applied", attempt_id, event)
            call = self._floor.calls.get(attempt_id)
            if call is not None:
                call.doubt()

    def _apply(self, attempt_id: str, event: calls_.Event) -> None:
        call = self._floor.calls.get(attempt_id)
        if call is None or call.attempt.ended:
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
        for command in step.commands:
            self._execute(call, command, event.at)
        if step.attempt.ended and not before.ended:
            self._ended(call)
        else:
            self._went_on(call, before)
        # Last: should anything be wrong with the figures, the call goes on all the same.
        if isinstance(event, calls_.Refused):
            engine.pbxs.refused(call, event.reason, utc_now())
        elif step.attempt != before:
            engine.pbxs.went_on(call, before, utc_now())
        campaign = engine.campaigns.get(call.lead.campaign_id)
        if campaign is not None and not call.kept:
            campaign.pace.changed(before, step.attempt, utc_now(), call.expected)

    def _went_on(self, call: Call, before: Attempt) -> None:
        attempt, switchboard = call.attempt, self._engine.switchboard
        if attempt.connected_at is not None and before.connected_at is None:
            self._unstored.operators += switchboard.talking(call, attempt)
        if attempt.abandoned and not before.abandoned:
            self._unstored.operators += switchboard.release(call)
        stored = replace(before, channel_seen=attempt.channel_seen, rang_out=attempt.rang_out)
        if attempt != stored:
            self._unstored.attempts[attempt.id] = attempt

    def _execute(self, call: Call, command: calls_.Command, at: datetime) -> None:
        """Do what follows from an event at ``at``, or have it done once that is stored."""
        match command:
            case FindOperator(failed=failed):
                call.waiting_since = at  # the PBX counts from then on, however late we hear of it
                self._unstored.operators += self._engine.switchboard.find(call, failed)
            case HangUp():
                self._unstored.hang_up.append(call)

    def _ended(self, call: Call) -> None:
        attempt, ended = call.attempt, self._engine.ended
        assert attempt.outcome is not None
        ended[attempt.outcome.value] = ended.get(attempt.outcome.value, 0) + 1
        if not attempt.placed:
            self._engine.placer.gate.not_placed(call)
        agent = self._floor.agent_of(call)
        over = attempt.connected_at is None or attempt.tabulation is not None
        if over:
            self._to_be_closed(call)
        else:
            self._unstored.attempts[attempt.id] = attempt
        if agent is not None and over:
            self._unstored.operators.append(self._floor.move(agent, agent.next_state, None, call))
        elif agent is not None:
            self._unstored.operators.append(self._floor.move(agent, "wrapup", attempt.id, call))
        elif not over:
            self.await_tabulation(call)

    def await_tabulation(self, call: Call) -> None:
        """Nobody is in wrap-up for it, but what was said may still be told."""
        call.late_until = utc_now() + timedelta(seconds=LATE_TABULATION_SECONDS)
