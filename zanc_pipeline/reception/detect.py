"""The dialect of a delimited text that nobody described: encoding, separator, quotes, header.

A candidate dialect is good when it cuts most rows into the same number of cells (more than one)
and the cells look like values: the two measures are multiplied, after van den Burg, Nazábal and
Sutton, "Wrangling messy CSV files by detecting row and type patterns" (2019).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.delimited import MAX_JOINED_LINES, split_line

SAMPLE_LINES = 300
DELIMITERS = (",", ";", "\t", "|", "^", "~", "#", ":", "\x1f", "$", "||", "~|~", "::", ";;", " ")
QUOTES = ('"', "'", "")

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_VALUE = re.compile(
    r"""
      [+-]?(R\$\s?|US\$\s?|[$€£])?[+-]?\d{1,3}([.,\ ]\d{3})*([.,]\d+)?\s?%?   # grouped number
    | [+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s?%?                      # number
    | \d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}([T\ ]\d{1,2}:\d{2}(:\d{2})?(\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?
    | \d{1,2}:\d{2}(:\d{2})?                                      # time
    | \d{3}\.\d{3}\.\d{3}-\d{2} | [0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}
    | \(\d{2}\)\s?9?\d{4}-?\d{4}                                  # phone
    | [^@\s]+@[^@\s]+\.[^@\s]+ | https?://\S+                     # e-mail, address
    """,
    re.VERBOSE,
)
_WORDS = re.compile(r"[^\W\d_][\w .'’ºª&()/-]*")
_KNOWN_BINARY = (
    (b"\xd0\xcf\x11\xe0", "uma planilha antiga (.xls): peça ao credor que a salve como .xlsx"),
    (b"PK\x03\x04", "um zip ou uma planilha que veio cortada: peça ao credor que envie de novo"),
    (b"%PDF", "um PDF: peça ao credor o arquivo de dados"),
    (b"\x1f\x8b", "um arquivo gzip: peça ao credor um zip ou o próprio arquivo"),
    (b"Rar!", "um arquivo rar: peça ao credor um zip ou o próprio arquivo"),
    (b"7z\xbc\xaf", "um arquivo 7z: peça ao credor um zip ou o próprio arquivo"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x19\x7f]")
_CONTROL_SHARE, _CONTROL_COUNT = 0.05, 20
_EMPTY = frozenset({"", "-", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How a text is cut. An empty ``delimiter`` means a single column."""

    delimiter: str
    quote: str
    width: int


def decode(data: bytes) -> tuple[str, str]:
    """The text and the encoding that was found: BOM, UTF-16 by its zeros, UTF-8, else Windows.

    Raises FileRejected for what is no text.
    """
    what = next((name for magic, name in _KNOWN_BINARY if data.startswith(magic)), None)
    text, encoding = _decoded(data)
    sample = text[:100_000]
    controls = len(_CONTROLS.findall(sample))
    if what is None and controls > max(_CONTROL_COUNT, len(sample) * _CONTROL_SHARE):
        what = "um arquivo binário: confirme com o credor o que foi enviado"
    if what is not None:
        raise FileRejected(f"isto não é um arquivo de texto, e sim {what}")
    return text, encoding


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding
    sample = data[:4096]
    if len(sample) >= 4 and sample[1::2].count(0) > len(sample) * 0.35:
        return data.decode("utf-16-le", "replace"), "utf-16-le"
    if len(sample) >= 4 and sample[0::2].count(0) > len(sample) * 0.35:
        return data.decode("utf-16-be", "replace"), "utf-16-be"
    try:
        return data.decode("utf-8"), "ascii" if data.isascii() else "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def to_lines(text: str) -> list[str]:
    """The lines of a text; CRLF, LF and CR end one, and a final 0x1A is no content."""
    lines = text.rstrip("\x1a\x00").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def detect(lines: Sequence[str]) -> Dialect:
    """The dialect that makes the most of a sample of ``lines``."""
    sample = [line for line in lines if line.strip()][:SAMPLE_LINES]
    best, best_score = Dialect(delimiter="", quote="", width=1), _single_column_score(sample)
    text = "\n".join(sample)
    for delimiter in DELIMITERS:
        if delimiter not in text or (delimiter == " " and "  " in text):
            continue  # runs of blanks are padding, not separators
        if any(
            delimiter in longer and delimiter not in text.replace(longer, "")
            for longer in DELIMITERS
            if len(longer) > len(delimiter) and longer in text
        ):
            continue  # it never stands alone: the longer one is the separator
        for quote in QUOTES:
            if quote and quote not in text:
                continue
            rows = cut_freely(sample, delimiter, quote)
            width = Counter(len(row) for row in rows).most_common(1)[0][0]
            score = _score(rows)
            if score > best_score + 1e-9:
                best = Dialect(delimiter=delimiter, quote=quote, width=width)
                best_score = score
    return best


def cut_freely(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    """Rows of any width; a quoted cell may go over several lines, a stray quote is a character."""
    rows: list[list[str]] = []
    index = 0
    while index < len(lines):
        cells, taken = split_line(lines[index], delimiter, quote), 1
        if cells is None:
            for count in range(2, min(MAX_JOINED_LINES, len(lines) - index) + 1):
                cells = split_line("\n".join(lines[index : index + count]), delimiter, quote)
                if cells is not None:
                    taken = count
                    break
        rows.append(lines[index].split(delimiter) if cells is None else cells)
        index += taken
    return rows


def looks_like_header(first: Sequence[str], below: Sequence[Sequence[str]] = ()) -> bool:
    """Whether a row can be titles: filled, none a value, and distinct or over a column of values.

    ``below`` are the rows that follow it: titles may be repeated, but then a value under one of
    them must tell it from a row of data.
    """
    cells = [cell.strip() for cell in first]
    named = [cell for cell in cells if cell]
    if len(named) < len(cells) * 0.5 or any(_VALUE.fullmatch(cell) for cell in named):
        return False
    return len(set(named)) == len(named) or any(
        _VALUE.fullmatch(cell.strip())
        for row in below[:SAMPLE_LINES]
        for cell, title in zip(row, cells, strict=False)
        if title
    )


def _score(rows: Sequence[Sequence[str]]) -> float:
    counts = Counter(len(row) for row in rows)
    pattern = sum(count * max(width - 1, 0.001) / width for width, count in counts.items())
    pattern *= max(counts.values()) / len(rows) / len(rows)
    cells = [cell.strip() for row in rows for cell in row]
    return pattern * sum(_likeness(cell) for cell in cells) / len(cells)


def _likeness(cell: str) -> float:
    if cell.lower() in _EMPTY:
        return 0.8
    if _VALUE.fullmatch(cell):
        return 1.0
    if _WORDS.fullmatch(cell):
        return 0.9
    return 0.3 if any(mark in cell for mark in ',;\t|"') else 0.6


def _single_column_score(sample: Sequence[str]) -> float:
    if not sample:
        return 1.0
    known = sum(1 for line in sample if _VALUE.fullmatch(line.strip().strip('"')))
    return max(0.15, 0.45 * known / len(sample))
