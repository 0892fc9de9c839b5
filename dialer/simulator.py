"""A seeded simulation of a shift: exponential times, the real pacer, no PBX.

Lines resolve after an exponential time; a share of them is a person; conversations and wrap-up are
exponential too. Time is in seconds.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialer import pacing
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import read_yaml


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A shift to simulate. Times are means in seconds; ``answer`` is the share of people."""

    operators: int
    answer: float
    ring: float = 15.0
    talk: float = 150.0
    wrapup: float = 30.0
    hours: float = 8.0
    mode: str = "progressive"
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.operators <= 10_000:
            raise ConfigError("scenario: operators must be from 1 to 10000")
        if not 0 <= self.answer <= 1:
            raise ConfigError("scenario: answer must be a share from 0 to 1")
        if min(self.ring, self.talk, self.wrapup, self.hours) <= 0:
            raise ConfigError("scenario: ring, talk, wrapup and hours must be more than 0")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a shift; ``occupancy`` is the share of time spent in talk or wrap-up."""

    calls: int
    answered: int
    abandoned: int
    occupancy: float

    @property
    def abandoned_share(self) -> float:
        """Abandoned people among those who answered."""
        return self.abandoned / self.answered if self.answered else 0.0


def read_scenario(path: Path) -> Scenario:
    """A scenario from YAML; raises ConfigError that names the key."""
    content: dict[str, Any] = read_yaml(path)
    kinds: dict[str, tuple[type, ...]] = {
        "operators": (int,),
        "answer": (int, float),
        "ring": (int, float),
        "talk": (int, float),
        "wrapup": (int, float),
        "hours": (int, float),
        "mode": (str,),
        "seed": (int,),
    }
    for key, value in content.items():
        if key not in kinds:
            raise ConfigError(f"{path}: '{key}' is not a key of a scenario: {', '.join(kinds)}")
        if isinstance(value, bool) or not isinstance(value, kinds[key]):
            raise ConfigError(f"{path}: the value of '{key}' is not of the right kind")
    for key in ("operators", "answer"):
        if key not in content:
            raise ConfigError(f"{path}: '{key}' is missing")
    return Scenario(**content)


def simulate(scenario: Scenario) -> Result:
    """Run one shift; the same scenario always gives the same result."""
    draw = random.Random(scenario.seed)  # noqa: S311 - a simulation, not a secret
    pacer = pacing.Pacer(pacing.PacingConfig(mode=scenario.mode), seed=scenario.seed)
    end = scenario.hours * 3600
    agenda: list[tuple[float, int, str, float]] = []
    ringing: dict[int, float] = {}
    idle, order, working = scenario.operators, 0, 0.0
    calls = answered = abandoned = 0
    now = 0.0
    while now < end:
        snapshot = pacing.Snapshot(
            now=now, idle_agents=idle, ringing=[now - since for since in ringing.values()]
        )
        for _ in range(pacer.calls_to_place(snapshot)):
            order, calls = order + 1, calls + 1
            ringing[order] = now
            pacer.observe(pacing.Dialed(at=now))
            heapq.heappush(agenda, (now + draw.expovariate(1 / scenario.ring), order, "line", 0.0))
        if not agenda:
            break
        now, number, kind, seconds = heapq.heappop(agenda)
        if kind == "line":
            del ringing[number]
            if draw.random() >= scenario.answer:
                pacer.observe(pacing.NotAnswered(at=now, outcome=Outcome.NO_ANSWER))
                continue
            answered += 1
            pacer.observe(pacing.Answered(at=now))
            if idle == 0:
                abandoned += 1
                pacer.observe(pacing.Abandoned(at=now))
                continue
            idle -= 1
            pacer.observe(pacing.Connected(at=now))
            talk = draw.expovariate(1 / scenario.talk)
            heapq.heappush(agenda, (now + talk, number, "talk", talk))
        elif kind == "talk":
            pacer.observe(pacing.Released(at=now, talk_seconds=seconds))
            wrapup = draw.expovariate(1 / scenario.wrapup)
            working += seconds
            heapq.heappush(agenda, (now + wrapup, number, "wrapup", wrapup))
        else:
            idle += 1
            working += seconds
            pacer.observe(pacing.Ready(at=now, wrapup_seconds=seconds))
    return Result(
        calls=calls,
        answered=answered,
        abandoned=abandoned,
        occupancy=working / (now * scenario.operators) if now else 0.0,
    )
