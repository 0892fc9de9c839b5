"""The table in a delimited text that nobody described.

The first lines tell the dialect and where the table starts; then the text is read twice, never
held: once to learn how wide it is and what is wrong with it, once for the rows. A small text is
read once.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.reception.blanks import Gap, blank_gaps, blank_records
from zanc_pipeline.reception.cut import Dialect, Record, records
from zanc_pipeline.reception.detect import (
    SAMPLE_LINE_CHARS,
    SAMPLE_LINES,
    detect_scored,
    sample_of,
    score_rows,
    usual_width,
)
from zanc_pipeline.reception.profile import Profile
from zanc_pipeline.reception.repairs import Findings
from zanc_pipeline.reception.structure import Start, body, find_start, is_ruler
from zanc_pipeline.reception.textlines import Source, is_blank, source_of

HEAD_CHARS = 4 * 1024 * 1024
MIN_BLANK_SCORE = 0.3
MIN_WRAPPED_SCORE = 0.5
MIN_GAIN = 1.1  # how much better lines are that end in CRLF alone
SMALL_BYTES = 16 * 1024 * 1024
T = TypeVar("T")
_EXCEL_TEXT = re.compile(r'="([^"]*)"', re.DOTALL)
_WRAPPED = re.compile(r'"((?:[^"]|"")*)"(\s*)')
_SEP_LINE = re.compile(r"\ufeff?sep=.{1,3}\s*", re.IGNORECASE)
_TOLD = {
    "narrow": "com células de menos: completadas com vazio no fim; conferir",
    "wide": "com células de mais: nada foi cortado, há colunas a mais no fim; conferir",
    "empty_surplus": "com separadores a mais no fim, sem conteúdo: sobras retiradas",
    "realigned_wide": "com separador a mais: cada célula de volta à sua coluna; conferir",
    "realigned_narrow": "com separador a menos: cada célula de volta à sua coluna; conferir",
    "other_separator": "com outro separador, cortadas por ele; conferir",
    "quotes": "com aspas soltas, tidas como parte do texto; conferir",
    "joined": "quebradas em duas: unidas de novo; conferir",
    "other_table": "de outra tabela no mesmo arquivo: mantidas abaixo da primeira; conferir",
    "pages": "de outras páginas (título, número, cabeçalho de novo): fora da tabela",
    "footer": "no fim, sem dados (rodapé): fora da tabela",
}


@dataclass(kw_only=True)
class Table:
    """Titles and rows as text; ``notes`` say what was found, ``lost`` counts lines left out."""

    header: list[str]
    rows: Iterable[list[str]]
    notes: list[str] = field(default_factory=list)
    lost: int = 0


def table_of(data: bytes) -> Table:
    """The table in the bytes of a delimited text."""
    return _table(source_of(lambda: io.BytesIO(data)), small=len(data) <= SMALL_BYTES)


def table_in(path: Path) -> Table:
    """The table in a delimited text file; its rows are read while they are taken."""
    return _table(source_of(lambda: path.open("rb")), small=path.stat().st_size <= SMALL_BYTES)


def _table(source: Source, *, small: bool) -> Table:
    lines = list(_bounded(source.lines(), SAMPLE_LINES * 4, len))
    if not any(map(_content, lines)) and not any(map(_content, source.lines())):
        return Table(header=[], rows=[], notes=["o arquivo está vazio"])
    reading = _reading(source, lines)
    head = list(_bounded(reading.records(), SAMPLE_LINES, lambda record: len(record.text)))
    if not head:  # drawn lines are all there is
        reading.keeps_rulers = True
        head = list(_bounded(reading.records(), SAMPLE_LINES, lambda record: len(record.text)))
    start = find_start(head, reading.dialect)
    tidy = _Tidy.learn(start.profile, head[start.skipped :], reading.dialect)
    found = Findings()
    kept: list[list[str]] = []
    survey = _Survey()
    for row in reading.rows(start, found):
        clean = tidy.row(row)
        survey.see(clean)
        if small:
            kept.append(clean)
    width = max(survey.width, len(start.titles), 1 if survey.rows else 0)
    titles = list(start.titles) if start.titles else []
    named = bool(titles)
    if not named:
        titles = [f"coluna_{place}" for place in range(1, width + 1)]
    first, last = survey.edges(titles if named else [], width)
    titles += [f"coluna_{place}" for place in range(len(titles) + 1, width + 1)]
    notes = _notes(reading, start, found, tidy, survey)
    if not named:
        notes.append("não há cabeçalho: as colunas foram numeradas")
    if named and len(start.titles) < reading.dialect.width:
        notes.append(
            f"o cabeçalho tem {len(start.titles)} títulos para {reading.dialect.width} colunas: "
            "conferir se cada título está sobre a sua coluna"
        )
    if (dropped := first + width - last) > 0:
        notes.append(f"{dropped} colunas sem título e sem nenhum conteúdo, nas bordas: retiradas")
    rows: Iterable[list[str]] = (
        _Padded(lambda: iter(kept), width, first, last)
        if small
        else _Padded(lambda: map(tidy.row, reading.rows(start, Findings())), width, first, last)
    )
    return Table(header=titles[first:last], rows=rows, notes=notes)


def _bounded(items: Iterable[T], count: int, size: Callable[[T], int]) -> Iterator[T]:
    """The first items: at most so many, and not many more characters than a sample needs."""
    total = 0
    for item in islice(items, count):
        yield item
        total += size(item)
        if total > HEAD_CHARS:
            return


class _Reading:
    """A source with the way to cut it."""

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        gaps: Sequence[Gap],
        skip: int,
        *,
        wrapped: bool = False,
    ) -> None:
        self.source = source
        self.dialect = dialect
        self.gaps = gaps
        self.skip = skip
        self.wrapped = wrapped
        self.rulers = 0
        self.keeps_rulers = False

    def records(self) -> Iterator[Record]:
        lines: Iterator[str] = islice(self.source.lines(), self.skip, None)
        lines = map(_unwrapped, lines) if self.wrapped else lines
        cut = blank_records(lines, self.gaps) if self.gaps else records(lines, self.dialect)
        self.rulers = 0
        for record in cut:
            if is_ruler(record) and not self.keeps_rulers:
                self.rulers += 1
            else:
                yield record

    def rows(self, start: Start, found: Findings) -> Iterator[list[str]]:
        following = islice(self.records(), start.skipped, None)
        return body(following, self.dialect, start, found)


def _reading(source: Source, lines: Sequence[str]) -> _Reading:
    ends = {line[-2:] == "\r\n" for line in lines if line.endswith("\n")}
    if len(ends) == 2:
        strict = replace(source, separator="\r\n")
        joined = list(_bounded(strict.lines(), SAMPLE_LINES * 4, len))
        if detect_scored(joined)[1] > detect_scored(lines)[1] * MIN_GAIN:
            return _reading(strict, joined)
    skip = 1 if _SEP_LINE.fullmatch(lines[0]) else 0
    dialect, score = detect_scored(lines)
    if not dialect.delimiter and dialect.quote:
        inner, worth = detect_scored([_unwrapped(line) for line in lines])
        if inner.width > 2 and worth > max(score, MIN_WRAPPED_SCORE):
            return _Reading(source, inner, (), skip, wrapped=True)
    if not (skip or _tabbed(lines)) and (dialect.delimiter != " " or _blank_runs(lines)):
        sample = sample_of(lines)
        gaps = blank_gaps(sample)
        cut = [record.cells for record in blank_records(sample, gaps)] if gaps else []
        sign = dialect.delimiter.strip()
        if cut and not _stands(sign, cut) and score_rows(cut) > max(score, MIN_BLANK_SCORE):
            fixed = Dialect(delimiter="", quote="", width=len(gaps) + 1)
            return _Reading(source, fixed, gaps, skip)
    if max(map(len, lines)) > SAMPLE_LINE_CHARS:  # the dialect was found in parts of lines
        whole = [record.cells for record in records(lines[skip:], replace(dialect, width=0))]
        dialect = replace(dialect, width=usual_width(whole))
    return _Reading(source, dialect, (), skip)


def _unwrapped(line: str) -> str:
    """A line that stands in quotes as a whole, as the row that it was before."""
    match = _WRAPPED.fullmatch(line)
    return match.group(1).replace('""', '"') + match.group(2) if match else line


def _tabbed(lines: Sequence[str]) -> bool:
    """Whether most lines have tabs: they part cells, blanks do not."""
    filled = [line for line in lines if not is_blank(line)]
    return sum("\t" in line.strip() for line in filled) > 0.5 * len(filled)


def _blank_runs(lines: Sequence[str]) -> bool:
    filled = [line for line in lines if not is_blank(line)]
    return sum("  " in line.strip() for line in filled) > 0.5 * len(filled)


def _stands(sign: str, rows: Sequence[Sequence[str]]) -> bool:
    """Whether a separator is the text of a column, or begins each of its cells."""
    columns = zip(*rows, strict=False)
    return bool(sign) and any(all(cell.startswith(sign) for cell in cells) for cells in columns)


def _content(line: str) -> bool:
    return bool(line.strip("\x1a\x00").strip())


class _Survey:
    """How wide the rows are, and which columns hold anything."""

    def __init__(self) -> None:
        self.rows = 0
        self.width = 0
        self._first = self._last = -1

    def see(self, row: Sequence[str]) -> None:
        self.rows += 1
        self.width = max(self.width, len(row))
        if self._first != 0:
            first = next((place for place, cell in enumerate(row) if cell), -1)
            if first >= 0:
                self._first = first if self._first < 0 else min(self._first, first)
        if self._last < self.width - 1:
            last = next((place for place in range(len(row) - 1, -1, -1) if row[place]), -1)
            self._last = max(self._last, last)

    def edges(self, titles: Sequence[str], width: int) -> tuple[int, int]:
        """The first column to keep and the one after the last.

        An empty column at an edge goes only where the header has an empty title for it: without
        that it may be a column that nobody filled.
        """
        if self._last < 0:
            return 0, width
        first, last = 0, width
        while first < self._first and first < len(titles) and not titles[first]:
            first += 1
        while last - 1 > self._last and last <= len(titles) and not titles[last - 1]:
            last -= 1
        return first, last


@dataclass(kw_only=True)
class _Tidy:
    """Takes the padding of the dialect off the cells, and Excel's ``="0012"`` off a text."""

    padded: frozenset[int]
    every: bool
    unwrapped: int = 0

    @classmethod
    def learn(cls, profile: Profile, rows: Sequence[Record], dialect: Dialect) -> _Tidy:
        width = dialect.width
        regular = [record.cells for record in rows if len(record.cells) == width]
        cells = [cell for row in regular for cell in row if cell.strip()]
        edged = sum(cell != cell.strip(" ") for cell in cells)
        every = len(cells) >= 4 and edged >= 0.9 * len(cells)
        padded = frozenset(
            place for place in range(width) if _one_size([row[place] for row in regular])
        )
        return cls(padded=padded, every=every)

    def row(self, row: list[str]) -> list[str]:
        if self.every:
            row = [cell.strip(" ") for cell in row]
        elif self.padded:
            row = [
                cell.strip(" ") if place in self.padded else cell for place, cell in enumerate(row)
            ]
        if any(cell.startswith('="') for cell in row):
            row = [self._unwrapped(cell) for cell in row]
        return row

    def _unwrapped(self, cell: str) -> str:
        match = _EXCEL_TEXT.fullmatch(cell)
        if match is None:
            return cell
        self.unwrapped += 1
        return match.group(1)


def _one_size(cells: Sequence[str]) -> bool:
    """Whether a column is filled up with blanks to one size."""
    return (
        len(cells) >= 4
        and len({len(cell) for cell in cells}) == 1
        and any(cell != cell.strip(" ") for cell in cells)
    )


@dataclass(frozen=True)
class _Padded:
    """Rows of one width, as often as they are asked for."""

    rows: Callable[[], Iterator[list[str]]]
    width: int
    first: int
    last: int

    def __iter__(self) -> Iterator[list[str]]:
        for row in self.rows():
            if len(row) < self.width:
                row = [*row, *[""] * (self.width - len(row))]
            yield row[self.first : self.last]


def _lines(count: int) -> str:
    return "1 linha" if count == 1 else f"{count} linhas"


def _notes(
    reading: _Reading,
    start: Start,
    found: Findings,
    tidy: _Tidy,
    survey: _Survey,
) -> list[str]:
    dialect, source = reading.dialect, reading.source
    cut = repr(dialect.delimiter) if dialect.delimiter else "nenhum"
    if reading.gaps:
        cut = "nenhum (largura fixa, cortada onde todas as linhas têm espaço)"
    escape = f", escape {dialect.escape!r}" if dialect.escape else ""
    notes = [
        f"codificação {source.encoding}, separador {cut}, aspas {dialect.quote or 'nenhuma'}"
        f"{escape}, {dialect.width} colunas, {_lines(survey.rows)} de dados"
    ]
    if source.note:
        notes.append(source.note)
    if reading.skip:
        notes.append("a primeira linha diz o separador (sep=) e ficou de fora")
    if start.preamble:
        shown = mask_text(start.preamble[0].text.strip()[:60])
        notes.append(
            f"{_lines(len(start.preamble))} antes do cabeçalho, sem dados: fora da tabela "
            f"(linhas {start.preamble[0].line} a {start.preamble[-1].line}; a primeira: {shown!r})"
        )
    if source.separator == "\r\n":
        notes.append("só CRLF termina as linhas: as outras quebras ficaram dentro das células")
    if reading.wrapped:
        notes.append("cada linha veio inteira entre aspas: lida sem elas; conferir")
    if reading.rulers:
        notes.append(f"{_lines(reading.rulers)} só de traços: fora da tabela")
    if start.header_rows > 1:
        notes.append(f"o cabeçalho tem {start.header_rows} linhas: os títulos foram unidos")
    if start.mended:
        notes.append("o cabeçalho veio com outros separadores que as linhas: conferir os títulos")
    for what, text in _TOLD.items():
        if count := found.counts.get(what):
            places = ", ".join(map(str, found.lines[what]))
            more = ", …" if count > len(found.lines[what]) else ""
            notes.append(f"{_lines(count)} {text} (linha {places}{more})")
    if tidy.every or tidy.padded:
        notes.append("espaços que só completavam o tamanho das células foram retirados")
    if tidy.unwrapped:
        notes.append(f'{tidy.unwrapped} células na forma ="texto" do Excel: ficou só o texto')
    if dialect.width == 1 and not dialect.delimiter:
        notes.append("nenhum separador encontrado: o arquivo foi lido como uma coluna só")
    return notes
