"""The gate that every dial passes at its moment: our rules, then localization's reservation.

``permission.judge`` decides what needs no asking; localization knows all CRMs' calls and the limits
of attempts, and keeps others away from the person whom we call. What was asked, and by which
figures the call was allowed, is kept with the attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from dialer.live import LONG_AGO, Call, Campaign, utc_now
from dialer.localization import Reservation
from dialer.permission import Check, Refused, judge
from dialer.rows import Lead, LeadUpdate
from dialer.rulebook import Rulebook
from dialer.rules import CallNext, Finished, PastAttempt
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

LEASE_SECONDS = 900
"""How long nobody else may call the person, beside the time of ringing and of the wrap-up."""
BESIDE = timedelta(minutes=1)
"""Who is in another call of ours is looked at again so much later."""
AWAY_SECONDS = 2.0
"""A localization that does not answer is asked again so much later."""


class Reservations(Protocol):
    """What is asked of localization."""

    async def reserve(
        self,
        crm: str,
        cpf: str,
        phones: Sequence[str],
        *,
        reference: str,
        lease_seconds: int,
        agreed: bool = False,
    ) -> Reservation:
        """Reserve the first of ``phones`` that may be dialled."""

    async def release(self, crm: str, lease: str) -> None:
        """End a lease whose call was not placed."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What to do with a lead; with a ``lease`` dial it now.

    ``lead`` holds the phones that were refused meanwhile; ``evidence`` says by which figures the
    call is allowed.
    """

    plan: LeadUpdate
    lead: Lead
    lease: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Gate:
    """Lets a lead's call through, with its lease, or says what to do with the lead instead."""

    def __init__(
        self, localization: Reservations, book: Rulebook, calls: Mapping[str, Call]
    ) -> None:
        """``calls`` are those under way; a talk may outlast its lease."""
        self._localization, self._book, self._calls = localization, book, calls
        self.closed_until = LONG_AGO
        """Localization did not answer: nothing is dialled before."""
        self._away = False
        self._tasks: set[asyncio.Task[None]] = set()

    def look(
        self,
        campaign: Campaign,
        lead: Lead,
        history: Sequence[PastAttempt],
        closed: Mapping[str, datetime] | None = None,
    ) -> tuple[Passage, list[Check]]:
        """Ask our own rules about the phone that is due, and when it is refused about the next.

        Nobody is asked, nothing is reserved. A plan that is due comes with what was checked.
        """
        waits = dict(closed or {})
        while True:
            now = utc_now()
            plan = campaign.plan(lead, lead.refused, history, now, waits)
            if isinstance(plan, Finished) or plan.not_before > now:
                return Passage(plan=plan, lead=lead), []
            phone = lead.phones[plan.index]
            checks, refusal = judge(
                self._book.rules, cpf=lead.cpf, phone=phone, hours=campaign.hours, now=now
            )
            if refusal is None and self._in_a_call(lead.cpf, phone):
                refusal = Refused(
                    reason="está em outra ligação da discagem, ou acaba de sair dela",
                    until=now + BESIDE,
                )
            if refusal is None:
                return Passage(plan=plan, lead=lead), checks
            campaign.held_back = refusal.reason
            if refusal.until is None:
                lead = replace(lead, refused={**lead.refused, phone: refusal.reason})
            else:
                waits[phone] = max(refusal.until, now + timedelta(seconds=1))

    def _in_a_call(self, cpf: str, phone: str) -> bool:
        return any(call.lead.cpf == cpf or call.phone == phone for call in self._calls.values())

    async def reserve(
        self, campaign: Campaign, lead: Lead, history: list[PastAttempt], reference: str
    ) -> Passage:
        """What to do with the lead; with a lease, dial it now.

        The rules and localization are asked about the phone that is due, and when it is refused
        about the next one that is. The lead comes back with what was refused.
        """
        while True:
            passage, checks = self.look(campaign, lead, history)
            lead, plan = passage.lead, passage.plan
            if isinstance(plan, Finished) or not checks:
                return passage
            now, phone = utc_now(), lead.phones[plan.index]
            answer = await self._ask(campaign, lead, plan, reference)
            if answer is None:
                return passage
            if answer.lease is not None:
                evidence = self._evidence(campaign, lead, plan, checks, answer, now)
                return replace(passage, lease=answer.lease, evidence=evidence)
            if answer.busy:
                later = now + timedelta(seconds=answer.retry_seconds)
                return replace(passage, plan=replace(plan, not_before=later))
            refused = answer.refused or {phone: "a base de localização não o reservou"}
            lead = replace(lead, refused={**lead.refused, **refused})

    def _evidence(
        self,
        campaign: Campaign,
        lead: Lead,
        plan: CallNext,
        checks: list[Check],
        answer: Reservation,
        now: datetime,
    ) -> Mapping[str, Any]:
        """Every rule that was asked and its figures, as the audit shows them."""
        settings = campaign.settings
        checks = [
            *checks,
            Check(rule="limites", told=answer.told or "a base de localização reservou o telefone"),
            *self._book.volumes.checks(self._book.policy, settings.identificador, now),
            Check(rule="identificador", told=f"{settings.identificador}, fixo da campanha"),
            Check(rule="toque_maximo", told=f"{settings.toque_maximo_segundos} s"),
            Check(rule="melhor_hora", told=_hour_told(plan, now)),
        ]
        return {"at": now.isoformat(), "checks": {one.rule: one.told for one in checks}}

    async def _ask(
        self, campaign: Campaign, lead: Lead, plan: CallNext, reference: str
    ) -> Reservation | None:
        """Reserve the planned phone; None while localization does not answer."""
        settings = campaign.settings
        try:
            answer = await self._localization.reserve(
                lead.crm,
                lead.cpf,
                [lead.phones[plan.index]],
                reference=reference,
                lease_seconds=int(
                    LEASE_SECONDS
                    + settings.toque_maximo_segundos
                    + settings.pos_atendimento_segundos
                ),
                agreed=plan.agreed,
            )
        except DataError as error:
            # Asked again it would say the same: this person is not called, the others are.
            log.warning("dialer: lead %d is not called: %s", lead.id, error)
            reason = "a base de localização não aceita a pergunta"
            wrong = {phone: reason for phone in lead.phones if phone not in lead.refused}
            return Reservation(phone=None, lease=None, refused=wrong, busy=False)
        except UnavailableError as error:
            self.closed_until = utc_now() + timedelta(seconds=AWAY_SECONDS)
            if not self._away:
                log.warning("dialer: %s; no new calls meanwhile", error)
                self._away = True
            return None
        if self._away:
            log.info("dialer: localization answers again")
            self._away = False
        return answer

    def not_placed(self, call: Call) -> None:
        """No call left the PBX: it counts for nothing, and others may call the person."""
        if call.counted:
            self._book.volumes.not_placed(call.caller_id, call.attempt.created_at)
        task = asyncio.create_task(self._release_unplaced(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release_unplaced(self, call: Call) -> None:
        # Asked again for the same reference it names the lease, also after a restart of ours.
        lead = call.lead
        try:
            answer = await self._localization.reserve(
                lead.crm, lead.cpf, [call.phone], reference=call.attempt.id, lease_seconds=1
            )
        except (DataError, UnavailableError) as error:
            log.info("dialer: attempt %s: its lease ends by its time: %s", call.attempt.id, error)
            return
        if answer.lease is not None:
            await self.release(lead, answer.lease)

    async def release(self, lead: Lead, lease: str) -> None:
        """Nothing was dialled under this lease."""
        try:
            await self._localization.release(lead.crm, lease)
        except (DataError, UnavailableError) as error:
            log.info("dialer: lead %d: its lease ends by its time: %s", lead.id, error)


def _hour_told(plan: CallNext, now: datetime) -> str:
    hour = now.astimezone(LOCAL).hour
    if plan.agreed:
        return "hora que a pessoa pediu"
    if not plan.hours:
        return "sem preferência de hora"
    best = ", ".join(f"{one} h" for one in plan.hours)
    if plan.hours[0] <= hour or hour in plan.hours:
        return f"melhores horas {best}; discado às {hour} h"
    return f"melhores horas {best}; discado às {hour} h porque não havia outra pessoa a chamar"
