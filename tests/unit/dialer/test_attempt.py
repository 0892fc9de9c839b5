"""What happens to a call, and what is concluded from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import attempt as events
from dialer.attempt import (
    Attempt,
    FindOperator,
    HangUp,
    State,
    advance,
    in_doubt,
    outcome_of_cause,
    tells_the_end,
)
from zanc_pipeline.common.outcomes import Outcome

START = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def new(**values: object) -> Attempt:
    return Attempt(id="a" * 32, created_at=START, operator="op01", **values)  # type: ignore[arg-type]


def play(attempt: Attempt, *happened: events.Event) -> tuple[Attempt, list[events.Command]]:
    commands: list[events.Command] = []
    for event in happened:
        step = advance(attempt, event)
        attempt = step.attempt
        commands += step.commands
    return attempt, commands


RINGS = (events.Created(at=at(0)), events.Ringing(at=at(1)))
PERSON = (*RINGS, events.Answered(at=at(5)), events.Detected(at=at(6), machine=False))


def test_a_person_who_answers_gets_an_operator_and_the_call_ends_as_human() -> None:
    ended, commands = play(
        new(),
        *PERSON,
        events.Connected(at=at(7), operator="op01"),
        events.OperatorGone(at=at(60), operator="op01", talked=True),
        events.HungUp(at=at(61), cause=16),
    )
    assert commands == [FindOperator()]
    assert ended.outcome is Outcome.HUMAN
    assert ended.state is State.ENDED
    assert (ended.ringing_at, ended.answered_at, ended.detected_at, ended.connected_at) == (
        at(1),
        at(5),
        at(6),
        at(7),
    )
    assert (ended.ended_at, ended.hangup_cause) == (at(61), 16)


def test_a_machine_gets_no_operator() -> None:
    ended, commands = play(
        new(),
        *RINGS,
        events.Answered(at=at(5)),
        events.Detected(at=at(6), machine=True),
        events.HungUp(at=at(6.1), cause=16),
    )
    assert commands == []
    assert ended.outcome is Outcome.MACHINE


def test_an_operator_whose_phone_does_not_answer_is_replaced() -> None:
    waiting, commands = play(
        new(), *PERSON, events.OperatorGone(at=at(10), operator="op01", talked=False)
    )
    assert commands == [FindOperator(), FindOperator(failed="op01")]
    assert waiting.state is State.WAITING


def test_whom_an_operator_was_sent_to_unseen_gets_another_when_that_one_does_not_answer() -> None:
    answered = (*RINGS, events.Answered(at=at(5)))
    gone = events.OperatorGone(at=at(8), operator="op01", talked=False)
    waiting, commands = play(new(), *answered, gone)
    assert (waiting.state, commands) == (State.WAITING, [FindOperator(failed="op01")])
    machine = events.Detected(at=at(6), machine=True)
    _, commands = play(new(), *answered, machine, gone)
    assert commands == []


def test_nobody_else_is_sent_to_a_person_who_already_hears_the_safe_message() -> None:
    _, commands = play(
        new(),
        *PERSON,
        events.GivenUp(at=at(8)),
        events.OperatorGone(at=at(10), operator="op01", talked=False),
    )
    assert commands == [FindOperator()]


@pytest.mark.parametrize(
    "happened",
    [
        (*PERSON, events.GivenUp(at=at(8))),
        PERSON,
        (*RINGS, events.Answered(at=at(5))),
        (*RINGS, events.Answered(at=at(5)), events.GivenUp(at=at(8))),
    ],
    ids=["safe message", "left while waiting", "left before detection", "unheard detection"],
)
def test_a_person_who_answered_and_got_nobody_counts_as_abandoned(
    happened: tuple[events.Event, ...],
) -> None:
    ended, _ = play(new(), *happened, events.HungUp(at=at(12), cause=16))
    assert ended.outcome is Outcome.ABANDONED


@pytest.mark.parametrize(
    ("cause", "rang", "outcome"),
    [
        (1, False, Outcome.INVALID_NUMBER),
        (28, False, Outcome.INVALID_NUMBER),
        (17, False, Outcome.BUSY),
        (21, True, Outcome.BUSY),
        (18, False, Outcome.NO_ANSWER),
        (19, True, Outcome.NO_ANSWER),
        (16, True, Outcome.NO_ANSWER),
        (0, True, Outcome.NO_ANSWER),
        (0, False, Outcome.NETWORK_FAILURE),
        (34, False, Outcome.NETWORK_FAILURE),
        (38, True, Outcome.NETWORK_FAILURE),
    ],
)
def test_an_unanswered_call_is_named_by_its_cause(cause: int, rang: bool, outcome: Outcome) -> None:
    assert outcome_of_cause(cause, rang=rang) is outcome


def test_a_call_that_we_cancel_is_hung_up_once_and_ends_as_cancelled() -> None:
    ended, commands = play(
        new(),
        *RINGS,
        events.CancelWanted(at=at(2)),
        events.CancelWanted(at=at(3)),
        events.HungUp(at=at(4), cause=16),
    )
    assert commands == [HangUp()]
    assert ended.outcome is Outcome.CANCELLED
    assert ended.placed


def test_a_call_whose_cancelling_did_not_arrive_is_hung_up_again() -> None:
    known = events.Confirmed(at=at(9), doubts=1)
    _, commands = play(new(cancel_wanted=True), *RINGS, known)
    assert commands == [HangUp()]
    _, commands = play(new(cancel_wanted=True), *PERSON, known)
    assert commands == [FindOperator()]


def test_a_call_that_ended_of_itself_before_we_could_cancel_it_is_told_as_it_ended() -> None:
    ended, _ = play(new(), *RINGS, events.CancelWanted(at=at(2)), events.HungUp(at=at(3), cause=1))
    assert ended.outcome is Outcome.INVALID_NUMBER


def test_a_pbx_that_is_stopped_under_a_ringing_call_does_not_make_it_no_answer() -> None:
    # Asterisk 16 ends a call that rang long enough with the same cause, but says so before.
    ended, _ = play(new(), *RINGS, events.HungUp(at=at(3), cause=0))
    assert ended.outcome is Outcome.UNKNOWN
    rang_out = events.OriginateFailed(at=at(20), rang_out=True)
    ended, _ = play(new(), *RINGS, rang_out, events.HungUp(at=at(20), cause=0))
    assert ended.outcome is Outcome.NO_ANSWER


def test_a_call_that_was_answered_is_not_cancelled_any_more() -> None:
    attempt, commands = play(new(), *PERSON, events.CancelWanted(at=at(7)))
    assert commands == [FindOperator()]
    assert not attempt.cancel_wanted


def test_a_failed_originate_without_a_channel_never_left_the_pbx() -> None:
    ended, _ = play(new(), events.OriginateFailed(at=at(1)))
    assert (ended.outcome, ended.placed) == (Outcome.NETWORK_FAILURE, False)


def test_a_failed_originate_with_a_channel_waits_for_the_cause() -> None:
    attempt, _ = play(new(), *RINGS, events.OriginateFailed(at=at(3)))
    assert not attempt.ended
    ended, _ = play(attempt, events.HungUp(at=at(3), cause=17))
    assert ended.outcome is Outcome.BUSY


def test_nobody_talks_before_the_answer_though_a_pbx_tells_whole_seconds() -> None:
    answered, _ = play(new(), events.Answered(at=at(9.7)))
    seen, _ = play(answered, events.Connected(at=at(9), operator="op01"))
    judged, _ = play(
        answered,
        events.Judged(at=at(20), outcome=Outcome.HUMAN, placed=True, connected_at=at(9)),
    )
    assert seen.connected_at == judged.connected_at == at(9.7)


def test_records_may_end_a_conversation_that_we_saw_begin() -> None:
    talking, _ = play(new(), *PERSON, events.Connected(at=at(7), operator="op01"))
    ended, _ = play(talking, events.Judged(at=at(90), outcome=Outcome.ABANDONED, placed=True))
    assert ended.outcome is Outcome.HUMAN
    lost, _ = play(talking, events.Judged(at=at(90), outcome=Outcome.UNKNOWN, placed=True))
    assert lost.outcome is Outcome.UNKNOWN


SECONDS = st.integers(0, 100).map(at)
ANY_EVENT = st.one_of(
    st.builds(events.Created, at=SECONDS),
    st.builds(events.Ringing, at=SECONDS),
    st.builds(events.Answered, at=SECONDS),
    st.builds(events.Detected, at=SECONDS, machine=st.booleans()),
    st.builds(events.Connected, at=SECONDS, operator=st.sampled_from(["op01", "op02"])),
    st.builds(events.OperatorGone, at=SECONDS, operator=st.just("op01"), talked=st.booleans()),
    st.builds(events.GivenUp, at=SECONDS),
    st.builds(events.CancelWanted, at=SECONDS),
    st.builds(events.OriginateFailed, at=SECONDS, rang_out=st.booleans()),
    st.builds(events.Confirmed, at=SECONDS, doubts=st.just(1)),
    st.builds(events.HungUp, at=SECONDS, cause=st.integers(0, 127)),
    st.builds(events.Judged, at=SECONDS, outcome=st.sampled_from(Outcome), placed=st.booleans()),
)


@given(st.lists(ANY_EVENT, max_size=12))
def test_whatever_comes_in_whatever_order_an_attempt_ends_once_and_stays_consistent(
    happened: list[events.Event],
) -> None:
    attempt = new()
    for event in happened:
        before, attempt = attempt, advance(attempt, event).attempt
        if before.ended:
            assert attempt == before
    ended = advance(attempt, events.HungUp(at=at(200), cause=16)).attempt
    assert ended.ended
    assert ended.outcome is not None
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.created_at
    if ended.outcome is Outcome.HUMAN:
        assert ended.connected_at is not None
        assert ended.ended_at >= ended.connected_at


@pytest.mark.parametrize(
    ("known", "cause", "believed"),
    [
        ({}, 17, True),
        ({}, 16, False),
        ({}, 44, False),  # so Asterisk names a conversation whose sound stopped
        ({"state": State.RINGING, "ringing_at": START}, 0, False),
        ({"state": State.ANSWERED, "answered_at": START}, 17, False),
        ({"state": State.ANSWERED, "answered_at": START, "machine": True}, 16, True),
        ({"state": State.TALKING, "answered_at": START, "connected_at": START}, 16, True),
    ],
)
def test_after_a_gap_only_a_hangup_that_leaves_no_doubt_is_believed(
    known: dict[str, object], cause: int, believed: bool
) -> None:
    attempt = new(**known)
    assert tells_the_end(attempt, events.HungUp(at=at(9), cause=cause)) is believed
    assert tells_the_end(attempt, events.Ringing(at=at(9)))


def test_after_a_gap_a_failed_order_does_not_prove_that_nothing_was_dialled() -> None:
    failed = events.OriginateFailed(at=at(9))
    assert not tells_the_end(new(), failed)
    assert in_doubt(new(), failed) == new()
    assert tells_the_end(new(), events.OriginateFailed(at=at(9), rang_out=True))
    # Its channel was there: without a record it is not said that nothing was dialled.
    assert in_doubt(new(), events.HungUp(at=at(9), cause=16)).channel_seen
