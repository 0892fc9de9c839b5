"""Moves old months of the log to Parquet files, and reads the calls of a phone from both."""

# ruff: noqa: S608 (table names are made here, from months)

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from zanc_pipeline.common.database import copy_table, transaction
from zanc_pipeline.common.days import LOCAL, local_midnight
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.logbook import (
    archive_folder,
    archived_files,
    call_schema,
    table_calls,
)

ROW_GROUP = 100_000
_PARTS = 16
"""The identities leave ``call_key`` in so many transactions, by their first four bits."""

_CLOSE = """
    INSERT INTO localization.archive (month, state, ends_at)
    VALUES (%(month)s, 'closing', %(ends)s) ON CONFLICT DO NOTHING
"""
_ARCHIVED = """
    UPDATE localization.archive
    SET state = 'archived', file = %(file)s, calls = %(calls)s, sha256 = %(sha256)s,
        archived_at = now()
    WHERE month = %(month)s
"""
_PENDING = """
    SELECT DISTINCT month FROM (
        SELECT to_date(substring(relname FROM 6), 'YYYY_MM') AS month
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'localization.call'::regclass AND relname ~ '^call_\\d{4}_\\d{2}$'
        UNION SELECT date_trunc('month', started_at AT TIME ZONE 'America/Sao_Paulo')::date
        FROM localization.call_rest
    ) m WHERE month < %(before)s ORDER BY month
"""
_KEEP_MARKS = """
    INSERT INTO localization.archived_key AS a
    SELECT localization.key_bucket(key), string_agg(localization.key_mark(key), '')
    FROM (SELECT md5(crm || E'\\t' || call_id)::uuid AS key FROM localization.{name}) k
    WHERE NOT {archived}
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (bucket) DO UPDATE SET marks = a.marks || excluded.marks
"""
_DROP_KEYS = """
    DELETE FROM localization.call_key k USING localization.archived_key a
    WHERE a.bucket BETWEEN %(first)s AND %(last)s AND a.bucket = localization.key_bucket(k.key)
      AND k.key BETWEEN %(from)s::uuid AND %(to)s::uuid
      AND position(localization.key_mark(k.key) IN a.marks) > 0
"""
_COLUMNS = ", ".join(queries.CALL_COLUMNS)
_OF_PHONE = f"""
    SELECT {_COLUMNS} FROM localization.call WHERE phone = %(phone)s
    ORDER BY started_at DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedMonth:
    """A month that is a file now; ``path`` is None when it had no calls."""

    month: date
    calls: int
    path: Path | None


def archive_before(settings: Settings, before: date) -> Iterator[ArchivedMonth]:
    """Move every whole month before the month of ``before``, oldest first; a repeat goes on.

    A month is closed (no new calls of it are taken any more), written, read back and compared with
    the table call by call, and only then dropped, in one transaction. Raises DataError for a month
    that is not over, ConflictError when the file is not what the table holds: nothing was dropped.
    """
    limit = before.replace(day=1)
    if local_midnight(limit) > local_midnight(date.today()):  # noqa: DTZ011 (a day of grace)
        raise DataError(f"{before} is in the future: only months that are over can be archived")
    with transaction(settings, "zanc", application="zanc localization archive") as cursor:
        cursor.execute(_PENDING, {"before": limit})
        months = [row["month"] for row in cursor.fetchall()]
    for month in months:
        yield _archive(settings, month)
    _drop_keys(settings)


def _drop_keys(settings: Settings) -> None:
    """Take out of ``call_key`` what ``archived_key`` says; it is done part by part, and again."""
    with transaction(settings, "zanc", application="zanc localization archive") as cursor:
        cursor.execute(queries.HAS_ARCHIVE)
        if not cursor.fetchone()["found"]:
            return
        # Who looked before the marks were there has finished: from here on they are seen.
        cursor.execute("LOCK TABLE ONLY localization.call IN SHARE MODE")
    for part in range(_PARTS):
        with transaction(settings, "zanc", application="zanc localization archive") as cursor:
            cursor.execute(
                _DROP_KEYS,
                {
                    "first": part << 16,
                    "last": (part << 16) + (1 << 16) - 1,
                    "from": str(UUID(int=part << 124)),
                    "to": str(UUID(int=((part + 1) << 124) - 1)),
                },
            )


def _archive(settings: Settings, month: date) -> ArchivedMonth:
    following = (month + timedelta(days=32)).replace(day=1)
    with transaction(settings, "zanc", application="zanc localization archive") as cursor:
        cursor.execute(queries.ENSURE_MONTHS, {"days": [month]})
        cursor.execute(_CLOSE, {"month": month, "ends": local_midnight(following)})
    with transaction(settings, "zanc", application="zanc localization archive") as cursor:
        # Waits for those who began to write before the month was closed; who comes later sees it.
        cursor.execute("LOCK TABLE ONLY localization.call IN SHARE MODE")
    name = f"call_{month:%Y_%m}"
    path = archive_folder(settings) / f"{name}.parquet"
    with transaction(settings, "zanc", application="zanc localization archive") as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('zanc localization archive'))")
        cursor.execute("SELECT * FROM localization.archive WHERE month = %s", (month,))
        row = cursor.fetchone()
        if row["state"] == "archived":  # by another process, meanwhile
            return ArchivedMonth(
                month=month, calls=row["calls"], path=path if row["calls"] else None
            )
        calls = _write(cursor, name, path)
        if calls:
            _verify(cursor, name, path, calls)
        archived = queries.ARCHIVED.format(key="key")
        cursor.execute(_KEEP_MARKS.format(name=name, archived=archived))
        cursor.execute("LOCK TABLE ONLY localization.call IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"ALTER TABLE localization.call DETACH PARTITION localization.{name}")
        cursor.execute(f"DROP TABLE localization.{name}")
        facts = {
            "month": month,
            "file": path.name if calls else None,
            "calls": calls,
            "sha256": _sha256(path) if calls else None,
        }
        cursor.execute(_ARCHIVED, facts)
    return ArchivedMonth(month=month, calls=calls, path=path if calls else None)


def _write(cursor: Any, name: str, path: Path) -> int:
    """Write the table's calls by phone and time; complete and on the disk, or not there at all."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    aside, calls = path.with_suffix(".part"), 0
    with pq.ParquetWriter(
        aside, call_schema(), compression="zstd", compression_level=9, write_page_index=True
    ) as writer:
        for table in table_calls(cursor, f"localization.{name}"):
            writer.write_table(table, row_group_size=ROW_GROUP)
            calls += table.num_rows
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    if not calls:
        aside.unlink()
        return 0
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return calls


def _verify(cursor: Any, name: str, path: Path, calls: int) -> None:
    """Read the file into a table and see that both hold the same calls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cursor.execute(
        f"CREATE TEMP TABLE read_back ON COMMIT DROP AS SELECT {_COLUMNS} "
        f"FROM localization.{name} WITH NO DATA"
    )
    read = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            copy_table(cursor, "read_back", pa.Table.from_batches([batch]))
            read += batch.num_rows
    cursor.execute(
        f"SELECT (SELECT count(*) FROM localization.{name}) AS held, count(*) AS missing FROM "
        f"(SELECT {_COLUMNS} FROM localization.{name} EXCEPT ALL SELECT {_COLUMNS} FROM read_back)"
    )
    found = cursor.fetchone()
    if found["missing"] or not calls == read == found["held"]:
        raise ConflictError(
            f"{path} holds {read} calls, of {found['held']} in the table, {found['missing']} of "
            "which are not in it as they are: nothing was dropped; archive again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def calls_of_phone(settings: Settings, phone: str, *, limit: int = 200) -> list[dict[str, Any]]:
    """The latest calls to a phone, newest first, archived months included."""
    import pyarrow.parquet as pq

    with transaction(settings, "zanc", application="zanc localization calls") as cursor:
        cursor.execute(_OF_PHONE, {"phone": phone, "limit": limit})
        calls = [dict(row) for row in cursor.fetchall()]
        files = archived_files(settings, cursor)
    for path in reversed(files):
        if len(calls) >= limit:
            break
        # Sorted by phone: all but one or two row groups are passed over by their statistics.
        found = pq.read_table(path, filters=[("phone", "==", phone)]).to_pylist()
        calls += sorted(found, key=lambda call: call["started_at"], reverse=True)
    for call in calls:
        call["started_at"] = call["started_at"].astimezone(LOCAL)
    return calls[:limit]
