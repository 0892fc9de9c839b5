"""Lines of several types of record, fixed or delimited, with the same few questions asked of both.

``Lines`` are some lines of a file, each already known by its type; what reads them does not care
whether their fields stand at bytes or in numbered columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.reception.columns import Bytes2D, trimmed
from zanc_pipeline.reception.layout import (
    DelimitedRecordsLayout,
    NumberedField,
    PositionField,
    RecordsLayout,
)
from zanc_pipeline.reception.layout_fields import ProvingField
from zanc_pipeline.reception.layout_records import RecordMark
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Integers, chunks, line_offsets
from zanc_pipeline.reception.readers.fixed import to_block
from zanc_pipeline.reception.readers.positions import position_texts, with_ddd
from zanc_pipeline.reception.readers.quotes import split_line

Mask = npt.NDArray[np.bool_]
Self = TypeVar("Self", bound="Lines")


class Lines(Protocol):
    """Some lines of a file; ``line`` and ``offset`` as in a batch."""

    @property
    def line(self) -> Integers:
        """The number of each line, from 1."""

    @property
    def offset(self) -> Integers:
        """The byte where each line starts."""

    def holds(self, place: int, text: str) -> Mask:
        """Where ``text`` stands at ``place`` (first byte, or number of the column, from 1)."""

    def cells(self, field: ProvingField, rows: Integers) -> pa.Array:
        """The trimmed texts of a field in some of the lines; the DDD of a phone goes before it."""

    def text(self, row: int) -> str:
        """One line as it came."""

    def since(self: Self, row: int) -> Self:
        """The lines from ``row`` on."""

    def plus(self: Self, other: Self) -> Self:
        """These lines and then the others."""


def is_of(lines: Lines, start: int, mark: RecordMark) -> Mask:
    """Which lines are of a type of record."""
    found = lines.holds(start, mark.code)
    for condition in mark.when:
        found &= lines.holds(condition.place, condition.equals)
    return found


@dataclass(frozen=True, kw_only=True)
class FixedLines:
    """Lines of one size, as a matrix of bytes."""

    data: Bytes2D
    line: Integers
    offset: Integers
    encoding: str

    def holds(self, place: int, text: str) -> Mask:
        wanted = np.frombuffer(text.encode(self.encoding), dtype=np.uint8)
        found: Mask = (self.data[:, place - 1 : place - 1 + len(wanted)] == wanted).all(axis=1)
        return found

    def cells(self, field: ProvingField, rows: Integers) -> pa.Array:
        assert isinstance(field, PositionField)
        return position_texts(self.data[rows], field, self.encoding)

    def text(self, row: int) -> str:
        return bytes(self.data[row]).decode(self.encoding, "replace")

    def since(self, row: int) -> FixedLines:
        return FixedLines(
            data=self.data[row:],
            line=self.line[row:],
            offset=self.offset[row:],
            encoding=self.encoding,
        )

    def plus(self, other: FixedLines) -> FixedLines:
        return FixedLines(
            data=np.concatenate((self.data, other.data)),
            line=np.concatenate((self.line, other.line)),
            offset=np.concatenate((self.offset, other.offset)),
            encoding=self.encoding,
        )


@dataclass(frozen=True, kw_only=True)
class NumberedLines:
    """Lines cut at their separators."""

    rows: Sequence[list[str]]
    line: Integers
    offset: Integers
    delimiter: str

    def holds(self, place: int, text: str) -> Mask:
        return np.array(
            [len(row) >= place and row[place - 1].strip() == text for row in self.rows],
            dtype=np.bool_,
        )

    def cells(self, field: ProvingField, rows: Integers) -> pa.Array:
        assert isinstance(field, NumberedField)
        texts = self._column(field.position, rows)
        if field.ddd_position is None:
            return texts
        return with_ddd(self._column(field.ddd_position, rows), texts)

    def _column(self, position: int, rows: Integers) -> pa.Array:
        found = []
        for row in rows.tolist():
            cells = self.rows[row]
            if len(cells) < position:
                raise FileRejected(
                    f"linha {self.line[row]}: o registro tem {len(cells)} colunas e o layout lê a "
                    f"{position}ª: confira com o credor se o layout mudou"
                )
            found.append(cells[position - 1])
        return trimmed(pa.array(found, type=pa.string()))

    def text(self, row: int) -> str:
        return self.delimiter.join(self.rows[row])

    def since(self, row: int) -> NumberedLines:
        return NumberedLines(
            rows=self.rows[row:],
            line=self.line[row:],
            offset=self.offset[row:],
            delimiter=self.delimiter,
        )

    def plus(self, other: NumberedLines) -> NumberedLines:
        return NumberedLines(
            rows=[*self.rows, *other.rows],
            line=np.concatenate((self.line, other.line)),
            offset=np.concatenate((self.offset, other.offset)),
            delimiter=self.delimiter,
        )


def fixed_lines(layout: RecordsLayout, path: Path) -> Iterator[FixedLines]:
    """The lines of a fixed-width file. Raises FileRejected for one of another size."""
    for chunk in chunks(
        path,
        layout.encoding,
        must_end_with_newline=layout.ends_with_newline,
        record_size=layout.record_size,
        unbroken=not layout.newlines,
    ):
        block = to_block(chunk, layout.record_size, layout.encoding)
        if len(block.broken):
            first = block.broken[0]
            raise FileRejected(
                f"linha {first.line}: {first.problems[0].problem}; como os registros dependem uns "
                "dos outros, o arquivo inteiro fica retido"
            )
        yield FixedLines(
            data=block.data, line=block.line, offset=block.offset, encoding=layout.encoding
        )


def numbered_lines(layout: DelimitedRecordsLayout, path: Path) -> Iterator[NumberedLines]:
    """The lines of a delimited file of records, each on a line of its own.

    Raises FileRejected for quotes that do not close, and when lines of one type differ in how many
    columns they have: a separator inside a text would shift the others unseen.
    """
    marks = [mark for _, mark in layout.records.groups()] + list(layout.records.ignored)
    widths: dict[int, int] = {}
    for chunk in chunks(path, layout.encoding, must_end_with_newline=layout.ends_with_newline):
        starts, ends = line_offsets(chunk)
        rows, kept = [], []
        for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            text = chunk.data[start:end].decode(layout.encoding, "replace").rstrip("\r")
            if chunk.line + index == 1:
                text = text.removeprefix("\ufeff")
            if not text.strip("\x1a\x00 \t"):
                continue
            cells = split_line(text, layout.delimiter, layout.quote)
            if cells is None:
                raise FileRejected(
                    f"linha {chunk.line + index}: há aspas que abrem e não fecham: peça ao credor "
                    "que corrija e envie o arquivo de novo"
                )
            rows.append(cells)
            kept.append(index)
        places = np.array(kept, dtype=np.int64)
        lines = NumberedLines(
            rows=rows,
            line=chunk.line + places,
            offset=chunk.offset + starts[places],
            delimiter=layout.delimiter,
        )
        for number, mark in enumerate(marks):
            for row in np.flatnonzero(is_of(lines, layout.records.start, mark)).tolist():
                expected = widths.setdefault(number, len(rows[row]))
                if len(rows[row]) != expected:
                    raise FileRejected(
                        f"linha {lines.line[row]}: o registro '{mark.code}' tem {len(rows[row])} "
                        f"colunas e os anteriores do mesmo tipo têm {expected}: talvez um texto "
                        f"traga '{layout.delimiter}' sem aspas; peça a correção ao credor"
                    )
        yield lines
