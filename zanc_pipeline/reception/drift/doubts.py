"""What speaks against a file, and the words and measures that all who doubt it share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENOUGH = 25
"""Rows in common from which a row by row comparison speaks."""

SMALL = 60
"""Rows below which a file is judged by each of its rows rather than by its shares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """Why a field (or the file, when ``field`` is empty) is not believed, in Portuguese.

    A ``weak`` one may be chance: it counts only beside another kind of doubt in the same field,
    that does not look at the same texts. ``rows``: the contracts (hashes) that it is about; none
    when it is about all of the file.
    """

    field: str
    kind: str
    text: str
    weak: bool = False
    rows: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class OddRow:
    """A row that is to be put aside alone, and why; ``cells`` are its values that are doubted."""

    contract: str
    cells: Mapping[str, Any]
    doubts: tuple[Doubt, ...]


_KIN = {"length": "ends"}


def weighed(doubts: Iterable[Doubt]) -> list[Doubt]:
    """The doubts that count: the strong ones, and weak ones that agree on a field."""
    every = list(doubts)
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for one in every:
        kinds[one.field].add(_KIN.get(one.kind, one.kind))
    return [one for one in every if not one.weak or len(kinds[one.field]) > 1]


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    """Total variation between two tables of shares, from 0 to 1."""
    return sum(abs(one.get(key, 0.0) - other.get(key, 0.0)) for key in {*one, *other}) / 2


def percent(share: float) -> str:
    """A share as a Brazilian reads it."""
    return f"{share * 100:.0f} %"
