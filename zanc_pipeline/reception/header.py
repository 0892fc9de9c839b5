"""The titles of a table: where they are, what tells them from values, rows that make them up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from zanc_pipeline.reception.cut import Dialect, Record
from zanc_pipeline.reception.profile import MAX_WIDTH, Column, Profile
from zanc_pipeline.reception.repairs import other_separator
from zanc_pipeline.reception.titles import parted_titles
from zanc_pipeline.reception.values import CODE, EMPTY, NUMBER, TYPED, WORDS, kind, shape

MAX_PREAMBLE = 20  # lines of the usual width that may stand before the header
MIN_TABLE = 2  # rows under a header that make a table
ROWS_BELOW = 40  # rows that tell what stands under a possible header
_COMMENTS = frozenset({"#", "##", "%", "//", "--", "!"})
_LABEL = re.compile(r"#[^\W\d]+:")
_YEAR = re.compile(r"(19|20)\d\d")
_UNIT = re.compile(r"\(.{1,30}\)|\[.{1,30}\]")


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


def after_preamble(head: Sequence[Record], first: int, width: int) -> int:
    """Where the header is when lines of the usual width stand before it: titles, facts, groups.

    Only a row of texts over columns of values is taken for it: after a blank row, where what
    stands before is no table; or right after lines that hold no value and are no header.
    """
    if width > MAX_WIDTH:
        return first
    wordy = True
    begins: bool | None = None
    for place in range(first + 1, min(first + MAX_PREAMBLE, len(head) - 2)):
        above = head[place - 1]
        wordy = wordy and all(kind(cell) not in TYPED for cell in above.cells)
        record = head[place]
        after_gap = record.after_blank or not filled_cells(above.cells)
        if not (after_gap or wordy) or len(record.cells) != width:
            continue
        profile = Profile(_regular(head[place + 1 : place + ROWS_BELOW], width), width)
        below = head[place + 1 :]
        if not (proves_header(record, profile) and is_header(record.cells, profile, below)):
            continue
        if begins is None:
            begins = proves_header(head[first], profile)
        if record.cells == head[first].cells:
            return first  # the header again, on the next page
        before = head[first + 1 : place]
        table = _is_table(head[first], before, width)
        if after_gap and not table and not (begins and _holds_values(before, profile)):
            return place
        if wordy and not begins and not is_header(head[first].cells, profile, head[first + 1 :]):
            return place
    return first


def _regular(rows: Sequence[Record], width: int) -> list[list[str]]:
    return [record.cells for record in rows if len(record.cells) == width]


def _is_table(header: Record, rows: Sequence[Record], width: int) -> bool:
    """Whether rows before a gap are a table of their own: full, or of values under texts."""
    regular = [cells for cells in _regular(rows, width) if filled_cells(cells) > 1]
    if len(regular) < MIN_TABLE:
        return False
    full = width > 2 and all(filled_cells(cells) == width for cells in regular)
    return full or proves_header(header, Profile(regular, width))


def proves_header(record: Record, profile: Profile) -> bool:
    """Whether a full row has texts over every column of values, and there is such a column."""
    if len(record.cells) != len(profile.columns) or filled_cells(record.cells) < 0.8 * len(
        record.cells
    ):
        return False
    texts = [
        kind(cell) in {WORDS, CODE, "x"}
        for cell, column in zip(record.cells, profile.columns, strict=True)
        if column.typed and cell.strip()
    ]
    return profile.rows > 1 and bool(texts) and all(texts)


def _holds_values(rows: Sequence[Record], profile: Profile) -> bool:
    """Whether there are rows of a table: values, or nothing, in each column of values."""
    regular = [
        record.cells
        for record in rows
        if len(record.cells) == len(profile.columns) and filled_cells(record.cells) > 1
    ]
    return len(regular) > 1 and all(
        kind(cell) in {column.typed, EMPTY}
        for cells in regular
        for cell, column in zip(cells, profile.columns, strict=True)
        if column.typed
    )


def damaged_header(
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
    size = len(above.cells)
    parted = parted_titles(above, dialect, profile)
    if parted is not None and is_header(parted, profile, head[first:]):
        return first - 1, parted
    # Separators that end each row, not the header, part nothing.
    unused = [cell for cells in _regular(head[first:], width) for cell in cells[size:]]
    if 1 < size < width and not any(cell.strip() for cell in unused):
        whole = [*above.cells, *[""] * (width - size)]
        if is_header(whole, profile, head[first:]):
            return first - 1, whole
    other = other_separator(above, dialect, None)
    cells = other if other is not None else above.cells
    near = abs(len(cells) - width) <= max(1, width // 4)
    if len(cells) < 2 or not near or filled_cells(cells) < 0.6 * width:
        return first, row
    if not is_header(cells[:width], profile, head[first:]):
        return first, row
    surplus = len(cells) - width
    if surplus > 0 and sum(not cell.strip() for cell in cells) == surplus:
        cells = [cell for cell in cells if cell.strip()]
    elif surplus == 1 and (cells[0].strip() in _COMMENTS or _LABEL.fullmatch(cells[0].strip())):
        cells = cells[1:]
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
    if top and count >= 0.8 * column.rows:
        if shape(cell) != top:
            return 0.8
        if any(map(str.isdigit, cell)):
            return -0.8
    if cell.isidentifier() and (cell.isupper() or "_" in cell):
        return 0.3
    return 0.1 if found == WORDS else 0.0


def _year_titles(cells: Sequence[str]) -> bool:
    years = [int(cell) for cell in cells if _YEAR.fullmatch(cell)]
    steps = {right - left for left, right in pairwise(years)}
    return len(years) >= 2 and len(steps) == 1 and steps <= {1, -1, 2, 5, 10}


def continues_header(cells: Sequence[str], profile: Profile) -> bool:
    """Whether a row under the titles is still one: words where the columns hold values."""
    if len(cells) != len(profile.columns):
        return False
    named = [cell.strip() for cell in cells if cell.strip()]
    if len(named) >= max(2, len(cells) / 2) and all(map(_UNIT.fullmatch, named)):
        return True
    if len(named) < len(cells) and _year_titles(named) and all(map(_YEAR.fullmatch, named)):
        return True
    seen = [
        kind(cell)
        for cell, column in zip(cells, profile.columns, strict=True)
        if column.typed and cell.strip()
    ]
    texts = sum(found in {WORDS, CODE, "x"} for found in seen)
    return texts >= 2 and texts == len(seen) and profile.rows >= 2


def is_group_row(above: Record, row: Sequence[str], record: Record) -> bool:
    filled = filled_cells(above.cells)
    return (
        len(above.cells) == len(row)
        and not record.after_blank
        and 2 <= filled < len(row)
        and all(kind(cell) not in TYPED or _YEAR.fullmatch(cell) for cell in above.cells)
    )


def joined_titles(stack: Sequence[Sequence[str]]) -> list[str]:
    rows = [_carried(row, stack[-1]) for row in stack[:-1]] + [list(stack[-1])]
    width = max(map(len, rows))
    columns = (
        [row[place].strip() if place < len(row) else "" for row in rows] for place in range(width)
    )
    return [" ".join(dict.fromkeys(part for part in column if part)) for column in columns]


def _carried(cells: Sequence[str], below: Sequence[str]) -> list[str]:
    """The title of a group stands over its first column only: give it to the others."""
    out: list[str] = []
    for place, cell in enumerate(cells):
        inherits = not cell.strip() and out and place < len(below) and below[place].strip()
        out.append(out[-1] if inherits else cell)
    return out


def filled_cells(cells: Sequence[str]) -> int:
    """How many cells hold anything."""
    return sum(1 for cell in cells if cell and not cell.isspace())
