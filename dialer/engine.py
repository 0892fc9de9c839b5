"""Runs the campaigns: gives leads to operators, follows the calls, decides what comes next.

One process, one asyncio loop. What happens to calls comes through one inbox, in order; the rules
are those of ``dialer.attempt``, ``dialer.rules`` and ``dialer.pacing``; the truth is in ``Store``.

An attempt is recorded before the PBX is asked to dial. Whatever we did not see end (we were killed,
the connection or the database was away) is compared with the PBX's live channels and judged by its
records, so a lead is never dialled twice for one attempt and no outcome is invented.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

from dialer import attempt as calls_
from dialer import pacing
from dialer.attempt import UNANSWERED, Attempt, FindOperator, HangUp, Judged, State, advance
from dialer.mailing import MailingLead
from dialer.pbx import OPERATOR_ID, Pbx
from dialer.rules import (
    CallingHours,
    CallNext,
    Finished,
    PastAttempt,
    Phase,
    next_call,
)
from dialer.settings import CampaignSettings, parse_campaign
from dialer.store import CampaignRow, Lead, LeadUpdate, OperatorChange, OperatorState, Store
from dialer.truth import judge
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
REVIEW_SECONDS = 1.0
RECONCILE_SECONDS, SUSPECT_SECONDS = 15.0, 2.0
SETTLE_SECONDS = 3.0
"""An attempt younger than this may not have its channel yet."""
PBX_LOST_SECONDS = 30.0
"""Out of reach for so long, a PBX's calls are judged without it."""
FAILED_OPERATOR_SECONDS = 15.0
"""An operator whose phone did not answer gets no call for so long."""
API_SECONDS = 5.0

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_UNTABULATED = Tabulation.NO_TABULATION

T = TypeVar("T")


class DialCheck(Protocol):
    """What the engine asks localization."""

    async def dial_check(self, crm: str, cpf: str, phones: tuple[str, ...]) -> dict[str, str]:
        """Phones that must not be dialled, with the reason."""


@dataclass
class Call:
    """An attempt that is not closed, in memory."""

    attempt: Attempt
    lead: Lead
    phone: str
    pbx: str
    sent_at: datetime
    operator: str | None
    unconfirmed: bool = False
    missing: int = 0


@dataclass
class Agent:
    """An operator in memory."""

    id: str
    state: OperatorState
    since: datetime
    attempt_id: str | None = None
    leaving: OperatorState | None = None
    placing: bool = False
    rest_until: datetime | None = None
    version: int = field(default_factory=lambda: int(time.time() * 1000))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def next_state(self) -> OperatorState:
        """The state after the present call."""
        return self.leaving or "idle"

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
    pacer: pacing.Pacer
    status: str
    closing: str | None = None
    why: str = ""
    preparing: int = 0
    dry_until: datetime = _LONG_AGO
    reviewed_at: datetime = _LONG_AGO

    @property
    def id(self) -> str:
        """The mailing's id."""
        return self.row.id


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


class Engine:
    """The dialer at work. ``run`` until cancelled; the other public methods serve the API."""

    def __init__(
        self,
        store: Store,
        localization: DialCheck,
        *,
        hours: CallingHours | None = None,
        time_scale: float = 1.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store, self._localization = store, localization
        self._hours, self._time_scale, self._now = hours, time_scale, now
        self.pbxs: dict[str, Pbx] = {}
        self.calls: dict[str, Call] = {}
        self.agents: dict[str, Agent] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.ready = False
        self.draining = False
        self.ended: dict[str, int] = {}
        self._inbox: asyncio.Queue[tuple[str, calls_.Event]] = asyncio.Queue()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._preparing: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problem = ""
        self._store_doubtful = False
        self._localization_until = _LONG_AGO
        self._unreachable_since: dict[str, datetime] = {}
        self._reconciled_at: dict[str, datetime] = {}

    # ---- life

    def add_pbx(self, pbx: Pbx) -> None:
        """Use ``pbx`` for calls."""
        self.pbxs[pbx.name] = pbx
        self._unreachable_since[pbx.name] = self._now()

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self._inbox.put_nowait((attempt_id, event))

    def pbx_changed(self) -> None:
        """A PBX came or went: what its calls are doing must be asked."""
        for name, pbx in self.pbxs.items():
            if pbx.connected:
                self._unreachable_since.pop(name, None)
            else:
                self._unreachable_since.setdefault(name, self._now())
        for call in self.calls.values():
            call.unconfirmed = True
        self._wake.set()

    async def run(self) -> None:
        """Take over the database, restore what was going on, and work until cancelled.

        Raises ConflictError when another engine takes the database over from us.
        """
        await self._begin()
        self.ready = True
        log.info(
            "dialer: %d campaigns, %d calls in progress, %d operators logged in",
            len(self.campaigns),
            len(self.calls),
            sum(agent.state != "offline" for agent in self.agents.values()),
        )
        jobs = [
            asyncio.create_task(job)
            for job in (self._consume(), self._tick(), self._reconcile_for_ever())
        ]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()

    async def drain(self, seconds: float) -> None:
        """Place nothing more, let ringing lines resolve for ``seconds``, then hang those up.

        Conversations go on in the PBX; the next start adopts them.
        """
        self.draining = True
        await self._until(lambda: not self._unanswered() and not self._preparing, seconds)
        for call in self._unanswered():
            self.notice(call.attempt.id, calls_.CancelWanted(at=self._now()))
        await self._until(lambda: not self._unanswered() and self._inbox.empty(), 2.0)
        for task in list(self._tasks):
            task.cancel()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        for _ in range(int(seconds / 0.05)):
            if done():
                return
            await asyncio.sleep(0.05)

    def _unanswered(self) -> list[Call]:
        return [call for call in self.calls.values() if call.attempt.state in UNANSWERED]

    async def _begin(self) -> None:
        waiting = False
        while not await self._persist(self._store.take_over):
            if not waiting:
                log.warning("dialer: another engine works on %s; waiting", self._store.address)
                waiting = True
            await asyncio.sleep(1)
        await self._persist(self._restore)

    async def _restore(self) -> None:
        self.campaigns.clear()
        self.agents.clear()
        self.calls.clear()
        for row in await self._store.campaigns():
            if row.status in ("running", "paused", "stopping"):
                self._admit(row)
        for operator in await self._store.operators():
            self.agents[operator.id] = Agent(
                id=operator.id,
                state=operator.state,
                since=operator.since,
                attempt_id=operator.attempt_id,
            )
        await self._adopt()
        for agent in self.agents.values():
            if agent.attempt_id is not None and agent.attempt_id not in self.calls:
                agent.attempt_id = None
                if agent.state in ("reserved", "talking", "wrapup"):
                    await self._store.set_operator(self._change(agent, "idle", None))
                    self._set(agent, "idle", None)

    async def _adopt(self) -> None:
        """Take up what the database knows and we do not."""
        for found in await self._store.open_attempts():
            if found.attempt.id in self.calls:
                continue
            call = Call(
                attempt=found.attempt,
                lead=found.lead,
                phone=found.phone,
                pbx=found.pbx,
                sent_at=found.attempt.created_at,
                operator=found.attempt.operator,
                unconfirmed=True,
            )
            if not call.attempt.ended:
                self.calls[call.attempt.id] = call
                continue
            agent = self._agent_of(call)
            if agent is not None and agent.state == "wrapup":
                self.calls[call.attempt.id] = call
            else:
                await self._close(call, replace(call.attempt, tabulation=_UNTABULATED), None)
        for lead in await self._store.stranded_leads():
            if lead.id not in self._preparing:
                await self._store.update_lead(lead.id, await self._next(lead, None))

    def _admit(self, row: CampaignRow) -> Campaign:
        settings = parse_campaign(row.settings, f"campanha {row.name}")
        campaign = Campaign(
            row=row,
            settings=settings,
            hours=settings.hours(self._hours),
            pacer=pacing.Pacer(settings.pacing),
            status=row.status,
            closing=row.reason if row.status == "stopping" else None,
        )
        self.campaigns[row.id] = campaign
        self._wake.set()
        return campaign

    # ---- what happens to calls

    async def _consume(self) -> None:
        while True:
            attempt_id, event = await self._inbox.get()
            async with self._lock:
                try:
                    await self._apply(attempt_id, event)
                except Exception:
                    log.exception("dialer: attempt %s: %r was not applied", attempt_id, event)
                    call = self.calls.get(attempt_id)
                    if call is not None:
                        call.unconfirmed = True

    async def _apply(self, attempt_id: str, event: calls_.Event) -> None:
        call = self.calls.get(attempt_id)
        if call is None:
            return
        before = call.attempt
        step = advance(before, event)
        call.attempt = step.attempt
        changes: list[OperatorChange] = []
        for command in step.commands:
            changes += self._execute(call, command)
        if step.attempt.ended and not before.ended:
            await self._ended(call)
            return
        if step.attempt.connected_at is not None and before.connected_at is None:
            changes += self._talking(call, step.attempt)
        if step.attempt.abandoned and not before.abandoned:
            changes += self._release(call)
        self._pace(call, before)
        if replace(step.attempt, channel_seen=before.channel_seen) != before or changes:
            await self._persist(lambda: self._store.save_attempt(call.attempt))
        for change in changes:
            await self._persist(partial(self._store.set_operator, change))

    def _execute(self, call: Call, command: calls_.Command) -> list[OperatorChange]:
        pbx = self.pbxs.get(call.pbx)
        changes: list[OperatorChange] = []
        if pbx is None:
            return changes
        try:
            match command:
                case HangUp():
                    pbx.hang_up(call.attempt.id)
                case FindOperator(failed=failed):
                    if failed is not None:
                        changes += self._rest(failed, call)
                    operator = call.operator or self._free_operator(call, changes)
                    if operator is not None:
                        pbx.connect(call.attempt.id, operator)
        except UnavailableError as error:
            log.warning("dialer: attempt %s: %s", call.attempt.id, error)
        return changes

    def _rest(self, operator: str, call: Call) -> list[OperatorChange]:
        agent = self.agents.get(operator)
        if call.operator == operator:
            call.operator = None
        if agent is None or agent.attempt_id != call.attempt.id:
            return []
        log.warning(
            "operator %s: the phone did not answer; no calls for %.0f s",
            operator,
            FAILED_OPERATOR_SECONDS,
        )
        agent.rest_until = self._now() + timedelta(seconds=FAILED_OPERATOR_SECONDS)
        return [self._move(agent, agent.next_state, None, call)]

    def _release(self, call: Call) -> list[OperatorChange]:
        """The person hears the safe message: the operator need not wait for its end."""
        agent = self._agent_of(call)
        call.operator = None
        return [] if agent is None else [self._move(agent, agent.next_state, None, call)]

    def _free_operator(self, call: Call, changes: list[OperatorChange]) -> str | None:
        for agent in self._idle_agents():
            changes.append(self._move(agent, "reserved", call.attempt.id, call))
            call.operator = agent.id
            return agent.id
        return None

    def _talking(self, call: Call, attempt: Attempt) -> list[OperatorChange]:
        changes: list[OperatorChange] = []
        assert attempt.operator is not None and attempt.connected_at is not None
        reserved = self.agents.get(call.operator or "")
        if (
            reserved is not None
            and reserved.id != attempt.operator
            and reserved.attempt_id == attempt.id
        ):
            changes.append(self._move(reserved, reserved.next_state, None, call))
        call.operator = attempt.operator
        agent = self.agents.get(attempt.operator)
        if agent is not None:
            changes.append(self._move(agent, "talking", attempt.id, call, at=attempt.connected_at))
        return changes

    async def _ended(self, call: Call) -> None:
        attempt = call.attempt
        assert attempt.outcome is not None
        self.ended[attempt.outcome.value] = self.ended.get(attempt.outcome.value, 0) + 1
        agent = self._agent_of(call)
        if attempt.connected_at is None or attempt.tabulation is not None:
            await self._persist(lambda: self._close(call, attempt, agent))
            return
        if agent is None:
            untabulated = replace(attempt, tabulation=_UNTABULATED)
            await self._persist(lambda: self._close(call, untabulated, None))
            return
        change = self._move(agent, "wrapup", attempt.id, call)
        await self._persist(lambda: self._store.save_attempt(attempt, operator=change))

    async def _close(self, call: Call, attempt: Attempt, agent: Agent | None) -> None:
        """Record the final state of an attempt, and with it what follows for lead and operator."""
        change = None if agent is None else self._change(agent, agent.next_state, call)
        await self._store.save_attempt(
            attempt,
            close=True,
            lead_id=call.lead.id,
            lead=await self._next(call.lead, attempt, call.phone),
            operator=change,
        )
        before, call.attempt = call.attempt, attempt
        self.calls.pop(attempt.id, None)
        if agent is not None and change is not None:
            self._set(agent, change.state, None)
        self._pace(call, before, closed=True)
        self._wake.set()

    async def _next(self, lead: Lead, attempt: Attempt | None, phone: str = "") -> LeadUpdate:
        history = await self._store.history(lead.id)
        if attempt is not None:
            # Its row may hold its end already, without the tabulation.
            history = [
                past for past in history if past.ended_at != attempt.ended_at or past.phone != phone
            ]
            assert attempt.outcome is not None and attempt.ended_at is not None
            history.append(
                PastAttempt(
                    phone=phone,
                    outcome=attempt.outcome,
                    ended_at=attempt.ended_at,
                    placed=attempt.placed,
                    tabulation=attempt.tabulation,
                )
            )
        campaign = self.campaigns.get(lead.campaign_id)
        if campaign is None:
            return Finished(reason="campaign_over")
        update = self._plan(campaign, lead, lead.refused, history)
        if campaign.closing is not None and isinstance(update, CallNext):
            return Finished(reason=campaign.closing)
        return update

    def _plan(
        self, campaign: Campaign, lead: Lead, refused: dict[str, str], history: list[PastAttempt]
    ) -> LeadUpdate:
        rules = campaign.settings.retries(self._time_scale)
        return next_call(lead.phones, refused, history, rules, self._now())

    def _pace(self, call: Call, before: Attempt, *, closed: bool = False) -> None:
        campaign = self.campaigns.get(call.lead.campaign_id)
        if campaign is None:
            return
        attempt, observe = call.attempt, campaign.pacer.observe
        at = self._now().timestamp()
        if attempt.state is State.WAITING and before.state is not State.WAITING:
            observe(pacing.Answered(at=at))
        if attempt.connected_at is not None and before.connected_at is None:
            observe(pacing.Connected(at=at))
        if closed and attempt.outcome is Outcome.ABANDONED:
            observe(pacing.Abandoned(at=at))
        elif closed and attempt.connected_at is not None and attempt.ended_at is not None:
            seconds = (attempt.ended_at - attempt.connected_at).total_seconds()
            observe(pacing.Released(at=at, talk_seconds=seconds))
        elif closed and attempt.outcome is not None:
            observe(pacing.NotAnswered(at=at, outcome=attempt.outcome))

    # ---- placing calls

    async def _tick(self) -> None:
        while True:
            self._wake.clear()
            async with self._lock:
                if not await self._persist(self._store.take_over):
                    raise ConflictError(f"another engine took over {self._store.address}")
                if self._store_doubtful:
                    self._store_doubtful = False
                    await self._persist(self._adopt)
                await self._end_wrapups()
                for campaign in list(self.campaigns.values()):
                    try:
                        await self._review(campaign)
                    except UnavailableError as error:
                        self._report(error)
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _review(self, campaign: Campaign) -> None:
        now = self._now()
        if campaign.status == "running" and not self.draining:
            phase = campaign.hours.phase(now)
            if phase is Phase.OVER:
                await self._wind_up(campaign, "hours_over")
            elif phase is Phase.BEFORE:
                campaign.why = "waiting for the calling hours"
            else:
                self._place(campaign, now)
        if (now - campaign.reviewed_at).total_seconds() >= REVIEW_SECONDS:
            campaign.reviewed_at = now
            await self._finish_if_done(campaign)

    def _place(self, campaign: Campaign, now: datetime) -> None:
        campaign.why = self._obstacle(now)
        if campaign.why or now < campaign.dry_until:
            return
        idle = self._idle_agents()
        mine = [call for call in self.calls.values() if call.lead.campaign_id == campaign.id]
        ringing = [
            (now - call.sent_at).total_seconds()
            for call in mine
            if call.attempt.state in UNANSWERED or call.attempt.state is State.ANSWERED
        ]
        waiting = [
            (now - (call.attempt.detected_at or now)).total_seconds()
            for call in mine
            if call.attempt.state is State.WAITING
        ]
        reserved = len(ringing) + len(waiting) + campaign.preparing
        snapshot = pacing.Snapshot(
            now=now.timestamp(),
            idle_agents=len(idle) + reserved,
            busy_agents=self._since("talking", now),
            wrapup_agents=self._since("wrapup", now),
            ringing=[*ringing, *[0.0] * campaign.preparing],
            waiting=waiting,
        )
        for agent in idle[: campaign.pacer.calls_to_place(snapshot)]:
            agent.placing = True
            campaign.preparing += 1
            task = asyncio.create_task(self._call_somebody(campaign, agent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _obstacle(self, now: datetime) -> str:
        if not any(pbx.connected for pbx in self.pbxs.values()):
            return "no PBX is in reach"
        if now < self._localization_until:
            return "localization does not answer"
        if all(agent.state == "offline" for agent in self.agents.values()):
            return "no operator is logged in"
        return ""

    def _since(self, state: OperatorState, now: datetime) -> list[float]:
        return [
            (now - agent.since).total_seconds()
            for agent in self.agents.values()
            if agent.state == state
        ]

    def _idle_agents(self) -> list[Agent]:
        now = self._now()
        idle = [
            agent
            for agent in self.agents.values()
            if agent.state == "idle"
            and not agent.placing
            and (agent.rest_until is None or agent.rest_until <= now)
        ]
        return sorted(idle, key=lambda agent: agent.since)

    async def _call_somebody(self, campaign: Campaign, agent: Agent) -> None:
        lead: Lead | None = None
        try:
            claimed = await self._store.claim_lead(campaign.id, self._now())
            if claimed is None:
                campaign.dry_until = self._now() + timedelta(seconds=0.5)
                return
            lead, history = claimed
            self._preparing.add(lead.id)
            await self._dial(campaign, agent, lead, history)
        except UnavailableError as error:
            self._store_doubtful = True
            self._report(error)
        except Exception:
            self._store_doubtful = True
            log.exception("dialer: campaign %s: a call could not be placed", campaign.id)
        finally:
            agent.placing = False
            campaign.preparing -= 1
            if lead is not None:
                self._preparing.discard(lead.id)
            if agent.state == "idle" and agent.leaving is not None:
                await self._leave(agent)
            self._wake.set()

    async def _dial(
        self, campaign: Campaign, agent: Agent, lead: Lead, history: list[PastAttempt]
    ) -> None:
        refused = dict(lead.refused)
        plan = self._plan(campaign, lead, refused, history)
        if self._due(plan):
            try:
                fresh = await self._localization.dial_check(lead.crm, lead.cpf, lead.phones)
            except UnavailableError as error:
                self._localization_until = self._now() + timedelta(seconds=2)
                self._report(error)
                await self._store.update_lead(lead.id, plan)
                return
            refused |= {phone: reason for phone, reason in fresh.items() if phone not in refused}
            plan = self._plan(campaign, lead, refused, history)
        pbx = next((one for one in self.pbxs.values() if one.connected), None)
        if isinstance(plan, Finished) or not self._due(plan):
            await self._store.update_lead(lead.id, plan, refused)
            return
        if pbx is None or not self._may_dial(campaign, agent):
            await self._store.update_lead(lead.id, plan, refused)
            return
        phone, now = lead.phones[plan.index], self._now()
        attempt = Attempt(id=uuid.uuid4().hex, created_at=now, operator=agent.id)
        change = OperatorChange(
            id=agent.id, state="reserved", attempt_id=attempt.id, at=now, campaign_id=campaign.id
        )
        await self._store.begin_attempt(
            attempt, lead_id=lead.id, phone=phone, pbx=pbx.name, operator=change
        )
        lead = replace(lead, refused=refused)
        call = Call(
            attempt=attempt, lead=lead, phone=phone, pbx=pbx.name, sent_at=now, operator=agent.id
        )
        self.calls[attempt.id] = call
        self._set(agent, "reserved", attempt.id)
        try:
            if not self._may_dial(campaign, agent, reserved=True):
                raise UnavailableError("campaign", campaign.id, "it was stopped meanwhile")
            pbx.originate(
                attempt.id,
                phone,
                caller_id=campaign.settings.identificador,
                ring_seconds=campaign.settings.toque_maximo_segundos,
            )
            call.sent_at = self._now()
            campaign.pacer.observe(pacing.Dialed(at=call.sent_at.timestamp()))
        except (UnavailableError, DataError) as error:
            log.info("dialer: attempt %s was not placed: %s", attempt.id, error)
            outcome = Outcome.INVALID_NUMBER if isinstance(error, DataError) else Outcome.CANCELLED
            self.notice(attempt.id, Judged(at=self._now(), outcome=outcome, placed=False))

    def _due(self, plan: LeadUpdate) -> bool:
        return isinstance(plan, CallNext) and plan.not_before <= self._now()

    def _may_dial(self, campaign: Campaign, agent: Agent, *, reserved: bool = False) -> bool:
        return (
            campaign.status == "running"
            and not self.draining
            and agent.state == ("reserved" if reserved else "idle")
            and agent.leaving is None
            and campaign.hours.phase(self._now()) is Phase.OPEN
        )

    async def _finish_if_done(self, campaign: Campaign) -> None:
        if campaign.preparing or any(
            call.lead.campaign_id == campaign.id for call in self.calls.values()
        ):
            return
        leads = await self._store.count_leads(campaign.id)
        if leads["waiting"] or leads["active"]:
            return
        reason = campaign.closing or ("completed" if leads["ended"] else "empty_mailing")
        now = self._now()
        await self._store.set_campaign_status(campaign.id, "finished", reason, idle_until=now)
        for agent in self.agents.values():
            if agent.state == "idle":
                agent.since = now
        del self.campaigns[campaign.id]
        log.info("dialer: campaign %s finished: %s", campaign.id, reason)

    async def _wind_up(self, campaign: Campaign, reason: str) -> None:
        """No new calls; the leads that wait end for ``reason``."""
        await self._store.set_campaign_status(campaign.id, "stopping", reason, end_leads=reason)
        campaign.status, campaign.closing, campaign.why = "stopping", reason, reason

    # ---- calls whose end we did not see

    async def _reconcile_for_ever(self) -> None:
        while True:
            for pbx in list(self.pbxs.values()):
                try:
                    await self._reconcile(pbx)
                except UnavailableError as error:
                    log.info("dialer: PBX %s: %s", pbx.name, error)
                except Exception:
                    log.exception("dialer: PBX %s could not be compared", pbx.name)
            await asyncio.sleep(SUSPECT_SECONDS)

    async def _reconcile(self, pbx: Pbx) -> None:
        now = self._now()
        mine = [
            call
            for call in self.calls.values()
            if call.pbx == pbx.name
            and not call.attempt.ended
            and (now - call.sent_at).total_seconds() >= SETTLE_SECONDS
        ]
        if not mine:
            return
        if not pbx.connected:
            since = self._unreachable_since.get(pbx.name, now)
            if (now - since).total_seconds() >= PBX_LOST_SECONDS:
                await self._judge(pbx, mine, None)
            return
        last = self._reconciled_at.get(pbx.name)
        recent = last is not None and (now - last).total_seconds() < RECONCILE_SECONDS
        if recent and not any(call.unconfirmed for call in mine):
            return
        live = await pbx.live()
        self._reconciled_at[pbx.name] = now
        lost = []
        for call in mine:
            proofs = live.attempts.get(call.attempt.id)
            if proofs is None:
                call.missing += 1
                call.unconfirmed = True
                # Twice, some time apart: its channel may be about to appear, its record too.
                if call.missing >= 2:
                    lost.append(call)
                continue
            call.missing, call.unconfirmed = 0, False
            for event in proofs:
                self.notice(call.attempt.id, event)
        if lost:
            await self._judge(pbx, lost, live.started_at)

    async def _judge(self, pbx: Pbx, lost: list[Call], started_at: datetime | None) -> None:
        records = await pbx.records([call.attempt.id for call in lost])
        for call in lost:
            verdict = judge(
                call.attempt,
                None if records is None else records.get(call.attempt.id, []),
                pbx_started_at=started_at,
                now=self._now(),
            )
            log.info(
                "dialer: attempt %s ended unseen: %s%s",
                call.attempt.id,
                verdict.outcome.value,
                "" if verdict.placed else ", never placed",
            )
            self.notice(call.attempt.id, verdict)

    # ---- operators

    def _agent_of(self, call: Call) -> Agent | None:
        for agent in (self.agents.get(call.operator or ""), *self.agents.values()):
            if agent is not None and agent.attempt_id == call.attempt.id:
                return agent
        return None

    def _change(
        self,
        agent: Agent,
        state: OperatorState,
        call: Call | None,
        *,
        attempt_id: str | None = None,
        at: datetime | None = None,
    ) -> OperatorChange:
        return OperatorChange(
            id=agent.id,
            state=state,
            attempt_id=attempt_id,
            at=at or self._now(),
            campaign_id=None if call is None else call.lead.campaign_id,
        )

    def _set(self, agent: Agent, state: OperatorState, attempt_id: str | None) -> None:
        if agent.state != state:
            agent.since = self._now()
        agent.state, agent.attempt_id = state, attempt_id
        if state == agent.leaving:
            agent.leaving = None
        agent.bump()
        self._wake.set()

    def _move(
        self,
        agent: Agent,
        state: OperatorState,
        attempt_id: str | None,
        call: Call,
        *,
        at: datetime | None = None,
    ) -> OperatorChange:
        change = self._change(agent, state, call, attempt_id=attempt_id, at=at)
        self._set(agent, state, attempt_id)
        return change

    async def _end_wrapups(self) -> None:
        now = self._now()
        for agent in self.agents.values():
            call = self.calls.get(agent.attempt_id or "")
            if agent.state != "wrapup" or call is None:
                continue
            campaign = self.campaigns.get(call.lead.campaign_id)
            limit = campaign.settings.pos_atendimento_segundos if campaign else 0.0
            if (now - agent.since).total_seconds() >= limit:
                untabulated = replace(call.attempt, tabulation=_UNTABULATED)
                await self._persist(partial(self._close, call, untabulated, agent))

    async def _leave(self, agent: Agent) -> None:
        state = agent.next_state
        await self._persist(lambda: self._store.set_operator(self._change(agent, state, None)))
        self._set(agent, state, None)

    def _agent(self, operator: str) -> Agent:
        agent = self.agents.get(operator)
        if agent is None or agent.state == "offline":
            raise ConflictError(f"operator {operator} is not logged in")
        return agent

    async def login(self, operator: str) -> None:
        """An operator is there and free; again does nothing. Raises DataError for a bad id."""
        if OPERATOR_ID.fullmatch(operator) is None:
            raise DataError(f"operator {operator!r}: ids are op01, op02, …")
        async with self._api():
            agent = self.agents.get(operator)
            if agent is None:
                agent = Agent(id=operator, state="offline", since=self._now())
            agent.leaving = None
            if agent.state == "offline":
                change = self._change(agent, "idle", None)
                await self._store.set_operator(change, add=True)
                self.agents[operator] = agent
                self._set(agent, "idle", None)

    async def leave(self, operator: str, state: OperatorState) -> None:
        """An operator pauses (``paused``) or logs out (``offline``), after the present call.

        Raises ConflictError when a pause is asked for somebody who is not logged in.
        """
        async with self._api():
            agent = self.agents.get(operator)
            if state == "offline" and (agent is None or agent.state == "offline"):
                return
            agent = self._agent(operator)
            if agent.state in ("idle", "paused") and not agent.placing:
                await self._store.set_operator(self._change(agent, state, None))
                self._set(agent, state, None)
            else:
                agent.leaving = state

    async def make_ready(self, operator: str) -> None:
        """An operator wants calls again: ends a pause, a pause to come, or a wrap-up untabulated.

        Raises ConflictError when the operator is not logged in.
        """
        async with self._api():
            agent = self._agent(operator)
            agent.leaving = None
            call = self.calls.get(agent.attempt_id or "")
            if agent.state == "wrapup" and call is not None:
                await self._close(call, replace(call.attempt, tabulation=_UNTABULATED), agent)
            elif agent.state in ("paused", "wrapup"):
                await self._store.set_operator(self._change(agent, "idle", None))
                self._set(agent, "idle", None)

    async def tabulate(
        self,
        operator: str,
        attempt_id: str,
        tabulation: Tabulation,
        promise_date: date | None = None,
        promise_amount: Decimal | None = None,
    ) -> None:
        """What the operator records of the conversation, during or after it; ends the wrap-up.

        Raises ConflictError when it is not the operator's present call, DataError when a promise
        lacks its date or amount or something else has them.
        """
        if (tabulation is Tabulation.PROMISE) != (promise_date is not None):
            raise DataError("promise_date belongs to a promise, and a promise needs one")
        if (promise_date is None) != (promise_amount is None):
            raise DataError("a promise needs both promise_date and promise_amount")
        if promise_amount is not None and not 0 < promise_amount < Decimal(10) ** 12:
            raise DataError("promise_amount must be more than 0")
        async with self._api():
            agent = self._agent(operator)
            call = self.calls.get(attempt_id)
            if call is None or agent.attempt_id != attempt_id:
                raise ConflictError(f"attempt {attempt_id} is not the present call of {operator}")
            if call.attempt.connected_at is None:
                raise ConflictError(f"attempt {attempt_id} has not been connected yet")
            tabulated = replace(
                call.attempt,
                tabulation=tabulation,
                promise_date=promise_date,
                promise_amount=promise_amount,
            )
            if call.attempt.ended:
                await self._close(call, tabulated, agent)
            else:
                await self._store.save_attempt(tabulated)
                call.attempt = tabulated
                agent.bump()

    def card(self, operator: str) -> dict[str, Any]:
        """What the operator's screen shows."""
        agent = self.agents.get(operator) or Agent(id=operator, state="offline", since=self._now())
        call = self.calls.get(agent.attempt_id or "")
        return {
            "sequence": agent.version,
            "operator": agent.id,
            "state": agent.state,
            "since": agent.since.isoformat(),
            "call": None
            if call is None
            else {
                "attempt": call.attempt.id,
                "state": call.attempt.state.value,
                "campaign": call.lead.campaign_id,
                "cpf": call.lead.cpf,
                "name": call.lead.name,
                "phone": call.phone,
                "convenio": call.lead.convenio,
                "contract": call.lead.contract,
                "amount": str(call.lead.amount),
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

    def operators_by_state(self) -> dict[str, int]:
        """How many operators are in each state."""
        counts: dict[str, int] = {}
        for agent in self.agents.values():
            counts[agent.state] = counts.get(agent.state, 0) + 1
        return counts

    # ---- campaigns

    async def submit(
        self,
        campaign_id: str,
        *,
        name: str,
        settings: dict[str, Any],
        mailing: str,
        sha256: str,
        read_leads: Callable[[], Awaitable[list[MailingLead]]],
    ) -> bool:
        """Start a campaign; False when this very campaign is already recorded.

        Raises ConflictError when the id is recorded with something else, ConfigError and DataError
        when settings or mailing are wrong.
        """
        parse_campaign(settings, f"campanha {name}")
        if not await self._same(campaign_id, name, settings, sha256):
            leads = await read_leads()
            async with self._api():
                added = await self._store.add_campaign(
                    campaign_id,
                    name=name,
                    settings=settings,
                    mailing=mailing,
                    sha256=sha256,
                    leads=leads,
                )
                row = await self._store.campaign(campaign_id)
                assert row is not None
                if added:
                    self._admit(row)
                    log.info("dialer: campaign %s: %d leads", campaign_id, len(leads))
                    return True
            await self._same(campaign_id, name, settings, sha256)
        return False

    async def _same(
        self, campaign_id: str, name: str, settings: dict[str, Any], sha256: str
    ) -> bool:
        row = await self._store.campaign(campaign_id)
        if row is None:
            return False
        if (row.name, row.settings, row.sha256) != (name, settings, sha256):
            raise ConflictError(
                f"campaign {campaign_id} is already recorded with another mailing or settings"
            )
        return True

    async def control(self, campaign_id: str, order: str) -> None:
        """``pause``, ``resume`` or ``stop``; repeating an order does nothing more.

        Raises ConflictError when the campaign is over or was never submitted.
        """
        async with self._api():
            campaign = self.campaigns.get(campaign_id)
            if campaign is None:
                row = await self._store.campaign(campaign_id)
                if row is not None and order == "stop":
                    return
                raise ConflictError(f"campaign {campaign_id} is not running")
            if order == "stop":
                await self._wind_up(campaign, "stopped")
                for call in self._unanswered():
                    if call.lead.campaign_id == campaign_id:
                        self.notice(call.attempt.id, calls_.CancelWanted(at=self._now()))
                return
            if campaign.status == "stopping":
                raise ConflictError(f"campaign {campaign_id} is already ending")
            status = "paused" if order == "pause" else "running"
            await self._store.set_campaign_status(campaign_id, status, None)
            campaign.status = status

    # ---- plumbing

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[None]:
        """The engine's lock, unless it is held up by a database that is away."""
        if not self.ready:
            raise UnavailableError("dialer", self._store.address, "it is still starting")
        try:
            async with asyncio.timeout(API_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise UnavailableError("dialer", self._store.address, self._problem) from None
        try:
            yield
        finally:
            self._lock.release()

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write until it succeeds: nothing is forgotten while the database is away."""
        while True:
            try:
                result = await write()
            except UnavailableError as error:
                self._store_doubtful = True
                self._report(error)
                await asyncio.sleep(1)
            else:
                if self._problem:
                    log.info("dialer: working again after: %s", self._problem)
                    self._problem = ""
                return result

    def _report(self, error: UnavailableError) -> None:
        problem = f"{error.part} at {error.address}"
        if problem != self._problem:
            log.warning("dialer: %s; no new calls meanwhile", error)
            self._problem = problem


def open_calls(calls: Iterable[Call]) -> int:
    """How many calls are in progress."""
    return sum(not call.attempt.ended for call in calls)
