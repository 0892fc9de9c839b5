"""One attempt (one call): what it is now, and what follows from what happens to it.

Pure: events go in with the time at which they happened, a new state and commands come out. Nothing
here knows a PBX, a database or a clock, so every rule can be tested by itself.

    dialling → ringing → answered → waiting → talking → ended

Any state may end at once; events that arrive late, twice or for an ended attempt change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation


class State(StrEnum):
    """Where an attempt stands."""

    DIALLING = "dialling"
    RINGING = "ringing"
    ANSWERED = "answered"
    WAITING = "waiting"
    TALKING = "talking"
    ENDED = "ended"


UNANSWERED = frozenset({State.DIALLING, State.RINGING})


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """The PBX opened a channel for the call."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Ringing:
    """The called phone rings."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """Somebody or something answered."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Detected:
    """The PBX decided who answered; when it could not, it says person."""

    at: datetime
    machine: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """The operator's phone answered: the person hears the operator."""

    at: datetime
    operator: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorGone:
    """The operator's leg ended: after a conversation (``talked``) or because it did not answer."""

    at: datetime
    operator: str
    talked: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenUp:
    """The person waited too long and hears the safe message: abandoned."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelWanted:
    """We no longer want the call, unless somebody already answered."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginateFailed:
    """The PBX says that it could not place the call, or that nobody answered it.

    ``rang_out``: it gave up because the longest ring time was over.
    """

    at: datetime
    rang_out: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The PBX did not take our order to dial: nothing happened. ``reason`` is its own."""

    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HungUp:
    """The call's channel is gone; ``cause`` is Q.850."""

    at: datetime
    cause: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """Its channel is there: the PBX listed it, and what that proves came just before.

    ``doubts`` is how often we had lost sight of the call when the PBX was asked.
    """

    at: datetime
    doubts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What the records say of a call whose end we did not see (see ``dialer.truth``)."""

    at: datetime
    outcome: Outcome
    placed: bool
    answered_at: datetime | None = None
    connected_at: datetime | None = None
    operator: str | None = None
    hangup_cause: int | None = None


Event = (
    Created
    | Ringing
    | Answered
    | Detected
    | Connected
    | OperatorGone
    | GivenUp
    | CancelWanted
    | OriginateFailed
    | Refused
    | HungUp
    | Confirmed
    | Judged
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FindOperator:
    """A person waits: move the call to an operator, but not to ``failed``, who did not answer."""

    failed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HangUp:
    """End the call."""


Command = FindOperator | HangUp


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt as it stands. Times are aware; ``hangup_cause`` is Q.850."""

    id: str
    created_at: datetime
    state: State = State.DIALLING
    operator: str | None = None
    placed: bool = True
    channel_seen: bool = False
    machine: bool = False
    abandoned: bool = False
    cancel_wanted: bool = False
    rang_out: bool = False
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    detected_at: datetime | None = None
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    hangup_cause: int | None = None
    outcome: Outcome | None = None
    tabulation: Tabulation | None = None
    promise_date: date | None = None
    promise_amount: Decimal | None = None
    callback_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.state is State.ENDED

    @property
    def person(self) -> bool:
        """Whether it is known that a person answered."""
        return (
            self.state in (State.WAITING, State.TALKING)
            or self.connected_at is not None
            or self.abandoned
            or self.outcome in PERSON_ANSWERED
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What an event led to."""

    attempt: Attempt
    commands: tuple[Command, ...] = ()


def advance(attempt: Attempt, event: Event) -> Step:
    """Apply one event. An event that does not fit the state leaves the attempt as it is."""
    if attempt.ended:
        return Step(attempt=attempt)
    match event:
        case Created():
            return Step(attempt=replace(attempt, channel_seen=True))
        case Ringing(at=at) if attempt.state is State.DIALLING:
            return Step(
                attempt=replace(attempt, state=State.RINGING, ringing_at=at, channel_seen=True)
            )
        case Answered(at=at) if attempt.state in UNANSWERED:
            return Step(
                attempt=replace(attempt, state=State.ANSWERED, answered_at=at, channel_seen=True)
            )
        case Detected():
            return _detected(attempt, event)
        case Connected(at=at, operator=operator) if attempt.connected_at is None:
            answered = replace(
                attempt,
                state=State.TALKING,
                operator=operator,
                answered_at=attempt.answered_at or at,
                detected_at=attempt.detected_at or at,
                connected_at=max(at, attempt.answered_at or at),  # told in whole seconds
            )
            return Step(attempt=answered)
        case OperatorGone(at=at, operator=operator, talked=talked):
            reached = attempt.state in (State.ANSWERED, State.WAITING) and not attempt.machine
            if talked or attempt.abandoned or not reached:
                return Step(attempt=attempt)  # the hangup of the call itself follows
            # Whom an operator was sent to had been taken for a person, should we have missed that.
            waiting = replace(attempt, state=State.WAITING, detected_at=attempt.detected_at or at)
            return Step(attempt=waiting, commands=(FindOperator(failed=operator),))
        case GivenUp(at=at) if attempt.connected_at is None:
            given_up = replace(
                attempt,
                state=State.WAITING,
                abandoned=True,
                answered_at=attempt.answered_at or at,
                detected_at=attempt.detected_at or at,
            )
            return Step(attempt=given_up)
        case CancelWanted() if attempt.state in UNANSWERED and not attempt.cancel_wanted:
            return Step(attempt=replace(attempt, cancel_wanted=True), commands=(HangUp(),))
        case Confirmed() if attempt.state in UNANSWERED and attempt.cancel_wanted:
            return Step(attempt=attempt, commands=(HangUp(),))  # the first order did not arrive
        case OriginateFailed(rang_out=True):
            return Step(attempt=replace(attempt, rang_out=True, channel_seen=True))
        case OriginateFailed(at=at) if not attempt.channel_seen:
            # No channel was ever opened: the PBX itself refused, so nothing reached the network.
            return Step(attempt=_end(attempt, at, Outcome.NETWORK_FAILURE, placed=False))
        case Refused(at=at) if not attempt.channel_seen:
            return Step(attempt=_end(attempt, at, Outcome.CANCELLED, placed=False))
        case HungUp(at=at, cause=cause):
            outcome = _outcome_at_hangup(attempt, cause)
            return Step(attempt=replace(_end(attempt, at, outcome), hangup_cause=cause))
        case Judged():
            return Step(attempt=_judged(attempt, event))
    return Step(attempt=attempt)


SILENT_CAUSES = frozenset({0, 16, 31, 127})
"""Causes that say nothing of the called: we or the PBX gave up."""
UNANSWERED_CAUSES = frozenset({1, 17, 18, 19, 20, 21, 22, 28})
"""Causes that only a call has which nobody answered; others may also end a conversation."""


def outcome_of_cause(cause: int, *, rang: bool) -> Outcome:
    """The outcome of a call that nobody answered, from its Q.850 cause (ITU-T Q.850, RFC 3398).

    A cause that says nothing means no answer when the phone rang, else a failure of the network.
    """
    if cause in (1, 22, 28):  # unallocated, number changed, invalid format
        return Outcome.INVALID_NUMBER
    if cause in (17, 21):  # busy, rejected by the called
        return Outcome.BUSY
    if cause in (18, 19, 20):  # no user responding, no answer, subscriber absent
        return Outcome.NO_ANSWER
    if cause in SILENT_CAUSES and rang:
        return Outcome.NO_ANSWER
    return Outcome.NETWORK_FAILURE


def tells_the_end(attempt: Attempt, event: Event) -> bool:
    """Whether ``event`` may be believed of a call of which we missed what happened before it.

    A hangup that says nothing of the called may end a call that was answered, one that was
    answered may have reached an operator, and a failure may be that of a call whose channel we did
    not see: what became of those, only the PBX's records tell.
    """
    if isinstance(event, OriginateFailed):
        return event.rang_out or attempt.channel_seen
    if not isinstance(event, HungUp) or attempt.connected_at is not None or attempt.machine:
        return True
    return attempt.answered_at is None and event.cause in UNANSWERED_CAUSES


def in_doubt(attempt: Attempt, event: Event) -> Attempt:
    """The attempt after an event that can't be believed; that it had a channel is certain."""
    return replace(attempt, channel_seen=attempt.channel_seen or isinstance(event, HungUp))


def _detected(attempt: Attempt, event: Detected) -> Step:
    if attempt.state not in UNANSWERED and attempt.state is not State.ANSWERED:
        return Step(attempt=attempt)
    known = replace(
        attempt,
        answered_at=attempt.answered_at or event.at,
        detected_at=event.at,
        channel_seen=True,
        machine=event.machine,
    )
    if event.machine:
        return Step(attempt=replace(known, state=State.ANSWERED))  # the PBX itself hangs up
    return Step(attempt=replace(known, state=State.WAITING), commands=(FindOperator(),))


def _outcome_at_hangup(attempt: Attempt, cause: int) -> Outcome:
    if attempt.connected_at is not None:
        return Outcome.HUMAN
    if attempt.machine:
        return Outcome.MACHINE
    if attempt.answered_at is not None:
        # Waiting, or gone before anybody knew who it was: counted against us, not in our favour.
        return Outcome.ABANDONED
    if attempt.cancel_wanted and cause in SILENT_CAUSES:
        return Outcome.CANCELLED
    if cause == 0 and not attempt.rang_out:
        return Outcome.UNKNOWN  # the PBX ended it by itself: it is being stopped
    return outcome_of_cause(cause, rang=attempt.ringing_at is not None)


def _judged(attempt: Attempt, event: Judged) -> Attempt:
    outcome = event.outcome
    if attempt.connected_at is not None and outcome is not Outcome.UNKNOWN:
        outcome = Outcome.HUMAN  # we saw the conversation begin; the records only end it
    ended = _end(attempt, event.at, outcome, placed=event.placed)
    if event.hangup_cause is not None:
        ended = replace(ended, hangup_cause=event.hangup_cause)
    if outcome is Outcome.HUMAN:
        answered_at = ended.answered_at or event.answered_at or event.at
        return replace(
            ended,
            answered_at=answered_at,
            connected_at=ended.connected_at or max(event.connected_at or answered_at, answered_at),
            operator=event.operator or ended.operator,
        )
    if event.answered_at is not None:
        return replace(ended, answered_at=ended.answered_at or event.answered_at)
    return ended


def _end(attempt: Attempt, at: datetime, outcome: Outcome, *, placed: bool = True) -> Attempt:
    latest = max(
        at,
        attempt.created_at,
        *(
            time
            for time in (attempt.ringing_at, attempt.answered_at, attempt.connected_at)
            if time is not None
        ),
    )
    return replace(attempt, state=State.ENDED, ended_at=latest, outcome=outcome, placed=placed)
