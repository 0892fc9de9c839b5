"""Compares the calls that we believe in with the channels and the records of the PBXs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from dialer.attempt import Confirmed, Connected, Event, State
from dialer.live import Call, Floor, utc_now
from dialer.pbx import Pbx
from dialer.truth import judge
from zanc_pipeline.common.errors import UnavailableError

log = logging.getLogger(__name__)

COMPARE_SECONDS, SUSPECT_SECONDS = 15.0, 2.0
SETTLE_SECONDS = 3.0
"""An attempt younger than this may not have its channel yet."""
PBX_DEAD_SECONDS, PBX_LOST_SECONDS, TALK_LOST_SECONDS = 5.0, 30.0, 180.0
"""Out of reach for so long, a PBX's calls are judged without it: when nobody listens at its address
any more; else the calls in which nobody talks; and those in which somebody does, who may go on."""
STALE_SECONDS = 10.0
"""An order to dial that went by an earlier connection may arrive so late; until then it is not
said that nothing was dialled."""


class Reconciler:
    """Ends by the records the calls whose end nobody saw; what it finds goes to ``notice``."""

    def __init__(
        self,
        floor: Floor,
        pbxs: Mapping[str, Pbx],
        notice: Callable[[str, Event], None],
        ended: Callable[[list[str]], Awaitable[list[str]]],
    ) -> None:
        """``ended`` gives those of some attempts that are ours and ended."""
        self._floor, self._pbxs, self._notice = floor, pbxs, notice
        self._ended = ended
        self._connected_at: dict[str, datetime] = {}
        self._swept: set[str] = set()
        self._away_since: dict[str, datetime] = {}
        self._compared_at: dict[str, datetime] = {}

    def pbx_changed(self) -> None:
        """A PBX came or went: what its calls are doing must be asked."""
        changed = set()
        for name, pbx in self._pbxs.items():
            if not pbx.connected:
                if name not in self._away_since:
                    self._away_since[name] = utc_now()
                    changed.add(name)
                self._connected_at.pop(name, None)
                self._swept.discard(name)
            elif name not in self._connected_at:
                self._away_since.pop(name, None)
                self._connected_at[name] = utc_now()
                changed.add(name)
        for call in self._floor.calls.values():
            if call.pbx in changed:
                call.doubt()

    def clock_set_back(self, now: datetime) -> None:
        """Let nothing wait for a moment that is to come once more."""
        for moments in (self._connected_at, self._away_since, self._compared_at):
            for name, moment in moments.items():
                moments[name] = min(moment, now)

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            for pbx in list(self._pbxs.values()):
                try:
                    await self._compare(pbx)
                except UnavailableError as error:
                    log.info("dialer: PBX %s: %s", pbx.name, error)
                except Exception:
                    log.exception("dialer: PBX %s could not be compared", pbx.name)
            await asyncio.sleep(SUSPECT_SECONDS)

    async def _compare(self, pbx: Pbx) -> None:
        now = utc_now()
        mine = [
            call
            for call in self._floor.calls.values()
            if call.pbx == pbx.name
            and not call.attempt.ended
            and (now - call.sent_at).total_seconds() >= SETTLE_SECONDS
        ]
        if not pbx.connected:
            away = (now - self._away_since.get(pbx.name, now)).total_seconds()
            await self._judge(pbx, [call for call in mine if away >= _patience(pbx, call)], None)
            return
        if pbx.name not in self._swept:
            await self._sweep(pbx)
        if not mine:
            return
        last = self._compared_at.get(pbx.name)
        recent = last is not None and (now - last).total_seconds() < COMPARE_SECONDS
        if recent and not any(call.unconfirmed or call.missing for call in mine):
            return
        doubts = {call.attempt.id: call.doubts for call in mine}
        live = await pbx.live()
        self._compared_at[pbx.name] = now
        lost = []
        for call in mine:
            proofs = live.attempts.get(call.attempt.id)
            if proofs is None:
                call.missing += 1
                # Twice, some time apart: its channel may be about to appear, its record too.
                if call.missing >= 2:
                    lost.append(call)
                continue
            call.missing = 0
            for event in proofs:
                self._notice(call.attempt.id, event)
            # After them, in the same queue: an end that is in it already came without them.
            confirmed = Confirmed(at=now, doubts=doubts[call.attempt.id])
            self._notice(call.attempt.id, confirmed)
        await self._judge(pbx, lost, live.started_at)

    async def _sweep(self, pbx: Pbx) -> None:
        """End the calls that it kept, after we had to judge that they were lost.

        But for those in which an operator talks: they end by themselves.
        """
        live = await pbx.live()
        left = [
            attempt_id
            for attempt_id, proofs in live.attempts.items()
            if attempt_id not in self._floor.calls
            and not any(isinstance(proof, Connected) for proof in proofs)
        ]
        for attempt_id in await self._ended(left) if left else []:
            log.warning("dialer: attempt %s ended, its call at %s too", attempt_id, pbx.name)
            pbx.hang_up(attempt_id)
        self._swept.add(pbx.name)

    async def _judge(self, pbx: Pbx, lost: list[Call], started_at: datetime | None) -> None:
        if not lost:
            return
        records = await pbx.records([call.attempt.id for call in lost])
        for call in lost:
            verdict = judge(
                call.attempt,
                None if records is None else records.get(call.attempt.id, []),
                pbx_started_at=started_at,
                now=utc_now(),
            )
            if not verdict.placed and self._may_come_yet(pbx, call):
                continue
            log.info(
                "dialer: attempt %s ended unseen: %s%s",
                call.attempt.id,
                verdict.outcome.value,
                "" if verdict.placed else ", never placed",
            )
            self._notice(call.attempt.id, verdict)

    def _may_come_yet(self, pbx: Pbx, call: Call) -> bool:
        connected_at = self._connected_at.get(pbx.name)
        if connected_at is None or call.sent_at >= connected_at:
            return False
        return (utc_now() - connected_at).total_seconds() < STALE_SECONDS


def _patience(pbx: Pbx, call: Call) -> float:
    """For how many seconds a PBX that is out of reach is waited for."""
    if pbx.dead:
        return PBX_DEAD_SECONDS
    return TALK_LOST_SECONDS if call.attempt.state is State.TALKING else PBX_LOST_SECONDS
