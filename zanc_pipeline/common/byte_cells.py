"""Many short texts as the bytes they are, for codecs that decide a whole column at once.

A column is a buffer and, for every row, where its cell starts and how many bytes it has. Codecs
look at it eight bytes at a time, as little-endian 64-bit words: the first byte is the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PAD = 32
"""Bytes that a buffer has before the first cell and after the last, so that no word leaves it."""

_ZEROS = np.uint64(0x3030303030303030)
_HEAD = np.array([(1 << (8 * size)) - 1 for size in range(9)], dtype=np.uint64)
_TAIL = np.array([((1 << 64) - 1) ^ ((1 << (64 - 8 * size)) - 1) for size in range(9)], np.uint64)
BLANK = np.zeros(256, dtype=np.bool_)
BLANK[[9, 32]] = True
"""Which bytes are blanks: those that are no part of a cell at its ends."""


def padded(data: bytes | memoryview | Bytes) -> Bytes:
    """``data`` with ``PAD`` bytes before and after it."""
    source = data if isinstance(data, np.ndarray) else np.frombuffer(data, dtype=np.uint8)
    buffer = np.zeros(len(source) + 2 * PAD, dtype=np.uint8)
    buffer[PAD : PAD + len(source)] = source
    return buffer


_ALIKE, _ALIKE_SIZE = 4, 40
"""So many sizes, up to so many bytes, have numbers that are written with marks in one way."""


class ByteCells:
    """The cells of a column.

    ``start`` are places in ``buffer``, not nearer than ``PAD`` to its ends, or, with ``stride``,
    the first of them; ``size`` is one number where all cells have it. Cells at even distances may
    be those of several ``columns`` that lie ``step`` apart, one column after the other.
    """

    __slots__ = ("_shape", "_stride", "_words", "buffer", "rows", "size", "start")

    def __init__(
        self,
        buffer: Bytes,
        start: Integers | int,
        size: Integers | int,
        rows: int,
        *,
        stride: int = 0,
        columns: int = 1,
        step: int = 0,
    ) -> None:
        self.buffer, self.start, self.size, self.rows = buffer, start, size, rows
        self._shape, self._stride = (columns, rows // columns), (step, stride)
        self._words: Words = np.ndarray(
            (len(buffer) - 7,), dtype=np.dtype("<u8"), buffer=buffer.data, strides=(1,)
        )

    @classmethod
    def of(cls, texts: pa.Array) -> ByteCells:
        """The UTF-8 bytes of a string array; a null is an empty cell."""
        rows = len(texts)
        if not rows:
            none = np.zeros(0, dtype=np.int64)
            return cls(padded(b""), none, none, 0)
        offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)
        offsets = offsets[texts.offset : texts.offset + rows + 1].astype(np.int64)
        body = texts.buffers()[2]
        data = memoryview(body)[offsets[0] : offsets[-1]] if body is not None else b""
        starts = offsets[:-1] - offsets[0] + PAD
        sizes = np.diff(offsets)
        if texts.null_count:
            sizes = np.where(texts.is_valid().to_numpy(zero_copy_only=False), sizes, 0)
        return cls(padded(data), starts, sizes, rows)

    @property
    def sizes(self) -> Integers:
        """Bytes of every cell."""
        if isinstance(self.size, int):
            return np.full(self.rows, self.size, dtype=np.int64)
        return self.size

    @property
    def even_size(self) -> int:
        """The size of all cells where it is one number, else -1."""
        return self.size if isinstance(self.size, int) else -1

    @property
    def starts(self) -> Integers:
        """Where every cell starts."""
        if isinstance(self.start, int):
            columns, rows = (np.arange(count, dtype=np.int64) for count in self._shape)
            step, stride = self._stride
            starts: Integers = (self.start + columns[:, None] * step + rows * stride).reshape(-1)
            return starts
        return self.start

    @classmethod
    def stacked(cls, parts: Sequence[ByteCells]) -> list[tuple[range, ByteCells]]:
        """Several columns put together, one after the other, as far as they can be read at once.

        Each result names the places in ``parts`` that it holds. Columns of one buffer whose cells
        lie anywhere are read at once; those at even distances, when they are of one size and as
        far apart.
        """
        found, first = [], 0
        for place in range(1, len(parts) + 1):
            if place < len(parts) and parts[first]._goes_with(parts[first + 1], parts[place]):
                step = parts[first + 1]._first - parts[first]._first
                apart = parts[place]._first - parts[place - 1]._first
                if step == apart or not isinstance(parts[first].start, int):
                    continue
            found.append((range(first, place), cls._as_one(parts[first:place])))
            first = place
        return found

    @property
    def _first(self) -> int:
        return self.start if isinstance(self.start, int) else 0

    def _goes_with(self, *others: ByteCells) -> bool:
        even = isinstance(self.start, int)
        return all(
            other.buffer is self.buffer
            and isinstance(other.start, int) == even
            and (
                not even
                or (
                    other._stride == self._stride
                    and isinstance(self.size, int)
                    and isinstance(other.size, int)
                    and self.size == other.size
                )
            )
            for other in others
        )

    @classmethod
    def _as_one(cls, parts: Sequence[ByteCells]) -> ByteCells:
        one, rows = parts[0], sum(part.rows for part in parts)
        if len(parts) == 1:
            return one
        if isinstance(one.start, int):
            step, stride = parts[1]._first - one.start, one._stride[1]
            return cls(
                one.buffer, one.start, one.size, rows, stride=stride, columns=len(parts), step=step
            )
        sizes = [part.size for part in parts]
        even = isinstance(one.size, int) and all(
            isinstance(size, int) and size == one.size for size in sizes
        )
        return cls(
            one.buffer,
            np.concatenate([part.starts for part in parts]),
            one.size if even else np.concatenate([part.sizes for part in parts]),
            rows,
        )

    def byte(self, place: int) -> Bytes:
        """The byte ``place`` of every cell, from its start (from its end when negative)."""
        shift = place + (self.size if place < 0 else 0)
        if isinstance(self.start, int) and isinstance(shift, int):
            column: Bytes = self._strided(np.dtype(np.uint8), self.start + shift)
            return column
        found: Bytes = self.buffer[self.starts + shift]
        return found

    def head(self, place: int = 0, *, masked: bool = True) -> Words:
        """Eight bytes from ``place`` on; those after the cell's end are zero when ``masked``."""
        words = self._at(place)
        if not masked:
            return words
        if isinstance(self.size, int):
            left = min(max(self.size - place, 0), 8)
            return words & _HEAD[left] if left < 8 else words
        return words & _HEAD[np.clip(self.size - place, 0, 8)]

    def tail(self, place: int = 0) -> Words:
        """Eight bytes that end ``place`` bytes before the end; before the start there are zeros.

        Those are characters ``0``: the tail of a number is the number.
        """
        sizes = self.size
        if isinstance(sizes, int):
            left = min(max(sizes - place, 0), 8)
            if not left:
                return np.full(self.rows, _ZEROS)
            words = self._at(sizes - place - 8)
            return (words & _TAIL[left]) | (_ZEROS & ~_TAIL[left]) if left < 8 else words
        if len(sizes) and sizes.min() >= place + 8:
            return self._at(sizes - (place + 8))
        keep = _TAIL[np.clip(sizes - place, 0, 8)]
        # A cell that ends before is all filling: its word is read where there are bytes.
        return (self._at(np.maximum(sizes, place) - (place + 8)) & keep) | (_ZEROS & ~keep)

    def pair(self, place: int) -> npt.NDArray[np.uint16]:
        """Two bytes from ``place`` on of every cell, the first of them the lower."""
        if isinstance(self.start, int):
            column: npt.NDArray[np.uint16] = self._strided(np.dtype("<u2"), self.start + place)
            return column
        at = self.start + place
        second = self.buffer.take(at + 1).astype(np.uint16)
        second <<= np.uint16(8)
        second |= self.buffer.take(at)
        return second

    def matrix(self) -> Bytes:
        """The bytes of cells that all have the same ``size`` (one number), row after row."""
        size = self.size
        if not isinstance(size, int):
            raise TypeError("only cells of one size are a matrix")
        if not size or not self.rows:
            return np.zeros((self.rows, size), dtype=np.uint8)
        kind = np.dtype(f"V{size}")
        if isinstance(self.start, int):
            cells = self._strided(kind, self.start)
        else:
            places = len(self.buffer) - size + 1
            every = np.ndarray((places,), dtype=kind, buffer=self.buffer.data, strides=(1,))
            cells = every[self.start]
        found: Bytes = cells.view(np.uint8).reshape(self.rows, size)
        return found

    def _at(self, shift: Integers | int) -> Words:
        if isinstance(self.start, int) and isinstance(shift, int):
            column: Words = self._strided(np.dtype("<u8"), self.start + shift)
            return column
        found: Words = self._words[self.starts + shift]
        return found

    def take(self, rows: npt.NDArray[np.intp] | Mask) -> ByteCells:
        """Some of the rows."""
        starts, sizes = self.starts[rows], self.sizes[rows]
        return ByteCells(self.buffer, starts, sizes, len(starts))

    def without_blanks(self) -> ByteCells:
        """The cells without the blanks and tabs at both ends."""
        if not self.rows:
            return self
        if isinstance(self.size, int) and (
            not self.size or not (BLANK[self.byte(0)].any() or BLANK[self.byte(-1)].any())
        ):
            return self
        starts, sizes = self.starts.copy(), self.sizes.copy()
        for at_end in (True, False):
            rows = np.flatnonzero(sizes > 0)
            while len(rows):
                place = starts[rows] + (sizes[rows] - 1 if at_end else 0)
                rows = rows[BLANK[self.buffer[place]]]
                sizes[rows] -= 1
                if not at_end:
                    starts[rows] += 1
                rows = rows[sizes[rows] > 0]
        return ByteCells(self.buffer, starts, sizes, self.rows)

    def only(self, kept: Mask) -> ByteCells:
        """The cells without the bytes for which ``kept`` (256 entries) is false."""
        alike = self._only_alike(kept)
        if alike is not None:
            return alike
        starts, sizes = self.starts, self.sizes
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if self.rows else 0
        begins = ends - sizes
        flat = self.buffer[np.arange(total) + np.repeat(starts - begins, sizes)]
        keep = kept[flat]
        before = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(keep)))
        return ByteCells(
            padded(flat[keep]), before[begins] + PAD, before[ends] - before[begins], self.rows
        )

    def _only_alike(self, kept: Mask) -> ByteCells | None:
        """``only`` where all cells of a size are to lose their bytes at the same places."""
        sizes = self.sizes
        if not self.rows or sizes.max() > _ALIKE_SIZE:
            return None
        different = np.flatnonzero(np.bincount(sizes))
        if len(different) > _ALIKE:
            return None
        parts = []
        for size in different.tolist():
            rows = np.flatnonzero(sizes == size) if len(different) > 1 else slice(None)
            starts = self.starts[rows]
            cells = ByteCells(self.buffer, starts, size, len(starts)).matrix()
            keep = kept[cells[0]]
            others = kept[cells[:, ~keep]] if not keep.all() else None
            if (others is not None and others.any()) or not kept[cells[:, keep]].all():
                return None
            parts.append((rows, cells[:, keep]))
        if len(parts) == 1:
            bare = np.ascontiguousarray(parts[0][1])
            width = bare.shape[1]
            return ByteCells(padded(bare.reshape(-1)), PAD, width, self.rows, stride=width)
        width = max(bare.shape[1] for _, bare in parts)
        every = np.zeros((self.rows, width), dtype=np.uint8)
        new = np.zeros(self.rows, dtype=np.int64)
        for rows, bare in parts:
            every[rows, : bare.shape[1]] = bare
            new[rows] = bare.shape[1]
        starts = PAD + np.arange(self.rows, dtype=np.int64) * width
        return ByteCells(padded(every.reshape(-1)), starts, new, self.rows)

    def texts(self) -> pa.Array:
        """The cells as they are, in a binary array."""
        sizes = self.sizes
        ends = np.zeros(self.rows + 1, dtype=np.int32)
        np.cumsum(sizes, out=ends[1:])
        begins = ends[:-1].astype(np.int64)
        flat = self.buffer[np.arange(int(ends[-1])) + np.repeat(self.starts - begins, sizes)]
        return pa.Array.from_buffers(
            pa.binary(), self.rows, [None, pa.py_buffer(ends), pa.py_buffer(flat)]
        )

    def _strided(self, kind: Any, first: int) -> Any:
        if not self.rows:  # numpy refuses a view of nothing that starts beyond its buffer
            return np.empty(0, dtype=kind)
        view = np.ndarray(
            self._shape, dtype=kind, buffer=self.buffer.data, offset=first, strides=self._stride
        )
        return view.copy().reshape(-1)


def are_digits(words: Words) -> Mask:
    """Where all eight bytes are digits."""
    high = np.uint64(0xF0F0F0F0F0F0F0F0)
    above = words + np.uint64(0x0606060606060606)
    above &= high
    above >>= np.uint64(4)
    above |= words & high
    mask: Mask = above == np.uint64(0x3333333333333333)
    return mask


def read_digits(words: Words) -> tuple[Words, Mask | None]:
    """The number that eight digits write, and where all eight are digits: everywhere when None."""
    value = words - _ZEROS
    known = None if value.view(np.uint8).max(initial=0) <= 9 else are_digits(words)
    part = _in_fours(value)
    value &= np.uint64(0x0000FFFF0000FFFF)
    np.right_shift(value, np.uint64(32), out=part)
    value *= np.uint64(10000)
    value += part
    value &= np.uint64(0xFFFFFFFF)
    return value, known


def _in_fours(value: Words) -> Words:
    """Add eight digits, a byte each, up by four, in place: in bits 0 to 15 and 32 to 47.

    Returns words of scratch, which spare another such array.
    """
    part = value >> np.uint64(8)
    value *= np.uint64(10)
    value += part
    value &= np.uint64(0x00FF00FF00FF00FF)
    np.right_shift(value, np.uint64(16), out=part)
    value *= np.uint64(100)
    value += part
    return part


def four_digits(words: Words) -> tuple[Integers, Integers]:
    """The numbers that the first and the last four of eight digits write."""
    value = words - _ZEROS
    part = _in_fours(value)
    np.right_shift(value, np.uint64(32), out=part)
    value &= np.uint64(0xFFFF)
    part &= np.uint64(0xFFFF)
    return value.view(np.int64), part.view(np.int64)


_FOUR = np.frombuffer("".join(f"{value:04}" for value in range(10_000)).encode(), dtype=np.uint32)


def written(values: Words, width: int) -> Bytes:
    """Numbers as ``width`` digits each, with leading zeros: a matrix of bytes."""
    parts = -(-width // 4)
    digits = np.empty((len(values), parts), dtype=np.uint32)
    rest = values
    for part in range(parts - 1, 0, -1):
        above = rest // np.uint64(10_000)
        digits[:, part] = _FOUR.take((rest - above * np.uint64(10_000)).view(np.int64))
        rest = above
    digits[:, 0] = _FOUR.take(rest.view(np.int64))
    return digits.view(np.uint8).reshape(len(values), parts * 4)[:, parts * 4 - width :]


def as_bits(mask: Mask) -> Words:
    """A mask with a bit for each of its entries, the first in the lowest of each word."""
    bits = np.packbits(mask, bitorder="little")
    if len(bits) % 8:
        bits = np.concatenate((bits, np.zeros(-len(bits) % 8, dtype=np.uint8)))
    return bits.view(np.dtype("<u8"))


def lowest_bit(words: Words) -> npt.NDArray[np.uint8]:
    """The place of the lowest bit of each word; no word is zero."""
    return np.bitwise_count(~words & (words - np.uint64(1)))


def validity(valid: Mask) -> pa.Buffer | None:
    """The bitmap of an Arrow array; None when all values are valid."""
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def strings(matrix: Bytes, valid: Mask, sizes: Integers | None = None) -> pa.Array:
    """ASCII texts from a matrix of bytes; with ``sizes``, the last so many bytes of every row."""
    rows, width = matrix.shape
    if sizes is None:
        data = np.ascontiguousarray(matrix)
        ends = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    else:
        data = matrix[np.arange(width) >= (width - sizes)[:, None]]
        ends = np.zeros(rows + 1, dtype=np.int32)
        np.cumsum(sizes, out=ends[1:])
    return pa.Array.from_buffers(
        pa.string(), rows, [validity(valid), pa.py_buffer(ends), pa.py_buffer(data)]
    )
