"""Uploads of the simulated creditors to the stack's own FTP server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.patience import PATIENCE, wait_until
from tests.ports import port_offset
from zanc_pipeline.common.errors import ConfigError, UnavailableError
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import ftp
from zanc_pipeline.world import generation, outbox
from zanc_pipeline.world.upload import upload

pytestmark = pytest.mark.integration

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A small world, and the stack's FTP server in a process of its own."""
    with port_offset() as offset:
        settings = load_settings(var=tmp_path_factory.mktemp("var"), port_offset=offset)
        settings.world.debtors, settings.world.past_calls = 300, 1_000
        generation.generate(settings, day=DAY)
        environment = {
            **os.environ,
            "ZANC_VAR": str(settings.var),
            "ZANC_PORT_OFFSET": str(offset),
        }
        command = [sys.executable, "-m", "zanc_pipeline.stack.ftp"]
        server = subprocess.Popen(command, env=environment)
        try:
            wait_until(lambda: _answers(settings, server), "the FTP server answers")
            yield settings
        finally:
            server.terminate()
            server.wait(PATIENCE)


def _answers(settings: Settings, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None
    with socket.socket() as probe:
        return probe.connect_ex((settings.ftp.host, settings.ftp.port)) == 0


def on_server(settings: Settings) -> dict[str, bytes]:
    root = ftp.folder(settings)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def in_outbox(settings: Settings) -> dict[str, bytes]:
    paths = outbox.paths(settings)
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}


def test_every_file_arrives_whole_in_its_creditors_folder(world: Settings) -> None:
    sent = upload(world)
    assert on_server(world) == in_outbox(world)
    assert {f"{one.folder}/{one.name}" for one in sent} == set(in_outbox(world))
    assert all(one.fault is None for one in sent)


def test_sending_again_leaves_the_same_files(world: Settings) -> None:
    upload(world)
    upload(world)
    assert on_server(world) == in_outbox(world)


def test_faulty_files_come_beside_the_good_ones(world: Settings) -> None:
    sent = {one.fault: one for one in upload(world, with_faults=True) if one.fault}
    assert set(sent) == {"unknown_convenio", "empty", "half", "control_total"}
    there = on_server(world)
    assert in_outbox(world).items() <= there.items()
    for one in sent.values():
        assert len(there[f"{one.folder}/{one.name}"]) == one.size
    noted = {row["fault"]: row for row in outbox.files_of(world) if row["fault"]}
    assert {fault: row["name"] for fault, row in noted.items()} == {
        fault: one.name for fault, one in sent.items()
    }
    assert all(row["rows_good"] == 0 for row in noted.values())


def test_a_slow_upload_is_seen_half_done_under_its_name(world: Settings) -> None:
    for path in ftp.folder(world).glob("*/*"):
        path.unlink()
    whole = in_outbox(world)
    thread = threading.Thread(target=upload, args=(world,), kwargs={"slow_seconds": 0.6})
    seen_half = False
    thread.start()
    while thread.is_alive():
        for name, content in on_server(world).items():
            seen_half |= 0 < len(content) < len(whole[name])
            assert whole[name].startswith(content)
    thread.join()
    assert seen_half
    assert on_server(world) == whole


def test_a_server_that_is_away_is_named(world: Settings) -> None:
    away = world.model_copy(deep=True)
    away.ftp.port = 9
    with pytest.raises(UnavailableError, match=r"FTP at 127\.0\.0\.1:9 does not answer"):
        upload(away)


def test_a_wrong_password_is_told(world: Settings) -> None:
    wrong = world.model_copy(deep=True)
    wrong.ftp.password = "wrong"
    with pytest.raises(ConfigError, match=r"refused: 530.*ftp\.password"):
        upload(wrong)


def test_an_empty_outbox_is_told(world: Settings, tmp_path: Path) -> None:
    nothing = world.model_copy(deep=True)
    nothing.var = tmp_path
    with pytest.raises(ConfigError, match="zanc world generate"):
        upload(nothing)
