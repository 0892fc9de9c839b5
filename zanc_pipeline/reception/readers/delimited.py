"""Delimited text: rows of cells between separators, quoted where a cell holds the separator.

A quote opens a cell only as its first character and closes it only before a separator or the end
of the line. A quoted cell may hold line breaks, but only where joining the lines gives exactly the
expected number of cells: a stray quote costs its own line and never swallows the following ones.
"""

from __future__ import annotations

import io
from array import array
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.byte_cells import ByteCells, Bytes, Mask
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.reception.columns import decoded, has_blank_ends, trimmed
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import ColumnField, DelimitedLayout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch, Chunk, Integers, Lazy, broken_row, chunks
from zanc_pipeline.reception.readers.pattern import Finder
from zanc_pipeline.reception.readers.quotes import MAX_JOINED_LINES, QuotedRows, split_line
from zanc_pipeline.reception.readers.tokens import Tokens

_NOTHING = "\x1a\x00 \t"


def read_delimited(layout: DelimitedLayout, path: Path) -> Iterator[Batch]:
    """Batches of a delimited file; columns are found by their titles, in any order.

    Raises FileRejected when the header lacks a column, has one unknown or one twice.
    """
    before = layout.preamble
    titles: list[str] | None = None
    finder: Finder | None = None
    carried: Chunk | None = None
    for chunk, last in _with_last(
        chunks(path, layout.encoding, must_end_with_newline=layout.ends_with_newline)
    ):
        whole = _without_mark(chunk) if carried is None else _joined(carried, chunk)
        first = 0
        if titles is None:
            titles, first, before = _titles(whole, layout, before)
            if titles is None:
                carried = None
                continue
        if finder is None:
            quote = _byte(layout.quote)
            plain = layout.quote.isascii()
            finder = Finder(len(titles), _byte(layout.delimiter) if plain else None, quote)
        piece = _Piece(whole, layout, titles, finder, first=first, last=last)
        yield piece.batch()
        carried = piece.rest()


def _with_last(every: Iterator[Chunk]) -> Iterator[tuple[Chunk, bool]]:
    held: Chunk | None = None
    for chunk in every:
        if held is not None:
            yield held, False
        held = chunk
    if held is not None:
        yield held, True


def _without_mark(chunk: Chunk) -> Chunk:
    """The chunk without the byte order mark that may start a file."""
    if chunk.offset or not chunk.body[: len(BOM_UTF8)].tobytes().startswith(BOM_UTF8):
        return chunk
    return Chunk.of(chunk.data[len(BOM_UTF8) :], offset=len(BOM_UTF8), line=chunk.line)


def _joined(first: Chunk, second: Chunk) -> Chunk:
    return Chunk.of(first.data + second.data, offset=first.offset, line=first.line)


class _Piece:
    """Some whole lines of a file, cut into rows."""

    def __init__(
        self,
        chunk: Chunk,
        layout: DelimitedLayout,
        titles: list[str],
        finder: Finder,
        *,
        first: int,
        last: bool,
    ) -> None:
        self._chunk, self._layout, self._titles = chunk, layout, titles
        tokens = finder.find(chunk)
        self._tokens = tokens
        self._lines = _Lines(chunk.body, tokens.line_starts, tokens.line_ends, layout.encoding)
        self._end = max(self._before_footer(), first)
        self._last = last
        self._careful: list[Row] = []
        self._broken = array("q")
        self._why = array("q")
        taken = self._read_with_care(first)
        if taken.any() and not isinstance(tokens, Tokens):
            tokens = finder.search(chunk)
        self._clean = tokens.without(taken) if isinstance(tokens, Tokens) else tokens
        finder.learn(self._clean)

    def batch(self) -> Batch:
        """The rows of the piece, in the order of their lines."""
        clean, layout = self._clean, self._layout
        careful = np.array([row.index for row in self._careful], dtype=np.int64)
        lines = np.concatenate((clean.clean, careful))
        order = np.argsort(lines, kind="stable") if len(careful) else None
        if order is not None:
            lines = lines[order]
        columns = Lazy(
            {title: partial(self._column, place, order) for place, title in enumerate(self._titles)}
        )
        raw: dict[str, Callable[[], ByteCells]] = {}
        if order is None:
            places = {title: place for place, title in enumerate(self._titles)}
            raw = {
                field.name: partial(clean.cells, places[key])
                for field in layout.fields
                if (key := title_of(field, layout)) in places and not has_ddd(field)
            }
        return Batch(
            line=lines + self._chunk.line,
            offset=clean.line_starts[lines] + self._chunk.offset,
            cells=Lazy(
                {
                    field.name: partial(_field_cells, field, layout, columns)
                    for field in layout.fields
                }
            ),
            broken=_Broken(self._chunk, self._lines, self._broken, self._why, self._expected()),
            raw=Lazy(raw),
            encoding=layout.encoding,
        )

    def _expected(self) -> str:
        """What a line with another number of cells is told."""
        where = "o cabeçalho" if self._layout.header else "a primeira linha"
        return (
            f"{where} tem {len(self._titles)}: talvez um texto traga '{self._layout.delimiter}' "
            "sem aspas, ou a linha foi cortada; corrija ou peça ao credor"
        )

    def rest(self) -> Chunk | None:
        """The last lines, when they belong to what comes after."""
        if self._end == len(self._lines):
            return None
        at = int(self._tokens.line_starts[self._end])
        return Chunk.of(
            self._chunk.body[at:].tobytes(),
            offset=self._chunk.offset + at,
            line=self._chunk.line + self._end,
        )

    def _column(self, place: int, order: Integers | None) -> pa.Array:
        texts = self._clean.texts(place)
        if texts.type != pa.string():
            texts = decoded(texts, self._layout.encoding)
        if order is None:
            return trimmed(texts) if has_blank_ends(texts) else texts
        careful = pa.array([row.cells[place] for row in self._careful], type=pa.string())
        return trimmed(pa.concat_arrays([texts, careful]).take(pa.array(order)))

    def _before_footer(self) -> int:
        """How many lines stand before those that are, or may yet be, the footer."""
        left, end = self._layout.footer, len(self._lines)
        while left and end:
            end -= 1
            left -= bool(self._lines[end].strip(_NOTHING))
        return end

    def _read_with_care(self, first: int) -> Mask:
        """Read the lines that are not clean; which of all lines are no clean row of their own."""
        clean = np.zeros(len(self._lines), dtype=np.bool_)
        clean[self._tokens.clean] = True
        taken = np.zeros(len(self._lines), dtype=np.bool_)
        taken[:first] = True
        quoted = QuotedRows(self._lines, self._end, self._layout.delimiter, self._layout.quote)
        empty = self._tokens.line_ends == self._tokens.line_starts
        next_line = first
        for index in np.flatnonzero(~clean & ~empty).tolist():
            if index < next_line or index >= self._end:
                continue
            cells, count, broken = self._row(index, quoted)
            if count == 0:
                self._end = index
                break
            next_line = index + count
            taken[index:next_line] = True
            if cells is not None:
                self._careful.append(Row(index=index, cells=cells))
            elif broken is not None:
                self._broken.append(index)
                self._why.append(broken)
        taken[self._end :] = True
        return taken

    def _row(self, index: int, quoted: QuotedRows) -> tuple[list[str] | None, int, int | None]:
        """The cells of the row at a line, how many lines it takes, and what is wrong with it.

        That is the number of its cells, or -1 for a quote that does not close. No line is taken
        when the row may go on in the next piece.
        """
        line, width = self._lines[index], len(self._titles)
        if not line.strip(_NOTHING):
            return None, 1, None
        cells = split_line(line, self._layout.delimiter, self._layout.quote)
        if cells is not None:
            return (cells, 1, None) if len(cells) == width else (None, 1, len(cells))
        cells, count = quoted.row(index, width)
        if cells is not None:
            return cells, count, None
        goes_on = not count and index + MAX_JOINED_LINES > self._end and not self._last
        return None, 0 if goes_on else 1, -1


class _Lines(Sequence[str]):
    """The lines of a chunk as text, each decoded when it is asked for."""

    def __init__(self, data: Bytes, starts: Integers, ends: Integers, encoding: str) -> None:
        self._data, self._starts, self._ends, self._encoding = data, starts, ends, encoding

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        raw = self._data[self._starts[index] : self._ends[index]].tobytes()
        return raw.decode(self._encoding, "replace").rstrip("\r")

    def start(self, index: int) -> int:
        """The byte where a line starts."""
        return int(self._starts[index])


class _Broken(Sequence[RejectedRow]):
    """Lines without the right number of cells; each is made when it is looked at."""

    def __init__(
        self, chunk: Chunk, lines: _Lines, indices: array[int], why: array[int], expected: str
    ) -> None:
        self._chunk, self._lines, self._expected = chunk, lines, expected
        self._indices, self._why = indices, why

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: int) -> RejectedRow:  # type: ignore[override]
        index, cells = self._indices[place], self._why[place]
        problem = (
            "há aspas que abrem e não fecham: corrija a linha ou peça ao credor"
            if cells < 0
            else f"a linha tem {cells} colunas e {self._expected}"
        )
        return broken_row(
            self._chunk.line + index,
            self._chunk.offset + self._lines.start(index),
            self._lines[index],
            problem,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row cut out of lines: ``index`` is its first line, from 0."""

    index: int
    cells: list[str]


def _byte(mark: str) -> int | None:
    """A mark of one ASCII character: it is no part of another one in any encoding of ours."""
    return ord(mark) if len(mark) == 1 and mark.isascii() else None


def _titles(
    chunk: Chunk, layout: DelimitedLayout, before: int
) -> tuple[list[str] | None, int, int]:
    """The titles of the columns, the line where the data starts, and lines still to be skipped.

    There are no titles in lines of blanks alone: they come with the next chunk. Without a header
    the columns are named by their numbers, and the first row says how many there are.
    """
    for index, raw in enumerate(io.BytesIO(chunk.data)):
        if before:
            before -= 1
            continue
        line = raw.decode(layout.encoding, "replace").rstrip("\n").rstrip("\r")
        if not line.strip(_NOTHING):
            continue
        cells = split_line(line, layout.delimiter, layout.quote) or [line]
        if layout.header:
            titles = [cell.strip() for cell in cells]
            check_titles(titles, layout.fields, layout.ignored)
            return titles, index + 1, 0
        titles = [str(place + 1) for place in range(len(cells))]
        _check_positions(len(cells), layout)
        return titles, index, 0
    return None, 0, before


def _check_positions(count: int, layout: DelimitedLayout) -> None:
    wanted = max(max(field.position or 0, field.ddd_position or 0) for field in layout.fields)
    if wanted > count:
        raise FileRejected(
            f"a primeira linha tem {count} colunas e o layout usa a de número {wanted}: confirme "
            "com o credor se o layout mudou e, se mudou, atualize o layout e reprocesse"
        )


def check_titles(
    titles: Sequence[str], fields: Sequence[ColumnField], ignored: Sequence[str]
) -> None:
    """Raise FileRejected unless the header has exactly the columns of the layout, in any order."""
    wanted = [field.title for field in fields]
    wanted += [field.ddd_column for field in fields if field.ddd_column]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    missing = [title for title in wanted if title not in titles]
    unknown = [title for title in titles if title not in wanted and title not in ignored]
    if not set(titles) & set(wanted):
        # The first line may be a row of data: its personal cells are not repeated here.
        raise FileRejected(
            f"a primeira linha não é o cabeçalho do layout ({', '.join(wanted[:5])}, …): o "
            "cabeçalho ou o layout mudou; confirme com o credor"
        )
    problems = [
        f"{what}: {', '.join(repr(mask_text(title[:40])) for title in found[:10])}"
        for what, found in (
            ("faltam as colunas", missing),
            ("há colunas que o layout não conhece", unknown),
            ("há colunas repetidas", twice),
        )
        if found
    ]
    if problems:
        raise FileRejected(
            f"o cabeçalho não é o do layout ({'; '.join(problems)}): confirme com o credor se o "
            "layout mudou e, se mudou, atualize o layout e reprocesse"
        )


def title_of(field: ColumnField, layout: DelimitedLayout) -> str:
    """The name of a field's column: its title, or its number in a file without a header."""
    return field.title if layout.header else str(field.position)


def has_ddd(field: ColumnField) -> bool:
    """Whether a phone's DDD stands in a column of its own."""
    return field.ddd_column is not None or field.ddd_position is not None


def _field_cells(field: ColumnField, layout: DelimitedLayout, columns: Lazy[pa.Array]) -> pa.Array:
    ddd = field.ddd_column if layout.header else field.ddd_position
    return _with_ddd(
        columns[title_of(field, layout)], columns[str(ddd)] if ddd is not None else None
    )


def field_cells(field: ColumnField, columns: dict[str, pa.Array]) -> pa.Array:
    """The texts of a field; a DDD of its own column goes before the phone, with a mark between."""
    ddd = trimmed(columns[field.ddd_column]) if field.ddd_column is not None else None
    return _with_ddd(trimmed(columns[field.title]), ddd)


def _with_ddd(cells: pa.Array, ddd: pa.Array | None) -> pa.Array:
    return cells if ddd is None else pc.binary_join_element_wise(ddd, cells, DDD_MARK)
