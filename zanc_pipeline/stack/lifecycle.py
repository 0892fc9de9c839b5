"""Brings the whole stack up and down, one visible step at a time."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.locks import only_one
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk, parts, postgres
from zanc_pipeline.stack.supervisor import (
    MARK,
    Process,
    Supervisor,
    end,
    left_behind,
    runtime_folder,
)

Progress = Callable[[str], None]

_GUARD = "guard"


def up(settings: Settings, progress: Progress) -> None:
    """Start everything that does not run yet and wait until each part answers.

    A second call finds all of it running and does nothing. Raises StackError, in one line, when a
    port is taken or a part does not come up; what was started is then stopped again.
    """
    busy = StackError("another 'zanc up' of this folder is running")
    with only_one(settings.var / "run" / "up.lock", busy):
        supervisor = Supervisor(settings)
        fresh = not supervisor.running()
        if fresh:
            end(left_behind(settings))
        _check_ports(settings, supervisor, parts.processes(settings))
        # Downloads and migrations are ours too, should we be killed while they run.
        os.environ[MARK] = str(settings.var)
        # A stack that works is not taken down because one more start of it fails or is killed.
        unfinished = fresh or supervisor.state(_GUARD) == "RUNNING"
        try:
            _install(settings, progress)
            waves = parts.processes(settings)
            everything = [process for wave in waves for process in wave]
            supervisor.start([*everything, *([_guard()] if unfinished else [])])
            if unfinished:
                supervisor.launch(_GUARD)
            if not settings.postgres.embedded:
                prepare(settings, progress)
            for wave in waves:
                _start_wave(supervisor, wave, progress)
                if wave[0].name == "postgres":
                    prepare(settings, progress)
            if unfinished:
                supervisor.stop(_GUARD)
        except BaseException:
            if unfinished:
                progress("stopping what was started")
                down(settings, progress)
            raise


def down(settings: Settings, progress: Progress) -> None:
    """Stop every process of this stack; nothing of it runs afterwards."""
    supervisor = Supervisor(settings)
    if supervisor.running():
        progress("stopping all processes")
        for wave in reversed(parts.processes(settings)):
            supervisor.stop_together(wave)
        supervisor.shutdown()
    orphans = left_behind(settings)
    if orphans:
        progress(f"ending {len(orphans)} processes that an earlier run left")
        end(orphans)
    for instance in parts.instances(settings).values():
        asterisk.remove_short_folder(instance)
    shutil.rmtree(runtime_folder(settings), ignore_errors=True)


def status(settings: Settings) -> list[dict[str, object]]:
    """For each part: its name, supervisord's state, whether it answers, its ports and its log."""
    supervisor = Supervisor(settings)
    running = supervisor.running()
    everything = [process for wave in parts.processes(settings) for process in wave]

    def look(process: Process) -> dict[str, object]:
        state = supervisor.state(process.name) if running else "STOPPED"
        return {
            "name": process.name,
            "title": process.title,
            "state": state,
            "healthy": state == "RUNNING" and process.healthy(),
            "ports": list(process.ports),
            "log": str(supervisor.log(process.name)),
        }

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(look, everything))


def _check_ports(settings: Settings, supervisor: Supervisor, waves: list[list[Process]]) -> None:
    alive = supervisor.running()
    for process in (process for wave in waves for process in wave):
        if alive and supervisor.state(process.name) in {"RUNNING", "STARTING", "BACKOFF"}:
            continue
        for port in process.ports:
            _check_port(settings.host, port, socket.SOCK_STREAM, process.title)
        for port in process.udp_ports:
            _check_port(settings.host, port, socket.SOCK_DGRAM, process.title)


def _check_port(host: str, port: int, kind: socket.SocketKind, title: str) -> None:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:  # of a UDP port it would allow a second owner
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                raise StackError(f"{host}:{port} ({title}) can't be used: {reason}") from None
            raise StackError(
                f"port {port} ({title}) is taken by another program: stop it, or "
                "change the port in config/stack.yaml, or set ZANC_PORT_OFFSET=100"
            ) from None


def _install(settings: Settings, progress: Progress) -> None:
    if settings.postgres.embedded:
        postgres.initialise(settings)
    if settings.airflow.embedded:
        parts.write_airflow_passwords(settings)
    if settings.mlflow.embedded:
        parts.write_mlflow_auth(settings)
    instances = parts.instances(settings)
    if instances:
        _install_telephony(settings, {each.version for each in instances.values()}, progress)
    running = Supervisor(settings)
    for name, instance in instances.items():
        if not (running.running() and running.state(name) == "RUNNING"):
            asterisk.render(instance)


def _install_telephony(
    settings: Settings, versions: set[asterisk.Version], progress: Progress
) -> None:
    speech = import_module("zanc_pipeline.world.speech")
    espeak = parts.cache_folder(settings) / "espeak"
    with ThreadPoolExecutor(3) as pool:
        fetched = [
            pool.submit(asterisk.install, version, parts.asterisk_root(settings, version), progress)
            for version in sorted(versions)
        ]
        fetched.append(pool.submit(speech.install, espeak, progress))
        for each in fetched:
            each.result()
    speech.ensure_speech(parts.speech_folder(settings), espeak, progress)


def prepare(settings: Settings, progress: Progress) -> None:
    """Databases and tables of ours, and Airflow's migration: each does nothing when done."""
    postgres.create_databases(settings)
    progress("databases and tables")
    for line in migrate(settings):
        progress(line)
    import_module("zanc_pipeline.crm.service").ensure(settings)
    settings.secret("metrics_token")  # a Prometheus beside the stack reads the file
    if settings.airflow.embedded:
        progress("Airflow's database")
        _migrate_airflow(settings)


def _migrate_airflow(settings: Settings) -> None:
    log = settings.var / "log" / "airflow-migrate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(
            [str(parts.BIN / "airflow"), "db", "migrate"],
            env={**os.environ, **parts.airflow_environment(settings)},
            cwd=settings.root,
            stdout=output,
            stderr=output,
            check=False,
            timeout=300,
        )
    if done.returncode != 0:
        raise StackError(f"Airflow's database could not be migrated: see {log}")


def _start_wave(supervisor: Supervisor, wave: list[Process], progress: Progress) -> None:
    began = time.monotonic()
    waiting = {process.name: process for process in wave}
    for process in wave:
        supervisor.launch(process.name)
    while waiting:
        for process in list(waiting.values()):
            seconds = time.monotonic() - began
            if process.healthy():
                progress(f"{process.title} is up ({seconds:.0f} s)")
                del waiting[process.name]
            elif (
                supervisor.state(process.name) in {"FATAL", "STOPPED"}
                or seconds > process.start_seconds
            ):
                raise StackError(
                    f"{process.title} did not come up: see {supervisor.log(process.name)}"
                )
        time.sleep(0.25)


def _guard() -> Process:
    return Process(
        name=_GUARD,
        title="guard of this start",
        command=[sys.executable, "-m", "zanc_pipeline.stack.guard", str(os.getpid())],
        healthy=lambda: True,
    )
