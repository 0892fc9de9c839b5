"""Each route's answers beside the OpenAPI document; bodies that nobody asked for."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.localization import requests, service
from zanc_pipeline.localization.access_log import AccessLog
from zanc_pipeline.localization.limits import DialQuestion, DialVerdict, Lease
from zanc_pipeline.localization.metrics import STATUSES, Board, Metrics
from zanc_pipeline.localization.openapi import DOCUMENT
from zanc_pipeline.localization.service import ROUTES, Service, application
from zanc_pipeline.localization.store import Decision, Overloaded
from zanc_pipeline.localization.tokens import PERMISSIONS, Grant, fingerprint

CPF, PHONE = "52998224725", "11987654321"
CALL = {
    "call_id": "a1",
    "cpf": CPF,
    "phone": PHONE,
    "started_at": "2026-11-20T10:00:00-03:00",
    "talk_seconds": 0,
    "outcome": "no_answer",
}
QUESTION = {"cpf": CPF, "phones": [PHONE], "reserve": True}
RIGHT: dict[str, Any] = {
    "/v1/calls": [CALL],
    "/v1/people/phones": {"cpfs": [CPF]},
    "/v1/dial-check": QUESTION,
    "/v1/dial-checks": {"checks": [QUESTION]},
    "/v1/leases/release": {"ids": [str(uuid4())]},
}
WRONG: dict[str, Any] = {path: {} for path in RIGHT}


class FakeStore:
    """Answers every question, or raises what it is told to."""

    error: Exception | None = None

    def __init__(self) -> None:
        self.waiting: Any = type("Waiting", (), {"total": lambda _: 0})()

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def ping(self) -> None:
        self._fail()

    async def record(self, crm: str, calls: Sequence[Any]) -> tuple[int, int]:
        self._fail()
        return len(calls), 0

    async def rank(self, crm: str, cpf: str) -> list[Any]:
        self._fail()
        return []

    async def check(self, crm: str, question: DialQuestion) -> Decision:
        self._fail()
        lease = Lease(id=str(uuid4()), phone=PHONE, expires_at=datetime.now(UTC))
        return Decision(verdicts=[DialVerdict(phone=PHONE, dial=True)], lease=lease)

    async def release(self, crm: str, leases: Sequence[UUID]) -> list[bool]:
        self._fail()
        return [True for _ in leases]


class FakeAudit:
    waiting = 0

    def require_room(self) -> None:
        """There is room."""

    def note(self, *_: object) -> None:
        """It is noted."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Caller:
    port: int
    store: FakeStore
    metrics: Metrics

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own; its Content-Length may be a lie."""
        sent = {"Host": "x", "Connection": "close", "Authorization": "Bearer all"}
        if body:
            sent["Content-Length"] = str(len(body))
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        raw = await reader.read()
        writer.close()
        top, _, content = raw.partition(b"\r\n\r\n")
        first, *lines = top.decode().split("\r\n")
        named = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in lines}
        return Answer(status=int(first.split()[1]), headers=named, body=content)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    store = FakeStore()
    everything = Grant(crm="norma", may=frozenset(PERMISSIONS))
    expired = Grant(crm="norma", may=frozenset(), expires_at=datetime.now(UTC) - timedelta(1))
    metrics = Metrics(Board(processes=1, routes=ROUTES, crms=["norma"]), 0)
    parts: dict[str, Any] = {"store": store, "audit": FakeAudit(), "access": AccessLog()}
    shared = Service(
        metrics=metrics,
        grants={
            fingerprint("all"): everything,
            fingerprint("none"): Grant(crm="norma", may=frozenset()),
            fingerprint("expired"): expired,
        },
        **parts,
    )
    server = HTTPServer(application(shared))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield Caller(port=sockets[0].getsockname()[1], store=store, metrics=metrics)
    finally:
        server.stop()
        await server.close_all_connections()
        shared.access.flush()


def operations() -> list[tuple[str, str]]:
    return [
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    ]


async def provoked(caller: Caller, method: str, path: str) -> dict[int, Answer]:
    """Every answer that the route can be brought to give, by its status."""
    here = path.replace("{cpf}", CPF).replace("{id}", str(uuid4()))
    wrong_here = path.replace("{cpf}", "123").replace("{id}", "123")
    right = json.dumps(RIGHT[path]).encode() if path in RIGHT else b""
    wrong = json.dumps(WRONG[path]).encode() if path in RIGHT else b""
    answers = [
        await caller.ask(method, here, right),
        await caller.ask(method, wrong_here, wrong),
        await caller.ask(method, here, right, Authorization="Bearer unknown"),
        await caller.ask(method, here, right, Authorization="Bearer expired"),
        await caller.ask(method, here, right, Authorization="Bearer none"),
        await caller.ask(method, here, Content_Length="99999999999999999999"),
        await caller.ask(method, here, right, Content_Encoding="gzip"),
        await caller.ask(method, here, right + b" " * service.MAX_BODY_BYTES),
    ]
    for error in (
        Overloaded("calls", by_caller=True) if path == "/v1/calls" else None,
        Overloaded("questions", by_caller=False),
        UnavailableError("PostgreSQL", "here"),
        ZeroDivisionError(),
    ):
        caller.store.error = error
        answers.append(await caller.ask(method, here, right))
    caller.store.error = None
    return {answer.status: answer for answer in answers}


@pytest.mark.parametrize(("method", "path"), operations())
async def test_a_route_answers_what_the_document_says(
    caller: Caller, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "zanc.localization")
    said = DOCUMENT["paths"][path][method.lower()]["responses"]
    found = await provoked(caller, method, path)
    fixed = {"/metrics", "/openapi.json"}  # they ask nothing of anybody: no way to make them fail
    assert {str(status) for status in found} == set(said) - ({"500"} if path in fixed else set())
    for status, answer in found.items():
        [kind] = said[str(status)]["content"]
        assert answer.headers["content-type"].startswith(kind)
        assert ("retry-after" in answer.headers) == (status in (429, 503))
        assert ("www-authenticate" in answer.headers) == (status == 401)
        if kind == "application/json":
            named = set(said[str(status)]["content"][kind]["schema"].get("properties", ()))
            assert status != 200 or not named or set(json.loads(answer.body)) <= named
            assert status == 200 or list(json.loads(answer.body)) == ["error"]


async def test_the_document_and_the_metrics_leave_no_status_out(caller: Caller) -> None:
    named = {
        HTTPStatus[node.attr]
        for node in ast.walk(ast.parse(inspect.getsource(service)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "HTTPStatus"
    }
    said = {
        status
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    elsewhere = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    assert {str(int(status)) for status in named - elsewhere} <= said <= set(STATUSES)
    assert set(DOCUMENT["paths"]) == set(ROUTES) - {"other"}
    assert (await caller.ask("GET", "/v1/nothing")).status == HTTPStatus.NOT_FOUND
    refused = await caller.ask("DELETE", "/v1/calls")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert b"takes POST only" in refused.body
    assert 'route="/v1/calls",status="405"' in caller.metrics.render()


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [
        ("GET", f"/v1/people/{CPF}/phones", "unknown"),  # no body at all
        ("POST", "/v1/calls", "unknown"),
        ("PUT", "/v1/calls", "all"),
        ("POST", "/v1/nothing", "all"),
        ("POST", "/healthz", "all"),
    ],
)
async def test_who_is_refused_unread_hears_that_the_connection_ends(
    caller: Caller, method: str, path: str, token: str
) -> None:
    answer = await caller.ask(
        method,
        path,
        b"" if method == "GET" else b"x",
        Connection="keep-alive",
        Authorization=f"Bearer {token}",
    )
    assert answer.status >= 400
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/v1/nothing", "/healthz", "/v1/leases/x/release"])
async def test_a_body_without_end_is_not_kept(caller: Caller, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    piece = b"400000\r\n" + b"x" * 0x400000 + b"\r\n"
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        for _ in range(2 * service.DISCARDED_BODY_BYTES // 0x400000):
            writer.write(piece)
            await writer.drain()
        await reader.readexactly(10**9)
    writer.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"cpf": "1", "cpf": "2"}', "same name twice"),
        (b'[{"talk_seconds": NaN}]', "NaN is no number"),
        (b'[{"talk_seconds": -Infinity}]', "Infinity is no number"),
        (b'[\n{"a": 1,}]', "line 2, column 9"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[" + b"9" * 5000 + b"]", "not valid JSON"),
        (b'["\xff"]', "not valid JSON"),
        (b"", "line 1, column 1"),
    ],
)
def test_a_body_that_is_no_json_says_where(body: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        requests.decoded(body)
