"""What the local stack is made of: every process, its environment and its health."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.settings import AsteriskSettings, Settings
from zanc_pipeline.stack import asterisk, postgres
from zanc_pipeline.stack.supervisor import MARK, Process, left_behind

BIN = Path(sys.executable).parent

PEOPLES_PHONES = 2
"""Beside those of the simulated operators: for a person at the desk and one at the wall."""


def processes(settings: Settings) -> list[list[Process]]:
    """The processes to supervise, in waves: each wave needs those before it.

    Parts whose address is set in ``config/stack.yaml`` belong to somebody else and are left out.
    """
    waves = [
        [*_postgres(settings)],
        [*_airflow_api(settings), *_mlflow(settings), *_ftp(settings), *_asterisks(settings)],
        [*_localization(settings), *_airflow_workers(settings)],
        [*_dialer(settings)],
        [*_operators(settings)],
    ]
    return [wave for wave in waves if wave]


def instances(settings: Settings) -> dict[str, asterisk.AsteriskInstance]:
    """The Asterisks that the stack runs itself, by name."""
    world = settings.world
    operators = {
        name: settings.secret(f"sip_{name}")
        for name in asterisk.operator_names(world.operators + PEOPLES_PHONES)
    }
    trunk = {"trunk_secret": settings.secret("sip_trunk"), "speech_dir": speech_folder(settings)}
    centrais = settings.used_centrais
    extras: dict[str, dict[str, object]] = {
        name: {
            **trunk,
            "carrier_host": settings.carrier.host or asterisk.LOOPBACK,
            "carrier_port": settings.carrier.sip_port,
            "operator_secrets": operators,
            "trunks": tuple(central.trunks),
            "peers": {
                other: f"{peer.host or asterisk.LOOPBACK}:{peer.sip_port}"
                for other, peer in centrais.items()
                if other != name
            },
            "peer_secret": settings.secret("sip_peers"),
        }
        for name, central in centrais.items()
    }
    extras["carrier"] = {**trunk, "agi_port": world.agi_port}
    extras["phones"] = {
        "speech_dir": speech_folder(settings),
        "central_ports": {name: central.sip_port for name, central in centrais.items()},
        "operator_secrets": operators,
    }
    named: dict[str, AsteriskSettings] = {**centrais}
    if world.enabled:
        named |= {"carrier": settings.carrier, "phones": settings.phones}
    return {
        name: _instance(settings, name, pbx, extras[name])
        for name, pbx in named.items()
        if pbx.embedded
    }


def speech_folder(settings: Settings) -> Path:
    """Where the spoken audio lies."""
    return settings.var / "speech"


def asterisk_root(settings: Settings, version: int) -> Path:
    """Where an Asterisk version is unpacked."""
    return cache_folder(settings) / f"asterisk-{version}"


def cache_folder(settings: Settings) -> Path:
    """Downloads that are the same for every stack: ZANC_CACHE, else ``var/cache``."""
    named = os.environ.get("ZANC_CACHE")
    return Path(named).resolve() if named else settings.var / "cache"


def airflow_environment(settings: Settings) -> dict[str, str]:
    """What Airflow needs beside ``airflow.cfg``: addresses, folders and secrets of this stack."""
    home = settings.var / "airflow"
    api = settings.web_url(settings.airflow)
    key = hashlib.sha256(settings.secret("airflow_fernet").encode()).digest()
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AIRFLOW_HOME": str(home),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # Airflow's own, in every task's log
        "AIRFLOW_CONFIG": str(settings.root / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.root / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(key).decode(),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{settings.airflow.username}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": settings.host,
        "AIRFLOW__API__PORT": str(settings.airflow.port),
        "AIRFLOW__API__BASE_URL": api,
        "AIRFLOW__API__SECRET_KEY": settings.secret("airflow_api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.secret("airflow_jwt", length=64),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": settings.postgres.sqlalchemy_url("airflow"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.var / "log" / "airflow"),
        **_ours(settings),
    }


def write_airflow_passwords(settings: Settings) -> None:
    """Give Airflow's user the password that this stack generated."""
    path = settings.var / "airflow" / "passwords.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({settings.airflow.username: settings.airflow.password}))


def write_mlflow_auth(settings: Settings) -> None:
    """Write the file with MLflow's administrator, readable by its owner only."""
    path = _mlflow_auth_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    uri = settings.postgres.sqlalchemy_url("mlflow_auth").replace("%", "%%")
    path.write_text(
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = {uri}\n"
        f"admin_username = {settings.mlflow.username}\n"
        f"admin_password = {settings.mlflow.password.replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )


def _mlflow_auth_file(settings: Settings) -> Path:
    return settings.var / "mlflow" / "auth.ini"


def _ours(settings: Settings) -> dict[str, str]:
    """What every process of ours needs to find the same settings as the command that started it."""
    passed = {key: value for key, value in os.environ.items() if key.startswith("ZANC_")}
    return {
        **passed,
        MARK: str(settings.var),
        "ZANC_ROOT": str(settings.root),
        "ZANC_VAR": str(settings.var),
        "ZANC_PORT_OFFSET": str(settings.port_offset),
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # else Airflow's process titles overwrite the environment with the mark
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads starve the calls on a small machine
    }


def _http_ok(url: str) -> Callable[[], bool]:
    def healthy() -> bool:
        try:
            return httpx.get(url, timeout=3).status_code == 200
        except httpx.HTTPError:
            return False

    return healthy


def _tcp_open(host: str, port: int) -> Callable[[], bool]:
    import socket

    def healthy() -> bool:
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((host, port)) == 0

    return healthy


def _postgres(settings: Settings) -> Iterator[Process]:
    if settings.postgres.embedded:
        yield Process(
            name="postgres",
            title="PostgreSQL",
            command=postgres.command(settings),
            healthy=lambda: postgres.answers(settings),
            ports=(settings.postgres.port,),
            stop_signal="INT",
            stop_children=False,  # the postmaster ends its children itself, in order
            stop_seconds=30,
            # killed alone it may not start again before the long queries of its orphans have ended
            restarts=60,
        )


def _ftp(settings: Settings) -> Iterator[Process]:
    if settings.ftp.embedded:
        yield Process(
            name="ftp",
            title="FTP",
            command=_module("zanc_pipeline.stack.ftp"),
            healthy=_tcp_open(settings.host, settings.ftp.port),
            ports=(settings.ftp.port,),
            environment=_ours(settings),
        )


def _mlflow(settings: Settings) -> Iterator[Process]:
    if not settings.mlflow.embedded:
        return
    port = settings.mlflow.port
    yield Process(
        name="mlflow",
        title="MLflow",
        command=[
            str(BIN / "mlflow"),
            "server",
            "--app-name=basic-auth",
            f"--host={settings.host}",
            f"--port={port}",
            "--workers=1",
            f"--artifacts-destination={settings.var / 'mlflow' / 'artifacts'}",
            f"--allowed-hosts={settings.host}:{port},localhost:{port}",
        ],
        healthy=_http_ok(f"{settings.web_url(settings.mlflow)}/health"),
        ports=(port,),
        environment={
            **_ours(settings),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "MLFLOW_BACKEND_STORE_URI": settings.postgres.sqlalchemy_url("mlflow"),
            "MLFLOW_AUTH_CONFIG_PATH": str(_mlflow_auth_file(settings)),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.secret("mlflow_flask"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        start_seconds=600,
    )


def _asterisks(settings: Settings) -> Iterator[Process]:
    if settings.world.enabled:
        yield Process(
            name="carrier-law",
            title="Carrier's behaviour",
            command=_zanc("world", "carrier"),
            healthy=_tcp_open(asterisk.LOOPBACK, settings.world.agi_port),
            ports=(settings.world.agi_port,),
            environment=_ours(settings),
        )
    for name, instance in instances(settings).items():
        yield Process(
            name=name,
            title=f"Asterisk {instance.version} ({name})",
            command=asterisk.command(instance) if _installed(instance) else [],
            umask="077",  # it writes recordings of people
            healthy=_booted(instance),
            ports=(instance.ami_port,),
            udp_ports=(instance.sip_port,),
            environment={MARK: str(settings.var)},
            stop_seconds=10,
        )


def _installed(instance: asterisk.AsteriskInstance) -> bool:
    return (instance.install_root / "usr" / "sbin" / "asterisk").is_file()


def _booted(instance: asterisk.AsteriskInstance) -> Callable[[], bool]:
    def healthy() -> bool:
        try:
            asterisk.healthcheck(instance)
        except StackError:
            return False
        return True

    return healthy


def _airflow_api(settings: Settings) -> Iterator[Process]:
    if settings.airflow.embedded:
        yield Process(
            name="airflow-api-server",
            title="Airflow UI",
            command=[str(BIN / "airflow"), "api-server", "--workers=1"],
            healthy=_http_ok(f"{settings.web_url(settings.airflow)}/api/v2/monitor/health"),
            ports=(settings.airflow.port,),
            environment=airflow_environment(settings),
            start_seconds=600,
        )


def _airflow_workers(settings: Settings) -> Iterator[Process]:
    if not settings.airflow.embedded:
        return
    health = f"{settings.web_url(settings.airflow)}/api/v2/monitor/health"
    # Logs are read from the shared folder; log servers would listen on every address.
    for part, key, options in (
        ("scheduler", "scheduler", ["--skip-serve-logs"]),
        ("dag-processor", "dag_processor", []),
        ("triggerer", "triggerer", ["--skip-serve-logs"]),
    ):
        yield Process(
            name=f"airflow-{part}",
            title=f"Airflow {part}",
            command=[str(BIN / "airflow"), part, *options],
            healthy=_airflow_part_alive(health, key),
            environment=airflow_environment(settings),
            stop_seconds=30,
            start_seconds=600,
        )


def _airflow_part_alive(url: str, key: str) -> Callable[[], bool]:
    def healthy() -> bool:
        try:
            status: object = httpx.get(url, timeout=3).json()[key]["status"]
        except (httpx.HTTPError, ValueError, KeyError):
            return False
        return status == "healthy"

    return healthy


def _localization(settings: Settings) -> Iterator[Process]:
    if settings.localization.embedded:
        yield Process(
            name="localization",
            title="Localization service",
            command=_zanc("localization", "serve"),
            healthy=_http_ok(f"{settings.web_url(settings.localization)}/healthz"),
            ports=(settings.localization.port,),
            environment=_ours(settings),
        )


def _dialer(settings: Settings) -> Iterator[Process]:
    if settings.dialer.embedded:
        yield Process(
            name="dialer",
            title="Dialer service",
            command=_zanc("dialer", "serve"),
            healthy=_http_ok(f"{settings.web_url(settings.dialer)}/healthz"),
            ports=(settings.dialer.port,),
            environment=_ours(settings),
            stop_seconds=25,
        )


def _operators(settings: Settings) -> Iterator[Process]:
    if settings.world.enabled:
        yield Process(
            name="operators",
            title=f"{settings.world.operators} simulated operators",
            command=_zanc("world", "operators"),
            healthy=_process_alive(settings, "operators"),
            environment=_ours(settings),
        )


def _command_lines(settings: Settings) -> Iterator[list[str]]:
    for process in left_behind(settings):
        with suppress(psutil.Error):
            yield process.cmdline()


def _process_alive(settings: Settings, name: str) -> Callable[[], bool]:
    def healthy() -> bool:
        return any(line[-2:] == ["world", name] for line in _command_lines(settings))

    return healthy


def _instance(
    settings: Settings, name: str, pbx: AsteriskSettings, extra: dict[str, object]
) -> asterisk.AsteriskInstance:
    version: asterisk.Version = 22 if pbx.version == 22 else 16
    return asterisk.AsteriskInstance(
        name=name,
        version=version,
        install_root=asterisk_root(settings, version),
        run_dir=settings.var / "asterisk" / name,
        sip_port=pbx.sip_port,
        ami_port=pbx.ami_port,
        rtp_start=pbx.rtp_start,
        rtp_end=pbx.rtp_end,
        ami_user=pbx.ami_user,
        ami_secret=pbx.ami_secret,
        extra=extra,
    )


def _zanc(*arguments: str) -> list[str]:
    return [str(BIN / "zanc"), *arguments]


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]
