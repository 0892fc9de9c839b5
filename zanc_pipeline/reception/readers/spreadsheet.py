"""Spreadsheets (xlsx, xls, ods): a row of titles; cells become text as a person reads them.

A formula counts as the value that was saved with it, which whoever saved it last calculated: the
report says how many there were; one without a value, or with an error, rejects its row.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zanc_pipeline.reception.layout import SheetLayout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch, broken_row
from zanc_pipeline.reception.readers.delimited import check_titles, field_cells
from zanc_pipeline.reception.readers.ods import MIMETYPE, ods_rows
from zanc_pipeline.reception.readers.sheet_cells import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_ROWS,
    Formula,
    cell_text,
)
from zanc_pipeline.reception.readers.unzip import opened
from zanc_pipeline.reception.readers.xls import is_xls, xls_names, xls_rows
from zanc_pipeline.reception.readers.xlsx import xlsx_names, xlsx_rows

__all__ = ["cell_text", "first_sheets", "is_sheet", "read_sheet", "sheet_rows"]

BATCH_ROWS = 20_000


def read_sheet(layout: SheetLayout, path: Path) -> Iterator[Batch]:
    """Batches of a worksheet.

    Raises FileRejected when it is no workbook, has no such sheet or not the layout's titles.
    """
    rows = sheet_rows(path, layout.sheet)
    header = next((row for place, row in enumerate(rows) if place == layout.preamble), None)
    if header is None:
        raise FileRejected("a planilha está vazia: peça ao credor que a envie de novo")
    cells = list(header[1])
    while cells and cells[-1] in (None, ""):
        cells.pop()
    titles = [cell_text(cell, None).strip() for cell in cells]
    check_titles(titles, layout.fields, layout.ignored)
    part = _Part(titles, layout)
    for number, values in rows:
        part.take(number, values)
        if part.rows == BATCH_ROWS:
            yield part.batch()
            part = _Part(titles, layout)
    if part.rows:
        yield part.batch()


def sheet_rows(path: Path, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows of a worksheet that are not blank, each with its number from 1.

    Raises FileRejected for a sheet that is larger than any.
    """
    cells = 0
    for number, values in _reader(path)(path, sheet):
        cells += len(values)
        if number > MAX_ROWS or len(values) > MAX_COLUMNS or cells > MAX_CELLS:
            raise FileRejected(
                f"a planilha tem uma linha de número {number} e {len(values)} colunas, ou células "
                f"demais ({cells}), o que não é normal: não foi lida; peça ao credor um arquivo de "
                "texto (csv)"
            )
        if any(value not in (None, "") for value in values):
            yield number, values


def first_sheets(path: Path) -> list[str | None]:
    """The sheets where a table may be: all by their names, or the first alone in an ods."""
    reader = _reader(path)
    if reader is ods_rows:
        return [None]
    return list[str | None](xls_names(path) if reader is xls_rows else xlsx_names(path))


def is_sheet(path: Path) -> bool:
    """Whether a file is a spreadsheet of a kind that is read here."""
    return is_xls(path) or _zipped_kind(path) is not None


def _reader(path: Path) -> Any:
    if is_xls(path):
        return xls_rows
    kind = _zipped_kind(path)
    if kind is None:
        raise FileRejected(
            "isto não é uma planilha xlsx, xls ou ods: confirme com o credor o que ele enviou"
        )
    return kind


def _zipped_kind(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return None
    with opened(path) as archive:
        names = set(archive.namelist())
        if "xl/workbook.xml" in names:
            return xlsx_rows
        if "xl/workbook.bin" in names:
            raise FileRejected(
                "isto é uma planilha xlsb: peça ao credor que a salve como .xlsx ou .ods"
            )
        if {"content.xml", "mimetype"} <= names:
            with archive.open("mimetype") as kind:
                return ods_rows if kind.read(200).startswith(MIMETYPE) else None
    return None


class _Part:
    """The rows of one batch."""

    def __init__(self, titles: list[str], layout: SheetLayout) -> None:
        self._titles, self._layout = titles, layout
        self._fields = {field.title: field for field in layout.fields}
        self._good: list[tuple[int, list[str]]] = []
        self._broken: list[RejectedRow] = []
        self._formulas: Counter[str] = Counter()

    @property
    def rows(self) -> int:
        """How many rows came, good or not."""
        return len(self._good) + len(self._broken)

    def take(self, number: int, values: tuple[Any, ...]) -> None:
        """Take a row."""
        width = len(self._titles)
        texts = [
            cell_text(value, self._fields.get(title))
            for title, value in zip_longest(self._titles, values[:width])
        ]
        problem = self._problem(values, width)
        if problem:
            self._broken.append(broken_row(number, -1, " | ".join(texts), problem))
            return
        self._good.append((number, texts))
        for title, value in zip(self._titles, values, strict=False):
            if isinstance(value, Formula) and title in self._fields:
                self._formulas[self._fields[title].name] += 1

    def _problem(self, values: tuple[Any, ...], width: int) -> str:
        if any(value not in (None, "") for value in values[width:]):
            return "há valores à direita da última coluna com título: confira se a linha andou"
        for title, value in zip(self._titles, values, strict=False):
            if isinstance(value, Formula) and not value.proved and title in self._fields:
                return (
                    f"a fórmula da coluna '{title[:40]}' não tem valor salvo, ou deu erro: peça ao "
                    "credor a planilha com os valores no lugar das fórmulas"
                )
        return ""

    def batch(self) -> Batch:
        """What was taken."""
        columns = {
            title: pa.array([texts[place] for _, texts in self._good], type=pa.string())
            for place, title in enumerate(self._titles)
        }
        return Batch(
            line=np.array([number for number, _ in self._good], dtype=np.int64),
            offset=np.full(len(self._good), -1, dtype=np.int64),
            cells={field.name: field_cells(field, columns) for field in self._layout.fields},
            broken=self._broken,
            notes={
                f"{name}: valor calculado por fórmula (vale o que foi salvo, não recalculado)": n
                for name, n in self._formulas.items()
            },
        )
