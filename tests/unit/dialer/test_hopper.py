"""The people of a campaign who are next: looked for once for many claims, never for long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from dialer.hopper import LIFE, SIZE, Hopper

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


class Look:
    """People who are due; how often they were looked for."""

    def __init__(self, *ids: int) -> None:
        self.ids, self.asked = list(ids), list[tuple[datetime, int, int]]()

    async def __call__(self, now: datetime, hour: int, most: int) -> list[int]:
        self.asked.append((now, hour, most))
        await asyncio.sleep(0)
        found, self.ids = self.ids[:most], self.ids[most:]
        return found


async def test_many_claims_at_once_look_once_and_get_different_people() -> None:
    hopper, look = Hopper(), Look(*range(10))
    found = await asyncio.gather(*(hopper.next(NOW, 9, look) for _ in range(10)))
    assert (sorted(found), len(look.asked)) == (list(range(10)), 1)  # type: ignore[type-var]
    assert look.asked == [(NOW, 9, SIZE)]


async def test_it_is_filled_anew_when_empty_old_or_of_another_hour_or_clock() -> None:
    hopper, look = Hopper(), Look(*range(SIZE + 5))
    assert await hopper.next(NOW, 9, look) == 0
    for now, hour in ((NOW + LIFE, 9), (NOW + LIFE, 10), (NOW, 10)):
        before = len(look.asked)
        await hopper.next(now, hour, look)
        assert len(look.asked) == before + 1
    nobody = Look()
    hopper = Hopper()
    assert [await hopper.next(NOW + timedelta(seconds=n), 9, nobody) for n in (0, 1)] == [None] * 2
    assert len(nobody.asked) == 2
