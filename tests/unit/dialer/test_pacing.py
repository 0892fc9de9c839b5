"""How many lines to open."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import pacing
from dialer.pacing import Pacer, PacingConfig, Snapshot
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome


def predictive(*, people: int = 100, lines: int = 400, abandoned: int = 0) -> Pacer:
    """A pacer that saw ``lines`` lines end and conversations of 100 s, over 600 s."""
    pacer = Pacer(PacingConfig(mode="predictive"), seed=1)
    for line in range(lines):
        at = 600.0 * line / lines
        if line % (lines // people) == 0:
            pacer.observe(pacing.Answered(at=at))
            pacer.observe(pacing.Connected(at=at))
            pacer.observe(pacing.Released(at=at, talk_seconds=100.0))
            pacer.observe(pacing.Ready(at=at, wrapup_seconds=10.0))
        else:
            pacer.observe(pacing.NotAnswered(at=at, outcome=Outcome.NO_ANSWER))
    for _ in range(abandoned):
        pacer.observe(pacing.Abandoned(at=600.0))
    return pacer


def floor(now: float = 600.0, **changes: object) -> Snapshot:
    usual: dict[str, object] = {"now": now, "idle_agents": 5, "busy_agents": [60.0] * 20}
    return Snapshot(**{**usual, **changes})  # type: ignore[arg-type]


def test_progressive_opens_one_line_for_each_free_operator() -> None:
    pacer = Pacer(PacingConfig(), seed=1)
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=3)) == 3
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=3, ringing=[1.0, 4.0])) == 1
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=2, ringing=[1.0], waiting=[0.2])) == 0
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=0, ringing=[1.0])) == 0
    assert pacer.why() == "0 linhas: uma por operador livre (0), 1 já abertas"


@given(idle=st.integers(0, 50), ringing=st.lists(st.floats(0, 60), max_size=60))
def test_progressive_never_has_more_lines_than_free_operators(
    idle: int, ringing: list[float]
) -> None:
    more = Pacer(PacingConfig()).calls_to_place(Snapshot(now=0, idle_agents=idle, ringing=ringing))
    assert more == max(0, idle - len(ringing))


def test_power_opens_a_fixed_number_of_lines_for_each_free_operator() -> None:
    pacer = Pacer(PacingConfig(mode="power", lines_per_agent=2.5))
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=4)) == 10
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=4, ringing=[1.0] * 7)) == 3
    pacer.observe(pacing.Answered(at=1))
    pacer.observe(pacing.Abandoned(at=2))
    assert pacer.calls_to_place(Snapshot(now=3, idle_agents=4)) == 4
    assert "100,0 % abandonadas" in pacer.why()


def test_predictive_opens_one_line_for_each_free_operator_until_it_knows_enough() -> None:
    pacer = Pacer(PacingConfig(mode="predictive"), seed=1)
    assert pacer.calls_to_place(floor(0, ringing=[1.0, 2.0])) == 3
    assert pacer.why() == (
        "3 linhas, uma por operador livre: só 0 de 0 linhas foram atendidas, pouco para prever"
    )


def test_predictive_opens_more_lines_than_free_operators_when_few_are_answered() -> None:
    assert predictive().calls_to_place(floor()) > 5
    few = predictive(people=50, lines=1000)
    assert few.calls_to_place(floor()) > predictive(people=100).calls_to_place(floor())
    assert "5 operadores livres" in few.why()
    assert "5 % atendem" in few.why()


def test_predictive_counts_open_lines_and_waiting_people() -> None:
    free = predictive().calls_to_place(floor())
    assert abs(predictive().calls_to_place(floor(ringing=[5.0] * 4)) - (free - 4)) <= 1
    assert predictive().calls_to_place(floor(waiting=[0.5] * 3)) < free - 3
    nobody = floor(idle_agents=0, busy_agents=[5.0] * 20, waiting=[0.5])
    assert predictive().calls_to_place(nobody) == 0


def test_predictive_goes_back_to_one_line_for_each_when_too_many_were_abandoned() -> None:
    pacer = predictive(abandoned=10)
    assert pacer.calls_to_place(floor()) == 5
    assert pacer.why() == (
        "5 linhas, uma por operador livre: 10 de 100 pessoas abandonadas hoje, "
        "10 de 100 na última hora: acima de 3 %"
    )
    held = predictive(abandoned=3)
    assert 5 <= held.calls_to_place(floor()) < predictive().calls_to_place(floor())
    assert "contido" in held.why()


@given(
    idle=st.integers(0, 40),
    busy=st.lists(st.floats(0, 10_000), max_size=40),
    wrapup=st.lists(st.floats(0, 10_000), max_size=40),
    ringing=st.lists(st.floats(0, 600), max_size=80),
    waiting=st.lists(st.floats(0, 5), max_size=10),
)
def test_predictive_answers_any_floor_with_a_bounded_number(
    idle: int,
    busy: list[float],
    wrapup: list[float],
    ringing: list[float],
    waiting: list[float],
) -> None:
    pacer = predictive()
    for now in (600.0, 600.2, 655.0, 654.0):
        lines = pacer.calls_to_place(
            Snapshot(
                now=now,
                idle_agents=idle,
                busy_agents=busy,
                wrapup_agents=wrapup,
                ringing=ringing,
                waiting=waiting,
            )
        )
        assert 0 <= lines <= 6 * (idle + len(busy) + len(wrapup))


def test_it_is_quick_for_a_thousand_operators() -> None:
    pacer = predictive()
    ages = [float(second % 300) for second in range(900)]
    started, asked = time.process_time(), 200
    for second in range(asked):
        pacer.calls_to_place(
            Snapshot(
                now=600.0 + second,
                idle_agents=40,
                busy_agents=ages,
                wrapup_agents=ages[:60],
                ringing=[age % 30 for age in ages[:400]],
            )
        )
    assert (time.process_time() - started) / asked < 0.002


def test_the_abandoned_share_is_of_those_who_answered() -> None:
    pacer = Pacer(PacingConfig())
    assert pacer.abandoned_share == 0
    for second in range(4):
        pacer.observe(pacing.Answered(at=second))
    pacer.observe(pacing.Abandoned(at=5))
    assert pacer.abandoned_share == 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "preview"}, "pacing mode 'preview' is not available: use one of progressive"),
        ({"max_abandon": 0.0}, "max_abandon 0.0 is not a share"),
        ({"max_wait": 0.0}, "max_wait 0.0 is not a number of seconds"),
        ({"lines_per_agent": 0.5}, "lines_per_agent 0.5 is not from 1 to 20"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PacingConfig(**changes)  # type: ignore[arg-type]
