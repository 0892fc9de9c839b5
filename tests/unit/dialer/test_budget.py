"""What holds the abandoned share: the room of the day and of every hour, and what is safe."""

from __future__ import annotations

import pytest

from dialer.budget import HOUR_LEFT, Budget, LastHour, Past


def hour(answers: int, *, lost_in_the_last_minutes: int = 0) -> LastHour:
    """An hour that ends with people lost, its answers spread evenly over it."""
    seen = LastHour()
    for answer in range(answers):
        seen.count(3600.0 * answer / answers, answered=1)
    seen.count(3599.0, abandoned=lost_in_the_last_minutes)
    return seen


def test_an_hour_of_few_answers_is_judged_as_one_of_a_hundred() -> None:
    assert LastHour().room(0.05) == 5
    assert hour(30, lost_in_the_last_minutes=2).room(0.05) == 3


def test_people_lost_at_once_count_in_the_hours_to_come_of_fewer_answers() -> None:
    """600 answers allow 30 in the hour that ends now, fewer in the one that begins now."""
    seen = hour(600, lost_in_the_last_minutes=10)
    coming = 10 + HOUR_LEFT * 10 * 59
    assert seen.room(0.05) == pytest.approx(0.05 * coming - 10, abs=0.1)


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    seen = hour(600, lost_in_the_last_minutes=10)
    seen.count(2 * 3600.0 + 60)
    assert (seen.answered, seen.abandoned, seen.room(0.05)) == (0, 0, 5)


def budget(people: int, lost: int, past: Past | None = None) -> Budget:
    """A day of a person every 20 seconds, of whom the last ones were lost."""
    kept = Budget(0.03, past or Past())
    for person in range(people):
        kept.person(20.0 * person)
    for _ in range(lost):
        kept.lost(20.0 * people)
    kept.boldness(20.0 * people)
    return kept


def test_the_less_room_is_left_the_fewer_answers_are_safe() -> None:
    safe = [budget(1000, lost).safe_answers(4) for lost in (0, 2, 3, 4, 5, 30)]
    assert safe == sorted(safe, reverse=True)
    assert safe[0] > 2 > 1 > safe[-2] > safe[-1] == 0


def test_the_hour_holds_back_what_the_day_would_allow() -> None:
    held = budget(1000, 5)  # the day allows 30, the hour that begins now 5
    assert 0 <= held.room() < 1
    assert held.boldness(20_000.0) < budget(1000, 0).boldness(20_000.0)


def test_the_thirty_days_leave_no_room_of_their_own() -> None:
    month = Past(month_answered=1000, month_abandoned=60)
    assert budget(1000, 0, month).room() == pytest.approx(0)
    assert "60 em 30 dias" in budget(1000, 0, month).told()
