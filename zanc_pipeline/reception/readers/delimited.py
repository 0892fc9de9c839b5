"""Delimited text: rows of cells between separators, quoted where a cell holds the separator.

A quote opens a cell only as its first character and closes it only before a separator or the end
of the line. A quoted cell may hold line breaks, but only where joining the lines gives exactly the
expected number of cells: a stray quote costs its own line and never swallows the following ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.reception.columns import trimmed
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import ColumnField, DelimitedLayout
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Batch, broken_row, chunks, line_offsets

MAX_JOINED_LINES = 50


def read_delimited(layout: DelimitedLayout, path: Path) -> Iterator[Batch]:
    """Batches of a delimited file; columns are found by their titles, in any order.

    Raises FileRejected when the header lacks a column, has one unknown or one twice.
    """
    titles: list[str] | None = None
    for chunk in chunks(path, layout.encoding, must_end_with_newline=layout.ends_with_newline):
        starts, ends = line_offsets(chunk)
        lines = [
            chunk.data[start:end].decode(layout.encoding, "replace").rstrip("\r")
            for start, end in zip(starts, ends, strict=True)
        ]
        first = 0
        if titles is None:
            lines[0] = lines[0].removeprefix("\ufeff")
            first = next((i for i, line in enumerate(lines) if line.strip("\x1a\x00 \t")), -1)
            if first < 0:
                continue
            titles = _titles(lines[first], layout)
            first += 1
        rows = split_lines(lines[first:], layout.delimiter, layout.quote, len(titles))
        numbers = np.array([row.index for row in rows.cut], dtype=np.int64) + first
        columns = _columns([row.cells for row in rows.cut], titles)
        yield Batch(
            line=numbers + chunk.line,
            offset=starts[numbers] + chunk.offset,
            cells={field.name: field_cells(field, columns) for field in layout.fields},
            broken=[
                broken_row(
                    chunk.line + first + row.index,
                    chunk.offset + int(starts[row.index + first]),
                    row.text,
                    row.problem,
                )
                for row in rows.broken
            ],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row cut out of lines: ``index`` is its first line, from 0."""

    index: int
    cells: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenRow:
    """A line that does not have the expected number of cells, and why."""

    index: int
    text: str
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Every line that is not blank is in one of the two."""

    cut: list[Row]
    broken: list[BrokenRow]


def split_lines(lines: Sequence[str], delimiter: str, quote: str, width: int) -> Rows:
    """Cut lines into rows of ``width`` cells; the others are broken, each alone."""
    cut: list[Row] = []
    broken: list[BrokenRow] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if not line.strip("\x1a\x00 \t"):
            index += 1
            continue
        cells = split_line(line, delimiter, quote)
        taken = 1
        if cells is None:
            cells, taken = _join(lines, index, delimiter, quote, width)
        if cells is None:
            problem = "há aspas que abrem e não fecham: corrija a linha ou peça ao credor"
            broken.append(BrokenRow(index=index, text=line, problem=problem))
        elif len(cells) != width:
            problem = (
                f"a linha tem {len(cells)} colunas e o cabeçalho tem {width}: talvez um texto "
                f"traga '{delimiter}' sem aspas, ou a linha foi cortada; corrija ou peça ao credor"
            )
            broken.append(BrokenRow(index=index, text=line, problem=problem))
        else:
            cut.append(Row(index=index, cells=cells))
        index += taken
    return Rows(cut=cut, broken=broken)


def split_line(text: str, delimiter: str, quote: str) -> list[str] | None:
    """The cells of one record, or None when a quote opens and does not close."""
    if not quote or quote not in text:
        return text.split(delimiter)
    cells: list[str] = []
    position = 0
    while True:
        if not text.startswith(quote, position):
            end = text.find(delimiter, position)
            if end < 0:
                cells.append(text[position:])
                return cells
            cells.append(text[position:end])
            position = end + len(delimiter)
            continue
        end = _closing_quote(text, position + 1, delimiter, quote)
        if end < 0:
            return None
        cells.append(text[position + 1 : end].replace(quote * 2, quote))
        position = end + 1
        if position == len(text):
            return cells
        position += len(delimiter)


def _closing_quote(text: str, position: int, delimiter: str, quote: str) -> int:
    while True:
        position = text.find(quote, position)
        if position < 0:
            return -1
        if text.startswith(quote, position + 1):
            position += 2
        elif position + 1 == len(text) or text.startswith(delimiter, position + 1):
            return position
        else:
            position += 1  # a quote in the middle of a quoted text, not doubled: part of the text


def _join(
    lines: Sequence[str], index: int, delimiter: str, quote: str, width: int
) -> tuple[list[str] | None, int]:
    for taken in range(2, MAX_JOINED_LINES + 1):
        if index + taken > len(lines):
            break
        cells = split_line("\n".join(lines[index : index + taken]), delimiter, quote)
        if cells is not None:
            return (cells, taken) if len(cells) == width else (None, 1)
    return None, 1


def _titles(line: str, layout: DelimitedLayout) -> list[str]:
    cells = split_line(line, layout.delimiter, layout.quote) or [line]
    titles = [cell.strip() for cell in cells]
    check_titles(titles, layout.fields, layout.ignored)
    return titles


def check_titles(
    titles: Sequence[str], fields: Sequence[ColumnField], ignored: Sequence[str]
) -> None:
    """Raise FileRejected unless the header has exactly the columns of the layout, in any order."""
    wanted = [field.title for field in fields]
    wanted += [field.ddd_column for field in fields if field.ddd_column]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    missing = [title for title in wanted if title not in titles]
    unknown = [title for title in titles if title not in wanted and title not in ignored]
    if not set(titles) & set(wanted):
        # The first line may be a row of data: its personal cells are not repeated here.
        raise FileRejected(
            f"a primeira linha não é o cabeçalho do layout ({', '.join(wanted[:5])}, …): o "
            "cabeçalho ou o layout mudou; confirme com o credor"
        )
    problems = [
        f"{what}: {', '.join(repr(mask_text(title[:40])) for title in found[:10])}"
        for what, found in (
            ("faltam as colunas", missing),
            ("há colunas que o layout não conhece", unknown),
            ("há colunas repetidas", twice),
        )
        if found
    ]
    if problems:
        raise FileRejected(
            f"o cabeçalho não é o do layout ({'; '.join(problems)}): confirme com o credor se o "
            "layout mudou e, se mudou, atualize o layout e reprocesse"
        )


def field_cells(field: ColumnField, columns: dict[str, pa.Array]) -> pa.Array:
    """The texts of a field; a DDD of its own column goes before the phone, with a mark between."""
    cells = trimmed(columns[field.title])
    if field.ddd_column is None:
        return cells
    ddds = trimmed(columns[field.ddd_column])
    return pa.array(
        [
            f"{ddd}{DDD_MARK}{cell}"
            for ddd, cell in zip(ddds.to_pylist(), cells.to_pylist(), strict=True)
        ],
        type=pa.string(),
    )


def _columns(rows: Sequence[list[str]], titles: Sequence[str]) -> dict[str, pa.Array]:
    columns = zip(*rows, strict=True) if rows else ([] for _ in titles)
    return {
        title: pa.array(column, type=pa.string())
        for title, column in zip(titles, columns, strict=True)
    }
