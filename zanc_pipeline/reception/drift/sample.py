"""A small sample of a delivery that is the same sample every day: rows chosen by their contract.

The rows kept are those whose contract has the smallest keyed hash, so that two deliveries of one
portfolio keep the same contracts and can be compared row by row. Values are kept as short keyed
hashes, amounts as cents and marks as they are: nothing personal can be read out of a fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.fields import convert
from zanc_pipeline.reception.layout import ColumnField, FieldSpec
from zanc_pipeline.reception.readers.base import Batch

SAMPLE_ROWS = 1_500
KEY = "contrato"
"""The field by which the rows of two portfolios are known to be the same."""

Token = str | int | None
_TURNS = 0xFF
"""The bits of a hash that tell apart the rows with one key."""
_BLANKS = re.compile(r"\s+")


class Hasher:
    """Keyed hashes of one installation: without the secret they can not be made again."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.blake2b(secret.encode(), digest_size=32).digest()
        self._siphash = self._key.hex()[:16]

    def token(self, text: str) -> str:
        """Eight hexadecimal digits that stand for ``text``."""
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=4).hexdigest()

    def numbers(self, texts: pa.Array) -> npt.NDArray[np.uint64]:
        """A 64-bit keyed hash of each text."""
        from pandas.util import hash_array

        values = pc.fill_null(texts, "").to_numpy(zero_copy_only=False)
        hashes: npt.NDArray[np.uint64] = hash_array(
            values, hash_key=self._siphash, categorize=False
        )
        return hashes


@dataclass(frozen=True, kw_only=True, slots=True)
class RowKey:
    """The field by which the rows of two deliveries are known to be the same.

    ``many``: a value comes in several rows, told apart by which of them comes first.
    """

    name: str = KEY
    many: bool = False

    @property
    def different(self) -> float:
        """Share of different values, at least, in the column that holds the key."""
        return 0.1 if self.many else 0.5

    def hashes(self, texts: pa.Array, hasher: Hasher) -> npt.NDArray[np.uint64]:
        """A 64-bit keyed hash of the row of each text."""
        found = hasher.numbers(loose(texts))
        if not self.many:
            return found
        import pandas as pd

        turns = pd.Series(found).groupby(found, sort=False).cumcount().to_numpy(np.uint64)
        return (found & ~np.uint64(_TURNS)) | np.minimum(turns, np.uint64(_TURNS))

    def numbered(self, found: int, times: Counter[int]) -> int:
        """The hash of one more row with the key's hash ``found``; ``times`` counts them."""
        if not self.many:
            return found
        turn, times[found] = times[found], times[found] + 1
        return self.numbers_of(found)[min(turn, _TURNS)]

    @staticmethod
    def numbers_of(row: int) -> range:
        """The hashes of all rows with the same key as that of the hash ``row``."""
        return range(row & ~_TURNS, (row | _TURNS) + 1)


def row_key(names: Container[str]) -> RowKey:
    """What tells apart the rows of a file with these fields: without a contract, the person."""
    return RowKey() if KEY in names else RowKey(name="cpf", many=True)


def loose(texts: pa.Array) -> pa.Array:
    """Contracts without case, marks and leading zeros: what survives most rewritings."""
    marked = pc.replace_substring_regex(pc.ascii_lower(texts), pattern="[^0-9a-z]+", replacement="")
    return pc.utf8_ltrim(marked, characters="0")


def plain(text: str) -> str:
    """A text without the differences that change nothing: case and runs of blanks."""
    return _BLANKS.sub(" ", text).strip().casefold()


def typed(spec: FieldSpec, texts: Sequence[str]) -> tuple[list[Any], list[bool]]:
    """The values that the field's type makes of ``texts`` (None: empty) and which are invalid.

    The ranges of the layout do not count: a value out of range is still a value.
    """
    free = spec.model_copy(update={"minimum": None, "maximum": None})
    cells = pa.array(texts, type=pa.string())
    if isinstance(spec, ColumnField):
        column = convert(free, cells, between=spec.between)
    else:
        column = convert(free, cells)
    return column.values.to_pylist(), column.invalid.tolist()


def tokens(spec: FieldSpec, values: Iterable[Any], hasher: Hasher) -> list[Token]:
    """Typed values as they are kept; equal values give equal tokens, whatever their notation."""
    made: dict[Any, Token] = {}
    out: list[Token] = []
    for value in values:
        key = tuple(value) if isinstance(value, list) else value
        if key not in made:
            made[key] = _token(spec, key, hasher)
        out.append(made[key])
    return out


def _token(spec: FieldSpec, value: Any, hasher: Hasher) -> Token:
    if value is None or value == ():
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value.scaleb(2))
    if isinstance(value, date):
        return hasher.token(value.isoformat()) + hasher.token(_swapped(value))
    if isinstance(value, tuple):
        return hasher.token("/".join(map(str, value)))
    if spec.name == KEY:
        return hasher.token(str(value))
    return hasher.token(plain(str(value)))


def swapped_date(new: Token, old: Token) -> bool:
    """Whether two tokens are one date with its day and month in each other's place."""
    if not (isinstance(new, str) and isinstance(old, str) and len(new) == len(old) == 16):
        return False
    return new != old and new[:8] == old[8:]


def _swapped(day: date) -> str:
    return date(day.year, day.day, day.month).isoformat() if day.day <= 12 else ""


@dataclass(kw_only=True)
class Sample:
    """Rows of a delivery as texts, by field; ``keys`` are the hashes of their contracts, or of
    what else is the ``key``."""

    key: RowKey = field(default_factory=RowKey)
    rows_total: int = 0
    keys: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    cells: dict[str, list[str]] = field(default_factory=dict)
    repeats: int = 0
    """Rows whose contract had come already, with other cells."""

    @property
    def names(self) -> list[str]:
        """The fields, in the layout's order."""
        return list(self.cells)

    def without(self, keys: Container[int]) -> Sample:
        """The sample as if the rows of these contracts had not come."""
        kept = [place for place, key in enumerate(self.keys) if key not in keys]
        return Sample(
            key=self.key,
            rows_total=self.rows_total - len(self.keys) + len(kept),
            keys=[self.keys[place] for place in kept],
            lines=[self.lines[place] for place in kept],
            cells={name: [column[at] for at in kept] for name, column in self.cells.items()},
            repeats=self.repeats,
        )


class Sampler:
    """Takes batches as they pass and keeps the rows of the smallest contract hashes."""

    def __init__(
        self, hasher: Hasher, *, key: RowKey | None = None, size: int = SAMPLE_ROWS
    ) -> None:
        self._hasher, self._size = hasher, size
        self._key = key
        self._times: Counter[int] = Counter()
        self._rows: dict[int, list[str]] = {}
        self._lines: dict[int, int] = {}
        self._repeats: Counter[int] = Counter()
        self._limit: int | None = None
        self._names: list[str] = []
        self._total = 0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, looked at in passing from the start; memory is the sample's."""
        self._rows, self._lines, self._limit, self._total = {}, {}, None, 0
        self._repeats.clear()
        self._times.clear()
        for batch in batches:
            self.see(batch.cells, batch.line)
            yield batch

    def see(self, cells: Mapping[str, pa.Array], lines: npt.NDArray[np.int64]) -> None:
        """Take the text columns of some rows, and the line of each."""
        self._names = self._names or list(cells)
        key = self._key = self._key or row_key(cells)
        name = key.name
        if name not in cells or not len(cells[name]):
            return
        contracts = loose(cells[name])
        self._total += len(contracts)
        hashes = self._hasher.numbers(contracts)
        if self._limit is None:
            near = hashes.argsort(kind="stable")[: 2 * self._size]
        else:
            near = np.flatnonzero(hashes <= np.uint64(self._limit))
        chosen = [index for index in np.sort(near).tolist() if contracts[index].as_py()]
        if not chosen:
            return
        taken = {name: cells[name].take(pa.array(chosen)).to_pylist() for name in self._names}
        for place, index in enumerate(chosen):
            number = key.numbered(int(hashes[index]), self._times)
            row = [taken[name][place] or "" for name in self._names]
            if number not in self._rows:
                self._lines[number] = int(lines[index])
            if self._rows.setdefault(number, row) != row:
                self._repeats[number] += 1
        self._trim(key)

    def sample(self) -> Sample:
        """What was kept, in the order of the hashes."""
        keys = sorted(self._rows)
        columns = list(zip(*(self._rows[key] for key in keys), strict=True))
        cells = {
            name: list(columns[place]) if keys else [] for place, name in enumerate(self._names)
        }
        repeats = sum(self._repeats[key] for key in keys)
        lines = [self._lines[key] for key in keys]
        return Sample(
            key=self._key or RowKey(),
            rows_total=self._total,
            keys=keys,
            lines=lines,
            cells=cells,
            repeats=repeats,
        )

    def _trim(self, key: RowKey) -> None:
        if len(self._rows) < self._size:
            return
        kept = sorted(self._rows)[: self._size]
        self._limit = kept[-1] | (_TURNS if key.many else 0)
        self._rows = {key: self._rows[key] for key in kept}
        self._lines = {key: self._lines[key] for key in kept}
