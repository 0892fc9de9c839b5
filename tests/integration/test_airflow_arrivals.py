"""The arrival watchers on a real FTP server and ledger, sharing the poll as Airflow has them do."""

from __future__ import annotations

import asyncio
import ftplib
import io
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from airflow.triggers.shared_stream import SharedStreamManager

from tests.patience import PATIENCE, wait_until
from zanc_pipeline.airflow import steps
from zanc_pipeline.airflow.triggers import FtpArrivalTrigger
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.reception import service

pytestmark = pytest.mark.integration


@contextmanager
def ftp_server(place: Settings) -> Iterator[subprocess.Popen[bytes]]:
    server = subprocess.Popen([sys.executable, "-m", "zanc_pipeline.stack.ftp"], env=os.environ)
    try:
        wait_until(lambda: server.poll() is not None or _answers(place), "the FTP server answers")
        assert server.poll() is None
        yield server
    finally:
        server.kill()
        server.wait()


def _answers(place: Settings) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((place.ftp.host, place.ftp.port)) == 0


@pytest.fixture
def place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The tests' stack, as a process that loads the settings itself sees it."""
    for name, value in {
        "VAR": settings.var,
        "PORT_OFFSET": settings.port_offset,
        "FTP__POLL_SECONDS": 0.05,
        "FTP__STABLE_SECONDS": 0.3,
    }.items():
        monkeypatch.setenv(f"ZANC_{name}", str(value))
    return load_settings()


class Watchers:
    """Arrival triggers of several convênios, run as the triggerer runs them."""

    def __init__(self, *convenios: str) -> None:
        self._manager = SharedStreamManager(log=structlog.get_logger())
        self.polls = self._manager._groups
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks = [
            asyncio.create_task(self._run(number, FtpArrivalTrigger(convenio)))
            for number, convenio in enumerate(convenios)
        ]

    async def _run(self, number: int, trigger: FtpArrivalTrigger) -> None:
        key = trigger.shared_stream_key()
        shared: AsyncIterator[Any] = self._manager.subscribe(
            trigger_id=number, trigger=trigger, key=key
        )
        async for event in trigger.filter_shared_stream(shared):
            await self.heard.put(event.payload)

    async def next(self) -> dict[str, Any]:
        """The next event of any of them."""
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def close(self) -> None:
        """End them and their poll."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._manager.stop_all()


def put(place: Settings, path: str, content: bytes) -> None:
    with ftplib.FTP() as ftp:
        ftp.connect(place.ftp.host, place.ftp.port)
        ftp.login(place.ftp.username, place.ftp.password)
        ftp.storbinary(f"STOR {path}", io.BytesIO(content))


def rename(place: Settings, old: str, new: str) -> None:
    with ftplib.FTP() as ftp:
        ftp.connect(place.ftp.host, place.ftp.port)
        ftp.login(place.ftp.username, place.ftp.password)
        ftp.rename(old, new)


async def test_from_upload_to_ledger_with_one_poll_for_all(place: Settings) -> None:
    with ftp_server(place):
        watchers = Watchers("banco_aurora", "telecom_brisa")
        try:
            await asyncio.to_thread(put, place, "/banco_aurora/ruim.csv.part", b"1;2\n")
            await asyncio.to_thread(put, place, "/telecom_brisa/brisa.txt", b"nada")
            event = await watchers.next()
            assert event["convenio"] == "telecom_brisa", "an unfinished name is not an upload"
            assert [one["path"] for one in event["uploads"]] == ["/telecom_brisa/brisa.txt"]
            assert len(watchers.polls) == 1

            await asyncio.to_thread(
                rename, place, "/banco_aurora/ruim.csv.part", "/banco_aurora/ruim.csv"
            )
            event = await watchers.next()
            assert [one["path"] for one in event["uploads"]] == ["/banco_aurora/ruim.csv"]

            for convenio in ("telecom_brisa", "banco_aurora"):
                result = await asyncio.to_thread(steps.receive_convenio, place, convenio)
                assert len(result.quarantined) == 1
                again = await asyncio.to_thread(steps.receive_convenio, place, convenio)
                assert again.empty
            paths = {path for _, path, _, _ in service.known_uploads(place)}
            assert {"/telecom_brisa/brisa.txt", "/banco_aurora/ruim.csv"} <= paths
            assert watchers.heard.empty(), "what waits is announced once"
        finally:
            await watchers.close()


async def test_the_watch_goes_on_when_the_server_is_back(
    place: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    watchers = Watchers("energia_sul")
    try:
        async with asyncio.timeout(PATIENCE):
            while not any("does not answer" in one.message for one in caplog.records):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with ftp_server(place):
            await asyncio.to_thread(put, place, "/energia_sul/x.txt", b"x")
            event = await watchers.next()
            assert event["convenio"] == "energia_sul"
    finally:
        await watchers.close()
    lost = [record for record in caplog.records if "still trying" in record.message]
    assert len(lost) == 1, "one line, however long it is away"
    assert f"{place.ftp.host}:{place.ftp.port}" in lost[0].message
