"""The one vocabulary for how an attempt ended and what the operator heard."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt (one call) ended: used in CDRs, localization, CRMs and training labels."""

    HUMAN = "human"
    MACHINE = "machine"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    INVALID_NUMBER = "invalid_number"
    NETWORK_FAILURE = "network_failure"
    ABANDONED = "abandoned"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Tabulation(StrEnum):
    """What the operator recorded (tabulação) after talking to a person.

    After ``DO_NOT_CALL`` neither the person nor the phone is ever called again.
    """

    PROMISE = "promise"
    REFUSAL = "refusal"
    CALLBACK = "callback"
    ALREADY_PAID = "already_paid"
    WRONG_PERSON = "wrong_person"
    DECEASED = "deceased"
    NO_TABULATION = "no_tabulation"
    DO_NOT_CALL = "do_not_call"

    @property
    def right_party(self) -> bool:
        """Whether the person who spoke was the debtor (CPC)."""
        return self in {
            Tabulation.PROMISE,
            Tabulation.REFUSAL,
            Tabulation.CALLBACK,
            Tabulation.ALREADY_PAID,
        }


PERSON_ANSWERED = frozenset({Outcome.HUMAN, Outcome.ABANDONED})
"""Outcomes in which a person said alô: the positive class of ``models/answer``."""
