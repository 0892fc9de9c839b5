"""Where the CRMs leave files of the calls that they made themselves: ``var/calls/<crm>/``.

A file is CSV or Parquet with the columns of ``localization.call``, and speaks of that CRM's calls
only. Write it under another name (``.part``, ``.tmp`` or with a leading dot) and rename it when it
is whole. What was loaded goes to ``loaded/`` beside it; what is wrong stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization.base import LoadCounts, load_file

ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """A file that was found: what its load did, or why it was refused."""

    name: str
    counts: LoadCounts | None = None
    refused: str | None = None


def folder_of(settings: Settings, crm: str) -> Path:
    """Where ``crm`` leaves its files, made when missing. ConfigError: there is no such CRM."""
    if crm not in settings.crms:
        raise ConfigError(f"no CRM '{crm}': config/crms/{crm}.yaml does not exist")
    folder = settings.var / "calls" / crm
    (folder / "loaded").mkdir(parents=True, exist_ok=True)
    return folder


def load_waiting(settings: Settings, crm: str) -> Iterator[Landed]:
    """Load every whole file that waits, oldest first, and put it aside.

    One that is wrong holds back no other. Killed between the load and the move, the file is loaded
    again: its calls are duplicates then. Raises UnavailableError while PostgreSQL is away.
    """
    folder = folder_of(settings, crm)
    for path in _waiting(folder, settings.ftp.stable_seconds):
        try:
            counts = load_file(settings, path, crms=frozenset({crm}))
        except DataError as error:
            yield Landed(name=path.name, refused=str(error))
            continue
        path.replace(_free(folder / "loaded" / path.name))
        yield Landed(name=path.name, counts=counts)


def _waiting(folder: Path, still_seconds: float) -> list[Path]:
    """The files that nobody has written to for some seconds."""
    before = time.time() - still_seconds
    found = [
        (path.stat().st_mtime, path)
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
    ]
    return [path for modified, path in sorted(found) if modified <= before]


def _free(path: Path) -> Path:
    """The path, or the next one of that name that is not taken."""
    tries = (path.with_stem(f"{path.stem}.{number}") for number in range(1, 10_000))
    return path if not path.exists() else next(one for one in tries if not one.exists())
