"""Real parts for the tests: a PostgreSQL of their own on a free port, under a temporary folder."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hypothesis
import psutil
import pytest
from hypothesis import HealthCheck

from tests.patience import PATIENCE, wait_until
from tests.ports import port_offset
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import postgres

hypothesis.settings.register_profile(
    # A slow machine may stand still for seconds in one example; each run tries the same ones.
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")

NO_WAIT = ("-c", "fsync=off")
"""For a PostgreSQL that no loss of power can hurt: a slow disk holds nothing up."""


def pytest_configure() -> None:
    """Told to end, a run still stops what its fixtures started."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", returncode=143))


@pytest.fixture(scope="session", autouse=True)
def _nothing_stays_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """End what an interrupted test began and could not end: all of it names a folder of the run."""
    folder, us = f"{tmp_path_factory.getbasetemp()}/", psutil.Process()
    yield
    ours = [us, *us.parents()]
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # others' come and go, or can't be read
            told = [*process.cmdline(), *process.environ().values()]
            if process not in ours and any(folder in word for word in told):
                process.kill()


@pytest.fixture(scope="session")
def empty_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stack whose PostgreSQL has all databases and tables, and was stopped."""
    var = tmp_path_factory.mktemp("empty")
    with port_offset() as offset:
        stack = load_settings(var=var, port_offset=offset)
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
    with port_offset() as offset:
        stack = load_settings(var=var, port_offset=offset)
        # Nobody reads the data again: no checkpoint at the end.
        with _serving(stack, end=signal.SIGQUIT):
            yield stack


@contextmanager
def _serving(stack: Settings, *, end: signal.Signals = signal.SIGINT) -> Iterator[None]:
    path = stack.var / "postgres.log"
    with path.open("wb") as log:
        server = subprocess.Popen([*postgres.command(stack), *NO_WAIT], stdout=log, stderr=log)

    def answers() -> bool:
        if server.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start:\n{path.read_text()}")
        return postgres.answers(stack)

    try:
        wait_until(answers, path.read_text)
        yield
    finally:
        server.send_signal(end)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
