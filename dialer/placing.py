"""Opens lines: shares the operators among campaigns, asks each pacer, claims leads and dials them.

Whether a phone may be dialled is decided right before, by the gate. The PBX is chosen by the pool.
An attempt is recorded before the PBX is asked.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dialer import pacing
from dialer.attempt import Attempt, Judged, State
from dialer.gate import Gate, Passage, Reservations
from dialer.live import Agent, Call, Campaign, Preview, utc_now
from dialer.pool import Route
from dialer.rows import Lead, LeadUpdate, OperatorChange
from dialer.rules import CallNext, PastAttempt, Phase
from dialer.settings import PREVIEW
from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

DRY_SECONDS = 0.5
"""A campaign that found nobody to call looks again so much later."""
GRACE_POLL_SECONDS = 2.0
"""An agreed call whose operator is busy is looked at again so much later."""
KEPT_SECONDS = 1.0
"""How often it is looked whether a kept call is due."""
UNFORESEEN_SECONDS = 5.0
"""A campaign in which an error of ours occurred places no call for so long."""
ROOM_SECONDS = 1.0
"""A call that found no room on its way to the PBX waits for it so long."""
MOST_BEHIND = 100
"""While more calls that ended wait to be recorded no line is opened: it would only get more."""
MOST_PREPARING = 40
"""Lines of a campaign that are on their way to the PBX at the same time."""


class Placer:
    """Places the calls of all campaigns."""

    def __init__(self, engine: Engine, localization: Reservations) -> None:
        self._engine, self._floor, self._store = engine, engine.floor, engine.store
        self.gate = Gate(localization, engine.book, engine.floor.calls)
        self._tasks: set[asyncio.Task[None]] = set()
        self.preparing: set[int] = set()
        """Leads that are claimed and have no attempt yet."""

    @property
    def busy(self) -> bool:
        """Whether a call is being prepared."""
        return any(one.preparing or one.holding for one in self._engine.campaigns.values())

    def cancel(self) -> None:
        """Forget what is being prepared."""
        for task in list(self._tasks):
            task.cancel()

    # ---- who works for whom

    def share_out(self, now: datetime) -> dict[str, int]:
        """Give each operator to a campaign; how many free ones each campaign may count on.

        The highest priority that has somebody to call has all operators; campaigns of one priority
        have equal shares. Who chose one campaign works for that one only. Lines of campaigns
        without a share still need who is free.
        """
        able = self._able(now)
        takers = _first(able)
        chosen: dict[str | None, list[Campaign]] = {}
        turns: dict[str | None, int] = {}
        for agent in sorted(self._floor.agents.values(), key=lambda agent: agent.id):
            agent.share = None
            if agent.state in ("offline", "paused"):
                continue
            if agent.only not in chosen:
                chosen[agent.only] = _first([one for one in able if agent.serves(one)])
                takers += [one for one in chosen[agent.only] if one not in takers]
            mine = chosen[agent.only]
            if mine:
                turn = turns[agent.only] = turns.get(agent.only, -1) + 1
                agent.share = mine[turn % len(mine)].id
        names = {campaign.id for campaign in takers}
        strangers = 0
        for campaign in self._engine.campaigns.values():
            if campaign.id not in names:
                lines, waiting = campaign.lines(self._floor)
                strangers += len(lines) + len(waiting)
        free = dict.fromkeys(names, 0)
        for agent in self._floor.idle():
            if agent.share is not None and agent.leaving is None:
                free[agent.share] += 1
        for campaign in takers:
            taken = min(free[campaign.id], strangers)
            free[campaign.id] -= taken
            strangers -= taken
        return free

    def _able(self, now: datetime) -> list[Campaign]:
        """The campaigns that may have somebody to call now, the highest priority first."""
        able = [
            campaign
            for campaign in self._engine.campaigns.values()
            if campaign.status == "running"
            and campaign.dry_until <= now
            and campaign.hours.phase(now) is Phase.OPEN
        ]
        return sorted(able, key=lambda campaign: -campaign.settings.prioridade)

    # ---- how many

    def place(self, campaign: Campaign, free: int | None, now: datetime) -> None:
        """Open as many lines as the campaign should now; ``free`` is None without a share."""
        obstacle = self._obstacle(now) or self._brake(campaign, now)
        if obstacle:
            campaign.why = obstacle
        elif free is None:
            if campaign.dry_until <= now:
                campaign.why = "os operadores estão com campanhas de prioridade maior"
        else:
            kept = self._open_kept(campaign, now)
            if campaign.settings.modo == PREVIEW:
                self._offer(campaign)
            else:
                self._open(campaign, max(0, free - kept), now)

    def _open(self, campaign: Campaign, free: int, now: datetime) -> None:
        lines, waiting = campaign.lines(self._floor)
        connecting = [
            0.0
            for call in self._floor.calls.values()
            if call.lead.campaign_id == campaign.id
            and call.attempt.state is State.WAITING
            and call.operator is not None
        ]
        snapshot = pacing.Snapshot(
            now=now.timestamp(),
            idle_agents=free,
            busy_agents=[*self._floor.seconds_in("talking", campaign.id, now), *connecting],
            wrapup_agents=self._floor.seconds_in("wrapup", campaign.id, now),
            ringing=[
                *((now - call.sent_at).total_seconds() for call in lines),
                *[0.0] * campaign.preparing,
            ],
            waiting=[(now - (call.waiting_since or now)).total_seconds() for call in waiting],
            expected=campaign.pace.expected(now),
        )
        wanted = campaign.pace.pacer.calls_to_place(snapshot)
        campaign.why = f"{campaign.pace.pacer.why()}{_later(campaign)}{_held_back(campaign)}"
        room = self._engine.pbxs.room(now) - sum(
            one.preparing + one.holding for one in self._engine.campaigns.values()
        )
        for _ in range(min(wanted, MOST_PREPARING - campaign.preparing, room)):
            self._start(campaign, self._prepare(campaign))

    def _open_kept(self, campaign: Campaign, now: datetime) -> int:
        """Look for a call for which an operator must be kept; how many were taken aside for it."""
        if now < campaign.kept_dry_until:
            return 0
        idle = [agent for agent in self._mine(campaign) if self._engine.switchboard.spare(agent)]
        if idle:
            self._start(campaign, self._prepare_kept(campaign, idle[0], kept=True), idle[0])
        return len(idle[:1])

    def _offer(self, campaign: Campaign) -> None:
        """Show each free operator a person."""
        campaign.why = "modo prévia: o operador vê a ficha e decide"
        for agent in self._mine(campaign):
            self._start(campaign, self._prepare_kept(campaign, agent, kept=False), agent)

    def _mine(self, campaign: Campaign) -> list[Agent]:
        return [
            agent
            for agent in self._floor.idle()
            if agent.share == campaign.id and agent.leaving is None
        ]

    def _brake(self, campaign: Campaign, now: datetime) -> str:
        held = self._engine.book.brake(campaign.settings.identificador, now)
        return f"parado pelas regras: {held}" if held else ""

    def _obstacle(self, now: datetime) -> str:
        if self._engine.course.behind > MOST_BEHIND:
            return "o banco de dados está lento: há ligações terminadas por registrar"
        full = self._engine.pbxs.why(now)
        if full:
            return full
        if now < self.gate.closed_until:
            return "a base de localização não responde"
        if all(agent.state == "offline" for agent in self._floor.agents.values()):
            return "nenhum operador logado"
        return ""

    # ---- whom

    def _start(
        self, campaign: Campaign, work: Coroutine[None, None, None], agent: Agent | None = None
    ) -> None:
        if agent is None:
            campaign.preparing += 1
        else:
            agent.placing = True
            campaign.holding += 1
        task = asyncio.create_task(self._guarded(campaign, work, agent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(
        self, campaign: Campaign, work: Coroutine[None, None, None], agent: Agent | None
    ) -> None:
        try:
            await work
        except UnavailableError as error:
            self._engine.doubt(error)
        except Exception:
            self._engine.doubt(None)
            campaign.dry_until = utc_now() + timedelta(seconds=UNFORESEEN_SECONDS)
            campaign.kept_dry_until = campaign.dry_until
            log.exception("dialer: campaign %s: a call could not be placed", campaign.id)
        finally:
            if agent is None:
                campaign.preparing -= 1
            else:
                agent.placing = False
                campaign.holding -= 1
            self._floor.wake.set()

    async def _prepare(self, campaign: Campaign) -> None:
        claimed = await self._store.claim_lead(campaign.id, utc_now())
        if claimed is None:
            campaign.dry_until = utc_now() + timedelta(seconds=DRY_SECONDS)
            campaign.why = _nobody(campaign)
            return
        lead, history = claimed
        self.preparing.add(lead.id)
        try:
            await self._dial(campaign, lead, history, None)
        finally:
            self.preparing.discard(lead.id)

    async def _prepare_kept(self, campaign: Campaign, agent: Agent, *, kept: bool) -> None:
        """Claim a lead for an operator: to be dialled at once (``kept``), or to be shown."""
        claimed = await self._store.claim_lead(campaign.id, utc_now(), kept=kept)
        if claimed is None:
            until = utc_now() + timedelta(seconds=KEPT_SECONDS if kept else DRY_SECONDS)
            if kept:
                campaign.kept_dry_until = until
            else:
                campaign.dry_until = until
                campaign.why = _nobody(campaign)
            return
        lead, history = claimed
        self.preparing.add(lead.id)
        try:
            if kept and not await self._waits_for_another(campaign, lead, history, agent):
                await self._dial(campaign, lead, history, agent)
            elif not kept:
                await self._show(campaign, lead, history, agent)
        finally:
            self.preparing.discard(lead.id)

    async def _waits_for_another(
        self, campaign: Campaign, lead: Lead, history: list[PastAttempt], agent: Agent
    ) -> bool:
        """Whether the lead is put back for the operator who agreed the call and is busy.

        That is so for the policy's grace after the agreed time, while that operator is logged in.
        """
        now = utc_now()
        plan = campaign.plan(lead, lead.refused, history, now)
        if not isinstance(plan, CallNext) or not plan.agreed or plan.not_before > now:
            return False
        wanted = self._floor.agents.get(plan.operator or "")
        grace = timedelta(minutes=self._engine.book.policy.retornos.espera_operador_minutos)
        if wanted is None or wanted is agent or wanted.state == "offline":
            return False
        if wanted in self._floor.idle() or now >= plan.not_before + grace:
            return False
        later = now + timedelta(seconds=GRACE_POLL_SECONDS)
        await self._store.update_lead(lead.id, replace(plan, not_before=later))
        return True

    async def _show(
        self, campaign: Campaign, lead: Lead, history: list[PastAttempt], agent: Agent
    ) -> None:
        passage, _ = self.gate.look(campaign, lead, history)
        plan, lead = passage.plan, passage.lead
        if not self._due(plan) or not self._may_dial(campaign, agent):
            await self._store.update_lead(lead.id, plan, lead.refused)
            return
        assert isinstance(plan, CallNext)
        now = utc_now()
        self._engine.course.record([self._floor.move(agent, "preview", None, None, at=now)])
        agent.preview = Preview(lead=lead, phone=lead.phones[plan.index], since=now)

    def accept(self, agent: Agent) -> None:
        """Dial the person whose card the operator has seen."""
        assert agent.preview is not None
        lead = agent.preview.lead
        campaign = self._engine.campaigns.get(lead.campaign_id)
        if campaign is None:
            return
        self.preparing.add(lead.id)
        self._start(campaign, self._dial_shown(campaign, lead, agent), agent)

    async def _dial_shown(self, campaign: Campaign, lead: Lead, agent: Agent) -> None:
        try:
            await self._dial(campaign, lead, await self._store.history(lead.id), agent)
        finally:
            self.preparing.discard(lead.id)
            if agent.state == "preview":  # not dialled after all
                self._engine.switchboard.free(agent)

    # ---- dialling

    async def _dial(
        self, campaign: Campaign, lead: Lead, history: list[PastAttempt], agent: Agent | None
    ) -> None:
        """Dial a claimed lead, for ``agent`` alone or for whoever is free when it is answered."""
        attempt_id = uuid.uuid4().hex
        passage = await self.gate.reserve(campaign, lead, history, attempt_id)
        plan, lease, lead = passage.plan, passage.lease, passage.lead
        if lease is not None:
            assert isinstance(plan, CallNext)
            await self._until_there_is_room()
            # Only who is dialled takes a way: it is a call of this second, or a trunk's only probe.
            if self._may_dial(campaign, agent) and not self._brake(campaign, utc_now()):
                with self._engine.pbxs.taking(utc_now()) as route:
                    if route is not None:
                        await self._place(campaign, passage, plan, lease, attempt_id, agent, route)
                        return
        await self._store.update_lead(lead.id, plan, lead.refused)
        if lease is not None:
            await self.gate.release(lead, lease)

    async def _until_there_is_room(self) -> None:
        """The rest of a second, for somebody who waits beside the lines that were counted."""
        for _ in range(int(ROOM_SECONDS / 0.05)):
            if self._engine.pbxs.choose(utc_now()) is not None:
                return
            await asyncio.sleep(0.05)

    async def _place(
        self,
        campaign: Campaign,
        passage: Passage,
        plan: CallNext,
        lease: str,
        attempt_id: str,
        agent: Agent | None,
        route: Route,
    ) -> None:
        """Record the attempt, then have it dialled."""
        lead = passage.lead
        agent, phone, now = self._whom(plan, agent), lead.phones[plan.index], utc_now()
        attempt = Attempt(
            id=attempt_id, created_at=now, operator=None if agent is None else agent.id
        )
        change = None if agent is None else self._keep(campaign, agent, attempt)
        try:
            if agent is not None:
                await self._engine.settled(agent.id)
            began = await self._store.begin_attempt(
                attempt,
                lead_id=lead.id,
                phone=phone,
                pbx=route.pbx.name,
                trunk=route.trunk,
                operator=change,
                caller_id=campaign.settings.identificador,
                evidence=passage.evidence,
                record=campaign.settings.gravar,
            )
        except UnavailableError:
            await self.gate.release(lead, lease)  # recorded or not, it is not dialled
            raise
        finally:
            if agent is not None:
                agent.placing = False  # it need not be the one for whom we looked
        if began:
            self._originate(campaign, lead, attempt, phone, route, agent)
        else:
            self._engine.pbxs.unused(route)
            await self._store.update_lead(lead.id, plan, lead.refused)  # it was withdrawn: it ends
            await self.gate.release(lead, lease)

    def _originate(
        self,
        campaign: Campaign,
        lead: Lead,
        attempt: Attempt,
        phone: str,
        route: Route,
        agent: Agent | None,
    ) -> None:
        call = Call(
            attempt=attempt,
            lead=lead,
            phone=phone,
            pbx=route.pbx.name,
            trunk=route.trunk,
            sent_at=utc_now(),
            operator=attempt.operator,
            kept=agent is not None,
            caller_id=campaign.settings.identificador,
            counted=True,
        )
        self._engine.book.volumes.placed(call.caller_id, attempt.created_at)
        self._floor.calls[attempt.id] = call
        if agent is not None:
            self._floor.set(agent, "reserved", attempt.id)
        try:
            if not self._may_dial(campaign, agent):
                raise UnavailableError("campaign", campaign.id, "it was stopped meanwhile")
            asked = self._engine.book.rules.opted_out.whom(lead.cpf, phone)
            if asked is not None:
                raise UnavailableError("lead", str(lead.id), f"{asked} pediu para não ser chamado")
            route.pbx.originate(
                attempt.id,
                phone,
                trunk=route.trunk,
                caller_id=campaign.settings.identificador,
                ring_seconds=campaign.settings.toque_maximo_segundos,
                record=campaign.settings.gravar,
            )
            call.sent_at, campaign.held_back = utc_now(), ""
            if not call.kept:
                call.expected = campaign.pace.opened(lead.segment, call.sent_at)
        except (UnavailableError, DataError) as error:
            log.info("dialer: attempt %s was not placed: %s", attempt.id, error)
            outcome = Outcome.INVALID_NUMBER if isinstance(error, DataError) else Outcome.CANCELLED
            call.kept = True  # no line was opened: the pacer does not hear of it
            self._engine.notice(attempt.id, Judged(at=utc_now(), outcome=outcome, placed=False))

    def _keep(self, campaign: Campaign, agent: Agent, attempt: Attempt) -> OperatorChange:
        return OperatorChange(
            id=agent.id,
            state="reserved",
            attempt_id=attempt.id,
            at=attempt.created_at,
            campaign_id=campaign.id,
        )

    def _whom(self, plan: CallNext, agent: Agent | None) -> Agent | None:
        """The operator whom the person expects, if free, instead of ``agent``."""
        wanted = self._floor.agents.get(plan.operator or "")
        if agent is None or wanted is None or wanted is agent or wanted not in self._floor.idle():
            return agent
        wanted.placing = True
        return wanted

    def _due(self, plan: LeadUpdate) -> bool:
        return isinstance(plan, CallNext) and plan.not_before <= utc_now()

    def _may_dial(self, campaign: Campaign, agent: Agent | None) -> bool:
        if campaign.status != "running" or self._engine.draining:
            return False
        if campaign.hours.phase(utc_now()) is not Phase.OPEN:
            return False
        if agent is None:
            return True
        return agent.state in ("idle", "preview", "reserved") and agent.leaving is None


def _nobody(campaign: Campaign) -> str:
    return f"ninguém a chamar neste momento{_held_back(campaign)}"


def _held_back(campaign: Campaign) -> str:
    return f"; a última pessoa vista: {campaign.held_back}" if campaign.held_back else ""


def _later(campaign: Campaign) -> str:
    if campaign.later is None:
        return ""
    people, hour = campaign.later
    return f"; {people} pessoas guardadas para a sua melhor hora, a próxima às {hour} h"


def _first(campaigns: list[Campaign]) -> list[Campaign]:
    """Those of the highest priority, of campaigns in that order."""
    return [one for one in campaigns if one.settings.prioridade == campaigns[0].settings.prioridade]
