"""The HTTP service of the localization base: routes, tokens, checks and errors (Tornado)."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.localization.calls import Call, parse_call, valid_cpf, valid_phone
from zanc_pipeline.localization.metrics import CONTENT_TYPE, Metrics
from zanc_pipeline.localization.openapi import DOCUMENT
from zanc_pipeline.localization.store import Store

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_CALLS = 5000
MAX_PHONES = 50
RETRY_AFTER_SECONDS = 2

_TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes: send fewer at a time"

_log = logging.getLogger("zanc.localization")


class Refused(HTTPError):
    """A request that is not served; ``message`` is told to the caller."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(int(status))
        self.message = message


class _Handler(RequestHandler):
    """JSON out, errors included. ``route`` stands for the path in metrics: it holds no CPF."""

    route = "other"

    def initialize(self, store: Store, metrics: Metrics, tokens: Mapping[str, str]) -> None:
        self.store = store
        self.metrics = metrics
        self.tokens = tokens

    def set_default_headers(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Server", "zanc-localization")
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None))[1]
        message = error.message if isinstance(error, Refused) else HTTPStatus(status_code).phrase
        if status_code == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        if status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.answer({"error": message})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, HTTPError):
            _log.error("%s %s failed", self.request.method, self.route, exc_info=(typ, value, tb))

    def on_finish(self) -> None:
        seconds, status, method = self.request.request_time(), self.get_status(), ""
        if self.request.method in self.SUPPORTED_METHODS:
            method = self.request.method
        self.metrics.request(method, self.route, status, seconds)

    def answer(self, body: Mapping[str, Any]) -> None:
        """End the request with a JSON object."""
        self.finish(json.dumps(body, ensure_ascii=False))


@stream_request_body
class _CrmHandler(_Handler):
    """A route for CRMs: the token is checked before the body is read."""

    def prepare(self) -> None:
        self.crm = self._crm_of_token()
        self._body = bytearray()
        self._too_large = False

    def data_received(self, chunk: bytes) -> None:
        # A body that is too large is read to its end and dropped: refused half-way, the caller
        # would see a reset connection instead of the answer.
        self._too_large = self._too_large or len(self._body) + len(chunk) > MAX_BODY_BYTES
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    def json_body(self) -> Any:
        """The decoded body; 413 when it was too large, 400 when it is not JSON."""
        if self._too_large:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        try:
            return json.loads(bytes(self._body).decode("utf-8"))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from None

    def log(self, what: str, *values: object) -> None:
        """One line on who asked for what; the formatter masks CPFs and phones."""
        _log.info(f"%s {what}", self.crm, *values)

    def _crm_of_token(self) -> str:
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        found = ""
        for crm, token in self.tokens.items():
            # All are compared, each in constant time: the answer's delay tells nothing.
            if hmac.compare_digest(token.encode(), given.strip().encode()):
                found = crm
        if scheme.lower() != "bearer" or not found:
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "expected 'Authorization: Bearer' with the token of a CRM"
            )
        return found


@contextmanager
def _served(metrics: Metrics) -> Iterator[None]:
    """Count the request as in flight, and tell the caller what went wrong in its terms."""
    try:
        with metrics.serving():
            yield
    except DataError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
    except UnavailableError as error:
        _log.error("%s", error)
        raise Refused(
            HTTPStatus.SERVICE_UNAVAILABLE, "the localization database is away: retry later"
        ) from None


class _Calls(_CrmHandler):
    route = "/v1/calls"

    async def post(self) -> None:
        with _served(self.metrics):
            calls = _calls(self.json_body())
            accepted, duplicates = await self.store.record(self.crm, calls)
        self.metrics.calls(self.crm, accepted=accepted, duplicates=duplicates)
        self.log("reported %d calls, %d of them known already", len(calls), duplicates)
        self.answer({"accepted": accepted, "duplicates": duplicates})


class _Phones(_CrmHandler):
    route = "/v1/people/{cpf}/phones"

    async def get(self, cpf: str) -> None:
        with _served(self.metrics):
            person = valid_cpf(cpf)
            ranked = await self.store.rank(person)
        self.log("asked for the phones of %s", person)
        self.answer({"cpf": person, "phones": [asdict(phone) for phone in ranked]})


class _DialCheck(_CrmHandler):
    route = "/v1/dial-check"

    async def post(self) -> None:
        with _served(self.metrics):
            cpf, phones = _dial_question(self.json_body())
            verdicts = await self.store.dial_check(cpf, phones)
        self.log("asked whether to dial %d phones of %s", len(phones), cpf)
        self.answer({"cpf": cpf, "phones": [asdict(verdict) for verdict in verdicts]})


class _Health(_Handler):
    route = "/healthz"

    async def get(self) -> None:
        with _served(self.metrics):
            await self.store.ping()
        self.answer({"status": "ok"})


class _Metrics(_Handler):
    route = "/metrics"

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.metrics.render())


class _OpenApi(_Handler):
    route = "/openapi.json"

    def get(self) -> None:
        self.answer(DOCUMENT)


class _NotFound(_Handler):
    def prepare(self) -> None:
        raise Refused(HTTPStatus.NOT_FOUND, "no such route: see /openapi.json")


def application(*, store: Store, metrics: Metrics, tokens: Mapping[str, str]) -> Application:
    """The service; ``tokens`` are by CRM."""
    shared = {"store": store, "metrics": metrics, "tokens": tokens}
    routes: list[tuple[str, type[_Handler]]] = [
        (r"/v1/calls", _Calls),
        (r"/v1/people/([^/]+)/phones", _Phones),
        (r"/v1/dial-check", _DialCheck),
        (r"/healthz", _Health),
        (r"/metrics", _Metrics),
        (r"/openapi\.json", _OpenApi),
    ]
    return Application(
        [(path, handler, shared) for path, handler in routes],
        default_handler_class=_NotFound,
        default_handler_args=shared,
        log_function=lambda handler: None,  # a path may hold a CPF; the routes log for themselves
        compress_response=False,
    )


def _calls(body: object) -> list[Call]:
    if not isinstance(body, list):
        raise DataError("expected a JSON list of calls")
    if len(body) > MAX_CALLS:
        raise DataError(f"at most {MAX_CALLS} calls at a time")
    now, calls = datetime.now(UTC), []
    for position, entry in enumerate(body):
        try:
            calls.append(parse_call(entry, now=now))
        except DataError as error:
            raise DataError(f"call {position}: {error}; none was recorded") from None
    return calls


def _dial_question(body: object) -> tuple[str, list[str]]:
    phones = body.get("phones") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(phones, list):
        raise DataError("expected a JSON object with cpf and phones")
    if not 1 <= len(phones) <= MAX_PHONES:
        raise DataError(f"phones: expected 1 to {MAX_PHONES}")
    return valid_cpf(body.get("cpf")), [valid_phone(phone) for phone in phones]
