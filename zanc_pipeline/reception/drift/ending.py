"""Whether the end of a file tells that it was cut off: no other layout makes that good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from zanc_pipeline.reception.layout import (
    DelimitedLayout,
    FixedLayout,
    Layout,
    RecordsLayout,
)

Ending = Literal["open", "cut"]
OPEN: Ending = "open"
"""The last line is whole but lacks the end that the creditor always wrote."""
CUT: Ending = "cut"
"""The last line is not whole."""

_TAIL = 1024 * 1024


def ending(own: Layout, other: Layout, path: Path) -> Ending | None:
    """What the end of a file says, where ``own`` asks for a last line end and ``other`` does not.

    None when nothing is missing, or when a trailer proves that all is there.
    """
    asked = getattr(own, "ends_with_newline", False)
    if not asked or getattr(other, "ends_with_newline", True):
        return None
    last = _last_line(path)
    if not last.strip(b"\x1a\x00 "):
        return None
    if isinstance(other, RecordsLayout) and other.records.trailer is not None:
        return None
    if isinstance(other, FixedLayout | RecordsLayout):
        return OPEN if len(last) == other.record_size else CUT
    if isinstance(other, DelimitedLayout):
        separator = other.delimiter.encode(other.encoding)
        return OPEN if last.count(separator) == _first_line(path).count(separator) else CUT
    return OPEN


def _last_line(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return file.read().rpartition(b"\n")[2].rstrip(b"\r")


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(_TAIL)
