"""The dialect of a delimited text that nobody described: separator, quotes, escape.

A candidate dialect is good when it cuts most rows into the same number of cells (more than one)
and the cells look like values: the two measures are multiplied, after van den Burg, Nazábal and
Sutton, "Wrangling messy CSV files by detecting row and type patterns" (Data Mining and Knowledge
Discovery, 2019). Candidates are taken from the text itself, so a separator needs no list.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from zanc_pipeline.reception.cut import Dialect, Record, records, with_quotes
from zanc_pipeline.reception.profile import Profile
from zanc_pipeline.reception.repairs import quoted_cells
from zanc_pipeline.reception.textlines import is_blank
from zanc_pipeline.reception.values import is_quoted, kind, likeness

SAMPLE_LINES = 400
SAMPLE_CHARS = 200_000
SAMPLE_LINE_CHARS = 40_000
QUOTES = ('"', "'", "`")
MAX_SEPARATORS = 14
_TABLE_ROWS = 8
_TITLE_LINES = 6  # lines of one cell, at most, for each table
_WORDS_TRIED = 40
COMMENT_MARKS, FEW_COMMENTS = frozenset("#%"), 2
_EMPTIES = ",\t"  # between two of them is an empty cell
_USUAL = frozenset(",;\t|\x1f\x01\x02\x14")
_WEIGHT = {
    " ": 0.8,
    ":": 0.75,
    "/": 0.35,
    "@": 0.3,
    "=": 0.6,
    "#": 0.8,
    "%": 0.35,
    "+": 0.6,
    "*": 0.7,
}
_WEIGHT |= dict.fromkeys("~^¬¦§", 0.95)
_NEVER = frozenset("\"'`.-_()[]{}<>\r\n\x1e\x00\x1a\ufeff\ufffd\u00a0")
_TITLES = {mark: re.compile(rf"[^\W\d]\w*( \w+)*({mark}[^\W\d]\w*( \w+)*)+") for mark in (",", ";")}
_QUOTED_START = re.compile(r'"(?:[^"]|"")*"?')
_SEP_LINE = re.compile(r"sep=(.{1,3}?)\s*", re.IGNORECASE)


def detect(lines: Sequence[str]) -> Dialect:
    """The dialect that makes the most of a sample of ``lines`` (with or without their ends)."""
    return detect_scored(lines)[0]


def detect_scored(lines: Sequence[str]) -> tuple[Dialect, float]:
    """The best dialect and its score, from 0 to 1."""
    sample = sample_of(lines)
    told = _SEP_LINE.fullmatch(sample[0].strip("\ufeff\r\n ")) if sample else None
    if told:
        sample = sample[1:]
    text = "".join(sample)
    separators = [told.group(1)] if told else _separators(sample)
    best, best_score = _single_column(sample, text), 0.0
    best_score = 0.0 if told else _single_column_score(sample)
    for quote in [*(quote for quote in QUOTES if text.count(quote) >= 2), ""]:
        for separator in separators:
            for escape in _escapes(text, separator, quote):
                dialect = Dialect(delimiter=separator, quote=quote, width=0, escape=escape)
                found = list(records(sample, dialect))
                rows = [record.cells for record in found]
                if not rows:
                    continue
                shown = rows
                if escape and not quote:  # a separator that is escaped is no doubt about it
                    shown = [[cell.replace(separator, " ") for cell in row] for row in rows]
                score = score_rows(shown) * _weight(separator) * (1.0 if quote != "`" else 0.9)
                wrong = (
                    sum(_has_stray(record, dialect) for record in found)
                    if quote
                    else sum(any(map(is_quoted, row)) for row in rows)
                )
                score *= 1 - 0.3 * wrong / len(found)
                if not quote:
                    score *= 1 - 0.7 * sum(map(_splits_quoted, rows)) / len(rows)
                width = usual_width(rows)
                if not separator.strip(" ") and not _quotes(found, dialect) and _prose(rows):
                    score *= 0.4
                if separator == " ":
                    gathered = _score_of_words(found, dialect) * _weight(separator)
                    if gathered > score:
                        score, width = gathered, len(rows[0])
                if score > best_score + 1e-9:
                    best_score = score
                    best = Dialect(delimiter=separator, quote=quote, width=width, escape=escape)
    return best, best_score


def sample_of(lines: Sequence[str]) -> list[str]:
    """The first lines that are not blank, each with an end, bounded in number and size."""
    sample: list[str] = []
    size = 0
    for line in lines[_comments(lines) :]:
        if is_blank(line) and not line.strip("\r\n").count("\t"):
            continue
        kept = line[:SAMPLE_LINE_CHARS]
        sample.append(kept if kept.endswith(("\n", "\r", "\x1e")) else kept + "\n")
        size += len(kept)
        if len(sample) >= SAMPLE_LINES or size > SAMPLE_CHARS:
            break
    return sample


def _comments(lines: Sequence[str]) -> int:
    """How many comments stand before the first other line, without the last: it may be titles."""
    marks = (line.lstrip("\ufeff")[:1] for line in lines)
    count = next((place for place, mark in enumerate(marks) if mark != lines[0][:1]), 0)
    is_comment = bool(lines) and lines[0].lstrip("\ufeff")[:1] in COMMENT_MARKS
    return count - 1 if is_comment and count > FEW_COMMENTS and count < len(lines) - 1 else 0


def _separators(sample: Sequence[str]) -> list[str]:
    """What stands between cells in this text: signs of many lines, single or several together."""
    plain = [re.sub(r'"[^"\r\n]*"', '""', line.rstrip("\r\n\x1e")) for line in sample]
    in_lines = Counter(char for line in plain for char in set(line) if _may_separate(char))
    singles = [char for char, count in in_lines.most_common() if count >= max(1, len(plain) * 0.3)][
        :MAX_SEPARATORS
    ]
    found: list[str] = []
    for char in singles:
        found.extend(longer for longer in _runs(plain, char) if longer not in found)
        if not _never_alone(plain, char, found):
            found.append(char)
    return found


def _may_separate(char: str) -> bool:
    if char.isalnum() or char in _NEVER:
        return char in "þÿ"
    return char in "\t " or unicodedata.category(char)[0] in "PSCZ"


def _runs(plain: Sequence[str], char: str) -> Iterator[str]:
    """Longer separators that start with ``char``: ``, ``, ``::``, ``~|~``."""
    if char == " ":
        starts = (" | ", " ; ", " , ", " - ", " / ")
        yield from (run for run in starts if _in_most(plain, run))
        return
    runs = Counter(
        run
        for line in plain
        for run in re.findall(rf"{re.escape(char)}[^\w\s\"'.+$()=-]{{1,3}}", line)
    )
    parts = char not in _EMPTIES or any(
        re.search(rf"(?<!{char}){char}(?!{char})", line) for line in plain
    )
    yield from (
        run
        for run, count in runs.most_common(2)
        if char != "%" and _in_most(plain, run) and count > 1 and (parts or set(run) != {char})
    )
    longer = [char * 2, char * 3] * parts + [f"{char} "]  # else columns that nobody filled
    yield from (run for run in longer if _in_most(plain, run))


def _in_most(plain: Sequence[str], run: str) -> bool:
    return sum(run in line for line in plain) >= max(1, len(plain) * 0.3)


def _never_alone(plain: Sequence[str], char: str, longer: Sequence[str]) -> bool:
    """Whether ``char`` occurs only within one of the longer separators (not a blank or its own)."""
    runs = [run for run in longer if char in run and run.strip() and not run.endswith(" ")]
    if not runs:
        return False
    pattern = re.compile("|".join(map(re.escape, sorted(runs, key=len, reverse=True))))
    rest = sum(pattern.sub("", line).count(char) for line in plain)
    empty_cells = len(set("".join(runs))) == 1  # ``,,`` may be an empty cell
    total = sum(line.count(char) for line in plain)
    return rest == 0 if empty_cells else rest < total * 0.05


def _escapes(text: str, separator: str, quote: str) -> list[str]:
    """No escape character, and the one that stands before most quotes within cells."""
    if not quote:
        return ["", "\\"] if separator and f"\\{separator}" in text else [""]
    edge = re.escape(separator)
    inner = re.findall(rf"(?<!^)(?<!{edge})(.){quote}(?!{edge}|[\r\n]|$)", text, re.MULTILINE)
    before = Counter(
        char for char in inner if not char.isalnum() and char not in f" {quote}({separator}"
    )
    found = [char for char, count in before.most_common(1) if count >= len(inner) * 0.6]
    if "\\" not in found and f"\\{quote}" in text:
        found = ["\\"]
    return ["", *(char for char in found if char == "\\" or before[char] >= 3)]


def _weight(separator: str) -> float:
    base = separator.strip(" ") or " "
    if len(base) > 1:
        return 1.03  # what fits as well by chance is shorter
    usual = 1.0 if base in _USUAL else 0.85
    return _WEIGHT.get(base, usual) * (1.02 if separator != base else 1.0)


def _has_stray(record: Record, dialect: Dialect) -> bool:
    """Whether a quote of a record opens no cell and closes none."""
    if record.mended or dialect.quote not in record.text:
        return record.mended
    told = with_quotes(record.text, dialect)
    return told is None or any(
        dialect.quote in cell and not quoted for cell, quoted in zip(*told, strict=True)
    )


def _splits_quoted(row: Sequence[str]) -> bool:
    """Whether a quote that opens a cell is closed at the end of a later one."""
    opened = False
    for cell in row:
        text = cell.strip()
        starts, ends = text[:1] == '"', text[-1:] == '"' and len(text) > 1
        if opened and ends and not starts:
            return True
        opened = starts and not ends if starts else opened and '"' not in text
    return False


def _quotes(found: Sequence[Record], dialect: Dialect) -> bool:
    """Whether any cell stands in quotes."""
    opening = dialect.delimiter + dialect.quote
    return bool(dialect.quote) and any(
        record.text.startswith(dialect.quote) or opening in record.text for record in found
    )


def _prose(rows: Sequence[Sequence[str]]) -> bool:
    """Whether nearly all cells are words: a blank between them parts no columns."""
    kinds = Counter(kind(cell) for row in rows for cell in row)
    return kinds["w"] + kinds["x"] > 0.8 * kinds.total()


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """The number of cells that most rows have; of two, the larger speaks more."""
    counts = Counter(len(row) for row in rows)
    return max(counts, key=lambda width: (counts[width] * (width - 0.9) / width, width))


def score_rows(rows: Sequence[Sequence[str]]) -> float:
    """Pattern score times type score."""
    counts = Counter(len(row) for row in rows)
    width = usual_width(rows)
    if width == 1:
        return 0.0
    tables = _other_tables(rows, width)
    regular = (counts[width] + tables.total()) / len(rows)
    near = sum(
        count - tables[other] for other, count in counts.items() if abs(other - width) == 1
    ) / len(rows)
    pattern = max(regular + 0.2 * near, _among_titles(rows)) ** 2 * (width - 1) / width
    scores = [sum(map(likeness, row)) / len(row) for row in rows if len(row) == width]
    return pattern * sum(scores) / len(scores) * _column_unity(rows, width)


def _among_titles(rows: Sequence[Sequence[str]]) -> float:
    """How regular the rows are apart from lines of one cell before, between and after tables.

    Nothing unless every other row stands in a table of rows of its own width.
    """
    runs = [(size, sum(1 for _ in run)) for size, run in groupby(map(len, rows))]
    tables = [run for run in runs if run[0] > 1]
    singles = len(rows) - sum(count for _, count in tables)
    wide = max((size for size, _ in tables), default=0)
    if not singles or singles > _TITLE_LINES * len(tables):
        return 0.0
    if any(count < 3 for _, count in tables):
        return 0.0
    if wide == 2 and len(rows) < 4 * singles:
        return 0.0
    return 0.95 if len(tables) == 1 else 0.8


def _score_of_words(found: Sequence[Record], dialect: Dialect) -> float:
    """The score of rows parted by blanks that also hold texts of several words without quotes.

    The first row tells how many columns there are. The rows with as many cells tell what the
    columns hold, which must tell for each of the others which of its words are one cell.
    """
    width = len(found[0].cells)
    regular = [record.cells for record in found[1:] if len(record.cells) == width]
    others = [record for record in found[1:] if len(record.cells) != width]
    if width < 3 or not others or len(regular) < max(_TABLE_ROWS, 0.2 * len(found)):
        return 0.0
    profile = Profile(regular, width)
    if sum(bool(column.typed) for column in profile.columns) < 2:
        return 0.0
    tried = others[:: max(1, len(others) // _WORDS_TRIED)]
    told = sum(
        profile.realigned(record.cells, " ", quoted=quoted_cells(record, dialect)) is not None
        for record in tried
    ) / len(tried)
    if told < 0.8:
        return 0.0
    share = (len(regular) + told * len(others)) / (len(found) - 1)
    scores = [sum(map(likeness, row)) / width for row in regular]
    pattern = share**2 * (width - 1) / width
    return pattern * sum(scores) / len(scores) * _column_unity([found[0].cells, *regular], width)


def _other_tables(rows: Sequence[Sequence[str]], width: int) -> Counter[int]:
    """Rows by their width, of those that follow one another in a width of their own.

    A second table is no evidence against the separator, where chance makes no such runs.
    """
    runs = [(size, sum(1 for _ in run)) for size, run in groupby(map(len, rows))]
    found: Counter[int] = Counter()
    for size, count in runs:
        if size not in {1, width} and count >= max(_TABLE_ROWS, 0.1 * len(rows)):
            found[size] += count
    return found


def _column_unity(rows: Sequence[Sequence[str]], width: int) -> float:
    """Columns whose cells are of one kind speak for a dialect: from 0.8 to 1."""
    body = [row for row in rows[1:] if len(row) == width]
    if len(body) < 4:
        return 1.0
    unity = 0.0
    for place in range(width):
        kinds = Counter(kind(row[place]) for row in body)
        kinds.pop(" ", None)
        unity += max(kinds.values()) / sum(kinds.values()) if kinds else 1.0
    return 0.8 + 0.2 * unity / width


def _single_column(sample: Sequence[str], text: str) -> Dialect:
    quoted = any(map(_QUOTED_START.fullmatch, (line.strip("\ufeff\r\n\x1e ") for line in sample)))
    return Dialect(delimiter="", quote='"' if quoted else "", width=1)


def _single_column_score(sample: Sequence[str]) -> float:
    if not sample:
        return 1.0
    cells = [line.strip("\ufeff\r\n\x1e ").strip('"') for line in sample]
    shared = [  # in titles too: it separates
        mark
        for mark, titles in _TITLES.items()
        if mark in cells[0] or any(map(titles.fullmatch, cells))
    ]
    known = sum(
        kind(cell) in "ndta" and "\t" not in cell and not any(mark in cell for mark in shared)
        for cell in cells
    ) / len(cells)
    simple = sum(re.fullmatch(r"[\w.-]+( [\w.-]+)?", cell) is not None for cell in cells)
    return max(0.15, 0.75 * known, 0.35 * simple / len(cells))
