"""What the columns of a table usually hold, and rows put right by it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zanc_pipeline.reception.values import EMPTY, TEXTS, TYPED, kind, shape

MARGIN = 1.5  # natural log: how much better than any other reading the chosen one must be
MAX_MOVED = 4
_WHOLE = 5.0  # how unlikely it is that a cell in quotes is a part of one
MAX_WIDTH = 400
MAX_GATHERED = 100_000  # cells that may be tried in putting the words of one row together
_EDGE = 40  # two values in one cell are parted near its start or its end


@dataclass
class Column:
    """Counts of what the cells of a column looked like."""

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)

    def see(self, cell: str) -> None:
        self.rows += 1
        self.kinds[kind(cell)] += 1
        self.shapes[shape(cell)] += 1
        self.sizes[len(cell).bit_length()] += 1
        if len(cell) <= 60:
            self.values[cell] += 1

    @property
    def typed(self) -> str:
        """The kind of nearly all filled cells when it is a typed one, else nothing."""
        filled = self.rows - self.kinds[EMPTY]
        if not filled:
            return ""
        found, count = max(
            ((kind, count) for kind, count in self.kinds.items() if kind != EMPTY),
            key=lambda pair: pair[1],
        )
        return found if found in TYPED and count >= 0.8 * filled else ""

    def fit(self, cell: str) -> float:
        """Log likelihood of a cell in this column."""
        total = self.rows + 1.0
        score = math.log((self.kinds[kind(cell)] + 0.05) / total)
        score += 0.5 * math.log((self.shapes[shape(cell)] + 0.2) / total)
        score += 0.5 * math.log((self.sizes[len(cell).bit_length()] + 0.2) / total)
        if (seen := self.values[cell]) > 1 and cell:
            score += math.log1p(seen)
        return score

    def proves(self, cell: str) -> bool:
        """Whether a cell has a shape or value that this column is known for."""
        if not cell.strip():
            return False
        if self.values[cell] > 1:
            return True
        return kind(cell) not in "wx" and self.shapes[shape(cell)] >= 0.3 * self.rows


class Profile:
    """The columns of a table, learnt from regular rows."""

    def __init__(self, rows: Iterable[Sequence[str]], width: int) -> None:
        self.columns = [Column() for _ in range(width)]
        self.rows = 0
        for row in rows:
            if len(row) == width:
                self.rows += 1
                for column, cell in zip(self.columns, row, strict=True):
                    column.see(cell)
        fits = sorted(self.fit(row) for row in rows if len(row) == width)
        self.least = fits[len(fits) // 50] - 3.0 * width if fits else 0.0

    def fit(self, row: Sequence[str]) -> float:
        """Log likelihood of a row of the right width."""
        return sum(column.fit(cell) for column, cell in zip(self.columns, row, strict=True))

    def belongs(self, row: Sequence[str]) -> bool:
        """Whether a row looks like those of the table."""
        return self.rows >= 4 and self.fit(row) >= self.least

    def realigned(
        self,
        cells: Sequence[str],
        delimiter: str,
        *,
        parted: Sequence[list[str]] = (),
        quoted: Sequence[bool] = (),
    ) -> list[str] | None:
        """A row with too many or too few cells in the right width; None when it is not unique.

        Too many: an empty cell is left out, or cells are one text that holds the separator. Too
        few: a cell is missing, or one holds two values that their columns prove. No text is lost.
        ``parted`` are further readings of a row with too few, in the right width; ``quoted`` tells
        which cells stood in quotes: each of those is likely a cell by itself.
        """
        width = len(self.columns)
        moved = len(cells) - width
        if self.rows < 4 or width > MAX_WIDTH or not 0 < abs(moved) <= MAX_MOVED:
            return None
        found = (
            self._narrower(cells, moved, delimiter, quoted)
            if moved > 0
            else self._wider(cells, -moved)
        )
        for turn, row in enumerate(parted):
            found.append((self.fit(row), 9 + width + 9 * turn, row))
        return _unique(found, self.least)

    def gathered(
        self, tokens: Sequence[str], quoted: Sequence[bool], separator: str
    ) -> list[str] | None:
        """Tokens put together again, in order, into cells that the columns are known for.

        A token that stood in quotes is a cell. None unless every column of values gets a value of
        its kind.
        """
        width = len(self.columns)
        if self.rows < 4 or len(tokens) ** 2 * width > MAX_GATHERED:
            return None
        best: dict[int, tuple[float, list[str]]] = {0: (0.0, [])}
        for column in self.columns:
            following: dict[int, tuple[float, list[str]]] = {}
            for start, (score, cells) in best.items():
                for end in range(start + 1, len(tokens) + 1):
                    if end > start + 1 and any(quoted[start:end]):
                        break
                    cell = separator.join(tokens[start:end])
                    total = score + column.fit(cell)
                    if end not in following or following[end][0] < total:
                        following[end] = (total, [*cells, cell])
            best = following
        score, cells = best.get(len(tokens), (-math.inf, []))
        typed = all(
            not column.typed or kind(cell) in {column.typed, EMPTY}
            for column, cell in zip(self.columns, cells, strict=False)
        )
        return cells if typed and cells and score >= self.least else None

    def _narrower(
        self, cells: Sequence[str], moved: int, delimiter: str, quoted: Sequence[bool]
    ) -> list[tuple[float, int, list[str]]]:
        width = len(self.columns)
        head, tail = self._fits(cells, 0), self._fits(cells, moved)
        found: dict[tuple[str, ...], tuple[float, int, list[str]]] = {}
        for place in range(width):
            rest = head[place] + tail[len(cells)] - tail[place + moved + 1]
            group = cells[place : place + moved + 1]
            filled = [cell for cell in group if cell]
            if len(filled) <= 1:
                merged, penalty = (filled or [""])[0], 0.0
            else:
                whole = any(quoted[place : place + moved + 1])
                merged, penalty = delimiter.join(group), _WHOLE if whole else 1.0
            typed = self.columns[place].typed
            if len(filled) > 1 and typed and kind(merged) != typed:
                continue  # a value and something else are no value
            score = rest + self.columns[place].fit(merged) - penalty
            row = [*cells[:place], merged, *cells[place + moved + 1 :]]
            key = tuple(row)
            if key not in found or found[key][0] < score:
                found[key] = (score, -9 - place * 9, row)
        return list(found.values())

    def _wider(self, cells: Sequence[str], missing: int) -> list[tuple[float, int, list[str]]]:
        head, tail = self._fits(cells, 0), self._fits(cells, -missing)
        found: list[tuple[float, int, list[str]]] = []
        for place in range(len(cells) + 1):
            gap = self.columns[place : place + missing]
            score = head[place] + sum(column.fit("") for column in gap)
            score += tail[len(cells)] - tail[place]
            row = [*cells[:place], *[""] * missing, *cells[place:]]
            found.append((score, place, row))
        if missing == 1:
            found += self._splits(cells, head, tail)
        return found

    def _splits(
        self, cells: Sequence[str], head: list[float], tail: list[float]
    ) -> list[tuple[float, int, list[str]]]:
        found = []
        for place, cell in enumerate(cells):
            left, right = self.columns[place], self.columns[place + 1]
            rest = head[place] + tail[len(cells)] - tail[place + 1]
            for cut in range(1, len(cell)):
                if _EDGE < cut < len(cell) - _EDGE:
                    continue
                if _parted(left, cell[:cut], right, cell[cut:]):
                    score = rest + left.fit(cell[:cut]) + right.fit(cell[cut:])
                    row = [*cells[:place], cell[:cut], cell[cut:], *cells[place + 1 :]]
                    found.append((score, -9 - place * 99 - cut * 9, row))
        return found

    def _fits(self, cells: Sequence[str], shift: int) -> list[float]:
        """Running sums of the fit of each cell in the column ``shift`` places before its own."""
        sums = [0.0]
        for place, cell in enumerate(cells):
            column = place - shift
            inside = 0 <= column < len(self.columns)
            sums.append(sums[-1] + (self.columns[column].fit(cell) if inside else 0.0))
        return sums


def _parted(left: Column, first: str, right: Column, second: str) -> bool:
    """Whether two texts that stand in one cell are, by themselves, values of their two columns.

    Each is proved by its column; or one is, and the other is of its column's kind, or a text that
    begins or ends where letters meet other characters.
    """
    proved = left.proves(first), right.proves(second)
    if all(proved):
        return True
    border = first[-1].isalpha() != second[0].isalpha() and not (
        first[-1].isspace() or second[0].isspace()
    )
    known = proved[0] or (border and bool(left.typed) and kind(first) == left.typed)
    if known and _of_kind(right, second, border=border and second[0].isalpha()):
        return True
    return proved[1] and _of_kind(left, first, border=border and first[-1].isalpha())


def _of_kind(column: Column, cell: str, *, border: bool) -> bool:
    return kind(cell) == column.typed if column.typed else border and kind(cell) in TEXTS


def _unique(found: list[tuple[float, int, list[str]]], least: float) -> list[str] | None:
    """The best reading when no other comes near; of two that differ only in which side of one
    cell the gap is, the left side keeps the cell."""
    if not found:
        return None
    found.sort(key=lambda entry: entry[0], reverse=True)
    score, place, row = found[0]
    near = [entry for entry in found[1:] if entry[0] > score - MARGIN]
    if score < least:
        return None
    if any(abs(entry[1] - place) > 1 for entry in near):
        return None
    return max([(place, row), *((entry[1], entry[2]) for entry in near)])[1]
