"""What waits on the FTP server: listing, proof that an upload is complete, download."""

from __future__ import annotations

import ftplib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.process import UNKNOWN_CONVENIO

TIMEOUT_SECONDS = 15.0
UNFINISHED = (".part", ".tmp", ".filepart")


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A file on the server: its path there, size in bytes, and MDTM as the server says it (UTC)."""

    convenio: str
    path: str
    size: int
    modified: str


EMPTY_PATIENCE = 5
"""An empty file must stand still so many times longer: servers buffer an upload's beginning."""


class StabilityTracker:
    """Tells complete uploads: same size and time for ``stable_seconds``; it has no clock."""

    def __init__(self, stable_seconds: float) -> None:
        self._stable_seconds = stable_seconds
        self._since: dict[Arrival, float] = {}

    def ready(self, arrivals: Iterable[Arrival], now: float) -> list[Arrival]:
        """Those of ``arrivals`` that have stood still long enough at ``now`` (seconds)."""
        self._since = {arrival: self._since.get(arrival, now) for arrival in arrivals}
        return [
            arrival
            for arrival, since in self._since.items()
            if now - since >= self._stable_seconds * (1 if arrival.size else EMPTY_PATIENCE)
        ]


def scan(settings: Settings) -> list[Arrival]:
    """Every file of every folder, and of the root, that is not visibly unfinished.

    Folders of no convênio, and the root, give ``UNKNOWN_CONVENIO``. Raises UnavailableError.
    """
    found: list[Arrival] = []
    with _session(settings) as ftp:
        for entry in _listing(ftp, ""):
            if not entry.folder:
                found.append(_arrival(UNKNOWN_CONVENIO, f"/{entry.name}", entry))
                continue
            convenio = entry.name if entry.name in settings.convenios else UNKNOWN_CONVENIO
            found += [
                _arrival(convenio, f"/{entry.name}/{inner.name}", inner)
                for inner in _listing(ftp, entry.name)
                if not inner.folder
            ]
    return sorted(found, key=lambda arrival: (arrival.modified, arrival.path))


def fetch(settings: Settings, arrival: Arrival, into: Path) -> Path:
    """Download into the folder ``into``; the file's path there.

    Raises UnavailableError when the server does not answer, or when the file changed meanwhile
    (it was not complete: a later try gets it whole), DataError when it is no longer there.
    """
    name = PurePosixPath(arrival.path).name
    if not name or name in {".", ".."} or "\x00" in name:
        raise DataError(f"{arrival.path}: not a file name that can be stored")
    into.mkdir(parents=True, exist_ok=True)
    target = into / name
    aside = into / f".{name[:100]}.part"
    with _session(settings) as ftp:
        ftp.voidcmd("TYPE I")
        try:
            remote = _on_server(ftp, arrival.path)
            with aside.open("wb") as file:
                ftp.retrbinary(f"RETR {remote}", file.write)
            size = ftp.size(remote)
        except ftplib.error_perm as error:
            aside.unlink(missing_ok=True)
            raise DataError(f"{arrival.path}: the FTP server refuses it: {error}") from None
        modified = _modified(ftp, remote)
    # Some servers give fractions of a second in one of MLSD and MDTM only.
    unmoved = modified[:14] == arrival.modified[:14]
    if size != arrival.size or aside.stat().st_size != size or not unmoved:
        aside.unlink()
        raise UnavailableError("the upload", arrival.path, "it changed while it was downloaded")
    aside.replace(target)
    return target


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    name: str
    folder: bool
    size: int
    modified: str


@contextmanager
def _session(settings: Settings) -> Iterator[ftplib.FTP]:
    part = settings.ftp
    address = f"{part.host}:{part.port}"
    try:
        # Latin-1 carries every byte of a name as it is, whatever encoding the sender used.
        with ftplib.FTP(timeout=TIMEOUT_SECONDS, encoding="latin-1") as ftp:  # noqa: S321
            ftp.connect(part.host, part.port)
            ftp.login(part.username, part.password)
            yield ftp
    except ftplib.error_perm as error:
        raise UnavailableError("FTP", address, error) from None
    except (OSError, EOFError, ftplib.Error) as error:
        raise UnavailableError("FTP", address, error) from None


def _listing(ftp: ftplib.FTP, folder: str) -> Iterator[_Entry]:
    wire = "/" + _wire(folder)
    try:
        facts = list(ftp.mlsd(wire, facts=["type", "size", "modify"]))
    except ftplib.error_perm:
        yield from _plain_listing(ftp, wire)
        return
    for raw, fact in facts:
        kind, name = fact.get("type", ""), _display(raw)
        if kind in {"dir", "file"} and not _hidden(name):
            yield _Entry(
                name=name,
                folder=kind == "dir",
                size=int(fact.get("size", 0)),
                modified=fact.get("modify", ""),
            )


def _plain_listing(ftp: ftplib.FTP, wire: str) -> Iterator[_Entry]:
    """For servers without MLSD: NLST, then SIZE and MDTM of each; what has no size is a folder."""
    try:
        names = ftp.nlst(wire)
    except ftplib.error_perm as error:
        if str(error).startswith("550"):  # many servers answer so for an empty folder
            return
        raise
    ftp.voidcmd("TYPE I")
    for raw in names:
        base = PurePosixPath(raw).name
        name, path = _display(base), f"{wire.rstrip('/')}/{base}"
        if _hidden(name):
            continue
        try:
            size = ftp.size(path)
        except ftplib.error_perm:
            yield _Entry(name=name, folder=True, size=0, modified="")
            continue
        yield _Entry(name=name, folder=False, size=size or 0, modified=_modified(ftp, path))


def _modified(ftp: ftplib.FTP, path: str) -> str:
    return ftp.voidcmd(f"MDTM {path}").partition(" ")[2].strip()


def _hidden(name: str) -> bool:
    return not name or name.startswith(".") or name.lower().endswith(UNFINISHED)


def _arrival(convenio: str, path: str, entry: _Entry) -> Arrival:
    return Arrival(convenio=convenio, path=path, size=entry.size, modified=entry.modified)


def _display(raw: str) -> str:
    """A name from the wire as its sender wrote it: UTF-8 where it is, else Latin-1."""
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _wire(path: str) -> str:
    return path.encode("utf-8").decode("latin-1")


def _on_server(ftp: ftplib.FTP, path: str) -> str:
    """The name for the wire: the inverse of ``_display``, found by asking the server."""
    try:
        ftp.size(_wire(path))
    except ftplib.error_perm:
        return path
    return _wire(path)
