"""Real parts for the tests: a PostgreSQL of their own on a free port, under a temporary folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import postgres


def free_port_offset() -> int:
    """An offset that moves every port of ``config/stack.yaml`` to a range that is free now."""
    for offset in range(20000 + (os.getpid() % 50) * 200, 40000, 200):
        if all(_free(port + offset) for port in (5442, 8080, 5500, 2121, 8765, 8780, 5138, 5238)):
            return offset
    raise RuntimeError("no free range of ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack of the tests' own; its PostgreSQL runs, with all databases created."""
    var = tmp_path_factory.mktemp("var")
    stack = load_settings(var=var, port_offset=free_port_offset())
    postgres.initialise(stack)
    log = (var / "postgres.log").open("wb")
    server = subprocess.Popen(postgres.command(stack), stdout=log, stderr=log)
    try:
        _wait_until_it_answers(stack, server, var / "postgres.log")
        postgres.create_databases(stack)
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
