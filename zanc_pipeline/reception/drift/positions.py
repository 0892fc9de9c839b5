"""Aligns the fields of fixed-width lines with those of the last accepted delivery.

The contracts are looked for first, in every window of bytes; then each field is looked for in the
lines of known contracts, where its values must be those that it held. What lies between two fields
that were found tells which of them grew, shrank, or that something was put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.reception.drift.doubts import ENOUGH
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.notation import Reading, read_as, settled
from zanc_pipeline.reception.drift.sample import Hasher, Token
from zanc_pipeline.reception.layout import PositionField

FEW_ROWS = 48
LINKED_ROWS = 300
_ROWS_OF_KEY = 60_000
_KEY_WINDOWS = 16
_NEAR_BYTES = 3
_WIDTHS = {"data": (8, 10, 6), "cpf": (11, 14), "cnpj": (14, 18)}

_DIGITS = frozenset({"dinheiro", "data", "cpf", "cnpj", "telefone", "inteiro"})

Matrix = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where a field was found: first byte (from 0), size, and how it is written."""

    name: str
    start: int
    size: int
    reading: Reading
    sure: bool = True

    @property
    def end(self) -> int:
        """The byte after the last one."""
        return self.start + self.size


@dataclass(kw_only=True)
class Positions:
    """The fields found, in the layout's order, and those that are not there."""

    windows: dict[str, Window] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    linked: int = 0
    unknown: list[tuple[int, int]] = field(default_factory=list)
    """(start, size) of bytes that hold something and belong to no field."""

    @property
    def sure(self) -> bool:
        """Whether each field is where it is without a doubt."""
        return all(one.sure for one in self.windows.values())


def matrix_of(lines: Sequence[bytes]) -> Matrix:
    """Lines of one size as rows of bytes."""
    size = len(lines[0]) if lines else 0
    return np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(len(lines), size)


def align(
    specs: Sequence[PositionField],
    lines: Matrix,
    encoding: str,
    before: Fingerprint,
    hasher: Hasher,
) -> Positions | None:
    """Find each field in ``lines``; None when not even the contracts are found."""
    own_key = before.key.name
    if own_key not in before.fields or len(before.links) < ENOUGH:
        return None
    search = _Search(lines, encoding, before, hasher)
    key = search.find_key(next(spec for spec in specs if spec.name == own_key))
    if key is None:
        return None
    shifts = {0, lines.shape[1] - search.usual_size, key.start - search.key_start}
    found = Positions(linked=len(search.rows))
    found.windows[own_key] = key
    filled: list[PositionField] = []
    for spec in specs:
        if spec.name == own_key or spec.name not in before.fields:
            continue
        if before.fields[spec.name].traits.filled < 0.02:
            filled.append(spec)
            continue
        window = search.find(spec, shifts)
        if window is None:
            found.missing.append(spec.name)
            continue
        found.windows[spec.name] = window
        shifts.add(window.start - (spec.start - 1))
    _part_overlaps(found, search, specs)
    _place_empty(found, filled, specs, lines.shape[1])
    _fill_gaps(found, specs, lines)
    found.unknown = _unknown(found, lines)
    _doubt_cut_fields(found, specs)
    return found


class _Search:
    """Windows of bytes compared with what the same contracts held last time."""

    def __init__(self, lines: Matrix, encoding: str, before: Fingerprint, hasher: Hasher) -> None:
        self.lines, self.encoding = lines, encoding
        self.before, self.hasher = before, hasher
        self.rows: list[int] = []
        self.hashes: list[int] = []
        self.usual_size = int(before.file.get("record_size") or lines.shape[1])
        self.key_start = 0
        self._profile = before.file.get("bytes") or []
        self._now = byte_profile(lines[:: max(1, len(lines) // 2000)])

    def find_key(self, spec: PositionField) -> Window | None:
        """The window of the contracts, and the rows of contracts that are known."""
        self.key_start = spec.start - 1
        best: tuple[int, int, int, list[int], list[int]] | None = None
        part = self.lines[:_ROWS_OF_KEY]
        for start, size in self._windows(spec, {0, self.lines.shape[1] - self.usual_size}):
            head = self._texts(part[:400], start, size)
            if len(set(head)) < self.before.key.different * len(head):
                continue
            texts = pa.array(self._texts(part, start, size), pa.string())
            hashes = self.before.key.hashes(texts, self.hasher).tolist()
            rows = [row for row, key in enumerate(hashes) if key in self.before.links]
            exact = size == spec.size
            better = best is None or (len(rows), exact) > (len(best[3]), best[1] == spec.size)
            if len(rows) >= ENOUGH and better:
                best = (start, size, 0, rows, [hashes[row] for row in rows])
                if len(rows) > 0.8 * min(len(self.before.links), len(part)) and exact:
                    break
        if best is None:
            return None
        step = max(1, len(best[3]) // LINKED_ROWS)
        self.rows = best[3][::step][:LINKED_ROWS]
        self.hashes = best[4][::step][:LINKED_ROWS]
        reading = self.read(spec, best[0], best[1], LINKED_ROWS)
        if reading.agreement < 0.95:
            return None
        return Window(name=spec.name, start=best[0], size=best[1], reading=reading)

    def find(self, spec: PositionField, shifts: set[int]) -> Window | None:
        """The window where a field agrees best; None when nowhere well enough."""
        at_home = self._at_home(spec, shifts)
        return at_home if at_home is not None else self._anywhere(spec, shifts)

    def _at_home(self, spec: PositionField, shifts: set[int]) -> Window | None:
        """The field where its neighbours say that it should be, when it agrees there."""
        found: list[Window] = []
        for start in sorted(spec.start - 1 + shift for shift in shifts):
            if start >= 0 and start + spec.size <= self.lines.shape[1]:
                reading = self.read(spec, start, spec.size, LINKED_ROWS)
                if not reading.changes and settled(reading):
                    found.append(
                        Window(name=spec.name, start=start, size=spec.size, reading=reading)
                    )
        # A text that is padded agrees one byte too early too: it starts where something stands.
        return max(found, key=lambda one: self._begins(one.start), default=None)

    def _begins(self, start: int) -> float:
        return round(float((self.lines[:, start] != ord(" ")).mean()), 1)

    def _anywhere(self, spec: PositionField, shifts: set[int]) -> Window | None:
        wanted = 0.5
        own = spec.start - 1
        good: list[tuple[tuple[float, float, int], int, int, float]] = []
        for start, size in self._windows(spec, shifts):
            if size != spec.size and any(one[0][0] >= 0.95 for one in good):
                break  # the usual size explains it
            if not self._may_hold(spec, start, size):
                continue
            rare = spec.type in {"sim_nao", "codigo"}
            few = self.read(spec, start, size, LINKED_ROWS if rare else FEW_ROWS)
            if few.agreement >= 0.35 or few.linked < 8:
                full = self.read(spec, start, size, LINKED_ROWS)
                if full.linked and full.agreement >= wanted:
                    good.append((full.rank, start, size, full.beyond_chance))
        if not good:
            return None
        good.sort(
            key=lambda one: (
                one[0][:2],
                one[2] == spec.size,
                one[2],
                self._begins(one[1]),
                any(one[1] - own == shift for shift in shifts),
                -abs(one[1] - own),
            ),
            reverse=True,
        )
        _, start, size, best = good[0]
        reading = self.read(spec, start, size, LINKED_ROWS)
        apart = [
            one
            for one in good[1:]
            if (one[1] >= start + size or one[1] + one[2] <= start) and one[3] > best - 0.2
        ]
        at_home = any(start - own == shift for shift in shifts)
        return Window(
            name=spec.name, start=start, size=size, reading=reading, sure=not apart or at_home
        )

    def _may_hold(self, spec: PositionField, start: int, size: int) -> bool:
        """Whether the bytes of a window are of the sort that a field of numbers has."""
        if spec.type not in _DIGITS:
            return True
        few = CLASS[self.lines[self.rows[:FEW_ROWS], start : start + size]]
        odd = (few == 11) | (few == 12) | (few == 13) | (few == 15)
        return bool(odd.any(axis=1).mean() < 0.3)

    def read(self, spec: PositionField, start: int, size: int, rows: int) -> Reading:
        """The bytes of a window read as a field, in the rows that are known."""
        if not self.rows:
            return Reading()
        chosen = self.rows[:rows]
        tokens: dict[int, Token] = self.before.column(spec.name)
        known = [tokens[key] for key in self.hashes[:rows]]
        texts = self._texts(self.lines[chosen], start, size)
        return read_as(spec, texts, known, self.hasher, 0.5)

    def _texts(self, lines: Matrix, start: int, size: int) -> list[str]:
        cells = np.ascontiguousarray(lines[:, start : start + size])
        data = cells.tobytes()
        return [
            data[at : at + size].decode(self.encoding, "replace").strip(" \t")
            for at in range(0, len(data), size)
        ]

    def _windows(self, spec: PositionField, shifts: Iterable[int]) -> list[tuple[int, int]]:
        """Windows worth reading: where the field was, shifted, and where the bytes look alike."""
        width = self.lines.shape[1]
        own = spec.start - 1
        starts = [own + shift for shift in sorted(shifts, key=abs)]
        near = [
            start + step * sign
            for start in list(starts)
            for step in range(1, _NEAR_BYTES + 1)
            for sign in (1, -1)
        ]
        starts += self._alike(spec) + near
        sizes = list(dict.fromkeys([spec.size, *_WIDTHS.get(spec.type, ())]))
        if spec.type not in _WIDTHS:
            sizes += [spec.size - step for step in range(1, 8) if spec.size - step >= 4]
        return [
            (start, size)
            for size in sizes
            for start in dict.fromkeys(starts)
            if start >= 0 and start + size <= width
        ]

    def _alike(self, spec: PositionField) -> list[int]:
        profile = np.array(self._profile[spec.start - 1 : spec.start - 1 + spec.size])
        width = self.lines.shape[1]
        if not len(profile) or spec.size > width:
            return list(range(width - min(spec.size, width) + 1))[:_KEY_WINDOWS]
        head = min(spec.size, 12)
        affinity = [
            float(np.sqrt(profile[:head] * self._now[start : start + head]).sum())
            for start in range(width - head + 1)
        ]
        order = np.argsort(affinity)[::-1][:_KEY_WINDOWS]
        return [int(start) for start in order]


def byte_profile(lines: Matrix) -> npt.NDArray[np.float64]:
    """For each byte of the line, the share of each class of byte: see ``CLASS``."""
    classes = CLASS[lines]
    return np.stack([(classes == kind).mean(axis=0) for kind in range(_CLASSES)], axis=1)


def _classes() -> npt.NDArray[np.uint8]:
    table = np.full(256, 15, dtype=np.uint8)
    table[ord(" ")] = 0
    for digit in range(10):
        table[ord("0") + digit] = 1 + digit
    table[ord("A") : ord("Z") + 1] = 11
    table[ord("a") : ord("z") + 1] = 12
    table[128:] = 13
    for mark in b"./-,@":
        table[mark] = 14
    return table


CLASS = _classes()
"""Byte → class: blank, each digit, upper, lower, accented, usual mark, other."""
_CLASSES = 16


def _part_overlaps(found: Positions, search: _Search, specs: Sequence[PositionField]) -> None:
    """Two fields never share bytes: the later one keeps its start, the earlier one ends there."""
    by_name = {spec.name: spec for spec in specs}
    order = sorted(found.windows.values(), key=lambda window: (window.start, window.end))
    for one, following in pairwise(order):
        if following.start >= one.end:
            continue
        size = following.start - one.start
        reading = (
            search.read(by_name[one.name], one.start, size, LINKED_ROWS) if size > 0 else Reading()
        )
        if size <= 0 or reading.agreement < one.reading.agreement - 0.03:
            weaker = min((one, following), key=lambda window: window.reading.agreement)
            found.windows.pop(weaker.name, None)
            found.missing.append(weaker.name)
            continue
        found.windows[one.name] = replace(one, size=size, reading=reading)


def _place_empty(
    found: Positions,
    empty: Sequence[PositionField],
    specs: Sequence[PositionField],
    width: int,
) -> None:
    """A field that was always empty keeps its distance from its neighbour to the left."""
    ends = {spec.name: spec.start - 1 + spec.size for spec in specs}
    for spec in empty:
        own = spec.start - 1
        left = [one for one in found.windows.values() if ends[one.name] <= own]
        near = max(left, key=lambda one: ends[one.name], default=None)
        start = own + (near.end - ends[near.name] if near is not None else 0)
        end = start + spec.size
        taken = any(one.start < end and start < one.end for one in found.windows.values())
        if start < 0 or end > width or taken:
            found.missing.append(spec.name)
            continue
        found.windows[spec.name] = Window(
            name=spec.name, start=start, size=spec.size, reading=Reading(), sure=near is not None
        )


def _fill_gaps(found: Positions, specs: Sequence[PositionField], lines: Matrix) -> None:
    """Padding between two fields that was not there before belongs to the one that it pads."""
    by_name = {spec.name: spec for spec in specs}
    order = sorted(found.windows.values(), key=lambda window: window.start)
    blank = (lines == ord(" ")).all(axis=0)
    zero = (lines == ord("0")).all(axis=0)
    for one, following in pairwise(order):
        gap = slice(one.end, following.start)
        extra = following.start - one.end - _usual_gap(by_name[one.name], specs)
        if extra <= 0:
            continue
        if zero[gap].all() and by_name[following.name].type in {"dinheiro", "inteiro", "decimal"}:
            found.windows[following.name] = replace(
                following, start=following.start - extra, size=following.size + extra
            )
        elif blank[gap].all() and by_name[one.name].type not in {"dinheiro", "data", "cpf"}:
            found.windows[one.name] = replace(one, size=one.size + extra)


def _usual_gap(spec: PositionField, specs: Sequence[PositionField]) -> int:
    end = spec.start - 1 + spec.size
    return min((one.start - 1 - end for one in specs if one.start - 1 >= end), default=0)


def _doubt_cut_fields(found: Positions, specs: Sequence[PositionField]) -> None:
    """A field that shrank beside bytes that nobody reads may have lost a part of its value."""
    sizes = {spec.name: spec.size for spec in specs}
    for window in list(found.windows.values()):
        beside = any(
            start + size == window.start or start == window.end for start, size in found.unknown
        )
        if beside and window.size < sizes[window.name]:
            found.windows[window.name] = replace(window, sure=False)


def _unknown(found: Positions, lines: Matrix) -> list[tuple[int, int]]:
    used = np.zeros(lines.shape[1], dtype=bool)
    for window in found.windows.values():
        used[window.start : window.end] = True
    holds = ~used & (lines != ord(" ")).any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], holds.astype(np.int8), [0]))))
    return [
        (int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def changes_of(
    fields: Sequence[dict[str, Any]], positions: Positions
) -> list[dict[str, Any]] | None:
    """The layout's fields (keys as the clerk writes them) at their new places.

    None when a field with a picture changed its size: a person writes the new picture.
    """
    out = []
    for one in fields:
        window = positions.windows.get(one["nome"])
        if window is None:
            continue
        new = dict(one)
        new["inicio"] = window.start + 1
        if "picture" in one and (window.size != one.get("tamanho") or window.reading.changes):
            return None
        new["tamanho"] = window.size
        for key, value in window.reading.changes.items():
            if value is None:
                new.pop(key, None)
            else:
                new[key] = list(value) if isinstance(value, tuple) else value
        out.append(new)
    return out
