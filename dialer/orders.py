"""What supervisors and programs ask of the engine, through the API; who asked is recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dialer.attempt import CancelWanted
from dialer.best_hours import usable
from dialer.engine import Engine
from dialer.live import Campaign, utc_now
from dialer.mailing import MailingLead
from dialer.settings import parse_campaign
from dialer.store import Store
from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError

log = logging.getLogger(__name__)


class Orders:
    """Orders to the engine. Each is recorded before it counts, so a repeated order is harmless.

    Every method raises UnavailableError while the engine starts or its database is away.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store = engine, store

    async def submit(
        self,
        campaign_id: str,
        *,
        name: str,
        settings: dict[str, Any],
        mailing: str,
        sha256: str,
        who: str,
        read_leads: Callable[[], Awaitable[list[MailingLead]]],
    ) -> bool:
        """Start a campaign; False when this very campaign is already recorded.

        Raises ConflictError when the id is recorded with something else, ConfigError and DataError
        when settings or mailing are wrong.
        """
        parsed = parse_campaign(settings, f"campanha {name}")
        added = False
        if not await self._same(campaign_id, name, settings, sha256):
            leads = await asyncio.to_thread(
                usable,
                await read_leads(),
                rules=self._engine.book.rules,
                hours=self._engine.hours_of(parsed),
                now=utc_now(),
            )
            self._engine.require_ready()
            # Not under the engine's lock: a big mailing takes seconds, and people who answer wait.
            added = await self._store.add_campaign(
                campaign_id,
                name=name,
                settings=settings,
                mailing=mailing,
                sha256=sha256,
                leads=leads,
            )
            if added:
                await self._store.note(who, "submit", campaign_id, {"leads": len(leads)})
                log.info("dialer: campaign %s: %d leads", campaign_id, len(leads))
            else:
                await self._same(campaign_id, name, settings, sha256)
        async with self._engine.api():
            row = await self._store.campaign(campaign_id)
            # One that is recorded and not at work was cut short right here before.
            if row is not None and row.goes_on and campaign_id not in self._engine.campaigns:
                await self._engine.admit(row)
        return added

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

    async def control(self, campaign_id: str, order: str, who: str) -> None:
        """``pause``, ``resume`` or ``stop``; repeating an order does nothing more.

        Raises ConflictError when the campaign is over or was never submitted.
        """
        async with self._engine.api():
            campaign = self._engine.campaigns.get(campaign_id)
            if campaign is None:
                row = await self._store.campaign(campaign_id)
                if row is not None and order == "stop":
                    return
            campaign = self._running(campaign_id)
            if order == "stop":
                await self._store.note(who, order, campaign_id)
                await self._engine.wind_up(campaign, "stopped")
                for call in self._engine.unanswered():
                    if call.lead.campaign_id == campaign_id:
                        self._engine.notice(call.attempt.id, CancelWanted(at=utc_now()))
                return
            if campaign.status == "stopping":
                raise ConflictError(f"campaign {campaign_id} is already ending")
            status = "paused" if order == "pause" else "running"
            if campaign.status == status:
                return
            await self._store.note(who, order, campaign_id)
            await self._store.set_campaign_status(campaign_id, status, None)
            campaign.status = status
            self._engine.floor.wake.set()

    async def change(
        self, campaign_id: str, changes: Mapping[str, Any], who: str
    ) -> dict[str, Any]:
        """Change settings of a running campaign; the whole ``discador`` section as it holds now.

        Raises ConflictError when it is not running, ConfigError when the result would be wrong.
        """
        async with self._engine.api():
            campaign = self._running(campaign_id)
            section = {**campaign.row.section, **changes}
            settings = parse_campaign(section, f"campanha {campaign.row.name}")
            if settings.identificador != campaign.settings.identificador:
                raise ConfigError(
                    f"campanha {campaign.row.name}: o identificador não muda com a campanha em"
                    " curso: quem é chamado vê sempre o mesmo número"
                )
            before = {key: campaign.row.section.get(key) for key in changes}
            if before != dict(changes):
                await self._store.change_settings(campaign_id, changes, who, before)
                row = await self._store.campaign(campaign_id)
                assert row is not None
                campaign.row = row
                self._engine.change_settings(campaign, settings)
                log.info("dialer: campaign %s: %s changed by %s", campaign_id, list(changes), who)
            return section

    async def withdraw(
        self,
        contracts: Sequence[tuple[str, str]],
        people: Sequence[str],
        *,
        reason: str,
        who: str,
    ) -> dict[str, int]:
        """Take contracts (convênio, number) and people (CPF) out of all campaigns.

        Who waits is not called any more; who is in a call ends with it. Repeating it does nothing
        more.
        """
        if not contracts and not people:
            raise DataError("name contracts or people")
        async with self._engine.api():
            ended, active = await self._store.withdraw(contracts, people, reason=reason, who=who)
            self._engine.floor.wake.set()
            return {"withdrawn": len(ended), "in_call": len(active)}

    def _running(self, campaign_id: str) -> Campaign:
        campaign = self._engine.campaigns.get(campaign_id)
        if campaign is None:
            raise ConflictError(f"campaign {campaign_id} is not running")
        return campaign
