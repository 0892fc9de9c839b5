"""Where the table of a file is: preamble, header of one or several rows, rows, footer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from zanc_pipeline.reception.cut import Dialect, Record
from zanc_pipeline.reception.detect import COMMENT_MARKS, FEW_COMMENTS
from zanc_pipeline.reception.header import (
    after_preamble,
    continues_header,
    damaged_header,
    filled_cells,
    is_group_row,
    is_header,
    joined_titles,
    proves_header,
)
from zanc_pipeline.reception.pages import Pages
from zanc_pipeline.reception.profile import Profile
from zanc_pipeline.reception.repairs import (
    MAX_REPAIRS,
    Findings,
    quoted_cells,
    repaired,
    unjoined,
)
from zanc_pipeline.reception.values import EMPTY, kind

MAX_HEADER_ROWS = 4
MAX_HELD = 40
MAX_FOOTER = 20
MAX_COLUMNS_LEARNT = 5_000
MAX_CELLS_LEARNT = 100_000
NO_PAGES = Pages.of((), ())
_TABLE_ROWS = 3  # rows of one other width in a row: another table, not damaged rows
_NOTE = re.compile(
    r"(fontes?|notas?|obs|observa\w+|legenda|gerado|emitido|extra[ií]do|total|fim|sources?|notes?|"
    r"generated|end|rodap\w+|elabora\w+|dispon[ií]vel|atualiza\w+)\b.*|[*#©(\[].*|\d{1,2}[.)]\s.{20,}",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a file begins: lines before the table, titles (none when there is no header)."""

    preamble: list[Record]
    titles: list[str]
    header_rows: int
    profile: Profile
    pages: Pages = NO_PAGES
    mended: bool = False
    """Whether the header had a separator too many, too few, or another one."""

    @property
    def skipped(self) -> int:
        return len(self.preamble) + self.header_rows


def find_start(head: Sequence[Record], dialect: Dialect) -> Start:
    """Preamble, header and what the columns hold, from the first records of a file."""
    width = dialect.width
    first = _first_row(head, width)
    if first >= len(head):
        return Start(preamble=[], titles=[], header_rows=0, profile=_learnt(head, width))
    first = after_preamble(head, first, width)
    below = [record for record in head[first:] if len(record.cells) == width]
    rest = below[max(1, min(MAX_HEADER_ROWS, len(below) // 2)) :]
    again = [record for record in rest if record.cells != head[first].cells]  # one on each page
    profile = _learnt(again, width)
    first, row = damaged_header(head, first, dialect, profile)
    mended = row != head[first].cells
    under = head[first + 1 :]
    if (
        under
        and is_group_row(head[first], under[0].cells, under[0])
        and is_header(under[0].cells, profile, under[1:])
    ):
        first, row = first + 1, under[0].cells
    if not is_header(row, profile, head[first + 1 :]):
        # Lines are left out only above a header that proves to be one.
        return Start(preamble=[], titles=[], header_rows=0, profile=_learnt(head[first:], width))
    stack = [row]
    place = first + 1
    while (
        place + 1 < len(head)
        and len(stack) < MAX_HEADER_ROWS
        and continues_header(head[place].cells, profile)
    ):
        stack.append(head[place].cells)
        place += 1
    if head[place : place + 1] and head[place].after_blank:
        del stack[1:]  # what is above the gap is a table by itself
        place = first + 1
    while first and is_group_row(head[first - 1], row, head[first]) and len(stack) < 4:
        first -= 1
        stack.insert(0, head[first].cells)
    pages = Pages.of(head[:first], head[first:place])
    return Start(
        preamble=list(head[:first]),
        titles=joined_titles(stack),
        header_rows=place - first,
        profile=_learnt(
            [record for record in head[place:] if not pages.hold(record, width)], width
        ),
        pages=pages,
        mended=mended,
    )


def _learnt(rows: Sequence[Record], width: int) -> Profile:
    """What the regular rows hold; one with a single filled cell is a note or a blank."""
    if width > MAX_COLUMNS_LEARNT:
        return Profile([], 0)
    regular = [record.cells for record in rows if len(record.cells) == width]
    filled = [row for row in regular if width < 3 or filled_cells(row) > 1]
    return Profile(filled[: max(10, MAX_CELLS_LEARNT // width)], width)


def is_ruler(record: Record) -> bool:
    """Whether a line is drawn: ``----+-----`` under the titles, or around a table."""
    text = record.text
    return ("---" in text or "===" in text) and not text.strip("-=+|: \t")


def body(
    rows: Iterable[Record], dialect: Dialect, start: Start, found: Findings
) -> Iterator[list[str]]:
    """The rows of the table, put right where that is unique; the footer is left out and told."""
    held: list[Record] = []
    width, profile = dialect.width, start.profile
    regular, noted = 0, False
    for record in rows:
        if start.pages.hold(record, width):
            found.add("pages", record.line)
            continue
        if len(record.cells) == width and found.repairs <= MAX_REPAIRS:
            cells = unjoined(record, dialect, profile)
            if cells is not None:
                found.repairs += 1
                found.add("realigned_narrow", record.line)
                record = replace(record, cells=cells, mended=False)
        if record.mended:
            found.add("quotes", record.line)
        noted = _begins_notes(record) or (noted and _is_odd(record, profile))
        full = len(record.cells) == width and (width < 3 or filled_cells(record.cells) > 1)
        if full and not noted:
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
    notes = (
        at
        for at, record in enumerate(held[:place])
        if _begins_notes(record) and all(_is_odd(other, profile) for other in held[at:])
    )
    place = next(notes, place)
    while 0 < place < len(held) and not filled_cells(held[place - 1].cells):
        place -= 1
    return place


def _begins_notes(record: Record) -> bool:
    return record.after_blank and _NOTE.fullmatch(record.cells[0].strip()) is not None


def _is_odd(record: Record, profile: Profile) -> bool:
    """Whether a record has another width than the rows, or no value in a column of values."""
    return len(record.cells) != len(profile.columns) or any(
        column.typed and kind(cell) not in {column.typed, EMPTY}
        for cell, column in zip(record.cells, profile.columns, strict=True)
    )


def _few(record: Record, width: int) -> bool:
    return filled_cells(record.cells) <= max(1, width // 3) and (
        len(record.cells) != width or width >= 3
    )


def _in_other_table(held: Sequence[Record], place: int) -> bool:
    size = len(held[place].cells)
    low = max(0, place - _TABLE_ROWS + 1)
    return size > 1 and any(
        all(len(record.cells) == size for record in held[start : start + _TABLE_ROWS])
        and any(filled_cells(record.cells) > 1 for record in held[start : start + _TABLE_ROWS])
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
    if len(filled) != 1 or not profile.columns:
        return False
    if len(record.cells) == width:  # a total alone in its column is a value
        column = profile.columns[record.cells.index(filled[0])]
        if record.cells[0] != filled[0] or (column.typed and kind(filled[0]) == column.typed):
            return False
    column = profile.columns[0]
    if column.rows and column.kinds[EMPTY] == column.rows and len(record.cells) != width:
        return True
    typed = column.typed
    return bool(typed) and kind(filled[0]) not in {typed, EMPTY}


def _first_row(head: Sequence[Record], width: int) -> int:
    """The first record of the table: of the usual width, or of another table before it.

    Comments before it are no rows; the last of them may hold the titles.
    """
    marks = (place for place, record in enumerate(head) if record.text[:1] not in COMMENT_MARKS)
    comments = next(marks, 0)
    from_here = 0
    if 0 < comments < len(head) - 1:
        below = _learnt(head[comments + 1 :], width)
        if proves_header(head[comments], below):
            from_here = comments
        elif comments > FEW_COMMENTS:
            last = head[comments - 1]
            titles = len(last.cells) == width and not last.text[1:2].isspace()
            from_here = comments - 1 if titles else comments
    for place, record in enumerate(head[from_here:], from_here):
        size, filled = len(record.cells), filled_cells(record.cells)
        empty_below = place + 1 < len(head) and not filled_cells(head[place + 1].cells)
        least = max(1, width * 0.3) if width > 2 or empty_below else 0
        if size == width and (filled > least or width < 2):
            return place
        if size != width and place >= comments and _is_table(head[place:], size):
            return place
    return len(head)


def _is_table(rows: Sequence[Record], size: int) -> bool:
    """Whether rows of one other width begin a table; a few pairs are facts about the file."""
    run = 0
    if size == 2 and proves_header(rows[0], _learnt(list(rows[1 : _TABLE_ROWS + 1]), size)):
        return len({len(record.cells) for record in rows[: _TABLE_ROWS + 1]}) == 1
    while run < len(rows) and len(rows[run].cells) == size and filled_cells(rows[run].cells) > 1:
        run += 1
    return run >= (_TABLE_ROWS if size > 2 else max(5, 0.3 * len(rows))) and size > 1
