"""A dialer's operator API for the robots' tests: one operator, calls that the test dictates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler


@dataclass
class FakeDialer:
    """What the fake knows and what it was told, in order."""

    token: str = "token"
    port: int = 0
    state: str = "offline"
    sequence: int = 0
    call: dict[str, Any] | None = None
    refuse_tabulation: bool = False
    down: bool = False
    heard: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _request: asyncio.Event = field(default_factory=asyncio.Event)

    def become(self, state: str, call: dict[str, Any] | None = None) -> None:
        """Move the operator to ``state``, with a call or without."""
        self.state, self.call = state, call
        self.sequence += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, action: str, times: int = 1) -> None:
        """Wait until ``action`` was heard so many times."""
        while [name for _, name, _ in self.heard].count(action) < times:
            await self._request.wait()

    def hear(self, operator: str, action: str, body: dict[str, Any]) -> None:
        """Note a request."""
        self.heard.append((operator, action, body))
        self._request.set()
        self._request = asyncio.Event()

    def said(self, action: str) -> list[dict[str, Any]]:
        """The bodies of all requests for ``action``."""
        return [body for _, name, body in self.heard if name == action]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve on ``port`` (a free one at first, then the same) while the block runs."""
        application = Application(
            [(r"/v1/operators/([^/]+)/([a-z]+)", _Operator, {"dialer": self})]
        )
        server = HTTPServer(application)
        server.listen(self.port, "127.0.0.1")
        self.port = next(iter(server._sockets.values())).getsockname()[1]
        try:
            yield
        finally:
            server.stop()
            await server.close_all_connections()

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change."""
        return self._changed


class _Operator(RequestHandler):
    def initialize(self, dialer: FakeDialer) -> None:
        self.dialer = dialer

    def prepare(self) -> None:
        if self.dialer.down:
            self.dialer.hear("", "refused", {})
            self.set_status(503)
            self.finish()
        elif self.request.headers.get("Authorization") != f"Bearer {self.dialer.token}":
            self.set_status(401)
            self.finish()

    async def get(self, operator: str, _: str) -> None:
        dialer = self.dialer
        if dialer.state == "offline":
            self.set_status(409)
            return
        if self.get_query_argument("after", "") == str(dialer.sequence):
            await dialer.changed.wait()
        if dialer.down:
            self.set_status(503)
            return
        self.finish(
            json.dumps({"sequence": dialer.sequence, "state": dialer.state, "call": dialer.call})
        )

    def post(self, operator: str, action: str) -> None:
        dialer = self.dialer
        dialer.hear(operator, action, json.loads(self.request.body))
        if action == "login" and dialer.state == "offline":
            dialer.become("idle")
        elif action == "logout":
            dialer.become("offline")
        elif action == "tabulate":
            if dialer.refuse_tabulation:
                self.set_status(409)
            dialer.become("idle")
        self.finish("{}")
