"""Tells people that a PBX is away, and that it is back."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dialer.live import utc_now
from dialer.pbx import Pbx
from zanc_pipeline.common import notices
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.notices import Notice
from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=30)
"""A PBX that is restarted, and the start of the dialer itself, are no news."""
LOOK_SECONDS = 5.0


@dataclass
class Outages:
    """Which PBXs are away since when. Pure; ``told`` outlives the process (see ``Watch``)."""

    told: dict[str, datetime] = field(default_factory=dict)
    """Those that people were told of."""
    _since: dict[str, datetime] = field(default_factory=dict)

    def seen(self, name: str, *, connected: bool, why: str, now: datetime) -> Notice | None:
        """What is to be told now that the PBX was looked at."""
        if connected:
            self._since.pop(name, None)
            lost = self.told.pop(name, None)
            return None if lost is None else _back(name, lost, now)
        since = self._since.setdefault(name, now)
        if name in self.told or now - since < GRACE:
            return None
        self.told[name] = since
        return _lost(name, since, why)


class Watch:
    """Looks at the PBXs every few seconds; nothing that fails here reaches the dialer."""

    def __init__(self, settings: Settings, pbxs: Mapping[str, Pbx]) -> None:
        self._settings, self._pbxs = settings, pbxs
        self._file = settings.var / notices.FOLDER / "outages"
        self._link = f"{settings.web_url(settings.dialer)}/painel"
        self.outages = Outages(told=self._remembered())

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look(utc_now())
            except Exception:
                log.exception("outages of PBXs are not told")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> None:
        """Look once, and tell in a thread of its own."""
        found = [
            self.outages.seen(name, connected=pbx.connected, why=pbx.problem, now=now)
            for name, pbx in self._pbxs.items()
        ]
        if news := [one for one in found if one is not None]:
            await asyncio.to_thread(self._tell, news)

    def _tell(self, news: list[Notice]) -> None:
        notices.tell(self._settings, *(replace(one, link=self._link) for one in news))
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {name: at.isoformat() for name, at in self.outages.told.items()}
        self._file.write_text(json.dumps(told), encoding="utf-8")

    def _remembered(self) -> dict[str, datetime]:
        try:
            told = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): datetime.fromisoformat(at) for name, at in told.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _lost(name: str, since: datetime, why: str) -> Notice:
    local = since.astimezone(LOCAL)
    return Notice(
        kind="central_caiu",
        key=f"{name} {since.isoformat()}",
        subject=f"A central {name} está fora de alcance desde {local:%H:%M}",
        text=why,
    )


def _back(name: str, since: datetime, now: datetime) -> Notice:
    minutes = max(1, round((now - since).total_seconds() / 60))
    return Notice(
        kind="central_caiu",
        key=f"{name} {since.isoformat()} voltou",
        subject=f"A central {name} voltou",
        text=f"Ficou fora de alcance por {minutes} min.",
    )
