"""Where the cells of delimited lines lie, found for a whole chunk at once.

A line is *clean* when it has the expected number of separators and no quote, or when its quotes
cut nothing: each stands at an end of a cell that has one at both. Then every separator in it parts
two cells, whatever the other lines hold. The other lines are read one by one, with care.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.common.byte_cells import BLANK, PAD, ByteCells, Bytes, Integers, Mask, padded
from zanc_pipeline.reception.readers.base import Chunk

_MARKED_AT_ONCE = 256 * 1024

_TURNED_AT_ONCE = 512

_LEAST_BLOCK = 2
"""Neighbouring columns that must be of even sizes for their bytes to be gathered together."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Columns ``first`` … ``last``, whose sizes are the same in all rows, side by side.

    ``buffer`` holds their bytes row after row, ``distance`` bytes each, from ``PAD`` on.
    """

    first: int
    last: int
    buffer: Bytes
    distance: int


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The lines of a chunk, and the cells of the clean ones.

    ``buffer`` holds the chunk at ``PAD``; all places are counted from the chunk's start.
    ``line_starts`` and ``line_ends`` (without the newline) are of every line; ``clean`` are the
    indices of the clean ones. Their cells lie between ``before`` (the place of the byte before a
    cell, -1 at the start) and ``ends``: columns × lines, in whatever order in memory.
    """

    buffer: Bytes
    line_starts: Integers
    line_ends: Integers
    clean: Integers
    before: Integers
    ends: Integers
    tight: bool
    """Whether one separator alone parts every cell from the next."""
    ascii: bool
    """Whether all bytes of the chunk are ASCII."""

    def without(self, lines: Mask) -> Tokens:
        """The same without some of the lines among the clean ones."""
        kept = ~lines[self.clean]
        if kept.all():
            return self
        return replace(
            self, clean=self.clean[kept], before=self.before[:, kept], ends=self.ends[:, kept]
        )

    def cells(self, column: int) -> ByteCells:
        """A column of the clean lines, blanks and all."""
        rows, size = len(self.clean), self._even_sizes[column]
        block = self._blocks[column]
        if block is not None:
            start = int(self.before[column, 0] - self.before[block.first, 0])
            return ByteCells(block.buffer, PAD + start, size, rows, stride=block.distance)
        starts = self.before[column] + np.int64(PAD + 1)
        return ByteCells(
            self.buffer, starts, size if size >= 0 else self._sizes[column].copy(), rows
        )

    @cached_property
    def _sizes(self) -> Integers:
        sizes: Integers = self.ends - self.before
        sizes -= 1
        return sizes

    @cached_property
    def _even_sizes(self) -> list[int]:
        """The size of every column's cells, -1 where they have several."""
        if not len(self.clean):
            return [-1] * len(self.ends)
        first = self._sizes[:, :1]
        even = (self._sizes == first).all(axis=1)
        sizes: list[int] = np.where(even, first[:, 0], -1).tolist()
        return sizes

    @cached_property
    def _blocks(self) -> list[Block | None]:
        """The block of every column that is in one."""
        found: list[Block | None] = [None] * len(self.ends)
        first = 0
        for column, size in enumerate([*self._even_sizes, -1]):
            if size >= 0 and (column == first or self._follows(column)):
                continue
            if column - first >= _LEAST_BLOCK:
                found[first:column] = [self._block(first, column - 1)] * (column - first)
            first = column if size >= 0 else column + 1
        return found

    def _follows(self, column: int) -> bool:
        """Whether a column starts as far after the one before it in all rows."""
        if self.tight:
            return True
        between = self.before[column] - self.ends[column - 1]
        return bool((between == between[0]).all())

    def _block(self, first: int, last: int) -> Block:
        starts = self.before[first] + np.int64(PAD + 1)
        size = int(self.ends[last, 0] - self.before[first, 0]) - 1
        places = len(self.buffer) - size + 1
        every = np.ndarray((places,), dtype=f"V{size}", buffer=self.buffer.data, strides=(1,))
        gathered: npt.NDArray[np.void] = every[starts]
        return Block(first=first, last=last, buffer=padded(gathered.view(np.uint8)), distance=size)

    def texts(self, column: int) -> pa.Array:
        """The same as a binary array, or one of texts where all bytes are ``ascii``.

        The cells and what stands between them are one array over the buffer itself, of which
        every second is taken: nothing is copied before.
        """
        rows = len(self.clean)
        if not rows:
            return pa.array([], type=pa.string() if self.ascii else pa.binary())
        edges = np.empty(2 * rows, dtype=np.int32)
        edges[0::2], edges[1::2] = self.before[column], self.ends[column]
        edges[0::2] += 1
        inner = pa.py_buffer(self.buffer[PAD:])
        every = pa.Array.from_buffers(pa.binary(), 2 * rows - 1, [None, pa.py_buffer(edges), inner])
        taken = every.take(self._seconds)
        if not self.ascii:
            return taken
        return pa.Array.from_buffers(pa.string(), rows, taken.buffers())

    def has_blanks(self, column: int) -> bool:
        """Whether a cell of the column may begin or end with a blank."""
        first = self.buffer.take(self.before[column] + np.int64(PAD + 1))
        last = self.buffer.take(self.ends[column] + np.int64(PAD - 1))
        return bool((BLANK.take(first) | BLANK.take(last)).any())

    @cached_property
    def _seconds(self) -> pa.Array:
        return pa.array(np.arange(0, 2 * len(self.clean), 2))


def find_tokens(chunk: Chunk, width: int, delimiter: int | None, quote: int | None) -> Tokens:
    """The tokens of a chunk for lines of ``width`` cells.

    Without a ``delimiter`` of one byte, no line is clean.
    """
    buffer, inner = chunk.buffer, chunk.body
    line_count = chunk.line_ends
    marks = _marks(inner, delimiter if width > 1 else None, line_count * width)
    if len(inner) and inner[-1] != 10:
        marks, line_count = np.append(marks, len(inner)), line_count + 1
    wanted = marks[width - 1 :: width]
    if len(marks) == line_count * width and (inner.take(wanted[:-1]) == 10).all():
        # As many line ends as lines, each in its place: there is none within a line.
        newlines, line_ends = np.arange(width - 1, len(marks), width), wanted.copy()
    else:
        ends_line = np.append(inner, np.uint8(10))[marks] == 10
        newlines = np.flatnonzero(ends_line)
        line_ends = marks[newlines]
    line_starts = np.concatenate((np.zeros(1, dtype=np.int64), line_ends[:-1] + 1))[
        : len(line_ends)
    ]
    count = np.diff(newlines, prepend=-1)
    carriage = (buffer[PAD + line_ends - 1] == 13) & (line_ends > line_starts)
    ends_cells = line_ends - carriage
    good = (count == width) & (width > 1) & (delimiter is not None)
    good &= (buffer[PAD + ends_cells - 1] != 13) | (ends_cells == line_starts)
    clean = np.flatnonzero(good)
    # Row by row the end of a cell is the place before the next one; the last is a line's end.
    edges = np.empty((width + 1, len(clean)), dtype=np.int64)
    edges[0] = line_starts[clean] - 1
    if len(clean) * width == len(marks):
        rows = marks.reshape(-1, width)
        for start in range(0, len(rows), _TURNED_AT_ONCE):
            some = slice(start, start + _TURNED_AT_ONCE)
            edges[1:width, some] = rows[some, :-1].T
    else:
        edges[1:width] = marks[(newlines[clean] - width + 1) + np.arange(width - 1)[:, None]]
    edges[width] = ends_cells[clean]
    found = Tokens(
        buffer=buffer,
        line_starts=line_starts,
        line_ends=line_ends,
        clean=clean,
        before=edges[:-1],
        ends=edges[1:],
        tight=True,
        ascii=chunk.ascii,
    )
    if quote is None:
        return found
    quotes = np.flatnonzero(inner == quote).astype(np.int64, copy=False)
    return _unquoted(found, quotes, quote) if len(quotes) else found


def _marks(data: Bytes, delimiter: int | None, expected: int) -> Integers:
    """The places of all line ends and separators; there is room for ``expected`` at first.

    Some bytes at a time: what is compared stays in the core's own cache.
    """
    marked, other = np.empty((2, min(len(data), _MARKED_AT_ONCE)), dtype=np.bool_)
    marks, found = np.empty(expected, dtype=np.int64), 0
    for start in range(0, len(data), _MARKED_AT_ONCE):
        piece = data[start : start + _MARKED_AT_ONCE]
        here, there = marked[: len(piece)], other[: len(piece)]
        np.equal(piece, 10, out=here)
        if delimiter is not None:
            np.equal(piece, delimiter, out=there)
            np.logical_or(here, there, out=here)
        places = np.flatnonzero(here)
        until = found + len(places)
        if until > len(marks):
            room = max(until, 2 * len(marks))
            marks = np.concatenate((marks[:found], np.empty(room - found, dtype=np.int64)))
        np.add(places, start, out=marks[found:until])
        found = until
    return marks[:found]


def _unquoted(found: Tokens, quotes: Integers, quote: int) -> Tokens:
    """Cells without the quotes around them; a line with a quote elsewhere is not clean."""
    lines = len(found.line_ends)
    held = np.bincount(np.searchsorted(found.line_ends, quotes), minlength=lines)
    before, ends = found.before, found.ends
    around = (found.buffer[before + (PAD + 1)] == quote) & (found.buffer[ends + (PAD - 1)] == quote)
    around &= ends - before >= 3
    elsewhere = np.zeros(lines, dtype=np.bool_)
    elsewhere[found.clean] = 2 * around.sum(axis=0) != held[found.clean]
    return replace(found, before=before + around, ends=ends - around, tight=False).without(
        elsewhere
    )
