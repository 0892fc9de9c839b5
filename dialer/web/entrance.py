"""The way in and out: login, logout, the start page of each role."""

from __future__ import annotations

from dialer.web.accounts import Role
from dialer.web.addresses import address_of
from dialer.web.pages import COOKIE, Page, safe_way
from dialer.web.sessions import LIFE, TooManyLogins


class Start(Page):
    """Where each role works."""

    def get(self) -> None:
        """Go there."""
        self.redirect("/painel" if self.session.role is Role.SUPERVISOR else "/mesa")


class Login(Page):
    """Login and password."""

    async def prepare(self) -> None:
        """Everybody may come; a login only from our own page."""
        if self.request.method == "POST":
            self.require_own_page()

    def get(self) -> None:
        """The form."""
        self.page("login.html.j2", way=safe_way(self.get_query_argument("depois", "/")))

    async def post(self) -> None:
        """Open a session; the browser goes where the person wanted to."""
        try:
            cookie = await self.dialer.sessions.open(
                self.get_body_argument("login", "", strip=False)[:200],
                self.get_body_argument("password", "", strip=False)[:500],
                address_of(
                    self.request.remote_ip or "",
                    # Each proxy may have added a line of its own; together they are one list.
                    ",".join(self.request.headers.get_list("X-Forwarded-For")),
                    self.dialer.settings.dialer.trusted_proxies,
                ),
            )
        except TooManyLogins as error:
            self.set_header("Retry-After", str(round(error.seconds) + 1))
            self.answer({"error": str(error)}, 429)
            return
        if cookie is None:
            self.answer({"error": "usuário ou senha não conferem"}, 400)
            return
        self.set_cookie(
            COOKIE,
            cookie,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self.secure,
            max_age=int(LIFE.total_seconds()),
        )
        self.answer({"goto": safe_way(self.get_body_argument("depois", "/"))})

    @property
    def secure(self) -> bool:
        """Whether people reach us by TLS: the proxy's address is ours then."""
        url = self.dialer.settings.dialer.url or ""
        return url.startswith("https:") or self.request.protocol == "https"


class Logout(Page):
    """The end of a session; an operator leaves the queue with it."""

    async def post(self) -> None:
        """End it."""
        session = self.session
        if session.role.talks and session.phone is not None and self.dialer.engine.ready:
            await self.dialer.desk.leave(session.phone, "offline")
        cookie = self.get_cookie(COOKIE)
        if cookie is not None:
            await self.dialer.sessions.close(cookie)
        self.clear_cookie(COOKIE, path="/")
        self.answer({"goto": "/entrar"})
