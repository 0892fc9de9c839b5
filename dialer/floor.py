"""What a pacer sees: the floor at a moment, and what became of each line. Times are in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zanc_pipeline.common.outcomes import Outcome


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The floor at ``now``.

    ``idle_agents`` are free to talk, including those for whom a line already rings;
    ``busy_agents`` and ``wrapup_agents`` hold the seconds each has been so; ``ringing`` the seconds
    each open, unanswered line has been ringing; ``waiting`` the seconds each answered person has
    been waiting for an operator. ``expected`` is the answer rate that history gives the lines
    opened now, 1 when there is none: what was seen today corrects it.
    """

    now: float
    idle_agents: int
    busy_agents: Sequence[float] = ()
    wrapup_agents: Sequence[float] = ()
    ringing: Sequence[float] = ()
    waiting: Sequence[float] = ()
    expected: float = 1.0

    @property
    def unclaimed(self) -> int:
        """Free operators for whom no line rings and nobody waits; below 0 lines are in excess."""
        return self.idle_agents - len(self.ringing) - len(self.waiting)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialed:
    """A line was opened."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A person answered; ``expected`` is the answer rate that history gave its line."""

    at: float
    expected: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """A waiting person got an operator."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Abandoned:
    """A person answered and no operator came."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NotAnswered:
    """A line ended without a person; ``expected`` as in ``Answered``."""

    at: float
    outcome: Outcome
    expected: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A conversation ended after ``talk_seconds``."""

    at: float
    talk_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """An operator finished ``wrapup_seconds`` of wrap-up."""

    at: float
    wrapup_seconds: float


Event = Dialed | Answered | Connected | Abandoned | NotAnswered | Released | Ready
