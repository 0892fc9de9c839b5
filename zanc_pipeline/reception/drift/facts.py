"""Facts of a file as a whole that its fingerprint keeps: how it is written, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.drift.positions import byte_profile, matrix_of
from zanc_pipeline.reception.drift.raw import (
    HEAD_BYTES,
    excerpt,
    inner_file,
    raw_lines,
    raw_table,
)
from zanc_pipeline.reception.layout import (
    DelimitedLayout,
    FixedLayout,
    Layout,
    RecordsLayout,
    SheetLayout,
)

_PROFILE_LINES = 2_000


def file_facts(layout: Layout, path: Path) -> dict[str, Any]:
    """Encoding, separator, titles; for fixed width the classes of each byte position."""
    facts: dict[str, Any] = {"kind": layout.kind}
    try:
        with inner_file(layout, path) as (inner, _):
            if isinstance(layout, DelimitedLayout | SheetLayout):
                table = raw_table(layout, inner, HEAD_BYTES)
                if table is not None:
                    facts |= {"titles": table.titles, "columns": table.width}
            elif isinstance(layout, FixedLayout | RecordsLayout):
                facts |= _bytes(layout, excerpt(inner))
    except (DataError, OSError, EOFError):
        pass
    if isinstance(layout, DelimitedLayout):
        facts |= {"encoding": layout.encoding, "delimiter": layout.delimiter}
    return facts


def _bytes(layout: FixedLayout | RecordsLayout, data: bytes) -> dict[str, Any]:
    found = raw_lines(data)
    facts: dict[str, Any] = {"record_size": layout.record_size, "encoding": layout.encoding}
    if found is None or found.size != layout.record_size:
        return facts
    lines = found.lines
    if isinstance(layout, RecordsLayout):
        code, start = layout.records.detail.code.encode(), layout.records.start - 1
        lines = [line for line in lines if line.startswith(code, start)]
    if not lines:
        return facts  # a header and a trailer: nothing to collect today
    step = max(1, len(lines) // _PROFILE_LINES)
    profile = byte_profile(matrix_of(lines[::step]))
    return facts | {"bytes": [[round(share, 3) for share in row] for row in profile.tolist()]}
