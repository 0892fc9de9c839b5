"""One damaged row put right: a separator too many, gone or another, quotes that touch a cell.

Every repair is proved by what the columns of the regular rows hold, and taken only when no other
reading of the row comes near; a row that nothing proves stays as it came and is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from zanc_pipeline.reception.cut import (
    Dialect,
    Record,
    cheapest,
    joints,
    strict,
    with_quotes,
)
from zanc_pipeline.reception.profile import MARGIN, Profile

MAX_REPAIRS = 3_000  # a file with more damaged rows than these gets no more guesses


@dataclass(kw_only=True)
class Findings:
    """What was seen in a file, by kind: the lines concerned."""

    lines: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    repairs: int = 0

    def add(self, what: str, line: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        places = self.lines.setdefault(what, [])
        if len(places) < 5:
            places.append(line)


def repaired(record: Record, dialect: Dialect, profile: Profile, found: Findings) -> list[str]:
    """A record of another width in its columns when that is unique, else as it came."""
    width = dialect.width
    cells = record.cells
    found.repairs += 1
    if found.repairs > MAX_REPAIRS:
        found.add("wide" if len(cells) > width else "narrow", record.line)
        return cells
    if len(cells) > width and (whole := unjoined(record, dialect, profile)) is not None:
        found.add("realigned_narrow", record.line)
        return whole
    parted = list(joints(record.text, dialect)) if len(cells) < width else []
    quoted = quoted_cells(record, dialect)
    mended = profile.realigned(cells, dialect.delimiter, parted=parted, quoted=quoted)
    if mended is None and dialect.delimiter == " " and len(quoted) > width:
        mended = profile.gathered(cells, quoted, " ")
    if mended is None or len(cells) <= max(1, width // 3):
        other = other_separator(record, dialect, profile)
        if other is not None:
            found.add("other_separator", record.line)
            return other
    if len(cells) > width and dialect.quote and record.text.count(dialect.quote) % 2:
        odd, _ = cheapest(record.text, dialect)
        if odd is not None and profile.belongs(odd):
            found.add("quotes", record.line)
            return odd
    if mended is not None:
        found.add("realigned_wide" if len(cells) > width else "realigned_narrow", record.line)
        return mended
    if len(cells) > width and not any(cells[width:]):
        found.add("empty_surplus", record.line)
        return cells[:width]
    found.add("wide" if len(cells) > width else "narrow", record.line)
    return cells


def quoted_cells(record: Record, dialect: Dialect) -> list[bool]:
    """Which cells of a record stood in quotes; nothing when its quotes are wrong or none."""
    if not dialect.quote or dialect.quote not in record.text:
        return []
    told = with_quotes(record.text, dialect)
    return told[1] if told is not None and len(told[0]) == len(record.cells) else []


def unjoined(record: Record, dialect: Dialect, profile: Profile) -> list[str] | None:
    """A record with quotes within its cells, when a separator gone beside a quote explains them.

    The separators of its quoted texts then cut it, into the usual number of cells or more.
    """
    if profile.rows < 4 or len(profile.columns) != dialect.width or not _stray(record, dialect):
        return None
    worth = profile.fit(record.cells) if len(record.cells) == dialect.width else -math.inf
    fits = sorted(
        ((profile.fit(cells), cells) for cells in joints(record.text, dialect)), reverse=True
    )
    if not fits or fits[0][0] < max(profile.least, worth + MARGIN):
        return None
    near = [cells for fit, cells in fits[1:] if fit > fits[0][0] - MARGIN and cells != fits[0][1]]
    return None if near else fits[0][1]


def _stray(record: Record, dialect: Dialect) -> bool:
    """Whether a quote stands within a cell that has no quotes around it."""
    quote = dialect.quote
    if not quote or not any(quote in cell for cell in record.cells):
        return False
    told = with_quotes(record.text, dialect)
    return told is None or any(
        quote in cell and not quoted for cell, quoted in zip(*told, strict=True)
    )


def other_separator(record: Record, dialect: Dialect, profile: Profile | None) -> list[str] | None:
    """A row that alone has another separator, when it then has the usual cells.

    A row that has separators of its own holds the others as text, unless several columns of
    values prove them.
    """
    if len(record.cells) > max(1, dialect.width // 3) and (
        profile is None or sum(bool(column.typed) for column in profile.columns) < 2
    ):
        return None
    for separator in (",", ";", "\t", "|", " "):
        if separator == dialect.delimiter or separator not in record.text:
            continue
        other = Dialect(
            delimiter=separator, quote=dialect.quote, escape=dialect.escape, width=dialect.width
        )
        cells = strict(record.text, other)
        if cells is None:
            continue
        if len(cells) == dialect.width > 2 and (profile is None or profile.belongs(cells)):
            return cells
        tokens = with_quotes(record.text, other)
        if profile is not None and tokens is not None and len(cells) > dialect.width > 2:
            found = profile.gathered(*tokens, separator)
            if found is not None:
                return found
    return None
