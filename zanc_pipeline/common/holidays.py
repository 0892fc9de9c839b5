"""Holidays of the nation: days on which banks rest, and those on which many others do too."""

from __future__ import annotations

from datetime import date
from functools import cache


@cache
def national_holidays(year: int, *, optional: bool = False) -> frozenset[date]:
    """The national holidays of a year; ``optional``: with carnival and the like (the library
    ``holidays``, each with the law that made it)."""
    import holidays

    categories = ("public", "optional") if optional else ("public",)
    return frozenset(holidays.country_holidays("BR", years=year, categories=categories))
