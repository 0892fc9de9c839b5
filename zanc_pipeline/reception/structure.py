"""Where the table of a file is: preamble, header of one or several rows, rows, footer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from zanc_pipeline.reception.cut import Dialect, Record
from zanc_pipeline.reception.profile import Column, Profile
from zanc_pipeline.reception.repairs import (
    MAX_REPAIRS,
    Findings,
    other_separator,
    quoted_cells,
    repaired,
    unjoined,
)
from zanc_pipeline.reception.values import CODE, EMPTY, NUMBER, TYPED, WORDS, kind, shape

MAX_HEADER_ROWS = 4
MAX_HELD = 40
MAX_FOOTER = 20
MAX_COLUMNS_LEARNT = 5_000
MAX_CELLS_LEARNT = 100_000
_TABLE_ROWS = 3  # rows of one other width in a row: another table, not damaged rows
_YEAR = re.compile(r"(19|20)\d\d")
_UNIT = re.compile(r"\(.{1,30}\)|\[.{1,30}\]")
_NOTE = re.compile(
    r"(fontes?|notas?|obs|observa\w+|legenda|gerado|emitido|extra[ií]do|total|fim|sources?|notes?|"
    r"generated|end|rodap\w+|elabora\w+|dispon[ií]vel|atualiza\w+)\b.*|[*#©(\[].*|\(\d+\).*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a file begins: lines before the table, titles (none when there is no header)."""

    preamble: list[Record]
    titles: list[str]
    header_rows: int
    profile: Profile

    @property
    def skipped(self) -> int:
        return len(self.preamble) + self.header_rows


def find_start(head: Sequence[Record], dialect: Dialect) -> Start:
    """Preamble, header and what the columns hold, from the first records of a file."""
    width = dialect.width
    first = _first_row(head, width)
    if first >= len(head):
        return Start(preamble=[], titles=[], header_rows=0, profile=_learnt(head, width))
    below = [record for record in head[first:] if len(record.cells) == width]
    rest = below[max(1, min(MAX_HEADER_ROWS, len(below) // 2)) :]
    again = [record for record in rest if record.cells != head[first].cells]  # one on each page
    profile = _learnt(again, width)
    first, row = _damaged_header(head, first, dialect, profile)
    if not is_header(row, profile, head[first + 1 :]):
        # Lines are left out only above a header that proves to be one.
        return Start(preamble=[], titles=[], header_rows=0, profile=_learnt(head[first:], width))
    stack = [row]
    place = first + 1
    while (
        place + 1 < len(head)
        and len(stack) < MAX_HEADER_ROWS
        and _continues_header(head[place].cells, profile)
    ):
        stack.append(head[place].cells)
        place += 1
    while first and _is_group_row(head[first - 1], row, head[first]) and len(stack) < 4:
        first -= 1
        stack.insert(0, head[first].cells)
    return Start(
        preamble=list(head[:first]),
        titles=_joined(stack),
        header_rows=place - first,
        profile=_learnt(head[place:], width),
    )


def _learnt(rows: Sequence[Record], width: int) -> Profile:
    """What the regular rows hold; one with a single filled cell is a note or a blank."""
    if width > MAX_COLUMNS_LEARNT:
        return Profile([], 0)
    regular = [record.cells for record in rows if len(record.cells) == width]
    filled = [row for row in regular if width < 3 or _filled(row) > 1]
    return Profile(filled[: max(10, MAX_CELLS_LEARNT // width)], width)


def is_header(row: Sequence[str], profile: Profile, following: Sequence[Record]) -> bool:
    """Whether a row holds titles, by how it differs from the columns below it."""
    cells = [cell.strip() for cell in row]
    named = [cell for cell in cells if cell]
    if len(named) < max(1, len(cells) * 0.4):
        return False
    score = 0.4 if len({cell.lower() for cell in named}) == len(named) else -1.0
    years = _year_titles(cells)
    for place, cell in enumerate(cells):
        if not cell:
            continue
        column = profile.columns[place] if place < len(profile.columns) else None
        score += _titleness(cell, kind(cell), years, column)
    if not profile.rows and not following:
        return not any(kind(cell) in TYPED for cell in named)
    return score > 0


def is_ruler(record: Record) -> bool:
    """Whether a line is drawn: ``----+-----`` under the titles, or around a table."""
    text = record.text
    return ("---" in text or "===" in text) and not text.strip("-=+|: \t")


def body(
    rows: Iterable[Record], dialect: Dialect, profile: Profile, found: Findings
) -> Iterator[list[str]]:
    """The rows of the table, put right where that is unique; the footer is left out and told."""
    held: list[Record] = []
    width = dialect.width
    regular = 0
    for record in rows:
        if len(record.cells) == width and found.repairs <= MAX_REPAIRS:
            cells = unjoined(record, dialect, profile)
            if cells is not None:
                found.repairs += 1
                found.add("realigned_narrow", record.line)
                record = replace(record, cells=cells, mended=False)
        if record.mended:
            found.add("quotes", record.line)
        if len(record.cells) == width and (width < 3 or _filled(record.cells) != 1):
            if held:
                yield from _settled(held, dialect, profile, found)
                held = []
            regular += 1
            yield record.cells
            continue
        held.append(record)
        if len(held) > MAX_HELD:
            yield from _settled(held[:-_TABLE_ROWS], dialect, profile, found)
            held = held[-_TABLE_ROWS:]
    footer = _footer_start(held, width, profile)
    if not regular or len(held) - footer > MAX_FOOTER or found.repairs > MAX_FOOTER:
        footer = len(held)  # such lines are all over the file: they are its rows
    yield from _settled(held[:footer], dialect, profile, found)
    for record in held[footer:]:
        found.add("footer", record.line)


def _settled(
    held: Sequence[Record], dialect: Dialect, profile: Profile, found: Findings
) -> Iterator[list[str]]:
    """Records between regular rows: another table, a row broken in two, or damaged rows."""
    width = dialect.width
    place = 0
    while place < len(held):
        record = held[place]
        size = len(record.cells)
        run = place + 1
        while run < len(held) and len(held[run].cells) == size:
            run += 1
        following = held[place + 1] if place + 1 < len(held) else None
        if size == width:
            yield record.cells
            place += 1
        elif (
            run - place >= _TABLE_ROWS
            and size > 1
            and not _words(held, place, run, dialect, profile)
        ):
            for other in held[place:run]:
                found.add("other_table", other.line)
                yield other.cells
            place = run
        elif following and _broken_in_two(record, following, width, profile):
            joined = record.cells[-1] + record.end + following.cells[0]
            found.add("joined", record.line)
            yield [*record.cells[:-1], joined, *following.cells[1:]]
            place += 2
        else:
            yield repaired(record, dialect, profile, found)
            place += 1


def _words(
    held: Sequence[Record], place: int, run: int, dialect: Dialect, profile: Profile
) -> bool:
    """Whether rows parted by blanks are wider only because their texts have several words."""
    return dialect.delimiter == " " and all(
        profile.realigned(record.cells, " ", quoted=quoted_cells(record, dialect)) is not None
        for record in held[place:run]
    )


def _broken_in_two(record: Record, following: Record, width: int, profile: Profile) -> bool:
    if len(record.cells) + len(following.cells) - 1 != width or following.after_blank:
        return False
    joined = record.cells[-1] + record.end + following.cells[0]
    row = [*record.cells[:-1], joined, *following.cells[1:]]
    edge = len(record.cells) - 1
    return (
        following.line == record.line + 1
        and min(len(record.cells), len(following.cells)) > 1
        and profile.belongs(row)
        and not profile.columns[edge].typed
    )


def _footer_start(held: Sequence[Record], width: int, profile: Profile) -> int:
    """Where the footer begins in the last records: notes of few cells that fit no column."""
    if width < 2:
        return len(held)
    place = len(held)
    while place and _few(held[place - 1], width) and not _in_other_table(held, place - 1):
        place -= 1
    while place < len(held) and not _is_note(held[place], width, profile):
        place += 1
    return place


def _few(record: Record, width: int) -> bool:
    return _filled(record.cells) <= max(1, width // 3) and (
        len(record.cells) != width or width >= 3
    )


def _in_other_table(held: Sequence[Record], place: int) -> bool:
    size = len(held[place].cells)
    low = max(0, place - _TABLE_ROWS + 1)
    return size > 1 and any(
        all(len(record.cells) == size for record in held[start : start + _TABLE_ROWS])
        for start in range(low, place + 1)
        if start + _TABLE_ROWS <= len(held)
    )


def _is_note(record: Record, width: int, profile: Profile) -> bool:
    filled = [cell for cell in record.cells if cell.strip()]
    if not filled:
        return False
    if _NOTE.fullmatch(filled[0].strip()) and (len(filled) == 1 or len(record.cells) != width):
        return True
    if record.after_blank and len(record.cells) != width:
        return True
    typed = profile.columns[0].typed if profile.columns else ""
    return len(filled) == 1 and bool(typed) and kind(filled[0]) not in {typed, EMPTY}


def _first_row(head: Sequence[Record], width: int) -> int:
    """The first record of the table: of the usual width, or of another table before it."""
    for place, record in enumerate(head):
        size = len(record.cells)
        if size == width and (width < 3 or _filled(record.cells) > max(1, width * 0.3)):
            return place
        if size != width and _is_table(head[place:], size):
            return place
    return len(head)


def _is_table(rows: Sequence[Record], size: int) -> bool:
    """Whether rows of one other width begin a table; a few pairs are facts about the file."""
    run = 0
    while run < len(rows) and len(rows[run].cells) == size and _filled(rows[run].cells) > 1:
        run += 1
    return run >= (_TABLE_ROWS if size > 2 else max(5, 0.3 * len(rows))) and size > 1


def _damaged_header(
    head: Sequence[Record], first: int, dialect: Dialect, profile: Profile
) -> tuple[int, list[str]]:
    """The header may be the one row that lost or gained a separator, or has another one."""
    row = head[first].cells
    if not first or head[first].after_blank or len(row) != dialect.width:
        return first, row
    if is_header(row, profile, head[first + 1 :]):
        return first, row
    above = head[first - 1]
    width = dialect.width
    other = other_separator(above, dialect, None)
    cells = other if other is not None else above.cells
    near = abs(len(cells) - width) <= max(1, width // 4)
    if len(cells) < 2 or not near or _filled(cells) < 0.6 * width:
        return first, row
    if not is_header(cells[:width], profile, head[first:]):
        return first, row
    surplus = len(cells) - width
    if surplus > 0 and sum(not cell.strip() for cell in cells) == surplus:
        cells = [cell for cell in cells if cell.strip()]
    elif surplus == -1 and _numbers_rows(head[first:], width):
        cells = ["", *cells]  # the header of a data frame with row names
    return first - 1, cells


def _numbers_rows(rows: Sequence[Record], width: int) -> bool:
    names = [record.cells[0] for record in rows if len(record.cells) == width]
    return names == [str(number) for number in range(1, len(names) + 1)]


def _titleness(cell: str, found: str, years: bool, column: Column | None) -> float:
    if column is None or not column.rows:
        return -1.0 if found in TYPED and not years else 0.1
    typed = column.typed
    if typed:
        if found == NUMBER and years and _YEAR.fullmatch(cell):
            return 0.3 if not column.proves(cell) else -0.3
        return -1.5 if found == typed else (1.0 if found in {WORDS, CODE, "x"} else -0.2)
    if column.values[cell]:
        return -1.5
    if found in TYPED and not years:
        return -0.8
    top, count = column.shapes.most_common(1)[0]
    if top and count >= 0.8 * column.rows and shape(cell) != top:
        return 0.8
    if cell.isidentifier() and (cell.isupper() or "_" in cell):
        return 0.3
    return 0.1 if found == WORDS else 0.0


def _year_titles(cells: Sequence[str]) -> bool:
    years = [int(cell) for cell in cells if _YEAR.fullmatch(cell)]
    steps = {right - left for left, right in pairwise(years)}
    return len(years) >= 2 and len(steps) == 1 and steps <= {1, -1, 2, 5, 10}


def _continues_header(cells: Sequence[str], profile: Profile) -> bool:
    """Whether a row under the titles is still one: words where the columns hold values."""
    if len(cells) != len(profile.columns):
        return False
    named = [cell.strip() for cell in cells if cell.strip()]
    if len(named) >= max(2, len(cells) / 2) and all(map(_UNIT.fullmatch, named)):
        return True
    seen = [
        kind(cell)
        for cell, column in zip(cells, profile.columns, strict=True)
        if column.typed and cell.strip()
    ]
    texts = sum(found in {WORDS, CODE, "x"} for found in seen)
    return texts >= 2 and texts == len(seen) and profile.rows >= 2


def _is_group_row(above: Record, row: Sequence[str], record: Record) -> bool:
    filled = _filled(above.cells)
    return (
        len(above.cells) == len(row)
        and not record.after_blank
        and 2 <= filled < len(row)
        and all(kind(cell) not in TYPED or _YEAR.fullmatch(cell) for cell in above.cells)
    )


def _carried(cells: Sequence[str], below: Sequence[str]) -> list[str]:
    """The title of a group stands over its first column only: give it to the others."""
    out: list[str] = []
    for place, cell in enumerate(cells):
        inherits = not cell.strip() and out and place < len(below) and below[place].strip()
        out.append(out[-1] if inherits else cell)
    return out


def _joined(stack: Sequence[Sequence[str]]) -> list[str]:
    rows = [_carried(row, stack[-1]) for row in stack[:-1]] + [list(stack[-1])]
    width = max(map(len, rows))
    columns = (
        [row[place].strip() if place < len(row) else "" for row in rows] for place in range(width)
    )
    return [" ".join(dict.fromkeys(part for part in column if part)) for column in columns]


def _filled(cells: Sequence[str]) -> int:
    return sum(1 for cell in cells if cell and not cell.isspace())
