"""Callbacks: calls that people asked for, made at their time by whatever campaign runs then.

An agreed call outlives the campaign in which it was agreed (``callback`` in the database). When its
time comes and no lead carries it, it goes to the campaign of the same name that runs, else to one
that calls for the same convênio, else to a standing queue that is opened for it: a campaign of the
same settings called ``retornos-<name>-<day>``. It ends when the call was made, when a later talk
made it needless, when the person is withdrawn or asks not to be called, or when it is too old.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dialer import rule_queries
from dialer.live import Campaign, utc_now
from dialer.permission import judge
from dialer.rules import Phase
from dialer.settings import parse_campaign
from zanc_pipeline.common.errors import ConfigError

if TYPE_CHECKING:
    from dialer.engine import Engine

log = logging.getLogger(__name__)

AHEAD = timedelta(minutes=10)
"""A campaign gets a callback so long before its time, to keep an operator for it."""
NOBODY = timedelta(seconds=30)
"""A callback that no campaign may make now is looked at again so much later."""
UNREADABLE = timedelta(hours=1)
"""One whose campaign's settings can't be understood any more, likewise."""
QUEUE = "retornos"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Due:
    """A callback that nobody carries; ``lead_id`` is the lead that did, of ``campaign_id``."""

    attempt_id: str
    lead_id: int
    campaign_id: str
    name: str
    cpf: str
    phone: str
    convenio: str
    operator: str | None
    agreed_at: datetime


def queue_of(name: str, day: date) -> str:
    """The id of the queue of a campaign's name on a day: one that an address can hold."""
    if _NAME.fullmatch(name) is None:
        name = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{QUEUE}-{name}-{day:%Y-%m-%d}"


class Callbacks:
    """Hands agreed calls to campaigns. To be asked under the engine's lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._store = engine, engine.store
        self._waits: dict[str, datetime] = {}
        """Callbacks that the rules let be called only later."""

    async def review(self) -> None:
        """End what is over, and hand on what is due. Raises UnavailableError."""
        now = utc_now()
        validity = timedelta(days=self._engine.book.policy.retornos.validade_dias)
        async with self._store.transaction() as connection:
            for row in await connection.fetch(rule_queries.SETTLE_CALLBACKS, now - validity):
                log.info("dialer: callback of attempt %s: %s", row["attempt_id"], row["status"])
            rows = await connection.fetch(rule_queries.DUE_CALLBACKS, now + AHEAD)
        self._waits = {one: until for one, until in self._waits.items() if until > now}
        for row in rows:
            due = Due(**{name: row[name] for name in Due.__dataclass_fields__})
            if due.attempt_id in self._waits:
                continue
            try:
                await self._hand_on(due, now)
            except ConfigError as error:  # of its campaign alone: the others' calls are made
                log.error("dialer: callback of attempt %s: %s", due.attempt_id, error)
                self._waits[due.attempt_id] = now + UNREADABLE

    async def _hand_on(self, due: Due, now: datetime) -> None:
        campaign = await self._campaign(due, now)
        if campaign is None:
            self._waits[due.attempt_id] = now + NOBODY
            return
        moment = max(now, due.agreed_at)
        _, refusal = judge(
            self._engine.book.rules, cpf=due.cpf, phone=due.phone, hours=campaign.hours, now=moment
        )
        if refusal is not None:
            self._waits[due.attempt_id] = refusal.until or now + timedelta(hours=1)
            return
        agreed = {
            "at": due.agreed_at.isoformat(),
            "phone": due.phone,
            "operator": due.operator,
            "since": now.isoformat(),
        }
        async with self._store.transaction() as connection:
            carrier = await connection.fetchval(
                rule_queries.CARRY_CALLBACK,
                due.attempt_id, campaign.id, due.agreed_at, agreed, due.lead_id, due.phone,
            )  # fmt: skip
        if carrier is None:
            self._waits[due.attempt_id] = now + NOBODY
            return
        log.info("dialer: callback of attempt %s goes to %s", due.attempt_id, campaign.id)
        campaign.kept_dry_until = now
        self._engine.floor.wake.set()

    async def _campaign(self, due: Due, now: datetime) -> Campaign | None:
        """The campaign that makes the call; None while none may."""
        moment = max(now, due.agreed_at)
        able = [
            one
            for one in self._engine.campaigns.values()
            if one.status == "running"
            and one.closing is None
            and one.hours.phase(now) is Phase.OPEN
            and one.hours.phase(moment) is Phase.OPEN
        ]
        for one in able:
            if one.row.name == due.name:
                return one
        async with self._store.transaction() as connection:
            rows = await connection.fetch(
                rule_queries.RUNNING_OF_CONVENIO, due.convenio, [one.id for one in able]
            )
        of_convenio = {row["campaign_id"] for row in rows}
        for one in able:
            if one.id in of_convenio:
                return one
        return await self._standing(due, moment)

    async def _standing(self, due: Due, moment: datetime) -> Campaign | None:
        """The queue of the day for callbacks of a campaign's name, opened when there is none."""
        origin = await self._store.campaign(due.campaign_id)
        assert origin is not None
        settings = parse_campaign(origin.section, f"campanha {origin.name}")
        hours = self._engine.hours_of(settings)
        if hours.phase(utc_now()) is not Phase.OPEN or hours.phase(moment) is not Phase.OPEN:
            return None
        day = moment.astimezone(hours.zone).date()
        queue_id = queue_of(due.name, day)
        if queue_id in self._engine.campaigns:
            return None  # it is paused or ends
        row = await self._store.campaign(queue_id)
        if row is None:
            await self._store.add_campaign(
                queue_id,
                name=due.name,
                settings=origin.section,
                mailing="",
                sha256="",
                leads=[],
            )
            await self._store.note("zanc", "callbacks", queue_id, {"attempt": due.attempt_id})
        elif row.reason == "stopped":
            return None  # a supervisor does not want it today
        else:
            await self._store.set_campaign_status(queue_id, "running", None)
        row = await self._store.campaign(queue_id)
        assert row is not None
        await self._engine.admit(row)
        return self._engine.campaigns[queue_id]

    async def listed(self, status: str | None, limit: int) -> list[dict[str, Any]]:
        """The callbacks by their time; of all or of one status."""
        async with self._store.transaction() as connection:
            return [
                dict(row) for row in await connection.fetch(rule_queries.CALLBACKS, status, limit)
            ]

    async def drop(self, attempt_id: str, *, who: str, reason: str) -> bool:
        """Take a callback back; False when none waits under that attempt."""
        async with self._store.transaction() as connection:
            lead_id = await connection.fetchval(rule_queries.DROP_CALLBACK, attempt_id, reason)
            if lead_id is not None:
                await connection.execute(rule_queries.END_CARRIER, lead_id)
        if lead_id is None:
            return False
        await self._store.note(who, "callback dropped", attempt_id, {"reason": reason})
        return True
