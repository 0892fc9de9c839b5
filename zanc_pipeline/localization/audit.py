"""Who asked for whom: noted with every answer, written in batches, kept for a time."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings

WRITE_SECONDS = 1.0
MOST_WAITING = 50_000
"""Answers whose note is not written yet; beyond it nothing is told."""

_log = logging.getLogger("zanc.localization")


def person_hash(settings: Settings, cpf: str) -> bytes:
    """The CPF under the stack's audit key: equal for equal people, and it names nobody."""
    return _digest(settings.secret("localization_audit_key").encode(), cpf)


def _digest(key: bytes, cpf: str) -> bytes:
    return hmac.digest(key, cpf.encode(), "sha256")


class Audit:
    """Notes of one process; ``run`` writes them every second and once more at the end."""

    def __init__(
        self,
        settings: Settings,
        write: Callable[[Sequence[tuple[Any, ...]]], Awaitable[None]],
    ) -> None:
        self._key = settings.secret("localization_audit_key").encode()
        self._write = write
        self._notes: list[tuple[Any, ...]] = []

    @property
    def waiting(self) -> int:
        """Notes that are not written yet."""
        return len(self._notes)

    def require_room(self) -> None:
        """UnavailableError while too many notes wait: no answer leaves without its note."""
        if len(self._notes) >= MOST_WAITING:
            raise UnavailableError("localization", "audit", "its notes cannot be written")

    def note(self, crm: str, action: str, cpf: str, phones: int) -> None:
        """``crm`` was told about ``phones`` phones of the person."""
        self._notes.append((datetime.now(UTC), crm, action, _digest(self._key, cpf), phones))

    async def run(self) -> None:
        """Write for ever; cancelled, write what is left."""
        away = False
        try:
            while True:
                await asyncio.sleep(WRITE_SECONDS)
                try:
                    await self.flush()
                    away = False
                except UnavailableError as error:
                    if not away:
                        _log.warning("audit: %s; the notes wait", error)
                    away = True
        finally:
            try:
                await self.flush()
            except UnavailableError as error:
                _log.error("audit: %d notes are lost: %s", len(self._notes), error)

    async def flush(self) -> None:
        """Write what waits; it waits on when PostgreSQL is away (UnavailableError)."""
        notes, self._notes = self._notes, []
        if not notes:
            return
        try:
            await self._write(notes)
        except BaseException:
            self._notes[:0] = notes
            raise


def asked_about(settings: Settings, cpf: str) -> list[dict[str, Any]]:
    """Who asked about a person, latest first: ``at``, ``crm``, ``action``, ``phones``."""
    with transaction(settings, "zanc", application="zanc localization audit") as cursor:
        cursor.execute(
            "SELECT at, crm, action, phones FROM localization.audit WHERE person = %s "
            "ORDER BY at DESC",
            (person_hash(settings, cpf),),
        )
        return [dict(row) for row in cursor.fetchall()]
