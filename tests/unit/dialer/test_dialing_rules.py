"""When and whom a campaign may call."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.rules import (
    MOST_ABANDONED,
    PERSON_PAUSE,
    CallingHours,
    CallNext,
    Finished,
    PastAttempt,
    Phase,
    RetryRules,
    check_number,
    next_call,
)
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

HOURS = CallingHours(
    start=time(8), end=time(20), weekdays=frozenset(range(5)), zone=ZoneInfo("America/Sao_Paulo")
)
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
RULES = RetryRules(
    attempts_per_phone=2,
    waits={
        Outcome.BUSY: timedelta(minutes=1),
        Outcome.NO_ANSWER: timedelta(minutes=30),
        Outcome.ABANDONED: timedelta(minutes=10),
    },
)
FIRST, SECOND = "11912345678", "1132345678"


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        ("2026-11-23T10:59:59+00:00", Phase.BEFORE),
        ("2026-11-23T11:00:00+00:00", Phase.OPEN),
        ("2026-11-23T22:59:59+00:00", Phase.OPEN),
        ("2026-11-23T23:00:00+00:00", Phase.OVER),
        ("2026-11-22T15:00:00+00:00", Phase.OVER),
        ("2026-11-24T02:00:00+00:00", Phase.OVER),
    ],
    ids=["before 8", "at 8", "before 20", "at 20", "a Sunday", "23:00 local, next day in UTC"],
)
def test_calling_hours_are_local_and_the_end_is_excluded(moment: str, phase: Phase) -> None:
    assert HOURS.phase(datetime.fromisoformat(moment)) is phase


def past(phone: str, outcome: Outcome, minutes_ago: float = 0, **more: object) -> PastAttempt:
    ended_at = NOW - timedelta(minutes=minutes_ago)
    return PastAttempt(phone=phone, outcome=outcome, ended_at=ended_at, **more)  # type: ignore[arg-type]


def after(*history: PastAttempt, refused: dict[str, str] | None = None) -> CallNext | Finished:
    return next_call((FIRST, SECOND), refused or {}, history, RULES, NOW)


def test_the_best_phone_comes_first() -> None:
    assert after() == CallNext(index=0, not_before=NOW)


def test_while_one_phone_waits_the_next_one_is_tried() -> None:
    assert after(past(FIRST, Outcome.NO_ANSWER)) == CallNext(index=1, not_before=NOW)


def test_a_busy_phone_is_tried_sooner_than_one_that_nobody_answered() -> None:
    both = (past(SECOND, Outcome.NO_ANSWER), past(FIRST, Outcome.BUSY))
    assert after(*both) == CallNext(index=0, not_before=NOW + timedelta(minutes=1))


def test_a_phone_is_tried_no_more_than_its_attempts() -> None:
    tried = (past(FIRST, Outcome.BUSY, 9), past(FIRST, Outcome.BUSY, 5))
    assert after(*tried) == CallNext(index=1, not_before=NOW)


@pytest.mark.parametrize("outcome", [Outcome.INVALID_NUMBER, Outcome.MACHINE])
def test_an_invalid_number_or_one_without_a_retry_rule_is_never_tried_again(
    outcome: Outcome,
) -> None:
    assert after(past(FIRST, outcome), past(SECOND, outcome)) == Finished(reason="no_phones_left")


def test_somebody_who_was_abandoned_is_left_in_peace_on_all_phones() -> None:
    assert after(past(FIRST, Outcome.ABANDONED)) == CallNext(
        index=0, not_before=NOW + timedelta(minutes=10), kept=True
    )


def test_after_a_lost_call_no_phone_of_the_person_is_tried_soon() -> None:
    assert Outcome.UNKNOWN not in RULES.waits
    assert after(past(FIRST, Outcome.UNKNOWN)) == CallNext(index=1, not_before=NOW + PERSON_PAUSE)


def test_who_was_abandoned_is_called_back_on_that_phone_but_not_for_ever() -> None:
    first = past(SECOND, Outcome.ABANDONED, 11)
    assert after(past(FIRST, Outcome.BUSY, 20), first) == CallNext(
        index=1, not_before=NOW, kept=True
    )
    again = past(SECOND, Outcome.ABANDONED, 0)
    assert isinstance(after(first, first, again), Finished) or not after(first, first, again).kept  # type: ignore[union-attr]


def test_an_agreed_callback_comes_at_its_time_to_the_operator_who_agreed_it() -> None:
    agreed = NOW + timedelta(minutes=45)
    talked = past(
        SECOND,
        Outcome.HUMAN,
        5,
        tabulation=Tabulation.CALLBACK,
        callback_at=agreed,
        operator="op07",
    )
    assert after(talked) == CallNext(
        index=1, not_before=agreed, kept=True, operator="op07", agreed=True
    )
    assert after(talked, refused={SECOND: "do not call"}) == CallNext(index=0, not_before=NOW)
    assert after(talked, past(SECOND, Outcome.NO_ANSWER, 1)) == CallNext(index=0, not_before=NOW)
    assert after(talked, past(SECOND, Outcome.HUMAN, 1, tabulation=Tabulation.REFUSAL)) == Finished(
        reason="talked: refusal"
    )


@pytest.mark.parametrize(
    ("tabulation", "reason"),
    [(Tabulation.PROMISE, "talked: promise"), (None, "talked")],
)
def test_a_conversation_ends_the_lead(tabulation: Tabulation | None, reason: str) -> None:
    assert after(past(FIRST, Outcome.HUMAN, tabulation=tabulation)) == Finished(reason=reason)


def test_a_wrong_person_ends_the_phone_but_not_the_lead() -> None:
    wrong = past(FIRST, Outcome.HUMAN, tabulation=Tabulation.WRONG_PERSON)
    assert after(wrong) == CallNext(index=1, not_before=NOW)


def test_a_cancelled_call_is_no_attempt_on_the_phone() -> None:
    cancelled = past(FIRST, Outcome.CANCELLED, placed=False)
    assert after(cancelled, cancelled, cancelled) == CallNext(index=0, not_before=NOW)


def test_refused_phones_are_left_out_and_the_reason_ends_a_lead_without_others() -> None:
    assert after(refused={FIRST: "x"}) == CallNext(index=1, not_before=NOW)
    assert after(refused={FIRST: "x", SECOND: "y"}) == Finished(reason="refused: x")
    assert next_call((), {}, (), RULES, NOW) == Finished(reason="no_phones")


RETRIED = st.sampled_from([*RULES.waits, Outcome.MACHINE, Outcome.INVALID_NUMBER, Outcome.UNKNOWN])


@given(st.lists(RETRIED, max_size=20))
def test_a_lead_always_ends(outcomes: list[Outcome]) -> None:
    history: list[PastAttempt] = []
    now = NOW
    for outcome in outcomes:
        update = next_call((FIRST, SECOND), {}, history, RULES, now)
        if isinstance(update, Finished):
            break
        now = max(now, update.not_before) + timedelta(seconds=20)
        phone = (FIRST, SECOND)[update.index]
        history.append(PastAttempt(phone=phone, outcome=outcome, ended_at=now))
    assert len(history) <= 4 + MOST_ABANDONED


@pytest.mark.parametrize("phone", ["11912345678", "1132345678", "2740028900"])
def test_brazilian_phones_are_dialled(phone: str) -> None:
    assert check_number(phone) == phone


@pytest.mark.parametrize(
    ("phone", "why"),
    [
        ("190", "emergência"),
        ("10325", "emergência"),
        ("11912", "curto demais"),
        ("", "vazio"),
        ("0900123456", "tarifa especial"),
        ("03001234567", "tarifa especial"),
        ("08007654321", "tarifa especial"),
        ("5511912345678", "DDD"),
        ("912345678", "DDD"),
        ("20912345678", "DDD"),
        ("11812345678", "DDD"),
        ("1191234567", "DDD"),
        ("11912345678\r\nAction: Logoff", "não é dígito"),
        ("11912345678@evil", "não é dígito"),
        ("${EVIL}", "não é dígito"),
        ("11 91234-5678", "não é dígito"),
        ("١١٩١٢٣٤٥٦٧٨", "não é dígito"),
    ],
)
def test_anything_else_is_refused_with_the_reason(phone: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        check_number(phone)


@given(st.text(max_size=14))
def test_what_is_accepted_is_only_digits(text: str) -> None:
    try:
        accepted = check_number(text)
    except DataError:
        return
    assert accepted.isascii()
    assert accepted.isdigit()
    assert len(accepted) in (10, 11)
