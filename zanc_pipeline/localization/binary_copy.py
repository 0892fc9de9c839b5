"""COPY in PostgreSQL's binary format from columns: no text is written and none is parsed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = 946_684_800_000_000
"""PostgreSQL counts microseconds from the year 2000, we from 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """Values as bytes: ``data`` from ``starts`` on, ``sizes`` long; a size of −1 is NULL."""

    name: str
    data: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray


def integers(name: str, values: np.ndarray) -> Column:
    """A column of type integer."""
    return _fixed(name, values.astype(">i4"))


def booleans(name: str, values: np.ndarray) -> Column:
    """A column of type boolean."""
    return _fixed(name, values.astype("u1"))


def moments(name: str, values: np.ndarray, *, never: int | None = None) -> Column:
    """A column of type timestamptz, of µs since 1970; ``never`` is NULL."""
    import numpy as np

    nulls = values == never if never is not None else np.zeros(len(values), dtype=bool)
    column = _fixed(name, np.where(nulls, 0, values - _EPOCH).astype(">i8"))
    return Column(
        name=name,
        data=column.data,
        starts=column.starts,
        sizes=np.where(nulls, -1, column.sizes).astype(np.int32),
    )


def uuids(name: str, halves: np.ndarray) -> Column:
    """A column of type uuid: a row holds the two halves of each."""
    return _fixed(name, halves.astype(">u8").view("V16").reshape(-1))


def texts(name: str, values: Any, places: np.ndarray) -> Column:
    """A column of type text or bytea: of the arrow array ``values`` those at ``places``."""
    import numpy as np

    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)[values.offset :]
    offsets = offsets[: len(values) + 1]
    content = values.buffers()[2]
    data = np.frombuffer(content, dtype=np.uint8) if content else np.zeros(0, dtype=np.uint8)
    return Column(name=name, data=data, starts=offsets[:-1][places], sizes=np.diff(offsets)[places])


def arrow(name: str, values: Any) -> Column:
    """A column of an arrow array of strings, floats (as real) or µs in UTC; nulls are NULL."""
    import numpy as np
    import pyarrow as pa

    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_timestamp(values.type):
        column = moments(name, values.cast("int64").fill_null(0).to_numpy())
    elif pa.types.is_floating(values.type):
        numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
        column = _fixed(name, numbers.astype(">f4"))
    else:
        column = texts(name, values, np.arange(len(values)))
    if not values.null_count:
        return column
    nulls = values.is_null().to_numpy(zero_copy_only=False)
    sizes = np.where(nulls, -1, column.sizes).astype(np.int32)
    return Column(name=name, data=column.data, starts=column.starts, sizes=sizes)


def copy_columns(cursor: Any, table: str, columns: list[Column]) -> None:
    """COPY rows into ``table`` (a name of ours). Only rows of equal sizes keep their order."""
    names = ", ".join(column.name for column in columns)
    data = io.BytesIO(_rows(columns))
    cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT binary)", data)


def _fixed(name: str, values: np.ndarray) -> Column:
    import numpy as np

    width = values.dtype.itemsize
    return Column(
        name=name,
        data=np.ascontiguousarray(values).view(np.uint8).reshape(-1),
        starts=np.arange(len(values), dtype=np.int64) * width,
        sizes=np.full(len(values), width, dtype=np.int32),
    )


def _rows(columns: list[Column]) -> bytes:
    """Rows of equal sizes have equal layouts: each such group is one array of bytes."""
    import numpy as np

    sizes = np.stack([column.sizes for column in columns], axis=1)
    layouts, layout = _layouts(sizes)
    order = np.argsort(layout, kind="stable")
    ends = np.cumsum(np.bincount(layout, minlength=len(layouts)))
    parts, start = [_HEADER], 0
    for widths, end in zip(layouts.tolist(), ends.tolist(), strict=True):
        parts.append(_group(columns, widths, order[start:end]))
        start = end
    parts.append(_TRAILER)
    return b"".join(parts)


def _layouts(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of ``sizes``, and which of them each row is."""
    import numpy as np

    code = np.zeros(len(sizes), dtype=np.int64)
    for column in sizes.T:
        low = int(column.min(initial=0))
        span = int(column.max(initial=0)) - low + 1
        code = np.unique(code * span + (column - low), return_inverse=True)[1]
    _, first, layout = np.unique(code, return_index=True, return_inverse=True)
    return sizes[first], layout


def _group(columns: list[Column], widths: list[int], rows: np.ndarray) -> bytes:
    import numpy as np

    total = 2 + sum(4 + max(width, 0) for width in widths)
    block = np.empty((len(rows), total), dtype=np.uint8)
    block[:, :2] = np.frombuffer(len(columns).to_bytes(2, "big"), dtype=np.uint8)
    place = 2
    for column, width in zip(columns, widths, strict=True):
        size = np.frombuffer(width.to_bytes(4, "big", signed=True), dtype=np.uint8)
        block[:, place : place + 4] = size
        place += 4
        if width > 0:
            # A window over the data at each start: one copy, whatever the width.
            windows = np.lib.stride_tricks.sliding_window_view(column.data, width)
            block[:, place : place + width] = windows[column.starts[rows]]
            place += width
    return block.tobytes()
