"""The routes of campaigns: submit, control, change, withdraw, figures, attempts, audit."""

from __future__ import annotations

import asyncio
from typing import Any

from dialer import monitor
from dialer.handlers import (
    CAMPAIGN_ID,
    SHA256,
    WHOLE,
    Handler,
    known_campaign,
    text,
)
from dialer.mailing import MailingLead, locate, read_mailing
from dialer.pbx import ATTEMPT_ID
from dialer.rows import CampaignRow
from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.errors import DataError

MAX_ATTEMPTS = 1000
MAX_WITHDRAWN = 5000


_LEADS_LEFT = """
SELECT campaign_id, count(*) AS n FROM lead WHERE status = 'waiting' GROUP BY campaign_id
"""


class Campaigns(Handler):
    """All campaigns, each with the people that still wait to be called."""

    async def get(self) -> None:
        self.authorize()
        rows = await self.dialer.store.campaigns()
        async with self.dialer.store.transaction() as connection:
            left = {one["campaign_id"]: one["n"] for one in await connection.fetch(_LEADS_LEFT)}
        self.answer(
            {"campaigns": [summary(row) | {"leads_left": left.get(row.id, 0)} for row in rows]}
        )


class Campaign(Handler):
    """One campaign: its figures, its submission."""

    async def get(self, campaign_id: str) -> None:
        self.authorize()
        row = await known_campaign(self.dialer, campaign_id)
        figures = await self.dialer.store.figures(row)
        live = self.dialer.engine.campaigns.get(campaign_id)
        content = summary(row) | figures
        content["operators"] = self.dialer.engine.floor.by_state()
        content["why"] = (row.why or "") if live is None else live.why
        content["mode"] = row.section.get("modo")
        content["live"] = None if live is None else monitor.campaign(self.dialer.engine, live)
        self.answer(content)

    async def put(self, campaign_id: str) -> None:
        self.authorize()
        if CAMPAIGN_ID.fullmatch(campaign_id) is None:
            raise DataError("a campaign's id is letters, digits and . _ - (at most 100)")
        body = self.body()
        if set(body) != {"name", "settings", "mailing", "sha256"}:
            raise DataError("send exactly name, settings, mailing and sha256")
        name, mailing, sha256 = (text(body, key) for key in ("name", "mailing", "sha256"))
        if not isinstance(body["settings"], dict):
            raise DataError("settings must be an object: the campaign's discador section")
        if SHA256.fullmatch(sha256) is None:
            raise DataError("sha256 must be 64 hexadecimal digits")

        async def read_leads() -> list[MailingLead]:
            path = locate(self.dialer.settings.var, mailing)
            return await asyncio.to_thread(read_mailing, path, sha256)

        added = await self.dialer.orders.submit(
            campaign_id,
            name=name,
            settings=body["settings"],
            mailing=mailing,
            sha256=sha256,
            who=self.who(),
            read_leads=read_leads,
        )
        row = await known_campaign(self.dialer, campaign_id)
        self.answer(summary(row), 201 if added else 200)


class CampaignOrder(Handler):
    """Pause, resume, stop."""

    async def post(self, campaign_id: str, order: str) -> None:
        self.authorize()
        await known_campaign(self.dialer, campaign_id)
        await self.dialer.orders.control(campaign_id, order, self.who())
        self.answer(summary(await known_campaign(self.dialer, campaign_id)))


class Attempts(Handler):
    """Attempts that are closed, page by page."""

    async def get(self, campaign_id: str) -> None:
        self.authorize()
        await known_campaign(self.dialer, campaign_id)
        limit = self.limit(MAX_ATTEMPTS)
        after = self.get_query_argument("after", None)
        if after is not None and not (ATTEMPT_ID.fullmatch(after) or WHOLE.fullmatch(after)):
            raise DataError("after must be the sequence (or id) of the last attempt already read")
        rows = await self.dialer.store.closed_attempts(campaign_id, after, limit)
        self.answer({"attempts": [attempt_row(row) for row in rows]})


class Settings(Handler):
    """The ``discador`` section of a campaign, changed while it runs."""

    async def get(self, campaign_id: str) -> None:
        self.authorize()
        row = await known_campaign(self.dialer, campaign_id)
        self.answer({"settings": row.section, "submitted": row.settings})

    async def patch(self, campaign_id: str) -> None:
        self.authorize()
        await known_campaign(self.dialer, campaign_id)
        changes = self.body()
        if not changes:
            raise DataError("name at least one option of the discador section")
        section = await self.dialer.orders.change(campaign_id, changes, self.who())
        self.answer({"settings": section})


class Withdraw(Handler):
    """Contracts and people that must not be called any more."""

    async def post(self) -> None:
        self.authorize()
        body = self.body()
        if not set(body) <= {"reason", "contracts", "people"}:
            raise DataError("send reason, and contracts or people")
        contracts = [_contract(one) for one in _list(body, "contracts")]
        people = [_cpf(one) for one in _list(body, "people")]
        if not 1 <= len(contracts) + len(people) <= MAX_WITHDRAWN:
            raise DataError(f"name 1 to {MAX_WITHDRAWN} contracts and people")
        reason = text(body, "reason")
        if len(reason) > 100:
            raise DataError("reason must be at most 100 letters")
        self.answer(
            await self.dialer.orders.withdraw(contracts, people, reason=reason, who=self.who())
        )


class Audit(Handler):
    """Who changed what."""

    async def get(self) -> None:
        self.authorize()
        after = self.get_query_argument("after", "0")
        if WHOLE.fullmatch(after) is None:
            raise DataError("after must be the id of the last entry already read")
        subject = self.get_query_argument("subject", None)
        rows = await self.dialer.store.audit(int(after), subject, self.limit(MAX_ATTEMPTS))
        self.answer({"entries": rows})


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if not isinstance(value, list):
        raise DataError(f"{key} must be a list")
    return value


def _contract(value: object) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {"convenio", "contract"}:
        raise DataError("each of contracts needs exactly convenio and contract")
    return text(value, "convenio"), text(value, "contract")


def _cpf(value: object) -> str:
    cpf = parse_cpf(value) if isinstance(value, str) else None
    if cpf is None:
        raise DataError("each of people must be a valid CPF")
    return cpf


def summary(row: CampaignRow) -> dict[str, Any]:
    """A campaign without its figures."""
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "reason": row.reason,
        "mailing": row.mailing,
        "submitted_at": row.submitted_at,
        "finished_at": row.finished_at,
    }


_ATTEMPT_FIELDS = (
    "id", "number", "lead_id", "cpf", "phone", "crm", "convenio", "contract", "pbx", "operator",
    "placed", "outcome", "tabulation", "promise_date", "promise_amount", "callback_at",
    "hangup_cause", "created_at", "ringing_at", "answered_at", "detected_at", "connected_at",
    "ended_at",
)  # fmt: skip


def attempt_row(row: dict[str, Any]) -> dict[str, Any]:
    """A closed attempt as readers get it.

    ``sequence`` is where to go on reading: one that is tabulated late gets a new one and comes
    again, so its id would skip what was closed in between.
    """
    return {field: row[field] for field in _ATTEMPT_FIELDS} | {"sequence": row["closed_number"]}
