"""What a pacer learns of the floor: how long things last, and how many lines a person answers.

Everything is learned from what is seen, discounted by recent time, and needs no assumption about
the form of a distribution: the hazard of ending is estimated for each age, as ends divided by
exposure (Nelson-Aalen), so conversations still going on count too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

Floats = NDArray[np.float64]

HORIZON = 90
"""How far one looks ahead, in seconds (a line rings for 60 s at most)."""
OLDEST = 3600
"""Older than this, in seconds, is treated as this old."""
_BIRTHS = 20.0
"""The parts of a second in which the opening of a line is told."""
_MAX_HAZARD = 20.0
_MAX_WEIGHT = 1e9
_NONE: NDArray[np.intp] = np.zeros(0, dtype=np.intp)


def whole_seconds(ages: Sequence[float] | Floats) -> NDArray[np.intp]:
    """Ages as indices of tables by the second."""
    if len(ages) == 0:
        return _NONE
    seconds = np.array(ages, dtype=np.float64)
    np.fmax(seconds, 0.0, out=seconds)  # what is no number is 0
    np.fmin(seconds, OLDEST - 1.0, out=seconds)
    return seconds.astype(np.intp)


def _classes(first: float, growth: float) -> NDArray[np.intp]:
    """For each second of age its class; classes are ``first`` wide, then grow with the age."""
    seconds = np.arange(OLDEST + HORIZON, dtype=np.float64)
    classes = np.log1p(seconds * growth / first) / math.log1p(growth)
    steps: NDArray[np.intp] = np.minimum(classes, classes[OLDEST - 1]).astype(np.intp)
    return steps


class Hazard:
    """The rate of ending, per second, at each age. ``prior`` is the mean before anything is seen.

    ``memory`` is the time, in seconds, after which what was seen counts 1/e.
    """

    def __init__(self, *, prior: float, memory: float, first: float, growth: float) -> None:
        self._class = _classes(first, growth)
        self._width = np.bincount(self._class).astype(np.float64)
        size = len(self._width)
        self._ends, self._exposure = np.zeros(size), np.zeros(size)
        self._prior, self._memory = prior, memory
        # What comes later counts more, instead of what was before less: one number changes.
        self._weight = 1.0

    @property
    def seen(self) -> float:
        """How many ends are remembered."""
        return float(self._ends.sum()) / self._weight

    @property
    def exposed(self) -> float:
        """How many seconds of going on are remembered."""
        return float(self._exposure.sum()) / self._weight

    @property
    def ends(self) -> Floats:
        """How many ends are remembered, for each second of age as those of its class."""
        found: Floats = (self._ends / self._weight)[self._class]
        return found

    def end(self, age: float, count: float = 1.0) -> None:
        """Something ended at ``age``."""
        self._ends[self._class[min(OLDEST - 1, max(0, int(age)))]] += count * self._weight

    def fade(self, seconds: float) -> None:
        """So much time went by."""
        self._weight *= math.exp(seconds / self._memory)
        if self._weight > _MAX_WEIGHT:
            self._ends /= self._weight
            self._exposure /= self._weight
            self._weight = 1.0

    def expose(self, ages: NDArray[np.intp], seconds: float) -> None:
        """Things of these ages went on for ``seconds``."""
        if len(ages):
            there = np.bincount(self._class[ages])
            self._exposure[: len(there)] += seconds * self._weight * there

    def by_second(self) -> Floats:
        """The hazard for each second of age, up to OLDEST + HORIZON.

        Classes with little evidence lean on the mean over all ages (weight of 5 ends), and that on
        the prior (weight of 2 ends). What ended at an age was exposed at all younger ages, even
        if nobody looked.
        """
        ends = self._ends / self._weight
        older = np.cumsum(ends[::-1])[::-1] - ends / 2
        exposure = np.maximum(self._exposure / self._weight, older * self._width)
        mean = (ends.sum() + 2.0) / (exposure.sum() + 2.0 * self._prior)
        hazard = (ends + 5.0) / (exposure + 5.0 / mean)
        rates: Floats = np.minimum(hazard, _MAX_HAZARD)[self._class]
        return rates


def memoryless(ends: float, exposed: float) -> Floats:
    """The same of something that ended so often in so many seconds, at whatever age."""
    return np.full(OLDEST + HORIZON, min(_MAX_HAZARD, ends / max(exposed, 1e-9)))


def ended_by(hazard: Floats, ages: NDArray[np.intp]) -> Floats:
    """P(ended within u seconds | age) for u = 0 … HORIZON; a row for each age."""
    total = np.concatenate(([0.0], np.cumsum(hazard)))
    ahead = total[ages[:, None] + np.arange(HORIZON + 1)[None, :]]
    gone: Floats = -np.expm1(ahead[:, :1] - ahead)
    return gone


class AnswerRate:
    """The share of lines that a person answers, now.

    A slow and a fast mean, discounted by time. The slow one is precise; when the fast one
    contradicts it (by more than 2.5 standard errors), the slow one starts again from the fast one.
    So it does from the last few lines when more of them were answered than chance explains: too
    many people at once are lost, too few are not.
    Lines of which history expects something are measured against that: a change of hour or of
    segment is then no surprise.
    """

    SLOW, FAST = 9000.0, 180.0
    SLOW_LINES, FAST_LINES = 9000.0, 1000.0
    CONTRADICTION = 2.5
    LAST_LINES, RISE_CHANCE = 20.0, 1e-4
    HIGH, HIGH_LINES = 10_800.0, 100
    """How long, in seconds, a high rate is thought able to come back; of so many lines at least."""
    KNOWN_PEOPLE = 4.0
    """How many people's worth history weighs against what is seen today."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._slow, self._fast, self._last = [0.0] * 3, [0.0] * 3, [0.0] * 3
        self._high = 0.0
        self.lines = 0
        self.people = 0

    def resolved(self, at: float, *, person: bool, expected: float = 1.0) -> None:
        """A line ended, with or without a person; ``expected`` is the rate that history gave it."""
        elapsed = 0.0 if self._at is None else max(0.0, at - self._at)
        self._at = at if self._at is None else max(at, self._at)
        for counts, memory, count in (
            (self._slow, self.SLOW, self.SLOW_LINES),
            (self._fast, self.FAST, self.FAST_LINES),
            (self._last, self.FAST, self.LAST_LINES),
        ):
            fade = math.exp(-elapsed / memory - 1 / count)
            counts[0] = counts[0] * fade + 1
            counts[1] = counts[1] * fade + person
            counts[2] = counts[2] * fade + expected
        self.lines += 1
        self.people += person
        lines, people, known = self._fast
        if lines >= 30:
            slow = self._slow[1] / self._slow[2] * known / lines
            error = math.sqrt(max(slow * (1 - slow), 0.01) / lines)
            if abs(people / lines - slow) > self.CONTRADICTION * error:
                self._slow = [lines, people, known]
        if person and self.lines >= self.LAST_LINES and self._rose():
            self._slow, self._fast = list(self._last), list(self._last)
        self._high *= math.exp(-elapsed / self.HIGH)
        if self._slow[0] >= self.HIGH_LINES:
            self._high = max(self._high, self._slow[1] / self._slow[2])

    def _rose(self) -> bool:
        """Whether chance does not explain how many of the last lines were answered."""
        _, people, known = self._last
        mean = (self._slow[1] + 0.5) / (self._slow[2] + 1.0) * known
        return people > 2 * mean and gammainc(people, mean) < self.RISE_CHANCE

    def highest(self, expected: float = 1.0) -> float:
        """The highest rate of late, which may come back at any moment; 0 when little was seen."""
        return min(1.0, expected * self._high)

    def estimate(self, expected: float = 1.0) -> float:
        """The rate now, a share above 0, of lines of which history expects ``expected``."""
        _, people, known = self._slow
        if expected == 1.0:
            return (people + 0.5) / (known + 1.0)
        rate = expected * (people + self.KNOWN_PEOPLE) / (known + self.KNOWN_PEOPLE)
        return min(1.0, max(0.001, rate))

    def doubt(self) -> float:
        """The standard error of the rate, as a part of it."""
        return 1 / math.sqrt(self._slow[1] + 0.5)


class LineTimes:
    """When lines end, and which of them a person answered, by the seconds they have been open.

    Events carry no name of a line, so the lines that are gone between two looks at the open ones
    are those that ended; their answers are shared among them. When between the looks is not known:
    what is learned is spread over the time.
    """

    def __init__(self) -> None:
        self.ending = Hazard(prior=15.0, memory=3600.0, first=1.0, growth=0.02)
        self.answers = Hazard(prior=15.0, memory=3600.0, first=1.0, growth=0.02)
        self._open: Counter[int] = Counter()
        self._opened: list[float] = []

    def opened(self, at: float) -> None:
        """A line was opened."""
        self._opened.append(at)

    def look(
        self, now: float, ringing: Sequence[float], seconds: float, answered: int, ended: int
    ) -> None:
        """The open lines ``seconds`` after the last look, with what ended meanwhile."""
        self.ending.fade(seconds)
        self.answers.fade(seconds)
        births = Counter([_birth(now - age) for age in ringing])
        before = self._open
        before.update([_birth(at) for at in self._opened])
        gone = before - births
        self._open = births
        self._opened.clear()
        share = answered / ended if ended else 0.0
        left = ended
        for birth, count in gone.items():
            count = min(count, left)
            left -= count
            self._ended(now - (birth + 0.182) / _BIRTHS, seconds, count, share)
        self._ended(seconds, seconds, left, share)  # nobody told when these were opened
        steps = math.ceil(seconds)
        ages = np.array(ringing, dtype=np.float64)
        for step in range(steps):
            then = ages - (step + 0.5) / steps * seconds
            self.ending.expose(whole_seconds(then[then >= 0]), seconds / steps)

    def _ended(self, age: float, seconds: float, count: int, share: float) -> None:
        """Lines that would be ``age`` now ended in the last ``seconds``."""
        if count > 0:
            span = min(seconds, max(0.0, age))
            steps = math.ceil(span) or 1
            for step in range(steps):
                then = age - (step + 0.5) / steps * span
                self.ending.end(then, count / steps)
                self.answers.end(then, count / steps * share)

    def forget_open(self) -> None:
        """What was open is not known any more."""
        self._open.clear()
        self._opened.clear()

    def answered_by(self, ages: NDArray[np.intp]) -> Floats:
        """P(a person answers within u | age) for u = 0 … HORIZON, for an answer rate of 1.

        To be multiplied by the present answer rate: the form is learned over long, the rate changes
        within minutes. Ages at which few lines ended lean on all (weight of 5 ends).
        """
        ends, answers = self.ending.ends, self.answers.ends
        people = self.answers.seen
        share = (people + 0.5) / (self.ending.seen + 1.0)
        relative = (answers / share + 5.0) / (ends + 5.0)
        if people < 30:
            relative = np.ones_like(relative)
        gone = ended_by(self.ending.by_second(), ages)
        later = relative[ages[:, None] + np.arange(HORIZON)[None, :]]
        answered: Floats = np.zeros_like(gone)
        np.cumsum(np.diff(gone, axis=1) * later, axis=1, out=answered[:, 1:])
        return answered


def _birth(at: float) -> int:
    """When a line was opened, by which it is known again; the time of an event may differ a bit."""
    return math.floor(at * _BIRTHS + 0.318)
