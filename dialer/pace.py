"""How a campaign's pacer is fed: what happened to each call, and what history says of the hour.

Pure, but for the pacer that it holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from dialer import pacing
from dialer.attempt import Attempt
from dialer.pacing import Pacer, PacingConfig, Past
from zanc_pipeline.common.outcomes import Outcome

Rates = Mapping[tuple[int, str], tuple[int, int]]
"""By local hour and mailing segment: lines opened, lines that a person answered."""

KNOWN_LINES = 200
"""History of fewer lines is not used."""
LEAN = 50
"""Lines that the mean of all weighs against those of one hour and segment."""
RECENT = 20
"""The segments of so many lines opened last stand for those of the next."""


def events_of(
    before: Attempt, after: Attempt, at: float, expected: float = 1.0
) -> list[pacing.Event]:
    """What the pacer must know of a change of an attempt, at ``at`` (seconds)."""
    found: list[pacing.Event] = []
    if after.person and not before.person:
        found.append(pacing.Answered(at=at, expected=expected))
    if after.connected_at is not None and before.connected_at is None:
        found.append(pacing.Connected(at=at))
    lost = after.abandoned or after.outcome is Outcome.ABANDONED
    if lost and not before.abandoned:
        found.append(pacing.Abandoned(at=at))
    if not after.ended or before.ended:
        return found
    if after.connected_at is not None and after.ended_at is not None:
        seconds = max(0.0, (after.ended_at - after.connected_at).total_seconds())
        found.append(pacing.Released(at=at, talk_seconds=seconds))
    elif not (before.person or after.person) and after.outcome is not None:
        found.append(pacing.NotAnswered(at=at, outcome=after.outcome, expected=expected))
    return found


@dataclass
class Pace:
    """The pacer of one running campaign, with its history."""

    config: PacingConfig
    zone: ZoneInfo
    past: Past
    rates: Rates
    pacer: Pacer = field(init=False)
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT), init=False)

    def __post_init__(self) -> None:
        self.pacer = Pacer(self.config, past=self.past)
        self._lines = sum(lines for lines, _ in self.rates.values())
        self._answered = sum(answered for _, answered in self.rates.values())

    def change(self, config: PacingConfig) -> None:
        """Go on with other settings; what was counted stays."""
        if config != self.pacer.config:
            self.pacer = self.pacer.changed(config)

    def opened(self, segment: str, now: datetime) -> float:
        """A line is opened; the answer rate that history gives it, 1 when there is none."""
        self._recent.append(segment)
        self.pacer.observe(pacing.Dialed(at=now.timestamp()))
        return self._rate(segment, now)

    def expected(self, now: datetime) -> float:
        """The answer rate that history gives the lines opened next, 1 when there is none."""
        segments = list(self._recent) or [""]
        return sum(self._rate(segment, now) for segment in segments) / len(segments)

    def changed(self, before: Attempt, after: Attempt, now: datetime, expected: float) -> None:
        """An attempt on a line of the pacer's went on."""
        for event in events_of(before, after, now.timestamp(), expected):
            self.pacer.observe(event)

    def ready(self, now: datetime, seconds: float) -> None:
        """An operator finished the wrap-up."""
        self.pacer.observe(pacing.Ready(at=now.timestamp(), wrapup_seconds=seconds))

    def share_over_month(self) -> float | None:
        """Abandoned people as a share of those who answered, today and 29 days before."""
        answered = self.pacer.answered + self.past.month_answered
        return (self.pacer.abandoned + self.past.month_abandoned) / answered if answered else None

    def _rate(self, segment: str, now: datetime) -> float:
        if self._lines < KNOWN_LINES or not self._answered:
            return 1.0
        mean = self._answered / self._lines
        lines, answered = self.rates.get((now.astimezone(self.zone).hour, segment), (0, 0))
        return (answered + LEAN * mean) / (lines + LEAN)
