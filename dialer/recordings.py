"""Recordings and the PBX's own records: where they lie, how long they are kept.

The PBX writes a conversation into ``<attempt id>.wav`` in its spool folder, readable by its own
user only. A file of call records that has grown long is put aside under a name with the time; the
PBX opens its files for every record, so nothing is lost.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dialer.policy import Kept

log = logging.getLogger(__name__)

_RECORDING = re.compile(r"[0-9a-f]{32}\.wav", re.ASCII)
RECORDS = (Path("cdr-csv") / "Master.csv", Path("cel-custom") / "hangups.csv")


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What a clean-up did: the recordings that are gone, and files of records."""

    recordings: tuple[str, ...] = ()
    set_aside: int = 0
    removed: int = 0


def folder_of(log_folder: Path) -> Path:
    """Where the PBX whose logs lie in ``log_folder`` keeps its recordings."""
    return log_folder.parent / "spool" / "monitor"


def find(log_folder: Path, recording: str) -> Path | None:
    """The file of a recording; None when it is not there, or when the name is none of ours."""
    if _RECORDING.fullmatch(recording) is None:
        return None
    path = folder_of(log_folder) / recording
    return path if path.is_file() and not path.is_symlink() else None


def clean(log_folder: Path, kept: Kept, now: datetime) -> Cleaned:
    """Remove what is older than it is kept, and put long files of records aside.

    Repeated, it does nothing more. What can't be removed is logged and tried the next time.
    """
    ours = (path for path in folder_of(log_folder).glob("*.wav") if _RECORDING.fullmatch(path.name))
    old = _older(ours, now - timedelta(days=kept.gravacoes_dias))
    gone = tuple(path.name for path in old if _remove(path))
    removed = set_aside = 0
    for name in RECORDS:
        path = log_folder / name
        before = now - timedelta(days=kept.registros_dias)
        removed += sum(map(_remove, _older(path.parent.glob(f"{path.name}.*"), before)))
        set_aside += _set_aside(path, kept.registros_mb, now)
    return Cleaned(recordings=gone, set_aside=set_aside, removed=removed)


def _older(paths: Iterable[Path], before: datetime) -> list[Path]:
    found = []
    for path in paths:
        try:
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                found.append(path)
        except OSError:
            continue
    return found


def _set_aside(path: Path, megabytes: float, now: datetime) -> bool:
    try:
        if path.stat().st_size < megabytes * 1_000_000:
            return False
        path.rename(path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%SZ}"))
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("%s: can't be put aside: %s", path, error.strerror)
        return False
    return True


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: can't be removed: %s", path, error.strerror)
        return False
    return True
