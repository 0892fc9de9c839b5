"""A file without its layout: the table in it, or its lines as bytes, from a bounded part of it."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zanc_pipeline.reception.cut import Dialect, Record, records
from zanc_pipeline.reception.detect import QUOTES, detect, usual_width
from zanc_pipeline.reception.drift.traits import TESTS
from zanc_pipeline.reception.layout import ColumnField, DelimitedLayout, Layout, SheetLayout
from zanc_pipeline.reception.readers.spreadsheet import cell_text, sheet_rows
from zanc_pipeline.reception.readers.unzip import is_workbook, unzipped
from zanc_pipeline.reception.textlines import decode, to_lines

EXCERPT_BYTES = 32 * 1024 * 1024
"""As texts cell by cell it takes some fifteen times as much: half a gigabyte at most."""

HEAD_BYTES = 1024 * 1024
"""What is enough to see the titles and the width of a table."""

EXCERPT_ROWS = 150_000
_HEAD_ROWS = 20
_SAMPLE_ROWS = 200
_TESTS = tuple(name for name in TESTS if name not in {"uf", "integer"})


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Columns of texts. ``changes`` are the layout's keys that say how the file is written."""

    titles: list[str] | None
    rows: list[list[Any]]
    changes: dict[str, Any]
    ragged: float = 0.0
    """Share of the lines that have another number of cells."""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0]) if self.rows else 0

    def texts(self, column: int, spec: ColumnField | None = None) -> list[str]:
        """One column as a field would see it."""
        cells = [row[column] for row in self.rows]
        if all(isinstance(cell, str) for cell in cells[:50]) and all(
            isinstance(cell, str) for cell in cells
        ):
            return [cell.strip(" \t") for cell in cells]
        return [cell_text(cell, spec).strip(" \t") for cell in cells]


@dataclass(frozen=True, kw_only=True)
class RawLines:
    """Lines of one size as they are, without their ends, and how many have another size."""

    lines: list[bytes]
    size: int
    others: list[bytes] = field(default_factory=list)


@contextmanager
def inner_file(layout: Layout, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The file that holds the rows, out of its zip or gzip, and the keys that say so."""
    if zipfile.is_zipfile(path) and not is_workbook(path):
        with unzipped(path) as inner:
            yield inner, {} if layout.zipped else {"zip": "sim"}
        return
    yield path, {"zip": None} if layout.zipped else {}


def excerpt(path: Path, size: int = EXCERPT_BYTES) -> bytes:
    """The first ``size`` bytes of a file, cut at a line end; opened when it is a gzip."""
    with path.open("rb") as file:
        magic = file.read(2)
    opener: Callable[..., Any] = gzip.open if magic == b"\x1f\x8b" else open
    with opener(path, "rb") as file:
        data: bytes = file.read(size)
    if len(data) == size:
        data = data[: data.rfind(b"\n") + 1]
    return data


def raw_table(
    layout: DelimitedLayout | SheetLayout, path: Path, size: int = EXCERPT_BYTES
) -> RawTable | None:
    """The table in the first ``size`` bytes of a delimited file or in a worksheet, if any."""
    if is_workbook(path):
        return _sheet(layout, path)
    return _text(layout, excerpt(path, size))


def raw_lines(data: bytes) -> RawLines | None:
    """The lines of most frequent size; None when there is no usual size."""
    lines = [line.rstrip(b"\r") for line in data.split(b"\n")]
    lines = [line for line in lines if line.strip(b" \t\x1a\x00")]
    if not lines:
        return None
    size, count = Counter(map(len, lines)).most_common(1)[0]
    if count < 0.9 * len(lines) - 2:
        return None
    return RawLines(
        lines=[line for line in lines if len(line) == size],
        size=size,
        others=[line for line in lines if len(line) != size],
    )


def _text(layout: DelimitedLayout | SheetLayout, data: bytes) -> RawTable | None:
    encoding = _encoding(layout, data)
    if encoding is None:
        return None
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    lines = [line if line.endswith("\n") else line + "\n" for line in to_lines(text)]
    dialect = _dialect(layout, lines)
    if not dialect.delimiter:
        return None
    found: list[Record] = []
    for record in records(lines, dialect):
        found.append(record)
        if len(found) >= EXCERPT_ROWS:
            break
    if len(found) < 2:
        return None
    changes: dict[str, Any] = {
        "formato": "delimitado",
        "codificacao": encoding,
        "separador": dialect.delimiter,
    }
    if dialect.quote and dialect.quote != getattr(layout, "quote", '"'):
        changes["aspas"] = dialect.quote
    if getattr(layout, "ends_with_newline", True) and not data.endswith((b"\n", b"\x1a")):
        changes["termina_com_quebra_de_linha"] = "não"
    return _titled(found, changes)


def _encoding(layout: Layout, data: bytes) -> str | None:
    told: str = getattr(layout, "encoding", "utf-8")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:200].count(b"\x00") > 20:
        return None
    if data.isascii():
        return told
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    if told in {"latin-1", "cp1252"}:
        return told
    found = decode(data)[1]
    return found if found in {"latin-1", "cp1252"} else None


def _dialect(layout: Layout, lines: Sequence[str]) -> Dialect:
    if isinstance(layout, DelimitedLayout):
        own = Dialect(delimiter=layout.delimiter, quote=layout.quote, width=0)
        rows = [record.cells for record in records(lines[:_SAMPLE_ROWS], own)]
        width = usual_width(rows) if rows else 1
        regular = sum(len(row) == width for row in rows)
        if width > 2 and regular >= 0.8 * len(rows):
            return replace(own, quote=_other_quote(rows) or own.quote)
    return detect(lines)


def _other_quote(rows: Sequence[Sequence[str]]) -> str:
    """The sign that stands around nearly every cell and is still there after cutting."""
    cells = [cell.strip() for row in rows for cell in row if cell.strip()]
    for quote in QUOTES:
        around = sum(len(cell) > 1 and cell[0] == cell[-1] == quote for cell in cells)
        if around > 0.8 * len(cells):
            return quote
    return ""


def _titled(found: Sequence[Record], changes: dict[str, Any]) -> RawTable | None:
    width = usual_width([record.cells for record in found[: 4 * _SAMPLE_ROWS]])
    body = [record.cells for record in found[1 : 2 * _SAMPLE_ROWS] if len(record.cells) == width]
    if width < 2 or not body:
        return None
    place = title_row([record.cells for record in found[:_HEAD_ROWS]], body, width)
    rows = [record.cells for record in found]
    if place is None:
        first = next(at for at, row in enumerate(rows) if len(row) == width)
        titles, before, rows = None, found[first].line - 1, rows[first:]
        changes["cabecalho"] = "não"
    else:
        titles = [cell.strip() for cell in rows[place]]
        before, rows = found[place].line - 1, rows[place + 1 :]
    if before:
        changes["linhas_antes"] = before
    footer = 0
    while rows and len(rows[-1]) != width and footer < 5:
        rows, footer = rows[:-1], footer + 1
    if footer:
        changes["linhas_depois"] = footer
    regular = [row for row in rows if len(row) == width]
    if not regular:
        return None
    return RawTable(
        titles=titles, rows=regular, changes=changes, ragged=1 - len(regular) / len(rows)
    )


def title_row(
    head: Sequence[Sequence[str]], body: Sequence[Sequence[str]], width: int
) -> int | None:
    """Which of the first rows holds the titles: the last one that is no row of values.

    A column of values is one whose texts nearly all pass one test; titles pass none.
    """
    tests = [_typed_by([row[at].strip() for row in body[:_SAMPLE_ROWS]]) for at in range(width)]
    typed = [(at, TESTS[name]) for at, name in enumerate(tests) if name]
    if not typed:
        return 0 if head and len(head[0]) == width else None
    found = None
    for place, row in enumerate(head):
        if len(row) != width:
            continue
        cells = [(row[at].strip(), test) for at, test in typed]
        odd = sum(bool(cell) and not test(cell) for cell, test in cells)
        words = sum(bool(cell.strip()) and not cell.strip()[0].isdigit() for cell in row)
        if odd >= 0.6 * len(cells) and words >= 0.6 * width:
            found = place
        elif sum(bool(cell) and bool(test(cell)) for cell, test in cells) >= 0.3 * len(cells):
            break  # a row of values: the titles, if any, came before
    return found


def _typed_by(texts: Sequence[str]) -> str | None:
    filled = [text for text in texts if text]
    if len(filled) < 3:
        return None
    for name in _TESTS:
        if sum(bool(TESTS[name](text)) for text in filled) >= 0.8 * len(filled):
            return name
    return None


def _sheet(layout: DelimitedLayout | SheetLayout, path: Path) -> RawTable | None:
    from openpyxl import load_workbook

    with path.open("rb") as content:
        names = list(load_workbook(content, read_only=True).sheetnames)
    own = layout.sheet if isinstance(layout, SheetLayout) else None
    sheet = own if own in names else names[0]
    found = [list(values) for _, values in sheet_rows(path, sheet)]
    if len(found) < 2:
        return None
    width = max(len(row) for row in found[:50])
    while width > 1 and all(len(row) < width or row[width - 1] in (None, "") for row in found):
        width -= 1
    full = [[*row, *[None] * width][:width] for row in found]
    texts = [[cell_text(cell, None) for cell in row] for row in full[: 2 * _SAMPLE_ROWS]]
    place = title_row(texts[:_HEAD_ROWS], texts[1:], width)
    changes: dict[str, Any] = {"formato": "planilha"}
    if sheet != own and not (own is None and sheet == names[0]):
        changes["aba"] = sheet
    if place is None:
        changes["cabecalho"] = "não"
        return RawTable(titles=None, rows=full, changes=changes)
    if place:
        changes["linhas_antes"] = place
    return RawTable(
        titles=[text.strip() for text in texts[place]], rows=full[place + 1 :], changes=changes
    )
