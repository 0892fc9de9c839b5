"""What ``zanc up`` refuses to do, and that it then leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_ports, port_offset
from zanc_pipeline.common.errors import StackError, UnavailableError
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import lifecycle, postgres
from zanc_pipeline.stack.parts import airflow_environment
from zanc_pipeline.stack.supervisor import end, left_behind

pytestmark = pytest.mark.integration


def quiet(_line: str) -> None:
    """Progress that nobody reads."""


@pytest.mark.parametrize(
    ("part", "field", "kind", "title"),
    [
        ("localization", "port", socket.SOCK_STREAM, "Localization service"),
        ("central", "ami_port", socket.SOCK_STREAM, r"Asterisk 22 \(central\)"),
        ("central", "sip_port", socket.SOCK_DGRAM, r"Asterisk 22 \(central\)"),
    ],
)
def test_a_taken_port_is_told_in_one_line_and_nothing_is_started(
    tmp_path: Path, part: str, field: str, kind: socket.SocketKind, title: str
) -> None:
    with port_offset() as offset, socket.socket(socket.AF_INET, kind) as taken:
        settings = load_settings(var=tmp_path, port_offset=offset)
        owner = settings.centrais[part] if part == "central" else getattr(settings, part)
        port = getattr(owner, field)
        taken.bind((settings.host, port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(StackError, match=rf"port {port} \({title}\) is taken") as told:
            lifecycle.up(settings, quiet)
        assert "\n" not in str(told.value)
        assert left_behind(settings) == []
        lifecycle.down(settings, quiet)


def test_a_process_that_writes_its_own_title_is_still_found(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    program = "import setproctitle, time; setproctitle.setproctitle('t' * 200); print(flush=True)"
    worker = subprocess.Popen(
        [sys.executable, "-c", f"{program}; time.sleep(600)"],
        env={**os.environ, **airflow_environment(settings)},
        stdout=subprocess.PIPE,
    )
    try:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert [process.pid for process in left_behind(settings)] == [worker.pid]
        end(left_behind(settings))
        assert left_behind(settings) == []
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def test_an_external_postgres_that_is_away_or_refuses_us_is_told_in_one_line(
    settings: Settings, tmp_path: Path
) -> None:
    [nobody] = free_ports(1)
    url = f"postgresql://zanc:x@127.0.0.1:{nobody}"
    away = load_settings(var=tmp_path, postgres={"url": url, "port": 5442})
    with pytest.raises(UnavailableError, match=f"PostgreSQL at 127.0.0.1:{nobody} .*refused"):
        lifecycle.prepare(away, quiet)
    import psycopg2

    connection = psycopg2.connect(**settings.postgres.target("postgres"))
    connection.autocommit = True
    connection.cursor().execute("CREATE ROLE humble LOGIN PASSWORD 'h'")
    connection.close()
    server = f"127.0.0.1:{settings.postgres.port}"
    refused = load_settings(
        var=tmp_path, postgres={"url": f"postgresql://humble:h@{server}", "port": 5442}
    )
    with pytest.raises(StackError, match=rf"{server} does not let user humble create .*CREATEDB"):
        postgres.create_databases(refused, ["zanc_of_humble"])
