"""The dialer's HTTP service (Tornado) and the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable

from tornado.httpserver import HTTPServer
from tornado.web import Application

from dialer import campaign_api, live_api, operator_api, pbx_api, rules_api
from dialer.alo.attach import attach, model_of
from dialer.desk import Desk
from dialer.engine import Engine
from dialer.handlers import log_request
from dialer.localization import Localization
from dialer.orders import Orders
from dialer.outages import Watch
from dialer.outbox import Outbox
from dialer.pbx import OPERATOR_ID, AsteriskPbx
from dialer.rulebook import Rulebook
from dialer.settings import ANY_HOUR
from dialer.store import Store
from dialer.trunks import PbxLimits, TrunkLimits
from dialer.web.people import Backgrounds, People
from dialer.web.routes import routes
from dialer.web.sessions import Sessions
from dialer.web.wall_pages import Wall
from zanc_pipeline.common.errors import StackError, UnavailableError
from zanc_pipeline.common.migrations import require
from zanc_pipeline.common.settings import CentralSettings, Settings

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024
DRAIN_SECONDS = 5.0


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
            book=Rulebook(settings.config, any_hour=any_hour),
        )
        self.pbxs = [self._pbx(name, central) for name, central in settings.used_centrais.items()]
        if settings.dialer.who_answers == "model":
            model = model_of(settings.var)
            for pbx in self.pbxs:
                attach(pbx, model, settings.dialer.ears)
        self.desk = Desk(self.engine, self.store)
        self.orders = Orders(self.engine, self.store)
        self.outbox = Outbox(self.store, self.localization)
        self.token = settings.secret("dialer_token")
        self.sessions = Sessions(self.store)
        self.people = People(settings)
        self.backgrounds = Backgrounds(self.people)
        self.wall = Wall(self)
        self.creditors = {
            name: str(convenio.get("nome") or name) for name, convenio in settings.convenios.items()
        }

    def _pbx(self, name: str, central: CentralSettings) -> AsteriskPbx:
        log_folder = self.settings.var / "asterisk" / name / "log"
        made = AsteriskPbx(
            name=name,
            host=central.host or "127.0.0.1",  # ours listens nowhere else, whatever settings.host
            port=central.ami_port,
            user=central.ami_user,
            secret=central.ami_secret,
            tls=central.ami_tls,
            ca=central.ami_ca,
            log_folder=log_folder if central.embedded else None,
            on_event=self.engine.notice,
            on_change=self.engine.pbx_changed,
        )
        limits = PbxLimits(
            lines=central.lines,
            calls_per_second=central.calls_per_second,
            trunks={
                trunk: TrunkLimits(lines=one.lines, calls_per_second=one.calls_per_second)
                for trunk, one in central.trunks.items()
            },
        )
        self.engine.add_pbx(made, limits)
        return made

    def application(self) -> Application:
        """The routes."""
        shared = {"dialer": self}
        operator = r"/v1/operators/([^/]+)"
        campaign = r"/v1/campaigns/([^/]+)"
        return Application(
            [
                (r"/healthz", live_api.Health, shared),
                (r"/openapi\.json", live_api.OpenApi, shared),
                (r"/metrics", live_api.Metrics, shared),
                (r"/v1/live", live_api.Live, shared),
                (r"/v1/figures", live_api.Figures, shared),
                (r"/v1/pbxs/([^/]+)/(drain|use)", pbx_api.PbxOrder, shared),
                (r"/v1/audit", campaign_api.Audit, shared),
                (r"/v1/leads/withdraw", campaign_api.Withdraw, shared),
                (r"/v1/opt-outs", rules_api.OptOuts, shared),
                (r"/v1/callbacks", rules_api.Callbacks, shared),
                (r"/v1/callbacks/([^/]+)/drop", rules_api.DropCallback, shared),
                (rf"{campaign}/evidence", rules_api.Evidence, shared),
                (r"/v1/attempts/([^/]+)/recording", rules_api.Recording, shared),
                (r"/v1/campaigns", campaign_api.Campaigns, shared),
                (campaign, campaign_api.Campaign, shared),
                (rf"{campaign}/attempts", campaign_api.Attempts, shared),
                (rf"{campaign}/settings", campaign_api.Settings, shared),
                (rf"{campaign}/(pause|resume|stop)", campaign_api.CampaignOrder, shared),
                (
                    rf"{operator}/(login|logout|pause|ready|call|skip)",
                    operator_api.OperatorOrder,
                    shared,
                ),
                (rf"{operator}/pause-reasons", operator_api.PauseReasons, shared),
                (rf"{operator}/tabulate", operator_api.Tabulate, shared),
                (rf"{operator}/events", operator_api.OperatorNews, shared),
                *routes(shared),
            ],
            default_handler_class=live_api.Unknown,
            default_handler_args=shared,
            log_function=log_request,
            websocket_ping_interval=20,
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
    tables = asyncio.create_task(_wait_for_our_tables(settings))

    async def once_they_are_there(work: Callable[[], Awaitable[None]]) -> None:
        await tables  # until then every question is answered that we are starting
        await work()

    jobs = [
        *(
            asyncio.create_task(once_they_are_there(work))
            for work in (
                dialer.engine.run,
                *(pbx.run for pbx in dialer.pbxs),
                dialer.outbox.run,
                Watch(settings, dialer.engine.pbxs).run,
            )
        ),
        asyncio.create_task(stop.wait()),
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
        await dialer.people.close()
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
