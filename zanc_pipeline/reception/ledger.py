"""The ledger of deliveries in PostgreSQL: what came, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from psycopg2.extras import execute_values

from zanc_pipeline.reception.problems import RejectedRow

MAX_REJECTED_ROWS = 10_000
"""Rejected rows kept in the ledger; the file for correction holds all of them."""


STATUS_WORDS = {
    "received": "recebido",
    "accepted": "aceito",
    "loaded": "carregado",
    "quarantined": "em quarentena",
    "duplicate": "repetido",
}
"""``status`` as a clerk reads it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One upload on the FTP server: path, size in bytes and modification time as the server says.

    The three together name the upload.
    """

    path: str
    size: int
    modified: str

    @property
    def uploaded_at(self) -> datetime | None:
        """``modified`` as a time, when it is written as MDTM writes it (UTC)."""
        try:
            return datetime.strptime(f"{self.modified[:14]}+0000", "%Y%m%d%H%M%S%z")
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One row of ``reception.delivery``."""

    id: int
    convenio: str
    file_name: str
    sha256: str
    size_bytes: int
    remote_path: str | None
    remote_modified: str | None
    received_at: datetime
    uploaded_at: datetime | None
    status: str
    duplicate_of: int | None
    layout_version: str | None
    reference_date: date | None
    rows_total: int | None
    rows_accepted: int | None
    rows_rejected: int | None
    reason: str | None
    folder: str | None
    finished_at: datetime | None


_COLUMNS = [column.name for column in fields(Delivery)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a delivery became: the columns that the end of reception sets."""

    status: str
    reason: str | None = None
    duplicate_of: int | None = None
    layout_version: str | None = None
    reference_date: date | None = None
    rows_total: int | None = None
    rows_accepted: int | None = None
    rows_rejected: int | None = None
    folder: str | None = None


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(**{name: row[name] for name in _COLUMNS})


def insert_received(
    cursor: Any, convenio: str, file_name: str, sha256: str, size: int, remote: RemoteFile | None
) -> Delivery:
    """The row of this upload, new or the one it already has.

    A file without a remote address is the same upload only while its reception is unfinished:
    given again later it is a new delivery, which its content will prove a duplicate.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reception'), hashtext(%s))", (convenio,))
    if remote is not None:
        cursor.execute(
            "SELECT * FROM reception.delivery WHERE convenio = %s AND remote_path = %s "
            "AND size_bytes = %s AND remote_modified = %s",
            (convenio, remote.path, size, remote.modified),
        )
    else:
        cursor.execute(
            "SELECT * FROM reception.delivery WHERE convenio = %s AND file_name = %s "
            "AND sha256 = %s AND remote_path IS NULL AND status = 'received' ORDER BY id LIMIT 1",
            (convenio, file_name, sha256),
        )
    row = cursor.fetchone()
    if row is None:
        cursor.execute(
            "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, remote_path, "
            "remote_modified, uploaded_at) VALUES (%s, %s, %s, %s, %s, %s, %s) "
            "RETURNING *",
            (
                convenio,
                file_name,
                sha256,
                size,
                remote.path if remote else None,
                remote.modified if remote else None,
                remote.uploaded_at if remote else None,
            ),
        )
        row = cursor.fetchone()
    return _delivery(row)


def select(cursor: Any, delivery_id: int, *, lock: bool = False) -> Delivery | None:
    """One delivery, or None; ``lock`` keeps others from changing it in this transaction."""
    if lock:
        cursor.execute("SELECT * FROM reception.delivery WHERE id = %s FOR UPDATE", (delivery_id,))
    else:
        cursor.execute("SELECT * FROM reception.delivery WHERE id = %s", (delivery_id,))
    row = cursor.fetchone()
    return None if row is None else _delivery(row)


def select_all(cursor: Any, convenio: str | None) -> list[Delivery]:
    """All deliveries (of one convênio), the newest first."""
    cursor.execute(
        "SELECT * FROM reception.delivery WHERE %(convenio)s::text IS NULL "
        "OR convenio = %(convenio)s ORDER BY id DESC",
        {"convenio": convenio},
    )
    return [_delivery(row) for row in cursor.fetchall()]


def same_content(cursor: Any, delivery: Delivery) -> Delivery | None:
    """The earlier delivery of this convênio with the same bytes, when there is one.

    One that was quarantined counts only under the same name: the name may be what was wrong with
    it, and the creditor sends the same bytes again under the right one. Under another name, one
    that another content has replaced since does not count: the portfolio is back to what it was.
    """
    cursor.execute(
        "SELECT * FROM reception.delivery d WHERE convenio = %(convenio)s AND sha256 = %(sha256)s "
        "AND id < %(id)s AND (status = 'received' "
        "OR (status = 'quarantined' AND file_name = %(file_name)s) "
        "OR (status IN ('accepted', 'loaded') AND (file_name = %(file_name)s OR NOT EXISTS ("
        "SELECT 1 FROM reception.delivery later WHERE later.convenio = d.convenio "
        "AND later.sha256 <> d.sha256 AND later.id > d.id AND later.id < %(id)s "
        "AND later.status IN ('accepted', 'loaded'))))) ORDER BY id LIMIT 1",
        {
            "convenio": delivery.convenio,
            "sha256": delivery.sha256,
            "id": delivery.id,
            "file_name": delivery.file_name,
        },
    )
    row = cursor.fetchone()
    return None if row is None else _delivery(row)


def last_accepted_rows(cursor: Any, delivery: Delivery) -> int | None:
    """How many rows the last accepted delivery of this convênio held before this one."""
    cursor.execute(
        "SELECT rows_total FROM reception.delivery WHERE convenio = %s AND id < %s "
        "AND status IN ('accepted', 'loaded') ORDER BY id DESC LIMIT 1",
        (delivery.convenio, delivery.id),
    )
    row = cursor.fetchone()
    if row is None:
        return None
    rows: int | None = row["rows_total"]
    return rows


def settle(
    cursor: Any, delivery_id: int, verdict: Verdict, rejected: Sequence[RejectedRow]
) -> Delivery:
    """Write the verdict and the rejected rows, replacing those of an earlier try."""
    cursor.execute("DELETE FROM reception.rejected_row WHERE delivery_id = %s", (delivery_id,))
    problems = {
        (problem.line, problem.field): (
            delivery_id,
            problem.line,
            problem.field,
            problem.found,
            problem.problem,
        )
        for row in rejected[:MAX_REJECTED_ROWS]
        for problem in row.problems
    }
    if problems:
        execute_values(
            cursor,
            "INSERT INTO reception.rejected_row (delivery_id, line, field, found, problem) "
            "VALUES %s",
            list(problems.values()),
            page_size=1000,
        )
    cursor.execute(
        "UPDATE reception.delivery SET status = %s, reason = %s, duplicate_of = %s, "
        "layout_version = %s, reference_date = %s, rows_total = %s, rows_accepted = %s, "
        "rows_rejected = %s, folder = %s, finished_at = now() WHERE id = %s RETURNING *",
        (
            verdict.status,
            verdict.reason,
            verdict.duplicate_of,
            verdict.layout_version,
            verdict.reference_date,
            verdict.rows_total,
            verdict.rows_accepted,
            verdict.rows_rejected,
            verdict.folder,
            delivery_id,
        ),
    )
    return _delivery(cursor.fetchone())
