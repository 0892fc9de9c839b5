"""Sends the calls that are over to localization until it confirms that they are durable."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Protocol

from dialer.localization import Localization
from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

BATCH = 200
IDLE_SECONDS = 1.0
LAST_RETRY_SECONDS = 15.0


class Calls(Protocol):
    """What the outbox needs of the store."""

    async def outbox(self, limit: int, without: list[str]) -> list[dict[str, Any]]:
        """Calls not confirmed yet, without those of the CRMs in ``without``."""

    async def mark_exported(self, attempts: list[tuple[str, int]]) -> None:
        """Confirm these, by id and closing number."""

    async def mark_refused(self, attempt_id: str, closed_number: int, reason: str) -> None:
        """Never send this one again."""


def call_of(row: dict[str, Any]) -> dict[str, Any]:
    """A closed attempt as a call of localization's ``POST /v1/calls``."""
    rang_until = row["answered_at"] or row["ended_at"]
    ring = _seconds(row["ringing_at"], rang_until)
    return {
        "call_id": row["id"],
        "cpf": row["cpf"],
        "phone": row["phone"],
        "started_at": row["created_at"].isoformat(),
        "ring_seconds": ring,
        "talk_seconds": _seconds(row["connected_at"], row["ended_at"]) or 0.0,
        "outcome": row["outcome"],
        "tabulation": row["tabulation"],
        "convenio": row["convenio"],
    }


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round(max((end - start).total_seconds(), 0.0), 3)


class Outbox:
    """At least once and in order of closing; localization drops what it has by the call id.

    A CRM whose calls can't be taken holds back only its own.
    """

    def __init__(self, store: Calls, localization: Localization) -> None:
        self._store, self._localization = store, localization
        self._problem = ""

    async def run(self) -> None:
        """Send for ever."""
        wait = IDLE_SECONDS
        while True:
            try:
                sent, problem = await self.flush()
            except UnavailableError as error:
                sent, problem = 0, str(error)
            if problem and not self._problem:
                log.warning("outbox: %s; the calls wait and are sent again", problem)
            if self._problem and not problem:
                log.info("outbox: calls are taken again")
            self._problem = problem
            wait = min(wait * 2, LAST_RETRY_SECONDS) if problem else IDLE_SECONDS
            await asyncio.sleep(0 if sent and not problem else wait)

    async def flush(self) -> tuple[int, str]:
        """Send what waits; how many were confirmed, and what kept a CRM from taking its own."""
        held: list[str] = []
        problem, confirmed = "", 0
        while rows := await self._store.outbox(BATCH, held):
            for crm in sorted({row["crm"] for row in rows}):
                mine = [row for row in rows if row["crm"] == crm]
                try:
                    confirmed += await self._send(crm, mine)
                except UnavailableError as error:
                    held.append(crm)
                    problem = str(error)
        return confirmed, problem

    async def _send(self, crm: str, rows: list[dict[str, Any]]) -> int:
        try:
            await self._localization.record_calls(crm, [call_of(row) for row in rows])
        except DataError as error:
            if len(rows) == 1:
                log.error("outbox: call %s is refused for good: %s", rows[0]["id"], error)
                await self._store.mark_refused(rows[0]["id"], rows[0]["closed_number"], str(error))
                return 0
            half = len(rows) // 2  # one bad call must not hold back the others
            return await self._send(crm, rows[:half]) + await self._send(crm, rows[half:])
        await self._store.mark_exported([(row["id"], row["closed_number"]) for row in rows])
        return len(rows)
