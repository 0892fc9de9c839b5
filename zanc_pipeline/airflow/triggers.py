"""What the triggerer watches: complete uploads on the FTP server, and campaigns in the dialer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from zanc_pipeline.airflow.announcements import Announcements, Upload
from zanc_pipeline.airflow.hooks import ENDED, DialerClient
from zanc_pipeline.common.errors import UnavailableError, ZancError
from zanc_pipeline.common.settings import Settings, load_settings

if TYPE_CHECKING:
    from zanc_pipeline.reception.arrivals import Arrival, StabilityTracker

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0
_STATE_KEY = "announced"


class PendingUploads:
    """Polls the FTP server and the ledger; remembers what the ledger has, to ask it less."""

    def __init__(self, settings: Settings, tracker: StabilityTracker | None = None) -> None:
        from zanc_pipeline.reception.arrivals import StabilityTracker

        self._settings = settings
        self._tracker = tracker or StabilityTracker(settings.ftp.stable_seconds)
        self._in_ledger: set[tuple[str, str, int, str]] = set()

    def poll(self) -> list[Arrival]:
        """The complete uploads that the ledger does not know. Blocks for the network.

        Raises UnavailableError when the FTP server or PostgreSQL does not answer.
        """
        from zanc_pipeline.reception import arrivals, service

        listed = arrivals.scan(self._settings)
        ready = self._tracker.ready(listed, time.time())
        if any(key(arrival) not in self._in_ledger for arrival in ready):
            self._in_ledger = service.known_uploads(self._settings)
        return [arrival for arrival in ready if key(arrival) not in self._in_ledger]


def key(arrival: Arrival) -> tuple[str, str, int, str]:
    """What identifies one upload in the ledger."""
    return arrival.convenio, arrival.path, arrival.size, arrival.modified


class FtpArrivalTrigger(BaseEventTrigger):
    """Fires when complete uploads of one convênio wait that the ledger does not know.

    The triggers of all convênios share one poll. The poll broadcasts what is pending each time,
    not what changed, so a trigger that joins late misses nothing. When the FTP server or
    PostgreSQL is down it goes on trying, ever more slowly up to a minute, and logs one line when
    it loses them and one when they are back.
    """

    def __init__(self, convenio: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.convenio = convenio

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that rebuild this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"convenio": self.convenio}

    def shared_stream_key(self) -> Hashable:
        """The same for every convênio: one poll serves all."""
        return ("zanc", "ftp-arrivals")

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[Arrival]]:
        """Yield the pending uploads of all convênios after every poll that succeeded."""
        uploads: PendingUploads | None = None
        failures, poll_seconds = 0, 3.0
        while True:
            try:
                if uploads is None:
                    settings = await asyncio.to_thread(load_settings)
                    poll_seconds = settings.ftp.poll_seconds
                    uploads = PendingUploads(settings)
                pending = await asyncio.to_thread(uploads.poll)
            except Exception as error:
                # The watcher of every file that will ever arrive must outlive any fault.
                failures += 1
                if failures == 1:
                    log.warning("waiting for arrivals, still trying: %s", _one_line(error))
                # Without its own limit the power outgrows a float after a night of failures.
                longer = poll_seconds * 2 ** min(failures, 10)
                await asyncio.sleep(min(longer, MAX_BACKOFF_SECONDS))
                continue
            if failures:
                log.info("watching for arrivals again after %d failed polls", failures)
                failures = 0
            yield pending
            await asyncio.sleep(poll_seconds)

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[list[Arrival]]
    ) -> AsyncIterator[TriggerEvent]:
        """Yield one event for the uploads of this convênio that are to be announced now."""
        announcements = Announcements(await self._recall())
        async for pending in shared_stream:
            mine = [upload(one) for one in pending if one.convenio == self.convenio]
            due = announcements.due(mine, time.time())
            if due:
                yield TriggerEvent({"convenio": self.convenio, "uploads": due})
                await self._remember(announcements)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same events from a poll of its own, where no stream is shared."""
        async for event in self.filter_shared_stream(self.open_shared_stream({})):
            yield event

    async def _recall(self) -> Any:
        if self.asset_state_store is None:
            return None
        try:
            return await self.asset_state_store.aget(_STATE_KEY)
        except Exception as error:  # without its memory it announces once more, which is harmless
            log.warning("%s: announcements not recalled: %s", self.convenio, _one_line(error))
            return None

    async def _remember(self, announcements: Announcements) -> None:
        if self.asset_state_store is None:
            return
        try:
            await self.asset_state_store.aset(_STATE_KEY, announcements.state())
        except Exception as error:
            log.warning("%s: announcements not stored: %s", self.convenio, _one_line(error))


class CampaignTrigger(BaseTrigger):
    """Fires when every campaign of ``campaign_ids`` has ended in the dialer.

    It holds no worker slot. A dialer that is down is waited for ``patience_seconds``; then the
    event says so and the task fails, to be retried. Only a person who ends the task stops the
    campaigns: a restart of the triggerer, a clear or a retry finds them running by their ids.
    """

    STEP_SECONDS = 60.0
    """How often outcomes go back to the CRMs, and withdrawals to the dialer, while it waits."""

    def __init__(
        self,
        campaign_ids: list[str],
        poll_seconds: float = 5,
        patience_seconds: float = 600,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.campaign_ids = campaign_ids
        self.poll_seconds = poll_seconds
        self.patience_seconds = patience_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that rebuild this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "campaign_ids": self.campaign_ids,
            "poll_seconds": self.poll_seconds,
            "patience_seconds": self.patience_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield ``{"problem": None}`` when all ended, ``{"problem": <one line>}`` to give up."""
        lost_at: float | None = None
        returned = dict.fromkeys(self.campaign_ids, "")
        next_step = time.monotonic() + self.STEP_SECONDS
        while True:
            if time.monotonic() >= next_step:
                await asyncio.to_thread(self._keep_in_step, returned)
                next_step = time.monotonic() + self.STEP_SECONDS
            try:
                if await asyncio.to_thread(self._all_ended):
                    yield TriggerEvent({"problem": None})
                    return
            except UnavailableError as error:
                if lost_at is None:
                    lost_at = time.monotonic()
                    log.warning("waiting for the dialer to come back: %s", error)
                if time.monotonic() - lost_at > self.patience_seconds:
                    yield TriggerEvent({"problem": str(error)})
                    return
            except ZancError as error:
                yield TriggerEvent({"problem": str(error)})
                return
            else:
                lost_at = None
            await asyncio.sleep(self.poll_seconds)

    async def on_kill(self) -> None:
        """Stop the campaigns, unless the task was cleared and is about to run again."""
        if await self._runs_again():
            log.info("the task was cleared: its campaigns go on and will be found again")
            return
        await asyncio.to_thread(self._stop_all)

    @cached_property
    def _dialer(self) -> DialerClient:
        return DialerClient(load_settings())

    def _keep_in_step(self, returned: dict[str, str]) -> None:
        from zanc_pipeline.airflow import steps

        try:
            steps.keep_in_step(load_settings(), self._dialer, returned)
        except Exception as error:
            # The end of the campaign returns everything once more; waiting for it must go on.
            log.warning("while the campaign runs: %s", _one_line(error))

    def _all_ended(self) -> bool:
        states = [self._dialer.campaign(campaign_id) for campaign_id in self.campaign_ids]
        return all(state is None or state["status"] in ENDED for state in states)

    def _stop_all(self) -> None:
        for campaign_id in self.campaign_ids:
            state = self._dialer.campaign(campaign_id)
            if state is not None and state["status"] not in ENDED:
                self._dialer.stop(campaign_id)
                log.info("campaign %s: asked to stop", campaign_id)

    async def _runs_again(self) -> bool:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        if ti is None:
            return False
        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
        )
        state = states.get(ti.run_id, {}).get(ti.task_id)
        return state not in {"success", "failed", "skipped", "removed"}


class QuestionTrigger(BaseTrigger):
    """Fires when a question about a delivery is closed elsewhere: by command or on a page.

    An answer in the Airflow UI resumes the task by itself. ``mark`` is the question's; ``ti_id``
    the task instance that asked ``options``: what was chosen elsewhere is written there as well.
    """

    def __init__(
        self, delivery: int, mark: str, ti_id: str, options: list[str], poll_seconds: float = 5
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.delivery, self.mark, self.ti_id = delivery, mark, ti_id
        self.options, self.poll_seconds = options, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that rebuild this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "delivery": self.delivery,
            "mark": self.mark,
            "ti_id": self.ti_id,
            "options": self.options,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the answer that was given elsewhere, once the question is no longer open."""
        failures = 0
        while True:
            try:
                chosen = await asyncio.to_thread(self._chosen)
            except ZancError as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for an answer, still trying: %s", _one_line(error))
                chosen = None
            else:
                failures = 0
            if chosen is not None:
                yield TriggerEvent(await self._answer(chosen))
                return
            longer = self.poll_seconds * 2 ** min(failures, 10)
            await asyncio.sleep(min(longer, MAX_BACKOFF_SECONDS))

    def _chosen(self) -> str | None:
        from zanc_pipeline.airflow import decisions

        settings = load_settings()
        if decisions.mark(settings, self.delivery) == self.mark:
            return None
        return decisions.taken(settings, self.delivery, self.options)

    async def _answer(self, chosen: str) -> dict[str, Any]:
        from airflow.sdk.execution_time.hitl import update_hitl_detail_response
        from airflow.sdk.timezone import utcnow

        log.info("entrega %d: decidida fora do Airflow (%s)", self.delivery, chosen)
        try:
            await sync_to_async(update_hitl_detail_response)(UUID(self.ti_id), [chosen], {})
        except Exception as error:  # answered here in this very moment: that answer is applied too
            log.warning("entrega %d: %s", self.delivery, _one_line(error))
        return {
            "chosen_options": [chosen],
            "params_input": {},
            "responded_at": utcnow(),
            "responded_by_user": None,
            "timedout": False,
        }


def upload(arrival: Arrival) -> Upload:
    """The part of an arrival that an event carries."""
    return {"path": arrival.path, "size": arrival.size, "modified": arrival.modified}


def _one_line(error: Exception) -> str:
    return str(error) if isinstance(error, ZancError) else f"{type(error).__name__}: {error}"
