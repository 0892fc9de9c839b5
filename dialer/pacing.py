"""How many lines to open now. Pure: the time comes in with each snapshot and event (seconds).

A ``Pacer`` is told in order of time what became of the lines (``observe``) and answers how many
more to open (``calls_to_place``); ``why`` says the reason in one line. The modes:

- progressive: one line for each operator who is free, so nobody is ever abandoned;
- power: a fixed number of lines for each operator who is free;
- predictive: as many as keep the operators busy with the abandoned share under the limit, see
  ``dialer.predictive``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dialer.budget import NOTHING, Past
from dialer.figures import percent
from dialer.floor import (
    Abandoned,
    Answered,
    Connected,
    Dialed,
    Event,
    NotAnswered,
    Ready,
    Released,
    Snapshot,
)
from dialer.predictive import Predictor
from zanc_pipeline.common.errors import ConfigError

__all__ = [
    "MODES",
    "Abandoned",
    "Answered",
    "Connected",
    "Dialed",
    "Event",
    "NotAnswered",
    "Pacer",
    "PacingConfig",
    "Past",
    "Ready",
    "Released",
    "Snapshot",
]

MODES = ("progressive", "power", "predictive")


@dataclass(frozen=True, kw_only=True)
class PacingConfig:
    """How to pace.

    ``max_abandon`` is a share of the answered people; ``max_wait`` the seconds after which a person
    who answered is abandoned; ``lines_per_agent`` belongs to the mode power. Raises ConfigError for
    a mode that does not exist or a number out of range.
    """

    mode: str = "progressive"
    max_abandon: float = 0.03
    max_wait: float = 2.0
    lines_per_agent: float = 1.5

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(
                f"pacing mode '{self.mode}' is not available: use one of {', '.join(MODES)}"
            )
        if not 0 < self.max_abandon < 1:
            raise ConfigError(f"max_abandon {self.max_abandon} is not a share between 0 and 1")
        if not self.max_wait > 0:
            raise ConfigError(f"max_wait {self.max_wait} is not a number of seconds above 0")
        if not 1 <= self.lines_per_agent <= 20:
            raise ConfigError(f"lines_per_agent {self.lines_per_agent} is not from 1 to 20")


@dataclass
class Pacer:
    """Decides for one campaign and day: its abandoned share is that of the day.

    ``past`` is what happened before the pacer began. Every mode is deterministic; ``seed`` is there
    for modes that would draw random numbers.
    """

    config: PacingConfig
    seed: int = 0
    past: Past = NOTHING
    answered: int = field(init=False)
    abandoned: int = field(init=False)
    _why: str = field(default="nenhuma linha foi pedida ainda", init=False)

    def __post_init__(self) -> None:
        self.answered, self.abandoned = self.past.day_answered, self.past.day_abandoned
        self._predictor = (
            Predictor(
                max_abandon=self.config.max_abandon, max_wait=self.config.max_wait, past=self.past
            )
            if self.config.mode == "predictive"
            else None
        )

    def changed(self, config: PacingConfig) -> Pacer:
        """A pacer of other settings that goes on from the people counted here."""
        past = replace(self.past, day_answered=self.answered, day_abandoned=self.abandoned)
        return Pacer(config, self.seed, past)

    def observe(self, event: Event) -> None:
        """Take note of what happened; events come in order of time (late ones are taken too)."""
        match event:
            case Answered():
                self.answered += 1
            case Abandoned():
                self.abandoned += 1
        if self._predictor is not None:
            self._predictor.observe(event)

    @property
    def abandoned_share(self) -> float:
        """Abandoned people as a share of those who answered, 0 before the first."""
        return self.abandoned / self.answered if self.answered else 0.0

    def calls_to_place(self, snapshot: Snapshot) -> int:
        """How many lines to open now, 0 or more."""
        if self._predictor is not None:
            lines, self._why = self._predictor.lines(snapshot)
            return lines
        ratio, reason = 1.0, "uma por operador livre"
        if self.config.mode == "power":
            ratio = self.config.lines_per_agent
            reason = f"{ratio:g} por operador livre".replace(".", ",")
            if self.abandoned > self.config.max_abandon * self.answered:
                ratio = 1.0
                reason = f"{percent(self.abandoned_share, 1)} abandonadas: uma por operador livre"
        claimed = len(snapshot.ringing) + len(snapshot.waiting)
        lines = max(0, int(ratio * snapshot.idle_agents) - claimed)
        self._why = f"{lines} linhas: {reason} ({snapshot.idle_agents}), {claimed} já abertas"
        return lines

    def why(self) -> str:
        """Why the last answer of ``calls_to_place`` was what it was."""
        return self._why
