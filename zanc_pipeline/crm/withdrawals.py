"""Whom a delivery takes out of campaigns that run already: who paid, who left, who died.

A file of noon may say that a contract of this morning's mailing is paid. The delivery stays on the
list until somebody tells the dialer and says so; telling it again changes nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """What one delivery ends: contracts as (convênio, number), people by CPF.

    ``paid`` and ``withdrawn`` contracts were paid off, or are no longer in the creditor's file;
    ``deceased`` people must not be called for any debt.
    """

    delivery_id: int
    paid: tuple[tuple[str, str], ...]
    withdrawn: tuple[tuple[str, str], ...]
    deceased: tuple[str, ...]


def pending(settings: Settings) -> Iterator[Withdrawal]:
    """The withdrawals of the loaded deliveries of which the dialer was not told yet."""
    with transaction(settings, "zanc", application="zanc crm withdrawals") as cursor:
        cursor.execute(
            "SELECT delivery_id FROM crm.load WHERE status = 'loaded' AND withdrawn_at IS NULL "
            "ORDER BY delivery_id"
        )
        deliveries = [row["delivery_id"] for row in cursor.fetchall()]
    for delivery_id in deliveries:
        yield _withdrawal(settings, delivery_id)


def mark_told(settings: Settings, delivery_id: int) -> None:
    """Take the delivery off the list of ``pending``."""
    with transaction(settings, "zanc", application="zanc crm withdrawals") as cursor:
        cursor.execute(
            "UPDATE crm.load SET withdrawn_at = now() "
            "WHERE delivery_id = %s AND withdrawn_at IS NULL",
            (delivery_id,),
        )


def _withdrawal(settings: Settings, delivery_id: int) -> Withdrawal:
    with transaction(settings, "zanc", application="zanc crm withdrawals") as cursor:
        cursor.execute(
            "SELECT convenio, contract, status FROM crm.contract "
            "WHERE delivery_id = %s AND status <> 'open' ORDER BY contract",
            (delivery_id,),
        )
        ended = cursor.fetchall()
        cursor.execute(
            "SELECT p.cpf FROM crm.journal j JOIN crm.person p ON j.row_key = ARRAY[p.cpf] "
            "WHERE j.delivery_id = %s AND j.table_name = 'person' AND p.deceased ORDER BY p.cpf",
            (delivery_id,),
        )
        deceased = tuple(row["cpf"] for row in cursor.fetchall())
    named = [(row["status"], (row["convenio"], row["contract"])) for row in ended]
    return Withdrawal(
        delivery_id=delivery_id,
        paid=tuple(contract for status, contract in named if status == "paid"),
        withdrawn=tuple(contract for status, contract in named if status != "paid"),
        deceased=deceased,
    )
