"""Rejected rows that a person corrected in a spreadsheet: read back, and put over the file's own.

A correction is not a file of its own: the original bytes are read again, and the corrected cells
take the place of those lines only. So whatever proves the file (totals, uniqueness, order) still
does, every value keeps its line, and a replay gives the same.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.cells import is_rewritten_number, unprotected
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import FieldSpec, Layout
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Batch

LINE = "linha"
PROBLEM_COLUMNS = ("campo", "problema")
ORIGINAL_LINE = "linha_original"
MAX_BYTES = 100 * 1024 * 1024
_MAX_CELL = 1024 * 1024
_DDD_KEYS = ("ddd_column", "ddd_position", "ddd_path", "ddd_start")
_DDD = re.compile(r"\(?0?(\d{2})\)?(?: +(.*))?", re.ASCII)

Rows = dict[int, dict[str, str]]


@dataclass(kw_only=True)
class Corrections:
    """Line → field → cell, as a person wrote it."""

    rows: Rows
    _missing: set[int] = field(default_factory=set)

    def over(self, layout: Layout, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches with the corrected lines in place of theirs; broken lines become rows.

        Raises FileRejected when a corrected line is not in the file.
        """
        self._missing = set(self.rows)
        lines = np.array(sorted(self.rows), dtype=np.int64)
        specs = {spec.name: spec for spec in layout.fields}
        for batch in batches:
            yield self._over(specs, lines, batch)
        if self._missing:
            raise FileRejected(
                f"a linha {min(self._missing)} do arquivo corrigido não é uma linha do original: "
                f"não mude a coluna '{LINE}'"
            )

    def _over(
        self, specs: Mapping[str, FieldSpec], lines: npt.NDArray[np.int64], batch: Batch
    ) -> Batch:
        mended = [row for row in batch.broken if row.line in self.rows]
        here = np.isin(batch.line, lines)
        if not here.any() and not mended:
            return batch
        keep = np.flatnonzero(~here)
        old = np.flatnonzero(here)
        own = np.concatenate((batch.line[old], [row.line for row in mended])).astype(np.int64)
        self._missing -= set(own.tolist())
        line = np.concatenate((batch.line[keep], own))
        offset = np.concatenate(
            (batch.offset[keep], batch.offset[old], [row.offset for row in mended])
        ).astype(np.int64)
        order = np.argsort(line, kind="stable")
        cells = {}
        for name in batch.cells:
            corrected = [_cell(specs[name], self.rows[number][name]) for number in own.tolist()]
            column = pa.concat_arrays(
                [batch.cells[name].take(pa.array(keep)), pa.array(corrected, type=pa.string())]
            )
            cells[name] = column.take(pa.array(order))
        return Batch(
            line=line[order],
            offset=offset[order],
            cells=cells,
            broken=[row for row in batch.broken if row.line not in self.rows],
            notes=batch.notes,
        )


def merged(steps: Sequence[Rows]) -> Corrections:
    """Several corrections, one after the other: the last word on a line counts."""
    rows: Rows = {}
    for step in steps:
        rows |= step
    return Corrections(rows=rows)


def read_corrections(path: Path, fields: Sequence[FieldSpec], allowed: frozenset[int]) -> Rows:
    """The corrected rows in ``path``: a CSV as any Excel or LibreOffice saves it, or an xlsx.

    ``fields`` are those of the layout; ``allowed`` the lines that were rejected. A row whose cells
    are all empty counts as not corrected. Raises DataError, in Portuguese, which names the line and
    column.
    """
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name}: passa de {MAX_BYTES // 1024**2} MB: não é um rejeitadas.csv")
    with path.open("rb") as file:
        start = file.read(4)
    names = [spec.name for spec in fields]
    table = _sheet(path, fields) if start.startswith(b"PK") else _csv(path)
    header = [title.strip().lower() for title in next(table, ())]
    missing = [name for name in (LINE, *names) if name not in header]
    if missing:
        raise DataError(
            f"{path.name}: faltam as colunas {', '.join(missing)}: use o rejeitadas.csv da "
            "entrega, com todas as colunas e a primeira linha"
        )
    twice = [name for name in (LINE, *names) if header.count(name) > 1]
    if twice:
        raise DataError(f"{path.name}: a coluna '{twice[0]}' aparece mais de uma vez")
    places = {name: header.index(name) for name in (LINE, *names)}
    rows: Rows = {}
    for number, cells in enumerate(table, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        padded = [*cells, *[""] * (len(header) - len(cells))]
        line = _line(path, number, padded[places[LINE]])
        values = {name: unprotected(padded[places[name]].strip()) for name in names}
        if not any(values.values()):
            continue
        if line not in allowed:
            raise DataError(
                f"{path.name}, linha {number}: a linha {line} do original não foi rejeitada: só as "
                f"rejeitadas podem ser corrigidas; não mude a coluna '{LINE}'"
            )
        if line in rows:
            raise DataError(f"{path.name}, linha {number}: a linha {line} aparece duas vezes")
        for name, value in values.items():
            if is_rewritten_number(value):
                raise DataError(
                    f"{path.name}, linha {number}, coluna {name}: a planilha trocou o número por "
                    f"'{value}' e perdeu algarismos: escreva-o de novo, com um apóstrofo antes"
                )
        rows[line] = values
    if not rows:
        raise DataError(f"{path.name}: não há nenhuma linha corrigida")
    return rows


def _line(path: Path, number: int, text: str) -> int:
    text = unprotected(text.strip())
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise DataError(
            f"{path.name}, linha {number}: a coluna '{LINE}' traz '{text[:20]}': ela é o número da "
            "linha no arquivo original; não a mude"
        )
    return int(text)


def _csv(path: Path) -> Iterator[list[str]]:
    data = path.read_bytes()
    if b"\0" in data:
        raise DataError(f"{path.name}: não é um CSV: salve a planilha como 'CSV UTF-8'")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    first = text.partition("\n")[0]
    delimiter = max(";,\t", key=first.count)
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise DataError(f"{path.name}: não é um CSV legível ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _sheet(path: Path, fields: Sequence[FieldSpec]) -> Iterator[list[str]]:
    from zanc_pipeline.reception.readers.spreadsheet import cell_text, sheet_rows

    specs: dict[str, Any] = {spec.name: spec for spec in fields}
    titles: list[str] = []
    try:
        for _, values in sheet_rows(path, None):
            texts = [
                cell_text(value, specs.get(title))
                for title, value in zip_longest(titles, values, fillvalue="")
            ]
            titles = titles or [text.strip().lower() for text in texts]
            yield texts
    except FileRejected as refusal:
        raise DataError(f"{path.name}: {refusal}") from None


def _cell(spec: FieldSpec, text: str) -> str:
    """The cell as the reader gives it: a DDD of its own column stands before a mark."""
    if all(getattr(spec, name, None) is None for name in _DDD_KEYS):
        return text
    found = _DDD.fullmatch(text)
    return f"{found[1]}{DDD_MARK}{found[2] or ''}" if found else text
