"""Cells of a line between separators, and rows that go on over lines while a quote is open.

A quote opens a cell only as its first character and closes it only before a separator or the end
of the line.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_JOINED_LINES = 50


def split_line(text: str, delimiter: str, quote: str) -> list[str] | None:
    """The cells of one record, or None when a quote opens and does not close."""
    cells, still_open = _pieces(text, delimiter, quote)
    return None if still_open else cells


class QuotedRows:
    """Rows whose quotes are still open at the end of their first line.

    They are asked for in the order of their lines, those before line ``end``. However many do not
    close, every line is looked at twice at most.
    """

    def __init__(self, lines: Sequence[str], end: int, delimiter: str, quote: str) -> None:
        self._lines, self._end = lines, end
        self._marks = (delimiter, quote)
        self._first = self._next = 0
        self._begun: list[int] = []
        self._closing = -1

    def row(self, index: int, width: int) -> tuple[list[str] | None, int]:
        """The ``width`` cells of the row that starts at a line, and how many lines it has.

        None when it has another number of them; no line when its quote does not close within
        ``MAX_JOINED_LINES``.
        """
        begun = len(_pieces(self._lines[index], *self._marks)[0])
        if index >= self._next:
            self._first = self._next = index + 1
            self._begun = []
        most = min(self._end, index + MAX_JOINED_LINES)
        while self._closing <= index and self._next < most:
            self._look()
        if not index < self._closing < most:
            return None, 0
        begun += self._begun[self._closing - self._first]
        if index >= self._first:
            begun -= self._begun[index - self._first]
        count = self._closing - index + 1
        return (self._joined(index, count) if begun == width else None), count

    def _look(self) -> None:
        """See how many cells begin in the next line when a quote is open before it, and if it ends.

        They are added to those of the lines before it.
        """
        pieces, still_open = _pieces(self._lines[self._next], *self._marks, opened=True)
        self._begun.append(len(pieces) - 1 + (self._begun[-1] if self._begun else 0))
        if not still_open:
            self._closing = self._next
        self._next += 1

    def _joined(self, index: int, count: int) -> list[str]:
        cells: list[str] = []
        for line in range(index, index + count):
            opened = bool(cells)
            pieces, _ = _pieces(self._lines[line], *self._marks, opened=opened)
            if opened:
                cells[-1] = f"{cells[-1]}\n{pieces.pop(0)}"
            cells += pieces
        return cells


def _pieces(
    text: str, delimiter: str, quote: str, *, opened: bool = False
) -> tuple[list[str], bool]:
    """The cells that a line holds, and whether a quote is open at its end.

    With ``opened``, the first is the rest of a cell whose quote opened in a line before; the last
    goes on when a quote is open.
    """
    if not opened and (not quote or quote not in text):
        return text.split(delimiter), False
    cells: list[str] = []
    position = 0
    while True:
        if not opened:
            if not text.startswith(quote, position):
                stop = text.find(delimiter, position)
                if stop < 0:
                    cells.append(text[position:])
                    return cells, False
                cells.append(text[position:stop])
                position = stop + len(delimiter)
                continue
            position += 1
        stop = _closing_quote(text, position, delimiter, quote)
        inner = text[position:stop] if stop >= 0 else text[position:]
        cells.append(inner.replace(quote * 2, quote))
        if stop < 0:
            return cells, True
        opened, position = False, stop + 1
        if position == len(text):
            return cells, False
        position += len(delimiter)


def _closing_quote(text: str, position: int, delimiter: str, quote: str) -> int:
    while True:
        position = text.find(quote, position)
        if position < 0:
            return -1
        if text.startswith(quote, position + 1):
            position += 2
        elif position + 1 == len(text) or text.startswith(delimiter, position + 1):
            return position
        else:
            position += 1  # a quote in the middle of a quoted text, not doubled: part of the text
