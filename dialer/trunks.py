"""What a PBX and its trunks may carry, and when a broken trunk is left alone.

Pure: the time is a parameter. ``dialer.pool`` holds the state of the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from zanc_pipeline.common.outcomes import Outcome

FAILURES_IN_A_ROW = 8
"""So many calls that the network refused, and none that it took, open the breaker."""
FIRST_REST, LONGEST_REST = timedelta(seconds=10), timedelta(minutes=5)
PROBE_SECONDS = 90.0
"""A probing call that tells nothing for so long is given up: another may probe."""
BURST_SECONDS = 0.25
"""What of a second's calls may be placed at the same instant."""

BreakerState = Literal["ok", "aberto", "testando"]


@dataclass(frozen=True, kw_only=True)
class TrunkLimits:
    """The most lines at once, and calls a second, of one trunk."""

    lines: int = 100
    calls_per_second: float = 10.0


@dataclass(frozen=True, kw_only=True)
class PbxLimits:
    """The most lines at once, and calls a second, of one PBX over its trunks, by name."""

    lines: int = 100
    calls_per_second: float = 20.0
    trunks: Mapping[str, TrunkLimits] = field(default_factory=lambda: {"carrier": TrunkLimits()})


class TokenBucket:
    """Lets through ``rate`` calls a second, a quarter of a second's at once at most."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._most = max(1.0, rate * BURST_SECONDS)
        self._tokens, self._at = self._most, 0.0

    def available(self, now: float) -> int:
        """How many calls may be placed at ``now`` (seconds); a clock set back gives none more."""
        if now > self._at:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return int(self._tokens + 1e-9)

    def take(self, now: float) -> None:
        """A call is placed."""
        self.available(now)
        self._tokens -= 1


class Breaker:
    """Leaves a trunk alone that only fails, and tries it with one call at a time, ever less often.

    It opens after ``FAILURES_IN_A_ROW`` network failures without a call that the network took, or
    at once when the PBX itself refuses (``refused``). After its rest one call may probe: taken, all
    is as before; failed, it rests twice as long, ``LONGEST_REST`` at most.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.until: datetime | None = None
        self.reason = ""
        self._rest = FIRST_REST
        self._probe_at: datetime | None = None

    def state(self, now: datetime) -> BreakerState:
        """``ok``, ``aberto`` (left alone), or ``testando`` (one call may probe, or does)."""
        if self.until is None:
            return "ok"
        # No rest is longer: a clock that was set back prolongs none.
        return "aberto" if now < self.until <= now + LONGEST_REST else "testando"

    def admits(self, now: datetime) -> int | None:
        """How many calls may be placed now; None is any number."""
        match self.state(now):
            case "ok":
                return None
            case "aberto":
                return 0
        probing = self._probe_at is not None and (
            (now - self._probe_at).total_seconds() < PROBE_SECONDS
        )
        return 0 if probing else 1

    def placed(self, now: datetime) -> None:
        """A call goes out; while it is not closed that is the probe."""
        if self.until is not None:
            self._probe_at = now

    def worked(self) -> bool:
        """The network took a call; whether that ended a rest."""
        closed = self.until is not None
        self.failures, self.until, self._probe_at = 0, None, None
        self._rest = FIRST_REST
        return closed

    def silent(self) -> None:
        """A call ended without telling anything of the trunk: cancelled, or its PBX was lost."""
        self._probe_at = None

    def failed(self, now: datetime, reason: str, *, refused: bool = False) -> bool:
        """A call failed in the network, or was ``refused`` by the PBX; whether a rest began."""
        self.failures += 1
        self.reason = reason
        probed = self._probe_at is not None
        if self.until is not None and not probed:
            return False  # it was on its way when the breaker opened
        if self.until is None and not refused and self.failures < FAILURES_IN_A_ROW:
            return False
        if self.until is not None:
            self._rest = min(self._rest * 2, LONGEST_REST)
        self.until, self._probe_at = now + self._rest, None
        return True


NETWORK_CAUSES: Mapping[int, str] = {
    34: "congestionamento",
    38: "rede fora do ar",
    41: "falha temporária",
    42: "congestionamento",
}
"""Q.850; a SIP 503 is 34 on one Asterisk and 38 or 41 on another."""


def failure_of(outcome: Outcome | None, cause: int | None, *, placed: bool) -> str | None:
    """Why a call that ended counts as a failure of its trunk, in Portuguese; None when it doesn't.

    A call that the PBX could not even place (no contact, trunk not registered) counts too.
    """
    if outcome is not Outcome.NETWORK_FAILURE:
        return None
    if not placed:
        return "a central não consegue usá-lo"
    return NETWORK_CAUSES.get(cause or 0, "falha de rede")
