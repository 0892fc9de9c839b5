"""How boldly lines may be opened: the abandoned share is held by what happens, not by forecasts.

The limit allows a number of abandoned people so far; the *room* is what is left of it. ``boldness``
multiplies the lines that the forecast asks for. A room above a small reserve raises it, one below
lowers it, and a slow integral of the same takes away what the forecast has wrong all day, as in
adaptive conformal inference (Gibbs and Candès, 2021). The gain is low on purpose: the
abandoned share grows much faster than the occupancy, so swings of boldness cost both.

When the room for one or two more people is gone, over the day, the last hour or the rolling 30
days, lines are held back at once, and when the limit is well passed they stop. While the limit
allows only a handful of people in all (a short day), nobody is risked beyond it: a share can't be
mended when the day ends early. Times are in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from dialer.figures import percent

RESERVE, RESERVE_SHARE, MOST_RESERVE = 3.5, 0.02, 0.5
"""Aimed at are so many people fewer than the limit allows, plus a share of what it allows; at most
half of it."""
GAIN, INTEGRAL_SECONDS = 0.05, 1800.0
LARGE_HOUR = 150.0
"""Abandoned people an hour at which the gain is halved: a count that large also swings more."""
MAX_DRIFT = 1.5
HOUR_FACTOR = 5 / 3
"""The abandoned share of an hour may be so many times the limit of the day."""
HOUR_RESERVE = 1.0
"""People fewer than that, so that the next one does not pass it."""
HOUR_PEOPLE = 40
"""Answers below which an hour is not judged by itself."""
HELD_BACK = ((0.0, 0.55), (1.0, 0.8), (2.0, 1.0))
"""Room for so many more people, and the part of the boldness that is left."""
STOP_ROOM = -2.0
SMALL_DAY = 3.0
"""A day that allows fewer abandoned people than this is small: the next one must fit too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """People who answered and were abandoned before: today, and in the 29 days before today."""

    day_answered: int = 0
    day_abandoned: int = 0
    month_answered: int = 0
    month_abandoned: int = 0


NOTHING = Past()


class LastHour:
    """People who answered and were abandoned in the last 3,600 s, by the minute."""

    def __init__(self) -> None:
        self._minutes: deque[list[int]] = deque()
        self.answered = self.abandoned = 0

    def count(self, at: float, *, answered: int = 0, abandoned: int = 0) -> None:
        """Add what happened at ``at`` and forget what is older than an hour."""
        minute = int(at // 60)
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append([minute, 0, 0])
        self._minutes[-1][1] += answered
        self._minutes[-1][2] += abandoned
        self.answered += answered
        self.abandoned += abandoned
        while self._minutes[0][0] <= minute - 60:
            _, old_answered, old_abandoned = self._minutes.popleft()
            self.answered -= old_answered
            self.abandoned -= old_abandoned


class Budget:
    """Counts the answered and the abandoned; ``limit`` is a share of the answered."""

    def __init__(self, limit: float, past: Past = NOTHING) -> None:
        self.limit = limit
        self.answered, self.abandoned = past.day_answered, past.day_abandoned
        self._past = past
        self._hour = LastHour()
        self._drift = 0.0
        self._at: float | None = None

    def person(self, at: float) -> None:
        """A person answered."""
        self.answered += 1
        self._hour.count(at, answered=1)

    def lost(self, at: float) -> None:
        """A person was abandoned."""
        self.abandoned += 1
        self._hour.count(at, abandoned=1)

    def boldness(self, now: float) -> tuple[float, str]:
        """The factor of the lines, 0 for none in advance, and in words what holds it back."""
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._hour.count(now)
        allowed = self.limit * self.answered
        day = allowed - self.abandoned
        told = f"{self.abandoned} de {self.answered} pessoas abandonadas hoje, "
        told += f"{self._hour.abandoned} de {self._hour.answered} na última hora"
        if self._past.month_answered:
            told += f", {self._past.month_abandoned + self.abandoned} em 30 dias"
        if allowed < SMALL_DAY and day < 1.0:
            return 0.0, f"{told}: mais uma passaria de {percent(self.limit)}"
        # A surplus is not saved for a burst: at most what a quarter of an hour's answers allow.
        reserve = min(RESERVE + RESERVE_SHARE * allowed, MOST_RESERVE * allowed)
        surplus = min(day - reserve, 2.0 + self.limit * self._hour.answered / 4)
        gain = GAIN / (1.0 + self.limit * self._hour.answered / LARGE_HOUR)
        self._drift += gain * max(-2.0, min(2.0, surplus)) * elapsed / INTEGRAL_SECONDS
        self._drift = max(-MAX_DRIFT, min(MAX_DRIFT, self._drift))
        hour = HOUR_FACTOR * self.limit * self._hour.answered - self._hour.abandoned - HOUR_RESERVE
        room = min(day, hour) if self._hour.answered >= HOUR_PEOPLE else day
        if self._past.month_answered:
            month = day + self.limit * self._past.month_answered - self._past.month_abandoned
            room = min(room, month)
        if room < STOP_ROOM:
            return 0.0, f"{told}: acima de {percent(self.limit)}"
        bold = math.exp(gain * surplus + self._drift)
        if room >= HELD_BACK[-1][0]:
            return bold, ""
        return bold * _held_back(room), f"contido, {told}"


def _held_back(room: float) -> float:
    if room <= HELD_BACK[0][0]:
        return HELD_BACK[0][1]
    for (low, part), (high, more) in pairwise(HELD_BACK):
        if room < high:
            return part + (more - part) * (room - low) / (high - low)
    return HELD_BACK[-1][1]
