"""``zanc reception read``: any file as a table of texts, by a layout or by what is detected."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.cut import Dialect, Record, records
from zanc_pipeline.reception.detected import Table, table_in, table_of
from zanc_pipeline.reception.header import is_header
from zanc_pipeline.reception.profile import Profile

__all__ = ["Table", "read_detected", "read_with_layout", "rows_of", "table_of", "to_csv"]


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
    from zanc_pipeline.reception.fields import DDD_MARK
    from zanc_pipeline.reception.layout import load_layout
    from zanc_pipeline.reception.names import NameFacts
    from zanc_pipeline.reception.readers import read_file

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
    """Any delimited text or spreadsheet, also inside a zip or gzip; no row is left out untold."""
    from zanc_pipeline.reception.readers.unzip import is_gzip, is_workbook, ungzipped, unzipped
    from zanc_pipeline.reception.readers.xls import is_xls

    _require(path)
    if is_xls(path):
        return _read_workbook(path)
    if is_gzip(path):
        with ungzipped(path) as inner:
            table = table_in(inner)
            table.rows = list(table.rows)  # the folder of ``inner`` goes away
            return table
    if not zipfile.is_zipfile(path):
        return table_in(path)
    if is_workbook(path):
        return _read_workbook(path)
    with unzipped(path) as inner:
        table = _read_workbook(inner) if is_workbook(inner) else table_in(inner)
        table.rows = list(table.rows)  # the folder of ``inner`` goes away
        return table


def rows_of(lines: list[str], dialect: Dialect) -> list[list[str]]:
    """Every line that is not blank, cut; one of another width is kept as it comes."""
    return [record.cells for record in records((f"{line}\n" for line in lines), dialect)]


def titles_in(rows: list[list[str]]) -> bool:
    """Whether the first of ``rows`` holds titles."""
    following = [Record(cells=row, line=place, text="") for place, row in enumerate(rows[1:], 2)]
    return is_header(rows[0], Profile(rows[1:], len(rows[0])), following)


def _read_workbook(path: Path) -> Table:
    """The first sheet as a table: its rows are read again while they are taken, never all held."""
    from zanc_pipeline.reception.detect import SAMPLE_LINES

    head: list[list[str]] = []
    width = 0
    for row in _sheet_texts(path):
        width = max(width, len(row))
        if len(head) <= SAMPLE_LINES:
            head.append(row)
    if not head:
        return Table(header=[], rows=[], notes=["a planilha está vazia"])
    head = [[*row, *[""] * (width - len(row))] for row in head]
    notes = []
    titled = titles_in(head)
    titles = [cell.strip() for cell in head[0]] if titled else []
    if not titled:
        notes.append("não há cabeçalho: as colunas foram numeradas")
    titles += [f"coluna_{place + 1}" for place in range(len(titles), width)]
    return Table(header=titles, rows=_SheetRows(path, width, skipped=int(titled)), notes=notes)


@dataclass(frozen=True)
class _SheetRows:
    """The rows of a workbook in one width, as often as they are asked for."""

    path: Path
    width: int
    skipped: int

    def __iter__(self) -> Iterator[list[str]]:
        for row in islice(_sheet_texts(self.path), self.skipped, None):
            yield [*row, *[""] * (self.width - len(row))]


def _sheet_texts(path: Path) -> Iterator[list[str]]:
    from zanc_pipeline.reception.readers.spreadsheet import cell_text, sheet_rows

    for _, values in sheet_rows(path, None):
        filled = len(values)
        while values[filled - 1] in (None, ""):
            filled -= 1
        yield [cell_text(value, None) for value in values[:filled]]


def _require(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: o arquivo não existe")
