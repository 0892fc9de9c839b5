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
import numpy.typing as npt

from zanc_pipeline.common.byte_cells import PAD, ByteCells, Bytes, Integers, Mask
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
        ends = _line_ends(chunk.body, rows, expected)
        if ends is None:
            return None
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
        matrix = held[start:][: len(base) * distance].reshape(len(base), distance)
        lowest, highest = matrix.min(axis=0), matrix.max(axis=0)
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


def _line_ends(body: Bytes, rows: int, expected: Mapping[int, int]) -> Integers | None:
    """The places of ``rows`` line ends; None unless each byte comes as often as is expected.

    Sixty-four bytes at a time are one word of bits, of which most hold no line end.
    """
    if not rows or body[-1] != 10:
        return None
    mask = np.empty(min(len(body), _MARKED_AT_ONCE), dtype=np.bool_)
    counts = dict.fromkeys(expected, 0)
    found = []
    for start in range(0, len(body), _MARKED_AT_ONCE):
        piece = body[start : start + _MARKED_AT_ONCE]
        here = mask[: len(piece)]
        for byte in expected:
            counts[byte] += int(np.count_nonzero(np.equal(piece, byte, out=here)))
        words = _bits(np.equal(piece, 10, out=here))
        at = np.flatnonzero(words)
        word = words[at]
        if (word & (word - np.uint64(1))).any():
            places = np.flatnonzero(here)
        else:
            places = (at << 6) + np.bitwise_count(word - np.uint64(1))
        found.append(places + start)
    if counts != expected:
        return None
    ends: Integers = np.concatenate(found)
    return ends if len(ends) == rows else None


def _bits(mask: Mask) -> npt.NDArray[np.uint64]:
    """A mask with a bit for each of its entries, the first in the lowest of each word."""
    bits = np.packbits(mask, bitorder="little")
    if len(bits) % 8:
        bits = np.concatenate((bits, np.zeros(-len(bits) % 8, dtype=np.uint8)))
    return bits.view(np.dtype("<u8"))


def _first(buffer: Bytes, starts: Integers, byte: int) -> Integers | None:
    """The place of a byte's first coming from each of some places on; None where it is far."""
    last = len(buffer) - _WINDOW
    places = starts + PAD
    beyond = np.maximum(places - last, 0)
    places -= beyond
    kind = np.dtype(f"V{_WINDOW}")
    every = np.ndarray((last + 1,), dtype=kind, buffer=buffer.data, strides=(1,))
    words = _bits(every[places].view(np.uint8) == byte)
    if beyond.any():
        words = words >> beyond.astype(np.uint64)
    first = words & (np.uint64(0) - words)
    if not first.all():
        return None
    return starts + np.bitwise_count(first - np.uint64(1))
