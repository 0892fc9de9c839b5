"""OpenDocument spreadsheets, read row by row from their XML in bounded memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, iterparse

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.sheet_cells import MAX_COLUMNS, MAX_ROWS, Formula
from zanc_pipeline.reception.readers.unzip import check_sizes

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_CELLS = {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}

MAX_REPEATED_CELLS = 1_000_000
"""A row or cell written once may stand for many; for so many it is no portfolio but a bomb."""

_MANY = 100
"""Equal cells beside one another are written once; up to so many are a table like any other."""

MIMETYPE = b"application/vnd.oasis.opendocument.spreadsheet"


def ods_rows(path: Path, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Every row of a sheet (the first without a name) with its number from 1.

    Raises FileRejected for no such sheet, damaged XML, a password and absurd sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive)
            if b"manifest:encryption-data" in archive.read("META-INF/manifest.xml")[:1_000_000]:
                raise FileRejected("a planilha tem senha: peça ao credor que a envie sem senha")
            with archive.open("content.xml") as head:
                if b"<!DOCTYPE" in head.read(4096):
                    raise FileRejected("a planilha traz um DOCTYPE, o que não é normal: recusada")
            with archive.open("content.xml") as content:
                yield from _rows(content, sheet)
    except FileRejected:
        raise
    except Exception as error:  # zip, deflate and XML let exceptions of many kinds out
        raise FileRejected(
            f"a planilha está estragada ({type(error).__name__}): peça ao credor que a envie "
            "novamente"
        ) from None


def _rows(content: Any, sheet: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    parents: list[Element] = []
    names: list[str] = []
    depth_of_table = 0
    number = copies = 0
    # Entities can not be declared without a DOCTYPE, which was refused.
    for event, element in iterparse(content, events=("start", "end")):  # noqa: S314
        if event == "start":
            parents.append(element)
            if element.tag == f"{_TABLE}table" and not depth_of_table:
                names.append(element.get(f"{_TABLE}name", ""))
                if sheet is None or names[-1] == sheet:
                    depth_of_table = len(parents)
            continue
        parents.pop()
        if element.tag == f"{_TABLE}table" and len(parents) + 1 == depth_of_table:
            return
        if element.tag != f"{_TABLE}table-row":
            continue
        repeated = int(element.get(f"{_TABLE}number-rows-repeated", "1"))
        if repeated < 1:
            raise ValueError("a row that stands for none")
        if depth_of_table:
            values = _values(element)
            if values:
                if number + repeated > MAX_ROWS:
                    raise FileRejected(
                        f"a planilha diz ter mais de {MAX_ROWS} linhas, o que não é normal: não "
                        "foi lida; confirme com o credor o que ele enviou"
                    )
                copies += (repeated - 1) * len(values) + _copied(element)
                if copies > MAX_REPEATED_CELLS:
                    raise FileRejected(
                        f"a planilha repete linhas ou células mais de {MAX_REPEATED_CELLS} vezes "
                        f"(até a linha {number + 1}), o que não é normal: não foi lida; confirme "
                        "com o credor o que ele enviou"
                    )
                for extra in range(repeated):
                    yield number + extra + 1, values
            number += repeated
        element.clear()
        if parents:
            parents[-1].remove(element)
    if sheet is not None and not depth_of_table:
        raise FileRejected(
            f"a planilha não tem a aba '{sheet}' (tem: {', '.join(names)}): confirme com o credor "
            "se o layout mudou"
        )


def _copied(row: Element) -> int:
    """The copies that long runs of one filled cell stand for."""
    runs = (
        int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        for cell in row
        if cell.tag in _CELLS and len(cell)
    )
    return sum(run for run in runs if run > _MANY)


def _values(row: Element) -> tuple[Any, ...]:
    """The cells of a row, without the empty ones at its end."""
    values: list[Any] = []
    waiting = 0
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        if repeated < 1:
            raise ValueError("a cell that stands for none")
        value = _value(cell)
        if value is None or value == "":
            waiting += repeated
            continue
        if len(values) + waiting + repeated > MAX_COLUMNS:
            raise FileRejected(
                f"a planilha diz ter mais de {MAX_COLUMNS} colunas, o que não é normal: não foi "
                "lida; confirme com o credor o que ele enviou"
            )
        values += [None] * waiting + [value] * repeated
        waiting = 0
    return tuple(values)


def _value(cell: Element) -> Any:
    value = _plain(cell)
    return Formula(value) if cell.get(f"{_TABLE}formula") is not None else value


def _plain(cell: Element) -> Any:
    kind = cell.get(f"{_OFFICE}value-type", "")
    if kind in {"float", "currency", "percentage"}:
        try:
            value = Decimal(cell.get(f"{_OFFICE}value", ""))
        except InvalidOperation:
            return _text(cell)
        return value if value.is_finite() else _text(cell)
    if kind == "date":
        written = cell.get(f"{_OFFICE}date-value", "")
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            return _text(cell)
        return moment if "T" in written else date(moment.year, moment.month, moment.day)
    if kind == "boolean":
        return cell.get(f"{_OFFICE}boolean-value") == "true"
    return _text(cell) or None


def _text(cell: Element) -> str:
    lines = [_inner(paragraph) for paragraph in cell.findall(f"{_TEXT}p")]
    return "\n".join(lines)


def _inner(element: Element) -> str:
    text = element.text or ""
    for child in element:
        if child.tag == f"{_TEXT}s":
            text += " " * min(int(child.get(f"{_TEXT}c", "1")), 1000)
        elif child.tag == f"{_TEXT}tab":
            text += "\t"
        elif child.tag == f"{_TEXT}line-break":
            text += "\n"
        elif child.tag != f"{_OFFICE}annotation":
            text += _inner(child)
        text += child.tail or ""
    return text
