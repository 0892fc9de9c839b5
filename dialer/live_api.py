"""Health, metrics, the API's own description, and the live figures as they change."""

from __future__ import annotations

import asyncio
import hmac
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from dialer import monitor, openapi
from dialer.handlers import Handler, NotFound, as_json
from dialer.live import utc_now
from dialer.metrics import families
from dialer.web.accounts import Role
from dialer.web.pages import COOKIE, NO_SESSION
from zanc_pipeline import __version__
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.exposition import CONTENT_TYPE, render

if TYPE_CHECKING:
    from dialer.service import Dialer

PUSH_SECONDS = 1.0
TOKEN_SECONDS = 5.0
SESSION_SECONDS = 20.0
"""How often it is looked whether a supervisor's session goes on."""


class Unknown(Handler):
    """No such address."""

    def prepare(self) -> None:
        raise NotFound("there is nothing at this address; see /openapi.json")


class Health(Handler):
    """Is the dialer working?"""

    async def get(self) -> None:
        engine = self.dialer.engine
        problem = "" if engine.ready else "the dialer is starting"
        try:
            async with asyncio.timeout(3):
                await self.dialer.store.ping()
        except (TimeoutError, UnavailableError) as error:
            problem = str(error) or "the database is slow"
        pbxs = {name: pbx.connected for name, pbx in engine.pbxs.items()}
        content = {"status": problem or "ok", "pbx": pbxs}
        self.answer(content, 503 if problem else 200)


class OpenApi(Handler):
    """The description of this API."""

    def get(self) -> None:
        self.answer(openapi.document(__version__))


class Metrics(Handler):
    """Figures for Prometheus."""

    async def get(self) -> None:
        self.authorize()
        outbox = await self.dialer.store.count_outbox()
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(render(families(self.dialer.engine, outbox, utc_now())))


class Figures(Handler):
    """The live figures, once."""

    def get(self) -> None:
        self.authorize()
        self.dialer.engine.require_ready()
        self.answer(monitor.figures(self.dialer.engine))


class Live(WebSocketHandler):
    """The live figures, every second while they change.

    A supervisor's session is enough. Else the token comes in the ``Authorization`` header, or as
    the first message: ``{"token": "..."}``. Without either the connection is closed with 4401.
    """

    def initialize(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self._work: asyncio.Task[None] | None = None
        self._admitted = asyncio.Event()
        self._by_session = False

    async def open(self, *_path: str) -> None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and self._known(token):
            self._admitted.set()
        else:
            with suppress(UnavailableError):
                role = await self._role()
                if role not in (None, Role.SUPERVISOR):
                    self.close(NO_SESSION, "this is for supervisors")
                    return
                if role is not None:
                    self._by_session = True
                    self._admitted.set()
        self._work = asyncio.create_task(self._push())

    def on_message(self, message: str | bytes) -> None:
        try:
            token = json.loads(message)["token"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if isinstance(token, str) and self._known(token):
            self._admitted.set()

    def on_close(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _known(self, token: str) -> bool:
        given = token.encode(errors="replace")
        return hmac.compare_digest(given, self.dialer.token.encode())

    async def _role(self) -> Role | None:
        session = await self.dialer.sessions.of(self.get_cookie(COOKIE))
        return None if session is None else session.role

    async def _goes_on(self) -> bool:
        """Whether who was admitted still may see this; nobody is cut off by a database away."""
        try:
            return not self._by_session or await self._role() is Role.SUPERVISOR
        except UnavailableError:
            return True

    async def _push(self) -> None:
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                await self._admitted.wait()
        except TimeoutError:
            self.close(NO_SESSION, "send a token that may do this")
            return
        last: dict[str, Any] = {}
        engine = self.dialer.engine
        clock = asyncio.get_running_loop().time
        look_at = clock() + SESSION_SECONDS
        while True:
            if clock() >= look_at:
                if not await self._goes_on():
                    self.close(NO_SESSION, "the session is over")
                    return
                look_at = clock() + SESSION_SECONDS
            if engine.ready:
                now = monitor.figures(engine)
                if {**now, "at": None} != {**last, "at": None}:
                    last = now
                    try:
                        await self.write_message(
                            json.dumps(now, default=as_json, ensure_ascii=False)
                        )
                    except WebSocketClosedError:
                        return
            await asyncio.sleep(PUSH_SECONDS)
