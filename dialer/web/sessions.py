"""Sessions of browsers: opened by login and password, known by a random cookie."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta

from dialer.live import utc_now
from dialer.store import Store
from dialer.web import passwords
from dialer.web.accounts import LOGIN, Role
from dialer.web.limits import LoginLimits
from zanc_pipeline.common.errors import ZancError

LIFE = timedelta(hours=12)
"""A shift and its overtime; after it a person logs in again."""
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_HASHING_AT_ONCE = 2
"""Each takes 32 MiB and a core for a quarter of a second."""

_ACCOUNT = "SELECT * FROM account WHERE login = $1 AND disabled_at IS NULL"
_FORGET = "DELETE FROM web_session WHERE expires_at <= now()"
_OPEN = """
INSERT INTO web_session (sha256, login, csrf, expires_at)
SELECT $1, login, $3, $4 FROM account
WHERE login = $2 AND password = $5 AND disabled_at IS NULL RETURNING login
"""
"""Not when the password was changed, or the account disabled, while it was compared."""
_FIND = """
SELECT account.login, name, role, phone, csrf FROM web_session JOIN account USING (login)
WHERE sha256 = $1 AND expires_at > now() AND disabled_at IS NULL
"""
_CLOSE = "DELETE FROM web_session WHERE sha256 = $1"
_NAMES = "SELECT phone, name FROM account WHERE phone IS NOT NULL"


class TooManyLogins(ZancError):
    """Too many wrong passwords: wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        minutes = max(1, round(seconds / 60))
        super().__init__(f"muitas tentativas: espere {minutes} min e tente de novo")


@dataclass(frozen=True, kw_only=True)
class Session:
    """Who looks at a page; ``csrf`` is the token of its changes."""

    login: str
    name: str
    role: Role
    phone: str | None
    csrf: str


class Sessions:
    """Sessions in the dialer's database. Every method raises UnavailableError when it is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._limits = LoginLimits()
        self._hashing = asyncio.Semaphore(_HASHING_AT_ONCE)

    async def open(self, login: str, password: str, address: str) -> str | None:
        """The cookie of a new session, None when login or password are wrong.

        Raises TooManyLogins without looking at the password.
        """
        login = login.strip().lower()
        self._limit(login, address)
        row = None
        if LOGIN.fullmatch(login) is not None:
            async with self._store.transaction() as connection:
                row = await connection.fetchrow(_ACCOUNT, login)
        stored = passwords.NOBODY if row is None else row["password"]
        async with self._hashing:
            self._limit(login, address)  # others that came at the same time may have failed
            right = await asyncio.to_thread(passwords.matches, password, stored)
            if row is None or not right:
                self._limits.failed(login[:40], address, time.monotonic())
                return None
        self._limits.succeeded(login, address)
        cookie = secrets.token_urlsafe(32)
        async with self._store.transaction() as connection:
            await connection.execute(_FORGET)
            csrf, until = secrets.token_urlsafe(24), utc_now() + LIFE
            opened = await connection.fetchval(_OPEN, _sha256(cookie), login, csrf, until, stored)
        return None if opened is None else cookie

    def _limit(self, login: str, address: str) -> None:
        wait = self._limits.wait(login[:40], address, time.monotonic())
        if wait > 0:
            raise TooManyLogins(wait)

    async def of(self, cookie: str | None) -> Session | None:
        """The session of a cookie, None when there is none or it is over."""
        if cookie is None or _COOKIE.fullmatch(cookie) is None:
            return None
        async with self._store.transaction() as connection:
            row = await connection.fetchrow(_FIND, _sha256(cookie))
        if row is None:
            return None
        return Session(
            login=row["login"],
            name=row["name"],
            role=Role(row["role"]),
            phone=row["phone"],
            csrf=row["csrf"],
        )

    async def close(self, cookie: str) -> None:
        """End a session."""
        async with self._store.transaction() as connection:
            await connection.execute(_CLOSE, _sha256(cookie))

    async def names(self) -> dict[str, str]:
        """The names of people by their phone."""
        async with self._store.transaction() as connection:
            return {row["phone"]: row["name"] for row in await connection.fetch(_NAMES)}


def _sha256(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
