"""Counters of the service in Prometheus' text format."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency histogram, in seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one process; label values are ours, never what a caller sent."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)
        self._calls: dict[tuple[str, str], int] = defaultdict(int)
        self._in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Count a request as in flight; ``idle`` is set while there is none."""
        self._in_flight += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self.idle.set()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that ended."""
        self._requests[method, route, status] += 1
        self._buckets[route][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[route] += seconds

    def calls(self, crm: str, *, accepted: int, duplicates: int) -> None:
        """Count calls that a CRM reported."""
        self._calls[crm, "accepted"] += accepted
        self._calls[crm, "duplicate"] += duplicates

    def render(self) -> str:
        """The page that Prometheus reads."""
        lines = [
            "# HELP localization_in_flight Requests being answered now.",
            "# TYPE localization_in_flight gauge",
            f"localization_in_flight {self._in_flight}",
            "# HELP localization_requests_total Requests answered.",
            "# TYPE localization_requests_total counter",
        ]
        lines += [
            f'localization_requests_total{{method="{method}",route="{route}",status="{status}"}} '
            f"{n}"
            for (method, route, status), n in sorted(self._requests.items())
        ]
        lines += [
            "# HELP localization_calls_total Calls reported by the CRMs.",
            "# TYPE localization_calls_total counter",
        ]
        lines += [
            f'localization_calls_total{{crm="{crm}",result="{result}"}} {n}'
            for (crm, result), n in sorted(self._calls.items())
        ]
        lines += [
            "# HELP localization_request_seconds Time to answer.",
            "# TYPE localization_request_seconds histogram",
        ]
        for route, counts in sorted(self._buckets.items()):
            lines += self._histogram(route, counts)
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str, counts: list[int]) -> list[str]:
        name, total, lines = "localization_request_seconds", 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
        lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
        lines.append(f'{name}_count{{route="{route}"}} {total}')
        return lines
