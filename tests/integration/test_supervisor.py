import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.patience import PATIENCE, wait_until
from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.stack.supervisor import (
    MARK,
    Process,
    Supervisor,
    end,
    left_behind,
    runtime_folder,
)

pytestmark = pytest.mark.integration


def _sleeper(name: str, **options: object) -> Process:
    return Process(
        name=name,
        title=name,
        command=[sys.executable, "-c", "asleep = '100%'; __import__('time').sleep(600)"],
        healthy=lambda: True,
        environment={"QUOTED": 'a "b" %c'},
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def supervisor(tmp_path: Path):
    settings = load_settings(var=tmp_path)
    daemon = Supervisor(settings)
    yield daemon, settings
    daemon.shutdown()
    end(left_behind(settings))
    shutil.rmtree(runtime_folder(settings), ignore_errors=True)


def test_processes_start_restart_after_a_kill_and_stop(supervisor) -> None:
    daemon, settings = supervisor
    daemon.start([_sleeper("one")])
    daemon.launch("one")
    daemon.launch("one")
    first = _only_child(settings)
    assert first.environ()["QUOTED"] == 'a "b" %c'
    first.kill()
    wait_until(lambda: daemon.state("one") == "RUNNING" and _only_child(settings).pid != first.pid)
    daemon.stop("one")
    assert daemon.state("one") == "STOPPED"
    daemon.shutdown()
    assert not daemon.running()
    assert left_behind(settings) == []


def test_what_a_killed_supervisor_left_is_found_and_ended(supervisor) -> None:
    daemon, settings = supervisor
    daemon.start([_sleeper("one")])
    daemon.launch("one")
    _only_child(settings)
    [supervisord] = _whose_line_has("supervisord", settings)
    supervisord.kill()
    supervisord.wait(PATIENCE)
    assert not daemon.running()
    left = left_behind(settings)
    assert left
    end(left)
    assert left_behind(settings) == []
    daemon.start([_sleeper("one")])
    assert daemon.running()


def test_a_second_start_keeps_what_runs_and_adds_what_is_new(supervisor) -> None:
    daemon, settings = supervisor
    daemon.start([_sleeper("one")])
    daemon.launch("one")
    before = _only_child(settings).pid
    daemon.start([_sleeper("one"), _sleeper("two")])
    assert _only_child(settings).pid == before
    daemon.launch("two")
    assert daemon.state("one") in {"STARTING", "RUNNING"}


def test_the_guard_ends_the_stack_of_a_killed_start(supervisor) -> None:
    daemon, settings = supervisor
    starter = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    guard = Process(
        name="guard",
        title="guard",
        command=[sys.executable, "-m", "zanc_pipeline.stack.guard", str(starter.pid)],
        healthy=lambda: True,
    )
    daemon.start([_sleeper("one"), guard])
    daemon.launch("one")
    daemon.launch("guard")
    time.sleep(1)
    assert daemon.running()
    starter.kill()
    starter.wait()
    _, alive = psutil.wait_procs(left_behind(settings), timeout=PATIENCE)
    assert alive == []


def test_the_configuration_with_secrets_is_private(supervisor) -> None:
    daemon, settings = supervisor
    daemon.start([_sleeper("one")])
    config = settings.var / "supervisor" / "supervisord.conf"
    assert config.stat().st_mode & 0o777 == 0o600


def test_a_runtime_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    folder = runtime_folder(settings)
    folder.chmod(0o755)
    with pytest.raises(StackError, match="open to others"):
        runtime_folder(settings)
    folder.rmdir()


def test_only_marked_processes_are_ours(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={**os.environ, MARK: f"{tmp_path}-other"},
    )
    try:
        assert left_behind(settings) == []
    finally:
        stranger.kill()
        stranger.wait()


def _only_child(settings) -> psutil.Process:
    wait_until(lambda: _whose_line_has("asleep", settings))
    [found] = _whose_line_has("asleep", settings)
    return found


def _whose_line_has(word: str, settings) -> list[psutil.Process]:
    found = []
    for process in left_behind(settings):
        with suppress(psutil.Error):  # it may end meanwhile
            if word in " ".join(process.cmdline()):
                found.append(process)
    return found
