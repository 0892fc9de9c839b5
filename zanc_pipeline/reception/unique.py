"""Values that must not repeat in a file, told with bounded memory and without a false verdict.

The first reading keeps a 64-bit hash of every value, in memory or, for a large file, on disk. Where
no hash repeats, no value does. Where one does, the file is read a second time and only the rows
with such a hash are compared, by their values.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
Lines = npt.NDArray[np.int64]

SPILL_FROM = 2_000_000
"""Pairs of hash and line (16 bytes each) held in memory for a column before they go to disk."""

_PARTS = 64
_LONGEST = 64
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PAIR = np.dtype([("hash", np.uint64), ("line", np.int64)])


def hashes(values: pa.Array) -> Hashes:
    """A 64-bit hash of every text; that of a null is no one's business."""
    texts = values if values.type == pa.string() else values.cast(pa.string())
    count = len(texts)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :][: count + 1]
    starts, sizes = offsets[:-1].astype(np.int64), np.diff(offsets)
    body = texts.buffers()[2]
    data = np.frombuffer(body, dtype=np.uint8) if body is not None else np.zeros(0, np.uint8)
    padded = np.concatenate((data, np.zeros(_LONGEST, dtype=np.uint8)))
    words = np.ndarray((len(padded) - 7,), dtype=np.dtype("<u8"), buffer=padded.data, strides=(1,))
    result: Hashes = sizes.astype(np.uint64)
    longest = int(sizes.max(initial=0))
    if count and longest <= _LONGEST and int(sizes.min()) == longest:
        first = int(starts[0])
        for place in range(0, longest, 8):
            each = np.ndarray(
                (count,), "<u8", buffer=padded.data, offset=first + place, strides=(longest,)
            )
            result = _mixed(result ^ (each & _KEPT[min(longest - place, 8)]))
        return result
    for place in range(0, min(longest, _LONGEST), 8):
        left = np.clip(sizes - place, 0, 8)
        more = left > 0
        word = words[starts + np.where(more, place, 0)] & _KEPT[left]
        mixed = _mixed(result ^ word)
        # A text that has ended is done with: its hash must not hang on the longest one beside it.
        result = mixed if more.all() else np.where(more, mixed, result)
    for index in np.flatnonzero(sizes > _LONGEST) if longest > _LONGEST else ():
        text = data[starts[index] : starts[index] + sizes[index]].tobytes()
        result[index] = int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
    return result


_KEPT = np.array([(1 << (8 * size)) - 1 for size in range(9)], dtype=np.uint64)


def _mixed(value: Hashes) -> Hashes:
    value = (value ^ (value >> np.uint64(32))) * _MULTIPLIER
    return value ^ (value >> np.uint64(29))


class KeyHashes:
    """The hashes of one column of the accepted rows, each with its line."""

    def __init__(self, scratch: Path | None) -> None:
        self._scratch = scratch
        self._held: list[npt.NDArray[np.void]] = []
        self._count = 0
        self._parts: list[BinaryIO] = []

    def add(self, values: pa.Array, lines: Lines) -> None:
        """Take the values of some rows; a null or empty one may repeat."""
        pairs = np.empty(len(lines), dtype=_PAIR)
        pairs["hash"], pairs["line"] = hashes(values), lines
        if values.null_count:
            pairs = pairs[values.is_valid().to_numpy(zero_copy_only=False)]
        self._held.append(pairs)
        self._count += len(self._held[-1])
        if self._count >= SPILL_FROM:
            self._spill()

    def suspects(self) -> Lines:
        """The lines whose hash another line has too, in no order; ends the collection."""
        if not self._parts:
            return _repeated(np.concatenate(self._held)) if self._held else np.zeros(0, np.int64)
        self._spill()
        found = []
        for part in self._parts:
            part.seek(0)
            found.append(_repeated(np.frombuffer(part.read(), dtype=_PAIR)))
            part.close()
        return np.concatenate(found)

    def _spill(self) -> None:
        if not self._parts:
            self._parts = [
                tempfile.TemporaryFile(dir=self._scratch, prefix="keys-")  # noqa: SIM115 (closed at the end)
                for _ in range(_PARTS)
            ]
        pairs = np.concatenate(self._held)
        part = (pairs["hash"] >> np.uint64(58)).astype(np.uint8)
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(_PARTS + 1))
        for place, file in enumerate(self._parts):
            file.write(pairs[order[edges[place] : edges[place + 1]]].tobytes())
        self._held, self._count = [], 0


def _repeated(pairs: npt.NDArray[np.void]) -> Lines:
    alone = np.sort(pairs["hash"])
    if not (alone[1:] == alone[:-1]).any():
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(pairs["hash"], kind="stable")
    ordered = pairs["hash"][order]
    same = ordered[1:] == ordered[:-1]
    twice = np.zeros(len(pairs), dtype=np.bool_)
    twice[1:] |= same
    twice[:-1] |= same
    lines: Lines = pairs["line"][order[twice]]
    return lines


class Repeats:
    """Compares the suspects by their values, in the order of the file.

    The first row with a value is the one that counts; a row rejected for anything takes no other
    row with it. Values lie in a temporary database that goes to disk when it grows.
    """

    def __init__(self, suspects: Lines) -> None:
        self.lines: Lines = np.unique(suspects)
        self._seen = sqlite3.connect("")
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("PRAGMA cache_size = -32768")
        self._seen.execute(
            "CREATE TABLE seen (name TEXT, value TEXT, line INTEGER, PRIMARY KEY (name, value)) "
            "WITHOUT ROWID"
        )

    def first_lines(self, line: int, values: Mapping[str, str]) -> dict[str, int]:
        """Which of a row's values came before, and on which line; else they are its own now."""
        found = {}
        for name, value in values.items():
            row = self._seen.execute(
                "SELECT line FROM seen WHERE name = ? AND value = ?", (name, value)
            ).fetchone()
            if row is not None:
                found[name] = int(row[0])
        if not found:
            self._seen.executemany(
                "INSERT INTO seen VALUES (?, ?, ?)",
                [(name, value, line) for name, value in values.items()],
            )
        return found

    def close(self) -> None:
        """Let the temporary database go."""
        self._seen.close()
