"""Predictive pacing beside its limits, the exact optimum and the baselines, in simulated shifts.

    python bench/bench_pacing.py [--full]

Short by default (under two minutes); ``--full`` simulates 20 seeds in each cell and every
baseline setting. Ends with status 1 when the predictive pacer misses a limit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialer.baselines import VicidialPacer
from dialer.optimum import memoryless
from dialer.scenario import Scenario
from dialer.simulator import AnyPacer, Result, simulate

FLOORS, ANSWERS = (10, 25, 50, 100), (0.25, 0.10)
DAY_LIMIT, HOUR_LIMIT = 0.03, 0.05
HANDLING: dict[str, Any] = {"talk": 180.0, "wrapup": {"law": "constant", "mean": 0.0}}
HARD: dict[str, dict[str, Any]] = {
    "lognormal talk": {"answer": 0.25, "talk": {"law": "lognormal", "mean": 150.0, "sigma": 1.0}},
    "gamma ring": {"answer": 0.25, "ring": {"law": "gamma", "mean": 15.0, "shape": 4.0}},
    "answer .35 to .08": {"answer": [[0, 0.35], [3, 0.35], [4, 0.08]]},
    "a third leaves": {"answer": 0.25, "leaving": "third"},
}


@dataclass(frozen=True)
class Cell:
    """Means over the seeds, with the worst day and hour."""

    occupancy: float
    abandoned: float
    worst_day: float
    worst_hour: float
    seconds: float


def shifts(seeds: int, make: Callable[[Scenario], AnyPacer] | None = None, **keys: Any) -> Cell:
    """Simulate a cell."""
    started, results = time.perf_counter(), list[Result]()
    for seed in range(1, seeds + 1):
        scenario = Scenario.model_validate({"seed": seed, **keys})
        results.append(simulate(scenario, make(scenario) if make else None))
    return Cell(
        occupancy=sum(result.occupancy for result in results) / seeds,
        abandoned=sum(r.abandoned for r in results) / max(1, sum(r.answered for r in results)),
        worst_day=max(result.abandoned_share for result in results),
        worst_hour=max(result.worst_hour() for result in results),
        seconds=(time.perf_counter() - started) / seeds,
    )


def row(name: str, cell: Cell, note: str = "") -> None:
    """Print a line of the table."""
    print(
        f"  {name:30} occupancy {cell.occupancy:.3f}  abandoned {cell.abandoned:.2%} "
        f"(worst day {cell.worst_day:.2%}, hour {cell.worst_hour:.2%})  "
        f"{cell.seconds:5.1f} s a shift  {note}",
        flush=True,
    )


def memoryless_table(seeds: int, *, full: bool) -> list[str]:
    """The table of memoryless floors."""
    failed = []
    for operators in FLOORS:
        for answer in ANSWERS:
            best = memoryless(operators=operators, answer=answer).occupancy
            tolerance = 0.03 if operators == 10 else 0.02
            keys = {"operators": operators, "answer": answer, **HANDLING}
            print(f"{operators} operators, {answer:.0%} answered: optimum {best:.3f} without waits")
            cell = shifts(seeds, mode="predictive", **keys)
            gap = cell.occupancy - best
            good = cell.worst_day <= DAY_LIMIT and gap >= -tolerance
            row("predictive", cell, f"{gap:+.3f} {'ok' if good else 'MISSED'}")
            if not good:
                failed.append(f"{operators} operators, {answer:.0%}")
            row("progressive", shifts(1, **keys))
            for available_only in (False, True):
                for level in (1.5, 3.0, 6.0) if full else (3.0,):
                    tally = ", available only" if available_only else ""
                    row(
                        f"VICIdial, level {level:g}{tally}",
                        shifts(
                            seeds if full else 1,
                            lambda _, a=available_only, m=level: VicidialPacer(
                                available_only=a, max_level=m
                            ),
                            **keys,
                        ),
                    )
    return failed


def hard_table(seeds: int, floors: tuple[int, ...]) -> list[str]:
    """Floors that remember, change or lose operators."""
    failed = []
    for name, keys in HARD.items():
        for operators in floors:
            content = dict(keys)
            if content.get("leaving") == "third":
                content["leaving"] = [{"hour": 4, "operators": operators // 3}]
            cell = shifts(seeds, mode="predictive", operators=operators, **content)
            good = cell.worst_day <= DAY_LIMIT and cell.worst_hour <= HOUR_LIMIT
            row(f"{name}, {operators} operators", cell, "ok" if good else "MISSED")
            if not good:
                failed.append(f"{name}, {operators} operators")
    return failed


def main() -> int:
    """Print the tables; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="20 seeds a cell, every baseline")
    full = parser.parse_args().full
    failed = memoryless_table(20 if full else 1, full=full)
    failed += hard_table(20 if full else 1, FLOORS if full else (10, 50))
    big = shifts(1, mode="predictive", operators=1000, answer=0.25, hours=1.0)
    speed = 3600 / big.seconds
    row("1000 operators, an hour", big, f"{speed:.0f} times real time")
    if speed < 100:
        failed.append("the speed with 1000 operators")
    for miss in failed:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
