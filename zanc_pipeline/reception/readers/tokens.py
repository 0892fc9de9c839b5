"""Where the cells of delimited lines lie, found for a whole chunk at once.

A line is *clean* when it has the expected number of separators and no quote, or when its quotes
cut nothing: each stands at an end of a cell that has one at both. Then every separator in it parts
two cells, whatever the other lines hold. The other lines are read one by one, with care.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.common.byte_cells import PAD, ByteCells, Bytes, Integers, Mask, padded
from zanc_pipeline.reception.readers.base import Chunk

_MARKED_AT_ONCE = 256 * 1024

_TURNED_AT_ONCE = 2048

Places = npt.NDArray[np.int32]
"""Places in a chunk, of which there are fewer than 2**31."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Columns ``first`` … ``last``, whose sizes are the same in all rows, side by side.

    ``buffer`` holds their bytes row after row, ``distance`` bytes each, from ``start`` on.
    """

    first: int
    last: int
    buffer: Bytes
    start: int
    distance: int


class CleanCells(ABC):
    """The cells of the clean lines of a chunk; ``buffer`` holds the chunk at ``PAD``."""

    buffer: Bytes
    ascii: bool

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many lines there are."""

    @property
    @abstractmethod
    def even_sizes(self) -> Sequence[int]:
        """The size of every column's cells, -1 where they have several."""

    @abstractmethod
    def _even_cells(self, column: int) -> ByteCells:
        """The cells of a column of one size."""

    @abstractmethod
    def _edges(self, column: int) -> tuple[Places, Places]:
        """Where the cells of a column of several sizes start and end, from the chunk's start."""

    def cells(self, column: int) -> ByteCells:
        """A column of the clean lines, blanks and all."""
        if self.even_sizes[column] >= 0:
            return self._even_cells(column)
        starts, ends = self._edges(column)
        sizes = (ends - starts).astype(np.int64)
        return ByteCells(self.buffer, starts.astype(np.int64) + PAD, sizes, self.rows)

    def texts(self, column: int) -> pa.Array:
        """The same as a binary array, or one of texts where all bytes are ``ascii``.

        Cells of several sizes and what stands between them are one array over the buffer itself,
        of which every second is taken: nothing is copied before.
        """
        rows, kind = self.rows, pa.string() if self.ascii else pa.binary()
        if not rows:
            return pa.array([], type=kind)
        size = self.even_sizes[column]
        if size >= 0:
            cells = np.ascontiguousarray(self.cells(column).matrix())
            sizes = np.arange(rows + 1, dtype=np.int32) * np.int32(size)
            return pa.Array.from_buffers(
                kind, rows, [None, pa.py_buffer(sizes), pa.py_buffer(cells)]
            )
        edges = np.empty(2 * rows, dtype=np.int32)
        edges[0::2], edges[1::2] = self._edges(column)
        inner = pa.py_buffer(self.buffer[PAD:])
        every = pa.Array.from_buffers(pa.binary(), 2 * rows - 1, [None, pa.py_buffer(edges), inner])
        taken = every.take(self._seconds)
        return pa.Array.from_buffers(kind, rows, taken.buffers())

    @cached_property
    def _seconds(self) -> pa.Array:
        return pa.array(np.arange(0, 2 * self.rows, 2))


def gathered(buffer: Bytes, starts: Integers, size: int) -> tuple[Bytes, int]:
    """``size`` bytes from each of some places in a buffer on, one after the other.

    Returns the buffer that holds them and where they start in it, with ``PAD`` bytes before and
    after them.
    """
    every = np.ndarray(
        (len(buffer) - size + 1,), dtype=f"V{size}", buffer=buffer.data, strides=(1,)
    )
    more = -(-PAD // size)
    places = np.full(len(starts) + 2 * more, starts[0])
    places[more:-more] = starts
    found: npt.NDArray[np.void] = every[places]
    return found.view(np.uint8), more * size


@dataclass(frozen=True, kw_only=True)
class Tokens(CleanCells):
    """The lines of a chunk, and the cells of the clean ones.

    ``buffer`` holds the chunk at ``PAD``; all places are counted from the chunk's start.
    ``line_starts`` and ``line_ends`` (without the newline) are of every line; ``clean`` are the
    indices of the clean ones. Their cells lie between ``before`` (the place of the byte before a
    cell, -1 at the start) and ``ends``: lines by columns.
    """

    buffer: Bytes
    line_starts: Integers
    line_ends: Integers
    clean: Integers
    before: Places
    ends: Places
    tight: bool
    """Whether one separator alone parts every cell from the next."""
    ascii: bool
    """Whether all bytes of the chunk are ASCII."""

    def without(self, lines: Mask) -> Tokens:
        """The same without some of the lines among the clean ones."""
        kept = ~lines[self.clean]
        if kept.all():
            return self
        first = int(kept.argmax())
        some = slice(first, None) if kept[first:].all() else kept
        return replace(self, clean=self.clean[some], before=self.before[some], ends=self.ends[some])

    @property
    def rows(self) -> int:
        """How many clean lines there are."""
        return len(self.clean)

    def quoted(self, quote: int) -> tuple[bool, ...]:
        """Which cells of the first clean line stand in quotes."""
        width: int = self.ends.shape[1]
        if self.tight:
            return (False,) * width
        return tuple(bool(byte == quote) for byte in self.buffer[self.ends[0] + PAD])

    def _even_cells(self, column: int) -> ByteCells:
        block = self._blocks[column]
        assert block is not None
        start = block.start + int(self.before[0, column] - self.before[0, block.first])
        size = self.even_sizes[column]
        return ByteCells(block.buffer, start, size, self.rows, stride=block.distance)

    def _edges(self, column: int) -> tuple[Places, Places]:
        return self._column_before(column) + np.int32(1), self._turned_ends[column]

    @cached_property
    def even_sizes(self) -> list[int]:
        """The size of every column's cells, -1 where they have several."""
        if not len(self.clean):
            return [-1] * self.ends.shape[1]
        sizes = self.ends - self.before
        found: list[int] = np.where(_even(sizes), sizes[0] - 1, -1).tolist()
        return found

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """First and last of the columns that make a block, for every block."""
        follows = [True] * self.ends.shape[1]
        if not self.tight and len(self.clean):
            follows[1:] = _even(self.before[:, 1:] - self.ends[:, :-1]).tolist()
        found: list[tuple[int, int]] = []
        for column, size in enumerate(self.even_sizes):
            if size < 0:
                continue
            if found and found[-1][1] == column - 1 and follows[column]:
                found[-1] = (found[-1][0], column)
            else:
                found.append((column, column))
        return found

    @cached_property
    def _blocks(self) -> list[Block | None]:
        """The block of every column that is in one."""
        found: list[Block | None] = [None] * self.ends.shape[1]
        for first, last in self._spans:
            found[first : last + 1] = [self._block(first, last)] * (last + 1 - first)
        return found

    def _block(self, first: int, last: int) -> Block:
        size = int(self.ends[0, last] - self.before[0, first]) - 1
        if not size:
            return Block(first=first, last=last, buffer=padded(b""), start=PAD, distance=0)
        starts = self._column_before(first).astype(np.int64) + (PAD + 1)
        buffer, start = gathered(self.buffer, starts, size)
        return Block(first=first, last=last, buffer=buffer, start=start, distance=size)

    def _column_before(self, column: int) -> Places:
        """The place before every cell of a column that is in no block, or the first of one."""
        shared = self.tight and column > 0
        return self._turned_ends[column - 1] if shared else self._turned_before[column]

    @cached_property
    def _started(self) -> list[int]:
        """The columns whose places are asked for: those in no block, and the first of each."""
        inner = {column for first, last in self._spans for column in range(first + 1, last + 1)}
        return [column for column in range(self.ends.shape[1]) if column not in inner]

    @cached_property
    def _turned_before(self) -> dict[int, Places]:
        shared = self.tight
        return _turned(self.before, [column for column in self._started if not (shared and column)])

    @cached_property
    def _turned_ends(self) -> dict[int, Places]:
        wanted = {column for column in self._started if self.even_sizes[column] < 0}
        if self.tight:
            wanted |= {column - 1 for column in self._started if column}
        return _turned(self.ends, sorted(wanted))


def _even(matrix: Places) -> Mask:
    """Which columns hold the same number in all rows, of which there is one at least.

    One half of the rows is laid over the other until one row is left: all in long runs.
    """
    rest = matrix ^ matrix[0]
    while len(rest) > 1:
        half = len(rest) // 2
        folded = rest[:half] | rest[half : 2 * half]
        if len(rest) % 2:
            folded[0] |= rest[-1]
        rest = folded
    even: Mask = rest[0] == 0
    return even


def _turned(matrix: Places, columns: list[int]) -> dict[int, Places]:
    """Some columns of a matrix by their place in it, each on its own in memory."""
    found = np.empty((len(columns), len(matrix)), dtype=np.int32)
    for start in range(0, len(matrix), _TURNED_AT_ONCE):
        some = slice(start, start + _TURNED_AT_ONCE)
        rows = matrix[some]
        for place, column in enumerate(columns):
            found[place, some] = rows[:, column]
    return dict(zip(columns, found, strict=True))


def find_tokens(chunk: Chunk, width: int, delimiter: int | None, quote: int | None) -> Tokens:
    """The tokens of a chunk for lines of ``width`` cells.

    Without a ``delimiter`` of one byte, no line is clean.
    """
    buffer, inner = chunk.buffer, chunk.body
    line_count = chunk.line_ends
    places = _marks(inner, delimiter if width > 1 else None, line_count * width)
    unended = len(inner) > 0 and inner[-1] != 10
    if unended:
        places, line_count = np.append(places, np.int32(len(inner))), line_count + 1
    marks = places[1:]
    wanted = marks[width - 1 :: width]
    if len(marks) == line_count * width and (inner.take(wanted[:-1]) == 10).all():
        # As many line ends as lines, each in its place: there is none within a line.
        newlines, line_ends = np.arange(width - 1, len(marks), width), wanted.astype(np.int64)
    else:
        ends_line = inner.take(marks, mode="clip") == 10
        if unended:
            ends_line[-1] = True
        newlines = np.flatnonzero(ends_line)
        line_ends = marks[newlines].astype(np.int64)
    line_starts = np.concatenate((np.zeros(1, dtype=np.int64), line_ends[:-1] + 1))[
        : len(line_ends)
    ]
    count = np.diff(newlines, prepend=-1)
    carriage = (buffer[PAD + line_ends - 1] == 13) & (line_ends > line_starts)
    ends_cells = line_ends - carriage
    good = (count == width) & (width > 1) & (delimiter is not None)
    if carriage.any():
        good &= (buffer[PAD + ends_cells - 1] != 13) | (ends_cells == line_starts)
    clean = np.flatnonzero(good)
    # The end of a cell is the place before the next one, over all lines; the last is a line's end.
    if len(clean) * width == len(marks):
        before, ends = (part.reshape(-1, width) for part in (places[:-1], marks))
    else:
        first = (newlines[clean] - (width - 1))[:, None] + np.arange(width)
        before, ends = places[first], marks[first]
    if carriage[clean].any():
        ends = ends.copy()
        ends[:, -1] = ends_cells[clean]
    found = Tokens(
        buffer=buffer,
        line_starts=line_starts,
        line_ends=line_ends,
        clean=clean,
        before=before,
        ends=ends,
        tight=True,
        ascii=chunk.ascii,
    )
    if quote is None or not _holds(inner, quote):
        return found
    return _unquoted(found, inner == quote, quote)


def _holds(data: Bytes, byte: int) -> bool:
    """Whether a byte is among others: some at a time, until it is found."""
    mask = np.empty(min(len(data), _MARKED_AT_ONCE), dtype=np.bool_)
    pieces = (data[at : at + _MARKED_AT_ONCE] for at in range(0, len(data), _MARKED_AT_ONCE))
    return any(np.equal(piece, byte, out=mask[: len(piece)]).any() for piece in pieces)


def _marks(data: Bytes, delimiter: int | None, expected: int) -> Places:
    """-1, and the places of all line ends and separators; there is room for ``expected`` at first.

    Some bytes at a time: what is compared stays in the core's own cache.
    """
    marked, other = np.empty((2, min(len(data), _MARKED_AT_ONCE)), dtype=np.bool_)
    every = np.arange(len(marked), dtype=np.int32)
    marks, found = np.empty(expected + 1, dtype=np.int32), 1
    marks[0] = -1
    for start in range(0, len(data), _MARKED_AT_ONCE):
        piece = data[start : start + _MARKED_AT_ONCE]
        here, there = marked[: len(piece)], other[: len(piece)]
        np.equal(piece, 10, out=here)
        if delimiter is not None:
            np.equal(piece, delimiter, out=there)
            np.logical_or(here, there, out=here)
        places = every[: len(piece)].compress(here)  # faster than to ask for what is not zero
        until = found + len(places)
        if until > len(marks):
            room = max(until, 2 * len(marks))
            marks = np.concatenate((marks[:found], np.empty(room - found, dtype=np.int32)))
        np.add(places, np.int32(start), out=marks[found:until])
        found = until
    return marks[:found]


def _unquoted(found: Tokens, quotes: Mask, quote: int) -> Tokens:
    """Cells without the quotes around them; a line with a quote elsewhere is not clean."""
    count = int(np.count_nonzero(quotes))
    before, ends, buffer = found.before, found.ends, found.buffer
    around = buffer.take(before + np.int32(PAD + 1)) == quote
    around &= buffer.take(ends + np.int32(PAD - 1)) == quote
    around &= ends - before >= 3
    bare = replace(found, before=before + around, ends=ends - around, tight=False)
    if count == 2 * np.count_nonzero(around):
        return bare
    held = np.diff(np.searchsorted(np.flatnonzero(quotes), found.line_ends), prepend=0)
    elsewhere = np.zeros(len(held), dtype=np.bool_)
    elsewhere[found.clean] = 2 * around.sum(axis=1) != held[found.clean]
    return bare.without(elsewhere)
