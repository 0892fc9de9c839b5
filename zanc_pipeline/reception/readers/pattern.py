"""Rows that repeat a pattern: most columns have one size, so most separators need no search.

The pattern is learnt from lines that were cut before, and only guesses. A chunk follows it when a
separator stands in every place where one is expected, there are no more of them in the chunk, and
no quotes but the expected ones: then its cells are exactly those that a search for every separator
finds. A chunk that does not is left to that search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zanc_pipeline.common.byte_cells import (
    PAD,
    ByteCells,
    Bytes,
    Integers,
    Mask,
    as_bits,
    lowest_bit,
)
from zanc_pipeline.reception.readers.base import Chunk
from zanc_pipeline.reception.readers.tokens import (
    Block,
    CleanCells,
    Places,
    Tokens,
    find_tokens,
    gathered,
)

_MARKED_AT_ONCE = 256 * 1024
_WINDOW = 64
"""Bytes in which the end of a cell of no fixed size is looked for, all rows at once."""

_LEAST_COLUMNS = 12
_SHARE = 4
"""Every fourth column may have cells of several sizes: more cost as much as the search of all."""

_MOST_FAILURES = 3


class Finder:
    """Finds the cells of one chunk after the other, by a pattern as long as they follow one."""

    def __init__(self, width: int, delimiter: int | None, quote: int | None) -> None:
        self._width, self._delimiter, self._quote = width, delimiter, quote
        self._pattern: RowPattern | None = None
        self._failures = 0

    def find(self, chunk: Chunk) -> Tokens | PatternCells:
        """The cells of a chunk."""
        if self._pattern is not None and self._failures < _MOST_FAILURES:
            found = self._pattern.cells(chunk)
            if found is not None:
                return found
            self._failures += 1
            self._pattern = None
        return self.search(chunk)

    def search(self, chunk: Chunk) -> Tokens:
        """The cells of a chunk by a search for every separator."""
        return find_tokens(chunk, self._width, self._delimiter, self._quote)

    def learn(self, cells: Tokens | PatternCells) -> None:
        """Take the pattern of lines that were cut; what already follows one teaches nothing."""
        if self._delimiter is not None and isinstance(cells, Tokens):
            self._pattern = RowPattern.of(cells, self._delimiter, self._quote)


@dataclass(frozen=True, kw_only=True)
class PatternCells(CleanCells):
    """A chunk of which every line follows a pattern; ``line_ends`` are without the newline.

    ``sizes`` are those of the cells, -1 of several; ``offsets`` where cells of one size lie in
    their blocks, ``edges`` where those of several sizes start and end.
    """

    buffer: Bytes
    ascii: bool
    line_starts: Integers
    line_ends: Integers
    sizes: Sequence[int]
    blocks: Sequence[Block]
    offsets: Mapping[int, int]
    edges: Mapping[int, tuple[Integers, Integers]]

    @property
    def rows(self) -> int:
        """How many lines there are."""
        return len(self.line_ends)

    @property
    def even_sizes(self) -> Sequence[int]:
        """The size of every column's cells, -1 where they have several."""
        return self.sizes

    @property
    def clean(self) -> Integers:
        """The indices of all lines."""
        return np.arange(self.rows, dtype=np.int64)

    def _even_cells(self, column: int) -> ByteCells:
        block = next(one for one in self.blocks if one.first <= column <= one.last)
        start, size = block.start + self.offsets[column], self.even_sizes[column]
        return ByteCells(block.buffer, start, size, self.rows, stride=block.distance)

    def _edges(self, column: int) -> tuple[Places, Places]:
        starts, ends = self.edges[column]
        return starts.astype(np.int32), ends.astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class RowPattern:
    """Sizes of the cells of every column, quotes left out; -1 where they have several.

    ``quoted`` says which columns stand in quotes.
    """

    delimiter: int
    quote: int | None
    sizes: tuple[int, ...]
    quoted: tuple[bool, ...]

    @classmethod
    def of(cls, tokens: Tokens, delimiter: int, quote: int | None) -> RowPattern | None:
        """The pattern of lines that were cut, when there is one that is worth it."""
        sizes = tuple(tokens.even_sizes)
        several = sum(size < 0 for size in sizes)
        if not tokens.rows or len(sizes) < _LEAST_COLUMNS or _SHARE * several > len(sizes):
            return None
        quoted = (False,) * len(sizes) if quote is None else tokens.quoted(quote)
        return cls(delimiter=delimiter, quote=quote, sizes=sizes, quoted=quoted)

    def cells(self, chunk: Chunk) -> PatternCells | None:
        """The cells of a chunk whose lines all follow the pattern, else None."""
        rows, buffer = chunk.line_ends, chunk.buffer
        expected = {self.delimiter: rows * (len(self.sizes) - 1)}
        if self.quote is not None:
            expected[self.quote] = rows * 2 * sum(self.quoted)
        if not rows or chunk.body[-1] != 10 or not _has(chunk.body, expected):
            return None
        ends = _line_ends(chunk)
        stops = ends
        carriage = buffer.take(ends + (PAD - 1)) == 13
        if carriage.any():
            stops = ends - 1
            if not carriage.all() or (buffer.take(stops + (PAD - 1)) == 13).any():
                return None
        starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
        found = self._cut(buffer, starts, stops)
        if found is None:
            return None
        edges, runs = found
        blocks: list[Block] = []
        offsets: dict[int, int] = {}
        for first, last, base in runs:
            block = self._block(buffer, first, last, base)
            if block is None:
                return None
            blocks.append(block)
            offsets |= self._offsets(first, last)
        return PatternCells(
            buffer=buffer,
            ascii=chunk.ascii,
            line_starts=starts,
            line_ends=ends,
            sizes=self.sizes,
            blocks=blocks,
            offsets=offsets,
            edges=edges,
        )

    def _cut(
        self, buffer: Bytes, starts: Integers, stops: Integers
    ) -> tuple[dict[int, tuple[Integers, Integers]], list[tuple[int, int, Integers]]] | None:
        """The edges of the cells of several sizes, and the runs of columns of one size.

        A run is its first and last column and where it starts in each line. None when there is a
        line that can not be cut so; nothing is found beyond the end of its line.
        """
        width, several = len(self.sizes), [at for at, size in enumerate(self.sizes) if size < 0]
        edges: dict[int, tuple[Integers, Integers]] = {}
        runs: list[tuple[int, int, Integers]] = []
        base, first = starts, 0
        for column in several:
            if column > first:
                runs.append((first, column - 1, base))
            start = base + self._length(first, column)
            if column == several[-1]:
                # What follows has one size: its end is told from the end of the line.
                end = stops - self._length(column + 1, width)
                if (end < start).any() or not self._stands(buffer, column, end):
                    return None
            else:
                found = _first(buffer, start, self.delimiter)
                if found is None:
                    return None
                end = found
            edges[column] = (start, end)
            base, first = end + 1, column + 1
        if first < width:
            runs.append((first, width - 1, base))
        if not several and (starts + self._length(0, width) != stops + 1).any():
            return None
        for column in several:
            if self.quoted[column]:
                start, end = edges[column]
                if not self._in_quotes(buffer, start, end):
                    return None
                edges[column] = (start + 1, end - 1)
        return edges, runs

    def _stands(self, buffer: Bytes, column: int, end: Integers) -> bool:
        """Whether a separator ends the cells of a column; a line end does those of the last."""
        last = column == len(self.sizes) - 1
        return last or bool((buffer.take(end + PAD) == self.delimiter).all())

    def _in_quotes(self, buffer: Bytes, start: Integers, end: Integers) -> bool:
        before, after = buffer.take(start + PAD), buffer.take(end + (PAD - 1))
        around: Mask = (before == self.quote) & (after == self.quote) & (end - start >= 2)
        return bool(around.all())

    def _length(self, first: int, after: int) -> int:
        """Bytes of the columns from ``first`` to before ``after``, each with its separator."""
        sizes = zip(self.sizes[first:after], self.quoted[first:after], strict=True)
        return sum(size + 2 * quoted + 1 for size, quoted in sizes)

    def _offsets(self, first: int, last: int) -> dict[int, int]:
        """Where the cells of a run's columns start in it."""
        return {
            column: self._length(first, column) + self.quoted[column]
            for column in range(first, last + 1)
        }

    def _block(self, buffer: Bytes, first: int, last: int, base: Integers) -> Block | None:
        """The cells of a run side by side; None when a separator or a quote is not in its place."""
        distance = self._length(first, last + 1)
        held, start = gathered(buffer, base + PAD, distance)
        cells = held[start : start + len(base) * distance]
        lowest, highest = (_reduced(limit, cells, distance) for limit in (np.minimum, np.maximum))
        for place, mark in self._marks(first, last):
            if not lowest[place] == mark == highest[place]:
                return None
        return Block(first=first, last=last, buffer=held, start=start, distance=distance)

    def _marks(self, first: int, last: int) -> Iterator[tuple[int, int | None]]:
        """The separators and quotes of a run, each with its place; a line's end is known."""
        for column, offset in self._offsets(first, last).items():
            after = offset + self.sizes[column]
            if self.quoted[column]:
                yield offset - 1, self.quote
                yield after, self.quote
            if column < len(self.sizes) - 1:
                yield after + self.quoted[column], self.delimiter


def _has(data: Bytes, expected: Mapping[int, int]) -> bool:
    """Whether each of some bytes is there as often as is expected."""
    mask = np.empty(min(len(data), _MARKED_AT_ONCE), dtype=np.bool_)
    left = dict(expected)
    for start in range(0, len(data), _MARKED_AT_ONCE):
        piece = data[start : start + _MARKED_AT_ONCE]
        for byte in expected:
            here = np.equal(piece, byte, out=mask[: len(piece)])
            if left[byte]:
                left[byte] -= int(np.count_nonzero(here))
            elif here.any():
                return False
    return not any(left.values())


def _line_ends(chunk: Chunk) -> Integers:
    """The places of all line ends. Most words of bits hold none or one."""
    words = chunk.newlines
    at = np.flatnonzero(words)
    if len(at) < chunk.line_ends:
        return np.flatnonzero(chunk.body == 10)
    return (at << 6) + lowest_bit(words[at])


_REDUCED_AT_ONCE = 4096


def _reduced(limit: np.ufunc, rows: Bytes, width: int) -> Bytes:
    """The lowest or highest byte in each place of rows of ``width`` bytes."""
    together = max(_REDUCED_AT_ONCE // width, 1) * width
    head = len(rows) - len(rows) % together
    parts = [rows[head:].reshape(-1, width)]
    if head:
        parts.append(limit.reduce(rows[:head].reshape(-1, together), axis=0).reshape(-1, width))
    found: Bytes = limit.reduce(np.concatenate(parts), axis=0)
    return found


def _first(buffer: Bytes, starts: Integers, byte: int) -> Integers | None:
    """The place of a byte's first coming from each of some places on; None where it is far."""
    last = len(buffer) - _WINDOW
    places = starts + PAD
    beyond = np.maximum(places - last, 0)
    places -= beyond
    kind = np.dtype(f"V{_WINDOW}")
    every = np.ndarray((last + 1,), dtype=kind, buffer=buffer.data, strides=(1,))
    words = as_bits(every[places].view(np.uint8) == byte)
    if beyond.any():
        words = words >> beyond.astype(np.uint64)
    return starts + lowest_bit(words) if words.all() else None
