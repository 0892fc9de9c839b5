"""Spreadsheets (xlsx): the first row holds the titles; cells become text as a person reads them."""

from __future__ import annotations

import zipfile
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
from zanc_pipeline.reception.readers.sheet_cells import cell_text
from zanc_pipeline.reception.readers.unzip import check_sizes

__all__ = ["cell_text", "read_sheet", "sheet_rows"]

BATCH_ROWS = 20_000


def read_sheet(layout: SheetLayout, path: Path) -> Iterator[Batch]:
    """Batches of a worksheet. A formula counts as the value that was saved with it.

    Raises FileRejected when it is no workbook, has no such sheet or not the layout's titles.
    """
    rows = sheet_rows(path, layout.sheet)
    header = next(rows, None)
    if header is None:
        raise FileRejected("a planilha está vazia: peça ao credor que a envie de novo")
    cells = list(header[1])
    while cells and cells[-1] in (None, ""):
        cells.pop()
    titles = [str(cell if cell is not None else "").strip() for cell in cells]
    check_titles(titles, layout.fields, layout.ignored)
    fields = {field.title: field for field in layout.fields}
    good: list[tuple[int, list[str]]] = []
    broken: list[RejectedRow] = []
    for number, values in rows:
        texts = [
            cell_text(value, fields.get(title))
            for title, value in zip_longest(titles, values[: len(titles)])
        ]
        if any(value not in (None, "") for value in values[len(titles) :]):
            problem = "há valores à direita da última coluna com título: confira se a linha andou"
            broken.append(broken_row(number, -1, " | ".join(texts), problem))
        else:
            good.append((number, texts))
        if len(good) + len(broken) == BATCH_ROWS:
            yield _batch(good, broken, titles, layout)
            good, broken = [], []
    if good or broken:
        yield _batch(good, broken, titles, layout)


def sheet_rows(path: Path, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows of a worksheet that are not blank, each with its number from 1."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive)
        book = load_workbook(path, read_only=True, data_only=True)
    except FileRejected:
        raise
    except Exception as error:  # openpyxl lets any exception of zip, XML or its own out
        raise FileRejected(
            f"isto não é uma planilha xlsx que se possa ler ({type(error).__name__}): peça ao "
            "credor que a salve de novo"
        ) from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise FileRejected(
                f"a planilha não tem a aba '{sheet}' (tem: {', '.join(book.sheetnames)}): confirme "
                "com o credor se o layout mudou"
            )
        page = book[sheet] if sheet is not None else book.worksheets[0]
        yield from _rows(page)
    finally:
        book.close()


def _rows(page: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    try:
        page.reset_dimensions()  # the declared size may be wrong; the cells are the truth
        for number, values in enumerate(page.iter_rows(values_only=True), start=1):
            if any(value not in (None, "") for value in values):
                yield number, values
    except FileRejected:
        raise
    except Exception as error:  # a damaged sheet fails only while it is read
        raise FileRejected(
            f"a planilha está estragada ({type(error).__name__}): peça ao credor que a envie "
            "novamente"
        ) from None


def _batch(
    rows: list[tuple[int, list[str]]],
    broken: list[RejectedRow],
    titles: list[str],
    layout: SheetLayout,
) -> Batch:
    columns = {
        title: pa.array([texts[place] for _, texts in rows], type=pa.string())
        for place, title in enumerate(titles)
    }
    return Batch(
        line=np.array([number for number, _ in rows], dtype=np.int64),
        offset=np.full(len(rows), -1, dtype=np.int64),
        cells={field.name: field_cells(field, columns) for field in layout.fields},
        broken=broken,
    )
