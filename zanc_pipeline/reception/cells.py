"""Cells that survive a spreadsheet: none runs as a formula, none is rewritten as a number or date.

A spreadsheet that opens a CSV turns ``00123`` into 123, ``12-5`` into the 12th of May and sixteen
digits into 1,23E+15. Such a cell is written with an apostrophe before it, which makes it text, and
which ``unprotected`` takes away again: the two are inverses for every text.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

MARK = "'"

_RUN = (MARK, "=", "+", "-", "@", "\t", "\r")
_SAFE_NUMBER = re.compile(r"[1-9]\d{0,10}|0|(?:0|[1-9]\d{0,2}(?:\.\d{3}){0,3}),\d{2}", re.ASCII)
_DATE = re.compile(r"\d{2}/\d{2}/\d{4}", re.ASCII)
_HARMLESS = re.compile(
    rf"|[A-Za-z][ -/:-~]*|{_SAFE_NUMBER.pattern}|{_DATE.pattern}", re.ASCII | re.DOTALL
)
"""What most cells are; it only saves time."""

_LATIN, _LONG = "[A-Za-zÀ-ÿ][ -/:-~À-ÿ]*", "[!-&(-*,.-<>?A-~][ -~]{25,}"
_RE2_HARMLESS = rf"\A(?:{_HARMLESS.pattern}|{_LATIN}|{_LONG})\z"
"""The same for RE2, with texts of Latin-1's letters (none is a digit) and long ones."""

_RE2_RUN = r"\A[ \t\r\n]*['=+@-]"
_RE2_NUMBERED = r"\A[ -?A-~]*[0-9][ -?A-~]*\z"

_DIGIT = re.compile(r"[0-9]")
_SHORT = 25
_SCIENTIFIC = re.compile(r"\s*\d+(?:[.,]\d+)?E\+?\d+\s*", re.ASCII | re.IGNORECASE)


def protected(cell: str) -> str:
    """``cell`` as it is written to a file for people."""
    return f"{MARK}{cell}" if _endangered(cell) else cell


def protected_all(cells: pa.Array) -> list[str]:
    """``protected`` of many texts; what is of a usual kind is told without looking at each."""
    harmless = pc.match_substring_regex(cells, _RE2_HARMLESS)
    if pc.all(harmless).as_py():
        return _listed(cells)
    numbered = pc.match_substring_regex(cells, _RE2_NUMBERED)
    short = pc.less_equal(pc.binary_length(cells), _SHORT)
    run = pc.match_substring_regex(cells, _RE2_RUN)
    endangered = pc.and_not(pc.or_(pc.and_(numbered, short), run), harmless)
    written = _listed(pc.if_else(endangered, pc.binary_join_element_wise(MARK, cells, ""), cells))
    for place in pc.indices_nonzero(pc.invert(pc.or_(harmless, endangered))).to_pylist():
        written[place] = protected(written[place])
    return written


def _listed(texts: pa.Array) -> list[str]:
    listed: list[str] = texts.to_pylist()
    return listed


def unprotected(cell: str) -> str:
    """The cell that ``protected`` wrote, or that a person typed."""
    return cell.removeprefix(MARK)


def is_rewritten_number(cell: str) -> bool:
    """Whether a spreadsheet shortened a long number (``1,23E+11``): its digits are lost."""
    return _SCIENTIFIC.fullmatch(cell) is not None


def _endangered(cell: str) -> bool:
    if _HARMLESS.fullmatch(cell):
        return False
    start = cell.lstrip(" \t\r\n")
    if cell.startswith(_RUN) or start.startswith(_RUN):
        return True
    if len(cell) > _SHORT or not (_DIGIT.search(cell) or any(map(str.isdigit, cell))):
        return False
    return not (_SAFE_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or "@" in cell)
