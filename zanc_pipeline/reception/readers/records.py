"""Records: a header, details and a trailer whose count and total prove that nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.codecs import parse_date
from zanc_pipeline.reception.columns import Bytes2D, cut, trimmed
from zanc_pipeline.reception.fields import convert
from zanc_pipeline.reception.layout import PositionField, RecordsLayout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Batch, Integers, chunks
from zanc_pipeline.reception.readers.fixed import Block, cut_fields, to_block

_ASK_AGAIN = "peça ao credor que envie o arquivo de novo"


def read_records(layout: RecordsLayout, path: Path, facts: NameFacts) -> Iterator[Batch]:
    """Batches of the details; the header is checked first and the trailer at the end.

    Raises FileRejected when the header is not first, the trailer not last, a record has an unknown
    code or size, or a count, total, date or sequence does not agree.
    """
    proof = _Proof(layout, facts)
    for chunk in chunks(path, layout.encoding, must_end_with_newline=layout.ends_with_newline):
        block = to_block(chunk, layout.record_size, layout.encoding)
        if block.broken:
            first = block.broken[0]
            raise FileRejected(
                f"linha {first.line}: {first.problems[0].problem}; como o rodapé soma todas as "
                "linhas, o arquivo inteiro fica retido"
            )
        details = proof.take(block)
        cells = cut_fields(block.data[details], layout.fields, layout.encoding)
        proof.add(cells)
        yield Batch(line=block.line[details], offset=block.offset[details], cells=cells)
    proof.conclude()


class _Proof:
    """Follows the order of the records and adds up the details."""

    def __init__(self, layout: RecordsLayout, facts: NameFacts) -> None:
        self._layout, self._facts = layout, facts
        self._started = False
        self._trailer: dict[str, str] | None = None
        self._details = 0
        self._totals: dict[str, Decimal | None] = {
            field.summed: Decimal(0)
            for field in layout.records.trailer.fields
            if field.check == "soma"
        }

    def take(self, block: Block) -> Integers:
        """Check the order of the records of a block; the rows that are details."""
        if not len(block.line):
            return block.line
        if self._trailer is not None:
            self._raise_after_trailer(int(block.line[0]))
        records, encoding = self._layout.records, self._layout.encoding
        types = (records.header, records.detail, records.trailer)
        size = max(len(record.code) for record in types)
        codes = np.array(cut(block.data, records.start - 1, size, encoding).to_pylist(), dtype=str)
        header, detail, trailer = (np.char.startswith(codes, record.code) for record in types)
        unknown = np.flatnonzero(~(header | detail | trailer))
        if len(unknown):
            raise FileRejected(
                f"linha {block.line[unknown[0]]}: o tipo de registro '{codes[unknown[0]]}' não "
                "está no layout: confira com o credor se o layout mudou"
            )
        if not self._started:
            if not header[0]:
                self._raise_no_header()
            self._check_header(self._values(block.data[:1], records.header.fields))
            self._started, header[0] = True, False
        if header.any():
            line = block.line[np.flatnonzero(header)[0]]
            raise FileRejected(f"linha {line}: há um segundo cabeçalho; {_ASK_AGAIN}")
        if trailer.any():
            place = int(np.flatnonzero(trailer)[0])
            if place + 1 < len(block.line):
                self._raise_after_trailer(int(block.line[place + 1]))
            self._trailer = self._values(block.data[-1:], records.trailer.fields)
        return np.flatnonzero(detail)

    def add(self, cells: dict[str, pa.Array]) -> None:
        """Add up the details' control fields; one that is no number makes the total unknown."""
        self._details += len(next(iter(cells.values())))
        for field in self._layout.fields:
            total = self._totals.get(field.name)
            if total is None:
                continue
            column = convert(
                field.model_copy(update={"minimum": None, "maximum": None}), cells[field.name]
            )
            if column.invalid.any():
                self._totals[field.name] = None
            else:
                self._totals[field.name] = total + Decimal(pc.sum(column.values).as_py() or 0)

    def conclude(self) -> None:
        """Compare the trailer with what was seen."""
        if not self._started:
            self._raise_no_header()
        if self._trailer is None:
            raise FileRejected(
                f"falta o registro de rodapé: o envio parece ter sido cortado; {_ASK_AGAIN}"
            )
        for field in self._layout.records.trailer.fields:
            text = self._trailer[field.name]
            self._check_literal(field, text, "rodapé")
            if field.check == "quantidade":
                if not text.isdigit() or int(text) != self._details:
                    raise FileRejected(
                        f"o rodapé diz que há {text.lstrip('0') or '0'} registros de detalhe, e o "
                        f"arquivo tem {self._details}; {_ASK_AGAIN}"
                    )
            elif field.check == "soma":
                self._check_total(field, text)

    def _check_total(self, field: PositionField, text: str) -> None:
        total = self._totals[field.summed]
        if total is None:
            raise FileRejected(
                f"há '{field.summed}' que não é número, então a soma do rodapé não pode ser "
                f"conferida; {_ASK_AGAIN}"
            )
        places = field.implied_decimals or 0
        declared = Decimal(int(text)).scaleb(-places) if text.isdigit() else None
        if declared != total:
            said = f"{declared:.2f}" if declared is not None else f"'{text}'"
            raise FileRejected(
                f"o rodapé diz que a soma de '{field.summed}' é {said}, e a soma das linhas é "
                f"{total:.2f}; {_ASK_AGAIN}"
            )

    def _check_header(self, values: dict[str, str]) -> None:
        for field in self._layout.records.header.fields:
            text = values[field.name]
            self._check_literal(field, text, "cabeçalho")
            if field.check == "data_do_nome" and self._facts.reference_date is not None:
                if parse_date(text, order=field.date_order) != self._facts.reference_date:
                    raise FileRejected(
                        f"o cabeçalho traz a data '{text}', e o nome do arquivo diz "
                        f"{self._facts.reference_date:%d/%m/%Y}: confirme com o credor qual é"
                    )
            elif field.check == "sequencia_do_nome" and self._facts.sequence not in {
                None,
                int(text) if text.isdigit() else -1,
            }:
                raise FileRejected(
                    f"o cabeçalho traz a sequência '{text}', e o nome do arquivo "
                    f"diz {self._facts.sequence}: confirme com o credor qual é"
                )

    @staticmethod
    def _check_literal(field: PositionField, text: str, where: str) -> None:
        if field.equals is not None and text != field.equals.strip():
            raise FileRejected(
                f"o {where} traz '{text}' em '{field.name}', e devia trazer '{field.equals}': este "
                "arquivo é deste credor?"
            )

    def _values(self, row: Bytes2D, fields: tuple[PositionField, ...]) -> dict[str, str]:
        return {
            field.name: trimmed(cut(row, field.start - 1, field.size, self._layout.encoding))[
                0
            ].as_py()
            for field in fields
        }

    @staticmethod
    def _raise_after_trailer(line: int) -> NoReturn:
        raise FileRejected(f"linha {line}: há registros depois do rodapé; {_ASK_AGAIN}")

    @staticmethod
    def _raise_no_header() -> NoReturn:
        raise FileRejected(
            f"falta o registro de cabeçalho na primeira linha: o começo do arquivo não veio; "
            f"{_ASK_AGAIN}"
        )
