"""Passwords: made, hashed with scrypt, compared. Pure and slow on purpose: call it in a thread."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from zanc_pipeline.common.errors import DataError

SHORTEST = 10
LONGEST = 200
_N, _R, _P = 2**15, 8, 3
"""OWASP's figures for scrypt: 32 MiB, about a quarter of a second."""
_MEMORY = 64 * 1024 * 1024
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def generated() -> str:
    """A new password that can be read out: ``k7mq-x2vd-9ahr`` (59 bits)."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


def hashed(password: str) -> str:
    """What is stored of a password. Raises DataError when it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise DataError(f"a password has {SHORTEST} to {LONGEST} characters")
    salt = secrets.token_bytes(16)
    digest = _digest(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(digest)}"


def matches(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that was stored, in the same time for any answer."""
    _kind, n, r, p, salt, digest = stored.split("$")
    found = _digest(password[: LONGEST + 1], base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


NOBODY = "scrypt$32768$8$3$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""Compared with when the login is unknown, so that the time does not tell which logins exist."""
