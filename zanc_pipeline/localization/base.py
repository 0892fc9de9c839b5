"""The localization base through psycopg2: for DAGs, commands and bulk loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zanc_pipeline.common.database import (
    Connection,
    copy_batches,
    transaction,
)
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.calls import (
    AMEND_COLUMNS,
    CALL_COLUMNS,
    Call,
    amendments,
    archived_month,
)
from zanc_pipeline.localization.limits import DialVerdict, decide, limit_days, ranking_days
from zanc_pipeline.localization.ranking import RankedPhone, Viewer, rank_phones
from zanc_pipeline.localization.rules import load_rules

PHONE_COLUMNS = ("phone_1", "phone_2", "phone_3")
"""The columns of an accepted delivery that hold a phone in normal form, or null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadCounts:
    """What ``load_file`` did: every row of the file was accepted or is a duplicate."""

    rows: int
    accepted: int
    duplicates: int


def add_phones_of_delivery(settings: Settings, delivery_id: int) -> int:
    """Make the phones in the delivery's ``accepted.parquet`` known; how many pairs were new.

    A part of the file is in memory at a time. Raises DataError when there is no such delivery.
    """
    import pyarrow.parquet as pq

    path = settings.var / "deliveries" / str(delivery_id) / "accepted.parquet"
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(
            "SELECT convenio, coalesce(reference_date, "
            "(received_at AT TIME ZONE 'America/Sao_Paulo')::date) AS day "
            "FROM reception.delivery WHERE id = %s",
            (delivery_id,),
        )
        delivery = cursor.fetchone()
        if delivery is None:
            raise DataError(f"there is no delivery {delivery_id}: see 'zanc reception deliveries'")
        if not path.is_file():
            raise DataError(f"{path} does not exist: receive delivery {delivery_id} again")
        cursor.execute("CREATE TEMP TABLE known_phone (cpf text, phone text) ON COMMIT DROP")
        with pq.ParquetFile(path) as file:
            copy_batches(cursor, "known_phone", ("cpf", "phone"), _known_phones(file))
        cursor.execute(
            queries.MERGE_KNOWN_PHONES, {"source": delivery["convenio"], "day": delivery["day"]}
        )
        merged = cursor.fetchone()
    assert merged is not None
    return int(merged["rows"])


def _known_phones(file: Any) -> Iterator[Any]:
    """Batches of (cpf, phone) of the Parquet file of a delivery, by its phone columns."""
    import pyarrow as pa

    columns = [name for name in PHONE_COLUMNS if name in file.schema_arrow.names]
    for part in file.iter_batches(columns=["cpf", *columns]):
        for column in columns:
            pairs = pa.RecordBatch.from_arrays([part["cpf"], part[column]], ["cpf", "phone"])
            yield pairs.filter(part[column].is_valid())


def record_calls(connection: Connection, crm: str, calls: Sequence[Call]) -> tuple[int, int]:
    """Append calls of ``crm`` and keep the summaries, in the caller's transaction.

    Returns (accepted, duplicates); a call that is already there is a duplicate and changes
    nothing. When the caller commits, log and summaries are durable together. Raises DataError for
    a new call of an archived month.
    """
    if not calls:
        return 0, 0
    parameters: dict[str, Any] = {
        name: [getattr(call, name) for call in calls] for name in CALL_COLUMNS
    }
    parameters["crm"] = [crm] * len(calls)
    with connection.cursor() as cursor:
        cursor.execute(queries.RECORD, parameters)
        row: Any = cursor.fetchone()
        if row["late"]:
            raise archived_month(min(row["late"]))
        if row["recount_cpfs"]:
            cursor.execute(
                queries.RECOUNT_MISSES,
                {"cpfs": row["recount_cpfs"], "phones": row["recount_phones"]},
            )
        accepted = row["accepted"] or ()
        late = amendments(calls, accepted)
        if late:
            amended = {name: [parameters[name][place] for place in late] for name in AMEND_COLUMNS}
            cursor.execute(queries.AMEND, amended)
    return len(accepted), len(calls) - len(accepted)


def load_file(
    settings: Settings,
    path: Path,
    *,
    crms: frozenset[str] | None = None,
    started: Callable[[int], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> LoadCounts:
    """Load a CSV or Parquet file with the columns of ``localization.call``; repeatable.

    It may speak of the calls of ``crms``, of every CRM when they are not named. Loaded in parts,
    each in its transaction. ``started`` is told the rows of the file when it is checked,
    ``progress`` the rows of each part. Raises DataError, with the line, before anything is loaded
    when any row is wrong.
    """
    from zanc_pipeline.localization.bulk import load
    from zanc_pipeline.localization.files import check_calls

    known = frozenset(settings.crms) if crms is None else crms
    file = check_calls(path, now=datetime.now(UTC), crms=known)
    if started is not None:
        started(file.rows)
    accepted = load(settings, file.tables(), progress=progress)
    return LoadCounts(rows=file.rows, accepted=accepted, duplicates=file.rows - accepted)


def prepare_months(settings: Settings, *, now: datetime | None = None) -> None:
    """Make the partitions of this month and the next."""
    today = (now or datetime.now(UTC)).astimezone(LOCAL).date()
    days = [today, (today.replace(day=1) + timedelta(days=40)).replace(day=1)]
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(queries.ENSURE_MONTHS, {"days": days})


def rank(settings: Settings, cpf: str, *, now: datetime | None = None) -> list[RankedPhone]:
    """The known phones of a person, best first, as one of the house sees them."""
    moment = now or datetime.now(UTC)
    parameters = {"cpfs": [cpf], "crms": [""], **ranking_days(moment)}
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(queries.PHONES_OF, parameters)
        rows = cursor.fetchall()
    viewer = Viewer(crms=frozenset(settings.crms))
    return rank_phones(rows, now=moment, rules=load_rules(settings), viewer=viewer)


def dial_check(
    settings: Settings, cpf: str, phones: Sequence[str], *, now: datetime | None = None
) -> list[DialVerdict]:
    """For each phone, whether it may be dialled for this person now, and why not."""
    moment = now or datetime.now(UTC)
    parameters = {"cpfs": [cpf] * len(phones), "phones": list(phones), **limit_days(moment)}
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(queries.DIAL_FACTS, parameters)
        facts = cursor.fetchall()
    return decide(facts, now=moment, limits=load_rules(settings).limits)
