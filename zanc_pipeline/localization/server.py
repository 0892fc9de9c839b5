"""The processes of the localization service: start, share a port, drain and stop."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.logging import configure_logging
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization.metrics import Metrics
from zanc_pipeline.localization.rules import load_rules
from zanc_pipeline.localization.service import application
from zanc_pipeline.localization.store import Store

DRAIN_SECONDS = 20.0
DISCARDED_BODY_BYTES = 64 * 1024 * 1024
"""A body over the service's limit is read to its end up to this size, so that the caller hears
the 413 instead of a reset connection."""

_log = logging.getLogger("zanc.localization")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered and return.

    Raises StackError when the port is taken or a process of several dies.
    """
    part = settings.localization
    if part.processes == 1:
        _run(settings, _bind(settings.host, part.port))
        return
    # Bound without SO_REUSEPORT first: with it, a second service would silently share the port.
    for probe in _bind(settings.host, part.port):
        probe.close()
    _serve_by_several(settings)


def _bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    try:
        return bind_sockets(port, host, reuse_port=reuse_port)
    except OSError as error:
        raise StackError(
            f"localization cannot listen on {host}:{port}: {error.strerror}; stop what uses the "
            "port or set localization.port in config/stack.yaml"
        ) from None


def _serve_by_several(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_worker, args=(settings, os.getpid()), name=f"localization-{number}")
        for number in range(settings.localization.processes)
    ]
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for worker in workers:
        worker.start()
    while not stopping and all(worker.is_alive() for worker in workers):
        time.sleep(0.2)
    dead = None if stopping else next(worker for worker in workers if not worker.is_alive())
    _stop(workers)
    if dead is not None:
        raise StackError(f"{dead.name} ended with status {dead.exitcode}")


def _stop(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(DRAIN_SECONDS + 10)
        if worker.is_alive():
            worker.kill()


def _worker(settings: Settings, parent: int) -> None:
    configure_logging()
    sockets = _bind(settings.host, settings.localization.port, reuse_port=True)
    # The parent may be killed before or after this process is up: it must not be left alone.
    _run(settings, sockets, alone=lambda: os.getppid() != parent)


def _run(
    settings: Settings, sockets: list[socket.socket], *, alone: Callable[[], bool] | None = None
) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, sockets, alone))


async def _serve(
    settings: Settings, sockets: list[socket.socket], alone: Callable[[], bool] | None
) -> None:
    metrics, store = Metrics(), Store(settings, load_rules(settings))
    tokens = {crm: settings.secret(f"localization_token_{crm}") for crm in settings.crms}
    server = HTTPServer(
        application(store=store, metrics=metrics, tokens=tokens),
        max_body_size=DISCARDED_BODY_BYTES,
        idle_connection_timeout=120,
        body_timeout=30,
    )
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server.add_sockets(sockets)
    _log.info("listening on %s:%d", settings.host, settings.localization.port)
    while not stopping.is_set() and not (alone and alone()):
        try:
            await asyncio.wait_for(stopping.wait(), timeout=1)
        except TimeoutError:
            continue
    _log.info("draining")
    server.stop()
    try:
        await asyncio.wait_for(metrics.idle.wait(), timeout=DRAIN_SECONDS)
    except TimeoutError:
        _log.warning("some requests were not answered in %.0f s", DRAIN_SECONDS)
    await asyncio.sleep(0.05)  # the last answers leave
    await server.close_all_connections()
    await store.close()
    _log.info("stopped")
