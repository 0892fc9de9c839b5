"""The spreadsheets of Excel 2 to 2003 (BIFF), with the cells that are formulas marked as such."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.sheet_cells import Formula

MAX_BYTES = 64 * 1024 * 1024
"""A sheet of this format ends at 65,536 rows × 256 columns; it is read whole into memory."""

_MAGIC = (
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # the container of BIFF 5 and 8
    b"\x09\x00\x04\x00",  # BIFF 2, 3 and 4: the sheet itself
    b"\x09\x02\x06\x00",
    b"\x09\x04\x06\x00",
)
_FORMULAS = frozenset({0x0006, 0x0206, 0x0406})
_BEGIN = frozenset({0x0009, 0x0209, 0x0409, 0x0809})
_END = 0x000A


def is_xls(path: Path) -> bool:
    """Whether a file begins as these spreadsheets do."""
    with path.open("rb") as file:
        return file.read(8).startswith(_MAGIC)


def xls_names(path: Path) -> list[str]:
    """The names of the sheets. Raises FileRejected for a file that can not be read."""
    import xlrd

    try:
        with xlrd.open_workbook(str(path), on_demand=True, logfile=io.StringIO()) as book:
            return [str(name) for name in book.sheet_names()]
    except Exception as error:
        raise _unreadable(error) from None


def xls_rows(path: Path, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Every row of a sheet (the first without a name) with its number from 1.

    Raises FileRejected for no such sheet, a password, a damaged or an absurdly large file.
    """
    import xlrd

    if path.stat().st_size > MAX_BYTES:
        raise FileRejected(
            f"a planilha .xls tem mais de {MAX_BYTES // 1024**2} MB, o que não é normal: peça ao "
            "credor que a salve como .xlsx"
        )
    try:
        with xlrd.open_workbook(
            str(path), on_demand=True, ragged_rows=True, logfile=io.StringIO()
        ) as book:
            names = book.sheet_names()
            if sheet is not None and sheet not in names:
                raise FileRejected(
                    f"a planilha não tem a aba '{sheet}' (tem: {', '.join(names)}): confirme com o "
                    "credor se o layout mudou"
                )
            place = names.index(sheet) if sheet is not None else 0
            formulas = _formulas(_stream(book, path), book._sh_abs_posn[place])
            page = book.sheet_by_index(place)
            for row in range(page.nrows):
                yield (
                    row + 1,
                    tuple(
                        Formula(value) if (row, column) in formulas else value
                        for column, value in enumerate(_values(page, row, book.datemode))
                    ),
                )
    except FileRejected:
        raise
    except Exception as error:  # a damaged workbook lets any exception of its parser out
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> FileRejected:
    said = "tem senha" if "encrypted" in str(error).lower() else "está estragada"
    return FileRejected(
        f"a planilha .xls {said} ou não se pode ler ({type(error).__name__}): peça ao credor que a "
        "salve como .xlsx, sem senha"
    )


def _values(page: Any, row: int, datemode: int) -> Iterator[Any]:
    import xlrd

    for kind, value in zip(page.row_types(row), page.row_values(row), strict=True):
        if kind == xlrd.XL_CELL_DATE:
            yield xlrd.xldate_as_datetime(value, datemode)
        elif kind == xlrd.XL_CELL_BOOLEAN:
            yield bool(value)
        elif kind == xlrd.XL_CELL_ERROR:
            yield xlrd.error_text_from_code.get(value, "#N/A")
        else:
            yield value if value != "" else None


def _stream(book: Any, path: Path) -> bytes | Any:
    """The records of a workbook; BIFF 2 to 4 has no container, and the file is the records."""
    return path.read_bytes() if book.biff_version < 50 else book.mem


def _formulas(data: bytes | Any, position: int) -> set[tuple[int, int]]:
    """(Row, column), from 0, of the formulas of a sheet: the reader gives only their values."""
    found: set[tuple[int, int]] = set()
    depth = 0
    while position + 4 <= len(data):
        code, size = struct.unpack_from("<HH", data, position)
        if code in _BEGIN:
            depth += 1
        elif code == _END:
            depth -= 1
            if depth <= 0:
                break
        elif code in _FORMULAS and size >= 4:
            found.add(struct.unpack_from("<HH", data, position + 4))
        position += 4 + size
    return found
