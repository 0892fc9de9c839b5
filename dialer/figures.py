"""Figures as a Brazilian supervisor reads them."""

from __future__ import annotations


def percent(share: float, places: int = 0) -> str:
    """A share in percent: ``0.0312`` with one place is ``3,1 %``."""
    return f"{100 * share:.{places}f}".replace(".", ",") + " %"


def decimal(value: float) -> str:
    """A number with one place: ``1,5``."""
    return f"{value:.1f}".replace(".", ",")
