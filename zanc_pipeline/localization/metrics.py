"""Counters of the service in Prometheus' text format, the same whichever process is asked.

All processes count in one piece of shared memory, each in its own row, so that an answer sums
them and a process that is started again goes on where the last one was.
"""

from __future__ import annotations

import asyncio
import mmap
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency histogram, in seconds."""

STATUSES = ("200", "400", "401", "403", "404", "405", "413", "415", "429", "500", "503", "other")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = (
    "localization_calls_total",
    "localization_questions_total",
    "localization_reservations_total",
)
_GAUGES = ("localization_in_flight", "localization_waiting_calls", "localization_waiting_audit")


class Board:
    """The shared memory of ``processes``; make it before they are forked.

    Label values are ours, never what a caller sent: every counter that can be has its place.
    """

    def __init__(self, *, processes: int, routes: Sequence[str], crms: Collection[str]) -> None:
        self.routes = tuple(routes)
        names: list[str] = []
        for route in self.routes:
            names += [f"status {route} {status}" for status in STATUSES]
            names += [f"bucket {route} {place}" for place in range(len(BUCKETS) + 1)]
            names.append(f"seconds {route}")
        for crm in sorted(crms):
            for result in ("accepted", "duplicates"):
                names.append(f'localization_calls_total{{crm="{crm}",result="{result}"}}')
            for about in ("phones", "dial"):
                names.append(f'localization_questions_total{{crm="{crm}",about="{about}"}}')
            for result in ("reserved", "refused"):
                names.append(f'localization_reservations_total{{crm="{crm}",result="{result}"}}')
        names += _GAUGES
        self.place = {name: place for place, name in enumerate(names)}
        self.processes = processes
        self.cells = memoryview(mmap.mmap(-1, 8 * len(names) * processes)).cast("d")

    def total(self, name: str) -> float:
        """Of all processes."""
        size = len(self.place)
        return sum(self.cells[row * size + self.place[name]] for row in range(self.processes))

    def render(self) -> str:
        """The page for Prometheus."""
        lines = ["# TYPE localization_requests_total counter"]
        for route in self.routes:
            for status in STATUSES:
                count = self.total(f"status {route} {status}")
                if count:
                    labels = f'route="{route}",status="{status}"'
                    lines.append(f"localization_requests_total{{{labels}}} {count:.0f}")
        lines.append("# TYPE localization_request_seconds histogram")
        for route in self.routes:
            lines += self._histogram(route)
        for family in _COUNTERS:
            lines.append(f"# TYPE {family} counter")
            lines += [
                f"{name} {self.total(name):.0f}" for name in self.place if name.startswith(family)
            ]
        for gauge in _GAUGES:
            lines += [f"# TYPE {gauge} gauge", f"{gauge} {self.total(gauge):.0f}"]
        lines += ["# TYPE localization_processes gauge"]
        lines += [f"localization_processes {self.processes}"]
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str) -> Iterator[str]:
        name, total = "localization_request_seconds", 0.0
        counts = [self.total(f"bucket {route} {place}") for place in range(len(BUCKETS) + 1)]
        if not any(counts):
            return
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            total += count
            yield f'{name}_bucket{{route="{route}",le="{bound}"}} {total:.0f}'
        yield f'{name}_sum{{route="{route}"}} {self.total(f"seconds {route}"):.6f}'
        yield f'{name}_count{{route="{route}"}} {total:.0f}'


class Metrics:
    """Counts for one process, ``number`` from 0, on a Board."""

    def __init__(self, board: Board, number: int = 0) -> None:
        self._board, self._row = board, number * len(board.place)
        self.idle = asyncio.Event()
        self.idle.set()
        for gauge in _GAUGES:
            self.gauge(gauge, 0)  # of a process that died

    @property
    def in_flight(self) -> float:
        """Requests that this process is answering."""
        return self._board.cells[self._row + self._board.place["localization_in_flight"]]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While a request is in flight; ``idle`` is set when none is."""
        self._add("localization_in_flight", 1)
        self.idle.clear()
        try:
            yield
        finally:
            if self._add("localization_in_flight", -1) <= 0:
                self.idle.set()

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered; an unknown status counts as "other"."""
        known = str(status)
        self._add(f"status {route} {known if known in STATUSES else 'other'}", 1)
        self._add(f"bucket {route} {bisect_left(BUCKETS, seconds)}", 1)
        self._add(f"seconds {route}", seconds)

    def calls(self, crm: str, *, accepted: int, duplicates: int) -> None:
        """Calls that a CRM reported."""
        self._add(f'localization_calls_total{{crm="{crm}",result="accepted"}}', accepted)
        self._add(f'localization_calls_total{{crm="{crm}",result="duplicates"}}', duplicates)

    def question(self, crm: str, about: str) -> None:
        """A person whom a CRM asked about: ``phones`` or ``dial``."""
        self._add(f'localization_questions_total{{crm="{crm}",about="{about}"}}', 1)

    def reservation(self, crm: str, *, reserved: bool) -> None:
        """An answer to a CRM that wanted a lease."""
        result = "reserved" if reserved else "refused"
        self._add(f'localization_reservations_total{{crm="{crm}",result="{result}"}}', 1)

    def gauge(self, name: str, value: float) -> None:
        """What is now."""
        self._board.cells[self._row + self._board.place[name]] = value

    def render(self) -> str:
        """The page for Prometheus, of all processes."""
        return self._board.render()

    def _add(self, name: str, value: float) -> float:
        place = self._row + self._board.place[name]
        self._board.cells[place] += value
        return self._board.cells[place]
