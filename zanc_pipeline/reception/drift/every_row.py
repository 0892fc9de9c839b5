"""The rows that the sample left out, beside the last accepted ones: single odd ones go alone too.

The sample tells what the file's laws are and judges the file. Of a big file's other rows (up to
``MOST_ROWS``) all are compared with what was loaded of their contracts before, column by column;
those that changed, are new, or break a sum or a common day are then judged one by one, as the
sample's are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zanc_pipeline.reception.accepted import PHONES, column_of
from zanc_pipeline.reception.drift.counters import Movement, Pair, counters, day_of, movement
from zanc_pipeline.reception.drift.doubts import Doubt, OddRow
from zanc_pipeline.reception.drift.exact import (
    AGE,
    SCALE,
    Column,
    Mask,
    fields_of,
    number_columns,
    off_share,
    off_sum,
)
from zanc_pipeline.reception.drift.fingerprint import (
    AtHand,
    Fingerprint,
    file_day,
    numbers_of,
    phones_of,
)
from zanc_pipeline.reception.drift.law import Shares
from zanc_pipeline.reception.drift.moves import moves
from zanc_pipeline.reception.drift.past import with_laws, with_rows
from zanc_pipeline.reception.drift.rows import near_after
from zanc_pipeline.reception.drift.sample import Hasher, RowKey, Sample, loose, tokens
from zanc_pipeline.reception.drift.singles import singles
from zanc_pipeline.reception.layout import FieldSpec, Layout

MOST_ROWS = 2_000_000
"""Of a bigger file only the sample is judged row by row: columns of all rows fill the memory."""
_SLICE = 10_000
"""Rows that are judged at once: what is held in memory of them is some kilobytes each."""
_EPOCH = date(1970, 1, 1).toordinal()

Places = npt.NDArray[np.int64]


class Accepted:
    """The accepted rows of one delivery, a column at a time."""

    def __init__(self, path: Path, hasher: Hasher, key: RowKey) -> None:
        self._file = pq.ParquetFile(path)
        column = column_of(key.name)
        self._there = frozenset(self._file.schema_arrow.names)
        groups = (
            self._file.read_row_group(group, [column])[column]
            for group in range(self._file.num_row_groups)
        )
        hashes = [hasher.numbers(loose(_plain(contracts))) for contracts in groups]
        self.keys = np.concatenate([np.empty(0, np.uint64), *hashes])
        self._order = self.keys.argsort(kind="stable")

    def has(self, name: str) -> bool:
        """Whether a field of a layout was among the columns."""
        return name == "telefones" or column_of(name) in self._there

    def is_like(self, other: Accepted, names: Sequence[str]) -> bool:
        """Whether the columns of these fields are of the same types."""
        ours, theirs = self._file.schema_arrow, other._file.schema_arrow
        columns = [column_of(name) for name in names if name != "telefones"]
        return all(
            column in self._there
            and column in other._there
            and ours.field(column).type == theirs.field(column).type
            for column in columns
        )

    def places(self, keys: npt.NDArray[np.uint64]) -> Places:
        """The row of each contract; -1 where it did not come."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        ordered = self.keys[self._order]
        at = np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)
        return np.where(ordered[at] == keys, self._order[at], -1)

    def column(self, name: str) -> pa.Array:
        """The typed values of a field, of all rows."""
        return _plain(self._file.read([column_of(name)])[column_of(name)])

    def some(self, names: Sequence[str], places: Places) -> dict[str, pa.Array]:
        """Field → its typed values in some rows; nothing where the field did not come."""
        rows = pa.array(places)
        return {
            name: self._phones(rows)
            if name == "telefones"
            else self.column(name).take(rows)
            if self.has(name)
            else pa.nulls(len(places))
            for name in names
        }

    def _phones(self, rows: pa.Array) -> pa.Array:
        every = (self._file.read([name])[name].take(rows).to_pylist() for name in PHONES)
        return pa.array([[phone for phone in row if phone] for row in zip(*every, strict=True)])

    @property
    def lines(self) -> Places:
        """The line of each row."""
        return self._file.read(["line"])["line"].to_numpy()  # type: ignore[no-any-return]


def rows_of(accepted: Path) -> int:
    """How many rows a delivery's accepted rows are."""
    return int(pq.read_metadata(accepted).num_rows)


def with_known(of: Fingerprint, accepted: Path, layout: Layout, hasher: Hasher) -> Fingerprint:
    """The fingerprint ``of`` a past delivery with the values of its rows, from its ``accepted``
    ones; where these are gone, or too many, only its hashes can be compared."""
    if (
        layout.content != "carteira"
        or of.key.many
        or not accepted.is_file()
        or rows_of(accepted) > MOST_ROWS
    ):
        return of
    file = Accepted(accepted, hasher, of.key)
    keys = list(of.links)
    places = file.places(np.array(keys, np.uint64))
    there = places >= 0
    held = [key for key, here in zip(keys, there.tolist(), strict=True) if here]
    specs = {spec.name: spec for spec in layout.fields if file.has(spec.name)}
    names = [name for name in of.names if name in specs and name != "telefones"]
    known = {}
    for name, column in file.some(names, places[there]).items():
        values, place = column.to_pylist(), of.names.index(name)
        same = tokens(specs[name], values, hasher)
        known[name] = {
            key: value
            for key, value, token in zip(held, values, same, strict=True)
            if of.links[key][place] == token
        }
    return replace(of, known=known)


def odd_rows(
    accepted: Path,
    past: Sequence[Path],
    seen: Fingerprint,
    before: Fingerprint,
    earlier: Sequence[Fingerprint],
    layout: Layout,
    hasher: Hasher,
    confirmed: Collection[int] = (),
) -> dict[int, OddRow]:
    """Line → what is odd, of the accepted rows that were not in the samples of both files.

    ``seen`` is the file's fingerprint; ``past`` are the accepted rows of earlier deliveries, newest
    first, ``before`` and ``earlier`` their fingerprints. The rows of the lines ``confirmed`` were
    confirmed by a person.
    """
    if all(one.rows <= len(one.links) for one in (seen, before)) or seen.key.many:
        return {}
    if any(rows_of(path) > MOST_ROWS for path in (accepted, *past[:1])):
        return {}
    laws = with_laws(with_rows(before, earlier), earlier)
    moved = movement(seen, before)
    counting = counters(moved, seen, before)
    both = [name for name in seen.names if name in before.fields]
    still = [name for name in both if name not in {seen.key.name, *counting}]
    now = Accepted(accepted, hasher, seen.key)
    small = (path for path in past if rows_of(path) <= MOST_ROWS)
    files = [one for path in small if (one := Accepted(path, hasher, seen.key)).is_like(now, both)]
    if not files:
        return {}
    beside = _Beside(now, files)
    near = near_after(seen.days_since(before))
    picked = beside.fresh.copy()
    for name in still:
        picked |= beside.differs(name, near)
    picked |= beside.inexact(laws, file_day(seen.file)) | beside.out_of_step(moved.anchors)
    judged = np.fromiter((key for key in seen.links if key in laws.links), np.uint64)
    lines = beside.now.lines
    picked &= ~np.isin(beside.now.keys, judged) & ~np.isin(lines, np.fromiter(confirmed, np.int64))
    shares = Shares(rows=len(lines), fresh=float(beside.fresh.mean() if len(lines) else 0.0))
    specs = {spec.name: spec for spec in layout.fields}
    found: dict[int, OddRow] = {}
    for here, there in beside.slices(np.flatnonzero(picked), seen, laws, specs, hasher, lines):
        common = [key for key in here.links if key in there.links]
        anchors = {
            pair: (day, was)
            for pair, (now_, was) in moved.anchors.items()
            if (day := day_of(here, *pair, value=now_.value)) is not None
        }
        step = Movement(moves={}, anchors=anchors)
        odd = moves(here, there, common)
        found |= _told(singles(here, there, common, step, odd, but=counting, shares=shares), here)
    return found


class _Beside:
    """A file's accepted rows, and where each contract was last among those of the past."""

    def __init__(self, now: Accepted, past: Sequence[Accepted]) -> None:
        self.now, self._past = now, past
        self._which = np.full(len(now.keys), -1)
        self._where = np.full(len(now.keys), -1)
        for number, one in enumerate(past):
            places = one.places(now.keys)
            new = (places >= 0) & (self._which < 0)
            self._which[new], self._where[new] = number, places[new]

    @property
    def fresh(self) -> Mask:
        """Contracts that none of the past files brought."""
        return self._which < 0

    def differs(self, name: str, near: float) -> Mask:
        """Known contracts whose value is another one, amounts by more than ``near``."""
        out = np.zeros(len(self._which), dtype=np.bool_)
        if name == "telefones" or not self.now.has(name):
            return out
        new = self.now.column(name)
        for number, one in enumerate(self._past):
            rows = np.flatnonzero(self._which == number)
            if len(rows) and one.has(name):
                old = one.column(name).take(pa.array(self._where[rows]))
                out[rows] = _differ(new.take(pa.array(rows)), old, near)
        return out

    def inexact(self, laws: Fingerprint, day: date | None) -> Mask:
        """Rows that break a sum or a share that held in all rows."""
        out = np.zeros(len(self._which), dtype=np.bool_)
        exact = {name: laws.relations.get(name, {}) for name in ("sums", "shares")}
        names = {name for every in exact.values() for law in every for name in fields_of(law)}
        columns: dict[str, Column] = {}
        for name in names:
            if self.now.has(name):
                columns |= _numbers(name, laws.fields[name].type, self.now.column(name), day)
        for law, found in exact["sums"].items():
            off = off_sum(law, columns, 1.0) if found["share"] == 1 else None
            out |= off if off is not None else False
        for law, found in exact["shares"].items():
            off = off_share(law, found, columns)
            out |= off if off is not None else False
        return out

    def out_of_step(self, anchors: Mapping[Pair, Any]) -> Mask:
        """Rows whose date and number do not make the day that most make."""
        out = np.zeros(len(self._which), dtype=np.bool_)
        for (day, number, sign), (now, _) in anchors.items():
            if self.now.has(day) and self.now.has(number):
                dates, counts = self.now.column(day), self.now.column(number)
                both = ~(_nulls(dates) | _nulls(counts))
                days = dates.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64) + _EPOCH
                times = 1 if sign == "+" else -1
                out |= both & (days + times * _whole(counts) != now.value)
        return out

    def slices(
        self,
        rows: Places,
        seen: Fingerprint,
        laws: Fingerprint,
        specs: Mapping[str, FieldSpec],
        hasher: Hasher,
        lines: Places,
    ) -> Iterator[tuple[Fingerprint, Fingerprint]]:
        """``seen`` as if made of some of these rows, and ``laws`` with what they were last."""
        kinds = {name: one.type for name, one in seen.fields.items()}
        now = self.now.some(seen.names, rows)
        known = [name for name in laws.names if name in specs]
        places = [np.flatnonzero(self._which[rows] == number) for number in range(len(self._past))]
        past = [
            one.some(known, self._where[rows[at]])
            for one, at in zip(self._past, places, strict=True)
        ]
        for start in range(0, len(rows), _SLICE):
            some = rows[start : start + _SLICE]
            keys = self.now.keys[some].tolist()
            columns = {
                name: column.slice(start, _SLICE).to_pylist() for name, column in now.items()
            }
            sample = Sample(
                rows_total=seen.rows,
                keys=keys,
                lines=lines[some].tolist(),
                cells={name: [""] * len(keys) for name in columns},
            )
            values = {name: dict(zip(keys, one, strict=True)) for name, one in columns.items()}
            here = replace(
                _made(seen, keys, columns, specs, hasher),
                at_hand=AtHand(
                    sample=sample,
                    values=values,
                    columns=number_columns(kinds, columns, file_day(seen.file)),
                    without=lambda _: seen,
                ),
            )
            there = laws
            for at, old in zip(places, past, strict=True):
                first, end = np.searchsorted(at, [start, start + _SLICE])
                keys = self.now.keys[rows[at[first:end]]].tolist()
                columns = {
                    name: old[name].slice(first, end - first).to_pylist()
                    if name in old
                    else [None] * len(keys)
                    for name in laws.names
                }
                there = _with(there, _made(laws, keys, columns, specs, hasher))
            yield here, there


def _with(laws: Fingerprint, rows: Fingerprint) -> Fingerprint:
    return replace(
        laws,
        links=laws.links | rows.links,
        known={name: {**every, **rows.known.get(name, {})} for name, every in laws.known.items()},
        phones={name: {**every, **rows.phones[name]} for name, every in laws.phones.items()},
    )


def _made(
    like: Fingerprint,
    keys: list[int],
    columns: Mapping[str, list[Any]],
    specs: Mapping[str, FieldSpec],
    hasher: Hasher,
) -> Fingerprint:
    """``like`` with the links, numbers and phones of other rows."""
    made = [
        tokens(specs[name], column, hasher) if name in specs else column
        for name, column in columns.items()
    ]
    return replace(
        like,
        links=dict(zip(keys, map(list, zip(*made, strict=True)), strict=True)),
        numbers={name: numbers_of(keys, columns[name]) for name in like.numbers},
        phones={name: phones_of(keys, columns[name], hasher) for name in like.phones},
        known={name: dict(zip(keys, column, strict=True)) for name, column in columns.items()},
        at_hand=None,
    )


def _told(odd: Mapping[int, Sequence[Doubt]], here: Fingerprint) -> Iterator[tuple[int, OddRow]]:
    if here.at_hand is None:
        return
    lines, values = here.at_hand.lines, here.at_hand.values
    for key, doubts in odd.items():
        if key in lines:
            yield (
                lines[key],
                OddRow(
                    contract=values[here.key.name][key],
                    cells={one.field: values[one.field][key] for one in doubts},
                    doubts=tuple(doubts),
                ),
            )


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _differ(new: pa.Array, old: pa.Array, near: float) -> Mask:
    if pa.types.is_decimal(new.type) and pa.types.is_decimal(old.type):
        one, other = (_cents(column) for column in (new, old))
        unlike: Mask = np.abs(one - other) > near * np.maximum(np.abs(one), np.abs(other))
    else:
        unlike = pc.fill_null(pc.not_equal(new, old), False).to_numpy(zero_copy_only=False)
    emptied: Mask = _nulls(new) != _nulls(old)
    return unlike | emptied


def _numbers(name: str, kind: str, column: pa.Array, day: date | None) -> dict[str, Column]:
    """The column as ``exact.number_columns`` makes it."""
    there = ~_nulls(column)
    if kind != "data":
        floats = pc.cast(column, pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        return {name: (np.round(floats * 10.0 ** SCALE.get(kind, 0)), there)}
    if day is None:
        return {}
    days = column.cast(pa.int32()).fill_null(0).to_numpy().astype(np.float64) + _EPOCH
    return {AGE + name: (day.toordinal() - days, there)}


def _nulls(column: pa.Array) -> Mask:
    return column.is_null().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _cents(column: pa.Array) -> npt.NDArray[np.float64]:
    """Amounts as cents; nothing is nought."""
    floats = pc.cast(column, pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    return floats * 100  # type: ignore[no-any-return]


def _whole(column: pa.Array) -> Places:
    return pc.cast(column, pa.int64()).fill_null(0).to_numpy()  # type: ignore[no-any-return]
