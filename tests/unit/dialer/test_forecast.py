"""What a pacer learns: hazards, the answer rate, the times of lines."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dialer.forecast import AnswerRate, Hazard, LineTimes, ended_by, whole_seconds


def test_a_hazard_is_learned_from_ends_and_from_what_goes_on() -> None:
    hazard = Hazard(prior=120.0, memory=1e9, first=5.0, growth=0.1)
    ages = whole_seconds([10.0] * 50)
    for _ in range(100):
        hazard.expose(ages, 1.0)
    for _ in range(250):
        hazard.end(10.0)
    by_second = hazard.by_second()
    assert by_second[10] == pytest.approx(250 / 5000, rel=0.05)
    assert ended_by(by_second, np.array([10]))[0, 1] == pytest.approx(0.05, rel=0.1)


def test_the_answer_rate_follows_a_fall_within_an_hour() -> None:
    chance, rate = random.Random(4), AnswerRate()
    for second in range(2 * 3600):
        share = 0.35 if second < 3600 else 0.35 - 0.27 * (second - 3600) / 3600
        rate.resolved(float(second), person=chance.random() < share)
        if second == 3600:
            assert rate.estimate() == pytest.approx(0.35, abs=0.06)
    assert rate.estimate() == pytest.approx(0.08, abs=0.06)


def test_lines_that_are_gone_teach_when_lines_end_and_which_are_answered() -> None:
    """Answered after 6 s, or given up after 25 s; two lines are opened every 5 s."""
    times, opened, now, step = LineTimes(), [], 0.0, 1.0
    while now < 4000:
        answered = sum(now - born == 6 and index % 2 == 0 for index, born in opened)
        gone = [(i, b) for i, b in opened if (now - b == 6 and i % 2 == 0) or now - b == 25]
        opened = [line for line in opened if line not in gone]
        if now % 5 == 0:
            opened += [(len(opened) * 2, now), (len(opened) * 2 + 1, now)]
        times.look(now, [now - born for _, born in opened], step, answered, len(gone))
        now += step
    answered_by = times.answered_by(np.array([0, 10]))
    assert answered_by[0, 4] < 0.2 < 0.6 < answered_by[0, 9]
    assert answered_by[1, 20] < 0.3 < 0.6 < answered_by[0, 20]


@pytest.mark.parametrize("step", [0.5, 1.0, 2.5, 5.0])
def test_however_seldom_one_looks_a_line_is_answered_as_often_as_lines_are(step: float) -> None:
    """Lines of 15 s on the mean, a quarter answered at any age: no age promises more or less."""
    chance, times, now = random.Random(7), LineTimes(), 0.0
    opened: list[tuple[float, float]] = []
    while now < 6000:
        gone = [line for line in opened if line[1] <= now]
        opened = [line for line in opened if line[1] > now]
        answered = sum(chance.random() < 0.25 for _ in gone)
        times.look(now, [now - born for born, _ in opened], step, answered, len(gone))
        for _ in range(int(now % 5 < step) * 6):
            times.opened(now)
            opened.append((now, now + chance.expovariate(1 / 15)))
        now += step
    answered_by = times.answered_by(np.array([0, 5, 15]))
    assert answered_by[:, -1] == pytest.approx(np.ones(3), abs=0.1)
    assert answered_by[0, 15] == pytest.approx(0.63, abs=0.08)


def test_a_rate_that_jumps_up_is_seen_after_a_few_people() -> None:
    rate = AnswerRate()
    for second in range(3600):
        rate.resolved(float(second), person=False)
    for line in range(16):
        rate.resolved(3600.0 + line / 2, person=line % 2 == 0)
    assert rate.estimate() > 0.25


def test_a_rate_that_fell_may_come_back() -> None:
    rate = AnswerRate()
    for second in range(4 * 3600):
        rate.resolved(float(second), person=second < 7200 and second % 2 == 0)
    assert rate.estimate() < 0.02
    assert 0.2 < rate.highest() < 0.5
