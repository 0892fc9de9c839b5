"""Days on which nobody is called: holidays of the nation and the states, and the centre's own.

The nation's and the states' come from the library ``holidays`` (each with the law that made it);
those of cities stand in ``config/feriados.csv``, because a phone's number tells a DDD and no city.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

from dialer.places import STATES_OF_DDD, Place
from zanc_pipeline.common.codecs import STATES
from zanc_pipeline.common.errors import ConfigError

FILE = "feriados.csv"
_COLUMNS = ["data", "onde", "nome"]
_DAY = re.compile(r"(\d{2})/(\d{2})(?:/(\d{4}))?", re.ASCII)

Own = Mapping[tuple[int, int, int | None], Mapping[str, str]]
"""By day, month and year (None: every year): where (BR, a state or a DDD) and the name."""


@dataclass(frozen=True, kw_only=True)
class DaysOff:
    """Answers whether a day is one on which a place is not called."""

    optional: bool = False
    own: Own = field(default_factory=dict)

    def prepare(self, year: int) -> None:
        """Work out the holidays of a year, so that no dial waits for it (seconds, once)."""
        for states in STATES_OF_DDD.values():
            for state in states:
                _of_state(state, year, self.optional)

    def name(self, place: Place, day: date) -> str | None:
        """The name of the holiday, None on a day like others."""
        for year in (day.year, None):
            listed = self.own.get((day.day, day.month, year), {})
            for where in ("BR", place.ddd, *place.states):
                if where in listed:
                    return listed[where]
        for state in place.states:
            found = _of_state(state, day.year, self.optional).get(day)
            if found is not None:
                return f"{found} ({state})"
        return None


@cache
def _of_state(state: str, year: int, optional: bool) -> Mapping[date, str]:
    import holidays

    categories = ("public", "optional") if optional else ("public",)
    return dict(
        holidays.country_holidays(
            "BR", subdiv=state, years=year, language="pt_BR", categories=categories
        )
    )


def read_own(folder: Path) -> Own:
    """``feriados.csv`` of ``folder``: ``data;onde;nome``, nothing when there is no such file.

    Raises ConfigError, in Portuguese, with the line: a day that can't be read might be called on.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="cp1252", errors="replace")
    rows = csv.reader(io.StringIO(text), delimiter=";" if ";" in text.split("\n", 1)[0] else ",")
    if [cell.strip().casefold() for cell in next(rows, [])] != _COLUMNS:
        raise ConfigError(f"config/{FILE}:1: a primeira linha deve ser data;onde;nome")
    own: dict[tuple[int, int, int | None], dict[str, str]] = {}
    for cells in rows:
        if any(cell.strip() for cell in cells):
            _add(own, [cell.strip() for cell in cells], f"config/{FILE}:{rows.line_num}")
    return own


def _add(
    own: dict[tuple[int, int, int | None], dict[str, str]], cells: list[str], line: str
) -> None:
    if len(cells) != 3 or not cells[2]:
        raise ConfigError(f"{line}: escreva data;onde;nome, como 25/01;11;Aniversário de São Paulo")
    match = _DAY.fullmatch(cells[0])
    year = int(match[3]) if match is not None and match[3] else None
    try:
        # 29/02 of every year is a day of leap years.
        day = date(year or 2000, int(match[2]), int(match[1])) if match is not None else None
    except ValueError:
        day = None
    if day is None:
        raise ConfigError(f"{line}: a data deve ser como 25/01 (todo ano) ou 25/01/2027")
    where = cells[1].upper()
    if where != "BR" and where not in STATES and where not in STATES_OF_DDD:
        raise ConfigError(f"{line}: 'onde' é BR, a sigla de um estado ou um DDD")
    own.setdefault((day.day, day.month, year), {})[where] = cells[2]
