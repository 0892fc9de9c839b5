"""The operator's desk: its page, what is pushed to it, and what the operator orders."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from dialer.live import utc_now
from dialer.web import tabulating, view, words
from dialer.web.accounts import Role
from dialer.web.pages import COOKIE, NO_SESSION, Page
from dialer.web.people import Background
from dialer.web.sessions import Session
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError

if TYPE_CHECKING:
    from dialer.service import Dialer

log = logging.getLogger(__name__)

TALKERS = frozenset({Role.OPERATOR, Role.NEGOTIATOR})
QUIET_SECONDS = 20.0
"""The desk is told at least so often, and its session looked at again."""
NOBODY_SECONDS = 1.0

_REFUSED = {
    "enter": "Não foi possível entrar na fila agora.",
    "pause": "Só quem está na fila pode pausar.",
    "ready": "Você não está na fila.",
    "call": "Esta ficha já não está com você.",
    "skip": "Esta ficha já não está com você.",
    "hangup": "Não há conversa para encerrar.",
    "campaign": "Entre na fila antes de escolher a campanha.",
}


class DeskPage(Page):
    """The page; everything that changes comes by ``DeskLive``."""

    roles = TALKERS

    def get(self) -> None:
        """Send it."""
        self.page("desk.html.j2", choices=words.CHOICES)


class DeskOrder(Page):
    """What an operator wants to be or do."""

    roles = TALKERS

    async def post(self) -> None:
        """Do it; what follows comes by the websocket."""
        order = self.get_body_argument("order", "")
        try:
            await self._obey(order, self.session.phone or "")
        except ConflictError:
            raise ConflictError(_REFUSED.get(order, "O estado mudou: veja a tela.")) from None
        self.answer({})

    async def _obey(self, order: str, operator: str) -> None:
        desk = self.dialer.desk
        campaign = self.get_body_argument("campaign", "") or None
        match order:
            case "enter":
                await desk.login(operator)
                await desk.work_for(operator, campaign)
            case "campaign":
                await desk.work_for(operator, campaign)
            case "leave":
                await desk.leave(operator, "offline")
            case "pause":
                await desk.leave(operator, "paused", self.get_body_argument("reason", "") or None)
            case "ready":
                await desk.make_ready(operator)
            case "call" | "skip":
                await desk.decide(operator, call=order == "call")
            case "hangup":
                await desk.hang_up(operator)
            case _:
                raise DataError("esta ordem não existe")


class DeskTabulate(Page):
    """What was said. Sent again with its key, it is answered again and recorded once."""

    roles = TALKERS

    async def post(self) -> None:
        """Record it, then answer."""
        names = (
            "tabulation", "promise_date", "promise_amount", "callback_date", "callback_time",
        )  # fmt: skip
        said = tabulating.read(
            {name: self.get_body_argument(name, "") for name in names}, utc_now()
        )
        try:
            await tabulating.record(
                self.dialer,
                self.session.phone or "",
                self.get_body_argument("key", ""),
                self.get_body_argument("attempt", ""),
                said,
            )
        except ConflictError as error:
            log.info("desk: %s: %s", self.session.login, error)
            raise ConflictError("Esta conversa já foi tabulada, ou não é sua.") from None
        agent = self.dialer.engine.floor.agents.get(self.session.phone or "")
        if agent is not None:
            agent.bump()  # what was left without a tabulation is not the present call
        self.told(f"Registrado: {words.tabulation(said.tabulation)}.")


class DeskLive(WebSocketHandler):
    """Pushes the desk's blocks at every change. Closed with 4401 when the session is over."""

    def initialize(self, dialer: Dialer) -> None:
        """Keep the dialer."""
        self.dialer = dialer
        self._work: asyncio.Task[None] | None = None
        self._left: tabulating.Left | None = None

    async def open(self, *_path: str) -> None:
        """Begin; the session is looked at by the push itself."""
        self._work = asyncio.create_task(self._push())

    def on_message(self, message: str | bytes) -> None:
        """Nothing is said this way."""

    def on_close(self) -> None:
        """Stop."""
        if self._work is not None:
            self._work.cancel()

    async def _push(self) -> None:
        with suppress(WebSocketClosedError):
            while True:
                try:
                    session = await self.dialer.sessions.of(self.get_cookie(COOKIE))
                    if session is None or session.role not in TALKERS or session.phone is None:
                        self.close(NO_SESSION, "the session is over")
                        return
                    self.dialer.engine.require_ready()
                    await self._follow(session, session.phone)
                except UnavailableError:
                    await self._tell({"problem": "O banco de dados do discador não responde."})
                    await asyncio.sleep(NOBODY_SECONDS)

    async def _follow(self, session: Session, operator: str) -> None:
        """Tell every change for a while, then let the session be looked at again."""
        until = asyncio.get_running_loop().time() + QUIET_SECONDS
        while (left := until - asyncio.get_running_loop().time()) > 0:
            engine = self.dialer.engine
            agent = engine.floor.agents.get(operator)
            changed = None if agent is None else agent.changed
            background = self.dialer.backgrounds.known(view.shown(engine, operator))
            await self._tell(self._view(session, background))
            await self._add(session, operator, background)
            if changed is None:
                await asyncio.sleep(NOBODY_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()

    async def _add(self, session: Session, operator: str, known: Background | None) -> None:
        """What must be read first comes after the card, never before it."""
        engine = self.dialer.engine
        card = view.shown(engine, operator)
        left = await tabulating.left_untabulated(self.dialer.store, operator)
        background = known
        if card is not None and known is None:
            background = await self.dialer.backgrounds.of(card)
        if left != self._left or background is not known:
            self._left = left
            await self._tell(self._view(session, background))

    def _view(self, session: Session, background: Background | None) -> dict[str, object]:
        return view.desk(self.dialer.engine, session, self.dialer.creditors, background, self._left)

    async def _tell(self, content: dict[str, object]) -> None:
        await self.write_message(json.dumps({**content, "now": utc_now().isoformat()}))
