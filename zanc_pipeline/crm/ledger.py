"""Which delivery is in which CRM: ``crm.load`` beside ``reception.delivery``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.database import connect, copy_rows, transaction, unavailable
from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings

if TYPE_CHECKING:
    from zanc_pipeline.crm.adapters.fixed_width import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An accepted delivery and what became of its load (``status`` None: never begun)."""

    delivery_id: int
    convenio: str
    crm: str
    content: str
    reference_date: date
    status: str | None
    rows: int | None
    changed: int | None
    refused: int | None

    @property
    def order(self) -> tuple[date, int]:
        """Deliveries of a convênio follow each other by business day, then by arrival."""
        return self.reference_date, self.delivery_id


_ENTRY = """
    SELECT d.id, d.convenio, d.content, d.status AS reception_status, d.reason,
           coalesce(d.reference_date, (d.received_at AT TIME ZONE 'America/Sao_Paulo')::date)
               AS reference_date,
           l.status, l.rows_loaded, l.rows_changed, l.rows_refused
    FROM reception.delivery d LEFT JOIN crm.load l ON l.delivery_id = d.id
"""


def entry(settings: Settings, delivery_id: int) -> Entry:
    """The delivery's entry.

    Raises DataError when there is no such delivery or reception did not accept it, ConfigError
    when its convênio names no CRM.
    """
    with transaction(settings, "zanc") as cursor:
        cursor.execute(f"{_ENTRY} WHERE d.id = %s", (delivery_id,))
        row = cursor.fetchone()
    if row is None:
        raise DataError(f"there is no delivery {delivery_id}: see 'zanc reception deliveries'")
    if row["reception_status"] not in ("accepted", "loaded"):
        reason = f": {row['reason']}" if row["reason"] else ""
        raise DataError(
            f"delivery {delivery_id} of {row['convenio']} is {row['reception_status']}, "
            f"not accepted{reason}"
        )
    return _entry(settings, row)


def of_convenio(settings: Settings, convenio: str, statuses: tuple[str, ...]) -> list[Entry]:
    """The portfolios of a convênio whose load is in one of ``statuses``, oldest first."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            f"{_ENTRY} WHERE d.convenio = %s AND d.content = 'carteira' AND l.status IN %s",
            (convenio, statuses),
        )
        rows = cursor.fetchall()
    return sorted((_entry(settings, row) for row in rows), key=lambda found: found.order)


def added_to(settings: Settings, entry: Entry) -> list[Entry]:
    """What was loaded after ``entry`` where one of the two is no portfolio, oldest first."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            f"{_ENTRY} JOIN crm.load mine ON mine.delivery_id = %(id)s "
            "WHERE d.convenio = %(convenio)s AND d.id <> %(id)s AND l.started_at > mine.started_at "
            "AND l.status IN ('loading', 'loaded', 'rolling_back') "
            "AND (d.content <> 'carteira' OR %(content)s <> 'carteira') ORDER BY l.started_at",
            {"id": entry.delivery_id, "convenio": entry.convenio, "content": entry.content},
        )
        rows = cursor.fetchall()
    return [_entry(settings, row) for row in rows]


def begin(settings: Settings, load: Entry) -> None:
    """Record that the load is under way."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO crm.load (delivery_id, convenio, crm, status) "
            "VALUES (%s, %s, %s, 'loading') ON CONFLICT (delivery_id) DO UPDATE "
            "SET status = 'loading', crm = excluded.crm, started_at = now(), finished_at = NULL, "
            "withdrawn_at = NULL",
            (load.delivery_id, load.convenio, load.crm),
        )


def set_rolling_back(settings: Settings, delivery_id: int) -> None:
    """Record that a rollback is under way: until it ends, the delivery cannot be loaded."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "UPDATE crm.load SET status = 'rolling_back' WHERE delivery_id = %s", (delivery_id,)
        )


def finish(cursor: Any, delivery_id: int, *, rows: int, changed: int, digest: str | None) -> None:
    """Mark the delivery loaded, in the transaction of the mirror; ``digest`` is a portfolio's."""
    cursor.execute(
        "UPDATE crm.load SET status = 'loaded', rows_loaded = %s, rows_changed = %s, "
        "digest = %s, finished_at = now() WHERE delivery_id = %s",
        (rows, changed, digest, delivery_id),
    )
    cursor.execute(
        "UPDATE reception.delivery SET status = 'loaded' WHERE id = %s AND status = 'accepted'",
        (delivery_id,),
    )


def latest_digest(cursor: Any, convenio: str) -> str | None:
    """What the latest delivery of the convênio brought to the mirror."""
    cursor.execute(
        "SELECT l.digest FROM crm.load l JOIN reception.delivery d ON d.id = l.delivery_id "
        "WHERE l.convenio = %s AND l.status = 'loaded' AND d.content = 'carteira' "
        "ORDER BY d.reference_date DESC NULLS LAST, d.id DESC LIMIT 1",
        (convenio,),
    )
    row = cursor.fetchone()
    return row["digest"] if row else None


def refused(cursor: Any) -> dict[str, int]:
    """The rows of each convênio's latest delivery that its CRM refused."""
    cursor.execute(
        "SELECT DISTINCT ON (l.convenio) l.convenio, coalesce(l.rows_refused, 0) AS refused "
        "FROM crm.load l JOIN reception.delivery d ON d.id = l.delivery_id "
        "WHERE l.status = 'loaded' AND d.content = 'carteira' "
        "ORDER BY l.convenio, d.reference_date DESC NULLS LAST, d.id DESC"
    )
    return {row["convenio"]: row["refused"] for row in cursor.fetchall()}


def finish_rollback(cursor: Any, delivery_id: int) -> None:
    """Mark the delivery rolled back, and accepted again in reception."""
    cursor.execute(
        "UPDATE crm.load SET status = 'rolled_back', finished_at = now(), "
        "rows_refused = NULL, answered_at = NULL WHERE delivery_id = %s",
        (delivery_id,),
    )
    cursor.execute("DELETE FROM crm.refusal WHERE delivery_id = %s", (delivery_id,))
    cursor.execute(
        "UPDATE reception.delivery SET status = 'accepted' WHERE id = %s AND status = 'loaded'",
        (delivery_id,),
    )


def record_answer(settings: Settings, crm: str, answer: Answer) -> None:
    """Keep what the CRM's return file said; said again, it changes nothing.

    Raises DataError when the delivery is not loaded in that CRM.
    """
    with transaction(settings, "zanc", application="zanc crm returns") as cursor:
        cursor.execute(
            "UPDATE crm.load SET rows_refused = %s, answered_at = coalesce(answered_at, now()) "
            "WHERE delivery_id = %s AND crm = %s AND status = 'loaded'",
            (len(answer.refusals), answer.delivery_id, crm),
        )
        if cursor.rowcount == 0:
            raise DataError(
                f"CRM {crm}: o arquivo de devolução fala da entrega {answer.delivery_id}, que não "
                "está carregada"
            )
        cursor.execute("DELETE FROM crm.refusal WHERE delivery_id = %s", (answer.delivery_id,))
        copy_rows(
            cursor,
            "crm.refusal",
            ("delivery_id", "row_number", "cpf", "contract", "reason"),
            (
                (answer.delivery_id, one.row, one.cpf, one.contract, one.reason)
                for one in answer.refusals
            ),
        )


@contextmanager
def serialised(settings: Settings, crm: str, purpose: str) -> Iterator[None]:
    """Hold the lock of ``purpose`` on ``crm``, for all processes; it goes when the holder dies."""
    connection = connect(settings, "zanc", application=f"zanc crm {purpose} {crm}")
    try:
        connection.autocommit = True
        with unavailable(settings, "zanc"), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (f"crm {purpose} {crm}",))
        yield
    finally:
        connection.close()


def _entry(settings: Settings, row: Any) -> Entry:
    convenio = row["convenio"]
    crm = settings.convenios.get(convenio, {}).get("crm")
    if crm not in settings.crms:
        raise ConfigError(
            f"config/convenios/{convenio}/convenio.yaml: crm '{crm}' has no file in config/crms"
        )
    return Entry(
        delivery_id=row["id"],
        convenio=convenio,
        crm=crm,
        content=row["content"],
        reference_date=row["reference_date"],
        status=row["status"],
        rows=row["rows_loaded"],
        changed=row["rows_changed"],
        refused=row["rows_refused"],
    )
