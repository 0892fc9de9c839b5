"""Holds the dialer's attempts against the call records that the PBXs wrote by themselves.

``compare`` is pure. An attempt that we called ``unknown`` and of which the PBX knows more is no
difference: we said that we did not know. Neither is a call that we cancelled, whatever its cause.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialer.attempt import Attempt, State
from dialer.truth import Record, files_of, judge, read_causes, read_records
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome

if TYPE_CHECKING:
    from zanc_pipeline.common.settings import Settings

TOLERANCE_SECONDS = 3.0
"""The PBX tells its times in whole seconds, we when its events came."""
_CAMPAIGNS = "SELECT id FROM campaign WHERE %(name)s::text IS NULL OR %(name)s IN (id, name)"
_KEPT = """
SELECT id, pbx, placed, outcome, operator, created_at, ringing_at, answered_at, ended_at,
       cancel_wanted
FROM attempt
WHERE closed_number IS NOT NULL AND pbx = ANY (%(pbxs)s) AND campaign_id = ANY (%(runs)s)
  AND created_at >= %(oldest)s ORDER BY closed_number
"""
_OLDER = """
SELECT count(*) AS n FROM attempt
WHERE closed_number IS NOT NULL AND pbx = ANY (%(pbxs)s) AND campaign_id = ANY (%(runs)s)
  AND created_at < %(oldest)s
"""
_ATTEMPT = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One attempt on which the dialer and its PBX do not agree."""

    attempt: str
    pbx: str
    what: str
    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``known_later``: attempts that ended unknown, and of which the PBX has a record.

    ``left_out``: attempts that are older than the records of the PBXs are kept.
    """

    attempts: int
    records: int
    known_later: int
    differences: tuple[Difference, ...]
    left_out: int = 0


def compare(
    attempts: Sequence[Mapping[str, Any]],
    records: Mapping[str, Sequence[Record]],
    strangers: Mapping[str, Collection[str]],
) -> Comparison:
    """Compare closed attempts (rows of the table) with the records of their PBXs.

    ``strangers`` has by PBX the ids of records in our form of which we have no attempt.
    """
    found: list[Difference] = []
    known_later = 0
    for row in attempts:
        mine = records.get(row["id"], ())
        if not mine:
            if row["placed"] and row["outcome"] != Outcome.UNKNOWN:
                found.append(_difference(row, "registro", row["outcome"], "nenhum"))
            continue
        if not row["placed"]:
            found.append(_difference(row, "registro", "nenhuma ligação", mine[0].disposition))
            continue
        if row["outcome"] == Outcome.UNKNOWN:
            known_later += 1
            continue
        found += _details(row, mine)
    for pbx, ids in strangers.items():
        for attempt in ids:
            row = {"id": attempt, "pbx": pbx}
            found.append(_difference(row, "ligação", "nenhuma tentativa", "um registro"))
    return Comparison(
        attempts=len(attempts),
        records=sum(len(rows) for rows in records.values()),
        known_later=known_later,
        differences=tuple(found),
    )


def _details(row: Mapping[str, Any], mine: Sequence[Record]) -> Iterable[Difference]:
    verdict = judge(
        Attempt(
            id=row["id"],
            created_at=row["created_at"],
            state=State.ENDED,
            ringing_at=row["ringing_at"],
            cancel_wanted=row["cancel_wanted"],
        ),
        mine,
        pbx_started_at=None,
        now=row["ended_at"],
    )
    if row["outcome"] not in (verdict.outcome, Outcome.CANCELLED):
        yield _difference(row, "resultado", row["outcome"], verdict.outcome.value)
        return
    if verdict.operator is not None and row["operator"] not in (None, verdict.operator):
        yield _difference(row, "operador", row["operator"], verdict.operator)
    if row["answered_at"] is not None and verdict.answered_at is not None:
        ours = (row["ended_at"] - row["answered_at"]).total_seconds()
        theirs = (verdict.at - verdict.answered_at).total_seconds()
        if abs(ours - theirs) > TOLERANCE_SECONDS:
            yield _difference(row, "segundos atendidos", f"{ours:.0f}", f"{theirs:.0f}")


def _difference(row: Mapping[str, Any], what: str, ours: str, theirs: str) -> Difference:
    return Difference(
        attempt=row["id"], pbx=row["pbx"], what=what, ours=str(ours), theirs=str(theirs)
    )


def compare_all(settings: Settings, campaign: str | None = None) -> Comparison:
    """Compare what is recorded of a campaign (its id or name), or of all.

    Only PBXs whose files are in reach, and only attempts that are not older than call records are
    kept. Raises UnavailableError without the database, DataError when there is no such campaign.
    """
    from dialer.policy import load_policy
    from zanc_pipeline.common.database import transaction

    oldest = datetime.now(UTC) - timedelta(days=load_policy(settings.config).guarda.registros_dias)

    folders = {
        name: settings.var / "asterisk" / name / "log"
        for name, central in settings.used_centrais.items()
        if central.embedded
    }
    with transaction(settings, "dialer") as cursor:
        cursor.execute(_CAMPAIGNS, {"name": campaign})
        runs = [row["id"] for row in cursor.fetchall()]
        if campaign is not None and not runs:
            raise DataError(f"the dialer has no campaign {campaign}")
        asked = {"pbxs": list(folders), "runs": runs, "oldest": oldest}
        cursor.execute(_KEPT, asked)
        attempts = cursor.fetchall()
        cursor.execute(_OLDER, asked)
        [older] = cursor.fetchall()
    records: dict[str, list[Record]] = {}
    strangers: dict[str, set[str]] = {}
    for name, folder in folders.items():
        wanted = {row["id"] for row in attempts if row["pbx"] == name}
        path = folder / "cdr-csv" / "Master.csv"
        causes = read_causes(folder / "cel-custom" / "hangups.csv", wanted)
        for attempt, rows in read_records(path, wanted).items():
            records[attempt] = [replace(row, cause=causes.get(attempt)) for row in rows]
        if campaign is None:
            strangers[name] = _unknown(settings, _ids(path) - wanted)
    return replace(compare(attempts, records, strangers), left_out=older["n"])


def _unknown(settings: Settings, ids: Collection[str]) -> set[str]:
    """Those of ``ids`` that are no attempt of ours, of whatever age and PBX."""
    from zanc_pipeline.common.database import transaction

    if not ids:
        return set()
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT id FROM attempt WHERE id = ANY (%s)", (list(ids),))
        return set(ids) - {row["id"] for row in cursor.fetchall()}


def _ids(path: Path) -> set[str]:
    """The ids in our form among the records."""
    found: set[str] = set()
    for file in files_of(path):
        if not file.exists():
            continue  # it has had no call yet
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            found |= {row[16] for row in csv.reader(lines) if len(row) >= 18}
    return {one for one in found if _ATTEMPT.fullmatch(one)}
