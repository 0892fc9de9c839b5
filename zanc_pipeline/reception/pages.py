"""What a report prints again on each of its pages: its titles, the page's number, the header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from zanc_pipeline.reception.cut import Record

_NUMBER = re.compile(
    r"\b(?:p[áa]g(?:ina)?|page|folha|fls?|p|seite|hoja|foglio)\b[\s.:ºnº#-]*"
    r"\d+(?:\s*(?:de|of|von|di|/)\s*\d+)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b")


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The rows of a header and the lines above it, as the next page would repeat them."""

    header: frozenset[tuple[str, ...]]
    above: frozenset[str]

    @cached_property
    def starts(self) -> frozenset[str]:
        """The first cells of the header's rows."""
        return frozenset(row[0] for row in self.header)

    @classmethod
    def of(cls, preamble: Sequence[Record], header: Sequence[Record]) -> Pages:
        """What may come again of the lines before a table."""
        return cls(
            header=frozenset(
                row for record in header if sum(map(bool, row := _stripped(record))) > 1
            ),
            above=frozenset(
                form for record in preamble if any(map(str.isalpha, form := _form(record.text)))
            ),
        )

    def hold(self, record: Record, width: int) -> bool:
        """Whether a record is no row but what each page repeats."""
        cells = record.cells
        if cells[0].strip() in self.starts and _stripped(record) in self.header:
            return True
        if len(cells) - cells.count("") > max(1, width // 2):
            return False
        if len(cells) == width and (width < 3 or not cells[0].strip()):
            return False  # a value alone in its column
        form = _form(record.text)
        return form in self.above if form else _NUMBER.search(record.text) is not None


def _stripped(record: Record) -> tuple[str, ...]:
    cells = [cell.strip() for cell in record.cells]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _form(text: str) -> str:
    """The words of a line without its page number, the hour and what only draws."""
    plain = _CLOCK.sub("", _NUMBER.sub("", text))
    return " ".join(re.sub(r"[\W_]+", " ", plain).split())
