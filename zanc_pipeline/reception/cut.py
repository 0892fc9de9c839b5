"""Lines cut into records of cells, whatever the quotes do.

A well-formed record is cut by the ``csv`` module. In any other, the cheapest reading that gives
the expected number of cells is taken: a stray quote is then a character of its own cell, costs its
own line only, and never swallows the following ones.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from zanc_pipeline.reception.textlines import is_blank, without_end

MAX_JOINED_LINES = 200
MAX_JOINED_CHARS = 256 * 1024
MAX_STATES = 60_000
PATIENCE = 50  # joins that failed before the search ahead is cut short
MAX_JOINTS = 40  # quotes of one record beside which a separator may be gone
_CLOSINGS = 6
_NEAR = 2  # a joined record may still have so many cells more or less than usual
_OPEN = 3.0  # the cost of a quote that opens a cell and is taken as its text
_NARROW = 3  # up to so many cells, a line of a quoted text may look like a whole row by chance

_Path: TypeAlias = "tuple[_Path, str] | None"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How a text is cut. An empty ``delimiter`` means a single column.

    ``escape`` takes the meaning of the quote after it; ``width`` is the usual number of cells,
    0 while it is not known.
    """

    delimiter: str
    quote: str
    width: int
    escape: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Cells, the number of the first line (from 1), its text, and what was seen around it."""

    cells: list[str]
    line: int
    text: str
    after_blank: bool = False
    end: str = "\n"
    mended: bool = False


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """Every line that is not blank, as or within a record, in order."""
    ahead = _Ahead(lines)
    number, failures, blank = 1, 0, False
    while (raw := ahead.take()) is not None:
        if is_blank(raw) and not (dialect.delimiter.isspace() and dialect.delimiter in raw):
            number, blank = number + 1, True
            continue
        text = without_end(raw)
        taken, mended = 1, False
        cells = strict(text, dialect)
        if cells is None:
            limit = MAX_JOINED_LINES if failures < PATIENCE else 3
            cells, taken, text = _join(raw, ahead, dialect, limit)
            if cells is None:
                failures += 1
                cells, mended = mend(text, dialect), True
            else:
                failures = max(0, failures - 5)
            ahead.skip(taken - 1)
        yield Record(
            cells=cells,
            line=number,
            text=text,
            after_blank=blank,
            end=raw[len(raw.rstrip("\r\n")) :],
            mended=mended,
        )
        number, blank = number + taken, False


def strict(text: str, dialect: Dialect) -> list[str] | None:
    """The cells of a record whose quotes are in order, else None."""
    delimiter, quote, escape = dialect.delimiter, dialect.quote, dialect.escape
    if not quote or quote not in text:
        return _split(text, delimiter, escape)
    single = len(delimiter) == 1 or (not delimiter and "\x00" not in text)
    if not single or (escape and escape in text) or "\r" in text:
        return _cut(text, delimiter, quote, escape)
    try:
        rows = list(csv.reader([text], delimiter=delimiter or "\x00", quotechar=quote, strict=True))
    except (csv.Error, ValueError):
        apart = f"{quote} " in text  # blanks after a closing quote
        return _cut(text, delimiter, quote, escape) if apart or len(text) > 100_000 else None
    return rows[0] if len(rows) == 1 else None


def mend(text: str, dialect: Dialect) -> list[str]:
    """The cells of a record whose quotes are not in order: of the usual width if possible."""
    if dialect.width:
        found, _ = cheapest(text, dialect)
        if found is not None:
            return found
    if not dialect.delimiter:
        return [text]
    lenient = _cut(text, dialect.delimiter, dialect.quote, dialect.escape, lenient=True)
    return lenient if lenient is not None else _split(text, dialect.delimiter, dialect.escape)


def cheapest(text: str, dialect: Dialect) -> tuple[list[str] | None, float]:
    """The reading of ``text`` in exactly ``width`` cells that supposes the fewest wrong quotes.

    Its cost is below ``_OPEN`` when each quote that opens a cell also closes it.
    """
    delimiter, width = dialect.delimiter, dialect.width
    if not delimiter:
        return [text], 0.0
    if (text.count(delimiter) + 1) * width > MAX_STATES:
        return None, 0.0
    done = len(text) + len(delimiter)
    states: dict[int, tuple[float, _Path]] = {0: (0.0, None)}
    for _ in range(width):
        following: dict[int, tuple[float, _Path]] = {}
        for start, (cost, path) in states.items():
            if start == done:
                continue
            for cell, end, extra in _readings(text, start, dialect):
                place = end + len(delimiter)
                if place not in following or following[place][0] > cost + extra:
                    following[place] = (cost + extra, (path, cell))
        states = following
    if done not in states:
        return None, 0.0
    cells: list[str] = []
    total, path = states[done]
    while path is not None:
        path, cell = path
        cells.append(cell)
    return cells[::-1], total


def with_quotes(text: str, dialect: Dialect) -> tuple[list[str], list[bool]] | None:
    """The cells of a record and whether each stands in quotes; None when the quotes are wrong."""
    flags: list[bool] = []
    cells = _cut(text, dialect.delimiter, dialect.quote, dialect.escape, flags=flags)
    return None if cells is None else (cells, flags)


def joints(text: str, dialect: Dialect) -> Iterator[list[str]]:
    """The readings in ``width`` cells with one more separator at a quote: before it or after it.

    A quoted cell that touches its neighbour (``a"b, c",d``) shows where the separator is gone.
    """
    delimiter, quote = dialect.delimiter, dialect.quote
    if not quote or not delimiter or text.count(quote) > MAX_JOINTS:
        return
    places = [match.start() for match in re.finditer(re.escape(quote), text)]
    for place in sorted({*places, *(place + len(quote) for place in places)}):
        cells = strict(text[:place] + delimiter + text[place:], dialect)
        if cells is not None and len(cells) == dialect.width:
            yield cells


def unescaped(text: str, dialect: Dialect) -> str:
    """The content of a quoted cell."""
    quote, escape = dialect.quote, dialect.escape
    if escape and escape in text:
        held = text.replace(escape * 2, "\x00\x00").replace(escape + quote, quote)
        return held.replace("\x00\x00", escape)
    return text.replace(quote * 2, quote)


class _Ahead:
    """Lines with a look ahead."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._held: list[str] = []

    def take(self) -> str | None:
        return self._held.pop(0) if self._held else next(self._lines, None)

    def peek(self, index: int) -> str | None:
        while len(self._held) <= index:
            line = next(self._lines, None)
            if line is None:
                return None
            self._held.append(line)
        return self._held[index]

    def skip(self, count: int) -> None:
        del self._held[:count]


def _join(
    raw: str, ahead: _Ahead, dialect: Dialect, limit: int
) -> tuple[list[str] | None, int, str]:
    """Cells of a record that goes over lines, how many it takes, its text; None when it does not.

    Where the first line can stand alone and lines that would be swallowed are whole rows, the
    quote is a stray one.
    """
    first = without_end(raw)
    mended, cost = cheapest(first, dialect) if dialect.width > 1 else (None, 0.0)
    alone = mended is not None
    narrow = dialect.width <= _NARROW
    bearable = 0 if not narrow or cost < _OPEN else 1 if alone else limit
    pieces, size, whole = [raw], len(raw), 0
    poor: tuple[list[str], int, str] | None = None  # a reading that supposes wrong quotes
    for taken in range(2, limit + 1):
        line = ahead.peek(taken - 2)
        if line is None or size > MAX_JOINED_CHARS or whole > bearable or (poor and whole):
            break
        pieces.append(line)
        size += len(line)
        content = without_end(line)
        closing = _may_close(content, dialect)
        is_row = _is_whole(content, dialect)
        if closing and not (is_row and not narrow):
            text = without_end("".join(pieces))
            cells = strict(text, dialect)
            if cells is None and dialect.width and taken <= 6 and not alone and not poor:
                supposed, _ = cheapest(text, dialect)
                poor = (supposed, taken, text) if supposed is not None else None
            if cells is not None:
                near = abs(len(cells) - dialect.width) <= _NEAR and not whole and not alone
                if dialect.width in {0, len(cells)} or near:
                    return cells, taken, text
                if len(cells) > dialect.width:
                    break
        whole += is_row
    return poor or (None, 1, first)


def _is_whole(line: str, dialect: Dialect) -> bool:
    """Whether a line is a row by itself, with no quote that closes what it did not open."""
    cells = strict(line, dialect)
    if cells is None or len(cells) != dialect.width:
        return False
    return not any(cell.endswith(dialect.quote) for cell in cells)


def _may_close(line: str, dialect: Dialect) -> bool:
    return line.endswith(dialect.quote) or (dialect.quote + dialect.delimiter) in line


def _readings(text: str, start: int, dialect: Dialect) -> Iterator[tuple[str, int, float]]:
    """Ways to read the cell at ``start``: its text, where it ends, what is wrong with it."""
    delimiter, quote = dialect.delimiter, dialect.quote
    end = _end_of_plain(text, start, delimiter, dialect.escape)
    plain = text[start:end]
    if not quote or not plain.startswith(quote):
        wrong = 0.2 * plain.count(quote) if quote else 0.0
        yield _plain(plain, delimiter, dialect.escape), end, wrong
        return
    yield plain, end, _OPEN
    place, found = start + len(quote), 0
    while found < _CLOSINGS:
        place = text.find(quote, place)
        if place < 0:
            return
        after = place + len(quote)
        if after == len(text) or text.startswith(delimiter, after):
            content = text[start + len(quote) : place]
            found += 1
            wrong = _unpaired(content, dialect)
            yield unescaped(content, dialect), after, wrong + 0.01 * content.count(delimiter)
        place = after


def _unpaired(content: str, dialect: Dialect) -> int:
    quote, escape = dialect.quote, dialect.escape
    if escape:
        content = content.replace(escape * 2, "").replace(escape + quote, "")
        return content.count(quote) + (2 if content.endswith(escape) else 0)
    return content.replace(quote * 2, "").count(quote)


def _cut(
    text: str,
    delimiter: str,
    quote: str,
    escape: str,
    *,
    lenient: bool = False,
    flags: list[bool] | None = None,
) -> list[str] | None:
    """The cells of a record with separators of any length; None when the quotes are wrong.

    When ``lenient``, a quote that is not before a separator belongs to the text. ``flags`` get,
    for each cell, whether it stands in quotes.
    """
    dialect = Dialect(delimiter=delimiter, quote=quote, escape=escape, width=0)
    cells: list[str] = []
    place = 0
    while True:
        quoted = bool(quote) and text.startswith(quote, place)
        if flags is not None:
            flags.append(quoted)
        if not quoted:
            end = _end_of_plain(text, place, delimiter, escape)
            cells.append(_plain(text[place:end], delimiter, escape))
            if end == len(text):
                return cells
            place = end + len(delimiter)
            continue
        end = _closing(text, place + len(quote), delimiter, quote, escape, lenient)
        if end < 0:
            return None
        cells.append(unescaped(text[place + len(quote) : end], dialect))
        place = _after_blanks(text, end + len(quote), delimiter)
        if place == len(text):
            return cells
        place += len(delimiter)


def _split(text: str, delimiter: str, escape: str) -> list[str]:
    """The cells of a record without quotes."""
    if not delimiter:
        return [text]
    if not escape or escape not in text:
        return text.split(delimiter)
    cells: list[str] = []
    place = 0
    while True:
        end = _end_of_plain(text, place, delimiter, escape)
        cells.append(_plain(text[place:end], delimiter, escape))
        if end == len(text):
            return cells
        place = end + len(delimiter)


def _end_of_plain(text: str, start: int, delimiter: str, escape: str) -> int:
    """Where the cell without quotes that begins at ``start`` ends."""
    place = start
    while delimiter and (end := text.find(delimiter, place)) >= 0:
        head = text[start:end]
        if not escape or (len(head) - len(head.rstrip(escape))) % 2 == 0:
            return end
        place = end + len(delimiter)
    return len(text)


def _plain(cell: str, delimiter: str, escape: str) -> str:
    """The text of a cell without quotes: an escaped separator or escape is itself."""
    if not escape or escape not in cell:
        return cell
    held = cell.replace(escape * 2, "\x00\x00").replace(escape + delimiter, delimiter)
    return held.replace("\x00\x00", escape)


def _after_blanks(text: str, place: int, delimiter: str) -> int:
    """The place after the blanks that only fill a quoted cell up: before a separator or the end."""
    if not text.startswith(" ", place) or delimiter.startswith(" "):
        return place
    end = place
    while text.startswith(" ", end):
        end += 1
    return end if end == len(text) or (delimiter and text.startswith(delimiter, end)) else place


def _closing(text: str, place: int, delimiter: str, quote: str, escape: str, lenient: bool) -> int:
    while True:
        place = text.find(quote, place)
        if place < 0:
            return -1
        head = text[max(0, place - 64) : place] if escape else ""
        escapes = len(head) - len(head.rstrip(escape)) if escape else 0
        after = place + len(quote)
        next_to = _after_blanks(text, after, delimiter)
        if escapes % 2:
            place = after
        elif not escape and text.startswith(quote, after):
            place = after + len(quote)
        elif next_to == len(text) or (delimiter and text.startswith(delimiter, next_to)):
            return place
        elif lenient:
            place = after
        else:
            return -1
