"""Bytes to Arrow text columns: the inner loop of every reader.

Columns are cut as bytes, from one block for many lines, and decoded after that: a layout counts
bytes of one encoding. A byte that the encoding does not know becomes U+FFFD, which no field type
accepts, so the row is rejected and never silently changed.
"""

from __future__ import annotations

import codecs
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes2D = npt.NDArray[np.uint8]

_SINGLE_BYTE = frozenset({"latin-1", "cp1252", "ascii"})
_PADDING = " \t"


def trimmed(cells: pa.Array) -> pa.Array:
    """The same texts without blanks at either end."""
    return pc.ascii_trim(cells, characters=_PADDING)


def has_blank_ends(cells: pa.Array) -> bool:
    """Whether one of the texts (not a slice, none null) begins or ends with a blank."""
    body, rows = cells.buffers()[2], len(cells)
    ends = np.frombuffer(cells.buffers()[1], dtype=np.int32)[: rows + 1]
    if not rows or body is None or not ends[-1]:
        return False
    flat = np.frombuffer(body, dtype=np.uint8)[: ends[-1]]
    # An empty text has the first byte of the next one, or the last of all, for its own.
    for places in (ends[:-1], ends[1:] - np.int32(1)):
        edge = flat.take(places, mode="clip")
        if edge.min() <= 32 and ((edge == 32) | (edge == 9)).any():
            return True
    return False


def cut(block: Bytes2D, start: int, size: int, encoding: str) -> pa.Array:
    """Bytes ``start`` … ``start + size - 1`` (from 0) of every line of ``block``, as text."""
    return _text(np.ascontiguousarray(block[:, start : start + size]), encoding)


def _text(cells: Bytes2D, encoding: str) -> pa.Array:
    rows, width = cells.shape
    if not cells.size or cells.max() < 128:
        return _strings(cells, np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    if encoding in _SINGLE_BYTE:
        lengths = _utf8_lengths(encoding)[cells].sum(axis=1, dtype=np.int64)
        ends = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        return _strings(cells.tobytes().decode(encoding, "replace").encode(), ends)
    ends = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return decoded(_strings(cells, ends).view(pa.binary()), encoding)


def decoded(cells: pa.Array, encoding: str) -> pa.Array:
    """Binary cells (not a slice) as text; a byte that is no text becomes U+FFFD."""
    body = cells.buffers()[2]
    data = memoryview(body)[: body.size] if body is not None else b""
    if encoding == "utf-8" or not len(data) or np.frombuffer(data, dtype=np.uint8).max() < 128:
        try:
            return cells.cast(pa.string())
        except pa.ArrowInvalid:  # not UTF-8
            pass
    if encoding in _SINGLE_BYTE:
        offsets = np.frombuffer(cells.buffers()[1], dtype=np.int32)[: len(cells) + 1]
        flat = np.frombuffer(data, dtype=np.uint8)[: offsets[-1]]
        lengths = np.concatenate(([0], np.cumsum(_utf8_lengths(encoding)[flat])))
        text = flat.tobytes().decode(encoding, "replace").encode()
        return _strings(text, lengths[offsets].astype(np.int32))
    encoded = cells.dictionary_encode()
    texts = [cell.decode(encoding, "replace") for cell in encoded.dictionary.to_pylist()]
    return pa.array(texts, type=pa.string()).take(encoded.indices)


def _strings(data: bytes | Bytes2D, ends: npt.NDArray[np.int32]) -> pa.Array:
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


@cache
def _utf8_lengths(encoding: str) -> npt.NDArray[np.int64]:
    return np.array(
        [len(bytes([byte]).decode(encoding, "replace").encode()) for byte in range(256)],
        dtype=np.int64,
    )


class EncodingWitness:
    """Looks at all bytes of a file for proof that its encoding is not the declared one."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True
        self._beyond_ascii = False

    def see(self, data: bytes | memoryview, *, ascii_only: bool, last: bool = False) -> None:
        """Take the next bytes of the file."""
        self._beyond_ascii = self._beyond_ascii or not ascii_only
        if self._is_utf8 and not (ascii_only and self._utf8.getstate()[0] == b""):
            try:
                self._utf8.decode(bytes(data), last)
            except UnicodeDecodeError:
                self._is_utf8 = False

    @property
    def proves_utf8(self) -> bool:
        """Whether there are accents and all of them are well-formed UTF-8.

        Accented Portuguese in Latin-1 or CP1252 is never well-formed UTF-8 by chance for a whole
        file: each accent would have to be followed by a byte between 0x80 and 0xBF.
        """
        return self._beyond_ascii and self._is_utf8
