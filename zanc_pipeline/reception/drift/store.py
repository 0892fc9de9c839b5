"""Fingerprints and proposals in PostgreSQL; every function works in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zanc_pipeline.reception.drift.evidence import as_text
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.ledger import Delivery


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What drift leaves of a delivery: its fingerprint when accepted, the layout that explains it.

    ``status`` is ``proposed`` (a person decides) or ``adapted`` (it was read so by itself).
    """

    fingerprint: Fingerprint | None = None
    status: str = ""
    layout: str = ""
    """The text of the other layout, when there is one."""
    summary: str = ""
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One row of ``reception.proposal``: another layout for one delivery, and what became of it."""

    delivery_id: int
    status: str
    layout: str
    summary: str
    evidence: Mapping[str, Any]
    layout_file: str | None
    decided_by: str | None
    decided_at: datetime | None
    note: str | None
    made_at: datetime

    def evidence_text(self) -> str:
        """Before beside after, field by field."""
        return as_text(self.evidence)


PAST = 4
"""Accepted deliveries that are remembered: the shapes of a week, contracts that come by turns."""


def past(cursor: Any, delivery: Delivery, content: str, member: str = "") -> dict[int, Fingerprint]:
    """The last fingerprints of this convênio and content before this delivery, newest first.

    Those of one ``member`` of a set, or of files that are of none.
    """
    cursor.execute(
        "SELECT d.id, f.content FROM reception.fingerprint f JOIN reception.delivery d "
        "ON d.id = f.delivery_id WHERE d.convenio = %s AND d.id < %s "
        "AND d.content = %s AND d.status IN ('accepted', 'loaded', 'joined') "
        "AND coalesce(f.content->>'member', '') = %s ORDER BY d.id DESC LIMIT %s",
        (delivery.convenio, delivery.id or 2**62, content, member, PAST),
    )
    found = {row["id"]: Fingerprint.from_json(row["content"]) for row in cursor.fetchall()}
    return {number: one for number, one in found.items() if one is not None}


def keep(cursor: Any, delivery_id: int, finding: Finding | None) -> None:
    """Write what drift found; writing again gives the same, and a person's decision stays."""
    if finding is None:
        return
    if finding.fingerprint is not None:
        cursor.execute(
            "INSERT INTO reception.fingerprint (delivery_id, content) VALUES (%s, %s) "
            "ON CONFLICT (delivery_id) DO UPDATE SET content = excluded.content",
            (delivery_id, json.dumps(finding.fingerprint.to_json())),
        )
    if not finding.status:
        cursor.execute(
            "DELETE FROM reception.proposal WHERE delivery_id = %s AND status = 'proposed'",
            (delivery_id,),
        )
        return
    cursor.execute(
        "INSERT INTO reception.proposal (delivery_id, status, layout, summary, evidence) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (delivery_id) DO UPDATE SET "
        "status = excluded.status, layout = excluded.layout, summary = excluded.summary, "
        "evidence = excluded.evidence, made_at = now() "
        "WHERE proposal.status IN ('proposed', 'adapted')",
        (
            delivery_id,
            finding.status,
            finding.layout,
            finding.summary,
            json.dumps(finding.evidence or {}, ensure_ascii=False),
        ),
    )


def select(cursor: Any, delivery_id: int, *, lock: bool = False) -> Proposal | None:
    """The proposal for a delivery, or None."""
    query = "SELECT * FROM reception.proposal WHERE delivery_id = %s"
    cursor.execute(f"{query} FOR UPDATE" if lock else query, (delivery_id,))
    row = cursor.fetchone()
    return None if row is None else Proposal(**row)


def select_open(cursor: Any) -> list[Proposal]:
    """The proposals that wait for a decision, the oldest first."""
    cursor.execute("SELECT * FROM reception.proposal WHERE status = 'proposed' ORDER BY made_at")
    return [Proposal(**row) for row in cursor.fetchall()]


def decide(
    cursor: Any, delivery_id: int, status: str, *, by: str, note: str, layout_file: str | None
) -> None:
    """Record what a person decided."""
    cursor.execute(
        "UPDATE reception.proposal SET status = %s, decided_by = %s, decided_at = now(), "
        "note = %s, layout_file = %s WHERE delivery_id = %s",
        (status, by, note, layout_file, delivery_id),
    )
