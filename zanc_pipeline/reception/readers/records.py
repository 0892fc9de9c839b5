"""Files of records: a detail with the children that follow it becomes a row.

The order of the records, the trailers' counts and sums and the records' own numbers are proved by
``Proof``; here the lines of a group are laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.layout import DelimitedRecordsLayout, RecordsLayout
from zanc_pipeline.reception.layout_fields import ProvingField
from zanc_pipeline.reception.layout_records import ChildRecord
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch, Integers, broken_row
from zanc_pipeline.reception.readers.record_lines import Lines, fixed_lines, numbered_lines
from zanc_pipeline.reception.readers.record_proof import DETAIL, FIRST_CHILD, Proof

MAX_GROUP_LINES = 100_000


def read_records(
    layout: RecordsLayout | DelimitedRecordsLayout, path: Path, facts: NameFacts
) -> Iterator[Batch]:
    """Batches of rows: a detail with its children, or a child with its detail.

    Raises FileRejected when records are missing, out of order or of an unknown type or size, or
    when a count, a total, a number, a date or a sequence does not agree.
    """
    proof = Proof(layout, facts)
    found: Iterator[Lines] = (
        fixed_lines(layout, path)
        if isinstance(layout, RecordsLayout)
        else numbered_lines(layout, path)
    )
    pending: Lines | None = None
    kinds_pending = np.empty(0, dtype=np.int64)
    for lines in found:
        kinds = np.concatenate((kinds_pending, proof.take(lines)))
        every: Lines = lines if pending is None else pending.plus(lines)
        if not layout.records.children:
            yield _rows(layout, every, kinds)
            continue
        details = np.flatnonzero(kinds == DETAIL)
        last = int(details[-1]) if len(details) else len(kinds)
        yield _rows(layout, every, kinds[:last])
        pending, kinds_pending = every.since(last), kinds[last:]
        if len(kinds_pending) > MAX_GROUP_LINES:
            raise FileRejected(
                f"linha {pending.line[0]}: mais de {MAX_GROUP_LINES} registros seguem um detalhe "
                "só: confira o layout"
            )
    proof.conclude()
    if pending is not None:
        yield _rows(layout, pending, kinds_pending)


@dataclass(frozen=True, kw_only=True)
class _Children:
    """The lines of one type of child: row in the block, group that it belongs to, turn there."""

    child: ChildRecord[ProvingField]
    rows: Integers
    group: Integers
    turn: Integers


def _rows(layout: RecordsLayout | DelimitedRecordsLayout, lines: Lines, kinds: Integers) -> Batch:
    """The batch of the groups whose lines are the first ``len(kinds)`` of ``lines``."""
    records = layout.records
    details = np.flatnonzero(kinds == DETAIL)
    group_of = np.cumsum(kinds == DETAIL) - 1
    families = []
    for number, child in enumerate(records.children):
        rows = np.flatnonzero(kinds == FIRST_CHILD + number)
        group = group_of[rows]
        families.append(
            _Children(
                child=child, rows=rows, group=group, turn=np.arange(len(rows)) - _first(group)
            )
        )
    good, broken = _complete(lines, details, families)
    lead = next((family for family in families if family.child.rows), None)
    if lead is None:
        groups, places = np.flatnonzero(good), details[good]
    else:
        kept = good[lead.group]
        groups, places = lead.group[kept], lead.rows[kept]
    cells = {spec.name: lines.cells(spec, details[groups]) for spec in records.detail.fields}
    for family in families:
        child = family.child
        if child.rows:
            cells |= {spec.name: lines.cells(spec, places) for spec in child.fields}
            continue
        for turn in range(child.at_most):
            here = family.turn == turn
            row_of = np.full(len(details), -1, dtype=np.int64)
            row_of[family.group[here]] = family.rows[here]
            wanted = row_of[groups]
            for spec in child.fields:
                name = spec.name if child.at_most == 1 else f"{spec.name}_{turn + 1}"
                cells[name] = _cells(lines, spec, wanted)
    return Batch(line=lines.line[places], offset=lines.offset[places], cells=cells, broken=broken)


def _cells(lines: Lines, spec: ProvingField, rows: Integers) -> pa.Array:
    """The texts of a child's field; empty where there is no such child (row -1)."""
    there = rows >= 0
    texts = lines.cells(spec, rows[there])
    if there.all():
        return texts
    places = np.where(there, np.cumsum(there) - 1, 0)
    return pc.fill_null(texts.take(pa.array(places, mask=~there)), "")


def _complete(
    lines: Lines, details: Integers, families: list[_Children]
) -> tuple[npt.NDArray[np.bool_], list[RejectedRow]]:
    """Which groups make a row; the others are rejected whole, at their detail's line."""
    problems: dict[int, str] = {}
    for family in families:
        child = family.child
        counts = np.bincount(family.group, minlength=len(details))
        if child.required or child.rows:
            for group in np.flatnonzero(counts == 0).tolist():
                problems.setdefault(
                    group, f"falta o registro '{child.name}' deste detalhe: peça ao credor"
                )
        if not child.rows:
            for group in np.flatnonzero(counts > child.at_most).tolist():
                problems.setdefault(
                    group,
                    f"há {counts[group]} registros '{child.name}' neste detalhe, e o layout aceita "
                    f"{child.at_most}: aumente 'ate' no layout, ou confirme com o credor",
                )
    good = np.ones(len(details), dtype=np.bool_)
    good[list(problems)] = False
    broken = [
        broken_row(
            int(lines.line[details[group]]),
            int(lines.offset[details[group]]),
            lines.text(int(details[group])),
            problem,
        )
        for group, problem in sorted(problems.items())
    ]
    return good, broken


def _first(group: Integers) -> Integers:
    """For each child, the place of the first one of its group (groups never go back)."""
    return np.searchsorted(group, group).astype(np.int64)
