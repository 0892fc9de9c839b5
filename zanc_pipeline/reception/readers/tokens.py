"""Where the cells of delimited lines lie, found for a whole chunk at once.

A line is *clean* when it has the expected number of separators and no quote, or when its quotes
cut nothing: each stands at an end of a cell that has one at both. Then every separator in it parts
two cells, whatever the other lines hold. The other lines are read one by one, with care.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from zanc_pipeline.common.byte_cells import PAD, ByteCells, Bytes, Integers, Mask


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The lines of a chunk, and the cells of the clean ones.

    ``buffer`` holds the chunk at ``PAD``; all places are counted from the chunk's start.
    ``line_starts`` and ``line_ends`` (without the newline) are of every line; ``clean`` are the
    indices of the clean ones, ``starts`` and ``ends`` their cells, a column each.
    """

    buffer: Bytes
    line_starts: Integers
    line_ends: Integers
    clean: Integers
    starts: Integers
    ends: Integers

    def without(self, lines: Mask) -> Tokens:
        """The same without some of the lines among the clean ones."""
        kept = ~lines[self.clean]
        if kept.all():
            return self
        return Tokens(
            buffer=self.buffer,
            line_starts=self.line_starts,
            line_ends=self.line_ends,
            clean=self.clean[kept],
            starts=self.starts[:, kept],
            ends=self.ends[:, kept],
        )

    def cells(self, column: int) -> ByteCells:
        """A column of the clean lines, blanks and all."""
        starts = self.starts[column]
        sizes = self.ends[column] - starts
        first = int(sizes[0]) if len(sizes) else 0
        even = len(sizes) > 0 and bool((sizes == first).all())
        return ByteCells(self.buffer, starts + PAD, first if even else sizes, len(starts))

    def texts(self, column: int) -> pa.Array:
        """The same as a binary array.

        The cells and what stands between them are one array over the buffer itself, of which
        every second is taken: nothing is copied before.
        """
        rows = len(self.clean)
        if not rows:
            return pa.array([], type=pa.binary())
        edges = np.empty(2 * rows, dtype=np.int32)
        edges[0::2], edges[1::2] = self.starts[column], self.ends[column]
        inner = pa.py_buffer(self.buffer[PAD:])
        every = pa.Array.from_buffers(pa.binary(), 2 * rows - 1, [None, pa.py_buffer(edges), inner])
        return every.take(pa.array(np.arange(0, 2 * rows, 2)))


def find_tokens(buffer: Bytes, width: int, delimiter: int | None, quote: int | None) -> Tokens:
    """The tokens of ``buffer`` (padded) for lines of ``width`` cells.

    Without a ``delimiter`` of one byte, no line is clean.
    """
    inner = buffer[PAD:-PAD]
    marked = inner == 10
    line_count = int(np.count_nonzero(marked))
    if delimiter is not None and width > 1:
        marked |= inner == delimiter
    marks = np.flatnonzero(marked)
    if len(inner) and inner[-1] != 10:
        marks, line_count = np.append(marks, len(inner)), line_count + 1
    wanted = np.arange(width - 1, len(marks), width)
    if len(marks) == line_count * width and (inner[marks[wanted[:-1]]] == 10).all():
        # As many line ends as lines, each in its place: there is none within a line.
        newlines = wanted
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
    if len(clean) * width == len(marks):
        ends = np.ascontiguousarray(marks.reshape(-1, width).T)
    else:
        ends = marks[(newlines[clean] - width + 1) + np.arange(width)[:, None]]
    if len(clean):
        starts = np.empty_like(ends)
        starts[0] = line_starts[clean]
        starts[1:] = ends[:-1] + 1
        ends[-1] = ends_cells[clean]
    else:
        starts = ends = np.zeros((width, 0), dtype=np.int64)
    found = Tokens(
        buffer=buffer,
        line_starts=line_starts,
        line_ends=line_ends,
        clean=clean,
        starts=starts,
        ends=ends,
    )
    if quote is None:
        return found
    quotes = np.flatnonzero(inner == quote)
    return _unquoted(found, quotes, quote) if len(quotes) else found


def _unquoted(found: Tokens, quotes: Integers, quote: int) -> Tokens:
    """Cells without the quotes around them; a line with a quote elsewhere is not clean."""
    lines = len(found.line_ends)
    held = np.bincount(np.searchsorted(found.line_ends, quotes), minlength=lines)
    starts, ends = found.starts + PAD, found.ends + PAD
    around = (found.buffer[starts] == quote) & (found.buffer[ends - 1] == quote)
    around &= ends - starts >= 2
    elsewhere = np.zeros(lines, dtype=np.bool_)
    elsewhere[found.clean] = 2 * around.sum(axis=0) != held[found.clean]
    return Tokens(
        buffer=found.buffer,
        line_starts=found.line_starts,
        line_ends=found.line_ends,
        clean=found.clean,
        starts=found.starts + around,
        ends=found.ends - around,
    ).without(elsewhere)
