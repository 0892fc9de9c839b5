"""What the simulated network does with live calls."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.world.small_world import DAY
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation, truth
from zanc_pipeline.world.carrier import CallPlan
from zanc_pipeline.world.carrier_law import SHORTEST_TALK, CarrierLaw, carrier_law
from zanc_pipeline.world.speech import GREETINGS, HELLOS

NOON = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)


def numbers(world: Settings, where: str = "1", limit: int = 300) -> list[str]:
    with truth.reading(truth.truth_path(world)) as connection:
        return [
            row["number"]
            for row in connection.execute(
                f"SELECT number FROM phone WHERE {where} ORDER BY number LIMIT {limit}"
            )
        ]


def played(world: Settings, dialled: list[str], *, journal: Path | None = None) -> list[CallPlan]:
    path = truth.truth_path(world)
    network = CarrierLaw(path, seed=1, time_scale=4, journal=journal)
    return [network.decide(number, NOON) for number in dialled]


def test_the_same_calls_have_the_same_outcomes(world: Settings) -> None:
    dialled = numbers(world)[:60] * 3
    assert played(world, dialled) == played(world, dialled)


def test_a_numbers_calls_do_not_depend_on_other_numbers(world: Settings) -> None:
    one, *others = numbers(world)[:40]
    alone = played(world, [one] * 5)
    mixed = played(world, [number for _ in range(5) for number in (*others, one)])
    assert mixed[len(others) :: len(others) + 1] == alone


def test_a_number_of_nobody_and_a_dead_one_are_invalid(world: Settings) -> None:
    dialled = ["11999999999", "190", *numbers(world, "dead")[:20]]
    assert {plan.outcome for plan in played(world, dialled * 2)} == {Outcome.INVALID_NUMBER}


def test_living_numbers_do_everything_else(world: Settings) -> None:
    outcomes = Counter(plan.outcome for plan in played(world, numbers(world, "NOT dead")))
    assert Outcome.INVALID_NUMBER not in outcomes
    for outcome in (Outcome.HUMAN, Outcome.MACHINE, Outcome.BUSY, Outcome.NO_ANSWER):
        assert outcomes[outcome] > 5
    assert 0.1 < outcomes[Outcome.HUMAN] / outcomes.total() < 0.5


def test_a_better_phone_is_answered_more_often(world: Settings) -> None:
    shares = []
    for where in ("NOT dead AND quality > 0.5", "NOT dead AND quality < -0.5"):
        plans = played(world, numbers(world, where) * 2)
        shares.append(sum(plan.outcome is Outcome.HUMAN for plan in plans) / len(plans))
    assert shares[0] > shares[1] + 0.1


def test_rings_are_scaled_and_people_stay_long_enough_for_an_operator(world: Settings) -> None:
    for plan in played(world, numbers(world)):
        assert plan.ring_seconds <= 25 / 4
        match plan.outcome:
            case Outcome.HUMAN:
                assert plan.voice in HELLOS
                assert plan.talk_seconds >= SHORTEST_TALK
            case Outcome.MACHINE:
                assert plan.voice in GREETINGS
            case Outcome.NO_ANSWER:
                assert plan.ring_seconds >= 20 / 4


def test_at_night_a_demo_works(world: Settings) -> None:
    network = CarrierLaw(truth.truth_path(world), seed=1, time_scale=4)
    plans = [network.decide(number, NIGHT) for number in numbers(world, "NOT dead")]
    assert sum(plan.outcome is Outcome.HUMAN for plan in plans) > 0.1 * len(plans)


def test_a_restart_goes_on_where_the_journal_ends(world: Settings, tmp_path: Path) -> None:
    dialled = numbers(world)[:30] * 4
    whole = played(world, dialled)
    journal = tmp_path / "carrier.jsonl"
    with journal.open("w", encoding="utf-8") as lines:
        for number, plan in list(zip(dialled, whole, strict=True))[:50]:
            lines.write(json.dumps({"number": number, "outcome": plan.outcome}) + "\n")
        lines.write('{"number": "11')
    assert played(world, dialled[50:], journal=journal) == whole[50:]


def test_a_world_made_anew_forgets_the_calls(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    network = carrier_law(fresh)
    dialled = numbers(fresh)[:20]
    first = [network.decide(number, NOON) for number in dialled]
    generation.generate(fresh, day=DAY, force=True)
    assert [network.decide(number, NOON) for number in dialled] == first


def test_people_who_came_later_are_known_at_once(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    network = carrier_law(fresh)
    before = set(numbers(fresh, limit=100_000))
    network.decide(min(before), NOON)
    generation.next_day(fresh)
    new = sorted(set(numbers(fresh, "NOT dead", limit=100_000)) - before)
    assert new
    plans = [network.decide(number, NOON) for number in new]
    assert all(plan.outcome is not Outcome.INVALID_NUMBER for plan in plans)


def test_before_the_world_is_made_calls_fail_in_the_network(
    fresh: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    plan = carrier_law(fresh).decide("11900000000", NOON)
    assert plan.outcome is Outcome.NETWORK_FAILURE
    assert "truth.sqlite3" in caplog.text
    assert "11900000000" not in caplog.text


def test_time_does_not_stand_still(fresh: Settings) -> None:
    fresh.world.time_scale = 0
    with pytest.raises(ConfigError, match="time_scale"):
        carrier_law(fresh)
