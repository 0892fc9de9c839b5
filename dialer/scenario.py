"""A shift to simulate, as a supervisor writes it in YAML. Times are in seconds unless named hours.

operators: 25
answer: [[0, 0.35], [1, 0.08]]     # a share, or [hour, share] points joined by lines
ring: {law: gamma, mean: 15, shape: 4}
talk: {law: lognormal, mean: 150, sigma: 1.0}
wrapup: {law: empirical, values: [12, 20, 31, 45]}
leaving: [{hour: 3, operators: 8, minutes: 30}]   # without minutes they do not come back
mode: predictive
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dialer.pacing import PacingConfig
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import read_yaml

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=86_400, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Law(_Part):
    """How a time is distributed, around its mean in seconds (empirical: drawn from values)."""

    law: Literal["exponential", "gamma", "lognormal", "constant", "empirical"] = "exponential"
    mean: Annotated[float, Field(ge=0, le=86_400, strict=True)] = 0.0
    shape: Seconds = 4.0
    sigma: Seconds = 1.0
    values: tuple[Seconds, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Law:
        if (self.law == "empirical") != bool(self.values):
            raise ValueError("'values' belongs to the empirical law, and it needs them")
        return self

    def draw(self, random: np.random.Generator, count: int) -> list[float]:
        """``count`` times."""
        match self.law:
            case "exponential":
                times = random.exponential(self.mean, count)
            case "gamma":
                times = random.gamma(self.shape, self.mean / self.shape, count)
            case "lognormal":
                middle = math.log(self.mean) - self.sigma**2 / 2 if self.mean else -math.inf
                times = random.lognormal(middle, self.sigma, count)
            case "constant":
                times = np.full(count, self.mean)
            case "empirical":
                times = random.choice(np.asarray(self.values), count)
        drawn: list[float] = times.tolist()
        return drawn

    def stream(self, random: np.random.Generator) -> Iterator[float]:
        """Times without end."""
        while True:
            yield from self.draw(random, 1024)


def _law(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"mean": float(value)}
    return value


def _points(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ((0.0, value),)
    return value


class Leaving(_Part):
    """So many operators leave (after the call they are on), for ``minutes`` or for good."""

    hour: Annotated[float, Field(ge=0, le=24)]
    operators: Annotated[int, Field(ge=1, strict=True)]
    minutes: Annotated[float, Field(gt=0)] | None = None


class Scenario(_Part):
    """A shift. ``answer`` is the share of lines that a person answers, by the hour of the shift.

    ``machine`` is the share of the other lines that a machine answers; ``machine_missed`` of them
    are taken for a person and cost an operator ``machine_talk``; ``person_missed`` of the people
    are taken for a machine. A person waits ``wait`` seconds for an operator, or less: ``patience``.
    """

    operators: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    answer: Annotated[
        tuple[tuple[Annotated[float, Field(ge=0)], Share], ...],
        BeforeValidator(_points),
        Field(min_length=1),
    ]
    ring: Annotated[Law, BeforeValidator(_law)] = Law(mean=15.0)
    talk: Annotated[Law, BeforeValidator(_law)] = Law(mean=150.0)
    wrapup: Annotated[Law, BeforeValidator(_law)] = Law(mean=30.0)
    hours: Annotated[float, Field(gt=0, le=24, strict=True)] = 8.0
    wait: Annotated[float, Field(ge=0, le=60, strict=True)] = 2.0
    patience: Annotated[Law | None, BeforeValidator(_law)] = None
    machine: Share = 0.0
    machine_missed: Share = 0.0
    machine_talk: Annotated[Law, BeforeValidator(_law)] = Law(mean=8.0)
    person_missed: Share = 0.0
    leaving: tuple[Leaving, ...] = ()
    review: Seconds = 1.0
    mode: str = "progressive"
    max_abandon: float = 0.03
    lines_per_agent: float = 1.5
    seed: Annotated[int, Field(ge=0, strict=True)] = 1

    @model_validator(mode="after")
    def _possible(self) -> Scenario:
        hours = [hour for hour, _ in self.answer]
        if hours != sorted(hours):
            raise ValueError("the hours of 'answer' must grow")
        if self.ring.law != "empirical" and self.ring.mean == 0:
            raise ValueError("a line cannot ring for no time: give 'ring' a mean above 0")
        return self

    @property
    def pacing(self) -> PacingConfig:
        """How its pacer is set; raises ConfigError for a mode that does not exist."""
        return PacingConfig(
            mode=self.mode,
            max_abandon=self.max_abandon,
            max_wait=self.wait or 0.001,
            lines_per_agent=self.lines_per_agent,
        )


def read_scenario(path: Path) -> Scenario:
    """A scenario from YAML; raises ConfigError that names the key."""
    content: dict[str, Any] = read_yaml(path)
    try:
        scenario = Scenario.model_validate(content)
        scenario.pacing  # noqa: B018 - checks the mode
    except ValidationError as error:
        problems = "; ".join(_problem(found) for found in error.errors())
        raise ConfigError(f"{path}: {problems}") from None
    return scenario


def _problem(found: Any) -> str:
    where = ".".join(str(step) for step in found["loc"]) or "the scenario"
    if found["type"] == "missing":
        return f"'{where}' is missing"
    if found["type"] == "extra_forbidden":
        return f"'{where}' is not a key of a scenario: {', '.join(Scenario.model_fields)}"
    return f"'{where}': {found['msg']}"
