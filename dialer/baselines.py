"""Pacers to compare ours with in simulation, written from their published rules.

VICIdial (``AST_VDadapt.pl``, ``AST_VDauto_dial.pl``): every 15 s the dial level is multiplied by
1 + the mean of (free operators − people waiting) / operators logged in; over the limit of the day's
abandoned share it falls to 1 (method "hard limit"). Every 2.5 s it opens ``round(level × (free + in
call)) − active lines``, or with the "available only" tally ``round(level × free) + in call − active
lines``. Times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dialer.floor import Abandoned, Answered, Event, Snapshot

ADAPT_SECONDS, DIAL_SECONDS = 15.0, 2.5


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
