"""What all routes of the dialer's service share: tokens, JSON, errors, checked values."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from dialer.rows import CampaignRow
from zanc_pipeline.common.errors import (
    ConfigError,
    ConflictError,
    DataError,
    UnavailableError,
    ZancError,
)

if TYPE_CHECKING:
    from dialer.service import Dialer

log = logging.getLogger(__name__)

CAMPAIGN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NotFound(ZancError):
    """The address names something that does not exist."""


class Unauthorized(ZancError):
    """No token, or not one that may do this."""


STATUS: tuple[tuple[type[ZancError], int], ...] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (ConflictError, 409),
    (UnavailableError, 503),
    (DataError, 400),
    (ConfigError, 400),
)


class Handler(RequestHandler):
    """Tokens, JSON and errors of all routes."""

    def initialize(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self._bound: str | None = None  # whose token it is, when it is an operator's

    def set_default_headers(self) -> None:
        self.set_header("Server", "zanc-dialer")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def authorize(self, operator: str | None = None) -> None:
        """Admit the dialer's token, and for ``operator`` its own."""
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        own = None if operator is None else self.dialer.operator_token(operator)
        for token, bound in ((self.dialer.token, None), (own, operator)):
            known = token is not None and hmac.compare_digest(given.encode(), token.encode())
            if known and scheme == "Bearer":
                self._bound = bound
                named = self.request.headers.get("X-Zanc-User", "")
                if bound is not None and named not in ("", bound):
                    raise Unauthorized(
                        f"the token of {bound} acts for {bound} only: leave X-Zanc-User out"
                    )
                return
        raise Unauthorized("send 'Authorization: Bearer TOKEN' with a token that may do this")

    def who(self, operator: str | None = None) -> str:
        """Who asks, for the audit: whose token it is, or whom a program of ours names.

        That program has the dialer's own token and says it in ``X-Zanc-User``.
        """
        name = self.request.headers.get("X-Zanc-User", "")
        if len(name) > 100 or not name.isprintable():
            raise DataError("X-Zanc-User must be one line of at most 100 letters")
        return self._bound or name or operator or "api"

    def limit(self, most: int, default: int = 200) -> int:
        """The query's ``limit``."""
        limit = self.get_query_argument("limit", str(default))
        if WHOLE.fullmatch(limit) is None or not 1 <= int(limit) <= most:
            raise DataError(f"limit must be a whole number from 1 to {most}")
        return int(limit)

    def body(self) -> dict[str, Any]:
        """The JSON object in the request."""
        try:
            content = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise DataError("the body is not valid JSON") from None
        if not isinstance(content, dict):
            raise DataError("the body is not a JSON object")
        return content

    def answer(self, content: object, status: int = 200) -> None:
        """Send JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(content, default=as_json, ensure_ascii=False))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of ours by their kind, all others without detail."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        message = self._reason
        if isinstance(error, asyncio.CancelledError):
            message, status_code = "the dialer is stopping", 503
        if isinstance(error, ZancError):
            message = str(error)
            status_code = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        if status_code == 503:
            self.set_header("Retry-After", "2")
        if status_code == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.answer({"error": message}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """What we raise on purpose is told to the client; only the rest is news."""
        if not isinstance(value, ZancError | asyncio.CancelledError):
            super().log_exception(typ, value, tb)


async def known_campaign(dialer: Dialer, campaign_id: str) -> CampaignRow:
    """The campaign as recorded; raises NotFound."""
    valid = CAMPAIGN_ID.fullmatch(campaign_id) is not None
    row = await dialer.store.campaign(campaign_id) if valid else None
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id[:100]!r}")
    return row


def text(body: dict[str, Any], key: str) -> str:
    """A text of one line in ``body``; raises DataError."""
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 500 or not value.isprintable():
        raise DataError(f"{key} must be a text of one line")
    return value


def date_of(value: object) -> date | None:
    """A date, None for none; raises DataError."""
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise DataError("promise_date must be a date as 2026-12-31") from None


def amount_of(value: object) -> Decimal | None:
    """An amount in reais with cents, None for none; raises DataError."""
    if value is None:
        return None
    try:
        # Of what is not finite or too long for a decimal, quantize raises or makes NaN.
        amount = Decimal(str(value)).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise DataError("promise_amount must be an amount as 123.45") from None
    if not amount.is_finite():
        raise DataError("promise_amount must be an amount as 123.45")
    return amount


def moment_of(value: object) -> datetime | None:
    """A time with its zone, None for none; raises DataError."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.utcoffset() is not None:
            return moment
    except ValueError:
        pass
    raise DataError("callback_at must be a time with its zone, as 2026-12-31T15:30:00-03:00")


def as_json(value: object) -> str:
    """What the json module does not know."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def log_request(handler: RequestHandler) -> None:
    """Only what is an error of ours."""
    request: HTTPServerRequest = handler.request
    if handler.get_status() >= 500 and handler.get_status() != 503:
        log.error("dialer: %s %s: %d", request.method, request.path, handler.get_status())
