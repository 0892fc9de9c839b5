"""``zanc world carrier`` and ``zanc world operators`` as the stack runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE, wait_until
from tests.ports import port_offset
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.world import generation, truth

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A small world; nothing of the stack runs."""
    with port_offset() as offset:
        settings = load_settings(var=tmp_path_factory.mktemp("var"), port_offset=offset)
        settings.world.debtors, settings.world.past_calls = 300, 1_000
        generation.generate(settings, day=date(2026, 11, 23))
        yield settings


@contextmanager
def running(world: Settings, *command: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "ZANC_VAR": str(world.var),
        "ZANC_PORT_OFFSET": str(world.port_offset),
    }
    zanc = Path(sys.executable).with_name("zanc")
    process = subprocess.Popen([zanc, *command], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def test_the_carrier_decides_journals_and_stops(world: Settings) -> None:
    with truth.reading(truth.truth_path(world)) as connection:
        number = connection.execute("SELECT number FROM phone WHERE dead LIMIT 1").fetchone()[0]
    address = (world.host, world.world.agi_port)

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(address) == 0

    with running(world, "world", "carrier") as process:
        wait_until(listening)
        with socket.create_connection(address, PATIENCE) as call, call.makefile("rw") as line:
            line.write(f"agi_uniqueid: 1.1\nagi_extension: {number}\n\n")
            line.flush()
            said = {}
            for _ in range(4):
                _, _, name, value = line.readline().split()
                said[name] = value.strip('"')
                line.write("200 result=1\n")
                line.flush()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert said["OUTCOME"] == "invalid_number"
    entries = (world.var / "world" / "carrier.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(entry)["number"] for entry in entries] == [number]


def test_the_operators_wait_for_a_dialer_and_stop(world: Settings) -> None:
    with running(world, "world", "operators") as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        while "does not serve" not in first:
            first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert str(world.dialer.port) in first


def test_the_operators_sit_at_the_real_dialer(settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {settings.secret('dialer_token')}"}

    def idle(count: int) -> bool:
        try:
            answer = httpx.get(
                f"{settings.web_url(settings.dialer)}/metrics", headers=headers, trust_env=False
            )
        except httpx.TransportError:
            return False
        line = f'zanc_dialer_operators{{state="idle"}} {count}'
        return line in answer.text.splitlines() if count else "idle" not in answer.text

    with running(settings, "dialer", "serve") as dialer:
        with running(settings, "world", "operators") as robots:
            wait_until(lambda: idle(settings.world.operators))
            robots.send_signal(signal.SIGTERM)
            assert robots.wait(PATIENCE) == 0
        wait_until(lambda: idle(0))
        dialer.send_signal(signal.SIGTERM)
        assert dialer.wait(PATIENCE) == 0
