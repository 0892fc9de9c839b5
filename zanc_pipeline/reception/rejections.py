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
import pyarrow.compute as pc

from zanc_pipeline.reception.fields import DDD_MARK, masked
from zanc_pipeline.reception.layout import FieldSpec
from zanc_pipeline.reception.problems import RejectedRow, RowProblem
from zanc_pipeline.reception.readers.base import Batch

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


def rejections(
    batch: Batch,
    specs: Sequence[FieldSpec],
    wrong: npt.NDArray[np.intp],
    broken: Sequence[RejectedRow],
    *,
    faults: Sequence[tuple[str, str, npt.NDArray[np.bool_]]],
    repeated: Mapping[int, Mapping[str, int]],
    objections: Mapping[int, Sequence[RowProblem]],
) -> Rejections:
    """The rows of a batch that are ``wrong``, with those that were ``broken`` between them.

    ``faults`` are fields, what is wrong with each and in which rows of the batch; ``repeated`` has
    row → field → the line where its value came first.
    """
    lines, offsets, order = batch.line[wrong], batch.offset[wrong], None
    if broken:
        lines = np.append(lines, [row.line for row in broken])
        offsets = np.append(offsets, [row.offset for row in broken])
        order = np.argsort(lines, kind="stable")
        lines, offsets = lines[order], offsets[order]
    failed = [
        (name, problem, which) for name, problem, rows in faults if (which := rows[wrong]).any()
    ]
    reasons = _reasons_of(failed, len(wrong))
    told: dict[int, Sequence[RowProblem]] = {}
    for place, index in enumerate(wrong.tolist()) if repeated or objections else ():
        reasons[place] += tuple(
            (
                name,
                f"repete o valor da linha {first}, a única aceita: confirme com o credor qual "
                "das duas vale",
            )
            for name, first in repeated.get(index, {}).items()
        )
        if index in objections:
            told[place] = objections[index]
    uncut: dict[int, RejectedRow] = {}
    if order is not None:
        places = np.argsort(order)
        reasons += [()] * len(broken)
        reasons = [reasons[place] for place in order.tolist()]
        told = {int(places[place]): problems for place, problems in told.items()}
        uncut = dict(zip(places[len(wrong) :].tolist(), broken, strict=True))
    return Rejections(
        lines=lines,
        offsets=offsets,
        reasons=reasons,
        cells=[_shown_texts(batch.cells[spec.name], wrong, order) for spec in specs],
        specs=specs,
        broken=uncut,
        objections=told,
    )


def _shown_texts(
    texts: pa.Array, rows: npt.NDArray[np.intp], order: npt.NDArray[np.intp] | None
) -> pa.Array:
    """Some texts as they are shown; with ``order``, those of rows without cells are empty."""
    shown = pc.replace_substring(texts.take(pa.array(rows)), DDD_MARK, " ")
    if order is None:
        return shown
    return pa.concat_arrays([shown, pa.repeat("", len(order) - len(rows))]).take(pa.array(order))


def _reasons_of(
    faults: Sequence[tuple[str, str, npt.NDArray[np.bool_]]], rows: int
) -> list[Reason]:
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
