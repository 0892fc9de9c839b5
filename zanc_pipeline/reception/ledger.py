"""The ledger of deliveries in PostgreSQL: what came, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from psycopg2.extras import execute_values

from zanc_pipeline.reception.history import Past
from zanc_pipeline.reception.problems import RejectedRow

MAX_REJECTED_ROWS = 10_000
"""Rejected rows kept in the ledger; the file for correction holds all of them."""


STATUS_WORDS = {
    "received": "recebido",
    "held": "à espera",
    "joined": "juntado",
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
    corrects: int | None = None
    sequence: int | None = None
    content_digest: str | None = None
    rows_removed: int | None = None
    rules: Sequence[str] = ()
    content: str = "carteira"


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
    sequence: int | None = None
    content_digest: str | None = None
    rows_removed: int | None = None
    rules: tuple[str, ...] = ()
    """Rules behind it that a person may overrule."""
    content: str = "carteira"
    """What its rows are (``conteudo`` of the layout)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A person's decision that a rule does not hold for one delivery."""

    delivery_id: int
    rule: str
    decided_by: str
    reason: str
    decided_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a convênio stands when a delivery is judged: what it accepted before.

    ``past`` has the newest business day first.
    """

    past: Sequence[Past] = ()

    def of(self, content: str) -> Sequence[Past]:
        """The deliveries whose rows are of that kind: payments are no measure of a portfolio."""
        return [one for one in self.past if one.content == content]


def as_delivery(row: Mapping[str, Any]) -> Delivery:
    """A whole row of ``reception.delivery``."""
    return Delivery(**{name: row[name] for name in _COLUMNS})


def insert_received(
    cursor: Any,
    convenio: str,
    file_name: str,
    sha256: str,
    size: int,
    remote: RemoteFile | None,
    *,
    corrects: int | None = None,
) -> Delivery:
    """The row of this upload, new or the one it already has.

    A file without a remote address is the same upload only while its reception is unfinished:
    given again later it is a new delivery, which its content will prove a duplicate. A file that
    ``corrects`` another delivery is one delivery however often it is given.
    """
    lock_convenio(cursor, convenio)
    if corrects is not None:
        cursor.execute(
            "SELECT * FROM reception.delivery WHERE corrects = %s AND sha256 = %s",
            (corrects, sha256),
        )
    elif remote is not None:
        cursor.execute(
            "SELECT * FROM reception.delivery WHERE convenio = %s AND remote_path = %s "
            "AND size_bytes = %s AND remote_modified = %s",
            (convenio, remote.path, size, remote.modified),
        )
    else:
        cursor.execute(
            "SELECT * FROM reception.delivery WHERE convenio = %s AND file_name = %s "
            "AND sha256 = %s AND remote_path IS NULL AND corrects IS NULL AND status = 'received' "
            "ORDER BY id LIMIT 1",
            (convenio, file_name, sha256),
        )
    row = cursor.fetchone()
    if row is None:
        cursor.execute(
            "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, remote_path, "
            "remote_modified, uploaded_at, corrects) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
            "RETURNING *",
            (
                convenio,
                file_name,
                sha256,
                size,
                remote.path if remote else None,
                remote.modified if remote else None,
                remote.uploaded_at if remote else None,
                corrects,
            ),
        )
        row = cursor.fetchone()
    return as_delivery(row)


def lock_convenio(cursor: Any, convenio: str) -> None:
    """Keep other receptions of this convênio from the ledger until the transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reception'), hashtext(%s))", (convenio,))


def select(cursor: Any, delivery_id: int, *, lock: bool = False) -> Delivery | None:
    """One delivery, or None; ``lock`` keeps others from changing it in this transaction."""
    if lock:
        cursor.execute("SELECT * FROM reception.delivery WHERE id = %s FOR UPDATE", (delivery_id,))
    else:
        cursor.execute("SELECT * FROM reception.delivery WHERE id = %s", (delivery_id,))
    row = cursor.fetchone()
    return None if row is None else as_delivery(row)


def select_all(cursor: Any, convenio: str | None) -> list[Delivery]:
    """All deliveries (of one convênio), the newest first."""
    cursor.execute(
        "SELECT * FROM reception.delivery WHERE %(convenio)s::text IS NULL "
        "OR convenio = %(convenio)s ORDER BY id DESC",
        {"convenio": convenio},
    )
    return [as_delivery(row) for row in cursor.fetchall()]


def same_content(cursor: Any, delivery: Delivery) -> Delivery | None:
    """The earlier delivery of this convênio with the same bytes, when there is one.

    One that was quarantined counts only under the same name: the name may be what was wrong with
    it, and the creditor sends the same bytes again under the right one. Under another name, one
    that another content has replaced since does not count: the portfolio is back to what it was.
    """
    cursor.execute(
        "SELECT * FROM reception.delivery d WHERE convenio = %(convenio)s AND sha256 = %(sha256)s "
        "AND id < %(id)s AND corrects IS NULL AND (status IN ('received', 'held') "
        "OR (status = 'quarantined' AND file_name = %(file_name)s) "
        "OR (status IN ('accepted', 'loaded') AND (file_name = %(file_name)s OR NOT EXISTS ("
        "SELECT 1 FROM reception.delivery later WHERE later.convenio = d.convenio "
        "AND later.sha256 <> d.sha256 AND later.id > d.id AND later.id < %(id)s "
        "AND later.corrects IS NULL "
        "AND later.status IN ('accepted', 'loaded'))))) ORDER BY id LIMIT 1",
        {
            "convenio": delivery.convenio,
            "sha256": delivery.sha256,
            "id": delivery.id or 2**62,
            "file_name": delivery.file_name,
        },
    )
    row = cursor.fetchone()
    return None if row is None else as_delivery(row)


def same_rows(cursor: Any, delivery: Delivery, digest: str) -> Delivery | None:
    """The accepted delivery with the same rows in any order, when there is one.

    As with the same bytes, one under another name counts only while it is the convênio's last.
    """
    cursor.execute(
        "SELECT * FROM reception.delivery d WHERE convenio = %(convenio)s AND id <> %(id)s "
        "AND content_digest = %(digest)s AND status IN ('accepted', 'loaded') "
        "AND (file_name = %(file_name)s OR NOT EXISTS ("
        "SELECT 1 FROM reception.delivery later WHERE later.convenio = d.convenio "
        "AND later.id > d.id AND later.id <> %(id)s AND later.content_digest <> d.content_digest "
        "AND later.status IN ('accepted', 'loaded'))) ORDER BY id LIMIT 1",
        {
            "convenio": delivery.convenio,
            "id": delivery.id,
            "digest": digest,
            "file_name": delivery.file_name,
        },
    )
    row = cursor.fetchone()
    return None if row is None else as_delivery(row)


def standing(cursor: Any, delivery: Delivery) -> Standing:
    """What this convênio's other accepted deliveries are; those taken out of the CRM do not count.

    Corrections of a delivery are no deliveries of their own here.
    """
    cursor.execute("SELECT to_regclass('crm.load') IS NOT NULL AS known")
    in_crm = (
        "AND NOT EXISTS (SELECT 1 FROM crm.load l WHERE l.delivery_id = d.id "
        "AND l.status IN ('rolling_back', 'rolled_back')) "
        if cursor.fetchone()["known"]
        else ""
    )
    cursor.execute(
        "SELECT id, content, rows_total, reference_date, sequence, EXISTS (SELECT 1 FROM "  # noqa: S608
        "reception.decision o WHERE o.delivery_id = d.id AND o.rule = 'volume') AS level "
        "FROM reception.delivery d WHERE convenio = %s AND id <> %s AND corrects IS NULL "
        f"AND status IN ('accepted', 'loaded') {in_crm}"
        "ORDER BY reference_date DESC NULLS LAST, id DESC LIMIT 400",
        (delivery.convenio, delivery.id),
    )
    return Standing(
        past=[
            Past(
                delivery_id=row["id"],
                content=row["content"],
                rows=row["rows_total"] or 0,
                day=row["reference_date"],
                sequence=row["sequence"],
                level=row["level"],
            )
            for row in cursor.fetchall()
        ]
    )


def held(cursor: Any, convenio: str) -> list[Delivery]:
    """The deliveries of a convênio that wait for others, in the order of their turn."""
    cursor.execute(
        "SELECT * FROM reception.delivery WHERE convenio = %s AND status = 'held' "
        "ORDER BY reference_date, sequence, id",
        (convenio,),
    )
    return [as_delivery(row) for row in cursor.fetchall()]


def correction_of(cursor: Any, delivery_id: int) -> Delivery | None:
    """The accepted delivery that already corrects this one, when there is one."""
    cursor.execute(
        "SELECT * FROM reception.delivery WHERE corrects = %s "
        "AND status IN ('accepted', 'loaded') ORDER BY id LIMIT 1",
        (delivery_id,),
    )
    row = cursor.fetchone()
    return None if row is None else as_delivery(row)


def decide(cursor: Any, delivery_id: int, rule: str, *, by: str, reason: str) -> None:
    """Record a decision; the first one about a rule stands."""
    cursor.execute(
        "INSERT INTO reception.decision (delivery_id, rule, decided_by, reason) "
        "VALUES (%s, %s, %s, %s) ON CONFLICT (delivery_id, rule) DO NOTHING",
        (delivery_id, rule, by, reason),
    )


def decisions(cursor: Any, delivery_id: int) -> list[Decision]:
    """What persons decided about a delivery, the oldest first."""
    cursor.execute(
        "SELECT * FROM reception.decision WHERE delivery_id = %s ORDER BY decided_at, rule",
        (delivery_id,),
    )
    return [Decision(**row) for row in cursor.fetchall()]


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
        "rows_rejected = %s, folder = %s, sequence = %s, content_digest = %s, rows_removed = %s, "
        "rules = %s, content = %s, finished_at = now() WHERE id = %s RETURNING *",
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
            verdict.sequence,
            verdict.content_digest,
            verdict.rows_removed,
            list(verdict.rules),
            verdict.content,
            delivery_id,
        ),
    )
    return as_delivery(cursor.fetchone())
