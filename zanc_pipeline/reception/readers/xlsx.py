"""Excel workbooks (xlsx): the values that were saved, with the cells that are formulas marked."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.sheet_cells import Formula
from zanc_pipeline.reception.readers.trailing_cells import WithoutTrailingCells
from zanc_pipeline.reception.readers.unzip import check_sizes

_FORMULA = re.compile(rb"<(?:\w+:)?f[ />]")
_PIECE = 1024 * 1024
MAX_TEXT_BYTES = 256 * 1024 * 1024
"""The texts of a workbook are kept apart from its cells and are read whole into memory."""


def xlsx_rows(path: Path, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Every row of a sheet (the first without a name) with its number from 1.

    Raises FileRejected for no such sheet and a damaged workbook. A sheet that holds a formula is
    read twice side by side, since a formula and its value are two readings of a workbook.
    """
    with _opened(path, values=True) as book:
        page = _page(book, sheet)
        if not _has_formulas(path, page):
            yield from _rows(page, None)
            return
        with _opened(path, values=False) as written:
            yield from _rows(page, _page(written, sheet))


def xlsx_names(path: Path) -> list[str]:
    """The names of the sheets. Raises FileRejected for a damaged workbook."""
    with _opened(path, values=True) as book:
        return [str(page.title) for page in book.worksheets]


@contextmanager
def _opened(path: Path, *, values: bool) -> Iterator[Any]:
    """The workbook in ``path``, whatever its name is: an archived file is named by its digest."""
    with path.open("rb") as file:
        book = _loaded(path, file, values=values)
        try:
            yield book
        finally:
            book.close()


def _loaded(path: Path, file: BinaryIO, *, values: bool) -> Any:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive)
            texts = [
                item.file_size for item in archive.infolist() if "sharedStrings" in item.filename
            ]
        if sum(texts) > MAX_TEXT_BYTES:
            raise FileRejected(
                f"a planilha tem {sum(texts)} bytes de textos, o que não cabe na memória: peça ao "
                "credor um arquivo de texto (csv)"
            )
        return load_workbook(file, read_only=True, data_only=values)
    except FileRejected:
        raise
    except Exception as error:  # openpyxl lets any exception of zip, XML or its own out
        raise FileRejected(
            f"isto não é uma planilha xlsx que se possa ler ({type(error).__name__}): peça ao "
            "credor que a salve de novo"
        ) from None


def _page(book: Any, sheet: str | None) -> Any:
    names = [page.title for page in book.worksheets]
    if sheet is not None and sheet not in names:
        raise FileRejected(
            f"a planilha não tem a aba '{sheet}' (tem: {', '.join(names)}): confirme com o credor "
            "se o layout mudou"
        )
    if not names:
        raise FileRejected("a planilha não tem nenhuma aba com dados: peça ao credor outra")
    return book.worksheets[names.index(sheet) if sheet is not None else 0]


def _has_formulas(path: Path, page: Any) -> bool:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(page._worksheet_path) as xml:
            tail = b""
            while piece := xml.read(_PIECE):
                if _FORMULA.search(tail + piece):
                    return True
                tail = piece[-32:]
    except Exception as error:
        raise _damaged(error) from None
    return False


def _rows(page: Any, formulas: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    written: Iterator[Any] = _given(formulas) if formulas else repeat((0, ()))
    try:
        for (number, values), (_, sources) in zip(_given(page), written, strict=False):
            if not sources:
                yield number, values
                continue
            yield (
                number,
                tuple(
                    Formula(value) if _is_formula(source, value) else value
                    for value, source in zip(values, sources, strict=False)
                ),
            )
    except FileRejected:
        raise
    except Exception as error:  # a damaged sheet fails only while it is read
        raise _damaged(error) from None


def _given(page: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows that are written in a sheet, each with its number; a gap between two makes none.

    Raises FileRejected where rows or cells are not in their order: openpyxl's own reading would
    leave out the later ones and say nothing.
    """
    from openpyxl.worksheet._reader import WorkSheetParser

    book, last = page.parent, 0
    with page._get_source() as source:
        parser = WorkSheetParser(
            WithoutTrailingCells(source),
            page._shared_strings,
            data_only=book.data_only,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, cells in parser.parse():
            values: list[Any] = []
            for cell in cells:
                missing = cell["column"] - len(values) - 1
                if missing < 0 or cell["row"] != number:
                    raise _disordered(number)
                values += [None] * missing
                values.append(cell["value"])
            if number <= last:
                raise _disordered(number)
            last = number
            yield number, tuple(values)


def _disordered(number: int) -> FileRejected:
    return FileRejected(
        f"a planilha está estragada: as linhas ou células não estão em ordem (linha {number}); "
        "peça ao credor que a abra, salve e envie novamente"
    )


def _is_formula(source: Any, value: Any) -> bool:
    """A text that begins with ``=`` is the same in both readings; a formula is not its value."""
    if isinstance(source, str):
        return source.startswith("=") and source != value
    return type(source).__name__ in {"ArrayFormula", "DataTableFormula"}


def _damaged(error: Exception) -> FileRejected:
    return FileRejected(
        f"a planilha está estragada ({type(error).__name__}): peça ao credor que a envie novamente"
    )
