"""The proof of a file of records: their order, their numbers, and what the trailers declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.fields import convert
from zanc_pipeline.reception.findings import reais
from zanc_pipeline.reception.layout import DelimitedRecordsLayout, RecordsLayout
from zanc_pipeline.reception.layout_fields import ProvingField
from zanc_pipeline.reception.layout_records import RecordType
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Integers
from zanc_pipeline.reception.readers.record_lines import Lines, is_of

HEADER, BATCH_HEADER, BATCH_TRAILER, TRAILER, IGNORED, DETAIL, FIRST_CHILD = range(7)
"""Kinds of line; the n-th child is ``FIRST_CHILD + n``."""

_ASK_AGAIN = "peça ao credor que envie o arquivo de novo"


@dataclass(kw_only=True)
class _Count:
    """What was seen since the beginning of the file, or of the batch."""

    records: int = 0
    details: int = 0
    batches: int = 0
    totals: dict[str, Decimal | None] = field(default_factory=dict)


class Proof:
    """Follows the records of a file; raises FileRejected as soon as something does not agree."""

    def __init__(self, layout: RecordsLayout | DelimitedRecordsLayout, facts: NameFacts) -> None:
        self._layout, self._records, self._facts = layout, layout.records, facts
        self._types: dict[int, RecordType[ProvingField]] = dict(self._all_types())
        self._specs = {
            spec.name: (kind, spec)
            for kind, record in self._types.items()
            if kind >= DETAIL
            for spec in record.fields
        }
        self._summed = {
            spec.summed
            for record in self._types.values()
            for spec in record.fields
            if spec.check == "soma"
        }
        self._file, self._batch = self._fresh(), self._fresh()
        self._in_batch = self._ended = self._open = False

    def _fresh(self) -> _Count:
        return _Count(totals=dict.fromkeys(self._summed, Decimal(0)))

    def _all_types(self) -> Iterator[tuple[int, RecordType[ProvingField]]]:
        records = self._records
        if records.header:
            yield HEADER, records.header
        if records.batch:
            yield BATCH_HEADER, records.batch.header
            yield BATCH_TRAILER, records.batch.trailer
        if records.trailer:
            yield TRAILER, records.trailer
        yield DETAIL, records.detail
        for number, child in enumerate(records.children):
            yield FIRST_CHILD + number, child

    def take(self, lines: Lines) -> Integers:
        """Check the next lines; the kind of each."""
        kinds = self._kinds(lines)
        begun = 0
        for row in np.flatnonzero(kinds < IGNORED).tolist():
            self._take_body(lines, kinds, begun, row)
            self._take_frame(lines, int(kinds[row]), row)
            begun = row + 1
        self._take_body(lines, kinds, begun, len(kinds))
        return kinds

    def conclude(self) -> None:
        """Say what is missing at the end of the file."""
        if self._records.header and not self._file.records:
            self._raise_no_header()
        if self._in_batch:
            raise FileRejected(f"falta o rodapé do lote: o envio parece cortado; {_ASK_AGAIN}")
        if self._records.trailer and not self._ended:
            raise FileRejected(
                f"falta o registro de rodapé: o envio parece ter sido cortado; {_ASK_AGAIN}"
            )

    def _kinds(self, lines: Lines) -> Integers:
        kinds = np.full(len(lines.line), -1, dtype=np.int64)
        start = self._records.start
        for kind, record in self._types.items():
            kinds[is_of(lines, start, record) & (kinds < 0)] = kind
        for mark in self._records.ignored:
            kinds[is_of(lines, start, mark) & (kinds < 0)] = IGNORED
        unknown = np.flatnonzero(kinds < 0)
        if len(unknown):
            row = int(unknown[0])
            code = self._code(lines, row)
            raise FileRejected(
                f"linha {lines.line[row]}: o tipo de registro '{code}' não está no layout: confira "
                "com o credor se o layout mudou"
            )
        return kinds

    def _code(self, lines: Lines, row: int) -> str:
        size = max(len(record.code) for record in self._types.values())
        text = lines.text(row)
        if isinstance(self._layout, DelimitedRecordsLayout):
            cells = text.split(self._layout.delimiter)
            return (cells[self._records.start - 1 :] or [""])[0][:size]
        return text[self._records.start - 1 :][:size]

    def _take_frame(self, lines: Lines, kind: int, row: int) -> None:
        line = int(lines.line[row])
        self._before(lines, kind, row)
        self._open = False
        self._file.records += 1
        if kind in {BATCH_HEADER, BATCH_TRAILER}:
            self._take_batch_frame(lines, kind, row)
        elif kind == HEADER:
            if self._file.records > 1:
                raise FileRejected(f"linha {line}: há um segundo cabeçalho; {_ASK_AGAIN}")
            self._check(lines, row, kind, "cabeçalho", self._file)
        else:
            if self._in_batch:
                raise FileRejected(f"linha {line}: falta o rodapé do lote anterior; {_ASK_AGAIN}")
            self._check(lines, row, kind, "rodapé", self._file)
            self._ended = True

    def _take_batch_frame(self, lines: Lines, kind: int, row: int) -> None:
        if (kind == BATCH_HEADER) == self._in_batch:
            missing = "rodapé do lote anterior" if self._in_batch else "cabeçalho do lote"
            raise FileRejected(f"linha {lines.line[row]}: falta o {missing}; {_ASK_AGAIN}")
        if kind == BATCH_HEADER:
            self._batch, self._in_batch = self._fresh(), True
            self._batch.records = 1
            self._check(lines, row, kind, "cabeçalho do lote", self._batch)
        else:
            self._batch.records += 1
            self._file.batches += 1
            self._check(lines, row, kind, "rodapé do lote", self._batch)
            self._in_batch = False

    def _before(self, lines: Lines, kind: int, row: int) -> None:
        """What must have come before any record."""
        if self._ended:
            raise FileRejected(
                f"linha {lines.line[row]}: há registros depois do rodapé; {_ASK_AGAIN}"
            )
        if self._records.header and not self._file.records and kind != HEADER:
            self._raise_no_header()

    def _take_body(self, lines: Lines, kinds: Integers, begun: int, end: int) -> None:
        """Details, children and ignored lines between two frames."""
        if begun == end:
            return
        self._before(lines, int(kinds[begun]), begun)
        if self._records.batch and not self._in_batch:
            raise FileRejected(
                f"linha {lines.line[begun]}: falta o cabeçalho do lote; {_ASK_AGAIN}"
            )
        body = kinds[begun:end]
        details = np.flatnonzero(body == DETAIL)
        children = np.flatnonzero(body >= FIRST_CHILD)
        if len(children) and not self._open and (not len(details) or children[0] < details[0]):
            line = lines.line[begun + children[0]]
            raise FileRejected(
                f"linha {line}: o registro filho veio antes do detalhe; {_ASK_AGAIN}"
            )
        self._open = self._open or len(details) > 0
        self._check_numbers(lines, kinds, begun, end)
        for count in (self._file, self._batch):
            count.records += end - begun
            count.details += len(details)
        for name in self._summed:
            kind, spec = self._specs[name]
            self._add(spec, lines.cells(spec, begun + np.flatnonzero(body == kind)))

    def _add(self, spec: ProvingField, cells: pa.Array) -> None:
        free = {"minimum": None, "maximum": None, "pattern": None}
        column = convert(spec.model_copy(update=free), cells)
        seen = None if column.invalid.any() else Decimal(pc.sum(column.values).as_py() or 0)
        for count in (self._file, self._batch):
            before = count.totals[spec.name]
            count.totals[spec.name] = None if before is None or seen is None else before + seen

    def _check_numbers(self, lines: Lines, kinds: Integers, begun: int, end: int) -> None:
        body = kinds[begun:end]
        for kind, record in self._types.items():
            for spec in record.fields:
                if spec.check not in {"numero_do_registro", "numero_no_lote"}:
                    continue
                rows = np.flatnonzero(body == kind)
                before = self._file.records
                if spec.check == "numero_no_lote":
                    before = self._batch.records - (1 if self._in_batch else 0)
                for row, text in zip(
                    rows.tolist(), lines.cells(spec, begun + rows).to_pylist(), strict=True
                ):
                    self._check_number(spec, text, before + row + 1, int(lines.line[begun + row]))

    @staticmethod
    def _check_number(spec: ProvingField, text: str, number: int, line: int) -> None:
        if not (text.isascii() and text.isdigit()) or int(text) != number:
            raise FileRejected(
                f"linha {line}: '{spec.name}' diz que este é o registro '{text}', e é o {number}: "
                f"falta ou sobra uma linha; {_ASK_AGAIN}"
            )

    def _check(self, lines: Lines, row: int, kind: int, where: str, seen: _Count) -> None:
        at = np.array([row], dtype=np.int64)
        for spec in self._types[kind].fields:
            text = lines.cells(spec, at)[0].as_py()
            if spec.equals is not None and text != spec.equals.strip():
                raise FileRejected(
                    f"o {where} traz '{text}' em '{spec.name}', e devia trazer '{spec.equals}': "
                    "este arquivo é deste credor?"
                )
            match spec.check:
                case "data_do_nome":
                    self._check_day(spec, text)
                case "sequencia_do_nome":
                    self._check_sequence(text)
                case "quantidade":
                    _check_count(where, "registros de detalhe", text, seen.details)
                case "quantidade_de_registros":
                    _check_count(where, "registros", text, seen.records)
                case "quantidade_de_lotes":
                    _check_count(where, "lotes", text, seen.batches)
                case "soma":
                    _check_total(where, spec, text, seen.totals[spec.summed])
                case "numero_do_registro":
                    self._check_number(spec, text, self._file.records, int(lines.line[row]))

    def _check_day(self, spec: ProvingField, text: str) -> None:
        named = self._facts.reference_date
        if named is not None and convert(spec, pa.array([text])).values[0].as_py() != named:
            raise FileRejected(
                f"o cabeçalho traz a data '{text}', e o nome do arquivo diz {named:%d/%m/%Y}: "
                "confirme com o credor qual é"
            )

    def _check_sequence(self, text: str) -> None:
        named = self._facts.sequence
        if named is not None and named != (int(text) if text.isdigit() else -1):
            raise FileRejected(
                f"o cabeçalho traz a sequência '{text}', e o nome do arquivo diz {named}: confirme "
                "com o credor qual é"
            )

    @staticmethod
    def _raise_no_header() -> NoReturn:
        raise FileRejected(
            "falta o registro de cabeçalho na primeira linha: o começo do arquivo não veio; "
            f"{_ASK_AGAIN}"
        )


def _check_count(where: str, what: str, text: str, seen: int) -> None:
    if not (text.isascii() and text.isdigit()) or int(text) != seen:
        place = "o lote" if where.endswith("lote") else "o arquivo"
        raise FileRejected(
            f"o {where} diz que há {text.lstrip('0') or '0'} {what}, e {place} tem {seen}; "
            f"{_ASK_AGAIN}"
        )


def _check_total(where: str, spec: ProvingField, text: str, total: Decimal | None) -> None:
    if total is None:
        raise FileRejected(
            f"há '{spec.summed}' que não é número, então a soma do {where} não pode ser conferida; "
            f"{_ASK_AGAIN}"
        )
    column = convert(spec, pa.array([text]))
    declared = None if column.invalid[0] else column.values[0].as_py()
    if declared is None or Decimal(declared) != total:
        said = reais(Decimal(declared)) if declared is not None else f"'{text}'"
        raise FileRejected(
            f"o {where} diz que a soma de '{spec.summed}' é {said}, e a soma das linhas é "
            f"{reais(total)}; {_ASK_AGAIN}"
        )
