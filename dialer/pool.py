"""The PBXs that the dialer has: the one place that chooses which of them a call goes through."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dialer.attempt import Attempt, State
from dialer.live import Call, Floor
from dialer.pbx import Pbx
from dialer.trunks import Breaker, PbxLimits, TokenBucket, TrunkLimits, failure_of
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome

log = logging.getLogger(__name__)

MANY = 10_000
_TELLS_NOTHING = frozenset({Outcome.UNKNOWN, Outcome.CANCELLED})


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way of one call."""

    pbx: Pbx
    trunk: str


@dataclass
class _Trunk:
    limits: TrunkLimits
    bucket: TokenBucket
    breaker: Breaker = field(default_factory=Breaker)


@dataclass
class _Central:
    pbx: Pbx
    limits: PbxLimits
    bucket: TokenBucket
    trunks: dict[str, _Trunk]
    drained: bool = False


class PbxPool(dict[str, Pbx]):
    """PBXs by name, with what each may carry and how each fares."""

    def __init__(self, floor: Floor) -> None:
        super().__init__()
        self._floor = floor
        self._centrais: dict[str, _Central] = {}
        self._pending: Counter[tuple[str, str]] = Counter()
        self._turns: dict[tuple[str, str], int] = {}

    def add(self, pbx: Pbx, limits: PbxLimits) -> None:
        """Use ``pbx`` for calls within ``limits``."""
        self[pbx.name] = pbx
        self._centrais[pbx.name] = _Central(
            pbx=pbx,
            limits=limits,
            bucket=TokenBucket(limits.calls_per_second),
            trunks={
                name: _Trunk(limits=trunk, bucket=TokenBucket(trunk.calls_per_second))
                for name, trunk in limits.trunks.items()
            },
        )

    @property
    def reachable(self) -> bool:
        """Whether any PBX is in reach."""
        return any(pbx.connected for pbx in self.values())

    def drain(self, name: str, *, wanted: bool) -> None:
        """No new calls through this PBX, or new calls again; what it has goes on."""
        central = self._centrais.get(name)
        if central is not None:  # it may have left the configuration
            central.drained = wanted

    # ---- choosing

    def choose(self, now: datetime) -> Route | None:
        """The way of the next call, None when none may be placed now.

        Of the trunks that have a free line, a call left in this second and no open breaker, the
        one whose PBX and itself are the least full, and of those the one that was used longest
        ago. Placing it is told by ``taking``.
        """
        lines = self._lines()
        best: tuple[tuple[float, int], Route] | None = None
        for central in self._centrais.values():
            for name in central.trunks:
                if self._room(central, name, lines, now) > 0:
                    turn = self._turns.get((central.pbx.name, name), 0)
                    worth = self._fullness(central, name, lines), turn
                    if best is None or worth < best[0]:
                        best = worth, Route(pbx=central.pbx, trunk=name)
        return None if best is None else best[1]

    @contextmanager
    def taking(self, now: datetime) -> Iterator[Route | None]:
        """Choose a way and hold its line until the call is on the floor."""
        route = self.choose(now)
        if route is None:
            yield None
            return
        central = self._centrais[route.pbx.name]
        trunk = central.trunks[route.trunk]
        central.bucket.take(now.timestamp())
        trunk.bucket.take(now.timestamp())
        trunk.breaker.placed(now)
        key = (route.pbx.name, route.trunk)
        self._pending[key] += 1
        self._turns[key] = max(self._turns.values(), default=0) + 1
        try:
            yield route
        except BaseException:
            trunk.breaker.silent()
            raise
        finally:
            self._pending[key] -= 1

    def room(self, now: datetime) -> int:
        """How many calls may be placed at this moment."""
        lines = self._lines()
        total = 0
        for central in self._centrais.values():
            through = sum(self._room(central, name, lines, now) for name in central.trunks)
            total += min(through, self._central_room(central, lines, now))
        return total

    def why(self, now: datetime) -> str:
        """Why no call may be placed now, in Portuguese; empty when one may."""
        if not self.reachable:
            problems = [f"{name}: {pbx.problem}" for name, pbx in self.items() if pbx.problem]
            return "; ".join(["nenhuma central ao alcance", *problems])
        if self.room(now) > 0:
            return ""
        lines = self._lines()
        told = []
        for name, central in self._centrais.items():
            if not central.pbx.connected:
                continue
            if central.drained:
                told.append(f"{name}: sendo esvaziada")
                continue
            for trunk, one in central.trunks.items():
                if one.breaker.state(now) != "ok":
                    told.append(f"{name}/{trunk}: {_rest(one.breaker, now)}")
                elif lines[name, trunk] >= one.limits.lines:
                    told.append(f"{name}/{trunk}: {_full(one.limits.lines)}")
            if self._in_use(name, lines) >= central.limits.lines:
                told.append(f"{name}: {_full(central.limits.lines)}")
        return "; ".join(told) or "limite de chamadas por segundo"

    def _room(
        self, central: _Central, name: str, lines: Counter[tuple[str, str]], now: datetime
    ) -> int:
        trunk = central.trunks[name]
        admitted = trunk.breaker.admits(now)
        return min(
            self._central_room(central, lines, now),
            trunk.limits.lines - lines[central.pbx.name, name],
            trunk.bucket.available(now.timestamp()),
            MANY if admitted is None else admitted,
        )

    def _central_room(
        self, central: _Central, lines: Counter[tuple[str, str]], now: datetime
    ) -> int:
        if not central.pbx.connected or central.drained:
            return 0
        free = central.limits.lines - self._in_use(central.pbx.name, lines)
        return max(0, min(free, central.bucket.available(now.timestamp())))

    def _fullness(self, central: _Central, name: str, lines: Counter[tuple[str, str]]) -> float:
        trunk = lines[central.pbx.name, name] / central.trunks[name].limits.lines
        return max(self._in_use(central.pbx.name, lines) / central.limits.lines, trunk)

    def _lines(self) -> Counter[tuple[str, str]]:
        """Lines in use by PBX and trunk, with those on their way."""
        used: Counter[tuple[str, str]] = Counter(self._pending)
        for call in self._floor.calls.values():
            if not call.attempt.ended:
                used[call.pbx, call.trunk] += 1
        return used

    def _in_use(self, name: str, lines: Counter[tuple[str, str]]) -> int:
        return sum(count for (pbx, _), count in lines.items() if pbx == name)

    # ---- how they fare

    def went_on(self, call: Call, before: Attempt, now: datetime) -> None:
        """A call changed from ``before``: what that says of its trunk."""
        central = self._centrais.get(call.pbx)
        trunk = None if central is None else central.trunks.get(call.trunk)
        if trunk is None:
            return
        attempt, where = call.attempt, f"{call.pbx}/{call.trunk}"
        if not attempt.ended:
            taken = attempt.state is not State.DIALLING and before.state is State.DIALLING
            if taken and trunk.breaker.worked():
                log.info("dialer: trunk %s works again", where)
            return
        reason = failure_of(attempt.outcome, attempt.hangup_cause, placed=attempt.placed)
        if reason is not None:
            if trunk.breaker.failed(now, reason):
                log.warning("dialer: trunk %s only fails: %s", where, _rest(trunk.breaker, now))
        elif attempt.outcome in _TELLS_NOTHING:
            trunk.breaker.silent()
        elif trunk.breaker.worked():
            log.info("dialer: trunk %s works again", where)

    def refused(self, call: Call, reason: str, now: datetime) -> None:
        """The PBX did not take the order to place a call at all."""
        central = self._centrais.get(call.pbx)
        trunk = None if central is None else central.trunks.get(call.trunk)
        if trunk is not None:
            trunk.breaker.failed(now, f"a central recusa a ordem: {reason}", refused=True)

    def unused(self, route: Route) -> None:
        """Nothing was dialled on a way that was chosen."""
        self._centrais[route.pbx.name].trunks[route.trunk].breaker.silent()

    def figures(self, now: datetime) -> list[dict[str, Any]]:
        """For people and metrics: each PBX and its trunks, its lines and why it gets no calls."""
        lines = self._lines()
        found = []
        for name, central in self._centrais.items():
            in_use = self._in_use(name, lines)
            trunks = [
                {
                    "name": trunk,
                    "lines": lines[name, trunk],
                    "capacity": one.limits.lines,
                    "calls_per_second": one.limits.calls_per_second,
                    "state": one.breaker.state(now),
                    "why": "" if one.breaker.until is None else _rest(one.breaker, now),
                }
                for trunk, one in central.trunks.items()
            ]
            found.append(
                {
                    "name": name,
                    "version": central.pbx.version,
                    "connected": central.pbx.connected,
                    "state": _state(central, in_use),
                    "why": "" if central.pbx.connected else central.pbx.problem,
                    "drained": central.drained,
                    "lines": in_use,
                    "capacity": central.limits.lines,
                    "calls_per_second": central.limits.calls_per_second,
                    "trunks": trunks,
                }
            )
        return found


def _full(lines: int) -> str:
    return "a única linha em uso" if lines == 1 else f"todas as {lines} linhas em uso"


def _state(central: _Central, lines: int) -> str:
    if not central.pbx.connected:
        return "fora"
    if central.drained:
        return "esvaziando" if lines else "vazia"
    return "cheia" if lines >= central.limits.lines else "ok"


def _rest(breaker: Breaker, now: datetime) -> str:
    if breaker.until is None or now >= breaker.until:
        return f"{breaker.reason}; uma ligação testa o tronco"
    moment = breaker.until.astimezone(LOCAL)
    return f"{breaker.reason}; sem ligações até {moment:%H:%M:%S}"
