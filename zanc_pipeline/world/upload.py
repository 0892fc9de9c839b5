"""Uploads by FTP what the creditors send, as a well-behaved client does, or as a slow one."""

from __future__ import annotations

import ftplib
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from zanc_pipeline.common.errors import ConfigError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation, outbox, truth
from zanc_pipeline.world.files import FaultyFile, make_faults
from zanc_pipeline.world.people import CONVENIOS

TIMEOUT_SECONDS = 30.0
_SLOW_PARTS = 12


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """A file that is complete on the server; ``fault`` says what is wrong with it, if anything."""

    folder: str
    name: str
    size: int
    uploaded_at: str
    fault: str | None = None


def upload(
    settings: Settings, *, with_faults: bool = False, slow_seconds: float = 0.0
) -> list[Uploaded]:
    """Send every file of the outbox to its convênio's folder, and faulty ones if asked.

    A file goes up as ``<name>.part`` and is renamed. With ``slow_seconds`` it is written in parts
    under its final name during about so long: whoever takes half of it is at fault. Raises
    ConfigError when the outbox is empty or the server refuses us, and UnavailableError when it does
    not answer.
    """
    paths = outbox.paths(settings)
    if not paths:
        raise ConfigError(
            f"{truth.world_folder(settings) / 'outbox'}: no files to send; "
            "run 'zanc world generate'"
        )
    sent = []
    with _connected(settings) as ftp:
        for path in paths:
            content = path.read_bytes()
            _send(ftp, path.parent.name, path.name, content, slow_seconds)
            sent.append(_receipt(path.parent.name, path.name, len(content)))
        for faulty in _faults(settings) if with_faults else ():
            _send(ftp, faulty.folder, faulty.name, faulty.content, slow_seconds)
            sent.append(
                _receipt(faulty.folder, faulty.name, len(faulty.content), fault=faulty.fault)
            )
    return sent


def _faults(settings: Settings) -> list[FaultyFile]:
    path = truth.truth_path(settings)
    state = generation.read_state(settings)
    if state is None:
        raise ConfigError(f"{path.parent}: the world is incomplete; run 'zanc world generate'")
    day = date.fromisoformat(state.reference_date)
    good = {
        known.name: outbox.day_file(path, state.seed, known.name).content for known in CONVENIOS
    }
    faulty = make_faults(day, good)
    for item in faulty:
        outbox.record_fault(path, item, state.day, day)
    return faulty


def _receipt(folder: str, name: str, size: int, *, fault: str | None = None) -> Uploaded:
    return Uploaded(
        folder=folder,
        name=name,
        size=size,
        uploaded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        fault=fault,
    )


@contextmanager
def _connected(settings: Settings) -> Iterator[ftplib.FTP]:
    address = f"{settings.ftp.host}:{settings.ftp.port}"
    ftp = ftplib.FTP(timeout=TIMEOUT_SECONDS, encoding="utf-8")  # noqa: S321 - creditors use FTP
    try:
        ftp.connect(settings.ftp.host, settings.ftp.port)
        ftp.login(settings.ftp.username, settings.ftp.password)
        yield ftp
        ftp.quit()
    except ftplib.error_perm as error:
        raise ConfigError(
            f"FTP at {address} refused: {error}; check ftp.username, ftp.password and its rights"
        ) from None
    except (OSError, EOFError, ftplib.Error) as error:
        raise UnavailableError("FTP", address, error or "the connection ended") from None
    finally:
        ftp.close()


def _send(ftp: ftplib.FTP, folder: str, name: str, content: bytes, slow_seconds: float) -> None:
    ftp.cwd("/")
    try:
        ftp.cwd(folder)
    except ftplib.error_perm:
        ftp.mkd(folder)
        ftp.cwd(folder)
    if slow_seconds:
        _send_slowly(ftp, name, content, slow_seconds)
        return
    aside = f"{name}.part"
    ftp.storbinary(f"STOR {aside}", io.BytesIO(content))
    try:
        ftp.rename(aside, name)
    except ftplib.error_perm:
        # Some servers do not rename over a file that is there.
        ftp.delete(name)
        ftp.rename(aside, name)


def _send_slowly(ftp: ftplib.FTP, name: str, content: bytes, seconds: float) -> None:
    size = max(1, -(-len(content) // _SLOW_PARTS))
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd(f"STOR {name}") as data:
        for start in range(0, len(content), size):
            data.sendall(content[start : start + size])
            time.sleep(seconds / _SLOW_PARTS)
    ftp.voidresp()
