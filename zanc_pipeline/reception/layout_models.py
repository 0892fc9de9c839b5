"""The models of a layout: one class a kind of file, one for a set of files."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zanc_pipeline.reception.layout_fields import (
    ColumnField,
    FieldSpec,
    JsonField,
    NumberedField,
    PositionField,
    StrictModel,
    YesNo,
)
from zanc_pipeline.reception.layout_records import Records
from zanc_pipeline.reception.names import NamePattern

Content = Literal["carteira", "pagamentos", "telefones"]
"""What the rows of a file are: the convênio's whole portfolio, or something more about contracts
that the CRM knows already."""

NO_DAY = date.min
ONE_OR_MANY: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "type": None,
}
"""In the JSON Schema: a text, or a list of texts."""


class Limits(StrictModel):
    """When a whole file is held although some of its rows are good."""

    rejected_share: float = Field(
        alias="rejeicao_maxima",
        default=0.05,
        ge=0,
        le=1,
        description="Parte das linhas que pode ser rejeitada (0.05 é 5 %).",
    )
    shrink_share: float = Field(
        alias="reducao_maxima",
        default=0.3,
        ge=0,
        le=1,
        description="Quanto o arquivo pode encolher em relação ao anterior (0.3 é 30 %).",
    )
    growth_factor: float = Field(
        alias="crescimento_maximo",
        default=3.0,
        ge=1,
        description="Quantas vezes o arquivo pode ser maior que o anterior.",
    )
    volume_room: float = Field(
        alias="folga_do_volume",
        default=0.3,
        ge=0,
        description="Com história bastante, quanto o volume pode fugir do usual (0.3 é 30 %).",
    )
    spreads: float = Field(
        alias="desvios_do_volume",
        default=6.0,
        ge=0,
        description="Quantas vezes a variação usual do volume também é aceita.",
    )
    gone_share: float = Field(
        alias="contratos_que_somem",
        default=0.3,
        ge=0,
        le=1,
        description="Parte dos contratos abertos no CRM que pode faltar no arquivo.",
    )
    changed_by: float = Field(
        alias="valor_muda",
        default=0.5,
        ge=0,
        description="Quanto o valor de um contrato muda para contar como mudado (0.5 é 50 %).",
    )
    changed_share: float = Field(
        alias="valores_que_mudam",
        default=0.3,
        ge=0,
        le=1,
        description="Parte dos contratos conhecidos cujo valor pode mudar tanto assim.",
    )
    debt_change: float = Field(
        alias="divida_muda",
        default=0.5,
        ge=0,
        description="Quanto a dívida total dos contratos conhecidos pode mudar (0.5 é 50 %).",
    )
    moved_share: float = Field(
        alias="vencimentos_que_mudam",
        default=0.5,
        ge=0,
        le=1,
        description="Parte dos contratos conhecidos cujo vencimento pode mudar.",
    )
    other_cpf_share: float = Field(
        alias="cpfs_que_mudam",
        default=0.01,
        ge=0,
        le=1,
        description="Parte dos contratos conhecidos que pode vir com outro CPF: essas linhas são "
        "rejeitadas; acima disso, o arquivo inteiro fica retido.",
    )


class _Layout(StrictModel):
    version: str = Field(
        alias="versao", default="", description='O nome desta versão do layout, entre aspas: "1".'
    )
    effective: date = Field(
        alias="vigencia",
        default=NO_DAY,
        description="O primeiro dia (do arquivo) em que esta versão vale, como 2026-01-31.",
    )
    sequence: Literal["continua", "diaria", "livre"] = Field(
        alias="sequencia",
        default="continua",
        description="Como anda o {sequencia} do nome: 'continua' cresce de um em um; 'diaria' "
        "começa em 1 a cada dia; 'livre' não diz nada. Um arquivo espera pelos que faltam antes.",
    )
    limits: Limits = Field(
        alias="limites",
        default_factory=lambda: Limits(),
        description="Quando o arquivo inteiro fica retido.",
    )


class _FileLayout(_Layout):
    content: Content = Field(
        alias="conteudo",
        default="carteira",
        description="O que as linhas são: 'carteira' (os contratos, o usual), 'pagamentos' ou "
        "'telefones' de contratos que o CRM já conhece.",
    )
    files: tuple[str, ...] = Field(
        alias="arquivos",
        min_length=1,
        description="O nome do arquivo, com {aaaammdd} ou {ddmmaaaa} no lugar da data, "
        "{sequencia} no do número corrido e * no do que varia; ou uma lista de nomes.",
        json_schema_extra=ONE_OR_MANY,
    )
    zipped: YesNo = Field(alias="zip", default=False, description="O arquivo vem dentro de um zip.")
    gzipped: YesNo = Field(
        alias="gz", default=False, description="O arquivo vem comprimido com gzip (.gz)."
    )

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("files")
    @classmethod
    def _readable_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            NamePattern.parse(pattern)
        return value

    @model_validator(mode="after")
    def _compressed_once(self) -> _FileLayout:
        if self.zipped and self.gzipped:
            raise ValueError("'zip: sim' e 'gz: sim' não valem juntos: deixe um só")
        return self

    @property
    def patterns(self) -> tuple[NamePattern, ...]:
        """The file names that this layout reads."""
        return tuple(NamePattern.parse(pattern) for pattern in self.files)


class _TextLayout(_FileLayout):
    encoding: Literal["ascii", "utf-8", "latin-1", "cp1252"] = Field(
        alias="codificacao", description="Como os acentos são escritos no arquivo."
    )
    ends_with_newline: YesNo = Field(
        alias="termina_com_quebra_de_linha",
        default=True,
        description="A última linha também termina com quebra; sem ela, o arquivo veio cortado.",
    )


class DelimitedLayout(_TextLayout):
    """Rows of cells between separators, with a header line or without."""

    kind: Literal["delimitado"] = Field(alias="formato", description="Colunas entre separadores.")
    delimiter: str = Field(
        alias="separador", min_length=1, description='O que separa as colunas: ";", "|", "\\t".'
    )
    quote: str = Field(
        alias="aspas", default='"', max_length=1, description="O sinal que cerca os textos."
    )
    header: YesNo = Field(
        alias="cabecalho",
        default=True,
        description="Se há uma linha de títulos; sem ela, cada campo diz a 'posicao'.",
    )
    preamble: int = Field(
        alias="linhas_antes",
        default=0,
        ge=0,
        le=1000,
        description="Quantas linhas vêm antes do cabeçalho (ou da primeira linha de dados).",
    )
    footer: int = Field(
        alias="linhas_depois",
        default=0,
        ge=0,
        le=1000,
        description="Quantas linhas de rodapé vêm depois dos dados.",
    )
    ignored: tuple[str, ...] = Field(
        alias="ignorar", default=(), description="Títulos de colunas que não interessam."
    )
    fields: tuple[ColumnField, ...] = Field(
        alias="campos", min_length=1, description="Os campos de cada linha."
    )


class SheetLayout(_FileLayout):
    """A worksheet (xlsx, xls or ods) whose first row holds the titles."""

    kind: Literal["planilha"] = Field(alias="formato", description="Planilha xlsx, xls ou ods.")
    sheet: str | None = Field(
        alias="aba", default=None, description="O nome da aba; sem ele, a primeira."
    )
    preamble: int = Field(
        alias="linhas_antes",
        default=0,
        ge=0,
        le=1000,
        description="Quantas linhas não vazias vêm antes dos títulos.",
    )
    ignored: tuple[str, ...] = Field(
        alias="ignorar", default=(), description="Títulos de colunas que não interessam."
    )
    fields: tuple[ColumnField, ...] = Field(
        alias="campos", min_length=1, description="Os campos de cada linha."
    )


class JsonLayout(_FileLayout):
    """JSON lines: one object a line, UTF-8."""

    kind: Literal["jsonl"] = Field(alias="formato", description="Um objeto JSON por linha.")
    ignored: tuple[str, ...] = Field(
        alias="ignorar", default=(), description="Chaves (caminhos) que não interessam."
    )
    fields: tuple[JsonField, ...] = Field(
        alias="campos", min_length=1, description="Os campos de cada objeto."
    )


class _SizedLayout(_TextLayout):
    record_size: int = Field(
        alias="tamanho_da_linha", ge=1, description="Quantos bytes cada linha tem, sem a quebra."
    )
    newlines: YesNo = Field(
        alias="quebra_de_linha",
        default=True,
        description="'não' quando os registros vêm um colado no outro, sem quebra de linha.",
    )


class FixedLayout(_SizedLayout):
    """Lines of one size, each a contract."""

    kind: Literal["largura_fixa"] = Field(
        alias="formato", description="Linhas de um tamanho só; cada campo tem início e tamanho."
    )
    fields: tuple[PositionField, ...] = Field(
        alias="campos", min_length=1, description="Os campos de cada linha."
    )


class RecordsLayout(_SizedLayout):
    """Lines of one size of several types: header, details with their children, trailer."""

    kind: Literal["registros"] = Field(
        alias="formato", description="Vários tipos de linha, de um tamanho só (CNAB, remessa)."
    )
    records: Records[PositionField] = Field(alias="registros", description="Os tipos de linha.")

    @cached_property
    def fields(self) -> tuple[PositionField, ...]:
        """The fields of a row: of the detail and of its children."""
        return self.records.row_fields


class DelimitedRecordsLayout(_TextLayout):
    """Delimited lines of several types, told by the code in one of their columns."""

    kind: Literal["registros_delimitados"] = Field(
        alias="formato", description="Vários tipos de linha, com colunas entre separadores."
    )
    delimiter: str = Field(
        alias="separador", min_length=1, description='O que separa as colunas: ";", "|".'
    )
    quote: str = Field(
        alias="aspas", default='"', max_length=1, description="O sinal que cerca os textos."
    )
    records: Records[NumberedField] = Field(alias="registros", description="Os tipos de linha.")

    @cached_property
    def fields(self) -> tuple[NumberedField, ...]:
        """The fields of a row: of the detail and of its children."""
        return self.records.row_fields


Layout = (
    DelimitedLayout
    | SheetLayout
    | JsonLayout
    | FixedLayout
    | RecordsLayout
    | DelimitedRecordsLayout
)
"""The layout of one file."""


class Member(StrictModel):
    """One file of a set: what it is like, and how its rows join the others."""

    name: str = Field(
        alias="nome", pattern=r"^[a-z][a-z0-9_]*$", description="O nome deste arquivo no conjunto."
    )
    main: YesNo = Field(
        alias="principal",
        default=False,
        description="As linhas deste arquivo são as da carteira; exatamente um é principal.",
    )
    key: tuple[str, ...] = Field(
        alias="chave",
        default=(),
        description="Os campos, com o mesmo nome nos dois arquivos, que ligam as linhas.",
        json_schema_extra=ONE_OR_MANY,
    )
    joins: str = Field(
        alias="liga_a",
        default="",
        description="O arquivo a que este se liga; sem ele, o principal.",
    )
    many: YesNo = Field(
        alias="varios",
        default=False,
        description="Várias linhas por chave: os campos viram campo_1, campo_2… (telefone_1…).",
    )
    at_most: int = Field(
        alias="ate", default=3, ge=1, le=100, description="Em 'varios', quantas por chave."
    )
    required: YesNo | None = Field(
        alias="obrigatorio",
        default=None,
        description="Linha sem par neste arquivo é rejeitada (sim, a não ser em 'varios').",
    )
    layout: Annotated[Layout, Field(discriminator="kind")] = Field(
        alias="layout", description="Como é este arquivo."
    )

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @property
    def must_match(self) -> bool:
        """Whether a row that finds no partner in this member is rejected."""
        return not self.many if self.required is None else self.required


class SetLayout(_Layout):
    """Several files that make one portfolio: it loads when all of them are there."""

    kind: Literal["conjunto"] = Field(
        alias="formato", description="Vários arquivos que formam uma carteira."
    )
    wait_hours: int = Field(
        alias="espera_horas",
        default=24,
        ge=1,
        le=24 * 30,
        description="Quanto esperar pelo arquivo que falta antes de avisar.",
    )
    members: tuple[Member, ...] = Field(
        alias="membros", min_length=2, description="Os arquivos do conjunto."
    )

    @model_validator(mode="before")
    @classmethod
    def _members_of_this_version(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("membros"), list):
            return data
        common = {key: data[key] for key in ("versao", "vigencia") if key in data}
        members = [
            {**member, "layout": {**member["layout"], **common}}
            if isinstance(member, dict) and isinstance(member.get("layout"), dict)
            else member
            for member in data["membros"]
        ]
        return {**data, "membros": members}

    @property
    def content(self) -> Content:
        """The members make one portfolio."""
        return "carteira"

    @property
    def files(self) -> tuple[str, ...]:
        """The file names of all members, as the layout writes them."""
        return tuple(name for member in self.members for name in member.layout.files)

    @property
    def patterns(self) -> tuple[NamePattern, ...]:
        """The file names of all members."""
        return tuple(pattern for member in self.members for pattern in member.layout.patterns)

    @property
    def main(self) -> Member:
        """The member whose rows become the portfolio's rows."""
        return next(member for member in self.members if member.main)

    @cached_property
    def fields(self) -> tuple[FieldSpec, ...]:
        """The fields of a row of the joined portfolio, each name once, the main member's first.

        What is required of a member's rows is so of the portfolio's only where each must have one.
        """
        found: dict[str, FieldSpec] = {field.name: field for field in self.main.layout.fields}
        for member in self.members:
            for field in member.layout.fields:
                if member.main or field.name in member.key:
                    continue
                names = (
                    [f"{field.name}_{place}" for place in range(1, member.at_most + 1)]
                    if member.many
                    else [field.name]
                )
                for name in names:
                    must = field.required and member.must_match and name == names[0]
                    own = field.model_copy(update={"name": name, "required": must})
                    found.setdefault(name, own)
        return tuple(found.values())


AnyLayout = Layout | SetLayout

KINDS: dict[str, type[AnyLayout]] = {
    "delimitado": DelimitedLayout,
    "planilha": SheetLayout,
    "jsonl": JsonLayout,
    "largura_fixa": FixedLayout,
    "registros": RecordsLayout,
    "registros_delimitados": DelimitedRecordsLayout,
    "conjunto": SetLayout,
}
