"""A tabulation from the desk: checked, recorded once, answered only when it is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dialer.desk import LONGEST_CALLBACK, Said
from dialer.live import Campaign, utc_now
from dialer.pbx import ATTEMPT_ID
from dialer.rules import Phase
from dialer.store import Store
from zanc_pipeline.common.codecs import parse_money
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.outcomes import Tabulation
from zanc_pipeline.common.web import reais

if TYPE_CHECKING:
    from dialer.service import Dialer

KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
LONGEST_PROMISE = timedelta(days=366)
WAITING_FOR = timedelta(minutes=45)
"""A conversation that was left without a tabulation is offered for so long."""

_SEEN = "SELECT attempt_id FROM tabulation_key WHERE key = $1"
_NOTE = "INSERT INTO tabulation_key (key, attempt_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_ATTEMPT = """
SELECT attempt.operator, attempt.campaign_id, attempt.tabulation, attempt.promise_date,
       attempt.promise_amount, attempt.callback_at, lead.amount
FROM attempt JOIN lead ON lead.id = attempt.lead_id WHERE attempt.id = $1
"""
_LEFT = """
SELECT attempt.id, attempt.connected_at, lead.name, lead.amount
FROM attempt JOIN lead ON lead.id = attempt.lead_id
WHERE attempt.operator = $1 AND attempt.connected_at > $2 AND attempt.ended_at IS NOT NULL
  AND attempt.outcome = 'human'
  AND (attempt.tabulation IS NULL OR attempt.tabulation = 'no_tabulation')
ORDER BY attempt.connected_at DESC LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class Left:
    """A conversation whose tabulation is missing; ``amount`` is the debt in reais."""

    attempt: str
    at: datetime
    name: str
    amount: Decimal


async def left_untabulated(store: Store, operator: str) -> Left | None:
    """The operator's last conversation that ended and has no tabulation yet."""
    async with store.transaction() as connection:
        row = await connection.fetchrow(_LEFT, operator, utc_now() - WAITING_FOR)
    if row is None:
        return None
    return Left(attempt=row["id"], at=row["connected_at"], name=row["name"], amount=row["amount"])


def read(fields: Mapping[str, str], now: datetime) -> Said:
    """What an operator wrote, in Brazilian form; raises DataError that says what to correct.

    ``fields`` has ``tabulation`` and, as it demands, ``promise_date`` (2026-12-31) and
    ``promise_amount`` (1.234,56) or ``callback_date`` and ``callback_time`` (15:30).
    """
    code = fields.get("tabulation", "")
    if code not in {one.value for one in Tabulation} - {Tabulation.NO_TABULATION.value}:
        raise DataError("escolha uma tabulação da lista")
    tabulation = Tabulation(code)
    if tabulation is Tabulation.PROMISE:
        amount = parse_money(fields.get("promise_amount", ""))
        if amount is None:
            raise DataError("escreva o valor como 1.234,56")
        day = _day(fields.get("promise_date", ""))
        today = now.astimezone(LOCAL).date()
        if day < today:
            raise DataError("a data da promessa já passou")
        if day - today > LONGEST_PROMISE:
            raise DataError("a data da promessa está a mais de um ano")
        if amount <= 0:
            raise DataError("o valor da promessa deve ser mais que zero")
        return Said(tabulation=tabulation, promise_date=day, promise_amount=amount)
    if tabulation is Tabulation.CALLBACK:
        at = datetime.combine(
            _day(fields.get("callback_date", "")), _time(fields.get("callback_time", "")), LOCAL
        )
        if at <= now:
            raise DataError("a hora do retorno já passou")
        if at - now > LONGEST_CALLBACK:
            raise DataError(f"o retorno deve ser dentro de {LONGEST_CALLBACK.days} dias")
        return Said(tabulation=tabulation, callback_at=at)
    return Said(tabulation=tabulation)


def check(said: Said, debt: Decimal, campaign: Campaign | None) -> None:
    """See that it fits the debt (reais) and the campaign's hours; raises DataError."""
    if said.promise_amount is not None and said.promise_amount > debt:
        raise DataError(f"o valor prometido passa da dívida, que é de {reais(debt)}")
    if (
        said.callback_at is not None
        and campaign is not None
        and campaign.hours.phase(said.callback_at) is not Phase.OPEN
    ):
        hours = campaign.hours
        raise DataError(
            "o retorno está fora do horário de ligação da campanha:"
            f" {hours.start:%H:%M} às {hours.end:%H:%M}, nos dias em que ela liga"
        )


async def record(dialer: Dialer, operator: str, key: str, attempt_id: str, said: Said) -> bool:
    """Record what was said; False when this very tabulation was recorded before.

    Raises DataError when it contradicts the debt or the hours, ConflictError when the conversation
    is not this operator's or was tabulated otherwise, UnavailableError.
    """
    if KEY.fullmatch(key) is None or ATTEMPT_ID.fullmatch(attempt_id) is None:
        raise DataError("a tabulação veio incompleta: recarregue a página")
    async with dialer.store.transaction() as connection:
        seen = await connection.fetchval(_SEEN, key)
        row = await connection.fetchrow(_ATTEMPT, attempt_id)
    if seen is not None:
        return False
    if row is None or row["operator"] != operator:
        raise ConflictError("esta conversa não é sua")
    check(said, row["amount"], dialer.engine.campaigns.get(row["campaign_id"]))
    new = not _same(row, said)
    if new:
        await dialer.desk.tabulate(operator, attempt_id, said)
    async with dialer.store.transaction() as connection:
        await connection.execute(_NOTE, key, attempt_id)
    return new


def _same(row: Mapping[str, Any], said: Said) -> bool:
    """Whether the attempt says so already: we were killed before the key was noted."""
    return (row["tabulation"], row["promise_date"], row["promise_amount"], row["callback_at"]) == (
        said.tabulation.value,
        said.promise_date,
        said.promise_amount,
        said.callback_at,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DataError("escolha a data") from None


def _time(text: str) -> time:
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text, re.ASCII)
    if match is None:
        raise DataError("escreva a hora como 15:30")
    return time(int(match[1]), int(match[2]))
