"""What every page shares: who looks at it, the guard of changes, templates, headers, errors."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from tornado.web import HTTPError, RequestHandler

from dialer.handlers import STATUS, Handler, NotFound
from dialer.web import words
from dialer.web.accounts import Role
from dialer.web.sessions import Session
from zanc_pipeline.common.errors import UnavailableError, ZancError
from zanc_pipeline.common.web import (
    asset,
    asset_headers,
    environment,
    etag,
    is_own_page,
    page_headers,
)

if TYPE_CHECKING:
    from jinja2 import Environment

COOKIE = "zanc_session"
NO_SESSION = 4401
"""With this code a websocket is closed when nobody is logged in."""
ASSETS = "/comum"
OWN = "/floor"
_OWN_TYPES = {
    "floor.css": "text/css",
    "floor.js": "text/javascript",
    "desk.js": "text/javascript",
    "wall.js": "text/javascript",
}
_HOST = re.compile(
    r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:]{2,45}\](:[0-9]{1,5})?", re.ASCII
)
_PROTECTED_HEADERS = {"X-Frame-Options": "DENY", "Permissions-Policy": "camera=(), geolocation=()"}


class Forbidden(ZancError):
    """The person is known and may not do this."""


@cache
def templates() -> Environment:
    """The templates of the pages, with what they call."""
    found = environment("dialer.web", assets=ASSETS)
    found.globals |= {"words": words, "own": own_address}
    return found


@cache
def own_file(name: str) -> bytes | None:
    """A file of our ``static`` folder, None when there is none of that name."""
    if name not in _OWN_TYPES:
        return None
    return resources.files("dialer.web").joinpath("static", name).read_bytes()


def own_address(name: str) -> str:
    """The address of a file of ours, with its version."""
    body = own_file(name) or b""
    return f"{OWN}/{name}?v={hashlib.sha256(body).hexdigest()[:12]}"


class Page(Handler):
    """A page or a change of one. ``roles`` may use it; everybody else is shown the way in."""

    roles: ClassVar[frozenset[Role]] = frozenset(Role)
    session: Session

    async def prepare(self) -> None:
        """Admit the session, and a change only from one of our own pages with its token."""
        cookie = self.get_cookie(COOKIE)
        found = await self.dialer.sessions.of(cookie)
        if found is None:
            self._to_the_door()
            return
        self.session = found
        if found.role not in self.roles:
            raise Forbidden("esta página é de outra função; entre com outra conta")
        if self.request.method not in ("GET", "HEAD"):
            self.require_own_page()
            given = self.get_body_argument("_csrf", "")
            if not hmac.compare_digest(given.encode(), found.csrf.encode()):
                raise Forbidden("a página é antiga: recarregue-a e tente de novo")

    def require_own_page(self) -> None:
        """Raise Forbidden unless the request comes from one of our own pages."""
        if not is_own_page(self.request.headers):
            raise Forbidden("o pedido não veio de uma página deste sistema")

    def _to_the_door(self) -> None:
        if self.request.method in ("GET", "HEAD"):
            self.redirect(f"/entrar?depois={quote(self.request.uri or '/', safe='')}")
            return
        self.set_status(401)
        self.finish({"error": "sua sessão terminou: entre de novo"})

    def page(self, template: str, status: int = 200, **values: Any) -> None:
        """Send a page, or 304 when the browser has it."""
        known = getattr(self, "session", None)
        text = (
            templates()
            .get_template(template)
            .render(session=known, csrf=known.csrf if known else "", **values)
        )
        host = self.request.host
        sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
        headers = page_headers(connect=f"'self'{sockets}", frame="'none'") | _PROTECTED_HEADERS
        for name, value in headers.items():
            self.set_header(name, value)
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        if status == 200:
            tag = etag(text)
            self.set_header("ETag", tag)
            if self.request.headers.get("If-None-Match") == tag:
                self.set_status(304)
                self.finish()
                return
        self.finish(text)

    def told(self, message: str, **more: Any) -> None:
        """The answer to a change, as the pages' script shows it."""
        self.answer({"message": message, **more})

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page for who asked for one, JSON for a script."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, Forbidden):
            status_code = 403
        if isinstance(error, asyncio.CancelledError):
            status_code = 503
        message = _told(error)
        wants_page = self.request.method == "GET" and "text/html" in self.request.headers.get(
            "Accept", ""
        )
        status_code = next((code for kind, code in STATUS if isinstance(error, kind)), status_code)
        if status_code == 503:
            self.set_header("Retry-After", "2")
        if wants_page:
            self.page("problem.html.j2", status_code, message=message)
        else:
            self.answer({"error": message}, status_code)


class Common(RequestHandler):
    """The files that all pages of ours share."""

    def get(self, name: str) -> None:
        """One of them, to be kept for ever when it is asked for with its version."""
        found = asset(name)
        if found is None:
            self.set_status(404)
            self.finish()
            return
        for header, value in asset_headers().items():
            self.set_header(header, value)
        self.set_header("Content-Type", found.content_type)
        self.finish(found.body)


class Own(RequestHandler):
    """The scripts and the style of these pages alone."""

    def get(self, name: str) -> None:
        """One of them, likewise."""
        body = own_file(name)
        if body is None:
            self.set_status(404)
            self.finish()
            return
        for header, value in asset_headers().items():
            self.set_header(header, value)
        self.set_header("Content-Type", f"{_OWN_TYPES[name]}; charset=utf-8")
        self.finish(body)


def _told(error: BaseException | None) -> str:
    """An error as the person at the page reads it."""
    match error:
        case UnavailableError() if error.part == "central":
            return f"A central {error.address} não responde. Tente de novo."
        case UnavailableError() | asyncio.CancelledError():
            return "O discador ou o banco de dados não responde. Tente de novo."
        case NotFound():
            return "Isto não existe, ou já não existe: recarregue a página."
        case ZancError():
            return str(error)
        case HTTPError() if error.status_code < 500:
            return "O pedido não se entende: recarregue a página e tente de novo."
    return "Algo falhou deste lado; está registrado no log do discador."


def safe_way(asked: str) -> str:
    """The path that a person wanted before the login, or the start: never another site."""
    ours = asked.startswith("/") and not asked.startswith(("//", "/\\"))
    return asked if ours and asked.isprintable() else "/"
