"""Two fingerprints beside each other: does each field still hold what it held?

Where the same contracts came again, the fields are compared row by row; where too few did, by
what the columns look like. A doubt is anything that a file which merely has newer data would not
show: it keeps the file from being loaded until it is explained.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zanc_pipeline.reception.drift.chance import too_few
from zanc_pipeline.reception.drift.counters import counter_doubts, counters, movement, steps_of
from zanc_pipeline.reception.drift.doubts import ENOUGH, Doubt, percent, weighed
from zanc_pipeline.reception.drift.fingerprint import Fingerprint, Step
from zanc_pipeline.reception.drift.moves import Moves, moves, stale
from zanc_pipeline.reception.drift.past import with_laws, with_rows
from zanc_pipeline.reception.drift.renumbered import renumbered
from zanc_pipeline.reception.drift.rows import (
    EXACTLY,
    FieldComparison,
    compare_field,
    crossed,
    crossings,
    field_doubts,
    people_of,
    same,
)
from zanc_pipeline.reception.drift.sample import Token
from zanc_pipeline.reception.drift.shapes import column_doubts, file_doubts
from zanc_pipeline.reception.drift.singles import singles
from zanc_pipeline.reception.validate import spared_of

_PRIOR_ROWS = 5
"""How many rows the expected agreement of a type weighs beside the rows that were compared."""
_NONE_CAME = 3
_FEW, _FEW_OF_ALL = 0.01, 0.05
"""Share of the rows (and one of any file) that go alone when a doubt is about no others; the same,
where a law judges every row, so that none is wrong unseen."""
_MADE, _UNSEEN = frozenset({"date_order", "scale"}), 0.1
"""Doubts that tell how a file was made; and new rows, to be expected, that were made so unseen."""
_OVERLAP, _OVERLAP_PART = 0.65, 0.75
"""Share of the contracts of the last file that are to come again, of the usual one at least."""
_FORGETS = 0.8
"""What the rows compared before weigh beside those of a newer file."""
_SHAPES = frozenset({"overlap", "filled", "look", "peak", "ends", "begins", "sign", "length"})
"""Doubts that an older accepted file answers, when it looked the same: a shape of each week."""
_SHAPE_ROWS = 0.5
_OF_STILL = frozenset({"changed", "together", "ends", "look", "peak"})
"""Doubts about fields that keep their value; those that count move in every row."""


@dataclass(kw_only=True)
class Comparison:
    """All fields of a delivery beside those of the last accepted one."""

    linked: int
    overlap: float
    wanted_overlap: float
    fields: dict[str, FieldComparison] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    history: dict[str, tuple[float, float]] = field(default_factory=dict)
    """What is to be remembered: rows that agreed (of two fields: changed places), of how many."""
    steps: dict[str, Step] = field(default_factory=dict)
    aside: dict[int, list[Doubt]] = field(default_factory=dict)
    """Contract hash → why its row is put aside alone."""
    waited: Mapping[int, Mapping[str, Token]] = field(default_factory=dict)
    """Contracts whose rows were put aside in the last file and came again as they were: the fields
    that were doubted, which are doubted no more."""
    past: dict[int, list[Token]] = field(default_factory=dict)
    """What is known of those contracts: remembered in place of what was put aside."""

    @property
    def insisted(self) -> frozenset[int]:
        """The contracts that waited and are put aside no more."""
        return frozenset(self.waited.keys() - self.aside.keys())

    @property
    def agreement(self) -> dict[str, float]:
        """Share of agreement by field, of those that could be compared: few rows weigh little."""
        return {
            one.name: (one.agreement * one.linked + one.expected * _PRIOR_ROWS)
            / (one.linked + _PRIOR_ROWS)
            for one in self.fields.values()
            if one.linked
        }

    def proves(self, name: str) -> bool:
        """Whether the rows in common prove that a field holds what it held."""
        one = self.fields.get(name)
        return one is not None and one.linked >= ENOUGH and one.agreement >= one.wanted


def compare(
    seen: Fingerprint,
    before: Fingerprint,
    earlier: Sequence[Fingerprint] = (),
    confirmed: Collection[int] = (),
    *,
    taught: bool = False,
) -> Comparison:
    """Compare a delivery with the last accepted one, and with those ``earlier``, newest first.

    Earlier files know contracts that the last one did not bring, and answer doubts about the shape
    of a file when it has the shape of one of them. Of the contracts in ``confirmed`` (their hashes)
    a person said that they are right; ``taught``: of all of the file, which is a habit then.
    """
    waited = _insisted(seen, before)
    last, before = before, with_rows(before, earlier)
    laws = with_laws(before, earlier)
    known = [key for key in seen.links if key in before.links]
    common = [key for key in known if key not in confirmed]
    comparison = Comparison(
        linked=len(common),
        waited=waited,
        overlap=overlap(seen, last),
        wanted_overlap=min(_OVERLAP, _OVERLAP_PART * last.overlap)
        if last.overlap is not None
        else 0.0,
    )
    doubts = [*_overlap_doubts(comparison, seen, last), *renumbered(seen, last, before)]
    old = {name: before.column(name) for name in before.names}
    for name in seen.names:
        if name not in old:
            continue
        new = seen.column(name)
        one = compare_field(name, new, old, common, seen, before)
        comparison.fields[name] = one
        doubts += field_doubts(one, new, old[name], common, seen, before)
        doubts += column_doubts(name, seen, before, one)
    swaps = crossings(seen, before, old, common)
    doubts += crossed(swaps, seen, len(common), before.history)
    doubts += file_doubts(seen, before)
    moved = movement(seen, last)
    counting = counters(moved, seen, last)
    doubts = [one for one in doubts if one.field not in counting or one.kind not in _OF_STILL]
    doubts += counter_doubts(moved, seen, last)
    comparison.doubts, comparison.aside = _parted(
        weighed(_less(doubts, confirmed, waited)),
        len(seen.links),
        len(seen.links) - len(known),
        people_of(seen, before),
    )
    odd = {**moves(seen, before, common), **stale(seen, last, earlier, common)}
    single = singles(seen, laws, common, moved, odd, but=counting, confirmed=confirmed)
    for key, why in single.items():
        left = [one for one in why if one.field not in waited.get(key, ())]
        if left:
            comparison.aside[key] = [*comparison.aside.get(key, ()), *left]
    comparison.past = _past(comparison.aside, seen, before)
    news = {name: _news(name, seen, before, known, confirmed) for name in comparison.fields}
    comparison.history = _remembered(comparison, swaps, odd, news, last, taught=taught)
    comparison.steps = steps_of(moved, last)
    shape = {one.kind for one in comparison.doubts} & _SHAPES
    if shape and any(_has_shape(seen, one, comparison, shape) for one in earlier):
        comparison.doubts = [one for one in comparison.doubts if one.kind not in _SHAPES]
    return comparison


def _has_shape(
    seen: Fingerprint, past: Fingerprint, comparison: Comparison, doubted: set[str]
) -> bool:
    """Whether an accepted file had the shape for which this one is doubted."""
    if len(past.links) < _SHAPE_ROWS * len(seen.links):
        return False
    if "overlap" in doubted and overlap(seen, past) < max(0.5, comparison.wanted_overlap):
        return False
    return not any(
        doubt.kind in _SHAPES
        for name, one in comparison.fields.items()
        if name in past.fields
        for doubt in column_doubts(name, seen, past, one)
    )


def _insisted(seen: Fingerprint, before: Fingerprint) -> dict[int, Mapping[str, Token]]:
    """Rows that were put aside and come again in a later day's file, as they were: no slip then."""
    if not before.waiting or not (seen.days_since(before) or 0) > 0:
        return {}
    places = {name: place for place, name in enumerate(seen.names)}
    return {
        key: row
        for key, row in before.waiting.items()
        if row
        and key in seen.links
        and all(
            name in places and token in (None, seen.links[key][places[name]])
            for name, token in row.items()
        )
    }


def _less(
    doubts: Iterable[Doubt], confirmed: Collection[int], waited: Mapping[int, Mapping[str, Token]]
) -> Iterator[Doubt]:
    """The doubts without the rows that a person confirmed, or that came again as they were."""
    for one in doubts:
        rows = one.rows.difference(confirmed)
        rows -= {key for key in rows if one.field in waited.get(key, ())}
        if rows or not one.rows:
            yield replace(one, rows=rows)


def _parted(
    doubts: list[Doubt], rows: int, fresh: int, people: Mapping[int, Token]
) -> tuple[list[Doubt], dict[int, list[Doubt]]]:
    """The doubts about the whole file, and those about so few of its people that these go alone."""
    few = max(spared_of(rows, rows), _FEW * rows)
    whole: list[Doubt] = []
    single: defaultdict[int, list[Doubt]] = defaultdict(list)
    for one in doubts:
        most = max(1, _FEW_OF_ALL * rows) if one.kind == "counter" else few
        alone = 1 <= len({people.get(key, key) for key in one.rows}) <= most
        if one.kind in _MADE and len(one.rows) * fresh > _UNSEEN * rows:
            alone = False
        if not alone:
            whole.append(one)
        for key in one.rows if alone else ():
            single[key].append(one)
    return whole, dict(single)


def _past(keys: Iterable[int], seen: Fingerprint, before: Fingerprint) -> dict[int, list[Token]]:
    places = [before.names.index(name) if name in before.fields else None for name in seen.names]
    return {
        key: [None if place is None else before.links[key][place] for place in places]
        for key in keys
        if key in before.links
    }


def _news(
    name: str,
    seen: Fingerprint,
    before: Fingerprint,
    known: Iterable[int],
    confirmed: Collection[int],
) -> int:
    """Confirmed rows in which a field has another value: they teach how often it has."""
    if not confirmed:
        return 0
    new, old = seen.column(name), before.column(name)
    return sum(key in confirmed and not same(new[key], old[key]) for key in known)


def _remembered(
    comparison: Comparison,
    swaps: dict[str, frozenset[int]],
    odd: Moves,
    news: dict[str, int],
    before: Fingerprint,
    *,
    taught: bool,
) -> dict[str, tuple[float, float]]:
    aside = set() if taught else {*comparison.aside}
    found = {
        name: (one.linked - one.changed + len(one.moved & aside), one.linked + news[name])
        for name, one in comparison.fields.items()
    }
    found |= {
        mark: (linked - len(rows - aside), linked)
        for mark, rows in odd.items()
        if (linked := comparison.fields[mark[:-1]].linked)
    }
    found |= {
        f"{name}{EXACTLY}": (one.exact, one.linked)
        for name, one in comparison.fields.items()
        if one.exact is not None
    }
    found |= {pair: (len(rows), comparison.linked) for pair, rows in swaps.items()}
    history = {}
    for name, (count, rows) in found.items():
        past, of = before.history.get(name, (0.0, 0.0))
        history[name] = (count + _FORGETS * past, rows + _FORGETS * of)
    return history


def overlap(seen: Fingerprint, before: Fingerprint) -> float:
    """Estimated share of the last delivery's contracts that came again."""
    reach = max(seen.links, default=0) if seen.rows > len(seen.links) else math.inf
    comparable = [key for key in before.links if key <= reach]
    if not comparable:
        return 0.0
    return sum(key in seen.links for key in comparable) / len(comparable)


def _overlap_doubts(
    comparison: Comparison, seen: Fingerprint, before: Fingerprint
) -> Iterator[Doubt]:
    rows = len(before.links)
    came, wanted = round(comparison.overlap * rows), comparison.wanted_overlap * rows
    if too_few(came, rows, comparison.wanted_overlap) or (not came and wanted > _NONE_CAME):
        yield Doubt(
            field=seen.key.name,
            kind="overlap",
            text=f"só {percent(comparison.overlap)} dos contratos do último arquivo voltaram "
            f"neste (o usual passa de {percent(comparison.wanted_overlap)})",
        )
