"""supervisord: writes its configuration, starts it, speaks to it, and finds what it left behind."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.settings import Settings

MARK = "ZANC_STACK_VAR"
"""Every process of a stack carries this environment variable: the folder of its state."""

_STOPPED_MEANWHILE = "the stack was stopped meanwhile; start it again with 'zanc up'"


_AT_REST = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


@dataclass(frozen=True, kw_only=True)
class Process:
    """One supervised process and how to know that it works."""

    name: str
    title: str
    command: list[str]
    healthy: Callable[[], bool]
    ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = 15
    stop_children: bool = True
    start_seconds: int = 300
    restarts: int = 5
    """Attempts in a row, each a second later than the one before, until it is given up."""
    umask: str = "022"


def runtime_folder(settings: Settings) -> Path:
    """A short private folder for unix sockets, whose paths may not exceed 107 characters."""
    digest = hashlib.sha256(str(settings.var).encode()).hexdigest()[:10]
    path = Path(tempfile.gettempdir()) / f"zanc-{os.geteuid()}-{digest}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise StackError(f"{path} belongs to another user or is open to others: remove it")
    return path


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = runtime_folder(settings) / "supervisor.sock"
        self._config = settings.var / "supervisor" / "supervisord.conf"

    @property
    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport).supervisor

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return bool(self._rpc.getState()["statename"] in {"RUNNING", "RESTARTING"})
        except (OSError, Error, ConnectionError):
            return False

    def start(self, processes: list[Process]) -> None:
        """Start supervisord, or have the running one take the processes that changed."""
        self._write_config(processes)
        if self.running():
            self._reload()
            return
        self._socket.unlink(missing_ok=True)
        environment = {**os.environ, MARK: str(self._settings.var)}
        binary = Path(sys.executable).with_name("supervisord")
        done = subprocess.run(
            [str(binary), "-c", str(self._config)],
            env=environment,
            cwd=self._settings.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        deadline = time.monotonic() + 120
        while not self.running():
            if done.returncode != 0 or time.monotonic() > deadline:
                reason = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
                raise StackError(f"supervisord did not start: {reason[0]}")
            time.sleep(0.1)

    def _reload(self) -> None:
        try:
            added, changed, removed = self._rpc.reloadConfig()[0]
            for name in removed + changed:
                self._rpc.stopProcessGroup(name)
                self._rpc.removeProcessGroup(name)
            for name in changed + added:
                self._rpc.addProcessGroup(name)
        except Fault as fault:
            raise StackError(f"supervisord refuses its settings: {fault.faultString}") from None
        except (OSError, Error):
            raise StackError(_STOPPED_MEANWHILE) from None

    def launch(self, name: str) -> None:
        """Start one process unless it runs."""
        self._order("startProcess", name, False, fine="ALREADY_STARTED", what="started")

    def stop(self, name: str) -> None:
        """Stop one process unless it is stopped, and wait for its end."""
        self._order("stopProcess", name, True, fine="NOT_RUNNING", what="stopped")

    def _order(self, method: str, name: str, wait: bool, *, fine: str, what: str) -> None:
        try:
            getattr(self._rpc, method)(name, wait)
        except Fault as fault:
            if fine not in fault.faultString:
                raise StackError(f"{name} could not be {what}: {fault.faultString}") from None
        except (OSError, Error):
            raise StackError(_STOPPED_MEANWHILE) from None

    def state(self, name: str) -> str:
        """supervisord's word for the process: RUNNING, STARTING, STOPPED, BACKOFF, FATAL, …"""
        try:
            return str(self._rpc.getProcessInfo(name)["statename"])
        except (OSError, Error):
            return "STOPPED"

    def stop_together(self, processes: list[Process]) -> None:
        """Ask the processes to stop at the same time, and wait until all of them have."""
        for process in processes:
            # A process that does not run need not be stopped; supervisord says so by a fault.
            with suppress(Fault):
                self._rpc.stopProcess(process.name, False)
        deadline = time.monotonic() + max(process.stop_seconds for process in processes) + 5
        while time.monotonic() < deadline:
            if all(self.state(process.name) in _AT_REST for process in processes):
                return
            time.sleep(0.1)

    def shutdown(self) -> None:
        """Stop every process and supervisord itself, and wait until they are gone."""
        try:
            pid = int(self._rpc.getPID())
            daemon = psutil.Process(pid)
            self._rpc.shutdown()
        except (OSError, Error, psutil.NoSuchProcess):
            return
        try:
            daemon.wait(90)
        except psutil.TimeoutExpired:
            daemon.kill()

    def log(self, name: str) -> Path:
        """Where the output of a process is kept."""
        return self._settings.var / "log" / f"{name}.log"

    def _write_config(self, processes: list[Process]) -> None:
        base = self._settings.var
        for folder in (self._config.parent, base / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        lines = [
            "[unix_http_server]",
            f"file={_escape(self._socket)}",
            "chmod=0600",
            "[supervisord]",
            f"logfile={_escape(base / 'log' / 'supervisord.log')}",
            f"pidfile={_escape(base / 'supervisor' / 'supervisord.pid')}",
            f"childlogdir={_escape(base / 'log')}",
            "loglevel=info",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        if os.geteuid() == 0:
            lines.insert(lines.index("[supervisord]") + 1, "user=root")
        for process in processes:
            lines += self._section(process)
        self._config.touch(mode=0o600)
        self._config.chmod(0o600)
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _section(self, process: Process) -> list[str]:
        environment = ",".join(
            f"{key}={_quote(value)}" for key, value in sorted(process.environment.items())
        )
        return [
            f"[program:{process.name}]",
            f"command={_escape(shlex.join(process.command))}",
            f"directory={_escape(self._settings.root)}",
            f"environment={environment}",
            f"umask={process.umask}",
            "autostart=false",
            "autorestart=true",
            "startsecs=1",
            f"startretries={process.restarts}",
            f"stopsignal={process.stop_signal}",
            f"stopwaitsecs={process.stop_seconds}",
            f"stopasgroup={str(process.stop_children).lower()}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escape(self.log(process.name))}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
        ]


def _escape(value: object) -> str:
    text = str(value)
    if " ;" in text or " #" in text:
        raise StackError(f"supervisord would read a comment in '{text}': take another path")
    return text.replace("%", "%%")


def _quote(value: str) -> str:
    """supervisord knows quotes but no escape for them."""
    mark = "'" if '"' in value else '"'
    if mark in value or "\n" in value:
        raise StackError("an environment value may not hold both kinds of quotes or a newline")
    return f"{mark}{_escape(value)}{mark}"


def left_behind(settings: Settings) -> list[psutil.Process]:
    """Processes of this stack that still run, found by the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(settings.var):
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(processes: list[psutil.Process], *, patience: float = 10) -> None:
    """Ask the processes to stop, then kill those that did not."""
    for process in processes:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=5)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
