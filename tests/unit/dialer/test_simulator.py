"""Simulated shifts: the pacers at work, and scenarios as they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialer.baselines import IssabelPacer, VicidialPacer, WebitelPacer
from dialer.floor import Abandoned, Answered, Dialed, NotAnswered, Released, Snapshot
from dialer.scenario import Law, Scenario, read_scenario
from dialer.simulator import Result, simulate
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome


def shift(**keys: Any) -> Result:
    return simulate(Scenario.model_validate({"mode": "predictive", **keys}))


@pytest.mark.parametrize(("answer", "occupancy"), [(0.25, 0.75), (0.10, 0.545)])
def test_the_progressive_shift_meets_the_exact_figure(answer: float, occupancy: float) -> None:
    result = shift(operators=50, answer=answer, mode="progressive")
    assert result.occupancy == pytest.approx(occupancy, abs=0.015)
    assert result.abandoned == 0


@pytest.mark.parametrize(("operators", "answer", "optimum"), [(10, 0.25, 0.844), (25, 0.25, 0.904)])
def test_the_predictive_shift_is_near_the_optimum_and_under_the_limit(
    operators: int, answer: float, optimum: float
) -> None:
    """One seeded shift: its occupancy strays by about .01 from the mean of many."""
    result = shift(operators=operators, answer=answer)
    assert result.occupancy > optimum - 0.035
    assert result.abandoned_share <= 0.03


@pytest.mark.parametrize(
    "changes",
    [
        {"talk": {"law": "lognormal", "mean": 150, "sigma": 1.0}},
        {"ring": {"law": "gamma", "mean": 15, "shape": 4}},
        {"answer": [[0, 0.35], [1, 0.35], [2, 0.08]]},
        {"leaving": [{"hour": 2, "operators": 8}]},
        {"patience": 3.0, "machine": 0.3, "machine_missed": 0.1, "person_missed": 0.05},
    ],
    ids=["lognormal talk", "gamma ring", "moving answer rate", "a third leaves", "machines"],
)
def test_the_limit_holds_on_floors_that_change(changes: dict[str, Any]) -> None:
    result = shift(**{"operators": 25, "answer": 0.25, "hours": 4.0, **changes})
    assert result.abandoned_share <= 0.03
    assert result.worst_hour() <= 0.05


def test_predictive_keeps_operators_busier_than_progressive_and_vicidial() -> None:
    scenario = Scenario.model_validate({"operators": 25, "answer": 0.25, "hours": 2.0})
    vicidial = VicidialPacer()
    adapted = simulate(scenario, vicidial)
    assert 1 <= vicidial.level <= 3
    progressive = simulate(scenario.model_copy(update={"mode": "progressive"}))
    predicted = simulate(scenario.model_copy(update={"mode": "predictive"}))
    assert max(progressive.occupancy, adapted.occupancy) < predicted.occupancy


def test_vicidial_opens_level_times_operators_less_the_active_lines() -> None:
    pacer = VicidialPacer()
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=4, busy_agents=[1.0])) == 4
    assert pacer.calls_to_place(Snapshot(now=1, idle_agents=4)) == 0
    pacer.calls_to_place(Snapshot(now=15, idle_agents=4, busy_agents=[1.0]))
    assert pacer.level == pytest.approx(1 + 4 / 5)
    pacer.observe(Answered(at=16))
    pacer.observe(Abandoned(at=18))
    pacer.calls_to_place(Snapshot(now=30, idle_agents=4, busy_agents=[1.0]))
    assert pacer.level == 1
    only = VicidialPacer(available_only=True)
    assert only.calls_to_place(Snapshot(now=0, idle_agents=2, busy_agents=[1.0] * 5)) == 2


def lived(pacer: IssabelPacer | WebitelPacer, lines: int, answered: int, talk: float) -> None:
    """Each line took 10 s to its outcome, each conversation ``talk`` seconds."""
    for number in range(lines):
        pacer.observe(Dialed(at=float(number)))
    for number in range(lines):
        at = number + 10.0
        missed = NotAnswered(at=at, outcome=Outcome.BUSY)
        pacer.observe(Answered(at=at) if number < answered else missed)
    for number in range(answered):
        pacer.observe(Released(at=50.0 + number, talk_seconds=talk))


def test_issabel_counts_who_will_surely_be_free_and_divides_by_the_answered_share() -> None:
    plain, over = IssabelPacer(), IssabelPacer(overcommit=True)
    floor = Snapshot(now=100, idle_agents=4, busy_agents=[90.0, 96.0, 300.0], ringing=[1.0])
    assert plain.calls_to_place(floor) == 3  # nothing is known yet
    assert plain.calls_to_place(replace(floor, now=102)) == 0  # it looks every 3 s
    for pacer in (plain, over):
        lived(pacer, 40, 20, talk=30.0)
    # 1 - exp(-(10 + 96) / 30) is .971, of 90 s it is .964.
    assert plain.calls_to_place(replace(floor, now=104)) == 4 + 2 - 1
    assert over.calls_to_place(replace(floor, now=104)) == round((4 + 2 - 1) / 0.5)


def test_webitel_opens_lines_by_the_answered_share_until_too_many_are_abandoned() -> None:
    pacer = WebitelPacer()
    floor = Snapshot(now=100, idle_agents=4, busy_agents=[15.0, 25.0], ringing=[1.0, 2.0])
    assert pacer.calls_to_place(floor) == 2
    lived(pacer, 40, 20, talk=30.0)
    assert pacer.calls_to_place(replace(floor, now=130)) == 2 * (4 + 1) - 2
    pacer.observe(Abandoned(at=131))
    assert pacer.calls_to_place(replace(floor, now=160)) == 2
    assert pacer.lines == 1


def test_operators_leave_and_come_back() -> None:
    keys = {"operators": 20, "answer": 0.3, "hours": 2.0, "mode": "progressive"}
    everybody = shift(**keys)
    fewer = shift(**keys, leaving=[{"hour": 0.5, "operators": 10}])
    back = shift(**keys, leaving=[{"hour": 0.5, "operators": 10, "minutes": 30}])
    assert fewer.answered < back.answered < everybody.answered
    assert fewer.occupancy == pytest.approx(everybody.occupancy, abs=0.05)


@pytest.mark.parametrize("law", ["exponential", "gamma", "lognormal", "constant"])
def test_a_law_keeps_its_mean(law: Any) -> None:
    import numpy as np

    times = Law(law=law, mean=20.0).draw(np.random.default_rng(1), 40_000)
    assert sum(times) / len(times) == pytest.approx(20.0, rel=0.03)


def test_the_same_scenario_gives_the_same_shift(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(
        "operators: 5\nanswer: [[0, 0.3], [1, 0.2]]\nhours: 1.0\nseed: 7\nmode: predictive\n"
        "wrapup: {law: empirical, values: [10, 20]}\n"
    )
    assert simulate(read_scenario(path)) == simulate(read_scenario(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("operators: 5", "'answer' is missing"),
        ("operators: 5\nanswer: 2", "less than or equal to 1"),
        ("operators: many\nanswer: 0.2", "'operators': Input should be a valid integer"),
        ("operators: 5\nanswer: 0.2\nspeed: 3", "'speed' is not a key"),
        ("operators: 5\nanswer: 0.2\nmode: preview", "not available"),
        ("operators: 5\nanswer: 0.2\nring: 0", "a line cannot ring for no time"),
        ("operators: 5\nanswer: [[2, 0.2], [1, 0.1]]", "must grow"),
        ("operators: 5\nanswer: 0.2\ntalk: {law: empirical}", "it needs them"),
    ],
)
def test_a_wrong_scenario_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_scenario(path)
