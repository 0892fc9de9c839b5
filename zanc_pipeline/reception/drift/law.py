"""A law over single rows, as it was learned from the past, and what all who state one share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from zanc_pipeline.reception.drift.fingerprint import AtHand, Fingerprint
from zanc_pipeline.reception.drift.rows import leaps, near_after, price_of_change, same
from zanc_pipeline.reception.drift.sample import Token

NEVER = 0.005
"""Rows that may break a law which none broke yet: nearly all that never happened never will."""
LEAST_ROWS = 12
"""Rows from which something is a law."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """``price``: the share of honest rows that break it; ``broken``: contract hashes."""

    field: str
    price: float
    text: str
    broken: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How many rows a file has, and which part of them are contracts that never came."""

    rows: int
    fresh: float


@dataclass(kw_only=True)
class Rows:
    """The rows of a file beside the past. ``known`` and ``fresh``: contracts that came before or
    not; ``still``: the fields that do not move by themselves."""

    seen: Fingerprint
    before: Fingerprint
    here: AtHand
    known: list[int]
    fresh: list[int]
    still: list[str]
    shares: Shares
    """Of the whole file, of which these may be only some rows."""
    moved: dict[str, set[int]] = field(init=False)
    """Field → known contracts that came with another value."""
    usual: dict[str, float] = field(init=False)
    """Field → the share of all rows that get another value from one file to the next."""

    def __post_init__(self) -> None:
        seen, before = self.seen, self.before
        share = 1 - self.shares.fresh
        self.moved, self.usual = {}, {}
        near = near_after(seen.days_since(before))
        for name in self.still:
            new, old = seen.column(name), before.column(name)
            self.moved[name] = {
                key
                for key in self.known
                if (new[key] is not None or old[key] is not None)
                and not same(new[key], old[key], near)
            }
            self.usual[name] = price_of_change(name, seen.fields[name].type, before.history) * share

    @cached_property
    def names(self) -> list[str]:
        """The fields that came before too, the contract not counted."""
        but = self.seen.key.name
        return [name for name in self.seen.names if name in self.before.fields and name != but]

    def news(self, name: str) -> set[int]:
        """The contracts whose value in a field is not the one that is known of them."""
        return {*self.fresh, *self.moved.get(name, ())}

    def leaps(self, name: str) -> frozenset[int]:
        """Known contracts with an amount that no interest and no payment makes of the old one."""
        new, old = self.seen.column(name), self.before.column(name)
        days = self.seen.days_since(self.before)
        return frozenset(key for key in self.moved[name] if leaps(new[key], old[key], days))

    def either(self, name: str, share: float, text: str, broken: set[int]) -> list[Law]:
        """The law for new contracts, and for known ones that must have changed as well.

        ``share``: how many of the values of this field break it.
        """
        fresh = share * self.shares.fresh
        moved = broken & self.moved.get(name, set())
        return [
            Law(field=name, price=fresh, text=text, broken=frozenset(broken - moved)),
            Law(
                field=name,
                price=share * self.usual.get(name, 0.0),
                text=text,
                broken=frozenset(moved),
            ),
        ]


def column_of(of: Fingerprint, name: str) -> Mapping[int, Token]:
    """Contract hash → token, of a field or of the area codes of a phone (``ddd:`` before it)."""
    if name.startswith(AREA):
        return {key: phone[:2] for key, phone in of.phones[name[len(AREA) :]].items()}
    return of.column(name)


AREA = "ddd:"
