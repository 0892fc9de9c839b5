"""The clock of a PBX beside ours: when by ours what it tells of happened.

A person who answered two seconds ago hears the safe message, so a second's difference matters; and
clocks drift apart, or are set, while a connection lasts for days.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from dialer.ami import SILENCE_SECONDS, Headers
from zanc_pipeline.common.errors import UnavailableError

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=1)
"""A clock that differs by more is told of; its times are corrected whenever it surely differs."""
EARLIEST, LATEST = -timedelta(seconds=0.5), timedelta(seconds=SILENCE_SECONDS)
"""Nothing is heard before it happened, or after a silence in which a connection is given up."""


class PbxClock:
    """How the clock of the PBX ``name`` differs from ours; ``ping`` asks it for its time."""

    def __init__(self, name: str, ping: Callable[[], Awaitable[Headers]]) -> None:
        self._name, self._ping = name, ping
        self.ahead = timedelta()
        """By how much it is before ours."""
        self._comparing: asyncio.Task[None] | None = None

    def moment(self, headers: Headers, heard: datetime) -> datetime:
        """When an event that was heard now happened, by our clock.

        What is late has the clocks compared; what can't be so late happened when it was heard.
        """
        told = _told(headers)
        if told is None:
            return heard
        at = told - self.ahead
        late = heard - at
        if not EARLIEST <= late <= TOLERANCE and self._comparing is None:
            self._comparing = asyncio.get_running_loop().create_task(self._compare_again())
        return min(at, heard) if EARLIEST <= late <= LATEST else heard

    async def compare(self) -> None:
        """Ask the PBX for its time; raises UnavailableError."""
        before = datetime.now(UTC)
        told = _told(await self._ping())
        after = datetime.now(UTC)
        if told is None:
            return
        # It said its time somewhere between the two, which may lie apart on a loaded machine.
        doubt = (after - before) / 2
        ahead = told - (before + doubt)
        if abs(ahead - self.ahead) <= doubt:
            return
        if abs(ahead - self.ahead) > TOLERANCE + doubt:
            seconds = ahead.total_seconds()
            log.warning("PBX %s: its clock is %+.1f s off ours", self._name, seconds)
        self.ahead = ahead

    async def _compare_again(self) -> None:
        try:
            await self.compare()
        except UnavailableError as error:
            log.info("dialer: PBX %s: %s", self._name, error)
        finally:
            self._comparing = None


def _told(headers: Headers) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(headers["Timestamp"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
