"""A large localization base beside one of a million calls: bytes a call, load rate, latencies.

    python bench/bench_localization_scale.py [--calls N] [--full]

Both live in PostgreSQL servers of their own with the stack's settings, but for the memory and the
room for WAL that docs/localization.md asks for a large base, and are asked by turns, so that a busy
machine slows both: 20 calls a phone, a year of calls loaded day after day, the service's own
queries one at a time. ``--full`` is 100 million calls over 5 million phones (some 40 GB with WAL).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from own_postgres import calls, cpf_of, server

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import bulk
from zanc_pipeline.localization.limits import DialQuestion
from zanc_pipeline.localization.rules import load_rules
from zanc_pipeline.localization.store import Store

SMALL, DEFAULT, FULL = 1_000_000, 2_000_000, 100_000_000
CALLS_PER_PHONE, DAYS, PART = 20, 365, 400_000
TOLD = 25  # parts between two lines about the progress
QUESTIONS, TURNS, ASKED = 150, 8, 1.5

_OPTIONS = {"shared_buffers": "2GB", "max_wal_size": "10GB", "checkpoint_timeout": "30min"}

_SIZES = """
    SELECT CASE WHEN relname LIKE 'call\\_2%%' OR relname = 'call_rest' THEN 'log'
                ELSE relname END AS name, sum(pg_total_relation_size(oid))::bigint AS bytes
    FROM pg_class
    WHERE relnamespace = 'localization'::regnamespace AND relkind = 'r'
    GROUP BY 1 HAVING sum(pg_total_relation_size(oid)) > 1000000 ORDER BY 2 DESC
"""


def main() -> None:
    """Print the figures of both sizes; exit 1 when the large one is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=DEFAULT, help="size of the large base")
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} calls")
    chosen = parser.parse_args()
    large = FULL if chosen.full else chosen.calls
    with (
        TemporaryDirectory(prefix="zanc-bench-") as one,
        TemporaryDirectory(prefix="zanc-bench-") as other,
        server(Path(one), **_OPTIONS) as first,
        server(Path(other), **_OPTIONS) as second,
    ):
        _fill(first, SMALL)
        _fill(second, large)
        slowest = asyncio.run(_measure(first, second, large))
    if slowest > ASKED:
        sys.exit(1)


def _fill(settings: Settings, rows: int) -> None:
    crm, phones, loading = next(iter(settings.crms)), rows // CALLS_PER_PHONE, 0.0
    for place, first in enumerate(range(0, rows, PART), 1):
        size = min(PART, rows - first)
        part = calls(crm, size, phones, seed=3, first=first, total=rows, days=DAYS)
        began = time.perf_counter()
        bulk.load(settings, [part])
        took = time.perf_counter() - began
        loading += took
        if place % TOLD == 0:
            print(f"{first + size:>13,} calls, now {size / took:,.0f} calls/s", flush=True)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("ANALYZE")
        cursor.execute(_SIZES)
        sizes = {row["name"]: row["bytes"] / rows for row in cursor.fetchall()}
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    print(
        f"{rows:>13,} calls, {phones:,} phones: loaded at {rows / loading:,.0f} calls/s, "
        f"{sum(sizes.values()):.0f} bytes a call ({parts})",
        flush=True,
    )


async def _measure(first: Settings, second: Settings, large: int) -> float:
    crm = next(iter(first.crms))
    bases = [(SMALL, Store(first, load_rules(first))), (large, Store(second, load_rules(second)))]
    random = np.random.default_rng(5)

    def people(rows: int) -> list[tuple[str, list[str]]]:
        numbers = random.integers(0, rows // CALLS_PER_PHONE // 3, QUESTIONS)
        phones = [[f"119{3 * number + place:08d}" for place in range(3)] for number in numbers]
        return list(zip(cpf_of(numbers).to_pylist(), phones, strict=True))

    async def look(store: Store, cpf: str, phones: list[str]) -> object:
        return await store.rank(crm, cpf)

    async def check(store: Store, cpf: str, phones: list[str]) -> object:
        return await store.check(crm, DialQuestion(cpf=cpf, phones=tuple(phones)))

    async def reserve(store: Store, cpf: str, phones: list[str]) -> object:
        question = DialQuestion(cpf=cpf, phones=tuple(phones), lease_seconds=1)
        return await store.check(crm, question)

    kinds: dict[str, Callable[[Store, str, list[str]], Awaitable[object]]] = {
        "lookup": look,
        "dial-check": check,
        "reservation": reserve,
    }
    slowest = 0.0
    for name, ask in kinds.items():
        found: dict[int, list[float]] = {rows: [] for rows, _ in bases}
        for turn in range(TURNS + 1):
            for rows, store in bases:
                for cpf, phones in people(rows):
                    began = time.perf_counter()
                    await ask(store, cpf, phones)
                    if turn:  # the first is for the caches
                        found[rows].append(time.perf_counter() - began)
        small, big = (float(np.median(found[rows])) for rows, _ in bases)
        slowest = max(slowest, big / small)
        print(
            f"{name:<12} {small * 1000:.2f} ms at {SMALL:,}, {big * 1000:.2f} ms at {large:,}: "
            f"{big / small:.2f} times ({ASKED} asked); p99 "
            f"{np.quantile(found[SMALL], 0.99) * 1000:.1f} and "
            f"{np.quantile(found[large], 0.99) * 1000:.1f} ms"
        )
    for _, store in bases:
        await store.close()
    return slowest


if __name__ == "__main__":
    main()
