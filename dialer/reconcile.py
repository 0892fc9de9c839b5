"""Compares the calls that we believe in with the channels and the records of the PBXs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from dialer.attempt import Event
from dialer.live import Call, Floor, utc_now
from dialer.pbx import Pbx
from dialer.truth import judge
from zanc_pipeline.common.errors import UnavailableError

log = logging.getLogger(__name__)

COMPARE_SECONDS, SUSPECT_SECONDS = 15.0, 2.0
SETTLE_SECONDS = 3.0
"""An attempt younger than this may not have its channel yet."""
PBX_LOST_SECONDS = 30.0
"""Out of reach for so long, a PBX's calls are judged without it."""


class Reconciler:
    """Ends by the records the calls whose end nobody saw; what it finds goes to ``notice``."""

    def __init__(
        self, floor: Floor, pbxs: Mapping[str, Pbx], notice: Callable[[str, Event], None]
    ) -> None:
        self._floor, self._pbxs, self._notice = floor, pbxs, notice
        self._away_since: dict[str, datetime] = {}
        self._compared_at: dict[str, datetime] = {}

    def pbx_changed(self) -> None:
        """A PBX came or went: what its calls are doing must be asked."""
        for name, pbx in self._pbxs.items():
            if pbx.connected:
                self._away_since.pop(name, None)
            else:
                self._away_since.setdefault(name, utc_now())
        for call in self._floor.calls.values():
            call.unconfirmed = True

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
        if not mine:
            return
        if not pbx.connected:
            since = self._away_since.get(pbx.name, now)
            if (now - since).total_seconds() >= PBX_LOST_SECONDS:
                await self._judge(pbx, mine, None)
            return
        last = self._compared_at.get(pbx.name)
        recent = last is not None and (now - last).total_seconds() < COMPARE_SECONDS
        if recent and not any(call.unconfirmed for call in mine):
            return
        live = await pbx.live()
        self._compared_at[pbx.name] = now
        lost = []
        for call in mine:
            proofs = live.attempts.get(call.attempt.id)
            if proofs is None:
                call.missing += 1
                call.unconfirmed = True
                # Twice, some time apart: its channel may be about to appear, its record too.
                if call.missing >= 2:
                    lost.append(call)
                continue
            call.missing, call.unconfirmed = 0, False
            for event in proofs:
                self._notice(call.attempt.id, event)
        if lost:
            await self._judge(pbx, lost, live.started_at)

    async def _judge(self, pbx: Pbx, lost: list[Call], started_at: datetime | None) -> None:
        records = await pbx.records([call.attempt.id for call in lost])
        for call in lost:
            verdict = judge(
                call.attempt,
                None if records is None else records.get(call.attempt.id, []),
                pbx_started_at=started_at,
                now=utc_now(),
            )
            log.info(
                "dialer: attempt %s ended unseen: %s%s",
                call.attempt.id,
                verdict.outcome.value,
                "" if verdict.placed else ", never placed",
            )
            self._notice(call.attempt.id, verdict)
