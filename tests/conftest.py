"""Real parts for the tests: a PostgreSQL of their own on a free port, under a temporary folder."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port_offset
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import postgres


def pytest_configure() -> None:
    """Told to end, a run still stops what its fixtures started."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", returncode=143))


@pytest.fixture(scope="session")
def empty_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stack whose PostgreSQL has all databases and tables, and was stopped."""
    var = tmp_path_factory.mktemp("empty")
    stack = load_settings(var=var, port_offset=free_port_offset())
    postgres.initialise(stack)
    with _serving(stack):
        postgres.create_databases(stack)
        migrate(stack)
    return var


@pytest.fixture(scope="module")
def settings(empty_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack of the tests' own; its PostgreSQL runs, with all databases and tables."""
    var = tmp_path_factory.mktemp("var")
    # ``cp`` keeps the owner of the cluster, which PostgreSQL insists on.
    subprocess.run(["cp", "-a", f"{empty_stack}/.", str(var)], check=True)
    stack = load_settings(var=var, port_offset=free_port_offset())
    # Nobody reads the data again: no checkpoint at the end.
    with _serving(stack, end=signal.SIGQUIT):
        yield stack


@contextmanager
def _serving(stack: Settings, *, end: signal.Signals = signal.SIGINT) -> Iterator[None]:
    log = (stack.var / "postgres.log").open("wb")
    server = subprocess.Popen(postgres.command(stack), stdout=log, stderr=log)
    try:
        _wait_until_it_answers(stack, server, stack.var / "postgres.log")
        yield
    finally:
        server.send_signal(end)
        try:
            server.wait(60 if end is signal.SIGINT else 20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def _wait_until_it_answers(stack: Settings, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not postgres.answers(stack):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.1)
