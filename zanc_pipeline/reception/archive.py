"""The archive: the original bytes of every file received, under their SHA-256, for ever."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zanc_pipeline.common.errors import DataError

_PIECE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Archived:
    """One archived file: its hash, size in bytes and where it is."""

    sha256: str
    size: int
    path: Path


def archive_path(var: Path, sha256: str) -> Path:
    """Where the bytes with this hash are kept."""
    return var / "archive" / sha256[:2] / sha256


def store(var: Path, source: Path) -> Archived:
    """Copy ``source`` into the archive; the same bytes are kept once. Durable when it returns."""
    folder = var / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    aside = folder / f".{os.getpid()}.{secrets.token_hex(6)}"
    try:
        with source.open("rb") as reader, aside.open("xb") as writer:
            while piece := reader.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                writer.write(piece)
            writer.flush()
            os.fsync(writer.fileno())
        target = archive_path(var, digest.hexdigest())
        target.parent.mkdir(exist_ok=True)
        if target.exists() and target.stat().st_size == size:
            aside.unlink()
        else:
            aside.replace(target)
            sync_folder(target.parent)
    except FileNotFoundError:
        if not source.exists():
            raise DataError(f"{source}: o arquivo não existe") from None
        raise
    finally:
        aside.unlink(missing_ok=True)
    return Archived(sha256=digest.hexdigest(), size=size, path=target)


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, mode: int = 0o644) -> None:
    """Give ``write`` a file aside and rename it to ``path`` once its bytes are on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(6)}"
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring to the disk which files a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
