"""The gate that every dial passes at its moment: our rules, then localization's reservation.

``rules.permit`` decides what needs no asking; localization knows all CRMs' calls, do-not-call lists
and limits, and keeps others away from the person whom we call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from dialer.live import LONG_AGO, Call, Campaign, utc_now
from dialer.localization import Reservation
from dialer.rules import CallNext, Finished, PastAttempt, permit
from dialer.store import Lead, LeadUpdate
from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

LEASE_SECONDS = 900
"""How long nobody else may call the person, beside the time of ringing and of the wrap-up."""
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


class Gate:
    """Lets a lead's call through, with its lease, or says what to do with the lead instead."""

    def __init__(self, localization: Reservations) -> None:
        self._localization = localization
        self.closed_until = LONG_AGO
        """Localization did not answer: nothing is dialled before."""
        self._away = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def reserve(
        self, campaign: Campaign, lead: Lead, history: list[PastAttempt], reference: str
    ) -> tuple[LeadUpdate, str | None, Lead]:
        """What to do with the lead; with a lease, dial it now.

        The rules and localization are asked about the phone that is due, and when it is refused
        about the next one that is. The lead comes back with what was refused.
        """
        while True:
            now = utc_now()
            plan = campaign.plan(lead, lead.refused, history, now)
            if isinstance(plan, Finished) or plan.not_before > now:
                return plan, None, lead
            phone = lead.phones[plan.index]
            refusal = permit(phone, hours=campaign.hours, now=now)
            if refusal is not None and not refusal.forever:
                return plan, None, lead
            if refusal is not None:
                refused: Mapping[str, str] = {phone: refusal.reason}
            else:
                answer = await self._ask(campaign, lead, plan, reference)
                if answer is None:
                    return plan, None, lead
                if answer.lease is not None:
                    return plan, answer.lease, lead
                if answer.busy:
                    later = now + timedelta(seconds=answer.retry_seconds)
                    return replace(plan, not_before=later), None, lead
                refused = answer.refused or {phone: "localization did not reserve it"}
            lead = replace(lead, refused={**lead.refused, **refused})

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
            reason = "localization takes the question for wrong"
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
        """No call left the PBX: others may call the person."""
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
