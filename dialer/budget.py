"""How boldly lines may be opened: the abandoned share is held by what happens, not by forecasts.

The limit allows a number of abandoned people so far; the *room* is what is left of it. Two things
hold it:

**The control** aims a few people under the day's limit. ``boldness`` multiplies the lines that the
forecast asks for: more people lost than aimed at lower it, fewer raise it, a slow integral of the
same takes away what the forecast has wrong all day, as in adaptive conformal inference (Gibbs and
Candès, 2021), and each person short of a comfortable room in the hour lowers it further. The gains
are low on purpose: the abandoned share grows much faster than the occupancy, so swings of boldness
cost both.

**The guard** looks at the worst that the open lines may still bring. ``safe_answers`` says how many
answers may be expected from all of them so that, but for a small chance, no more people are lost
than there is room for: over the day, in every hour, and over the rolling 30 days. Lines that are no
more than the free operators and that room are safe whatever happens. An hour is every 60 minutes
that hold the people lost until now, those still to come too: they are reckoned with fewer answers
than now, since answers may become rare or operators leave. Times are in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import gammaincinv

from dialer.figures import percent

RESERVE, RESERVE_SHARE, MOST_RESERVE = 4.0, 0.02, 0.5
"""Aimed at are so many people fewer than the limit allows, plus a share of what it allows; at most
half of it."""
GAIN, INTEGRAL_SECONDS = 0.02, 1800.0
LARGE_HOUR = 150.0
"""Abandoned people an hour at which the gain is halved: a count that large also swings more."""
MAX_DRIFT = 1.5
HOUR_FACTOR = 5 / 3
"""The abandoned share of an hour may be so many times the limit of the day."""
HOUR_PEOPLE = 100
"""An hour of fewer answers is judged as one of so many: a share of few people says nothing."""
HOUR_LEFT = 0.6
"""The part of the present answers that the coming minutes are sure to bring."""
HOUR_COMFORT, HOUR_GAIN = 2.1, 0.04
"""Room in the hour, in standard deviations of the people an hour allows, and the part by which each
person short of it lowers the boldness."""
HOUR_CHANCE = 2e-3
"""The chance that the open lines lose more people than an hour has room for."""
DAY_CHANCE, DAY_KEPT_CHANCE = 2e-2, 1e-1
"""The same of the day, and that they touch the people kept back: a day has time to mend it."""
FIRST_CHANCE = 1e-2
"""The same while the day allows nobody yet: if it ends early, one person is above the limit."""
KEPT = 2.0
"""People of the day's room that are kept back."""
MINUTES = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """People who answered and were abandoned before: today, and in the 29 days before today."""

    day_answered: int = 0
    day_abandoned: int = 0
    month_answered: int = 0
    month_abandoned: int = 0


NOTHING = Past()


class LastHour:
    """People who answered and were abandoned in the last 60 minutes, by the minute."""

    def __init__(self) -> None:
        self._minutes: deque[list[int]] = deque()
        self._first: int | None = None
        self._room: tuple[float, int, int, int, float] | None = None
        self.answered = self.abandoned = 0

    def count(self, at: float, *, answered: int = 0, abandoned: int = 0) -> None:
        """Add what happened at ``at`` and forget what is older than an hour."""
        minute = int(at // 60)
        minutes = self._minutes
        if not minutes or minutes[-1][0] < minute:
            minutes.append([minute, 0, 0])
            if self._first is None:
                self._first = minute
            while minutes[0][0] <= minute - MINUTES:
                _, old_answered, old_abandoned = minutes.popleft()
                self.answered -= old_answered
                self.abandoned -= old_abandoned
        minutes[-1][1] += answered
        minutes[-1][2] += abandoned
        self.answered += answered
        self.abandoned += abandoned

    def pace(self) -> float:
        """How many people answer in an hour, by what was seen in this one."""
        if not self._minutes or self._first is None:
            return 0.0
        return self.answered * MINUTES / min(MINUTES, self._minutes[-1][0] - self._first + 1)

    def room(self, share: float) -> float:
        """How many more may be abandoned now with at most ``share`` in each hour that holds it."""
        if not self._minutes:
            return share * HOUR_PEOPLE
        now, answered, abandoned = self._minutes[-1][0], self.answered, self.abandoned
        seen = (share, now, answered, abandoned)
        if self._room is not None and self._room[:4] == seen:
            return self._room[4]
        room, coming = math.inf, HOUR_LEFT * self.pace() / MINUTES
        for minute, old_answered, old_abandoned in self._minutes:
            # The hour that begins with this minute, and has as many minutes to come.
            people = answered + coming * (minute + MINUTES - 1 - now)
            room = min(room, share * max(HOUR_PEOPLE, people) - abandoned)
            answered -= old_answered
            abandoned -= old_abandoned
        self._room = (*seen, room)
        return room


class Budget:
    """Counts the answered and the abandoned; ``limit`` is a share of the answered."""

    def __init__(self, limit: float, past: Past = NOTHING) -> None:
        self.limit = limit
        self.answered, self.abandoned = past.day_answered, past.day_abandoned
        self._past = past
        self._hour = LastHour()
        self._hour_room = 0.0
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

    def boldness(self, now: float) -> float:
        """The factor of the lines at ``now``; to be asked before the rest."""
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._hour.count(now)
        self._hour_room = self._hour.room(HOUR_FACTOR * self.limit)
        allowed = HOUR_FACTOR * self.limit * max(HOUR_PEOPLE, self._hour.pace())
        short = max(0.0, HOUR_COMFORT * math.sqrt(allowed) - self._hour_room)
        surplus = self._surplus()
        gain = GAIN / (1.0 + self.limit * self._hour.answered / LARGE_HOUR)
        integrated = max(-2.0, min(2.0, surplus))
        if short:  # what the hour holds back is no error of the forecast
            integrated = min(0.0, integrated)
        self._drift += gain * integrated * elapsed / INTEGRAL_SECONDS
        self._drift = max(-MAX_DRIFT, min(MAX_DRIFT, self._drift))
        return math.exp(gain * surplus + self._drift - HOUR_GAIN * short)

    def room(self) -> float:
        """How many more people may be abandoned; below 0 when a limit is passed already."""
        return min(self._day_room(), self._hour_room)

    def safe_answers(self, operators: float) -> float:
        """How many answers may be expected from all lines with so many ``operators`` for them."""
        day, hour = self._day_room(), self._hour_room
        allowed = self.limit * self.answered
        kept = min(KEPT, allowed / 2)
        chance = DAY_CHANCE if allowed >= 1 else FIRST_CHANCE
        more = math.floor(operators) + 1
        return min(
            _most_expected(more + math.floor(hour), HOUR_CHANCE),
            _most_expected(more + math.floor(day), chance),
            _most_expected(more + math.floor(day - kept), DAY_KEPT_CHANCE),
        )

    def told(self) -> str:
        """What was counted, in words."""
        told = f"{self.abandoned} de {self.answered} pessoas abandonadas hoje, "
        told += f"{self._hour.abandoned} de {self._hour.answered} na última hora"
        if self._past.month_answered:
            told += f", {self._past.month_abandoned + self.abandoned} em 30 dias"
        above = self._day_room() < 0
        return told + (f": acima de {percent(self.limit)}" if above else "")

    def _day_room(self) -> float:
        day = self.limit * self.answered - self.abandoned
        if self._past.month_answered:
            month = self.limit * self._past.month_answered - self._past.month_abandoned
            return min(day, day + month)
        return day

    def _surplus(self) -> float:
        """How many people fewer were lost than aimed at."""
        allowed = self.limit * self.answered
        reserve = min(RESERVE + RESERVE_SHARE * allowed, MOST_RESERVE * allowed)
        # A surplus is not saved for a burst: at most what a quarter of an hour's answers allow.
        return min(allowed - reserve - self.abandoned, 2.0 + self.limit * self._hour.answered / 4)


@lru_cache(maxsize=10_000)
def _most_expected(count: int, chance: float) -> float:
    """The mean of a Poisson number that is ``count`` or more with this chance."""
    return float(gammaincinv(count, chance)) if count > 0 else 0.0
