"""Predictive pacing: more lines than free operators, because most lines are not answered.

**The rule.** In the exact optimum of a memoryless floor (``dialer.optimum``) the answers expected
from the open lines grow in a straight line with the number of free operators, from about one line's
worth at one free operator; with more operators the line is steeper (10 to 100 operators: 0.7 to
1.9 answers for each). We open lines up to that line:

    expected answers = slope · operators^0.38 · (1 − rate)^−1 · boldness · available − offset

(the more lines are answered, the less their number strays) but never for more answers than there
will be operators, as at the start of a shift.

**The forecast** makes it serve floors that remember. Answers are expected from each line by the
seconds it has rung. Available are the free operators, less the people who wait, plus those expected
within the time that a person waits, plus a part of those expected in the time to an answer beyond
what a memoryless floor would free: each by the seconds the conversation or wrap-up has lasted.

``snapshot.expected`` and the events' are the answer rates that history gives to the hour and the
mailing segment: what is seen today corrects them.

**The control** of the abandoned share is ``dialer.budget``'s boldness. With too little evidence, or
too many abandoned, one line is opened for each free operator. Times are in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialer.budget import NOTHING, Budget, Past
from dialer.figures import decimal, percent
from dialer.floor import Abandoned, Answered, Dialed, Event, NotAnswered, Ready, Released, Snapshot
from dialer.forecast import (
    HORIZON,
    OLDEST,
    AnswerRate,
    Floats,
    Hazard,
    LineTimes,
    ended_by,
    memoryless,
    whole_seconds,
)

SLOPE, SLOPE_POWER, OFFSET = 0.264, 0.38, 0.7
"""The rule's figures, from the optima of 10 to 100 operators and shifts with a wait of 2 s."""
MOST_CERTAIN = 0.5
"""Answer rates above are taken as this."""
BEYOND = 0.4
"""The part of the operators coming free beyond the usual that is counted on."""
CAUTION = 0.7
"""Answers stay so many standard deviations under the operators there are for them."""
LEARN_SECONDS = 1.0
"""How often ages are noted."""
TABLE_SECONDS, TABLE_PART, LONGEST_TABLE = 20.0, 0.02, 120.0
"""How often chances are reckoned anew: the longer one has looked, the less they change."""
LONGEST_GAP = 10.0
"""Between looks further apart one cannot tell when lines ended."""
MIN_LINES, MIN_PEOPLE = 40, 5
"""Evidence without which one line is opened for each free operator."""
MIN_CONVERSATIONS = 10
"""Ended conversations without which nobody is expected to come free."""
FALLEN = 1.5
"""An answer rate that was so many times the present one may come back: no more lines are opened
than would then bring the answers that can be served or lost."""
MOST_LINES = 6
"""Lines for each operator that are never exceeded."""
LONGEST_WAIT = 10.0

_AGES = np.unique(np.round(np.expm1(np.linspace(0, math.log1p(OLDEST - 1), 90)))).astype(np.intp)
_ROW = np.searchsorted(_AGES, np.arange(OLDEST), side="right") - 1


@dataclass(frozen=True, slots=True)
class Chances:
    """By second of age: of coming free within the wait and until an answer, and of an answer.

    ``usual`` is the chance to come free until an answer on a floor without memory; ``ahead`` the
    seconds until an answer.
    """

    talk: Floats
    wrapup: Floats
    line: Floats
    usual: float
    ahead: float


class Predictor:
    """The predictive mode of one campaign: learns from events and snapshots, answers with lines."""

    def __init__(self, *, max_abandon: float, max_wait: float, past: Past = NOTHING) -> None:
        self._wait = min(max_wait, LONGEST_WAIT)
        self._budget = Budget(max_abandon, past)
        self._rate = AnswerRate()
        self._line_times = LineTimes()
        self._talk = Hazard(prior=120.0, memory=7200.0, first=5.0, growth=0.1)
        self._wrapup = Hazard(prior=20.0, memory=7200.0, first=2.0, growth=0.1)
        self._conversations = 0
        self._answered = self._ended = 0
        self._learned_at = -math.inf
        self._began: float | None = None
        self._chances: tuple[float, Chances] | None = None
        """Until when they serve, and the chances."""

    def observe(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case Dialed(at=at):
                self._line_times.opened(at)
            case Answered(at=at, expected=expected):
                self._budget.person(at)
                self._rate.resolved(at, person=True, expected=expected)
                self._answered += 1
                self._ended += 1
            case NotAnswered(at=at, expected=expected):
                self._rate.resolved(at, person=False, expected=expected)
                self._ended += 1
            case Abandoned(at=at):
                self._budget.lost(at)
            case Released(talk_seconds=seconds):
                self._talk.end(seconds)
                self._conversations += 1
            case Ready(wrapup_seconds=seconds):
                self._wrapup.end(seconds)

    def lines(self, snapshot: Snapshot) -> tuple[int, str]:
        """How many lines to open now, and why."""
        busy, wrapup = whole_seconds(snapshot.busy_agents), whole_seconds(snapshot.wrapup_agents)
        ringing = whole_seconds(snapshot.ringing)
        self._learn(snapshot, busy, wrapup)
        free = max(0, snapshot.unclaimed)
        boldness = self._budget.boldness(snapshot.now)
        if self._rate.lines < MIN_LINES or self._rate.people < MIN_PEOPLE:
            return free, (
                f"{free} linhas, uma por operador livre: só {self._rate.people} de"
                f" {self._rate.lines} linhas foram atendidas, pouco para prever"
            )
        chances = self._reckoned(snapshot.now)
        working = len(busy) + len(wrapup)
        within_wait, until_answer = chances.talk[busy].sum(axis=0).tolist()
        if len(wrapup):
            more_within, more_until = chances.wrapup[wrapup].sum(axis=0).tolist()
            within_wait += more_within
            until_answer += more_until
        if self._conversations < MIN_CONVERSATIONS:
            within_wait = until_answer = 0.0
        present = snapshot.idle_agents - len(snapshot.waiting)
        available = present + within_wait + BEYOND * (until_answer - working * chances.usual)
        operators = max(0, snapshot.idle_agents) + working
        rate, doubt = self._rate.estimate(snapshot.expected), self._rate.doubt()
        slope = SLOPE * operators**SLOPE_POWER / (1 - min(rate, MOST_CERTAIN))
        wanted = slope * boldness * available - OFFSET
        most = max(0.0, present + until_answer)
        wanted = min(wanted, (most - CAUTION * math.sqrt(most)) / (1 + doubt))
        safe = self._budget.safe_answers(
            present + max(0.0, until_answer - math.sqrt(until_answer))
        ) / (1 + doubt)
        safe = max(safe, rate * (present + max(0, math.floor(self._budget.room()))))
        expected = rate * float(chances.line[ringing].sum())
        lines = math.floor((min(wanted, safe) - expected) / (rate * float(chances.line[0])) + 0.5)
        held = self._budget.told() if safe < wanted else ""
        if held and lines <= free:
            return free, f"{free} linhas, uma por operador livre: {held}"
        lines = min(lines, MOST_LINES * operators - len(ringing))
        highest = self._rate.highest(snapshot.expected)
        if highest > FALLEN * rate:
            served = present + until_answer + max(0.0, self._budget.room())
            lines = min(lines, math.floor(served / highest) - len(ringing))
        lines = max(free, lines)
        return lines, (
            f"{lines} linhas: {snapshot.idle_agents} operadores livres e mais "
            f"{decimal(until_answer)} em {chances.ahead:.0f} s; {len(ringing)} linhas chamando, "
            f"das quais se esperam {decimal(expected)} atendidas ({percent(rate)} atendem)"
            + (f"; contido, {held}" if held else "")
        )

    def _learn(self, snapshot: Snapshot, busy: NDArray[np.intp], wrapup: NDArray[np.intp]) -> None:
        elapsed = snapshot.now - self._learned_at
        if elapsed < LEARN_SECONDS:
            return
        self._learned_at = snapshot.now
        answered, ended = self._answered, self._ended
        self._answered = self._ended = 0
        if elapsed > LONGEST_GAP:
            self._line_times.forget_open()
            return
        self._line_times.look(snapshot.now, snapshot.ringing, elapsed, answered, ended)
        for hazard, ages in ((self._talk, busy), (self._wrapup, wrapup)):
            hazard.fade(elapsed)
            hazard.expose(ages, elapsed)

    def _reckoned(self, now: float) -> Chances:
        """The chances as of now, or as they were reckoned not long ago."""
        if self._chances is not None and now < self._chances[0]:
            return self._chances[1]
        answered = self._line_times.answered_by(_AGES)
        ahead = float(HORIZON - (answered[0] / answered[0, -1]).sum())
        moments = np.array([self._wait, self._wait + ahead])
        talk, wrapup = self._talk.by_second(), self._wrapup.by_second()
        if self._wrapup.seen < self._talk.seen / 2:  # nobody tells when one ends, or there is none
            wrapup = memoryless(self._talk.seen, self._wrapup.exposed)
        over_talk, over_wrapup = ended_by(talk, _AGES), ended_by(wrapup, _AGES)
        seconds = np.arange(HORIZON + 1)
        left = moments[None, :] - seconds[:-1, None] - 0.5
        both = np.where(left > 0, np.interp(left, seconds, over_wrapup[0]), 0.0)
        handling = _mean(talk) + _mean(wrapup)
        chances = Chances(
            talk=(np.diff(over_talk, axis=1) @ both)[_ROW],
            wrapup=np.stack([np.interp(moments, seconds, row) for row in over_wrapup])[_ROW],
            line=answered[:, -1][_ROW],
            usual=-math.expm1(-float(moments[1]) / handling),
            ahead=ahead,
        )
        if self._began is None:
            self._began = now
        lasts = min(LONGEST_TABLE, max(TABLE_SECONDS, TABLE_PART * (now - self._began)))
        self._chances = now + lasts, chances
        return chances


def _mean(hazard: Floats) -> float:
    """The mean time of something that ends with this hazard by the second."""
    return float(np.exp(-np.cumsum(hazard)).sum()) + 0.5
