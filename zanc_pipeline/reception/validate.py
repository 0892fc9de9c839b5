"""Verdicts: each row on its own, then the file as a whole. No clock, no database.

A row that fails is rejected alone. A file is quarantined whole when it can not be believed: what
the reader found (totals, header, truncation), no row left, too many rejected, or a volume far from
what this convênio sends. Rows pass through to a ``Sink`` batch by batch; only figures stay here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.memory import keep_freed_memory
from zanc_pipeline.reception.accepted import accepted_rows, accepted_schema
from zanc_pipeline.reception.fields import NARROW_MONEY, Column, expected
from zanc_pipeline.reception.layout import AnyLayout, FieldSpec, Layout, is_partial
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem, kind
from zanc_pipeline.reception.readers.base import Batch, Integers
from zanc_pipeline.reception.rejections import Rejections, in_blocks, rejections
from zanc_pipeline.reception.unique import KeyHashes, Repeats
from zanc_pipeline.reception.vectors import convert_all

KEPT_ROWS = 10_000
KEPT_EXAMPLES = 20
MOST_KINDS = 1_000
HOPELESS_ROWS = 500_000
"""A file of which so many rows came and none was accepted is read no further, unless its layout
allows as large a share of rejected rows as ``_ALLOWED``."""
_ALLOWED = 0.9
_READ_ON = "; se as outras são boas, ponha 'rejeicao_maxima: 0.9' no layout e reprocesse"

Mask = npt.NDArray[np.bool_]


Check = Callable[[pa.Table], Mapping[int, list[RowProblem]]]


class Sink(Protocol):
    """Where the rows of a file go while it is read."""

    def start(self, layout: Layout) -> None:
        """Begin, or begin again: what came before counts no more."""

    def accept(self, rows: pa.Table) -> None:
        """Take accepted rows, with the columns of ``accepted_schema(layout)``.

        A column of a few texts may come as a dictionary of them, amounts as ``NARROW_MONEY``.
        """

    def reject(self, rows: Rejections) -> None:
        """Take rejected rows; they come in the order of their lines."""


@dataclass(kw_only=True)
class Validation:
    """What became of the rows of one file: figures, and the first of the rejected rows."""

    rows_accepted: int = 0
    rows_rejected: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    """The first ``KEPT_ROWS``; a sink gets all of them."""
    problems: int = 0
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(Field, kind of problem) → how many."""
    examples: list[RowProblem] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    """Field → how many invalid values were emptied in rows that were accepted."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else is to be said of accepted values (ninth digits added, formulas) → how many."""
    filled: Counter[str] = field(default_factory=Counter)
    """Field → how many values were not empty, in all rows that could be cut."""
    invalid: Counter[str] = field(default_factory=Counter)
    """Field → how many of those were not proved to be of its type."""
    stopped: bool = False
    """Whether the rest of the file was not read, since no row could be accepted."""
    totals: dict[str, Decimal] = field(default_factory=dict)
    """Field (money or integer) → its sum over the accepted rows."""

    @property
    def rows_total(self) -> int:
        """Rows of the file, header and trailer not counted."""
        return self.rows_accepted + self.rows_rejected


@dataclass(kw_only=True)
class Collected(Validation):
    """A small file with all its rows."""

    accepted: pa.Table


class Discard:
    """The sink of a file that is only judged."""

    def start(self, layout: Layout) -> None:
        """Nothing to begin."""

    def accept(self, rows: pa.Table) -> None:
        """Let the rows go."""

    def reject(self, rows: Rejections) -> None:
        """Let the rows go."""


class _Collect(Discard):
    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.rejected: list[RejectedRow] = []

    def start(self, layout: Layout) -> None:
        self.tables, self.rejected = [accepted_schema(layout).empty_table()], []

    def accept(self, rows: pa.Table) -> None:
        self.tables.append(rows.cast(self.tables[0].schema))

    def reject(self, rows: Rejections) -> None:
        self.rejected += rows


def validate(layout: Layout, batches: Iterable[Batch]) -> Collected:
    """Judge the rows of a sample or a small file and keep them all in memory."""
    every, rows = list(batches), _Collect()
    figures = stream(layout, lambda: every, rows)
    accepted = pa.concat_tables(rows.tables).combine_chunks()
    return Collected(**(vars(figures) | {"accepted": accepted, "rejected": rows.rejected}))


def stream(
    layout: Layout,
    batches: Callable[[], Iterable[Batch]],
    sink: Sink,
    *,
    scratch: Path | None = None,
    check: Check | None = None,
) -> Validation:
    """Judge the rows of a file of any size in bounded memory. Passes FileRejected on.

    ``check`` gets the typed rows of a batch that passed and gives the problems that others than
    the layout have with them, by their index: these are rejected too.

    ``batches`` opens the file; it is called a second time, and ``sink`` begins again, only when a
    value that must be unique repeats. ``scratch`` is a folder for temporary files.
    """
    keep_freed_memory()
    whole = not is_partial(layout)  # a contract repeats in a set's file of phones
    names = [
        spec.name for spec in layout.fields if spec.unique or (whole and spec.name == "contrato")
    ]
    keys = {name: KeyHashes(scratch) for name in names}
    result = _Pass(layout, sink, keys=keys, check=check).through(batches())
    suspects = [key.suspects() for key in keys.values()]
    if not any(len(lines) for lines in suspects):
        return result
    repeats = Repeats(np.concatenate(suspects))
    try:
        again = _Pass(layout, sink, keys=dict.fromkeys(names), repeats=repeats, check=check)
        return again.through(batches())
    finally:
        repeats.close()


_SPARED, _SPARED_PART = 4, 3


def spared_of(aside: int, rows: int) -> int:
    """How many of the rows put aside alone do not count against a file of so many rows.

    A few customers who changed must not hold a small file: each is judged beside the others, who
    are as they were.
    """
    return min(aside, max(1, min(_SPARED, rows // _SPARED_PART)))


def judge_file(
    layout: AnyLayout,
    result: Validation,
    *,
    decided: frozenset[str] = frozenset(),
    spared: int = 0,
) -> None:
    """Raise FileRejected when so few rows are good that the file can not be believed.

    ``decided`` are the rules that a person overruled for it. ``spared`` rejected rows do not count
    (``spared_of``).
    """
    refusal = refused(layout, result, decided=decided, spared=spared)
    if refusal is not None:
        raise refusal


def refused(
    layout: AnyLayout,
    result: Validation,
    *,
    decided: frozenset[str] = frozenset(),
    spared: int = 0,
) -> FileRejected | None:
    """The refusal of a file most of whose rows are good, but too few; see ``judge_file``.

    Raises FileRejected when none is, which nobody may overrule.
    """
    total, rejected, limits = result.rows_total, result.rows_rejected, layout.limits
    if not total:
        raise FileRejected(
            "o arquivo não traz nenhuma linha de dados: peça ao credor que o envie de novo"
        )
    if not result.rows_accepted:
        known = "" if layout.content == "carteira" else "se o CRM já tem a carteira e "
        first, rest = ("primeiras ", " (o resto não foi lido)") if result.stopped else ("", "")
        raise FileRejected(
            f"nenhuma das {first}{total} linhas é válida{rest}: {_most_common(result)}; confira "
            f"{known}se o layout mudou{_READ_ON * result.stopped}"
        )
    if rejected - spared > total * limits.rejected_share and "rejeicao" not in decided:
        return FileRejected(
            f"{rejected} de {total} linhas foram rejeitadas, mais que o limite de "
            f"{_percent(limits.rejected_share)}: {_most_common(result)}; confira se o layout "
            "mudou; se as rejeitadas estão mesmo erradas, aceite a rejeição ou corrija-as",
            rules=("rejeicao",),
        )
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fault:
    """One way in which a field fails, and in which rows of a batch."""

    spec: FieldSpec
    rows: Mask
    problem: str


class _Pass:
    """One reading of a file."""

    def __init__(
        self,
        layout: Layout,
        sink: Sink,
        *,
        keys: dict[str, KeyHashes] | dict[str, None],
        repeats: Repeats | None = None,
        check: Check | None = None,
    ) -> None:
        self._layout, self._sink = layout, sink
        self._schema = accepted_schema(layout)
        self._keys, self._repeats, self._check = keys, repeats, check
        self._result = Validation()

    def through(self, batches: Iterable[Batch]) -> Validation:
        """Read to the end, or until nothing can be hoped for."""
        result = self._result
        self._sink.start(self._layout)
        for batch in batches:
            if result.rows_rejected >= HOPELESS_ROWS and self._is_hopeless:
                result.stopped = True
                break
            self._take(batch)
        return result

    @property
    def _is_hopeless(self) -> bool:
        return not self._result.rows_accepted and self._layout.limits.rejected_share < _ALLOWED

    def _take(self, batch: Batch) -> None:
        self._result.notes.update(batch.notes)
        columns = convert_all(self._layout.fields, batch)
        faults = list(self._faults(columns))
        keep = np.ones(len(batch.line), dtype=np.bool_)
        for fault in faults:
            keep &= ~fault.rows
        repeated = self._repeated(batch, columns, keep)
        keep[list(repeated)] = False
        rows, objections = self._passed(batch, columns, keep)
        self._count(columns, keep, faults)
        if rows.num_rows:
            self._result.rows_accepted += rows.num_rows
            self._sink.accept(rows)
        for name, key in self._keys.items():
            if key is not None:
                _remember(key, columns[name].values, batch.line, keep)
        self._reject(batch, faults, repeated, objections, keep)

    def _passed(
        self, batch: Batch, columns: dict[str, Column], keep: Mask
    ) -> tuple[pa.Table, dict[int, list[RowProblem]]]:
        """The typed rows that pass every check, and row → what others have against it."""
        rows = accepted_rows(self._schema, batch, columns, keep)
        if self._check is None or not rows.num_rows:
            return rows, {}
        found = self._check(rows)
        if not found:
            return rows, {}
        places = np.flatnonzero(keep)
        objections = {int(places[index]): problems for index, problems in found.items()}
        passed = np.ones(rows.num_rows, dtype=np.bool_)
        passed[list(found)] = False
        keep[list(objections)] = False
        return rows.filter(pa.array(passed)), objections

    def _faults(self, columns: dict[str, Column]) -> Iterator[_Fault]:
        for spec in self._layout.fields:
            column = columns[spec.name]
            if not spec.blanked_when_invalid and column.invalid.any():
                yield _Fault(spec=spec, rows=column.invalid, problem=expected(spec))
            if spec.must_be_filled and column.values.null_count:
                empty = _mask(pc.is_null(column.values)) & ~column.invalid
                if empty.any():
                    problem = "o campo está vazio e é obrigatório: peça o valor ao credor"
                    yield _Fault(spec=spec, rows=empty, problem=problem)

    def _repeated(
        self, batch: Batch, columns: dict[str, Column], keep: Mask
    ) -> dict[int, dict[str, int]]:
        """Row → field → the line where its value came first."""
        if self._repeats is None:
            return {}
        suspect = keep & np.isin(batch.line, self._repeats.lines, assume_unique=True)
        found: dict[int, dict[str, int]] = {}
        for index in np.flatnonzero(suspect).tolist():
            values = {
                name: str(value)
                for name in self._keys
                if (value := columns[name].values[index].as_py()) is not None
            }
            first = self._repeats.first_lines(int(batch.line[index]), values)
            if first:
                found[index] = first
        return found

    def _count(self, columns: dict[str, Column], keep: Mask, faults: list[_Fault]) -> None:
        result, rows = self._result, len(keep)
        whole = bool(keep.all())
        for spec in self._layout.fields:
            column = columns[spec.name]
            wrong = int(np.count_nonzero(column.invalid))
            result.invalid[spec.name] += wrong
            result.filled[spec.name] += rows - column.values.null_count + wrong
            if column.inferred is not None:
                added = int(np.count_nonzero(column.inferred & keep))
                result.notes[f"{spec.name}: nono dígito acrescentado"] += added
            if wrong and spec.blanked_when_invalid:
                result.warnings[spec.name] += int(np.count_nonzero(column.invalid & keep))
            if spec.type in {"dinheiro", "inteiro"}:
                before = result.totals.get(spec.name, Decimal(0))
                kept = column.values if whole else column.values.filter(pa.array(keep))
                result.totals[spec.name] = before + _total(kept)
        for fault in faults:
            count = int(np.count_nonzero(fault.rows))
            self._note(fault.spec.name, fault.problem, count)

    def _reject(
        self,
        batch: Batch,
        faults: list[_Fault],
        repeated: dict[int, dict[str, int]],
        objections: dict[int, list[RowProblem]],
        keep: Mask,
    ) -> None:
        result = self._result
        result.rows_rejected += int(np.count_nonzero(~keep)) + len(batch.broken)
        for first in repeated.values():
            for name in first:
                self._note(name, "repete", 1)
        for problems in objections.values():
            for trouble in problems:
                self._note(trouble.field, trouble.problem, 1)
        wrong = np.flatnonzero(~keep)
        for some, broken in in_blocks(batch.line[wrong], batch.broken):
            for row in broken:
                for trouble in row.problems:
                    self._note(trouble.field, trouble.problem, 1)
            rows = rejections(
                batch,
                self._layout.fields,
                wrong[some],
                broken,
                faults=[(fault.spec.name, fault.problem, fault.rows) for fault in faults],
                repeated=repeated,
                objections=objections,
            )
            room = min(KEPT_ROWS - len(result.rejected), len(rows))
            kept = [rows[place] for place in range(room)]
            result.rejected += kept
            for row in kept if len(result.examples) < KEPT_EXAMPLES else ():
                result.examples += row.problems[: KEPT_EXAMPLES - len(result.examples)]
            self._sink.reject(rows)

    def _note(self, name: str, problem: str, count: int) -> None:
        """Count a problem; of lines of very many sizes only the first kinds are told apart."""
        kinds, about = self._result.kinds, (name, kind(problem))
        if about not in kinds and len(kinds) >= MOST_KINDS:
            about = (name, "outros problemas")
        kinds[about] += count
        self._result.problems += count


def _remember(key: KeyHashes, values: pa.Array, lines: Integers, keep: Mask) -> None:
    if keep.all():
        key.add(values, lines)
    else:
        key.add(values.filter(pa.array(keep)), lines[keep])


def _total(values: pa.Array) -> Decimal:
    """The sum of amounts or whole numbers."""
    if values.type != NARROW_MONEY:
        return Decimal(pc.sum(values).as_py() or 0)
    filled = values.drop_null()
    if not len(filled):
        return Decimal(0).scaleb(-NARROW_MONEY.scale)
    first, count = filled.offset, len(filled)
    cents = np.frombuffer(filled.buffers()[1], dtype=np.int64)[first : first + count]
    highest = max(int(cents.max()), -int(cents.min()))
    total = int(cents.sum()) if highest * count < 2**63 else sum(cents.tolist())
    return Decimal(total).scaleb(-NARROW_MONEY.scale)


def _mask(values: pa.Array) -> Mask:
    mask: Mask = values.to_numpy(zero_copy_only=False)
    return mask


def _most_common(result: Validation) -> str:
    counted: Counter[str] = Counter()
    for (name, _), count in result.kinds.items():
        counted[name] += count
    return "o problema está em " + ", ".join(
        f"'{name}' ({count})" for name, count in counted.most_common(3)
    )


def _percent(share: float) -> str:
    return f"{share * 100:g} %".replace(".", ",")
