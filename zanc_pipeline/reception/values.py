"""What kind of value a cell looks like: the evidence for a dialect, a header or a column."""

from __future__ import annotations

import re
from functools import lru_cache

NUMBER, DATE, TIME, ADDRESS, CODE, WORDS, OTHER, EMPTY = "ndtacwx "
TYPED = frozenset({NUMBER, DATE, TIME, ADDRESS})
TEXTS = frozenset({WORDS, OTHER})
MAX_VALUE_CHARS = 80

_PATTERNS = tuple(
    (kind, re.compile(pattern, re.VERBOSE))
    for kind, pattern in (
        (
            NUMBER,
            r"""
              [+-]?(R\$|US\$|[$€£])?\s?[+-]?\d{1,3}([.,\ ]\d{3})+([.,]\d+)?\s?%?   # grouped
            | [+-]?(R\$|US\$|[$€£])?\s?[+-]?\d*[.,]?\d+([eE][+-]?\d+)?\s?%?-?      # plain
            | \(\d[\d.,]*\)                                                        # accounting
            """,
        ),
        (
            DATE,
            r"""
              \d{4}[/.-]\d{1,2}[/.-]\d{1,2}
              ([T\ ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?
            | \d{1,2}[/.-]\d{1,2}[/.-](\d{4}|\d{2})([\ ]\d{1,2}:\d{2}(:\d{2})?)?
            | \d{1,2}[\ -/](de\ )?[^\W\d_]{3,9}\.?[\ -/](de\ )?\d{2,4}
            | \d{1,2}/\d{4}
            """,
        ),
        (TIME, r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s?[AaPp]\.?[Mm]\.?)?|\d{1,2}h\d{2}"),
        (ADDRESS, r"[\w.+'%&=/-]+@[\w.-]+\.\w+ | (https?://|www\.)\S+"),
        (
            CODE,
            r"""
              \d{3}\.\d{3}\.\d{3}-\d{2} | [0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}
            | \(\d{2}\)\s?9?\d{4}-?\d{4}
            | (?=[\w./-]*\d)(?=[\d./-]*[^\W\d_])[^\W_]+([-./_][^\W_]+)*
            | \d+([-./_]\d+)+
            """,
        ),
        (WORDS, r"[^\W\d_][\w .,'’ºª&()/:!?%+*-]*"),
    )
)
_UNCUT = re.compile(r"[^\s\d],\S|\S,[^\s\d]")  # a comma in no number and with no blank after it
_QUOTED = re.compile(r'"(?:[^"]*"")+[^"]*"')
_PARTED_QUOTE = re.compile(r'[\w.!?)][",]"?[,;|]"|"[,;|]"?\w')
_PARTING = (";", "\t", "|", "\x1f", "^", "~", "::")  # signs that part cells and are rarely text
_EMPTY = frozenset({"", "-", "--", "na", "n/a", "n/d", "nan", "null", "none", "...", "..", "\\n"})
_LIKENESS = {NUMBER: 1.0, DATE: 1.0, TIME: 1.0, ADDRESS: 1.0, CODE: 0.9, WORDS: 0.9, OTHER: 0.55}


def kind(cell: str) -> str:
    """The kind of a cell; longer texts than any value are OTHER."""
    if len(cell) > MAX_VALUE_CHARS:
        return OTHER
    return _kind(cell)


@lru_cache(maxsize=65_536)
def _kind(cell: str) -> str:
    text = cell.strip()
    if text.lower() in _EMPTY:
        return EMPTY
    return next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(text)), OTHER)


def is_quoted(cell: str) -> bool:
    """Whether a cell is a text in quotes with its own quotes doubled: a table was cut wrongly."""
    return '""' in cell and _QUOTED.fullmatch(cell) is not None


def likeness(cell: str) -> float:
    """How much a cell looks like one value, from 0 to 1."""
    if len(cell) > MAX_VALUE_CHARS:
        return 0.6
    return _likeness(cell)


@lru_cache(maxsize=65_536)
def _likeness(cell: str) -> float:
    found = _kind(cell)
    if found == EMPTY:
        return 0.75
    text = cell.strip()
    if text[0] in "\"'" or text[-1] == '"' or _PARTED_QUOTE.search(text):
        return 0.25  # quotes that the dialect did not explain
    if found in {WORDS, OTHER} and any(mark in text for mark in _PARTING):
        return 0.3
    if found in {WORDS, OTHER, CODE} and _UNCUT.search(text):
        return 0.4
    return _LIKENESS[found] - (0.02 if len(text) != len(cell) else 0.0)


@lru_cache(maxsize=65_536)
def _shape(cell: str) -> str:
    text = re.sub(r"[^\W\d_]+([ '’-]+[^\W\d_]+)*", "a", cell.strip())
    return re.sub(r"\d{5,}", "9+", re.sub(r"(?<!\d)\d{1,4}(?!\d)", _digits, text))


def _digits(match: re.Match[str]) -> str:
    return "9" * len(match.group())


def shape(cell: str) -> str:
    """A cell with its letters and digits made alike: ``AB-1234`` is ``a-9999``."""
    return _shape(cell) if len(cell) <= MAX_VALUE_CHARS else "text"
