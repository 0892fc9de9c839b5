"""How many lines to open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import pacing
from dialer.pacing import Pacer, PacingConfig, Snapshot
from dialer.simulator import Scenario, read_scenario, simulate
from zanc_pipeline.common.errors import ConfigError


def test_progressive_opens_one_line_for_each_free_operator() -> None:
    pacer = Pacer(PacingConfig(), seed=1)
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=3)) == 3
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=3, ringing=[1.0, 4.0])) == 1
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=2, ringing=[1.0], waiting=[0.2])) == 0
    assert pacer.calls_to_place(Snapshot(now=0, idle_agents=0, ringing=[1.0])) == 0


@given(idle=st.integers(0, 50), ringing=st.lists(st.floats(0, 60), max_size=60))
def test_progressive_never_has_more_lines_than_free_operators(
    idle: int, ringing: list[float]
) -> None:
    more = Pacer(PacingConfig()).calls_to_place(Snapshot(now=0, idle_agents=idle, ringing=ringing))
    assert more == max(0, idle - len(ringing))


def test_the_abandoned_share_is_of_those_who_answered() -> None:
    pacer = Pacer(PacingConfig())
    assert pacer.abandoned_share == 0
    for second in range(4):
        pacer.observe(pacing.Answered(at=second))
    pacer.observe(pacing.Abandoned(at=5))
    assert pacer.abandoned_share == 0.25


@pytest.mark.parametrize("mode", ["predictive", "power", "preview", "x"])
def test_a_mode_that_does_not_exist_yet_is_refused_in_one_line(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"pacing mode '{mode}' is not available: use one of"):
        PacingConfig(mode=mode)


@pytest.mark.parametrize(("answer", "occupancy"), [(0.25, 0.75), (0.10, 0.545)])
def test_the_simulated_progressive_shift_meets_the_exact_figure(
    answer: float, occupancy: float
) -> None:
    result = simulate(Scenario(operators=50, answer=answer, talk=150, wrapup=30))
    assert result.occupancy == pytest.approx(occupancy, abs=0.015)
    assert result.abandoned == 0


def test_the_same_scenario_gives_the_same_shift(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "scenario.yaml"
    path.write_text("operators: 5\nanswer: 0.3\nhours: 1\nseed: 7\n")
    assert simulate(read_scenario(path)) == simulate(read_scenario(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("operators: 5", "'answer' is missing"),
        ("operators: 5\nanswer: 2", "share from 0 to 1"),
        ("operators: many\nanswer: 0.2", "'operators' is not of the right kind"),
        ("operators: 5\nanswer: 0.2\nspeed: 3", "'speed' is not a key"),
        ("operators: 5\nanswer: 0.2\nmode: predictive", "not available"),
    ],
)
def test_a_wrong_scenario_is_told(tmp_path, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        simulate(read_scenario(path))
