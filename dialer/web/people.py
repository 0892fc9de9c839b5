"""What the business knows of the person on the line: contracts and past contacts.

Read from the databases of the business, apart from the dialer's own, with a short limit: the card
is shown without it when they are slow or away. An operator calls in the name of one creditor. By
the General Data Protection Law (Lei 13.709/2018, art. 6: purpose and necessity) and the secrecy
owed to each creditor, only that creditor's contracts, promises and conversations are told; of
calls for others only when the person was reached for, so that nobody is called too often.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from dialer.live import Call, Preview
from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

LIMIT_SECONDS = 2.0
MOST_CONTACTS = 12
MOST_KNOWN = 500

_CONTRACTS = """
SELECT contract, product, amount, due_date, status FROM crm.contract
WHERE cpf = $1 AND convenio = $2 AND status = 'open' ORDER BY due_date, contract LIMIT 20
"""
_CONTACTS = """
SELECT started_at, phone, convenio, outcome, tabulation, talk_seconds
FROM localization.call WHERE phone = ANY ($2::text[]) AND cpf = $1
ORDER BY started_at DESC LIMIT $3
"""
_PROMISES = """
SELECT started_at, contract, promise_date, promise_amount FROM crm.outcome
WHERE cpf = $1 AND convenio = $2 AND tabulation = 'promise' ORDER BY started_at DESC LIMIT 5
"""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """An open contract of the creditor for whom the call is made; ``amount`` in reais."""

    contract: str
    product: str | None
    amount: Decimal
    due_date: date


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A past call. ``own``: made for the same creditor, else what was said is not told."""

    at: datetime
    phone: str
    own: bool
    outcome: str
    tabulation: str | None
    talk_seconds: float


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A past promise to the same creditor; ``amount`` in reais."""

    at: datetime
    contract: str | None
    day: date | None
    amount: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Background:
    """What is known of a person beside the lead; ``problem`` is set when it could not be read."""

    contracts: tuple[Contract, ...] = ()
    contacts: tuple[Contact, ...] = ()
    promises: tuple[Promise, ...] = ()
    problem: str = ""


class People:
    """Reads the business's database ``zanc``. Close it with ``close``."""

    def __init__(self, settings: Settings) -> None:
        target = settings.postgres.target("zanc")
        self._target = {
            **{name: target[name] for name in ("host", "port", "user", "password")},
            "database": target["dbname"],
        }
        self._pool: Any = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.terminate()

    async def background(self, cpf: str, convenio: str, phones: Sequence[str]) -> Background:
        """What is known of a person; never raises, says in ``problem`` that it can't be read."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._read(cpf, convenio, phones)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("desk: the past of a person can't be read: %s", type(error).__name__)
            return Background(problem="Contratos e histórico não puderam ser lidos agora.")

    async def _read(self, cpf: str, convenio: str, phones: Sequence[str]) -> Background:
        async with (await self._connections()).acquire() as connection:
            contracts = await connection.fetch(_CONTRACTS, cpf, convenio)
            contacts = await connection.fetch(_CONTACTS, cpf, list(phones), MOST_CONTACTS)
            promises = await connection.fetch(_PROMISES, cpf, convenio)
        return Background(
            contracts=tuple(
                Contract(
                    contract=row["contract"],
                    product=row["product"],
                    amount=row["amount"],
                    due_date=row["due_date"],
                )
                for row in contracts
            ),
            contacts=tuple(_contact(row, convenio) for row in contacts),
            promises=tuple(
                Promise(
                    at=row["started_at"],
                    contract=row["contract"],
                    day=row["promise_date"],
                    amount=row["promise_amount"],
                )
                for row in promises
            ),
        )

    async def _connections(self) -> Any:
        async with self._making:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._target,
                    min_size=0,
                    max_size=3,
                    timeout=LIMIT_SECONDS,
                    command_timeout=LIMIT_SECONDS,
                    server_settings={
                        "application_name": "zanc desk",
                        "default_transaction_read_only": "on",
                    },
                )
            return self._pool


class Backgrounds:
    """What was read of the people who are on a card now, by their lead and attempt."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._known: OrderedDict[tuple[int, str], Background] = OrderedDict()

    def known(self, card: Call | Preview | None) -> Background | None:
        """What was read already, without waiting."""
        return None if card is None else self._known.get(_key(card))

    async def of(self, card: Call | Preview) -> Background:
        """What is known of the person of a card; a problem is not remembered."""
        lead = card.lead
        found = await self._people.background(lead.cpf, lead.convenio, lead.phones)
        if not found.problem:
            self._known[_key(card)] = found
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return found


def _key(card: Call | Preview) -> tuple[int, str]:
    return card.lead.id, card.attempt.id if isinstance(card, Call) else ""


def _contact(row: Mapping[str, Any], convenio: str) -> Contact:
    own = row["convenio"] == convenio
    return Contact(
        at=row["started_at"],
        phone=row["phone"],
        own=own,
        outcome=row["outcome"],
        tabulation=row["tabulation"] if own else None,
        talk_seconds=row["talk_seconds"],
    )
