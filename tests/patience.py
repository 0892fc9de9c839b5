"""How long tests wait for what must come: a machine may be slow, and stand still for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds, longer than anything takes: only what never comes takes so long."""


def wait_until(
    true: Callable[[], object], what: str | Callable[[], str] = "it never came true"
) -> None:
    """Ask until ``true`` holds; ``what`` says what did not."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(0.05)
