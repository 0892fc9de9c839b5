"""Real parts for the tests: a PostgreSQL of their own on a free port, under a temporary folder."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port_offset
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import postgres


def pytest_configure() -> None:
    """Told to end, a run still stops what its fixtures started."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", returncode=143))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack of the tests' own; its PostgreSQL runs, with all databases and tables."""
    var = tmp_path_factory.mktemp("var")
    stack = load_settings(var=var, port_offset=free_port_offset())
    postgres.initialise(stack)
    log = (var / "postgres.log").open("wb")
    server = subprocess.Popen(postgres.command(stack), stdout=log, stderr=log)
    try:
        _wait_until_it_answers(stack, server, var / "postgres.log")
        postgres.create_databases(stack)
        migrate(stack)
        yield stack
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def _wait_until_it_answers(stack: Settings, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not postgres.answers(stack):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.1)
