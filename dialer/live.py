"""What is going on now, in memory: calls, operators on the floor, campaigns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dialer.attempt import UNANSWERED, Attempt, State
from dialer.pace import Pace
from dialer.rows import CampaignRow, Lead, LeadUpdate, OperatorChange, OperatorState
from dialer.rules import (
    CallingHours,
    Finished,
    PastAttempt,
    Phase,
    RetryRules,
    next_call,
)
from dialer.settings import CampaignSettings
from zanc_pipeline.common.errors import ConflictError

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


@dataclass
class Call:
    """An attempt that is not closed, in memory."""

    attempt: Attempt
    lead: Lead
    phone: str
    pbx: str
    sent_at: datetime
    operator: str | None
    trunk: str = ""
    kept: bool = False
    """The operator waits for this very call; it is no line of the pacer's."""
    expected: float = 1.0
    """The answer rate that history gave the line."""
    waiting_since: datetime | None = None
    """By our clock."""
    caller_id: str = ""
    """The number that is shown."""
    counted: bool = False
    """It is in ``rulebook.volumes``."""
    late_until: datetime | None = None
    """The operator's wrap-up is over without a tabulation: until then it may still come."""
    doubts: int = 0
    """How often we lost sight of it: a restart, a connection that broke, an error of ours."""
    settled: int = 0
    """How many of these doubts the PBX has answered since."""
    missing: int = 0
    """How often in turn its PBX did not list it."""

    @property
    def unconfirmed(self) -> bool:
        """Whether something may have happened to it that we did not hear of."""
        return self.doubts > self.settled

    def doubt(self) -> None:
        """Something may have happened to it unheard."""
        self.doubts += 1

    @property
    def on_line(self) -> bool:
        """Whether a person may still answer, or did and it is not known yet."""
        attempt = self.attempt
        return attempt.state in UNANSWERED or (
            attempt.state is State.ANSWERED and not attempt.machine
        )

    @property
    def waits(self) -> bool:
        """Whether a person waits for an operator that nobody is yet."""
        return (
            self.attempt.state is State.WAITING
            and not self.attempt.abandoned
            and not self.unconfirmed
            and self.operator is None
        )


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A person whose card an operator reads before deciding whether to call."""

    lead: Lead
    phone: str
    since: datetime


@dataclass
class Agent:
    """An operator in memory."""

    id: str
    state: OperatorState
    since: datetime
    attempt_id: str | None = None
    leaving: OperatorState | None = None
    reason: str | None = None
    """Of the pause, or of the one to come."""
    share: str | None = None
    """The campaign for which the operator works now, unless a call of another comes first."""
    only: str | None = None
    """The name of the campaign that the operator chose to work for; None is all of them."""
    preview: Preview | None = None
    placing: bool = False
    rest_until: datetime | None = None
    unanswered: int = 0
    """How often in turn the phone did not answer."""
    version: int = field(default_factory=lambda: int(time.time() * 1000))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def next_state(self) -> OperatorState:
        """The state after the present call."""
        return self.leaving or "idle"

    def serves(self, campaign: Campaign | None) -> bool:
        """Whether the operator takes calls of this campaign."""
        return self.only is None or (campaign is not None and self.only == campaign.row.name)

    def bump(self) -> None:
        """Wake who waits for news of this operator. Versions grow over restarts too."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass
class Campaign:
    """A campaign that is not finished, in memory."""

    row: CampaignRow
    settings: CampaignSettings
    hours: CallingHours
    retries: RetryRules
    pace: Pace
    status: str
    closing: str | None = None
    why: str = ""
    preparing: int = 0
    """Lines of the pacer's that are on their way to the PBX."""
    holding: int = 0
    """Operators for whom a call is being looked for."""
    held_back: str = ""
    """Why the rules let nobody be called who was looked at since the last call."""
    later: tuple[int, int] | None = None
    """How many people are kept for a later hour, and the next of these hours."""
    dry_until: datetime = LONG_AGO
    kept_dry_until: datetime = LONG_AGO
    reviewed_at: datetime = LONG_AGO

    @property
    def id(self) -> str:
        """The mailing's id."""
        return self.row.id

    def plan(
        self,
        lead: Lead,
        refused: Mapping[str, str],
        history: Sequence[PastAttempt],
        now: datetime,
        closed: Mapping[str, datetime] | None = None,
    ) -> LeadUpdate:
        """What to do with a lead next; ``closed`` are phones that may not be called before."""
        update = next_call(
            lead.phones, refused, history, self.retries, now, closed=closed, agreed=lead.agreed
        )
        if isinstance(update, Finished):
            return update
        if update.agreed:
            local = [
                moment.astimezone(self.hours.zone).date() for moment in (now, update.not_before)
            ]
            if local[0] != local[1] or self.hours.phase(update.not_before) is not Phase.OPEN:
                return Finished(reason="talked: callback")  # it waits in ``dialer.callbacks``
        if update.kept or update.index >= len(lead.hours):
            return update
        return replace(update, hours=lead.hours[update.index])

    def lines(self, floor: Floor) -> tuple[list[Call], list[Call]]:
        """The pacer's calls that may still be answered, and those in which a person waits."""
        mine = [call for call in floor.calls.values() if call.lead.campaign_id == self.id]
        return (
            [call for call in mine if call.on_line and not call.kept],
            [call for call in mine if call.waits],
        )


class Floor:
    """The operators, and the calls that they have.

    ``wake`` is set whenever something changed that may let a call be placed.
    """

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.calls: dict[str, Call] = {}
        self.wake = asyncio.Event()

    def logged_in(self, operator: str) -> Agent:
        """The operator; raises ConflictError when not logged in."""
        agent = self.agents.get(operator)
        if agent is None or agent.state == "offline":
            raise ConflictError(f"operator {operator} is not logged in")
        return agent

    def agent_of(self, call: Call) -> Agent | None:
        """The operator who is reserved for the call, or has it."""
        for agent in (self.agents.get(call.operator or ""), *self.agents.values()):
            if agent is not None and agent.attempt_id == call.attempt.id:
                return agent
        return None

    def idle(self) -> list[Agent]:
        """The operators who can get a call, who waits longest first."""
        now = utc_now()
        idle = [
            agent
            for agent in self.agents.values()
            if agent.state == "idle"
            and not agent.placing
            and (agent.rest_until is None or agent.rest_until <= now)
        ]
        return sorted(idle, key=lambda agent: agent.since)

    def seconds_in(self, state: OperatorState, share: str, now: datetime) -> list[float]:
        """For how many seconds each operator of a campaign's share in ``state`` has been so."""
        return [
            (now - agent.since).total_seconds()
            for agent in self.agents.values()
            if agent.state == state and agent.share == share
        ]

    def change(
        self,
        agent: Agent,
        state: OperatorState,
        call: Call | None,
        *,
        attempt_id: str | None = None,
        at: datetime | None = None,
    ) -> OperatorChange:
        """The record of a change of state that is not made yet; ``call`` gets the time spent."""
        leaving = None if state == agent.leaving else agent.leaving
        return OperatorChange(
            id=agent.id,
            state=state,
            attempt_id=attempt_id,
            at=at or utc_now(),
            campaign_id=agent.share if call is None else call.lead.campaign_id,
            reason=agent.reason if "paused" in (state, leaving) else None,
            leaving=leaving,
        )

    def set(self, agent: Agent, state: OperatorState, attempt_id: str | None) -> None:
        """Make a change of state in memory."""
        if agent.state != state:
            agent.since = utc_now()
        agent.state, agent.attempt_id, agent.preview = state, attempt_id, None
        if state == agent.leaving:
            agent.leaving = None
        if state != "paused" and agent.leaving is None:
            agent.reason = None
        agent.bump()
        self.wake.set()

    def move(
        self,
        agent: Agent,
        state: OperatorState,
        attempt_id: str | None,
        call: Call | None,
        *,
        at: datetime | None = None,
    ) -> OperatorChange:
        """Make a change of state in memory and return its record, to be stored."""
        change = self.change(agent, state, call, attempt_id=attempt_id, at=at)
        self.set(agent, state, attempt_id)
        return change

    def by_state(self, share: str | None = None) -> dict[str, int]:
        """How many operators are in each state; of all, or of a campaign's share."""
        counts: dict[str, int] = {}
        for agent in self.agents.values():
            if share is None or agent.share == share:
                counts[agent.state] = counts.get(agent.state, 0) + 1
        return counts

    def card(self, operator: str) -> dict[str, Any]:
        """What the operator's screen shows."""
        agent = self.agents.get(operator) or Agent(id=operator, state="offline", since=utc_now())
        call = self.calls.get(agent.attempt_id or "")
        return {
            "sequence": agent.version,
            "operator": agent.id,
            "state": agent.state,
            "since": agent.since.isoformat(),
            "reason": agent.reason,
            "preview": None if agent.preview is None else _person(agent.preview),
            "call": None
            if call is None
            else {
                "attempt": call.attempt.id,
                "state": call.attempt.state.value,
                **_person(call),
            },
        }

    async def news(self, operator: str, after: int | None, seconds: float) -> dict[str, Any]:
        """The operator's card once its sequence is not ``after``, at the latest in ``seconds``."""
        agent = self.agents.get(operator)
        if agent is not None and after == agent.version:
            try:
                async with asyncio.timeout(seconds):
                    await agent.changed.wait()
            except TimeoutError:
                pass
        return self.card(operator)


def _person(card: Call | Preview) -> dict[str, Any]:
    lead = card.lead
    return {
        "campaign": lead.campaign_id,
        "cpf": lead.cpf,
        "name": lead.name,
        "phone": card.phone,
        "convenio": lead.convenio,
        "contract": lead.contract,
        "amount": str(lead.amount),
    }


def open_calls(calls: Iterable[Call]) -> int:
    """How many calls are in progress."""
    return sum(not call.attempt.ended for call in calls)
