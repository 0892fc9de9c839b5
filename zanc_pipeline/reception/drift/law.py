"""A law over single rows, as it was learned from the past, and what all who state one share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from zanc_pipeline.reception.drift.chance import of_many
from zanc_pipeline.reception.drift.fingerprint import AtHand, Fingerprint
from zanc_pipeline.reception.drift.rows import near_after, people_of, price_of_change, same
from zanc_pipeline.reception.drift.sample import Token

NEVER = 0.005
"""Rows that may break a law which none broke yet: nearly all that never happened never will."""
_FEW_OF, _SEVERAL = 6, 5
"""Rows that are few: one of six, and so many."""
_A_MONTH = range(28, 32)
_ADDRESS_FIELDS = 3
_NEWS = {"codigo": 0.015, "sim_nao": 0.015, "telefone": 0.005, "email": 0.005}
"""Share of the known contracts that may always get another state, or another contact."""
_CONTACTS = frozenset({"telefone", "telefones", "email"})
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

    def changed(self, name: str) -> Law:
        """The law that a field of a known contract keeps its value.

        Its price is the share of honest rows that are among as many as changed, or more: one new
        state of a contract is news, several at once are a file's doing. New phones come by turns;
        who moved house has another street, number and district; an instalment paid puts its date,
        and what goes with it, off by a month.
        """
        usual, rows, kind = self.usual[name], len(self.known), self.seen.fields[name].type
        moved = self.moved[name] - self._usually_moved.get(kind, frozenset())
        usual = max(usual, _NEWS.get(kind, 0.0))
        usual = min(0.5, usual * max(1, self.seen.days_since(self.before) or 1))
        count = len({self.people.get(key, key) for key in moved})
        price = usual
        habit = self.before.history.get(name, (0.0, 0.0))[1] >= LEAST_ROWS
        if kind not in _CONTACTS and habit and count <= min(_SEVERAL, rows / _FEW_OF):
            price = of_many(usual, count, rows)
        return Law(
            field=name,
            price=price,
            text="mudou num contrato já conhecido, onde quase nunca muda",
            broken=frozenset(moved),
        )

    @cached_property
    def _usually_moved(self) -> dict[str, frozenset[int]]:
        """Type → contracts whose fields of that type changed as honest ones do, several at once."""
        kinds = {name: self.seen.fields[name].type for name in self.still}
        dates = [name for name, kind in kinds.items() if kind == "data"]
        texts = [name for name, kind in kinds.items() if kind == "texto" and name != "nome"]
        on = frozenset[int]()
        for name in dates:
            now, was = self.seen.numbers.get(name, {}), self.before.numbers.get(name, {})
            on |= {
                key
                for key in self.moved[name]
                if key in now and key in was and now[key] - was[key] in _A_MONTH
            }
        times = Counter(key for name in texts for key in self.moved[name])
        house = frozenset(key for key, count in times.items() if count >= _ADDRESS_FIELDS)
        return {"data": on, "inteiro": on, "decimal": on, "texto": house, "uf": house}

    @cached_property
    def people(self) -> dict[int, Token]:
        """Contract hash → whose it is."""
        return people_of(self.seen, self.before)

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
                broken=frozenset(
                    moved - self._usually_moved.get(self.seen.fields[name].type, set())
                ),
            ),
        ]


def column_of(of: Fingerprint, name: str) -> Mapping[int, Token]:
    """Contract hash → token, of a field or of the area codes of a phone (``ddd:`` before it)."""
    if name.startswith(AREA):
        return {key: phone[:2] for key, phone in of.phones[name[len(AREA) :]].items()}
    return of.column(name)


AREA = "ddd:"
