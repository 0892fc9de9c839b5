"""When a file is expected, learned from when files came."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.reception.usual_hours import usual

MONDAY = date(2026, 11, 23)


def came(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), LOCAL)


def weekdays(before: date, count: int) -> list[date]:
    days = [before - timedelta(days=back) for back in range(1, count * 2 + 8)]
    return [day for day in days if day.weekday() < 5][:count]


def test_a_daily_file_is_expected_at_its_hour_and_late_after_the_latest_usual_one() -> None:
    past = [came(day, 9, 10) for day in weekdays(MONDAY, 20)]
    past += [came(day, 15) for day in weekdays(MONDAY, 20)]  # the second file of a day
    found = usual(past, MONDAY)
    assert found is not None
    assert (found.at, found.by) == (came(MONDAY, 9, 10), came(MONDAY, 9, 40))


def test_one_strange_day_moves_neither() -> None:
    past = [came(day, 9) for day in weekdays(MONDAY, 30)[1:]]
    past.append(came(weekdays(MONDAY, 1)[0], 23))
    found = usual(past, MONDAY)
    assert found is not None
    assert found.at == came(MONDAY, 9)


def test_a_weekly_file_is_expected_on_its_weekday_alone() -> None:
    past = [came(MONDAY - timedelta(weeks=week), 7) for week in range(1, 7)]
    assert usual(past, MONDAY) is not None
    assert usual(past, MONDAY + timedelta(days=1)) is None


def test_nothing_is_expected_on_a_weekend_of_who_sends_on_weekdays() -> None:
    saturday = MONDAY + timedelta(days=5)
    assert usual([came(day, 9) for day in weekdays(saturday, 20)], saturday) is None
    assert usual([came(day, 9) for day in weekdays(saturday, 4)], saturday) is None


def test_little_history_or_an_old_one_says_nothing() -> None:
    assert usual([], MONDAY) is None
    assert usual([came(MONDAY - timedelta(days=3), 9)], MONDAY) is None
    old = [came(MONDAY - timedelta(days=200 + day), 9) for day in range(40)]
    assert usual(old, MONDAY) is None


def test_what_came_today_is_no_history() -> None:
    past = [came(day, 9) for day in weekdays(MONDAY, 10)]
    assert usual([*past, came(MONDAY, 3)], MONDAY) == usual(past, MONDAY)
