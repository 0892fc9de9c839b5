"""Columns of a text without separators, found where every line is blank at the same places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from zanc_pipeline.reception.cut import Record
from zanc_pipeline.reception.textlines import is_blank, without_end
from zanc_pipeline.reception.values import OTHER, WORDS, kind

_BLANKS = re.compile(r"\s+")
MIN_LINES = 4
MAX_LINE = 4_000
MAX_TITLES = 4


@dataclass(frozen=True, slots=True)
class Gap:
    """Places from ``low`` up to ``high`` that are blank in every line of the sample.

    Later lines may hold longer values: each is cut where it is blank within the gap.
    """

    low: int
    high: int


def blank_gaps(sample: Sequence[str]) -> list[Gap]:
    """The gaps between columns, when they are not ambiguous; else nothing.

    A gap is blank in every line. A gap of one blank counts only beside a column of values
    (numbers, dates, codes): words are parted by blanks too.
    """
    lines = [without_end(line).expandtabs(1) for line in sample if not is_blank(line)]
    found = _gaps_of(lines)
    titles: set[str] = set()
    for line in lines[:MAX_TITLES]:  # they may stand on each page, across the columns
        titles.add(_form(line))
        rest = [other for other in lines if _form(other) not in titles]
        if len(rest) < 0.6 * len(lines):
            break
        gaps = _gaps_of(rest)
        if len(gaps) > len(found) and all(_filled(rest, gap) >= 0.3 * len(rest) for gap in gaps):
            found = gaps
    return found


def _filled(lines: Sequence[str], gap: Gap) -> int:
    """How many lines go on after a gap."""
    return sum(bool(line[gap.high :].strip()) for line in lines)


def _form(line: str) -> str:
    return re.sub(r"\d+", "9", " ".join(line.split()))


def _gaps_of(lines: Sequence[str]) -> list[Gap]:
    if len(lines) < MIN_LINES or max(map(len, lines)) > MAX_LINE:
        return []
    usual = sorted(map(len, lines))[len(lines) // 2]
    body = [line for line in lines if len(line) > usual * 0.5]
    if len(body) < max(MIN_LINES, len(lines) * 0.8):
        return []
    width = max(map(len, body))
    padded = [line.ljust(width) for line in body]
    blank = [all(char in " \u00a0" for char in chars) for chars in zip(*padded, strict=True)]
    if all(blank):
        return []
    text = blank.index(False)
    starts = [0]
    starts += [p for p in range(text + 1, width) if blank[p - 1] and not blank[p]]
    return _proved(padded, starts, blank)


def blank_records(lines: Iterable[str], gaps: Sequence[Gap]) -> Iterator[Record]:
    """The lines cut at the gaps; one with text across a gap is a single cell."""
    number, blank = 0, False
    for raw in lines:
        number += 1
        if is_blank(raw):
            blank = True
            continue
        text = without_end(raw)
        flat = text.expandtabs(1)
        cuts = [_cut_place(flat, gap) for gap in gaps]
        cells = [text.strip()]
        if -1 not in cuts:
            edges = pairwise([0, *cuts, len(flat)])
            cells = [flat[start:end].strip() for start, end in edges]
        yield Record(cells=cells, line=number, text=text, after_blank=blank)
        blank = False


def _cut_place(line: str, gap: Gap) -> int:
    """The end of the longest blank in the gap; -1 when there is none."""
    between = line[gap.low : gap.high]
    if not between or between.isspace():
        return gap.high
    longest = max(_BLANKS.finditer(between), key=lambda run: len(run.group()), default=None)
    return gap.low + longest.end() if longest else -1


def _proved(lines: Sequence[str], starts: list[int], blank: Sequence[bool]) -> list[Gap]:
    if len(starts) < 2:
        return []
    spans = list(zip(starts, [*starts[1:], len(blank)], strict=True))
    wide = any(blank[start - 1] and blank[start - 2] for start in starts if start > 1)
    kept = [0]
    for (left, start), (_, end) in pairwise(spans):
        gap = sum(blank[place] for place in range(left, start))
        single = not blank[start - 2] if start >= 2 else True
        # ``item 7`` is one text where other columns stand well apart
        words = _words(lines, left, start) and (wide or _words(lines, start, end))
        filled = sum(bool(line[start:end].strip()) for line in lines)
        if (single and gap == 1 and words) or (
            filled < 0.3 * len(lines) and not lines[0][start:end].strip()
        ):
            continue
        kept.append(start)
    gaps = []
    for start in kept[1:]:
        low = start
        while blank[low - 1]:
            low -= 1
        gaps.append(Gap(low, start))
    return gaps


def _words(lines: Sequence[str], start: int, end: int) -> bool:
    cells = [line[start:end].strip() for line in lines[1:]]
    filled = [cell for cell in cells if cell]
    return sum(kind(cell) in {WORDS, OTHER} for cell in filled) >= 0.3 * len(filled)
