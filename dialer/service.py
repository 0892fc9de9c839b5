"""The dialer's HTTP service (Tornado) and the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import re
import signal
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from dialer import openapi
from dialer.desk import Desk
from dialer.engine import Engine
from dialer.live import open_calls
from dialer.localization import Localization
from dialer.mailing import MailingLead, locate, read_mailing
from dialer.outbox import Outbox
from dialer.pbx import ATTEMPT_ID, OPERATOR_ID, AsteriskPbx
from dialer.settings import ANY_HOUR
from dialer.store import CampaignRow, Store
from zanc_pipeline import __version__
from zanc_pipeline.common.errors import (
    ConfigError,
    ConflictError,
    DataError,
    StackError,
    UnavailableError,
    ZancError,
)
from zanc_pipeline.common.migrations import require
from zanc_pipeline.common.outcomes import Tabulation
from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024
MAX_ATTEMPTS = 1000
MAX_POLL_SECONDS = 60.0
DRAIN_SECONDS = 5.0

_CAMPAIGN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NotFound(ZancError):
    """The address names something that does not exist."""


class Unauthorized(ZancError):
    """No token, or not one that may do this."""


_STATUS: tuple[tuple[type[ZancError], int], ...] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (ConflictError, 409),
    (UnavailableError, 503),
    (DataError, 400),
    (ConfigError, 400),
)


class Dialer:
    """The parts of the running process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings)
        self.localization = Localization(settings)
        scale = settings.world.time_scale if settings.world.enabled else 1.0
        any_hour = settings.world.enabled and settings.world.any_hour
        if any_hour:
            log.warning("dialer: the world is simulated (world.any_hour): it is called at any hour")
        self.engine = Engine(
            self.store,
            self.localization,
            hours=ANY_HOUR if any_hour else None,
            time_scale=scale,
        )
        central = settings.central
        log_folder = settings.var / "asterisk" / "central" / "log"
        self.pbx = AsteriskPbx(
            name="central",
            host=central.host or "127.0.0.1",  # ours listens nowhere else, whatever settings.host
            port=central.ami_port,
            user=central.ami_user,
            secret=central.ami_secret,
            log_folder=log_folder if central.embedded else None,
            on_event=self.engine.notice,
            on_change=self.engine.pbx_changed,
        )
        self.engine.add_pbx(self.pbx)
        self.desk = Desk(self.engine, self.store)
        self.outbox = Outbox(self.store, self.localization)
        self.token = settings.secret("dialer_token")

    def application(self) -> Application:
        """The routes."""
        shared = {"dialer": self}
        return Application(
            [
                (r"/healthz", _Health, shared),
                (r"/openapi\.json", _OpenApi, shared),
                (r"/metrics", _Metrics, shared),
                (r"/v1/campaigns", _Campaigns, shared),
                (r"/v1/campaigns/([^/]+)", _Campaign, shared),
                (r"/v1/campaigns/([^/]+)/attempts", _Attempts, shared),
                (r"/v1/campaigns/([^/]+)/(pause|resume|stop)", _CampaignOrder, shared),
                (r"/v1/operators/([^/]+)/(login|logout|pause|ready)", _OperatorOrder, shared),
                (r"/v1/operators/([^/]+)/tabulate", _Tabulate, shared),
                (r"/v1/operators/([^/]+)/events", _OperatorNews, shared),
            ],
            default_handler_class=_Unknown,
            default_handler_args=shared,
            log_function=_log_request,
        )

    def operator_token(self, operator: str) -> str | None:
        """The token of an operator, None when nobody was given one."""
        if OPERATOR_ID.fullmatch(operator) is None:
            return None
        name = f"operator_token_{operator}"
        if not (self.settings.var / "secrets" / name).is_file():
            return None
        return self.settings.secret(name)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises StackError when the port is taken, ConflictError when another dialer took over.
    """
    await _wait_for_our_tables(settings)
    dialer = Dialer(settings)
    server = HTTPServer(dialer.application(), max_body_size=MAX_BODY_BYTES)
    port = settings.dialer.port
    try:
        server.listen(port, settings.host)
    except OSError as error:
        raise StackError(
            f"dialer: port {port} can't be used ({error.strerror}): set ZANC_DIALER__PORT"
        ) from None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("dialer: listening on %s:%d", settings.host, port)
    jobs = [
        asyncio.create_task(job)
        for job in (dialer.engine.run(), dialer.pbx.run(), dialer.outbox.run(), stop.wait())
    ]
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        if jobs[-1] in done:
            log.info("dialer: stopping")
            await dialer.engine.drain(DRAIN_SECONDS)
            with contextlib.suppress(UnavailableError):
                async with asyncio.timeout(2):
                    await dialer.outbox.flush()
        else:
            for job in done:
                await job
    except TimeoutError:
        log.info("dialer: some calls are sent to localization at the next start")
    finally:
        server.stop()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await dialer.localization.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await dialer.store.close()


async def _wait_for_our_tables(settings: Settings) -> None:
    reported = False
    while True:
        try:
            await asyncio.to_thread(require, settings, "dialer")
            return
        except UnavailableError as error:
            if not reported:
                log.warning("dialer: %s; waiting", error)
                reported = True
            await asyncio.sleep(1)


class _Handler(RequestHandler):
    """Tokens, JSON and errors of all routes."""

    def initialize(self, dialer: Dialer) -> None:
        self.dialer = dialer

    def set_default_headers(self) -> None:
        self.set_header("Server", "zanc-dialer")
        self.set_header("Cache-Control", "no-store")

    def authorize(self, operator: str | None = None) -> None:
        """Admit the dialer's token, and for ``operator`` its own."""
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        own = None if operator is None else self.dialer.operator_token(operator)
        for token in (self.dialer.token, own):
            known = token is not None and hmac.compare_digest(given.encode(), token.encode())
            if known and scheme == "Bearer":
                return
        raise Unauthorized("send 'Authorization: Bearer TOKEN' with a token that may do this")

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
        self.finish(json.dumps(content, default=_json, ensure_ascii=False))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of ours by their kind, all others without detail."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        message = self._reason
        if isinstance(error, ZancError):
            message = str(error)
            status_code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        if status_code == 503:
            self.set_header("Retry-After", "2")
        if status_code == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.answer({"error": message}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """What we raise on purpose is told to the client; only the rest is news."""
        if not isinstance(value, ZancError):
            super().log_exception(typ, value, tb)


class _Unknown(_Handler):
    def prepare(self) -> None:
        raise NotFound("there is nothing at this address; see /openapi.json")


class _Health(_Handler):
    async def get(self) -> None:
        engine = self.dialer.engine
        problem = "" if engine.ready else "the dialer is starting"
        try:
            async with asyncio.timeout(3):
                await self.dialer.store.count_outbox()
        except (TimeoutError, UnavailableError) as error:
            problem = str(error) or "the database is slow"
        pbxs = {name: pbx.connected for name, pbx in engine.pbxs.items()}
        content = {"status": problem or "ok", "pbx": pbxs}
        self.answer(content, 503 if problem else 200)


class _OpenApi(_Handler):
    def get(self) -> None:
        self.answer(openapi.document(__version__))


class _Metrics(_Handler):
    async def get(self) -> None:
        self.authorize()
        engine = self.dialer.engine
        outbox = await self.dialer.store.count_outbox()
        lines = [
            "# TYPE zanc_dialer_open_calls gauge",
            f"zanc_dialer_open_calls {open_calls(engine.floor.calls.values())}",
            "# TYPE zanc_dialer_campaigns gauge",
            f"zanc_dialer_campaigns {len(engine.campaigns)}",
            "# TYPE zanc_dialer_operators gauge",
            *(
                f'zanc_dialer_operators{{state="{state}"}} {count}'
                for state, count in sorted(engine.floor.by_state().items())
            ),
            "# TYPE zanc_dialer_attempts_total counter",
            *(
                f'zanc_dialer_attempts_total{{outcome="{outcome}"}} {count}'
                for outcome, count in sorted(engine.ended.items())
            ),
            "# TYPE zanc_dialer_pbx_up gauge",
            *(
                f'zanc_dialer_pbx_up{{pbx="{name}"}} {int(pbx.connected)}'
                for name, pbx in engine.pbxs.items()
            ),
            "# TYPE zanc_dialer_outbox gauge",
            *(f'zanc_dialer_outbox{{state="{state}"}} {count}' for state, count in outbox.items()),
        ]
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish("\n".join(lines) + "\n")


class _Campaigns(_Handler):
    async def get(self) -> None:
        self.authorize()
        rows = await self.dialer.store.campaigns()
        self.answer({"campaigns": [_summary(row) for row in rows]})


class _Campaign(_Handler):
    async def get(self, campaign_id: str) -> None:
        self.authorize()
        row = await _known(self.dialer, campaign_id)
        figures = await self.dialer.store.figures(row)
        live = self.dialer.engine.campaigns.get(campaign_id)
        content = _summary(row) | figures
        content["operators"] = self.dialer.engine.floor.by_state()
        content["why"] = "" if live is None else live.why
        self.answer(content)

    async def put(self, campaign_id: str) -> None:
        self.authorize()
        if _CAMPAIGN_ID.fullmatch(campaign_id) is None:
            raise DataError("a campaign's id is letters, digits and . _ - (at most 100)")
        body = self.body()
        if set(body) != {"name", "settings", "mailing", "sha256"}:
            raise DataError("send exactly name, settings, mailing and sha256")
        name, mailing, sha256 = (_text(body, key) for key in ("name", "mailing", "sha256"))
        if not isinstance(body["settings"], dict):
            raise DataError("settings must be an object: the campaign's discador section")
        if _SHA256.fullmatch(sha256) is None:
            raise DataError("sha256 must be 64 hexadecimal digits")

        async def read_leads() -> list[MailingLead]:
            path = locate(self.dialer.settings.var, mailing)
            return await asyncio.to_thread(read_mailing, path, sha256)

        added = await self.dialer.desk.submit(
            campaign_id,
            name=name,
            settings=body["settings"],
            mailing=mailing,
            sha256=sha256,
            read_leads=read_leads,
        )
        row = await _known(self.dialer, campaign_id)
        self.answer(_summary(row), 201 if added else 200)


class _CampaignOrder(_Handler):
    async def post(self, campaign_id: str, order: str) -> None:
        self.authorize()
        await _known(self.dialer, campaign_id)
        await self.dialer.desk.control(campaign_id, order)
        self.answer(_summary(await _known(self.dialer, campaign_id)))


class _Attempts(_Handler):
    async def get(self, campaign_id: str) -> None:
        self.authorize()
        await _known(self.dialer, campaign_id)
        limit = self.get_query_argument("limit", "200")
        if _WHOLE.fullmatch(limit) is None or not 1 <= int(limit) <= MAX_ATTEMPTS:
            raise DataError(f"limit must be a whole number from 1 to {MAX_ATTEMPTS}")
        after = self.get_query_argument("after", None)
        if after is not None and ATTEMPT_ID.fullmatch(after) is None:
            raise DataError("after must be the id of the last attempt already read")
        rows = await self.dialer.store.closed_attempts(campaign_id, after, int(limit))
        self.answer({"attempts": [_attempt(row) for row in rows]})


class _OperatorOrder(_Handler):
    async def post(self, operator: str, order: str) -> None:
        self.authorize(operator)
        desk = self.dialer.desk
        match order:
            case "login":
                await desk.login(operator)
            case "logout":
                await desk.leave(operator, "offline")
            case "pause":
                await desk.leave(operator, "paused")
            case "ready":
                await desk.make_ready(operator)
        agent = self.dialer.engine.floor.agents.get(operator)
        self.answer({"operator": operator, "state": agent.state if agent else "offline"})


class _Tabulate(_Handler):
    async def post(self, operator: str) -> None:
        self.authorize(operator)
        body = self.body()
        tabulation = _text(body, "tabulation")
        if tabulation not in {one.value for one in Tabulation}:
            raise DataError(f"tabulation must be one of {', '.join(Tabulation)}")
        await self.dialer.desk.tabulate(
            operator,
            _text(body, "attempt"),
            Tabulation(tabulation),
            _date(body.get("promise_date")),
            _amount(body.get("promise_amount")),
        )
        self.answer(self.dialer.engine.floor.card(operator))


class _OperatorNews(_Handler):
    async def get(self, operator: str) -> None:
        self.authorize(operator)
        after = self.get_query_argument("after", "")
        seconds = self.get_query_argument("timeout", "25")
        if after and _WHOLE.fullmatch(after) is None:
            raise DataError("after must be the sequence of the last answer")
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds, re.ASCII) is None:
            raise DataError("timeout must be a number of seconds")
        self.dialer.engine.require_ready()
        card = await self.dialer.engine.floor.news(
            operator, int(after) if after else None, min(float(seconds), MAX_POLL_SECONDS)
        )
        self.answer(card)


async def _known(dialer: Dialer, campaign_id: str) -> CampaignRow:
    valid = _CAMPAIGN_ID.fullmatch(campaign_id) is not None
    row = await dialer.store.campaign(campaign_id) if valid else None
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id[:100]!r}")
    return row


def _summary(row: CampaignRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "reason": row.reason,
        "mailing": row.mailing,
        "submitted_at": row.submitted_at,
        "finished_at": row.finished_at,
    }


_ATTEMPT_FIELDS = (
    "id", "number", "lead_id", "cpf", "phone", "crm", "convenio", "contract", "pbx", "operator",
    "placed", "outcome", "tabulation", "promise_date", "promise_amount", "hangup_cause",
    "created_at", "ringing_at", "answered_at", "detected_at", "connected_at", "ended_at",
)  # fmt: skip


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    return {field: row[field] for field in _ATTEMPT_FIELDS}


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 500 or not value.isprintable():
        raise DataError(f"{key} must be a text of one line")
    return value


def _date(value: object) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise DataError("promise_date must be a date as 2026-12-31") from None


def _amount(value: object) -> Decimal | None:
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


def _json(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _log_request(handler: RequestHandler) -> None:
    request: HTTPServerRequest = handler.request
    if handler.get_status() >= 500 and handler.get_status() != 503:
        log.error("dialer: %s %s: %d", request.method, request.path, handler.get_status())
