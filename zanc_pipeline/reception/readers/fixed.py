"""Fixed width: lines of one size, cut in columns of bytes for a whole block at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from zanc_pipeline.reception.columns import Bytes2D, cut, trimmed
from zanc_pipeline.reception.layout import FixedLayout, PositionField
from zanc_pipeline.reception.problems import RejectedRow
from zanc_pipeline.reception.readers.base import (
    Batch,
    Chunk,
    Integers,
    broken_row,
    chunks,
    line_offsets,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """The lines of a chunk that have the right size, as a matrix of bytes, and the others."""

    data: Bytes2D
    line: Integers
    offset: Integers
    broken: list[RejectedRow]


def read_fixed(layout: FixedLayout, path: Path) -> Iterator[Batch]:
    """Batches of a file in which every line is a row."""
    for chunk in chunks(path, layout.encoding, must_end_with_newline=layout.ends_with_newline):
        block = to_block(chunk, layout.record_size, layout.encoding)
        yield Batch(
            line=block.line,
            offset=block.offset,
            cells=cut_fields(block.data, layout.fields, layout.encoding),
            broken=block.broken,
        )


def cut_fields(
    data: Bytes2D, fields: Iterable[PositionField], encoding: str
) -> dict[str, pa.Array]:
    """Trimmed text columns by field name."""
    return {
        field.name: trimmed(cut(data, field.start - 1, field.size, encoding)) for field in fields
    }


def to_block(chunk: Chunk, size: int, encoding: str) -> Block:
    """Gather the lines of exactly ``size`` bytes; blank lines are no rows, the others broken."""
    buffer = np.frombuffer(chunk.data, dtype=np.uint8)
    starts, ends = line_offsets(chunk)
    carriage = (ends > starts) & (buffer[np.maximum(ends - 1, 0)] == 13)
    lengths = ends - starts - carriage
    right = lengths == size
    if right.all() and len(starts) and not carriage.any() and chunk.data.endswith(b"\n"):
        data = buffer.reshape(len(starts), size + 1)[:, :size]
    else:
        data = buffer[starts[right][:, None] + np.arange(size)]
    numbers = chunk.line + np.arange(len(starts), dtype=np.int64)
    broken = []
    for index in np.flatnonzero(~right):
        raw = chunk.data[starts[index] : ends[index]]
        if raw.strip(b" \t\r\x00\x1a"):
            broken.append(
                broken_row(
                    int(numbers[index]),
                    chunk.offset + int(starts[index]),
                    raw.decode(encoding, "replace").rstrip("\r"),
                    f"a linha tem {lengths[index]} bytes e o layout espera {size}: confira se o "
                    "credor mudou o tamanho de algum campo",
                )
            )
    return Block(data=data, line=numbers[right], offset=chunk.offset + starts[right], broken=broken)
