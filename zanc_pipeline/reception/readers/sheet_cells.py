"""Cells of spreadsheets and JSON as the text that the field's type reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from zanc_pipeline.reception.fields import month_word, serial_of_moment
from zanc_pipeline.reception.layout import ColumnField, JsonField
from zanc_pipeline.reception.layout_fields import EXCEL

ERRORS = frozenset(
    {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"}
)
"""What a spreadsheet shows where a formula has no value."""


MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
"""What a spreadsheet program opens; a file that claims more is refused."""

MAX_CELLS = 200_000_000
"""Cells of a sheet, also those between the ones that are written: more belong in a text file."""

MOST_PLACES = 400
"""More digits than a number of a spreadsheet (a double) has before or after its point."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that is calculated: the value that was saved with it, None when there is none."""

    value: Any

    @property
    def proved(self) -> bool:
        """Whether a value was saved, and no error."""
        return self.value is not None and str(self.value) not in ERRORS


def cell_text(value: Any, field: ColumnField | JsonField | None) -> str:
    """A cell as the text that the field's type reads: dates and decimals in its own notation."""
    if isinstance(value, Formula):
        value = value.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "S" if value else "N"
    if isinstance(value, Decimal) and abs(value.adjusted()) > MOST_PLACES:
        return str(value)  # with its exponent, which no field accepts: written out it has no end
    if isinstance(value, int | float | Decimal):
        # Fifteen significant digits are what a spreadsheet holds and shows of a number.
        text = f"{Decimal(format(value, '.15g')):f}" if isinstance(value, float) else f"{value:f}"
        whole, point, decimals = text.partition(".")
        if not decimals.strip("0"):
            return whole
        mark = field.decimal_mark if field is not None else point
        return f"{whole}{mark}{decimals}"
    if isinstance(value, datetime | date):
        return _moment(value, field)
    if isinstance(value, time):
        return value.isoformat()
    return str(value)


def _moment(value: datetime | date, field: ColumnField | JsonField | None) -> str:
    timed = isinstance(value, datetime) and (value.hour or value.minute or value.second)
    shape = field.date_format if field is not None else "aaaa-mm-dd"
    if shape == EXCEL:
        return serial_of_moment(value)
    if "hh" not in shape and timed:
        return str(value)
    day, mark, clock = shape.partition("hh")
    text = (
        day.replace("aaaa", f"{value.year:04}")
        .replace("aa", f"{value.year % 100:02}")
        .replace("ddd", f"{value.timetuple().tm_yday:03}")
        .replace("mmm", month_word(value.month))
        .replace("mm", f"{value.month:02}")
        .replace("dd", f"{value.day:02}")
    )
    if not mark:
        return text
    hour, minute, second = (
        (value.hour, value.minute, value.second) if isinstance(value, datetime) else (0, 0, 0)
    )
    clock = clock.replace("mm", f"{minute:02}").replace("ss", f"{second:02}")
    return text + f"{hour:02}" + clock.replace("f", "0")
