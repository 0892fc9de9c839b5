"""Tells people what happened, once an event, by the ways of ``config/avisos.yaml``.

An event is written down under ``var/notices`` before anything is sent, so a retry or a restart
knows it. What could not be sent stays there and is tried again (by the next notice, and by the DAG
``avisos``) for a day. Killed between sending and writing that down, a notice may go out twice;
never not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zanc_pipeline.common import notice_ways
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError, ConflictError, ZancError
from zanc_pipeline.common.locks import only_one
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.notice_settings import KINDS, NoticeSettings, read_notice_settings
from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

FOLDER = "notices"
TRIED_FOR = timedelta(days=1)
KEPT_FOR = timedelta(days=60)
LONGEST = 2000
"""Characters of a text; what is longer is on the page."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that happened; ``key`` names the event among those of its ``kind``, for ever."""

    kind: str
    key: str
    subject: str
    text: str = ""
    link: str = ""

    def masked(self) -> Notice:
        """Without CPFs, CNPJs and phones; the subject is one line."""
        return replace(
            self,
            subject=mask_text(" ".join(self.subject.split()))[:200],
            text=mask_text(self.text)[:LONGEST],
        )


@dataclass(frozen=True, kw_only=True)
class _Record:
    kind: str
    key: str
    subject: str
    text: str
    link: str
    at: str
    waiting: tuple[str, ...]

    @property
    def body(self) -> str:
        when = datetime.fromisoformat(self.at).astimezone(LOCAL)
        lines = [self.text, self.link, f"{KINDS.get(self.kind, self.kind)}, {when:%d/%m/%Y %H:%M}"]
        return "\n\n".join(filter(None, lines)) + "\n"


def tell(settings: Settings, *notices: Notice, now: datetime | None = None) -> None:
    """Tell of events that nobody was told of yet. Whatever fails is logged, never raised."""
    try:
        wanted = read_notice_settings(settings)
        new = [
            _write_once(settings, _record(notice, wanted.ways, now))
            for notice in notices
            if notice.kind in wanted.kinds and wanted.ways
        ]
        if any(new):
            deliver(settings, now=now)
    except (ZancError, OSError) as error:
        log.error("notices: %s", mask_text(str(error)))


def deliver(settings: Settings, *, now: datetime | None = None) -> int:
    """Send what waits; how many could not be sent.

    Raises ConfigError when ``config/avisos.yaml`` is wrong. One process at a time: another one
    leaves the work to it.
    """
    wanted, now = read_notice_settings(settings), now or datetime.now(UTC)
    folder = settings.var / FOLDER
    if not folder.is_dir():
        return 0
    left = 0
    try:
        with only_one(folder / "lock", ConflictError("notices are being sent")):
            for path in sorted(folder.glob("*.json")):
                left += _go_on(path, wanted, now)
    except ConflictError:
        log.info("notices are being sent by another process")
    return left


def send_test(settings: Settings) -> list[str]:
    """Send a message by every way, at once; the ways. Raises what goes wrong."""
    wanted = read_notice_settings(settings)
    if not wanted.ways:
        raise ConfigError(
            f"{settings.config / 'avisos.yaml'}: ninguém é avisado: escreva 'email' ou 'webhook'"
        )
    notice = Notice(
        kind="teste",
        key=secrets.token_hex(4),
        subject="Zanc: mensagem de teste",
        text="Se você lê isto, os avisos chegam.",
        link=settings.web_url(settings.airflow),
    )
    record = _record(notice, wanted.ways, None)
    for way in wanted.ways:
        _send(way, record, wanted)
    return list(wanted.ways)


def _go_on(path: Path, wanted: NoticeSettings, now: datetime) -> int:
    try:
        record = _Record(**json.loads(path.read_text(encoding="utf-8")))
        age = now - datetime.fromisoformat(record.at)
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s is no notice: %s", path.name, error)
        return 0
    if age > KEPT_FOR:
        path.unlink(missing_ok=True)
        return 0
    left = []
    for way in record.waiting:
        if way not in wanted.ways or age > TRIED_FOR:
            log.warning("given up: %s by %s", record.subject, way)
            continue
        try:
            _send(way, record, wanted)
        except ZancError as error:
            log.warning("tried again later: %s: %s", record.subject, mask_text(str(error)))
            left.append(way)
    if tuple(left) != tuple(record.waiting):
        _write(path, replace(record, waiting=tuple(left)))
    return len(left)


def _send(way: str, record: _Record, wanted: NoticeSettings) -> None:
    if way == "email" and wanted.email:
        notice_ways.send_mail(wanted.email, record.subject, record.body)
    if way == "webhook" and wanted.webhook:
        notice_ways.post(
            wanted.webhook,
            {
                "text": f"{record.subject}\n{record.body}",
                "tipo": record.kind,
                "assunto": record.subject,
                "detalhe": record.text,
                "endereco": record.link,
                "quando": record.at,
            },
        )
    log.info("told by %s: %s", way, record.subject)


def _record(notice: Notice, ways: tuple[str, ...], now: datetime | None) -> _Record:
    at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    return _Record(**asdict(notice.masked()), at=at, waiting=ways)


def _write_once(settings: Settings, record: _Record) -> bool:
    """Whether the event is new."""
    folder = settings.var / FOLDER
    name = hashlib.sha256(f"{record.kind} {record.key}".encode()).hexdigest()[:32]
    path = folder / f"{name}.json"
    if path.exists():
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = _aside(path, record)
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def _write(path: Path, record: _Record) -> None:
    _aside(path, record).replace(path)


def _aside(path: Path, record: _Record) -> Path:
    aside = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
    with aside.open("x", encoding="utf-8") as file:
        json.dump(asdict(record), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    return aside
