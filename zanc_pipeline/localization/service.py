"""The HTTP service of the localization base: routes, tokens, checks and errors (Tornado)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.masking import mask
from zanc_pipeline.localization import requests
from zanc_pipeline.localization.access_log import AccessLog
from zanc_pipeline.localization.audit import Audit
from zanc_pipeline.localization.calls import valid_cpf
from zanc_pipeline.localization.limits import DialQuestion
from zanc_pipeline.localization.metrics import CONTENT_TYPE, Metrics
from zanc_pipeline.localization.openapi import DOCUMENT
from zanc_pipeline.localization.store import Decision, Overloaded, Store
from zanc_pipeline.localization.tokens import Grant, fingerprint

MAX_BODY_BYTES = 2 * 1024 * 1024
DISCARDED_BODY_BYTES = 64 * 1024 * 1024
"""A body over the limit is read to its end up to this size, so that the caller hears the 413
instead of a reset connection; a larger one is refused before it is sent."""

RETRY_AFTER_SECONDS = 2
MOST_IN_FLIGHT = 5000
"""Requests of one process that are being answered; more are told to come back."""

_TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes: send fewer at a time"

_log = logging.getLogger("zanc.localization")


@dataclass(kw_only=True)
class Service:
    """What the routes of one process share; ``grants`` are by the token's fingerprint."""

    store: Store
    metrics: Metrics
    audit: Audit
    access: AccessLog
    grants: Mapping[str, Grant] = field(default_factory=dict)
    draining: bool = False


class Refused(HTTPError):
    """A request that is not served; ``message`` is told to the caller."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(int(status))
        self.message = message


@stream_request_body
class _Handler(RequestHandler):
    """JSON out, errors included. ``route`` stands for the path in metrics: it holds no CPF.

    The body comes in pieces, so that one that nobody asked for is never kept.
    """

    route = "other"

    def initialize(self, service: Service) -> None:
        self.service = service
        self.crm = ""
        self.noted: dict[str, Any] = {}
        # Answered before its request was read to the end, a connection is closed by Tornado, also
        # when no body was to come: the caller must hear of it, or its next request is lost.
        self.unread = True
        if service.draining:
            self.set_header("Connection", "close")

    def set_default_headers(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Server", "zanc-localization")
        self.set_header("Cache-Control", "no-store")

    def compute_etag(self) -> str | None:
        return None  # answers are not to be kept

    def prepare(self) -> None:
        length = self.request.headers.get("Content-Length", "")
        # What is no number Tornado refuses; one of very many digits is none for int().
        if length.isdecimal() and (len(length) > 15 or int(length) > DISCARDED_BODY_BYTES):
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        # One that does not say its length ends the connection there.
        connection: Any = self.request.connection
        connection.set_max_body_size(DISCARDED_BODY_BYTES)

    def data_received(self, chunk: bytes) -> None:
        """Drop the piece: this route wants no body."""

    async def get(self, *path: str) -> None:
        self.unread = False
        await self.respond(*path)

    async def post(self, *path: str) -> None:
        self.unread = False
        await self.respond(*path)

    async def respond(self, *path: str) -> None:
        """Answer the request, which was read to its end."""
        raise NotImplementedError

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None))[1]
        message = error.message if isinstance(error, Refused) else HTTPStatus(status_code).phrase
        if self.unread:
            self.set_header("Connection", "close")
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(self.SUPPORTED_METHODS)
            self.set_header("Allow", allowed)
            message = f"this route takes {allowed} only: see /openapi.json"
        if status_code == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        if status_code in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.answer({"error": message})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, HTTPError):
            _log.error("%s %s failed", self.request.method, self.route, exc_info=(typ, value, tb))

    def on_finish(self) -> None:
        seconds, status = self.request.request_time(), self.get_status()
        self.service.metrics.request(self.route, status, seconds)
        if self.crm:
            self.service.access.note(self.crm, self.route, status, seconds, **self.noted)

    def answer(self, body: Mapping[str, Any]) -> None:
        """End the request with a JSON object."""
        self.finish(json.dumps(body, ensure_ascii=False))


class _CrmHandler(_Handler):
    """A route for CRMs: the token is checked before the body is read."""

    permission = ""

    def prepare(self) -> None:
        self._body = bytearray()
        self._too_large = False
        self._require_grant()
        super().prepare()

    def data_received(self, chunk: bytes) -> None:
        # A body that is too large is read to its end and dropped: refused half-way, the caller
        # would see a reset connection instead of the answer.
        self._too_large = self._too_large or len(self._body) + len(chunk) > MAX_BODY_BYTES
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    async def serve(self, *path: str) -> Mapping[str, Any]:
        """The answer; DataError and UnavailableError are told to the caller in its terms."""
        raise NotImplementedError

    def json_body(self) -> Any:
        """The decoded body; 413 when it was too large, 415 packed, DataError when no JSON."""
        if self.request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "send the body as it is, without Content-Encoding",
            )
        if self._too_large:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return requests.decoded(bytes(self._body))

    async def respond(self, *path: str) -> None:
        metrics = self.service.metrics
        if metrics.in_flight >= MOST_IN_FLIGHT:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are open: retry later")
        with metrics.serving():
            try:
                body = await self.serve(*path)
            except DataError as error:
                raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
            except Overloaded as error:
                status = (
                    HTTPStatus.TOO_MANY_REQUESTS
                    if error.by_caller
                    else HTTPStatus.SERVICE_UNAVAILABLE
                )
                raise Refused(status, f"too many {error.address} wait: retry later") from None
            except UnavailableError as error:
                _log.error("%s", error)
                raise Refused(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "the localization database is away: retry later",
                ) from None
            self.answer(body)

    def _require_grant(self) -> None:
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        # What is looked up is the token's SHA-256: the answer's delay tells nothing of a token.
        grant = self.service.grants.get(fingerprint(given.strip()))
        expired = grant is not None and (
            grant.expires_at is not None and grant.expires_at <= datetime.now(UTC)
        )
        if scheme.lower() != "bearer" or grant is None or expired:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "the token has expired: ask for a new one"
                if expired
                else "expected 'Authorization: Bearer' with the token of a CRM",
            )
        self.crm = grant.crm
        if self.permission not in grant.may:
            raise Refused(
                HTTPStatus.FORBIDDEN, f"this token may not use {self.permission}: see /openapi.json"
            )


class _Calls(_CrmHandler):
    route, permission = "/v1/calls", "calls"
    SUPPORTED_METHODS = ("POST",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        calls = requests.calls_of(self.json_body(), now=datetime.now(UTC))
        accepted, duplicates = await self.service.store.record(self.crm, calls)
        self.service.metrics.calls(self.crm, accepted=accepted, duplicates=duplicates)
        self.noted = {"calls": len(calls), "duplicates": duplicates}
        return {"accepted": accepted, "duplicates": duplicates}


class _Phones(_CrmHandler):
    route, permission = "/v1/people/{cpf}/phones", "phones"
    SUPPORTED_METHODS = ("GET",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        cpf = valid_cpf(path[0])
        self.noted = {"cpf": mask(cpf)}
        return await self.phones_of(cpf)

    async def phones_of(self, cpf: str) -> dict[str, Any]:
        """The phones of one person, and a note that they were told."""
        self.service.audit.require_room()
        ranked = await self.service.store.rank(self.crm, cpf)
        self.service.audit.note(self.crm, "phones", cpf, len(ranked))
        self.service.metrics.question(self.crm, "phones")
        return {"cpf": cpf, "phones": [phone.as_json() for phone in ranked]}


class _PhonesOfMany(_Phones):
    route = "/v1/people/phones"
    SUPPORTED_METHODS = ("POST",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        cpfs = requests.people_of(self.json_body())
        self.noted = {"people": len(cpfs)}
        return {"people": await asyncio.gather(*(self.phones_of(cpf) for cpf in cpfs))}


class _DialCheck(_CrmHandler):
    route, permission = "/v1/dial-check", "dial"
    SUPPORTED_METHODS = ("POST",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        question = requests.question_of(self.json_body())
        self.noted = {"cpf": mask(question.cpf), "phones": len(question.phones)}
        return await self.decision_on(question)

    async def decision_on(self, question: DialQuestion) -> dict[str, Any]:
        """The answer to one question, and a note that it was asked."""
        self.service.audit.require_room()
        decision = await self.service.store.check(self.crm, question)
        reserve = question.lease_seconds is not None
        action = "reserve" if reserve else "dial_check"
        self.service.audit.note(self.crm, action, question.cpf, len(question.phones))
        self.service.metrics.question(self.crm, "dial")
        if reserve:
            self.service.metrics.reservation(self.crm, reserved=decision.lease is not None)
        return _decision_json(question, decision)


class _DialChecks(_DialCheck):
    route = "/v1/dial-checks"

    async def serve(self, *path: str) -> Mapping[str, Any]:
        questions = requests.questions_of(self.json_body())
        self.noted = {"people": len(questions)}
        return {"checks": await asyncio.gather(*(self.decision_on(one) for one in questions))}


class _Release(_CrmHandler):
    route, permission = "/v1/leases/{id}/release", "dial"
    SUPPORTED_METHODS = ("POST",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        [released] = await self.service.store.release(self.crm, [requests.valid_lease(path[0])])
        return {"released": released}


class _Releases(_CrmHandler):
    route, permission = "/v1/leases/release", "dial"
    SUPPORTED_METHODS = ("POST",)

    async def serve(self, *path: str) -> Mapping[str, Any]:
        leases = requests.leases_of(self.json_body())
        self.noted = {"leases": len(leases)}
        return {"released": await self.service.store.release(self.crm, leases)}


class _Health(_Handler):
    route = "/healthz"
    SUPPORTED_METHODS = ("GET",)

    async def respond(self, *path: str) -> None:
        try:
            await self.service.store.ping()
        except UnavailableError as error:
            _log.error("%s", error)
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "the localization database is away: retry later"
            ) from None
        self.answer({"status": "ok"})


class _Metrics(_Handler):
    route = "/metrics"
    SUPPORTED_METHODS = ("GET",)

    async def respond(self, *path: str) -> None:
        metrics = self.service.metrics
        metrics.gauge("localization_waiting_calls", self.service.store.waiting.total())
        metrics.gauge("localization_waiting_audit", self.service.audit.waiting)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(metrics.render())


class _OpenApi(_Handler):
    route = "/openapi.json"
    SUPPORTED_METHODS = ("GET",)

    async def respond(self, *path: str) -> None:
        self.answer(DOCUMENT)


class _NotFound(_Handler):
    def prepare(self) -> None:
        raise Refused(HTTPStatus.NOT_FOUND, "no such route: see /openapi.json")


_ROUTES: tuple[tuple[str, type[_Handler]], ...] = (
    (r"/v1/calls", _Calls),
    (r"/v1/people/phones", _PhonesOfMany),
    (r"/v1/people/([^/]+)/phones", _Phones),
    (r"/v1/dial-check", _DialCheck),
    (r"/v1/dial-checks", _DialChecks),
    (r"/v1/leases/release", _Releases),
    (r"/v1/leases/([^/]+)/release", _Release),
    (r"/healthz", _Health),
    (r"/metrics", _Metrics),
    (r"/openapi\.json", _OpenApi),
)
ROUTES = (*(handler.route for _, handler in _ROUTES), _NotFound.route)
"""The routes as metrics name them."""


def application(service: Service) -> Application:
    """The routes of one process."""
    shared = {"service": service}
    return Application(
        [(path, handler, shared) for path, handler in _ROUTES],
        default_handler_class=_NotFound,
        default_handler_args=shared,
        log_function=lambda handler: None,  # a path may hold a CPF; the routes log for themselves
        compress_response=False,
    )


def _decision_json(question: DialQuestion, decision: Decision) -> dict[str, Any]:
    phones = [
        {
            "phone": verdict.phone,
            "dial": verdict.dial,
            "reason": verdict.reason,
            "texto": verdict.texto,
        }
        for verdict in decision.verdicts
    ]
    answer: dict[str, Any] = {"cpf": question.cpf, "phones": phones}
    if question.lease_seconds is not None:
        lease = decision.lease
        answer["lease"] = lease and {
            "id": lease.id,
            "phone": lease.phone,
            "expires_at": lease.expires_at.isoformat(),
        }
    return answer
