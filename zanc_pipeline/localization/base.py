"""The localization base through psycopg2: for DAGs, commands and bulk loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.database import (
    Connection,
    copy_rows,
    copy_table,
    transaction,
)
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.masking import mask
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.calls import CALL_COLUMNS, Call
from zanc_pipeline.localization.limits import DialVerdict, decide, start_of_day
from zanc_pipeline.localization.ranking import RankedPhone, rank_phones
from zanc_pipeline.localization.rules import load_rules

LOAD_CHUNK_ROWS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadCounts:
    """What ``load_file`` did: every row of the file was accepted or is a duplicate."""

    rows: int
    accepted: int
    duplicates: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """The summaries recomputed from the log: ``differing`` pairs out of ``pairs``.

    ``examples`` are masked CPFs of differing pairs.
    """

    calls: int
    pairs: int
    differing: int
    examples: tuple[str, ...]


def add_phones(settings: Settings, delivery_id: int, rows: Iterable[tuple[str, str]]) -> int:
    """Make (cpf, phone) pairs of a delivery known, in normal form; how many were new.

    Raises DataError when there is no such delivery.
    """
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
        cursor.execute("CREATE TEMP TABLE incoming_phone (cpf text, phone text) ON COMMIT DROP")
        copy_rows(cursor, "incoming_phone", ("cpf", "phone"), rows)
        cursor.execute(
            queries.MERGE_PHONES, {"source": delivery["convenio"], "day": delivery["day"]}
        )
        merged = cursor.fetchone()
    assert merged is not None
    return int(merged["rows"])


def add_phones_of_delivery(settings: Settings, delivery_id: int) -> int:
    """``add_phones`` with the pairs in the delivery's ``accepted.parquet``."""
    import pyarrow.parquet as pq

    path = settings.var / "deliveries" / str(delivery_id) / "accepted.parquet"
    if not path.is_file():
        raise DataError(f"{path} does not exist: receive delivery {delivery_id} again")
    fields = ("phone_1", "phone_2", "phone_3")
    columns = pq.read_table(path, columns=["cpf", *fields]).to_pydict()
    pairs = (
        (cpf, phone)
        for field in fields
        for cpf, phone in zip(columns["cpf"], columns[field], strict=True)
        if phone
    )
    return add_phones(settings, delivery_id, pairs)


def record_calls(connection: Connection, crm: str, calls: Sequence[Call]) -> tuple[int, int]:
    """Append calls of ``crm`` and keep the summaries, in the caller's transaction.

    Returns (accepted, duplicates); a call that is already there is a duplicate and changes
    nothing. When the caller commits, log and summaries are durable together.
    """
    if not calls:
        return 0, 0
    parameters: dict[str, Any] = {
        name: [getattr(call, name) for call in calls] for name in CALL_COLUMNS
    }
    with connection.cursor() as cursor:
        accepted = _record(cursor, queries.RECORD_ARRAYS, {"crm": crm, **parameters})
    return accepted, len(calls) - accepted


def load_file(
    settings: Settings, path: Path, *, progress: Callable[[int], None] | None = None
) -> LoadCounts:
    """Load a CSV or Parquet file with the columns of ``localization.call``; repeatable.

    Loaded in chunks, each in its transaction; ``progress`` is told the rows of each. Raises
    DataError, with the line, before anything is loaded when any row is wrong.
    """
    from zanc_pipeline.localization.files import read_calls

    table = read_calls(path, now=datetime.now(UTC), crms=frozenset(settings.crms))
    accepted = 0
    for start in range(0, table.num_rows, LOAD_CHUNK_ROWS):
        chunk = table.slice(start, LOAD_CHUNK_ROWS)
        accepted += _load_chunk(settings, chunk)
        if progress is not None:
            progress(chunk.num_rows)
    return LoadCounts(rows=table.num_rows, accepted=accepted, duplicates=table.num_rows - accepted)


def rank(settings: Settings, cpf: str, *, now: datetime | None = None) -> list[RankedPhone]:
    """The known phones of a person, best first."""
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(queries.PHONES_OF, {"cpf": cpf})
        rows = cursor.fetchall()
    return rank_phones(rows, now=now or datetime.now(UTC), rules=load_rules(settings))


def dial_check(
    settings: Settings, cpf: str, phones: Sequence[str], *, now: datetime | None = None
) -> list[DialVerdict]:
    """For each phone, whether it may be dialled for this person now, and why not."""
    moment = now or datetime.now(UTC)
    with transaction(settings, "zanc", application="zanc localization") as cursor:
        cursor.execute(
            queries.DIAL_FACTS, {"cpf": cpf, "phones": list(phones), "today": start_of_day(moment)}
        )
        facts = cursor.fetchall()
    return decide(facts, now=moment, limits=load_rules(settings).limits)


def verify(settings: Settings) -> Verification:
    """Recompute every summary from the log and compare."""
    with transaction(settings, "zanc", application="zanc localization verify") as cursor:
        cursor.execute(queries.VERIFY)
        row = cursor.fetchone()
    assert row is not None
    return Verification(
        calls=row["calls"],
        pairs=row["pairs"],
        differing=row["differing"],
        examples=tuple(mask(cpf) for cpf in row["examples"] or ()),
    )


def _load_chunk(settings: Settings, chunk: Any) -> int:
    with transaction(settings, "zanc", application="zanc localization load") as cursor:
        cursor.execute(queries.STAGE_CALLS)
        copy_table(cursor, "incoming_call", chunk)
        cursor.execute("ANALYZE incoming_call")
        return _record(cursor, queries.RECORD_STAGED, {})


def _record(cursor: Any, query: str, parameters: dict[str, Any]) -> int:
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    if row["recount_cpfs"]:
        cursor.execute(
            queries.RECOUNT_MISSES,
            {"cpfs": row["recount_cpfs"], "phones": row["recount_phones"]},
        )
    return int(row["accepted"])
