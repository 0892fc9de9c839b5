"""Runs the campaigns: follows the calls, records what happens and decides what comes next.

One process, one asyncio loop. ``dialer.course`` follows the calls, in order; the rules are those of
``dialer.attempt``, ``dialer.rules`` and ``dialer.pacing``; the truth is in ``Store``.
``dialer.placing`` opens the lines, ``dialer.switchboard`` brings people and operators together.

An attempt is recorded before the PBX is asked to dial. Whatever we did not see end (we were killed,
the connection or the database was away) is compared with the PBX's live channels and judged by its
records, so a lead is never dialled twice for one attempt and no outcome is invented.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from dialer import attempt as calls_
from dialer.attempt import UNANSWERED, Attempt, State
from dialer.attempt_store import ASKED_IN_CALL
from dialer.course import Course
from dialer.draining import drained
from dialer.gate import Reservations
from dialer.housekeeping import Housekeeping
from dialer.live import LONG_AGO, Agent, Call, Campaign, Floor, utc_now
from dialer.pace import Pace
from dialer.pbx import Pbx
from dialer.placing import Placer
from dialer.pool import PbxPool
from dialer.reconcile import Reconciler
from dialer.rows import CampaignRow, Lead, LeadUpdate
from dialer.rulebook import Rulebook
from dialer.rules import CallingHours, CallNext, Finished, PastAttempt, Phase
from dialer.settings import CampaignSettings, parse_campaign
from dialer.store import Store
from dialer.switchboard import Switchboard
from dialer.trunks import PbxLimits
from dialer.volumes import is_short
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError, ConflictError, UnavailableError
from zanc_pipeline.common.outcomes import Tabulation

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
REVIEW_SECONDS = 1.0
MOST_REVIEWED = 8
"""Campaigns that are looked at in one tick: with a hundred, nobody waits for all of them."""
MOST_ENDED = 2000
"""Leads of a campaign that is stopped, ended in one tick: people who answer others' calls wait."""
SETTLING_SECONDS = 5.0
"""At the end: for calls that were hung up to be told and stored."""
API_SECONDS = 5.0
CLOCK_BACK_SECONDS = 1.0
"""A clock that went back by more was set; by less it is being adjusted."""

T = TypeVar("T")


class Engine:
    """The dialer at work. ``run`` until cancelled; the other public methods serve the API."""

    def __init__(
        self,
        store: Store,
        localization: Reservations,
        *,
        hours: CallingHours | None = None,
        time_scale: float = 1.0,
        book: Rulebook | None = None,
    ) -> None:
        self.store = store
        self.book = book or Rulebook()
        self._hours, self._time_scale = hours, time_scale
        self.floor = Floor()
        self.pbxs = PbxPool(self.floor)
        self.campaigns: dict[str, Campaign] = {}
        self.ready = False
        self.began_at = LONG_AGO
        self.draining = False
        self.ended: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._problem = ""
        self._store_doubtful = False
        self._looked_at = LONG_AGO
        self._looked = asyncio.Event()
        self.switchboard = Switchboard(self)
        self.course = Course(self)
        self._reconciler = Reconciler(self.floor, self.pbxs, self.notice, store.ended_of)
        self.placer = Placer(self, localization)
        self.housekeeping = Housekeeping(self)

    # ---- life

    def add_pbx(self, pbx: Pbx, limits: PbxLimits) -> None:
        """Use ``pbx`` for calls within ``limits``."""
        self.pbxs.add(pbx, limits)
        self._reconciler.pbx_changed()

    def notice(self, attempt_id: str, event: calls_.Event) -> None:
        """Something happened to a call (from the PBX, in order)."""
        self.course.notice(attempt_id, event)

    def pbx_changed(self) -> None:
        """A PBX came or went: what its calls are doing must be asked."""
        self._reconciler.pbx_changed()
        self.floor.wake.set()

    async def run(self) -> None:
        """Take over the database, restore what was going on, and work until cancelled.

        Raises ConflictError when another engine takes the database over from us.
        """
        await self._begin()
        self.began_at = utc_now()
        self.ready = True
        log.info(
            "dialer: %d campaigns, %d calls in progress, %d operators logged in",
            len(self.campaigns),
            len(self.floor.calls),
            sum(agent.state != "offline" for agent in self.floor.agents.values()),
        )
        jobs = [
            asyncio.create_task(job)
            for job in (
                self.course.run(self._lock),
                self._watch(),
                self._tick(),
                self._reconciler.run(),
                self.housekeeping.run(),
            )
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
        await self._until(lambda: not self._unsettled() and not self.placer.preparing, seconds)
        for call in self.unanswered():
            self.notice(call.attempt.id, calls_.CancelWanted(at=utc_now()))
        await self._until(lambda: not self._unsettled() and self.course.idle, SETTLING_SECONDS)
        self.placer.cancel()

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
        while not await self.persist(self.store.take_over):
            if not waiting:
                log.warning("dialer: another engine works on %s; waiting", self.store.address)
                waiting = True
            await asyncio.sleep(1)
        await self.persist(self._restore)

    async def _restore(self) -> None:
        await self.book.refresh()
        self.book.load_opt_outs(await self.store.opt_outs())
        for name in await drained(self.store):
            self.pbxs.drain(name, wanted=True)
        self.campaigns.clear()
        self.floor.agents.clear()
        self.floor.calls.clear()
        for row in await self.store.campaigns():
            if row.goes_on:
                try:
                    await self.admit(row)
                except ConfigError as error:  # recorded by an earlier version: the others go on
                    log.error("dialer: campaign %s can't go on: %s", row.id, error)
                    await self.store.set_campaign_status(row.id, "failed", "unreadable_settings")
        for operator in await self.store.operators():
            self.floor.agents[operator.id] = Agent(
                id=operator.id,
                state=operator.state,
                since=operator.since,
                attempt_id=operator.attempt_id,
                reason=operator.reason,
                only=operator.campaign,
                leaving=operator.leaving,
            )
        await self._adopt()
        self.book.volumes.load(
            await self.store.calling_days(utc_now().astimezone(LOCAL).date().replace(day=1)),
            [(call.caller_id, call.attempt.created_at) for call in self.floor.calls.values()],
        )
        for agent in self.floor.agents.values():
            if agent.attempt_id not in self.floor.calls:
                agent.attempt_id = None
                if agent.state in ("preview", "reserved", "talking", "wrapup"):
                    self.course.record([self.floor.move(agent, agent.next_state, None, None)])

    async def _adopt(self) -> None:
        """Take up what the database knows and we do not."""
        for found in await self.store.open_attempts():
            if found.attempt.id in self.floor.calls:
                continue
            call = Call(
                attempt=found.attempt,
                lead=found.lead,
                phone=found.phone,
                pbx=found.pbx,
                trunk=found.trunk,
                sent_at=found.attempt.created_at,
                operator=found.attempt.operator,
                caller_id=found.caller_id,
                counted=True,
                kept=found.attempt.operator is not None,
                waiting_since=found.attempt.detected_at,
                doubts=1,
            )
            agent = self.floor.agent_of(call)
            if agent is not None:
                call.operator = agent.id
            self.floor.calls[call.attempt.id] = call
            if call.attempt.ended and (agent is None or agent.state != "wrapup"):
                self.course.await_tabulation(call)
        shown = {agent.preview.lead.id for agent in self.floor.agents.values() if agent.preview}
        for lead in await self.store.stranded_leads():
            if lead.id not in self.placer.preparing | shown:
                await self.store.update_lead(lead.id, await self.plan_of(lead, None))

    def hours_of(self, settings: CampaignSettings) -> CallingHours:
        """When a campaign of these settings places calls."""
        return settings.hours(self._hours)

    async def admit(self, row: CampaignRow) -> None:
        """Work on a campaign from now on, with what was learnt in its earlier runs."""
        settings = parse_campaign(row.section, f"campanha {row.name}")
        today = utc_now().astimezone(settings.fuso).date()
        pace = Pace(
            config=settings.pacing,
            zone=settings.fuso,
            past=await self.store.past_people(row.name, today),
            rates=await self.store.answer_rates(row.name, today),
        )
        self.campaigns[row.id] = Campaign(
            row=row,
            settings=settings,
            hours=settings.hours(self._hours),
            retries=settings.retries(self._time_scale),
            pace=pace,
            status=row.status,
            closing=row.reason if row.status == "stopping" else None,
        )
        self.floor.wake.set()

    def change_settings(self, campaign: Campaign, settings: CampaignSettings) -> None:
        """Go on with other settings at once; calls in progress keep what they began with."""
        campaign.settings = settings
        campaign.hours = settings.hours(self._hours)
        campaign.retries = settings.retries(self._time_scale)
        campaign.pace.change(settings.pacing)
        self.floor.wake.set()

    # ---- calls that ended

    async def close(self, call: Call, attempt: Attempt) -> None:
        """Record the final state of an attempt, and with it what follows for the lead.

        An operator who was in its wrap-up is free then.
        """
        await self.settled(attempt.id)
        short = is_short(attempt, self.book.policy.chamadas_curtas.segundos)
        await self.heed(attempt, call.lead, call.phone)
        plan = await self.plan_of(call.lead, attempt, call.phone)
        await self.store.close_attempt(attempt, lead_id=call.lead.id, lead=plan, short=short)
        call.attempt = attempt
        if attempt.placed and call.counted:
            self.book.volumes.ended(call.caller_id, attempt.created_at, short=short)
        self.floor.calls.pop(attempt.id, None)
        agent = self.floor.agent_of(call)
        if agent is not None:
            self.switchboard.wrapped_up(agent, call)
            self.course.record([self.floor.move(agent, agent.next_state, None, call)])
        self.floor.wake.set()

    async def settled(self, *names: str) -> None:
        """Wait until what is known of these attempts and operators is stored.

        What is written next would be overtaken by it. Raises UnavailableError.
        """
        try:
            async with asyncio.timeout(API_SECONDS):
                await self.course.stored(*names)
        except TimeoutError:
            reason = "what is new is not stored yet"
            raise UnavailableError("PostgreSQL", self.store.address, reason) from None

    async def heed(self, attempt: Attempt, lead: Lead, phone: str) -> None:
        """Obey at once what a person asked for in a call."""
        if attempt.tabulation is Tabulation.DO_NOT_CALL:
            who = attempt.operator or "?"
            await self.opt_out(lead.cpf, phone, who=who, reason=ASKED_IN_CALL)

    async def opt_out(
        self, cpf: str | None, phone: str | None, *, who: str, reason: str
    ) -> dict[str, int]:
        """Never call the person or the phone again, in any campaign; who is waiting ends at once.

        How many leads ended, and how many are in a call. Repeated, it changes nothing.
        """
        self.book.opt_out(cpf, phone)  # first: it holds even while the database is away
        await self.store.add_opt_out(cpf, phone, who=who, reason=reason)
        ended, active = await self.store.withdraw(
            [], [cpf] if cpf else [], reason="pediu para não ser chamado", who=who
        )
        self.floor.wake.set()
        return {"withdrawn": len(ended), "in_call": len(active)}

    async def plan_of(self, lead: Lead, attempt: Attempt | None, phone: str = "") -> LeadUpdate:
        """What follows for a lead after ``attempt`` on ``phone``, or as its history stands."""
        history = await self.store.history(lead.id)
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
                    callback_at=attempt.callback_at,
                    operator=attempt.operator,
                )
            )
        campaign = self.campaigns.get(lead.campaign_id)
        if campaign is None:
            return Finished(reason="campaign_over")
        update = campaign.plan(lead, lead.refused, history, utc_now())
        if campaign.closing is not None and isinstance(update, CallNext):
            return Finished(reason=campaign.closing)
        return update

    # ---- campaigns

    async def _watch(self) -> None:
        """Look at the floor, again and again, whatever the database does: people answer."""
        while True:
            self.floor.wake.clear()
            self._heed_clock(utc_now())
            self.switchboard.review()
            self._looked.set()
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self.floor.wake.wait()
            except TimeoutError:
                pass

    async def _tick(self) -> None:
        """Open lines and end campaigns, after each look at the floor."""
        while True:
            await self._looked.wait()
            self._looked.clear()
            if not await self.persist(self._take_over):
                raise ConflictError(f"another engine took over {self.store.address}")
            async with self._lock:
                # Not beside claims under way: their leads would look like stranded ones.
                if self._store_doubtful and not self.placer.busy:
                    self._store_doubtful = False
                    await self.persist(self._adopt)
                await self.switchboard.end_previews()
                now = utc_now()
                free = self.placer.share_out(now)
                quiet = self._quiet(now)
                for campaign in list(self.campaigns.values()):
                    try:
                        await self._review(
                            campaign, free.get(campaign.id), now, quiet=campaign in quiet
                        )
                    except UnavailableError as error:
                        self.doubt(error)

    async def _take_over(self) -> bool:
        return await self.store.take_over(doubtful=self._store_doubtful)

    def _heed_clock(self, now: datetime) -> None:
        """Let nothing wait for a moment of a clock that was set back."""
        back = (self._looked_at - now).total_seconds()
        self._looked_at = now
        if back <= CLOCK_BACK_SECONDS:
            return
        log.warning("dialer: the clock was set back by %.0f s", back)
        self.placer.gate.closed_until = LONG_AGO
        self._reconciler.clock_set_back(now)
        for campaign in self.campaigns.values():
            campaign.dry_until = campaign.kept_dry_until = campaign.reviewed_at = LONG_AGO
        for agent in self.floor.agents.values():
            agent.since, agent.rest_until = min(agent.since, now), None
        for call in self.floor.calls.values():
            call.sent_at = min(call.sent_at, now)
            if call.late_until is not None:
                self.course.await_tabulation(call)

    def _quiet(self, now: datetime) -> list[Campaign]:
        """Campaigns without a call that may be over: a few at a time, for each is a query."""
        calling = {call.lead.campaign_id for call in self.floor.calls.values()}
        quiet = [
            one
            for one in self.campaigns.values()
            if not (one.preparing or one.holding or one.id in calling)
            and (now - one.reviewed_at).total_seconds() >= REVIEW_SECONDS
        ]
        return sorted(quiet, key=lambda one: one.reviewed_at)[:MOST_REVIEWED]

    async def _review(
        self, campaign: Campaign, free: int | None, now: datetime, *, quiet: bool
    ) -> None:
        # Before placing: free operators look for a lead again and again, and while one does so
        # the campaign can't be told to be over.
        if quiet and await self._finish_if_done(campaign, now):
            return
        if campaign.closing is not None:
            # Every time: who was on the way to a line when it was stopped waits again by now.
            if await self.store.end_waiting(campaign.id, campaign.closing, MOST_ENDED):
                self.floor.wake.set()
        elif campaign.status == "paused":
            campaign.why = "em pausa: nenhuma ligação nova"
        elif campaign.status == "running" and not self.draining and not self._store_doubtful:
            phase = campaign.hours.phase(now)
            if phase is Phase.OVER:
                await self.wind_up(campaign, "hours_over")
            elif phase is Phase.BEFORE:
                campaign.why = "aguardando o horário de ligação"
            else:
                self.placer.place(campaign, free, now)

    async def _finish_if_done(self, campaign: Campaign, now: datetime) -> bool:
        campaign.reviewed_at = now
        unfinished, people = await self.store.leads_left(campaign.id)
        if unfinished:
            return False
        reason = campaign.closing or ("completed" if people else "empty_mailing")
        await self.store.set_campaign_status(
            campaign.id, "finished", reason, idle_until=now, why=campaign.pace.pacer.why()
        )
        for agent in self.floor.agents.values():
            if agent.state == "idle":
                agent.since = now
        del self.campaigns[campaign.id]
        log.info("dialer: campaign %s finished: %s", campaign.id, reason)
        return True

    async def wind_up(self, campaign: Campaign, reason: str) -> None:
        """No new calls; the leads that wait end for ``reason``, some at a time (``_review``)."""
        await self.store.set_campaign_status(campaign.id, "stopping", reason)
        campaign.status, campaign.closing = "stopping", reason
        campaign.why = "encerrando: espera o fim das ligações em curso"

    # ---- plumbing

    def require_ready(self) -> None:
        """Raise UnavailableError until everything that went on before the start is restored.

        Earlier an operator in wrap-up would be shown without the call to tabulate.
        """
        if not self.ready:
            raise UnavailableError("dialer", self.store.address, "it is still starting")

    @asynccontextmanager
    async def api(self) -> AsyncIterator[None]:
        """The engine's lock, unless it is held up by a database that is away."""
        self.require_ready()
        try:
            async with asyncio.timeout(API_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise UnavailableError("dialer", self.store.address, self._problem) from None
        try:
            yield
        finally:
            self._lock.release()

    async def persist(self, write: Callable[[], Awaitable[T]]) -> T:
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

    def doubt(self, error: UnavailableError | None) -> None:
        """What was written may or may not be: compare with the database before going on."""
        self._store_doubtful = True
        if error is not None:
            self._report(error)

    def _report(self, error: UnavailableError) -> None:
        problem = f"{error.part} at {error.address}"
        if problem != self._problem:
            log.warning("dialer: %s; no new calls meanwhile", error)
            self._problem = problem
