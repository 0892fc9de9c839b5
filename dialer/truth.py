"""What became of a call whose end we did not see: judged from the PBX's own records.

Pure, but for ``read_records`` and ``read_causes``. Nothing is invented: without a record and
without the proof that none can exist, the outcome is ``unknown``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dialer.attempt import SILENT_CAUSES, Attempt, Judged, State, outcome_of_cause
from zanc_pipeline.common.outcomes import Outcome

_SECONDS = re.compile(r"[0-9]{9,11}(\.[0-9]{1,6})?", re.ASCII)
CLOCK_TOLERANCE = timedelta(seconds=2)
"""The PBX tells its start in whole seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One row of the PBX's call detail records (``cdr_csv`` with uniqueid and userfield)."""

    attempt: str
    to_channel: str
    answered_at: datetime | None
    ended_at: datetime
    disposition: str
    userfield: str
    connected_at: datetime | None = None
    extension: str = ""
    cause: int | None = None
    """Q.850, from ``read_causes``: the call detail records do not hold it."""


def moments_of(account: str) -> tuple[datetime | None, datetime | None]:
    """When a call was answered and when its operator was, from its channel's account code.

    Our dialplan writes them there: seconds of the epoch, ``-`` between them. None for what is not
    told: not happened, or a dialplan that does not write them.
    """
    told = account.split("-")
    moments = [
        datetime.fromtimestamp(float(one), UTC) if _SECONDS.fullmatch(one) else None for one in told
    ]
    return moments[0], moments[-1] if len(moments) > 1 else None


def files_of(path: Path) -> list[Path]:
    """The file and those that were put aside when it was long, newest first."""
    return [path, *sorted(path.parent.glob(f"{path.name}.*"), reverse=True)]


def read_records(path: Path, attempts: Collection[str]) -> dict[str, list[Record]]:
    """The records of ``attempts``, also in files put aside; none when there is no file yet.

    Raises OSError when a file can't be read.
    """
    wanted = frozenset(attempts)
    found: dict[str, list[Record]] = {}
    complete = not wanted
    for file in files_of(path):
        # The rows of one call may lie on both sides of a change of files, not farther apart.
        if complete:
            break
        complete = len(found) == len(wanted)
        _read_file(file, wanted, found)
    return found


def _read_file(path: Path, wanted: frozenset[str], found: dict[str, list[Record]]) -> None:
    try:
        lines = path.open(newline="", encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with lines:
        for row in csv.reader(lines):
            if len(row) < 18 or row[16] not in wanted:
                continue
            ended_at = _time(row[11])
            if ended_at is not None:
                found.setdefault(row[16], []).append(
                    Record(
                        attempt=row[16],
                        to_channel=row[6],
                        extension=row[2],
                        connected_at=moments_of(row[0])[1],
                        answered_at=_time(row[10]),
                        ended_at=ended_at,
                        disposition=row[14],
                        userfield=row[17],
                    )
                )


def read_causes(path: Path, attempts: Collection[str]) -> dict[str, int]:
    """The hangup causes (Q.850) of ``attempts`` in the PBX's channel event log (``cel_custom``).

    Each line is a channel's id and, after a comma, JSON with ``hangupcause``. Files put aside are
    read too; none when there is no file yet; raises OSError when one can't be read.
    """
    found: dict[str, int] = {}
    for file in files_of(path):
        if len(found) < len(attempts):
            _read_causes_of(file, attempts, found)
    return found


def _read_causes_of(path: Path, attempts: Collection[str], found: dict[str, int]) -> None:
    try:
        lines = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            attempt, _, extra = line.partition(",")
            if attempt not in attempts:
                continue
            try:
                cause = json.loads(extra)["hangupcause"]
            except (ValueError, KeyError, TypeError):
                continue  # the last line may be torn
            if isinstance(cause, int):
                found[attempt] = cause


def judge(
    attempt: Attempt,
    records: Iterable[Record] | None,
    *,
    pbx_started_at: datetime | None,
    now: datetime,
) -> Judged:
    """The end of an attempt that has no live channel.

    ``records`` are its own, None when the PBX keeps none that we can read; ``pbx_started_at`` is
    None while it is out of reach.
    """
    rows = None if records is None else list(records)
    if rows:
        return _from_records(attempt, rows)
    if rows is None or pbx_started_at is None:
        return Judged(at=now, outcome=Outcome.UNKNOWN, placed=True)
    if pbx_started_at > attempt.created_at - CLOCK_TOLERANCE or attempt.channel_seen:
        # It was restarted since, or we saw the call leave: the missing record proves nothing.
        return Judged(at=now, outcome=Outcome.UNKNOWN, placed=True)
    return Judged(at=now, outcome=Outcome.CANCELLED, placed=False)


def _from_records(attempt: Attempt, rows: list[Record]) -> Judged:
    ended_at = max(row.ended_at for row in rows)
    answered = [row.answered_at for row in rows if row.answered_at is not None]
    answered_at = min(answered) if answered else None
    talked = [_talked_to(row) for row in rows if _talked_to(row) is not None]
    operator = talked[-1] if talked else None
    connected = [row.connected_at for row in rows if row.connected_at is not None]
    return Judged(
        at=ended_at,
        outcome=_outcome(attempt, rows, answered_at is not None, operator is not None),
        placed=True,
        answered_at=answered_at,
        connected_at=max(connected) if connected and operator is not None else None,
        operator=operator,
        hangup_cause=rows[-1].cause,
    )


def _talked_to(row: Record) -> str | None:
    """The operator who answered, whose phone may be registered at another PBX of ours."""
    if row.disposition != "ANSWERED":
        return None
    if row.to_channel.startswith("PJSIP/op"):
        return row.to_channel.removeprefix("PJSIP/").partition("-")[0]
    return row.extension if row.to_channel.startswith("PJSIP/peer_") else None


def _outcome(attempt: Attempt, rows: list[Record], answered: bool, talked: bool) -> Outcome:
    if talked:
        return Outcome.HUMAN
    if answered:
        machine = any(row.userfield == Outcome.MACHINE for row in rows)
        return Outcome.MACHINE if machine else Outcome.ABANDONED
    cause = rows[-1].cause
    if attempt.cancel_wanted and (cause is None or cause in SILENT_CAUSES):
        return Outcome.CANCELLED
    dispositions = {row.disposition for row in rows}
    if cause is not None:
        if cause == 0 and "NO ANSWER" in dispositions:
            return Outcome.UNKNOWN  # the PBX was being stopped and ended it by itself
        # While it was dialled it may have begun to ring unheard. Asterisk 16 says FAILED and no
        # cause of one that rang until its time was over.
        rang = attempt.ringing_at is not None or attempt.state is State.DIALLING
        return outcome_of_cause(cause, rang=rang)
    if "BUSY" in dispositions:
        return Outcome.BUSY
    if "NO ANSWER" in dispositions:
        return Outcome.NO_ANSWER
    return Outcome.NETWORK_FAILURE  # CONGESTION, FAILED


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
