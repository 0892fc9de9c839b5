"""Pacers to compare ours with in simulation, written from their published rules.

VICIdial (``AST_VDadapt.pl``, ``AST_VDauto_dial.pl``): every 15 s the dial level is multiplied by
1 + the mean of (free operators − people waiting) / operators logged in; over the limit of the day's
abandoned share it falls to 1 (method "hard limit"). Every 2.5 s it opens ``round(level × (free + in
call)) − active lines``, or with the "available only" tally ``round(level × free) + in call − active
lines``.

Issabel's call centre (``Predictor.class.php``, its notes on predictive and overcommit): every 3 s
it opens free operators + those in a call who will have ended it by the time somebody answers with
P ≥ 97 % (an exponential law of the mean call), less the lines under way, people waiting included;
with "overcommit" divided by the answered share of the last 30 minutes, taken to be 20 % at least.
Both need 10 calls before.

Webitel (its predictive dialer's parameters, the view ``cc_distribute_stats``): from what the last
hour brought, recalculated every 30 s, it opens 1 / answered share lines, at most ``max_lines``, for
each operator who is free or, by the mean handling time, about to be when somebody answers. It is
progressive before ``MIN_ATTEMPTS`` conversations and while more than the limit are abandoned.

Times are in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from dialer.floor import (
    Abandoned,
    Answered,
    Dialed,
    Event,
    NotAnswered,
    Ready,
    Released,
    Snapshot,
)

ADAPT_SECONDS, DIAL_SECONDS = 15.0, 2.5
ISSABEL_SECONDS, ISSABEL_WINDOW, ISSABEL_SURE, LEAST_SHARE, LEAST_CALLS = 3.0, 1800.0, 0.97, 0.2, 10
WEBITEL_SECONDS, WEBITEL_WINDOW, MIN_ATTEMPTS = 30.0, 3600.0, 10


@dataclass
class VicidialPacer:
    """VICIdial's adaptive dial level; ``available_only`` chooses its tally of lines to dial."""

    max_level: float = 3.0
    max_abandon: float = 0.03
    available_only: bool = False
    answered: int = field(default=0, init=False)
    abandoned: int = field(default=0, init=False)
    level: float = field(default=1.0, init=False)
    _adapts_at: float = field(default=ADAPT_SECONDS, init=False)
    _dials_at: float = field(default=0.0, init=False)
    _differences: list[float] = field(default_factory=list, init=False)

    def observe(self, event: Event) -> None:
        """Count who answered and who was abandoned."""
        match event:
            case Answered():
                self.answered += 1
            case Abandoned():
                self.abandoned += 1

    def calls_to_place(self, snapshot: Snapshot) -> int:
        """Lines to open, if its next look at the floor is due."""
        in_call = len(snapshot.busy_agents)
        operators = snapshot.idle_agents + in_call + len(snapshot.wrapup_agents)
        self._differences.append(snapshot.idle_agents - len(snapshot.waiting))
        if snapshot.now >= self._adapts_at:
            self._adapts_at = snapshot.now + ADAPT_SECONDS
            mean = sum(self._differences) / len(self._differences)
            self._differences.clear()
            level = self.level * (1 + mean / max(1, operators))
            if self.abandoned > self.max_abandon * self.answered:
                level = 1.0
            self.level = min(self.max_level, max(1.0, level))
        if snapshot.now < self._dials_at:
            return 0
        self._dials_at = snapshot.now + DIAL_SECONDS
        active = in_call + len(snapshot.ringing) + len(snapshot.waiting)
        if self.available_only:
            goal = round(self.level * snapshot.idle_agents) + in_call
        else:
            goal = round(self.level * (snapshot.idle_agents + in_call))
        return max(0, goal - active)

    def why(self) -> str:
        """The level, which decides."""
        return f"dial level {self.level:.2f}"


@dataclass
class _History:
    """What the lines of the last ``window`` seconds came to, and how long things take."""

    window: float
    ended: deque[tuple[float, bool]] = field(default_factory=deque, init=False)
    answered: int = field(default=0, init=False)
    abandoned: deque[float] = field(default_factory=deque, init=False)
    _open: deque[float] = field(default_factory=deque, init=False)
    _lines: int = field(default=0, init=False)
    _line_seconds: float = field(default=0.0, init=False)
    talks: int = field(default=0, init=False)
    _talk_seconds: float = field(default=0.0, init=False)
    _wraps: int = field(default=0, init=False)
    _wrap_seconds: float = field(default=0.0, init=False)

    def observe(self, event: Event) -> None:
        """Count it."""
        match event:
            case Dialed(at=at):
                self._open.append(at)
            case Answered(at=at) | NotAnswered(at=at):
                self.ended.append((at, isinstance(event, Answered)))
                self.answered += isinstance(event, Answered)
                if self._open:  # which line it was does not matter to their mean
                    self._lines += 1
                    self._line_seconds += at - self._open.popleft()
            case Abandoned(at=at):
                self.abandoned.append(at)
            case Released(talk_seconds=seconds):
                self.talks += 1
                self._talk_seconds += seconds
            case Ready(wrapup_seconds=seconds):
                self._wraps += 1
                self._wrap_seconds += seconds

    def forget(self, now: float) -> None:
        """Leave out what is older than the window."""
        while self.ended and self.ended[0][0] < now - self.window:
            self.answered -= self.ended.popleft()[1]
        while self.abandoned and self.abandoned[0] < now - self.window:
            self.abandoned.popleft()

    @property
    def share(self) -> float:
        """Of the lines that ended, those that a person answered."""
        return self.answered / len(self.ended) if self.ended else 0.0

    @property
    def line(self) -> float:
        """Mean seconds from the dialling to the outcome."""
        return self._line_seconds / self._lines if self._lines else 0.0

    @property
    def talk(self) -> float:
        """Mean seconds of a conversation."""
        return self._talk_seconds / self.talks if self.talks else math.inf

    @property
    def handling(self) -> float:
        """Mean seconds of a conversation and its wrap-up."""
        return self.talk + (self._wrap_seconds / self._wraps if self._wraps else 0.0)


@dataclass
class IssabelPacer:
    """Issabel's prediction of operators who come free, with or without "overcommit"."""

    overcommit: bool = False
    _past: _History = field(default_factory=lambda: _History(ISSABEL_WINDOW), init=False)
    _looks_at: float = field(default=0.0, init=False)

    def observe(self, event: Event) -> None:
        """Count what became of a line."""
        self._past.observe(event)

    def calls_to_place(self, snapshot: Snapshot) -> int:
        """Lines to open, if its next look at the floor is due."""
        if snapshot.now < self._looks_at:
            return 0
        self._looks_at = snapshot.now + ISSABEL_SECONDS
        past = self._past
        past.forget(snapshot.now)
        free = snapshot.idle_agents
        if past.talks >= LEAST_CALLS:
            ended = (1 - math.exp(-(past.line + one) / past.talk) for one in snapshot.busy_agents)
            free += sum(sure >= ISSABEL_SURE for sure in ended)
        goal = free - len(snapshot.ringing) - len(snapshot.waiting)
        if self.overcommit and goal > 0 and len(past.ended) >= LEAST_CALLS and past.answered:
            goal = round(goal / max(past.share, LEAST_SHARE))
        return max(0, goal)

    def why(self) -> str:
        """The answered share, which decides with "overcommit"."""
        return f"answered share {self._past.share:.2f}"


@dataclass
class WebitelPacer:
    """Webitel's lines an operator; ``max_lines`` is its "max agent lines"."""

    max_lines: float = 3.0
    max_abandon: float = 0.03
    lines: float = field(default=1.0, init=False)
    _past: _History = field(default_factory=lambda: _History(WEBITEL_WINDOW), init=False)
    _adapts_at: float = field(default=WEBITEL_SECONDS, init=False)

    def observe(self, event: Event) -> None:
        """Count what became of a line."""
        self._past.observe(event)

    def calls_to_place(self, snapshot: Snapshot) -> int:
        """Lines to open."""
        past = self._past
        if snapshot.now >= self._adapts_at:
            self._adapts_at = snapshot.now + WEBITEL_SECONDS
            past.forget(snapshot.now)
            over = len(past.abandoned) > self.max_abandon * past.answered
            predicts = past.talks >= MIN_ATTEMPTS and past.answered and not over
            self.lines = min(self.max_lines, 1 / past.share) if predicts else 1.0
        free = snapshot.idle_agents
        if self.lines > 1:
            free += sum(one + past.line >= past.handling for one in snapshot.busy_agents)
        return max(0, round(self.lines * free) - len(snapshot.ringing) - len(snapshot.waiting))

    def why(self) -> str:
        """The lines an operator, which decide."""
        return f"{self.lines:.2f} lines an operator"
