"""Secrets generated once under ``var/secrets`` (folder mode 700, files mode 600)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError


def secret(folder: Path, name: str, *, length: int = 32) -> str:
    """Return the secret called ``name``, generating it on first use.

    ``length`` counts random bytes (URL-safe text is a third longer). Two processes that ask at
    once get the same value: the file is written aside and linked into place atomically.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"'{name}' is not a valid secret name: use letters, digits, - and _")
    path = folder / name
    for _ in range(2):
        try:
            value = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            pass
        else:
            if value:
                return value
            path.unlink()
        _write_once(folder, path, secrets.token_urlsafe(length))
    return path.read_text(encoding="ascii").strip()


def _write_once(folder: Path, path: Path, value: str) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, value.encode("ascii"))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was faster: its value is the secret
    finally:
        aside.unlink()
