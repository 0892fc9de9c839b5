"""A world small enough for unit tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from zanc_pipeline.common.settings import Settings, load_settings

DAY = date(2026, 11, 23)
DEBTORS, PAST_CALLS = 600, 6_000


def small_settings(var: Path, *, seed: int = 7) -> Settings:
    """Settings of a small world below ``var``."""
    settings = load_settings(var=var)
    settings.world.seed = seed
    settings.world.debtors = DEBTORS
    settings.world.past_calls = PAST_CALLS
    return settings
