"""Brings people who answered and operators together; ends wrap-ups, previews and pauses to come.

A line belongs to no operator until a person answers; then the operator who waited longest gets the
call, or the next one who comes free before the person's patience ends. Only *kept* calls (agreed
callbacks, people who were abandoned before, previews) have their operator from the beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from dialer.attempt import Attempt
from dialer.live import Agent, Call, Campaign, utc_now
from dialer.rows import OperatorChange
from dialer.rules import CallNext
from dialer.settings import ANSWER_WAIT_SECONDS
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.outcomes import Tabulation

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

FAILED_OPERATOR_SECONDS = 15.0
"""An operator whose phone did not answer gets no call for so long."""
MOST_UNANSWERED = 3
"""So often in turn, and the operator is put in pause: each time somebody was called for nothing."""
LATE_TABULATION_SECONDS = 20.0
"""A call whose operator did not tabulate within the wrap-up is closed so much later."""
UNTABULATED = Tabulation.NO_TABULATION


class Switchboard:
    """Changes what operators do; each change comes back as a record to be stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._floor = engine, engine.floor

    # ---- from the answer to the conversation

    def find(self, call: Call, failed: str | None) -> list[OperatorChange]:
        """A person waits: connect an operator, but not ``failed``, who did not answer.

        Without one the person waits for the next who comes free (``hand_over``). Whom we hear of
        too late gets nobody: the PBX plays the safe message by now, and an operator in the middle
        of it would make a conversation of a call that was abandoned.
        """
        changes = [] if failed is None else self._rest(failed, call)
        if not _in_time(call, utc_now()):
            return changes
        if call.operator is None:
            changes += self._reserve(call)
        if call.operator is not None:
            self._connect(call)
        return changes

    def hand_over(self) -> None:
        """Give people who wait to operators who came free meanwhile, who waits longest first."""
        now = utc_now()
        waiting = [
            call for call in self._floor.calls.values() if call.waits and _in_time(call, now)
        ]
        for call in sorted(waiting, key=lambda call: call.waiting_since or now):
            if changes := self._reserve(call):
                self._connect(call)
                self._record(changes)

    def talking(self, call: Call, attempt: Attempt) -> list[OperatorChange]:
        """The operator's phone answered."""
        changes: list[OperatorChange] = []
        assert attempt.operator is not None and attempt.connected_at is not None
        reserved = self._floor.agents.get(call.operator or "")
        if (
            reserved is not None
            and reserved.id != attempt.operator
            and reserved.attempt_id == attempt.id
        ):
            changes.append(self._floor.move(reserved, reserved.next_state, None, call))
        call.operator = attempt.operator
        agent = self._floor.agents.get(attempt.operator)
        if agent is not None:
            agent.unanswered = 0
            changes.append(
                self._floor.move(agent, "talking", attempt.id, call, at=attempt.connected_at)
            )
        return changes

    def release(self, call: Call) -> list[OperatorChange]:
        """The person hears the safe message: the operator need not wait for its end."""
        agent = self._floor.agent_of(call)
        call.operator = None
        return [] if agent is None else [self._floor.move(agent, agent.next_state, None, call)]

    def _reserve(self, call: Call) -> list[OperatorChange]:
        campaign = self._campaign(call)
        idle = [agent for agent in self._floor.idle() if agent.serves(campaign)]
        mine = [agent for agent in idle if agent.share == call.lead.campaign_id]
        for agent in mine or idle:
            call.operator = agent.id
            return [self._floor.move(agent, "reserved", call.attempt.id, call)]
        return []

    def _connect(self, call: Call) -> None:
        pbx = self._engine.pbxs.get(call.pbx)
        if pbx is None or call.operator is None:
            return
        try:
            pbx.connect(call.attempt.id, call.operator)
        except UnavailableError as error:
            log.warning("dialer: attempt %s: %s", call.attempt.id, error)

    def _rest(self, operator: str, call: Call) -> list[OperatorChange]:
        agent = self._floor.agents.get(operator)
        if call.operator == operator:
            call.operator = None
        if agent is None or agent.attempt_id != call.attempt.id:
            return []
        agent.unanswered += 1
        if agent.unanswered >= MOST_UNANSWERED:
            log.warning("operator %s: the phone did not answer again: in pause now", operator)
            agent.unanswered = 0
            if agent.leaving is None:
                agent.leaving, agent.reason = "paused", "telefone não atende"
        else:
            log.warning(
                "operator %s: the phone did not answer; no calls for %.0f s",
                operator,
                FAILED_OPERATOR_SECONDS,
            )
            agent.rest_until = utc_now() + timedelta(seconds=FAILED_OPERATOR_SECONDS)
        return [self._floor.move(agent, agent.next_state, None, call)]

    # ---- time

    def review(self) -> None:
        """End what lasted long enough, then give people who wait to who came free."""
        for agent in self._floor.agents.values():
            call = self._floor.calls.get(agent.attempt_id or "")
            if call is None and agent.state in ("reserved", "talking", "wrapup"):
                self.free(agent)  # the call was closed without its operator
            elif agent.state == "wrapup" and call is not None:
                self._end_wrapup(agent, call)
            elif agent.state == "idle" and agent.leaving is not None and self.spare(agent):
                self.free(agent)
        self._close_late()
        self.hand_over()

    def spare(self, agent: Agent) -> bool:
        """Whether a free operator may leave: nobody waits, and no line counts on this one."""
        if agent.placing:
            return False
        counted = 0
        for campaign in self._engine.campaigns.values():
            lines, waiting = campaign.lines(self._floor)
            counted += len(waiting)
            if campaign.pace.pacer.config.mode == "progressive":
                counted += len(lines) + campaign.preparing
        return len(self._floor.idle()) > counted

    def free(self, agent: Agent) -> None:
        """The operator is free, or leaves as wanted."""
        self._record([self._floor.move(agent, agent.next_state, None, None)])

    def _end_wrapup(self, agent: Agent, call: Call) -> None:
        campaign = self._campaign(call)
        limit = campaign.settings.pos_atendimento_segundos if campaign else 0.0
        now = utc_now()
        # While we were away nobody could tabulate: that time is not the operator's.
        if (now - max(agent.since, self._engine.began_at)).total_seconds() < limit:
            return
        call.late_until = now + timedelta(seconds=LATE_TABULATION_SECONDS)
        self.wrapped_up(agent, call)
        self._record([self._floor.move(agent, agent.next_state, None, call)])

    def wrapped_up(self, agent: Agent, call: Call) -> None:
        """Tell the pacer how long the wrap-up took."""
        campaign = self._campaign(call)
        if campaign is not None and agent.state == "wrapup":
            now = utc_now()
            campaign.pace.ready(now, (now - agent.since).total_seconds())

    def _close_late(self) -> None:
        now = utc_now()
        for call in self._floor.calls.values():
            if call.late_until is not None and call.late_until <= now:
                self._engine.course.say(call, replace(call.attempt, tabulation=UNTABULATED))

    # ---- previews

    async def end_previews(self) -> None:
        """Take back the cards at which nobody looks."""
        for agent in list(self._floor.agents.values()):
            if agent.state == "preview":
                await self._end_preview(agent)

    async def _end_preview(self, agent: Agent) -> None:
        preview = agent.preview
        if agent.placing:
            return  # it was accepted and is being dialled
        if preview is None:
            self.free(agent)
            return
        campaign = self._engine.campaigns.get(preview.lead.campaign_id)
        limit = campaign.settings.previa_segundos if campaign else 0.0
        over = campaign is None or campaign.status != "running" or self._engine.draining
        if over or (utc_now() - preview.since).total_seconds() >= limit:
            if not over and agent.leaving is None:
                # Who does not look at the screen would hold one person after the other.
                agent.leaving, agent.reason = "paused", "prévia sem resposta"
            await self._engine.persist(partial(self.return_preview, agent, timedelta()))

    async def return_preview(self, agent: Agent, wait: timedelta) -> None:
        """Put the person back among those who wait, not to be shown before ``wait``."""
        assert agent.preview is not None
        lead = agent.preview.lead
        update = await self._engine.plan_of(lead, None)
        if isinstance(update, CallNext):
            update = replace(update, not_before=max(update.not_before, utc_now() + wait))
        await self._engine.store.update_lead(lead.id, update)
        self.free(agent)

    # ---- plumbing

    def _campaign(self, call: Call) -> Campaign | None:
        return self._engine.campaigns.get(call.lead.campaign_id)

    def _record(self, changes: Iterable[OperatorChange]) -> None:
        self._engine.course.record(changes)


def _in_time(call: Call, now: datetime) -> bool:
    """Whether the person still waits: afterwards the PBX plays the safe message."""
    since = call.waiting_since
    return since is not None and (now - since).total_seconds() < ANSWER_WAIT_SECONDS
