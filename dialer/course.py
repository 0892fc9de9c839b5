"""Follows the calls: what happens to them, in order, and what follows from it at once.

People who answer wait for nothing that a disk does: all news that came are applied in memory, with
the commands that follow from them, then stored together in one transaction; calls that ended are
closed one at a time between the news. While the database is slow or away the news go on being
applied; nobody is told meanwhile that anything is recorded, and no line is opened. Killed between
the two, the dialer finds at the PBX what it did not store (``dialer.reconcile``). Only a hangup of
ours is stored before it is ordered: else it would be taken for no answer; and nobody who answers
meanwhile is hung up on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from dialer import attempt as calls_
from dialer.attempt import UNANSWERED, Answered, Attempt, Detected, FindOperator, HangUp, advance
from dialer.live import Call, utc_now
from dialer.store import OperatorChange
from dialer.switchboard import LATE_TABULATION_SECONDS
from zanc_pipeline.common.errors import UnavailableError

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_AT_ONCE = 200
"""News that are stored together."""

SLOW_SECONDS = 0.05
"""While something is being stored for longer, news are applied beside it, again and again."""
MOST_ROUNDS = 5
"""What was applied meanwhile is stored next, and so on; then the others who need the lock come."""
AGAIN_SECONDS = 5.0
"""A call that could not be closed, by an error of ours, is tried again so much later."""


@dataclass
class Unstored:
    """What is to be stored: attempts as they stand, and what operators do, in order.

    ``hang_up`` are the calls that are hung up once it is stored.
    """

    attempts: dict[str, Attempt] = field(default_factory=dict)
    operators: list[OperatorChange] = field(default_factory=list)
    hang_up: list[Call] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.attempts or self.operators or self.hang_up)


class Course:
    """The news of the calls. Runs under the engine's lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._floor = engine, engine.floor
        self._news: deque[tuple[str, calls_.Event]] = deque()
        self._closing: deque[Call] = deque()
        """Calls that ended and are not closed yet."""
        self._stir = asyncio.Event()
        self._at_work = False

    @property
    def idle(self) -> bool:
        """Whether all news are applied and stored."""
        return not (self._news or self._closing or self._at_work)

    @property
    def behind(self) -> int:
        """Calls that ended and are not closed yet: the database is slower than the calls."""
        return len(self._closing)

    def unheard(self) -> frozenset[str]:
        """The attempts of which news wait to be applied."""
        return frozenset(attempt_id for attempt_id, _ in self._news)

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self._news.append((attempt_id, event))
        self._stir.set()

    async def run(self, lock: asyncio.Lock) -> None:
        """Follow the calls until cancelled."""
        while True:
            await self._stir.wait()
            async with lock:
                await self.follow()
            if not (self._news or self._closing):
                self._stir.clear()

    async def follow(self) -> None:
        """Apply and store the news that are there, and close one call that ended."""
        self._at_work = True
        try:
            unstored = Unstored()
            self._take_in(unstored)
            await self._store_all(unstored)
            if self._closing:
                later = Unstored()
                await self._beside(self._close(self._closing.popleft()), later)
                await self._store_all(later)
        finally:
            self._at_work = False

    def _take_in(self, unstored: Unstored) -> None:
        for _ in range(min(MOST_AT_ONCE, len(self._news))):
            self._guarded(*self._news.popleft(), unstored)

    async def _store_all(self, unstored: Unstored) -> None:
        """Store it, then what was applied meanwhile; hang up what may be hung up then."""
        for rounds_left in reversed(range(MOST_ROUNDS)):
            if not unstored:
                return
            later = Unstored()
            failed = await self._beside(self._store(unstored), later if rounds_left else None)
            self._hang_up(unstored.hang_up, but=failed)
            unstored = later

    async def _beside(self, work: Coroutine[None, None, T], later: Unstored | None) -> T:
        """Wait for ``work`` and apply meanwhile the news that come, to be stored ``later``."""
        task = asyncio.create_task(work)
        try:
            if later is not None:
                while not (await asyncio.wait([task], timeout=SLOW_SECONDS))[0]:
                    self._take_in(later)
            return await task
        finally:
            task.cancel()

    async def _store(self, unstored: Unstored) -> set[str]:
        """Store it all; the attempts that could not be stored, by an error of ours."""
        attempts, operators = list(unstored.attempts.values()), unstored.operators
        if not attempts and not operators:
            return set()
        if await self._stored(attempts, operators):
            return set()
        # One of them can't be stored: it holds none of the others back.
        failed = {one.id for one in attempts if not await self._stored([one], [])}
        for change in operators:
            await self._stored([], [change])
        return failed

    async def _stored(
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

    def _guarded(self, attempt_id: str, event: calls_.Event, unstored: Unstored) -> None:
        try:
            self._apply(attempt_id, event, unstored)
        except Exception:
            log.exception("dialer: attempt %s: %r was not applied", attempt_id, event)
            call = self._floor.calls.get(attempt_id)
            if call is not None:
                call.doubt()

    def _apply(self, attempt_id: str, event: calls_.Event, unstored: Unstored) -> None:
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
        for command in step.commands:
            self._execute(call, command, event.at, unstored)
        if step.attempt.ended and not before.ended:
            self._ended(call, unstored)
        else:
            self._went_on(call, before, unstored)
        # Last: should anything be wrong with the figures, the call goes on all the same.
        if isinstance(event, calls_.Refused):
            engine.pbxs.refused(call, event.reason, utc_now())
        elif step.attempt != before:
            engine.pbxs.went_on(call, before, utc_now())
        campaign = engine.campaigns.get(call.lead.campaign_id)
        if campaign is not None and not call.kept:
            campaign.pace.changed(before, step.attempt, utc_now(), call.expected)

    def _went_on(self, call: Call, before: Attempt, unstored: Unstored) -> None:
        attempt, switchboard = call.attempt, self._engine.switchboard
        if attempt.connected_at is not None and before.connected_at is None:
            unstored.operators += switchboard.talking(call, attempt)
        if attempt.abandoned and not before.abandoned:
            unstored.operators += switchboard.release(call)
        stored = replace(before, channel_seen=attempt.channel_seen, rang_out=attempt.rang_out)
        if attempt != stored:
            unstored.attempts[attempt.id] = attempt

    def _execute(
        self, call: Call, command: calls_.Command, at: datetime, unstored: Unstored
    ) -> None:
        """Do what follows from an event at ``at``, or have it done once that is stored."""
        match command:
            case FindOperator(failed=failed):
                call.waiting_since = at  # the PBX counts from then on, however late we hear of it
                unstored.operators += self._engine.switchboard.find(call, failed)
            case HangUp():
                unstored.hang_up.append(call)

    def _hang_up(self, calls: Sequence[Call], *, but: set[str]) -> None:
        """Hang up those that nobody answered while it was stored that we do."""
        answered = {
            attempt_id
            for attempt_id, event in self._news
            if calls and isinstance(event, Answered | Detected)
        }
        for call in calls:
            attempt, pbx = call.attempt, self._engine.pbxs.get(call.pbx)
            if pbx is None or attempt.state not in UNANSWERED or attempt.id in answered | but:
                continue
            try:
                pbx.hang_up(attempt.id)
            except UnavailableError as error:
                log.warning("dialer: attempt %s: %s", attempt.id, error)

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
        try:
            await engine.persist(lambda: engine.close(call, call.attempt, agent))
        except Exception:
            log.exception("dialer: attempt %s was not closed", call.attempt.id)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._to_close, call)

    def _to_close(self, call: Call) -> None:
        self._closing.append(call)
        self._stir.set()
