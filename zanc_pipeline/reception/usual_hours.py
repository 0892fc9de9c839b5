"""When a convênio's files usually arrive, learned from its own past. Pure: no clock, no database.

A convênio is expected on a weekday when files came on most of the last such days; it is late when
nearly all of its past days had begun by that hour. Who has sent nothing for weeks is not expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median

from zanc_pipeline.common.days import LOCAL

LEARNED_FROM_DAYS = 56
"""How far back arrivals count: eight of each weekday."""

ENOUGH_DAYS = 3
"""With fewer days of arrivals nothing is expected."""

_OF_WEEKDAYS = 0.5
"""Expected on a weekday when files came on more than this share of them."""

_LATE_SHARE = 0.95
_ROOM = timedelta(minutes=30)
"""On top of the hour by which nearly all past days had begun."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usual:
    """What is expected of a convênio on a day: its first file around ``at``, late after ``by``."""

    at: datetime
    by: datetime


def usual(arrivals: Iterable[datetime], day: date) -> Usual | None:
    """When the first file of ``day`` is expected, from earlier arrivals; None when it is not."""
    first: dict[date, time] = {}
    for moment in sorted(one.astimezone(LOCAL) for one in arrivals):
        if day - timedelta(days=LEARNED_FROM_DAYS) <= moment.date() < day:
            first.setdefault(moment.date(), moment.time())
    if len(first) < ENOUGH_DAYS or not _comes_on(first, day):
        return None
    same = [at for when, at in first.items() if when.weekday() == day.weekday()]
    seconds = sorted(map(_seconds, same if len(same) >= ENOUGH_DAYS else first.values()))
    latest = seconds[min(int(_LATE_SHARE * len(seconds)), len(seconds) - 1)]
    start = datetime.combine(day, time(), LOCAL)
    return Usual(
        at=start + timedelta(seconds=median(seconds)),
        by=start + timedelta(seconds=latest) + _ROOM,
    )


def _comes_on(first: dict[date, time], day: date) -> bool:
    """Whether most of the last days of this weekday brought a file, since the first one known."""
    known = min(first)
    days = [day - timedelta(weeks=week) for week in range(1, LEARNED_FROM_DAYS // 7 + 1)]
    days = [one for one in days if one >= known]
    if days:
        return _share(days, first) > _OF_WEEKDAYS
    # Less than a week of history: a day like the last ones, weekends apart.
    return day.weekday() < 5 or any(one.weekday() >= 5 for one in first)


def _share(days: Sequence[date], first: dict[date, time]) -> float:
    return sum(one in first for one in days) / len(days)


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second
