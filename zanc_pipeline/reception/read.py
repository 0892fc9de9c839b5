"""``zanc reception read``: any file as a table of texts, by a layout or by what is detected."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.detect import (
    Dialect,
    cut_freely,
    decode,
    detect,
    looks_like_header,
    to_lines,
)
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.readers.delimited import split_line, split_lines
from zanc_pipeline.reception.readers.spreadsheet import cell_text, sheet_rows
from zanc_pipeline.reception.readers.unzip import is_workbook, unzipped

_EXCEL_HINT = re.compile(r"sep=.{1,3}", re.IGNORECASE)


@dataclass(kw_only=True)
class Table:
    """Titles and rows as text; ``notes`` say what was found, ``lost`` counts lines left out."""

    header: list[str]
    rows: Iterable[list[str]]
    notes: list[str] = field(default_factory=list)
    lost: int = 0


def to_csv(table: Table, target: BinaryIO) -> None:
    """Write UTF-8 CSV after RFC 4180: header first, ``,`` and CRLF, quotes where needed."""
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", errors="replace")
    writer = csv.writer(text)
    if table.header:
        writer.writerow(table.header)
    writer.writerows(table.rows)
    text.flush()
    text.detach()


def read_with_layout(path: Path, layout_path: Path) -> Table:
    """The fields of a layout as they stand in the file, valid or not.

    Raises DataError when the file as a whole does not fit; a line that does not fit is a note.
    """
    _require(path)
    layout = load_layout(layout_path)
    facts = next(
        (found for pattern in layout.patterns if (found := pattern.match(path.name))), NameFacts()
    )
    names = [spec.name for spec in layout.fields]
    table = Table(header=names, rows=[])
    rows: list[list[str]] = []
    for batch in read_file(layout, path, facts):
        columns = [batch.cells[name].to_pylist() for name in names]
        rows += [
            [cell.replace(DDD_MARK, " ").strip() for cell in row]
            for row in zip(*columns, strict=True)
        ]
        table.lost += len(batch.broken)
        table.notes += [f"linha {row.line}: {row.problems[0].problem}" for row in batch.broken]
    table.rows = rows
    return table


def read_detected(path: Path) -> Table:
    """Any delimited text or spreadsheet, also inside a zip; no row is left out.

    Lines above the header (a preamble) are the only ones that are not rows, and a note says so.
    """
    _require(path)
    if not zipfile.is_zipfile(path) or is_workbook(path):
        return _read_plain(path)
    with unzipped(path) as inner:
        return _read_plain(inner)


def _read_plain(path: Path) -> Table:
    return _read_workbook(path) if is_workbook(path) else table_of(path.read_bytes())


def table_of(data: bytes) -> Table:
    """The table in the bytes of a delimited text."""
    text, encoding = decode(data)
    lines = to_lines(text)
    hint = _EXCEL_HINT.fullmatch(lines[0]) if lines else None
    lines = lines[1:] if hint else lines
    dialect = detect(lines)
    rows = rows_of(lines, dialect)
    if not rows:
        return Table(header=[], rows=[], notes=["o arquivo está vazio"])
    notes = [_found(encoding, dialect)]
    if hint:
        notes.append(f"a linha '{hint.group()}' é um aviso para planilhas e ficou de fora")
    first = _header_place(rows, dialect.width)
    if first:
        notes.append(f"{_lines(first)} antes do cabeçalho, sem dados: fora da tabela")
    table = _with_header(rows[first:], notes)
    width = len(table.header)
    ragged = Counter(len(row) for row in rows[first:] if len(row) != dialect.width)
    for cells, count in sorted(ragged.items()):
        notes.append(f"{_lines(count)} com {cells} células em vez de {dialect.width}: conferir")
    table.rows = [[*row, *[""] * (width - len(row))] for row in table.rows]
    return table


def rows_of(lines: list[str], dialect: Dialect) -> list[list[str]]:
    """Every line that is not blank, cut; one of another width is kept as it comes."""
    if not dialect.delimiter:
        return cut_freely([line for line in lines if line.strip()], "\x00", '"')
    cut = split_lines(lines, dialect.delimiter, dialect.quote, dialect.width)
    placed = {row.index: row.cells for row in cut.cut}
    for broken in cut.broken:
        cells = split_line(broken.text, dialect.delimiter, dialect.quote)
        placed[broken.index] = broken.text.split(dialect.delimiter) if cells is None else cells
    return [placed[index] for index in sorted(placed)]


def _header_place(rows: list[list[str]], width: int) -> int:
    """Where the table begins: what stands above is a preamble.

    Rows are left out only above a header that proves to be one. The titles may be fewer than the
    columns; where no row can be the header, all rows are data.
    """
    full = next((i for i, row in enumerate(rows) if len(row) >= width), 0)
    if full == 0 or looks_like_header(rows[full], rows[full + 1 :]):
        return full
    if len(rows[full - 1]) > 1 and looks_like_header(rows[full - 1], rows[full:]):
        return full - 1
    return 0


def _with_header(rows: list[list[str]], notes: list[str]) -> Table:
    width = max(len(row) for row in rows)
    titled = looks_like_header(rows[0], rows[1:])
    titles = [cell.strip() for cell in rows[0]] if titled else []
    if not titled:
        notes.append("não há cabeçalho: as colunas foram numeradas")
    titles += [f"coluna_{place + 1}" for place in range(len(titles), width)]
    return Table(header=titles, rows=rows[1:] if titled else rows, notes=notes)


def _read_workbook(path: Path) -> Table:
    rows = [[cell_text(value, None) for value in values] for _, values in sheet_rows(path, None)]
    if not rows:
        return Table(header=[], rows=[], notes=["a planilha está vazia"])
    width = max(len(row) for row in rows)
    return _with_header([[*row, *[""] * (width - len(row))] for row in rows], [])


def _lines(count: int) -> str:
    return "1 linha" if count == 1 else f"{count} linhas"


def _found(encoding: str, dialect: Dialect) -> str:
    cut = repr(dialect.delimiter) if dialect.delimiter else "nenhum (uma coluna só)"
    quote = dialect.quote or "nenhuma"
    return f"codificação {encoding}, separador {cut}, aspas {quote}, {dialect.width} colunas"


def _require(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: o arquivo não existe")
