"""The next people of a campaign, looked for once for many claims.

To order all people who are due costs a database tens of milliseconds for each hundred thousand of
them; to claim one by its id costs nothing. What is looked for is used up within seconds, so who
comes due meanwhile, a better one perhaps, waits no longer than that. Nobody is claimed twice: the
claim itself looks again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

LONG_AGO = datetime.min.replace(tzinfo=UTC)
SIZE = 300
LIFE = timedelta(seconds=15)

Look = Callable[[datetime, int, int], Awaitable[list[int]]]
"""Ids of the people who are due at a moment, best first, at a local hour; at most so many."""


@dataclass
class Hopper:
    """Ids of a campaign's leads, best first."""

    _ids: deque[int] = field(default_factory=deque)
    _made_at: datetime = LONG_AGO
    _hour: int = -1
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def next(self, now: datetime, hour: int, look: Look) -> int | None:
        """The next lead to be claimed, None when nobody is due. Raises what ``look`` raises."""
        async with self._lock:
            fresh = self._made_at <= now < self._made_at + LIFE and hour == self._hour
            if not fresh or not self._ids:
                self._ids = deque(await look(now, hour, SIZE))
                self._made_at, self._hour = now, hour
            return self._ids.popleft() if self._ids else None
