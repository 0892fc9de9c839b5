"""The rows of the dialer's database as values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from dialer.attempt import Attempt, State
from dialer.rules import Agreed, CallNext, Finished
from zanc_pipeline.common.outcomes import Outcome, Tabulation

OperatorState = Literal["offline", "paused", "preview", "idle", "reserved", "talking", "wrapup"]


@dataclass(frozen=True, kw_only=True)
class CampaignRow:
    """A campaign as recorded.

    ``settings`` is the ``discador`` section as submitted, ``changes`` what was changed of it since.
    """

    id: str
    name: str
    settings: dict[str, Any]
    changes: dict[str, Any]
    mailing: str
    sha256: str
    status: str
    reason: str | None
    why: str | None
    submitted_at: datetime
    finished_at: datetime | None

    @property
    def goes_on(self) -> bool:
        """Whether it is not over."""
        return self.status in ("running", "paused", "stopping")

    @property
    def section(self) -> dict[str, Any]:
        """The ``discador`` section as it holds now."""
        return {**self.settings, **self.changes}


@dataclass(frozen=True, kw_only=True)
class Lead:
    """One person of a campaign."""

    id: int
    campaign_id: str
    cpf: str
    name: str
    crm: str
    convenio: str
    contract: str
    amount: Decimal
    phones: tuple[str, ...]
    refused: dict[str, str] = field(default_factory=dict)
    segment: str = ""
    hours: tuple[tuple[int, ...], ...] = ()
    """Of each phone the best hours, best first; or nothing."""
    agreed: Agreed | None = None


@dataclass(frozen=True, kw_only=True)
class OpenAttempt:
    """An attempt that is not closed: it lives, or ended and waits for its tabulation."""

    attempt: Attempt
    lead: Lead
    phone: str
    caller_id: str
    pbx: str
    trunk: str


@dataclass(frozen=True, kw_only=True)
class OperatorChange:
    """The next state of an operator; ``campaign_id`` is where the time until now was spent.

    ``leaving`` is the state that the operator wants after the present call, ``reason`` that of a
    pause, present or wanted.
    """

    id: str
    state: OperatorState
    attempt_id: str | None
    at: datetime
    campaign_id: str | None = None
    reason: str | None = None
    leaving: OperatorState | None = None


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator as recorded."""

    id: str
    name: str
    state: OperatorState
    reason: str | None
    attempt_id: str | None
    since: datetime
    campaign: str | None = None
    leaving: OperatorState | None = None


LeadUpdate = CallNext | Finished


def lead_of(row: Any) -> Lead:
    return Lead(
        id=row["id"],
        campaign_id=row["campaign_id"],
        cpf=row["cpf"],
        name=row["name"],
        crm=row["crm"],
        convenio=row["convenio"],
        contract=row["contract"],
        amount=Decimal(str(row["amount"])),
        phones=tuple(row["phones"]),
        refused=dict(row["refused"]),
        segment=row["segment"],
        hours=tuple(tuple(listed) for listed in row["hours"]),
        agreed=row["agreed"] and _agreed(row["agreed"]),
    )


def _agreed(stored: Mapping[str, Any]) -> Agreed:
    return Agreed(
        at=datetime.fromisoformat(stored["at"]),
        phone=stored["phone"],
        operator=stored["operator"],
        since=datetime.fromisoformat(stored["since"]),
    )


def attempt_of(row: Any) -> Attempt:
    state = State(row["state"])
    return Attempt(
        id=row["id"],
        created_at=row["created_at"],
        state=state,
        operator=row["operator"],
        placed=row["placed"],
        channel_seen=state is not State.DIALLING,
        # a person who was detected waits or talks; what was detected and only answered is a machine
        machine=state is State.ANSWERED and row["detected_at"] is not None,
        cancel_wanted=row["cancel_wanted"],
        ringing_at=row["ringing_at"],
        answered_at=row["answered_at"],
        detected_at=row["detected_at"],
        connected_at=row["connected_at"],
        ended_at=row["ended_at"],
        hangup_cause=row["hangup_cause"],
        outcome=row["outcome"] and Outcome(row["outcome"]),
        tabulation=row["tabulation"] and Tabulation(row["tabulation"]),
        promise_date=row["promise_date"],
        promise_amount=row["promise_amount"],
        callback_at=row["callback_at"],
    )


def values_of(attempt: Attempt) -> tuple[object, ...]:
    """Of ``queries.UPDATE_ATTEMPT``."""
    return (
        attempt.id, attempt.state.value, attempt.placed, attempt.operator,
        attempt.ringing_at, attempt.answered_at, attempt.detected_at,
        attempt.connected_at, attempt.ended_at, attempt.hangup_cause,
        attempt.outcome and attempt.outcome.value,
        attempt.tabulation and attempt.tabulation.value,
        attempt.promise_date, attempt.promise_amount, attempt.callback_at,
        attempt.cancel_wanted,
    )  # fmt: skip
