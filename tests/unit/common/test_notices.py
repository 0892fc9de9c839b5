"""Notices: written by hand in YAML, sent once to a real mail server and a real HTTP server."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from zanc_pipeline.common import notices
from zanc_pipeline.common.errors import ConfigError, UnavailableError
from zanc_pipeline.common.notice_settings import read_notice_settings
from zanc_pipeline.common.notices import Notice
from zanc_pipeline.common.notices_cli import avisos
from zanc_pipeline.common.settings import Settings, load_settings

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
LOST = Notice(
    kind="quarentena",
    key="7",
    subject="banco: arquivo.csv\r\nBcc: x@y.z ficou em quarentena",
    text="o CPF 123.456.789-09 não confere, telefone 11912345678",
    link="http://127.0.0.1:8080/plugin/recepcao",
)


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps what it gets, or refuses it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.refuses = False
        self.mails: list[Any] = []
        self.envelopes: list[list[str]] = []


class _Smtp(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say("220 here")
        commands: list[str] = []
        while line := self.rfile.readline():
            command = line.decode().strip()
            commands.append(command)
            word = command.split(":")[0].split(" ")[0].upper()
            if word == "DATA" and self.server.refuses:
                self._say("451 later")
            elif word == "DATA":
                self._say("354 go on")
                self.server.mails.append(self._message())
                self.server.envelopes.append(commands)
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _message(self) -> Any:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class Hook(HTTPServer):
    """An HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.answer = 200
        self.posted: list[tuple[str, str | None, dict[str, str]]] = []


class _Post(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, self.headers["Authorization"], content))
        self.send_response(self.server.answer)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def _served(server: Any) -> Iterator[Any]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with _served(Mailbox()) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[Hook]:
    with _served(Hook()) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ZANC_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("ZANC_CONFIG", str(tmp_path))
    return load_settings()


def written(place: Settings, text: str) -> None:
    (place.config / "avisos.yaml").write_text(text, encoding="utf-8")


def secret(place: Settings, name: str, text: str) -> None:
    folder = place.var / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.fixture
def both(place: Settings, mailbox: Mailbox, hook: Hook) -> Settings:
    secret(place, "avisos_webhook", "tok")
    written(
        place,
        "email:\n  servidor: 127.0.0.1\n"
        f"  porta: {mailbox.server_address[1]}\n"
        "  tls: nenhum\n  de: zanc@a.br\n  para: [ops@a.br, ana@a.br]\n"
        f"webhook:\n  url: http://127.0.0.1:{hook.server_address[1]}/h?k=1\n"
        "quando: [quarentena]\n",
    )
    return place


def test_an_event_is_told_once_masked_by_every_way(
    both: Settings, mailbox: Mailbox, hook: Hook
) -> None:
    for _ in range(3):
        notices.tell(both, LOST, now=NOW)
    (mail,), (envelope,), (posted,) = mailbox.mails, mailbox.envelopes, hook.posted
    assert mail["To"] == "ops@a.br, ana@a.br"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "banco: arquivo.csv Bcc: x@y.z ficou em quarentena"
    body = mail.get_content()
    assert LOST.link in body
    assert "23/11/2026 12:00" in body
    assert "não confere" in body
    assert [line for line in envelope if line.startswith("rcpt")] == [
        "rcpt TO:<ops@a.br>",
        "rcpt TO:<ana@a.br>",
    ]
    path, token, content = posted
    assert (path, token) == ("/h?k=1", "Bearer tok")
    assert content["tipo"] == "quarentena"
    for text in (body, json.dumps(content)):
        assert "123.456.789-09" not in text
        assert "11912345678" not in text
    notices.tell(both, Notice(kind="central_caiu", key="a", subject="x"), now=NOW)
    assert len(mailbox.mails) == 1, "it is not among 'quando'"


def test_what_a_server_does_not_take_is_sent_later_and_only_there(
    both: Settings, mailbox: Mailbox, hook: Hook
) -> None:
    mailbox.refuses = True
    notices.tell(both, LOST, now=NOW)
    assert (len(mailbox.mails), len(hook.posted)) == (0, 1)
    assert notices.deliver(both, now=NOW) == 1
    mailbox.refuses = False
    assert notices.deliver(both, now=NOW + timedelta(hours=1)) == 0
    notices.deliver(both, now=NOW + timedelta(hours=2))
    assert (len(mailbox.mails), len(hook.posted)) == (1, 1)
    assert mailbox.mails[0].get_content().rstrip().endswith("23/11/2026 12:00")


def test_after_a_day_it_is_given_up_and_after_months_forgotten(both: Settings, hook: Hook) -> None:
    hook.answer = 302
    notices.tell(both, LOST, now=NOW)
    assert [path for path, _, _ in hook.posted] == ["/h?k=1"], "no redirect is followed"
    hook.answer = 200
    assert notices.deliver(both, now=NOW + timedelta(days=2)) == 0
    assert len(hook.posted) == 1
    assert len(list((both.var / "notices").glob("*.json"))) == 1
    notices.deliver(both, now=NOW + timedelta(days=90))
    assert not list((both.var / "notices").glob("*.json"))


def test_nothing_that_is_wrong_reaches_who_tells(
    place: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    notices.tell(place, LOST)
    written(place, "quando: [quarentena]\n")
    notices.tell(place, LOST)
    assert not (place.var / "notices").exists(), "nobody is told: nothing is kept"
    written(place, "webhook: {url: 'http://127.0.0.1:9/segredo'}\n")
    notices.tell(place, LOST)
    assert "http://127.0.0.1:9 does not answer" in caplog.text
    assert "segredo" not in caplog.text
    written(place, "webhook: {url: 'file:///etc/passwd'}\n")
    notices.tell(place, LOST)
    assert "avisos.yaml:1: webhook.url: deve começar com https://" in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quando: [quarentenas]", "avisos.yaml:1: quando[1º]: 'quarentenas' não existe"),
        ("quando: tudo", "quando: deve ser uma lista"),
        ("emial: {}", "emial: não existe: use quando, email, webhook"),
        ("email: {servidor: s, de: a@b.br}", "email.para: deve ser um endereço"),
        ("email: {servidor: s, de: a, para: a@b.br}", "email.de: deve ser um endereço como"),
        ("email: {servidor: 'a b', de: a@b.br, para: a@b.br}", "email.servidor: deve ser o nome"),
        ("email: {servidor: s, porta: x, de: a@b.br, para: a@b.br}", "email.porta: deve ser um"),
        ("email: {servidor: s, tls: sim, de: a@b.br, para: a@b.br}", "email.tls: deve ser"),
        ("email: {servidor: s, usuario: u, de: a@b.br, para: a@b.br}", "var/secrets/avisos_email"),
        ("email: {servidor: s, usuario: u, tls: nenhum}", "a senha iria aberta"),
        ("webhook: {url: 'ftp://x/y'}", "webhook.url: deve começar com https://"),
        ("webhook: {url: 'http://[x/y'}", "webhook.url: deve começar com https://"),
        ("webhook: http://x", "webhook: escreva linhas como"),
    ],
)
def test_a_mistake_is_named_with_its_line(place: Settings, text: str, told: str) -> None:
    written(place, f"{text}\n")
    with pytest.raises(ConfigError) as caught:
        read_notice_settings(place)
    assert told in str(caught.value)


def test_the_file_of_the_project_tells_nobody_and_its_examples_are_right(place: Settings) -> None:
    text = (load_settings().root / "config" / "avisos.yaml").read_text(encoding="utf-8")
    written(place, text)
    assert read_notice_settings(place).ways == ()
    secret(place, "avisos_email", "pass")
    lines = [line[2:] if line.startswith("# ") else line for line in text.splitlines()[2:]]
    written(place, "\n".join(lines))
    found = read_notice_settings(place)
    assert found.ways == ("email", "webhook")
    assert found.email is not None
    assert (found.email.password, found.email.port) == ("pass", 587)
    assert "pass" not in repr(found)


def test_the_command_sends_a_message_each_time_or_says_why_not(
    both: Settings, mailbox: Mailbox, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zanc_pipeline.common.notices_cli.settings", lambda: both)
    for _ in range(2):
        done = CliRunner().invoke(avisos, ["testar"])
        assert done.exit_code == 0
    assert (len(mailbox.mails), len(hook.posted)) == (2, 2)
    mailbox.refuses = True
    assert isinstance(CliRunner().invoke(avisos, ["testar"]).exception, UnavailableError)
    written(both, "{}")
    assert "ninguém é avisado" in str(CliRunner().invoke(avisos, ["testar"]).exception)
