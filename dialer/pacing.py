"""How many lines to open now. Pure: the time comes in with each snapshot and event (seconds).

A ``Pacer`` is told in order of time what became of the lines (``observe``) and answers how many
more to open (``calls_to_place``). Progressive mode opens one line for each operator who is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome

MODES = ("progressive",)


@dataclass(frozen=True, kw_only=True)
class PacingConfig:
    """How to pace. ``max_abandon`` is a share of the answered people, ``max_wait`` seconds.

    Raises ConfigError for a mode that does not exist or a limit out of range.
    """

    mode: str = "progressive"
    max_abandon: float = 0.03
    max_wait: float = 2.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(
                f"pacing mode '{self.mode}' is not available: use one of {', '.join(MODES)}"
            )
        if not 0 < self.max_abandon < 1:
            raise ConfigError(f"max_abandon {self.max_abandon} is not a share between 0 and 1")
        if self.max_wait <= 0:
            raise ConfigError(f"max_wait {self.max_wait} is not a number of seconds above 0")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The floor at ``now``.

    ``idle_agents`` are free to talk, including those for whom a line already rings;
    ``busy_agents`` and ``wrapup_agents`` hold the seconds each has been so; ``ringing`` the seconds
    each open, unanswered line has been ringing; ``waiting`` the seconds each answered person has
    been waiting for an operator.
    """

    now: float
    idle_agents: int
    busy_agents: Sequence[float] = ()
    wrapup_agents: Sequence[float] = ()
    ringing: Sequence[float] = ()
    waiting: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialed:
    """A line was opened."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A person answered."""

    at: float


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
    """A line ended without a person."""

    at: float
    outcome: Outcome


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


@dataclass
class Pacer:
    """Decides for one campaign; ``seed`` serves modes that draw random numbers."""

    config: PacingConfig
    seed: int = 0
    answered: int = field(default=0, init=False)
    abandoned: int = field(default=0, init=False)
    _last: float = field(default=float("-inf"), init=False)

    def observe(self, event: Event) -> None:
        """Take note of what happened; events come in order of time (late ones are taken too)."""
        self._last = max(self._last, event.at)
        match event:
            case Answered():
                self.answered += 1
            case Abandoned():
                self.abandoned += 1

    @property
    def abandoned_share(self) -> float:
        """Abandoned people as a share of those who answered, 0 before the first."""
        return self.abandoned / self.answered if self.answered else 0.0

    def calls_to_place(self, snapshot: Snapshot) -> int:
        """How many lines to open now: one for each free operator who has none yet."""
        return max(0, snapshot.idle_agents - len(snapshot.ringing) - len(snapshot.waiting))
