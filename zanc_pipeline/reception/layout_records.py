"""The types of record of a file that has several: header, batches, details, children, trailer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import Field

from zanc_pipeline.reception.layout_fields import ProvingField, StrictModel, YesNo

RecordField = TypeVar("RecordField", bound=ProvingField, covariant=True)


class Condition(StrictModel):
    """What else a record must hold to be of a type."""

    place: int = Field(
        alias="onde", ge=1, description="O primeiro byte (ou o número da coluna), a partir de 1."
    )
    equals: str = Field(alias="igual", min_length=1, description="O texto que está ali.")


class RecordMark(StrictModel):
    """How a type of record is recognised: its code, and what else it must hold."""

    code: str = Field(
        alias="codigo", min_length=1, description="O código que anuncia este tipo de registro."
    )
    when: tuple[Condition, ...] = Field(
        alias="quando",
        default=(),
        description="O que mais o registro precisa ter (o segmento do CNAB 240, por exemplo).",
    )


class RecordType(RecordMark, Generic[RecordField]):
    """One type of record and its fields."""

    fields: tuple[RecordField, ...] = Field(
        alias="campos", min_length=1, description="Os campos deste tipo de registro."
    )


class ChildRecord(RecordType[RecordField], Generic[RecordField]):
    """Records that follow a detail and belong to it."""

    name: str = Field(
        alias="nome", pattern=r"^[a-z][a-z0-9_]*$", description="O nome deste registro filho."
    )
    required: YesNo = Field(
        alias="obrigatorio", default=False, description="Detalhe sem este filho é rejeitado."
    )
    at_most: int = Field(
        alias="ate",
        default=1,
        ge=1,
        le=100,
        description="Quantos cabem em um detalhe; acima de 1, os campos viram campo_1, campo_2…",
    )
    rows: YesNo = Field(
        alias="linhas",
        default=False,
        description="Cada filho vira uma linha, com os campos do detalhe repetidos nela.",
    )


class BatchRecords(StrictModel, Generic[RecordField]):
    """The header and the trailer of a batch (lote) inside the file."""

    header: RecordType[RecordField] = Field(alias="cabecalho", description="Abre o lote.")
    trailer: RecordType[RecordField] = Field(
        alias="rodape", description="Fecha o lote; pode conferir quantidade e soma do lote."
    )


class Records(StrictModel, Generic[RecordField]):
    """Where the record's code stands, and the types of record."""

    start: int = Field(
        alias="inicio",
        default=1,
        ge=1,
        description="O byte (ou o número da coluna) onde fica o código do registro.",
    )
    header: RecordType[RecordField] | None = Field(
        alias="cabecalho", default=None, description="O primeiro registro do arquivo."
    )
    batch: BatchRecords[RecordField] | None = Field(
        alias="lote", default=None, description="Os registros que abrem e fecham cada lote."
    )
    detail: RecordType[RecordField] = Field(
        alias="detalhe", description="O registro que vira uma linha."
    )
    children: tuple[ChildRecord[RecordField], ...] = Field(
        alias="filhos", default=(), description="Registros que seguem o detalhe e são dele."
    )
    ignored: tuple[RecordMark, ...] = Field(
        alias="ignorar", default=(), description="Tipos de registro que não interessam."
    )
    trailer: RecordType[RecordField] | None = Field(
        alias="rodape",
        default=None,
        description="O último registro; pode conferir quantidade e soma do arquivo.",
    )

    @property
    def row_fields(self) -> tuple[RecordField, ...]:
        """The fields of a row: the detail's, then its children's, spread where they repeat."""
        fields = list(self.detail.fields)
        for child in self.children:
            for place in range(1, child.at_most + 1):
                if child.at_most == 1 or child.rows:
                    fields += child.fields
                    break
                fields += [
                    field.model_copy(update={"name": f"{field.name}_{place}"})
                    for field in child.fields
                ]
        return tuple(fields)

    def groups(self) -> Iterator[tuple[str, RecordType[RecordField]]]:
        """Every type of record that has fields, with its key in the layout."""
        if self.header:
            yield "cabecalho", self.header
        if self.batch:
            yield "lote.cabecalho", self.batch.header
        yield "detalhe", self.detail
        for place, child in enumerate(self.children, start=1):
            yield f"filhos[{place}º]", child
        if self.batch:
            yield "lote.rodape", self.batch.trailer
        if self.trailer:
            yield "rodape", self.trailer
