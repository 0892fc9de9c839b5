"""What the pacer hears of an attempt, and what history tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dialer import pacing
from dialer.attempt import (
    Answered,
    Attempt,
    Connected,
    Created,
    Detected,
    Event,
    GivenUp,
    HungUp,
    Judged,
    Ringing,
    advance,
)
from dialer.pace import Pace, events_of
from dialer.pacing import PacingConfig, Past
from zanc_pipeline.common.outcomes import Outcome

ZONE = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def told(*events: Event) -> list[str]:
    """The kinds of what the pacer hears while these happen."""
    attempt, heard = Attempt(id="a" * 32, created_at=NOW), []
    for event in events:
        after = advance(attempt, event).attempt
        heard += [type(one).__name__ for one in events_of(attempt, after, 0.0)]
        attempt = after
    return heard


RINGS = (Created(at=at(0)), Ringing(at=at(1)), Answered(at=at(5)))
PERSON = (*RINGS, Detected(at=at(7), machine=False))


@pytest.mark.parametrize(
    ("events", "heard"),
    [
        ((*RINGS[:2], HungUp(at=at(9), cause=17)), ["NotAnswered"]),
        ((*RINGS, Detected(at=at(7), machine=True), HungUp(at=at(8), cause=16)), ["NotAnswered"]),
        (
            (*PERSON, Connected(at=at(8), operator="op01"), HungUp(at=at(60), cause=16)),
            ["Answered", "Connected", "Released"],
        ),
        (
            (*PERSON, GivenUp(at=at(9)), HungUp(at=at(15), cause=16)),
            ["Answered", "Abandoned"],
        ),
        ((*PERSON, HungUp(at=at(8), cause=16)), ["Answered", "Abandoned"]),
        ((*RINGS, HungUp(at=at(6), cause=16)), ["Answered", "Abandoned"]),
        (
            (Judged(at=at(60), outcome=Outcome.HUMAN, placed=True, answered_at=at(5)),),
            ["Answered", "Connected", "Released"],
        ),
        ((Judged(at=at(9), outcome=Outcome.UNKNOWN, placed=True),), ["NotAnswered"]),
        (
            (*PERSON, Judged(at=at(9), outcome=Outcome.UNKNOWN, placed=True)),
            ["Answered"],
        ),
    ],
    ids=[
        "busy", "machine", "talked", "given up", "hung up while waiting", "gone early",
        "talked unseen", "lost", "lost while waiting",
    ],
)  # fmt: skip
def test_each_person_is_counted_once_and_each_line_ends_once(
    events: tuple[Event, ...], heard: list[str]
) -> None:
    assert told(*events) == heard


def pace(rates: dict[tuple[int, str], tuple[int, int]], past: Past | None = None) -> Pace:
    return Pace(config=PacingConfig(mode="predictive"), zone=ZONE, past=past or Past(), rates=rates)


def test_history_gives_each_hour_and_segment_its_answer_rate() -> None:
    known = pace({(12, "A"): (1000, 400), (12, "E"): (1000, 100), (13, "A"): (10, 10)})
    assert known.opened("A", NOW) == pytest.approx(0.4, abs=0.01)
    assert known.expected(NOW) == pytest.approx(0.4, abs=0.01)
    assert known.opened("E", NOW) == pytest.approx(0.1, abs=0.01)
    assert known.expected(NOW) == pytest.approx(0.25, abs=0.01)
    few = known.opened("A", NOW + timedelta(hours=1))  # ten lines lean on the mean of all
    assert 0.25 < few < 0.45
    assert pace({(12, "A"): (100, 90)}).opened("A", NOW) == 1.0


def test_other_settings_go_on_from_what_was_counted() -> None:
    running = pace({}, Past(day_answered=40, day_abandoned=1, month_answered=60, month_abandoned=2))
    running.pacer.observe(pacing.Answered(at=1.0))
    running.change(PacingConfig(mode="progressive"))
    assert (running.pacer.answered, running.pacer.abandoned) == (41, 1)
    running.change(PacingConfig(mode="predictive", max_abandon=0.02))
    assert (running.pacer.answered, running.pacer.abandoned) == (41, 1)
    assert running.share_over_month() == pytest.approx(3 / 101)


def test_the_thirty_days_hold_a_campaign_back_that_today_would_not() -> None:
    past = Past(day_answered=200, day_abandoned=0, month_answered=1000, month_abandoned=60)
    bad = pace({}, past)
    for line in range(200):
        person = line % 4 == 0
        event: pacing.Event = (
            pacing.Answered(at=line * 3.0)
            if person
            else pacing.NotAnswered(at=line * 3.0, outcome=Outcome.BUSY)
        )
        bad.pacer.observe(event)
    asked = pacing.Snapshot(now=600.0, idle_agents=5, busy_agents=[60.0] * 20)
    assert bad.pacer.calls_to_place(asked) == 5
    assert "60 em 30 dias" in bad.pacer.why()
