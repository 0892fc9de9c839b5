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
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from dialer import attempt as calls_
from dialer import pacing
from dialer.attempt import UNANSWERED, Attempt, FindOperator, HangUp, Judged, State, advance
from dialer.live import LONG_AGO, Agent, Call, Campaign, Floor, utc_now
from dialer.pbx import Pbx
from dialer.reconcile import Reconciler
from dialer.rules import (
    CallingHours,
    CallNext,
    Finished,
    PastAttempt,
    Phase,
    next_call,
)
from dialer.settings import parse_campaign
from dialer.store import CampaignRow, Lead, LeadUpdate, OperatorChange, Store
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
REVIEW_SECONDS = 1.0
FAILED_OPERATOR_SECONDS = 15.0
"""An operator whose phone did not answer gets no call for so long."""
API_SECONDS = 5.0
UNFORESEEN_SECONDS = 5.0
"""A campaign in which an error of ours occurred places no call for so long."""

UNTABULATED = Tabulation.NO_TABULATION

T = TypeVar("T")


class DialCheck(Protocol):
    """What the engine asks localization."""

    async def dial_check(self, crm: str, cpf: str, phones: tuple[str, ...]) -> dict[str, str]:
        """Phones that must not be dialled, with the reason."""


class Engine:
    """The dialer at work. ``run`` until cancelled; the other public methods serve the API."""

    def __init__(
        self,
        store: Store,
        localization: DialCheck,
        *,
        hours: CallingHours | None = None,
        time_scale: float = 1.0,
    ) -> None:
        self._store, self._localization = store, localization
        self._hours, self._time_scale = hours, time_scale
        self.floor = Floor()
        self.pbxs: dict[str, Pbx] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.ready = False
        self._began_at = LONG_AGO
        self.draining = False
        self.ended: dict[str, int] = {}
        self._inbox: asyncio.Queue[tuple[str, calls_.Event]] = asyncio.Queue()
        self._lock = asyncio.Lock()
        self._preparing: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problem = ""
        self._store_doubtful = False
        self._localization_until = LONG_AGO
        self._localization_away = False
        self._reconciler = Reconciler(self.floor, self.pbxs, self.notice)

    # ---- life

    def add_pbx(self, pbx: Pbx) -> None:
        """Use ``pbx`` for calls."""
        self.pbxs[pbx.name] = pbx
        self._reconciler.pbx_changed()

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self._inbox.put_nowait((attempt_id, event))

    def pbx_changed(self) -> None:
        """A PBX came or went: what its calls are doing must be asked."""
        self._reconciler.pbx_changed()
        self.floor.wake.set()

    async def run(self) -> None:
        """Take over the database, restore what was going on, and work until cancelled.

        Raises ConflictError when another engine takes the database over from us.
        """
        await self._begin()
        self._began_at = utc_now()
        self.ready = True
        log.info(
            "dialer: %d campaigns, %d calls in progress, %d operators logged in",
            len(self.campaigns),
            len(self.floor.calls),
            sum(agent.state != "offline" for agent in self.floor.agents.values()),
        )
        jobs = [
            asyncio.create_task(job)
            for job in (self._consume(), self._tick(), self._reconciler.run())
        ]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()

    async def drain(self, seconds: float) -> None:
        """Place nothing more, let open lines resolve for ``seconds``, then hang the ringing up.

        Conversations go on in the PBX; the next start adopts them.
        """
        self.draining = True
        await self._until(lambda: not self._unsettled() and not self._preparing, seconds)
        for call in self.unanswered():
            self.notice(call.attempt.id, calls_.CancelWanted(at=utc_now()))
        await self._until(lambda: not self._unsettled() and self._inbox.empty(), 2.0)
        for task in list(self._tasks):
            task.cancel()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        for _ in range(int(seconds / 0.05)):
            if done():
                return
            await asyncio.sleep(0.05)

    def _unsettled(self) -> bool:
        """Whether somebody may be about to need an operator."""
        return any(
            call.attempt.state not in (State.TALKING, State.ENDED) and not call.attempt.abandoned
            for call in self.floor.calls.values()
        )

    def unanswered(self) -> list[Call]:
        """Calls that nobody answered yet."""
        return [call for call in self.floor.calls.values() if call.attempt.state in UNANSWERED]

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
        self.floor.agents.clear()
        self.floor.calls.clear()
        for row in await self._store.campaigns():
            if row.status in ("running", "paused", "stopping"):
                self.admit(row)
        for operator in await self._store.operators():
            self.floor.agents[operator.id] = Agent(
                id=operator.id,
                state=operator.state,
                since=operator.since,
                attempt_id=operator.attempt_id,
            )
        await self._adopt()
        for agent in self.floor.agents.values():
            if agent.attempt_id is not None and agent.attempt_id not in self.floor.calls:
                agent.attempt_id = None
                if agent.state in ("reserved", "talking", "wrapup"):
                    await self._store.set_operator(self.floor.change(agent, "idle", None))
                    self.floor.set(agent, "idle", None)

    async def _adopt(self) -> None:
        """Take up what the database knows and we do not."""
        for found in await self._store.open_attempts():
            if found.attempt.id in self.floor.calls:
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
                self.floor.calls[call.attempt.id] = call
                continue
            agent = self.floor.agent_of(call)
            if agent is not None and agent.state == "wrapup":
                self.floor.calls[call.attempt.id] = call
            else:
                await self.close(call, replace(call.attempt, tabulation=UNTABULATED), None)
        for lead in await self._store.stranded_leads():
            if lead.id not in self._preparing:
                await self._store.update_lead(lead.id, await self._next(lead, None))

    def admit(self, row: CampaignRow) -> Campaign:
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
        self.floor.wake.set()
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
                    call = self.floor.calls.get(attempt_id)
                    if call is not None:
                        call.unconfirmed = True

    async def _apply(self, attempt_id: str, event: calls_.Event) -> None:
        call = self.floor.calls.get(attempt_id)
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
        agent = self.floor.agents.get(operator)
        if call.operator == operator:
            call.operator = None
        if agent is None or agent.attempt_id != call.attempt.id:
            return []
        log.warning(
            "operator %s: the phone did not answer; no calls for %.0f s",
            operator,
            FAILED_OPERATOR_SECONDS,
        )
        agent.rest_until = utc_now() + timedelta(seconds=FAILED_OPERATOR_SECONDS)
        return [self.floor.move(agent, agent.next_state, None, call)]

    def _release(self, call: Call) -> list[OperatorChange]:
        """The person hears the safe message: the operator need not wait for its end."""
        agent = self.floor.agent_of(call)
        call.operator = None
        return [] if agent is None else [self.floor.move(agent, agent.next_state, None, call)]

    def _free_operator(self, call: Call, changes: list[OperatorChange]) -> str | None:
        for agent in self.floor.idle():
            changes.append(self.floor.move(agent, "reserved", call.attempt.id, call))
            call.operator = agent.id
            return agent.id
        return None

    def _talking(self, call: Call, attempt: Attempt) -> list[OperatorChange]:
        changes: list[OperatorChange] = []
        assert attempt.operator is not None and attempt.connected_at is not None
        reserved = self.floor.agents.get(call.operator or "")
        if (
            reserved is not None
            and reserved.id != attempt.operator
            and reserved.attempt_id == attempt.id
        ):
            changes.append(self.floor.move(reserved, reserved.next_state, None, call))
        call.operator = attempt.operator
        agent = self.floor.agents.get(attempt.operator)
        if agent is not None:
            changes.append(
                self.floor.move(agent, "talking", attempt.id, call, at=attempt.connected_at)
            )
        return changes

    async def _ended(self, call: Call) -> None:
        attempt = call.attempt
        assert attempt.outcome is not None
        self.ended[attempt.outcome.value] = self.ended.get(attempt.outcome.value, 0) + 1
        agent = self.floor.agent_of(call)
        if attempt.connected_at is None or attempt.tabulation is not None:
            await self._persist(lambda: self.close(call, attempt, agent))
            return
        if agent is None:
            untabulated = replace(attempt, tabulation=UNTABULATED)
            await self._persist(lambda: self.close(call, untabulated, None))
            return
        change = self.floor.move(agent, "wrapup", attempt.id, call)
        await self._persist(lambda: self._store.save_attempt(attempt, operator=change))

    async def close(self, call: Call, attempt: Attempt, agent: Agent | None) -> None:
        """Record the final state of an attempt, and with it what follows for lead and operator."""
        change = None if agent is None else self.floor.change(agent, agent.next_state, call)
        await self._store.save_attempt(
            attempt,
            close=True,
            lead_id=call.lead.id,
            lead=await self._next(call.lead, attempt, call.phone),
            operator=change,
        )
        before, call.attempt = call.attempt, attempt
        self.floor.calls.pop(attempt.id, None)
        if agent is not None and change is not None:
            self.floor.set(agent, change.state, None)
        self._pace(call, before, closed=True)
        self.floor.wake.set()

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
        return next_call(lead.phones, refused, history, rules, utc_now())

    def _pace(self, call: Call, before: Attempt, *, closed: bool = False) -> None:
        campaign = self.campaigns.get(call.lead.campaign_id)
        if campaign is None:
            return
        attempt, observe = call.attempt, campaign.pacer.observe
        at = utc_now().timestamp()
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
            self.floor.wake.clear()
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
                    await self.floor.wake.wait()
            except TimeoutError:
                pass

    async def _review(self, campaign: Campaign) -> None:
        now = utc_now()
        # Before placing: free operators look for a lead again and again, and while one does so
        # the campaign can't be told to be over.
        due = (now - campaign.reviewed_at).total_seconds() >= REVIEW_SECONDS
        if due and await self._finish_if_done(campaign, now):
            return
        if campaign.status == "running" and not self.draining:
            phase = campaign.hours.phase(now)
            if phase is Phase.OVER:
                await self.wind_up(campaign, "hours_over")
            elif phase is Phase.BEFORE:
                campaign.why = "waiting for the calling hours"
            else:
                self._place(campaign, now)

    def _place(self, campaign: Campaign, now: datetime) -> None:
        campaign.why = self._obstacle(now)
        if campaign.why or now < campaign.dry_until:
            return
        idle = self.floor.idle()
        mine = [call for call in self.floor.calls.values() if call.lead.campaign_id == campaign.id]
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
            busy_agents=self.floor.seconds_in("talking", now),
            wrapup_agents=self.floor.seconds_in("wrapup", now),
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
        if all(agent.state == "offline" for agent in self.floor.agents.values()):
            return "no operator is logged in"
        return ""

    async def _call_somebody(self, campaign: Campaign, agent: Agent) -> None:
        lead: Lead | None = None
        try:
            claimed = await self._store.claim_lead(campaign.id, utc_now())
            if claimed is None:
                campaign.dry_until = utc_now() + timedelta(seconds=0.5)
                return
            lead, history = claimed
            self._preparing.add(lead.id)
            await self._dial(campaign, agent, lead, history)
        except UnavailableError as error:
            self._store_doubtful = True
            self._report(error)
        except Exception:
            self._store_doubtful = True
            campaign.dry_until = utc_now() + timedelta(seconds=UNFORESEEN_SECONDS)
            log.exception("dialer: campaign %s: a call could not be placed", campaign.id)
        finally:
            agent.placing = False
            campaign.preparing -= 1
            if lead is not None:
                self._preparing.discard(lead.id)
            if agent.state == "idle" and agent.leaving is not None:
                await self._leave(agent)
            self.floor.wake.set()

    async def _dial(
        self, campaign: Campaign, agent: Agent, lead: Lead, history: list[PastAttempt]
    ) -> None:
        refused = dict(lead.refused)
        plan = self._plan(campaign, lead, refused, history)
        if self._due(plan):
            asked = tuple(phone for phone in lead.phones if phone not in refused)
            try:
                fresh = await self._localization.dial_check(lead.crm, lead.cpf, asked)
            except DataError as error:
                # Asked again it would say the same: this person is not called, the others are.
                log.warning("dialer: lead %d is not called: %s", lead.id, error)
                fresh = dict.fromkeys(asked, "localization takes the question for wrong")
            except UnavailableError as error:
                self._localization_until = utc_now() + timedelta(seconds=2)
                if not self._localization_away:
                    log.warning("dialer: %s; no new calls meanwhile", error)
                    self._localization_away = True
                await self._store.update_lead(lead.id, plan)
                return
            if self._localization_away:
                log.info("dialer: localization answers again")
                self._localization_away = False
            refused |= fresh
            plan = self._plan(campaign, lead, refused, history)
        pbx = next((one for one in self.pbxs.values() if one.connected), None)
        if isinstance(plan, Finished) or not self._due(plan):
            await self._store.update_lead(lead.id, plan, refused)
            return
        if pbx is None or not self._may_dial(campaign, agent):
            await self._store.update_lead(lead.id, plan, refused)
            return
        phone, now = lead.phones[plan.index], utc_now()
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
        self.floor.calls[attempt.id] = call
        self.floor.set(agent, "reserved", attempt.id)
        try:
            if not self._may_dial(campaign, agent, reserved=True):
                raise UnavailableError("campaign", campaign.id, "it was stopped meanwhile")
            pbx.originate(
                attempt.id,
                phone,
                caller_id=campaign.settings.identificador,
                ring_seconds=campaign.settings.toque_maximo_segundos,
            )
            call.sent_at = utc_now()
            campaign.pacer.observe(pacing.Dialed(at=call.sent_at.timestamp()))
        except (UnavailableError, DataError) as error:
            log.info("dialer: attempt %s was not placed: %s", attempt.id, error)
            outcome = Outcome.INVALID_NUMBER if isinstance(error, DataError) else Outcome.CANCELLED
            self.notice(attempt.id, Judged(at=utc_now(), outcome=outcome, placed=False))

    def _due(self, plan: LeadUpdate) -> bool:
        return isinstance(plan, CallNext) and plan.not_before <= utc_now()

    def _may_dial(self, campaign: Campaign, agent: Agent, *, reserved: bool = False) -> bool:
        return (
            campaign.status == "running"
            and not self.draining
            and agent.state == ("reserved" if reserved else "idle")
            and agent.leaving is None
            and campaign.hours.phase(utc_now()) is Phase.OPEN
        )

    async def _finish_if_done(self, campaign: Campaign, now: datetime) -> bool:
        if campaign.preparing or any(
            call.lead.campaign_id == campaign.id for call in self.floor.calls.values()
        ):
            return False
        campaign.reviewed_at = now
        leads = await self._store.count_leads(campaign.id)
        if leads["waiting"] or leads["active"]:
            return False
        reason = campaign.closing or ("completed" if leads["ended"] else "empty_mailing")
        await self._store.set_campaign_status(campaign.id, "finished", reason, idle_until=now)
        for agent in self.floor.agents.values():
            if agent.state == "idle":
                agent.since = now
        del self.campaigns[campaign.id]
        log.info("dialer: campaign %s finished: %s", campaign.id, reason)
        return True

    async def wind_up(self, campaign: Campaign, reason: str) -> None:
        """No new calls; the leads that wait end for ``reason``."""
        await self._store.set_campaign_status(campaign.id, "stopping", reason, end_leads=reason)
        campaign.status, campaign.closing, campaign.why = "stopping", reason, reason

    # ---- operators

    async def _end_wrapups(self) -> None:
        now = utc_now()
        for agent in self.floor.agents.values():
            call = self.floor.calls.get(agent.attempt_id or "")
            if call is None and agent.state in ("reserved", "talking", "wrapup"):
                await self._leave(agent)  # the call was closed without its operator
            if agent.state != "wrapup" or call is None:
                continue
            campaign = self.campaigns.get(call.lead.campaign_id)
            limit = campaign.settings.pos_atendimento_segundos if campaign else 0.0
            # While we were away nobody could tabulate: that time is not the operator's.
            if (now - max(agent.since, self._began_at)).total_seconds() >= limit:
                untabulated = replace(call.attempt, tabulation=UNTABULATED)
                await self._persist(partial(self.close, call, untabulated, agent))

    async def _leave(self, agent: Agent) -> None:
        state = agent.next_state
        await self._persist(lambda: self._store.set_operator(self.floor.change(agent, state, None)))
        self.floor.set(agent, state, None)

    # ---- plumbing

    def require_ready(self) -> None:
        """Raise UnavailableError until everything that went on before the start is restored.

        Earlier an operator in wrap-up would be shown without the call to tabulate.
        """
        if not self.ready:
            raise UnavailableError("dialer", self._store.address, "it is still starting")

    @asynccontextmanager
    async def api(self) -> AsyncIterator[None]:
        """The engine's lock, unless it is held up by a database that is away."""
        self.require_ready()
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
