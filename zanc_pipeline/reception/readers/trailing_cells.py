"""The XML of a worksheet without the cells that only have a style, where a row ends with them.

Whoever formats whole columns saves millions of cells that hold nothing. They are left out as bytes,
before any parser makes an object of each; what stands before them in their row keeps its place.
"""

from __future__ import annotations

import re
from typing import IO

_EMPTY = rb'<(?:\w+:)?+c(?: [\w:]+="[^"<>&]*")*+ ?(?:/>|></(?:\w+:)?c>)'
_RUN = re.compile(rb"((?:" + _EMPTY + rb")++)(</(?:\w+:)?row>)?")
_PIECE = 256 * 1024
_LONGEST = 4 * 1024 * 1024
"""Of a row without an end the cells are kept as they are, but for the last."""


class WithoutTrailingCells:
    """A file of XML, read from its beginning.

    From a comment or a marked section on nothing is left out: it may hold what looks like cells.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._held = b""
        self._as_it_is = False

    def read(self, _size: int = -1) -> bytes:
        """The next bytes, as many as are at hand; none at the end."""
        ready = b""
        while not ready:
            piece = self._source.read(_PIECE)
            data, self._held = self._held + piece, b""
            if not piece:
                return self._filled(data)
            self._as_it_is = self._as_it_is or b"<!" in data
            if self._as_it_is:
                return data
            # The last row may go on in the next piece; so may a comment that begins.
            whole = max(data.rfind(b"<row"), data.rfind(b":row "))
            whole = data.rfind(b"<", 0, whole + 1) if whole >= 0 else -1
            if whole < 0 or len(data) - whole > _LONGEST:
                whole = len(data) - data.endswith(b"<")
            ready, self._held = self._filled(data[:whole]), data[whole:]
        return ready

    def _filled(self, data: bytes) -> bytes:
        return data if self._as_it_is else _RUN.sub(_kept, data)


def _kept(found: re.Match[bytes]) -> bytes:
    return found[2] or found[0]
