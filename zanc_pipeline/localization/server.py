"""The processes of the localization service: start, share a port, watch, drain and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from zanc_pipeline.common.errors import StackError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization.access_log import AccessLog, configure
from zanc_pipeline.localization.audit import Audit
from zanc_pipeline.localization.metrics import Board, Metrics
from zanc_pipeline.localization.rules import Rules, load_rules
from zanc_pipeline.localization.service import ROUTES, Service, application
from zanc_pipeline.localization.store import Store
from zanc_pipeline.localization.tokens import own_grants, with_table

DRAIN_SECONDS = 20.0
_ANY_BODY = 2**50
"""The routes see to the size of a body themselves."""

BACKLOG = 4096
IDLE_SECONDS = 120.0
"""For the next request's headers to be there, whole."""

BODY_SECONDS = 30.0
"""For a request's body to be there, whole."""

UNREAD_SECONDS = 60.0
"""So long may a caller leave its answer unread."""

TOKENS_SECONDS = 5.0
TEND_SECONDS = 3600.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("zanc.localization")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered and return.

    One process a core unless ``localization.processes`` says otherwise; one that dies is started
    again. Raises StackError when the port is taken, ConfigError for wrong rules.
    """
    configure()
    _raise_file_limit()
    rules, port = load_rules(settings), settings.localization.port
    count = settings.localization.processes or os.cpu_count() or 1
    board = Board(processes=count, routes=ROUTES, crms=settings.crms)
    own_grants(settings)  # the secrets are made here, not by several processes at once
    # Bound without SO_REUSEPORT first: with it, a second service would silently share the port.
    sockets = _bind(settings.host, port)
    if count == 1:
        _run(settings, rules, board, 0, sockets)
        return
    for probe in sockets:
        probe.close()
    _supervise(settings, rules, board, count)


def _bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    try:
        sockets = bind_sockets(port, host, backlog=BACKLOG, reuse_port=reuse_port)
    except OSError as error:
        raise StackError(
            f"localization cannot listen on {host}:{port}: {error.strerror}; stop what uses the "
            "port or set localization.port in config/stack.yaml"
        ) from None
    for one in sockets:  # what is accepted there inherits it
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
    return sockets


def _raise_file_limit() -> None:
    """Thousands of connections need as many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _supervise(settings: Settings, rules: Rules, board: Board, count: int) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for one in _SIGNALS:
        signal.signal(one, stop)
    workers: dict[int, int] = {}
    while not stopping:
        for number in sorted(set(range(count)) - set(workers.values())):
            workers[_fork(settings, rules, board, number)] = number
        time.sleep(0.2)
        for pid in list(workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                number = workers.pop(pid)
                _log.error("process %d ended with status %d: started again", number, status)
                time.sleep(1)
    _stop(set(workers))


def _fork(settings: Settings, rules: Rules, board: Board, number: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for one in _SIGNALS:  # the parent's handler would swallow one that comes early
            signal.signal(one, signal.SIG_DFL)
        sockets = _bind(settings.host, settings.localization.port, reuse_port=True)
        # The parent may be killed before or after this process is up: it must not be left alone.
        _run(settings, rules, board, number, sockets, alone=lambda: os.getppid() != parent)
        status = 0
    except BaseException:
        _log.exception("process %d failed", number)
    finally:
        os._exit(status)


def _stop(workers: set[int]) -> None:
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_SECONDS + 10
    while workers:
        for pid in list(workers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                workers.discard(pid)
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _run(
    settings: Settings,
    rules: Rules,
    board: Board,
    number: int,
    sockets: list[socket.socket],
    *,
    alone: Callable[[], bool] = lambda: False,
) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, rules, Metrics(board, number), sockets, alone, number == 0))


async def _serve(
    settings: Settings,
    rules: Rules,
    metrics: Metrics,
    sockets: list[socket.socket],
    alone: Callable[[], bool],
    tends: bool,
) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    store = Store(settings, rules)
    service = Service(
        store=store,
        metrics=metrics,
        audit=Audit(settings, store.audit),
        access=AccessLog(),
        grants=own_grants(settings),
    )
    server = HTTPServer(
        application(service),
        max_body_size=_ANY_BODY,
        idle_connection_timeout=IDLE_SECONDS,
        body_timeout=BODY_SECONDS,
    )
    with suppress(UnavailableError):  # revoked tokens are refused from the first request on
        await _read_tokens(settings, service)
    chores = [loop.create_task(_watch_tokens(settings, service))]
    if tends:
        chores.append(loop.create_task(_tend(store)))
    notes = loop.create_task(service.audit.run())
    server.add_sockets(sockets)
    _log.info("listening on %s:%d", settings.host, settings.localization.port)
    while not stopping.is_set() and not alone():
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), timeout=1)
    _log.info("draining")
    service.draining = True
    server.stop()
    try:
        await asyncio.wait_for(metrics.idle.wait(), timeout=DRAIN_SECONDS)
    except TimeoutError:
        _log.warning("some requests were not answered in %.0f s", DRAIN_SECONDS)
    await asyncio.sleep(0.05)  # the last answers leave
    await server.close_all_connections()
    for chore in (*chores, notes):
        chore.cancel()
    await asyncio.gather(*chores, notes, return_exceptions=True)
    service.access.flush()
    await store.close()
    _log.info("stopped")


async def _read_tokens(settings: Settings, service: Service) -> None:
    rows = await service.store.tokens()
    service.grants = with_table(own_grants(settings), rows, settings.crms)


async def _watch_tokens(settings: Settings, service: Service) -> None:
    """A token that was given out or revoked counts within seconds."""
    while True:
        await asyncio.sleep(TOKENS_SECONDS)
        with suppress(UnavailableError):
            await _read_tokens(settings, service)


async def _tend(store: Store) -> None:
    while True:
        try:
            await store.tend()
        except UnavailableError as error:
            _log.warning("%s; months and old notes are seen to later", error)
            await asyncio.sleep(5)
            continue
        await asyncio.sleep(TEND_SECONDS)
