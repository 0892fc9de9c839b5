"""A small world of its own for the unit tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.world.small_world import DAY, small_settings
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """A small world that a test may change, not generated yet."""
    return small_settings(tmp_path / "var")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small world as of day 1, shared: tests only read it."""
    settings = small_settings(tmp_path_factory.mktemp("world") / "var")
    generation.generate(settings, day=DAY)
    return settings
