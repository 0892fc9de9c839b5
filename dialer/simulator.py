"""A seeded simulation of a shift: any pacer, no PBX, no clock. Times are in seconds.

A line ends after a drawn time: a person answers it, a machine, or nobody. A person who answers gets
a free operator or waits, and is abandoned after ``wait`` seconds or when the patience ends.
Conversation and wrap-up follow. The pacer is asked every ``review`` seconds, and after each thing
that happens, but at most four times a second.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dialer import pacing
from dialer.scenario import Leaving, Scenario
from zanc_pipeline.common.outcomes import Outcome

SHORTEST_REVIEW = 0.25


class AnyPacer(Protocol):
    """What decides: a ``dialer.pacing.Pacer`` or something to compare with it."""

    def observe(self, event: pacing.Event, /) -> None:
        """Take note of what happened."""

    def calls_to_place(self, snapshot: pacing.Snapshot, /) -> int:
        """How many lines to open now."""

    def why(self) -> str:
        """The reason of its last answer."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a shift.

    ``occupancy`` is the share of the operators' time spent in talk or wrap-up; ``minutes`` holds
    for each minute of the shift how many people answered and were abandoned in it;
    ``why`` is the pacer's reason for its last answer.
    """

    calls: int
    answered: int
    abandoned: int
    occupancy: float
    minutes: tuple[tuple[int, int], ...] = ()
    why: str = ""

    @property
    def abandoned_share(self) -> float:
        """Abandoned people among those who answered."""
        return self.abandoned / self.answered if self.answered else 0.0

    def worst_hour(self, people: int = 100) -> float:
        """The highest abandoned share of any 60 minutes with at least so many people; 0 if none."""
        total = np.vstack([np.zeros((1, 2)), np.cumsum(np.reshape(self.minutes, (-1, 2)), axis=0)])
        span = min(60, len(total) - 1)
        answered, abandoned = (total[span:] - total[:-span]).T if span else np.zeros((2, 0))
        shares = abandoned[answered >= people] / answered[answered >= people]
        return float(shares.max(initial=0.0))


def simulate(scenario: Scenario, pacer: AnyPacer | None = None) -> Result:
    """Run one shift; the same scenario always gives the same result.

    ``pacer`` takes the place of the one that the scenario names.
    """
    return _Shift(scenario, pacer or pacing.Pacer(scenario.pacing, seed=scenario.seed)).run()


class _Shift:
    def __init__(self, scenario: Scenario, pacer: AnyPacer) -> None:
        self.scenario, self.pacer = scenario, pacer
        streams = np.random.default_rng(scenario.seed).spawn(6)
        self.ring, self.talk, self.wrapup, self.machine_talk = (
            law.stream(stream)
            for law, stream in zip(
                (scenario.ring, scenario.talk, scenario.wrapup, scenario.machine_talk),
                streams,
                strict=False,
            )
        )
        self.patience = scenario.patience.stream(streams[4]) if scenario.patience else None
        self.chance = _chances(streams[5])
        self.hours = np.array([hour * 3600 for hour, _ in scenario.answer])
        self.shares = np.array([share for _, share in scenario.answer])
        self.now = 0.0
        self.idle, self.staff, self.to_leave = scenario.operators, scenario.operators, 0
        self.agenda: list[tuple[float, int, str, float]] = []
        self.order = 0
        self.ringing: dict[int, float] = {}
        self.talking: dict[int, float] = {}
        self.wrapping: dict[int, float] = {}
        self.waiting: dict[int, tuple[float, bool]] = {}
        self.working = self.logged_in = 0.0
        self.calls = 0
        self.minutes = [[0, 0] for _ in range(int(scenario.hours * 60) + 1)]

    def run(self) -> Result:
        end = self.scenario.hours * 3600
        for leaving in self.scenario.leaving:
            self._plan_leaving(leaving)
        asked, fresh = float("-inf"), True
        while True:
            review = asked + (SHORTEST_REVIEW if fresh else self.scenario.review)
            if review < (self.agenda[0][0] if self.agenda else float("inf")):
                self._advance(min(end, max(self.now, review)))
                if self.now >= end:
                    break
                asked, fresh = self.now, False
                self._open(self.pacer.calls_to_place(self._snapshot()))
                continue
            at, number, kind, seconds = heapq.heappop(self.agenda)
            self._advance(min(end, at))
            if self.now >= end:
                break
            self._happen(number, kind, seconds)
            fresh = True
        return Result(
            calls=self.calls,
            answered=sum(answered for answered, _ in self.minutes),
            abandoned=sum(abandoned for _, abandoned in self.minutes),
            occupancy=self.working / self.logged_in if self.logged_in else 0.0,
            minutes=tuple((answered, abandoned) for answered, abandoned in self.minutes),
            why=self.pacer.why(),
        )

    def _advance(self, at: float) -> None:
        elapsed = at - self.now
        self.logged_in += elapsed * self.staff
        self.working += elapsed * (len(self.talking) + len(self.wrapping))
        self.now = at

    def _snapshot(self) -> pacing.Snapshot:
        now = self.now
        return pacing.Snapshot(
            now=now,
            idle_agents=self.idle,
            busy_agents=[now - since for since in self.talking.values()],
            wrapup_agents=[now - since for since in self.wrapping.values()],
            ringing=[now - since for since in self.ringing.values()],
            waiting=[now - since for since, _ in self.waiting.values()],
        )

    def _later(self, seconds: float, number: int, kind: str) -> None:
        heapq.heappush(self.agenda, (self.now + seconds, number, kind, seconds))

    def _open(self, lines: int) -> None:
        for _ in range(lines):
            self.order += 1
            self.ringing[self.order] = self.now
            self.pacer.observe(pacing.Dialed(at=self.now))
            self._later(next(self.ring), self.order, "line")
        self.calls += lines

    def _happen(self, number: int, kind: str, seconds: float) -> None:
        match kind:
            case "line":
                del self.ringing[number]
                self._line_ends(number)
            case "patience" if number in self.waiting:
                del self.waiting[number]
                self.minutes[int(self.now // 60)][1] += 1
                self.pacer.observe(pacing.Abandoned(at=self.now))
            case "talk":
                del self.talking[number]
                self.pacer.observe(pacing.Released(at=self.now, talk_seconds=seconds))
                self.wrapping[number] = self.now
                self._later(next(self.wrapup), number, "wrapup")
            case "wrapup":
                del self.wrapping[number]
                self.pacer.observe(pacing.Ready(at=self.now, wrapup_seconds=seconds))
                self._free()
            case "leave":
                self.to_leave += number
                leaving = min(self.idle, self.to_leave)
                self.idle -= leaving
                self.staff -= leaving
                self.to_leave -= leaving
            case "return":
                self.staff += number
                for _ in range(number):
                    self._free(stays=True)

    def _line_ends(self, number: int) -> None:
        scenario, now = self.scenario, self.now
        share = (
            float(np.interp(now, self.hours, self.shares))
            if len(self.hours) > 1
            else (scenario.answer[0][1])
        )
        person = next(self.chance) < share
        if person:
            passes, outcome = next(self.chance) >= scenario.person_missed, Outcome.MACHINE
        elif next(self.chance) < scenario.machine:
            passes, outcome = next(self.chance) < scenario.machine_missed, Outcome.MACHINE
        else:
            passes, outcome = False, Outcome.NO_ANSWER
        if not passes:
            self.pacer.observe(pacing.NotAnswered(at=now, outcome=outcome))
            return
        self.minutes[int(now // 60)][0] += 1
        self.pacer.observe(pacing.Answered(at=now))
        if self.idle:
            self.idle -= 1
            self._connect(number, person)
            return
        patience = (
            scenario.wait if self.patience is None else (min(scenario.wait, next(self.patience)))
        )
        self.waiting[number] = (now, person)
        self._later(patience, number, "patience")

    def _connect(self, number: int, person: bool) -> None:
        self.pacer.observe(pacing.Connected(at=self.now))
        self.talking[number] = self.now
        self._later(next(self.talk if person else self.machine_talk), number, "talk")

    def _free(self, *, stays: bool = False) -> None:
        if self.to_leave and not stays:
            self.to_leave -= 1
            self.staff -= 1
        elif self.waiting:
            number = next(iter(self.waiting))
            _, person = self.waiting.pop(number)
            self._connect(number, person)
        else:
            self.idle += 1

    def _plan_leaving(self, leaving: Leaving) -> None:
        heapq.heappush(self.agenda, (leaving.hour * 3600, leaving.operators, "leave", 0.0))
        if leaving.minutes is not None:
            back = leaving.hour * 3600 + leaving.minutes * 60
            heapq.heappush(self.agenda, (back, leaving.operators, "return", 0.0))


def _chances(random: np.random.Generator) -> Iterator[float]:
    while True:
        yield from random.random(4096).tolist()
