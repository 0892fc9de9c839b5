"""Fixed width: lines of one size, cut in columns of bytes for a whole block at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from zanc_pipeline.common.byte_cells import PAD, ByteCells, Bytes, padded
from zanc_pipeline.reception.columns import Bytes2D
from zanc_pipeline.reception.layout import FixedLayout, PositionField
from zanc_pipeline.reception.problems import RejectedRow
from zanc_pipeline.reception.readers.base import (
    Batch,
    Chunk,
    Integers,
    Lazy,
    broken_row,
    chunks,
    line_offsets,
)
from zanc_pipeline.reception.readers.positions import is_plain, position_texts


@dataclass(frozen=True, kw_only=True)
class Block:
    """The lines of a chunk that have the right size, as a matrix of bytes, and the others."""

    data: Bytes2D
    line: Integers
    offset: Integers
    broken: Sequence[RejectedRow]
    buffer: Bytes
    """Where ``data`` lies: its first byte at ``PAD``, its rows ``distance`` bytes apart."""
    distance: int


def read_fixed(layout: FixedLayout, path: Path) -> Iterator[Batch]:
    """Batches of a file in which every line is a row.

    A file without line ends is cut by the size of the record alone.
    """
    for chunk in chunks(
        path,
        layout.encoding,
        must_end_with_newline=layout.ends_with_newline,
        record_size=layout.record_size,
        unbroken=not layout.newlines,
    ):
        block = to_block(chunk, layout.record_size, layout.encoding)
        yield Batch(
            line=block.line,
            offset=block.offset,
            cells=cut_fields(block.data, layout.fields, layout.encoding),
            broken=block.broken,
            raw=raw_fields(block, layout.fields),
            encoding=layout.encoding,
        )


def cut_fields(
    data: Bytes2D, fields: Iterable[PositionField], encoding: str
) -> Mapping[str, pa.Array]:
    """Trimmed text columns by field name, each cut when it is asked for."""

    return Lazy({field.name: partial(position_texts, data, field, encoding) for field in fields})


def raw_fields(block: Block, fields: Iterable[PositionField]) -> Mapping[str, ByteCells]:
    """The columns whose text is their own bytes, as those bytes, with the blanks that they have."""

    def column(field: PositionField) -> ByteCells:
        start, rows = PAD + field.start - 1, len(block.data)
        return ByteCells(block.buffer, start, field.size, rows, stride=block.distance)

    return Lazy({field.name: partial(column, field) for field in fields if is_plain(field)})


def to_block(chunk: Chunk, size: int, encoding: str) -> Block:
    """Gather the lines of exactly ``size`` bytes; blank lines are no rows, the others broken."""
    buffer = chunk.buffer
    inner = buffer[PAD:-PAD]
    even = _even_lines(chunk, inner, size)
    if even:
        rows = len(inner) // even
        places = np.arange(rows, dtype=np.int64)
        return Block(
            data=inner.reshape(rows, even)[:, :size],
            line=chunk.line + places,
            offset=chunk.offset + places * even,
            broken=(),
            buffer=buffer,
            distance=even,
        )
    starts, ends = line_offsets(chunk)
    carriage = (ends > starts) & (inner[np.maximum(ends - 1, 0)] == 13)
    lengths = ends - starts - carriage
    right = lengths == size
    numbers = chunk.line + np.arange(len(starts), dtype=np.int64)
    wrong = np.flatnonzero(~right)
    gathered = padded(inner[starts[right][:, None] + np.arange(size)].reshape(-1))
    return Block(
        data=gathered[PAD:-PAD].reshape(-1, size),
        line=numbers[right],
        offset=chunk.offset + starts[right],
        broken=_Broken(chunk, encoding, size, numbers[wrong], starts[wrong], ends[wrong]),
        buffer=gathered,
        distance=size,
    )


def _even_lines(chunk: Chunk, data: Bytes, size: int) -> int:
    """The distance from a line to the next when all lines are of ``size`` bytes, else 0."""
    if chunk.record_size:
        return chunk.record_size
    distance = size + (2 if data[size : size + 1].tobytes() == b"\r" else 1)
    rows, rest = divmod(len(data), distance)
    if rest or not rows or chunk.line_ends != rows:
        return 0
    matrix = data.reshape(rows, distance)
    if distance == size + 2 and not (matrix[:, size] == 13).all():
        return 0
    # With as many line ends as lines, one at the end of each leaves none within.
    if not (matrix[:, -1] == 10).all() or (distance == size + 1 and (matrix[:, -2] == 13).any()):
        return 0
    return distance


class _Broken(Sequence[RejectedRow]):
    """Lines of a wrong size; each is made when it is looked at, since they may be millions."""

    def __init__(
        self,
        chunk: Chunk,
        encoding: str,
        size: int,
        lines: Integers,
        starts: Integers,
        ends: Integers,
    ) -> None:
        filled = np.array(
            [
                bool(chunk.data[start:end].strip(b" \t\r\x00\x1a"))
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ],
            dtype=np.bool_,
        )
        self._chunk, self._encoding, self._size = chunk, encoding, size
        self._lines, self._starts, self._ends = lines[filled], starts[filled], ends[filled]

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> RejectedRow:  # type: ignore[override]
        start, end = int(self._starts[index]), int(self._ends[index])
        raw = self._chunk.data[start:end]
        length = len(raw) - raw.endswith(b"\r")
        return broken_row(
            int(self._lines[index]),
            self._chunk.offset + start,
            raw.decode(self._encoding, "replace").rstrip("\r"),
            f"a linha tem {length} bytes e o layout espera {self._size}: confira se o credor "
            "mudou o tamanho de algum campo",
        )
