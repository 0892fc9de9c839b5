"""File names: the patterns of a layout and the date and sequence that they capture.

A pattern is the name as the clerk sees it, with ``{aaaammdd}`` (or ``{ddmmaaaa}``, ``{ddmmaa}``,
``{dd-mm-aaaa}``, …) where the business day stands, ``{sequencia}`` where a running number stands,
and ``*`` for anything. Years of two digits are of this century.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from zanc_pipeline.common.codecs import parse_date

_TOKEN = re.compile(r"\{([^{}]*)\}|\*")
_DATES = {
    "aaaammdd": ("ymd", r"\d{8}"),
    "ddmmaaaa": ("dmy", r"\d{8}"),
    "mmddaaaa": ("mdy", r"\d{8}"),
    "aammdd": ("ymd", r"\d{6}"),
    "ddmmaa": ("dmy", r"\d{6}"),
    "aaaa-mm-dd": ("ymd", r"\d{4}-\d{2}-\d{2}"),
    "dd-mm-aaaa": ("dmy", r"\d{2}-\d{2}-\d{4}"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NameFacts:
    """What a file's name says: the business day and the running number, when it has them."""

    reference_date: date | None = None
    sequence: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NamePattern:
    """A compiled pattern; upper and lower case are the same."""

    text: str
    regex: re.Pattern[str]
    date_order: str | None

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Compile ``text``. Raises ValueError, in Portuguese, for an unknown ``{…}``."""
        regex, position, order = "", 0, None
        for token in _TOKEN.finditer(text):
            regex += re.escape(text[position : token.start()])
            name, position = token.group(1), token.end()
            if name is None:
                regex += r"[^/\\]*"
            elif name == "sequencia" and "(?P<sequence>" not in regex:
                regex += r"(?P<sequence>\d{1,18})"
            elif name in _DATES and order is None:
                order, digits = _DATES[name]
                regex += rf"(?P<date>{digits})"
            else:
                raise ValueError(
                    f"'{text}': '{{{name}}}' não é conhecido aqui; use uma vez {{aaaammdd}} (ou "
                    "{ddmmaaaa}), {sequencia} e *"
                )
        regex += re.escape(text[position:])
        return cls(text=text, regex=re.compile(regex, re.ASCII | re.IGNORECASE), date_order=order)

    def match(self, name: str) -> NameFacts | None:
        """The facts in ``name``, or None when it does not fit (an impossible date does not)."""
        found = self.regex.fullmatch(name)
        if found is None:
            return None
        groups = found.groupdict()
        day = None
        if self.date_order is not None:
            day = day_of(groups["date"], order=self.date_order)
            if day is None:
                return None
        sequence = groups.get("sequence")
        return NameFacts(reference_date=day, sequence=int(sequence) if sequence else None)


def day_of(text: str, *, order: str) -> date | None:
    """The day that a name writes, also with a year of two digits (of this century)."""
    if len(text) == 6:
        text = f"20{text}" if order == "ymd" else f"{text[:4]}20{text[4:]}"
    return parse_date(text, order=order)
