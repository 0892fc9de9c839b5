"""The law: who answers, what else happens, who pays."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.world import law

TYPICAL = {
    "hour": 10,
    "weekday": 1,
    "mobile": True,
    "age_days": 400,
    "misses": 0,
    "last": law.NEVER,
    "quality": 0.0,
    "dead": False,
}
DEBT = {
    "amount": 500.0,
    "delay_days": 60,
    "ease": 0.0,
    "debtor_age": 40,
    "contracts": 1,
    "talked": False,
    "promised": False,
}


def answer(**changes: object) -> float:
    return float(law.answer_probability(**{**TYPICAL, **changes}))  # type: ignore[arg-type]


def payment(**changes: object) -> float:
    return float(law.payment_probability(**{**DEBT, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"hour": 18}, {"hour": 8}),
        ({"weekday": 5}, {"weekday": 4}),
        ({"age_days": 0}, {"age_days": 300}),
        ({"misses": 0}, {"misses": 5}),
        ({"last": law.HUMAN}, {"last": law.NO_ANSWER}),
        ({"last": law.BUSY}, {"last": law.MACHINE}),
        ({"quality": 1.0}, {"quality": -1.0}),
        ({"mobile": False, "hour": 9}, {"mobile": True, "hour": 9}),
    ],
)
def test_what_makes_a_person_answer(better: dict[str, object], worse: dict[str, object]) -> None:
    assert answer(**better) > answer(**worse)


def test_a_dead_number_is_never_answered_and_always_invalid() -> None:
    assert answer(dead=True) == 0.0
    drawn = law.draw_result(np.linspace(0, 0.999, 50), 0.0, True, 0.0, True)
    assert set(drawn.tolist()) == {law.INVALID}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"amount": 80.0}, {"amount": 8_000.0}),
        ({"delay_days": 10}, {"delay_days": 700}),
        ({"debtor_age": 65}, {"debtor_age": 22}),
        ({"contracts": 1}, {"contracts": 4}),
        ({"talked": True}, {"talked": False}),
        ({"talked": True, "promised": True}, {"talked": True, "promised": False}),
    ],
)
def test_what_makes_a_debtor_pay(better: dict[str, object], worse: dict[str, object]) -> None:
    assert payment(**better) > payment(**worse)


@given(
    uniform=st.floats(0, 1, exclude_max=True),
    p=st.floats(0, 1),
    mobile=st.booleans(),
    quality=st.floats(-3, 3),
)
def test_a_person_answers_exactly_when_the_draw_is_below_the_probability(
    uniform: float, p: float, mobile: bool, quality: float
) -> None:
    result = int(law.draw_result(uniform, p, mobile, quality, False))
    assert (result == law.HUMAN) == (uniform < p)
    assert result in {law.HUMAN, law.MACHINE, law.BUSY, law.NO_ANSWER, law.NETWORK}


def test_mobiles_have_mailboxes_and_landlines_ring_on() -> None:
    uniform = np.linspace(0, 0.9999, 4_000)
    shares = {
        mobile: np.bincount(law.draw_result(uniform, 0.0, mobile, 0.0, False), minlength=8)
        for mobile in (True, False)
    }
    assert shares[True][law.MACHINE] > shares[True][law.NO_ANSWER]
    assert shares[False][law.MACHINE] < shares[False][law.NO_ANSWER]


def test_misses_count_until_a_person_answers() -> None:
    misses = 0
    seen = []
    for result in (law.BUSY, law.MACHINE, law.HUMAN, law.NO_ANSWER, law.ABANDONED):
        misses = int(law.misses_after(misses, result))
        seen.append(misses)
    assert seen == [1, 2, 0, 1, 0]


def test_rings_end_before_a_caller_gives_up() -> None:
    random = law.random_stream(1, "ring")
    for result in range(1, len(law.RESULTS)):
        rings = law.ring_seconds(random, np.full(500, result))
        assert rings.min() > 0
        assert rings.max() <= 25
    assert law.ring_seconds(random, np.full(100, law.NO_ANSWER)).min() >= 20


def test_only_the_right_party_promises_and_a_dead_debtor_never_talks() -> None:
    uniform = np.linspace(0, 0.9999, 1_000)
    common = {"amount": 500.0, "delay_days": 60}
    right = law.draw_tabulation(uniform, right_party=True, deceased=False, **common)
    wrong = law.draw_tabulation(uniform, right_party=False, deceased=False, **common)
    dead = law.draw_tabulation(uniform, right_party=False, deceased=True, **common)
    assert law.promise_code() in right
    assert law.promise_code() not in wrong
    assert law.TABULATIONS.index(Tabulation.DECEASED) in dead
    assert float(law.right_party_probability(mobile=True, owner=True, deceased=True)) == 0.0
    assert float(law.right_party_probability(mobile=True, owner=False, deceased=False)) == 0.0


@pytest.mark.parametrize(
    ("utc_hour", "local_hour"), [(11, 8), (15, 12), (22, 19), (23, 10), (3, 10), (10, 10)]
)
def test_at_night_people_behave_as_at_ten(utc_hour: int, local_hour: int) -> None:
    moment = datetime(2026, 11, 24, utc_hour, 30, tzinfo=UTC)
    assert law.calling_hour(moment)[0] == local_hour


def test_random_streams_are_repeatable_and_apart() -> None:
    first = law.random_stream(1, "a").random(4).tolist()
    assert law.random_stream(1, "a").random(4).tolist() == first
    assert law.random_stream(1, "b").random(4).tolist() != first
    assert law.random_stream(2, "a").random(4).tolist() != first


def test_auc_counts_ties_half() -> None:
    assert law.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(0.75)
    assert law.auc([0, 1], [0.5, 0.5]) == pytest.approx(0.5)
    assert np.isnan(law.auc([1, 1], [0.1, 0.2]))


def test_codes_speak_the_common_vocabulary() -> None:
    assert set(law.RESULTS[1:]) <= set(Outcome)
    assert set(law.TABULATIONS[1:]) == set(Tabulation)
