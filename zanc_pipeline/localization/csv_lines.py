"""Where a row of a CSV file stands, and why a file cannot be read: asked only when it is wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path


def line_of(path: Path, row: int) -> int:
    """The line, from 1, on which the row begins: 0 is the first after the header.

    Lines with nothing on them are no rows; a quoted value may go over several lines.
    """
    for number, (line, _) in enumerate(_rows(path), -1):
        if number == row:
            return line
    return row + 2


def broken(path: Path) -> str | None:
    """The first line that is not of the header's width or not UTF-8, in words; None: there is none.

    Nothing of what the line holds is told.
    """
    place = _undecodable(path)
    if place is not None:
        return f"line {place}: not UTF-8, save the file in UTF-8"
    width = None
    try:
        for line, fields in _rows(path):
            width = len(fields) if width is None else width
            if len(fields) != width:
                return (
                    f"line {line}: {len(fields)} values, but the header names {width} columns "
                    "(a comma within a value needs quotes, and a quote its pair)"
                )
    except csv.Error as error:
        return str(error)
    return None if width else "the file is empty: expected a header line and rows"


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        reader, line = csv.reader(text), 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1


def _undecodable(path: Path) -> int | None:
    with path.open("rb") as content:
        for number, line in enumerate(content, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None
