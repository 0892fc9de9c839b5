"""Rejected rows by the block: what the file for correction needs of each, made column by column.

Of millions of them only the first are ever shown; a row is an object when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.layout import FieldSpec
from zanc_pipeline.reception.problems import RejectedRow, RowProblem

AT_ONCE = 5_000
"""Rows of a block, at most: as many that have cells and as many that have not."""

Reason = tuple[tuple[str, str], ...]
"""Each field that fails, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Rejections(Sequence[RejectedRow]):
    """Rejected rows in the order of their lines.

    ``cells`` are the texts of each field, and ``offsets`` the bytes where the rows start; a row
    that could not be cut into fields (``broken``, by its place) has empty ones. ``objections`` are
    the problems at a place that others than the layout have with the row, after its reason.
    """

    lines: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    reasons: Sequence[Reason]
    cells: Sequence[pa.Array]
    specs: Sequence[FieldSpec]
    broken: Mapping[int, RejectedRow]
    objections: Mapping[int, Sequence[RowProblem]]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, place: int) -> RejectedRow:  # type: ignore[override]
        if place in self.broken:
            return self.broken[place]
        line, texts = int(self.lines[place]), [column[place].as_py() for column in self.cells]
        found = [
            RowProblem(
                line=line,
                field=name,
                found=masked(self.specs[self._places[name]], texts[self._places[name]]),
                problem=problem,
            )
            for name, problem in self.reasons[place]
        ]
        return RejectedRow(
            line=line,
            offset=int(self.offsets[place]),
            cells=tuple(texts),
            problems=(*found, *self.objections.get(place, ())),
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        return {spec.name: place for place, spec in enumerate(self.specs)}

    @cached_property
    def told(self) -> list[tuple[str, str]]:
        """The fields that fail in each row and what is wrong with them, as a person reads it."""
        texts: dict[Reason, tuple[str, str]] = {}
        found = []
        for reason in self.reasons:
            if reason not in texts:
                texts[reason] = _told(reason)
            found.append(texts[reason])
        for place, row in self.broken.items():
            found[place] = _told(tuple([(one.field, one.problem) for one in row.problems]))
        for place, problems in self.objections.items():
            more = tuple([(one.field, one.problem) for one in problems])
            found[place] = _told((*self.reasons[place], *more))
        return found


def _told(reason: Reason) -> tuple[str, str]:
    return ", ".join([name for name, _ in reason]), " / ".join([problem for _, problem in reason])


def in_blocks(
    lines: npt.NDArray[np.int64], broken: Sequence[RejectedRow]
) -> Iterator[tuple[slice, list[RejectedRow]]]:
    """The rows on some ``lines``, and the broken ones between them, in the order of all lines.

    Every broken row is looked at once and let go with its block.
    """
    waiting = iter(broken)
    ahead = next(waiting, None)
    first = 0
    while first < len(lines) or ahead is not None:
        end = min(first + AT_ONCE, len(lines))
        last = int(lines[end - 1]) if end < len(lines) else 2**62
        taken: list[RejectedRow] = []
        while ahead is not None and ahead.line <= last and len(taken) < AT_ONCE:
            taken.append(ahead)
            ahead = next(waiting, None)
        if ahead is not None and ahead.line <= last:
            end = first + int(np.searchsorted(lines[first:end], taken[-1].line))
        yield slice(first, end), taken
        first = end


def reasons_of(faults: Sequence[tuple[str, str, npt.NDArray[np.bool_]]], rows: int) -> list[Reason]:
    """For each of some rows, the faults that it has of those given by field, problem and where."""
    if not faults:
        return [()] * rows
    packed = np.packbits(np.array([where for _, _, where in faults]), axis=0)
    keys = np.ascontiguousarray(packed.T).view(f"V{len(packed)}").reshape(-1)
    same, which = np.unique(keys, return_inverse=True)
    found: list[Reason] = []
    for key in same:
        bits = np.unpackbits(np.frombuffer(key.tobytes(), dtype=np.uint8), count=len(faults))
        found.append(
            tuple(
                (name, problem) for (name, problem, _), bit in zip(faults, bits, strict=True) if bit
            )
        )
    return [found[place] for place in which.tolist()]
