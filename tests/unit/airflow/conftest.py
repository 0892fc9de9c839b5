"""A folder for state, a dialer that is not one, and Airflow pointed away from any real one."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = mkdtemp(prefix="zanc-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from tests.unit.airflow.fake_dialer import FakeDialer, fake_dialer
from zanc_pipeline.common.settings import Settings, load_settings


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose state lies in the test's folder, also for code that loads them itself."""
    monkeypatch.setenv("ZANC_VAR", str(tmp_path))
    monkeypatch.setenv("ZANC_POSTGRES__URL", "postgresql://nobody@127.0.0.1:9")  # there is none
    return load_settings()


@pytest.fixture
def dialer(place: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDialer]:
    """A fake dialer at the address that the settings name."""
    with fake_dialer() as fake:
        monkeypatch.setenv("ZANC_DIALER__URL", fake.url)
        place.dialer.url = fake.url
        yield fake
