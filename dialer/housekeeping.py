"""What the dialer does every few seconds: rules are read again, callbacks handed on."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from dialer import recordings
from dialer.callbacks import Callbacks
from dialer.live import LONG_AGO, utc_now
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import UnavailableError, ZancError

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
COUNT_EVERY = timedelta(seconds=10)
CLEAN_EVERY = timedelta(hours=1)


class Housekeeping:
    """Runs beside the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.callbacks = Callbacks(engine)
        self._cleaned_at = self._counted_at = LONG_AGO

    async def run(self) -> None:
        """For ever; what fails is tried again the next time."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._engine.book.refresh()
            try:
                async with self._engine.api():
                    if not self._engine.draining:
                        await self.callbacks.review()
                await self._count_later()
                await self._clean()
            except UnavailableError as error:
                log.debug("dialer: callbacks wait: %s", error)
            except ZancError as error:
                log.error("dialer: callbacks: %s", error)
            except Exception:
                log.exception("dialer: callbacks could not be looked at")

    async def _clean(self) -> None:
        """Remove old recordings and records, every hour."""
        now = utc_now()
        if now - self._cleaned_at < CLEAN_EVERY:
            return
        self._cleaned_at = now
        for pbx in list(self._engine.pbxs.values()):
            if pbx.log_folder is not None:
                kept = self._engine.book.policy.guarda
                done = await asyncio.to_thread(recordings.clean, pbx.log_folder, kept, now)
                await self._engine.store.forget_recordings(done.recordings)

    async def _count_later(self) -> None:
        now = utc_now()
        if now - self._counted_at < COUNT_EVERY:
            return
        self._counted_at = now
        hour = now.astimezone(LOCAL).hour
        for campaign in list(self._engine.campaigns.values()):
            campaign.later = await self._engine.store.held_leads(campaign.id, hour)
