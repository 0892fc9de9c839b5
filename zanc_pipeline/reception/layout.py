"""Layouts: what a convênio's file looks like, as the clerk writes it in ``layout*.yaml``.

Keys and values are Portuguese because a reception clerk edits them; attributes are English. Every
version of a layout is a file of its own (``layout.yaml``, ``layout-2.yaml``, …) with the first day
on which it counts (``vigencia``). An error names the file, the exact key and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import read_yaml
from zanc_pipeline.reception.names import NamePattern

FieldType = Literal[
    "cpf",
    "cnpj",
    "telefone",
    "telefones",
    "dinheiro",
    "data",
    "texto",
    "email",
    "uf",
    "codigo",
    "inteiro",
    "sim_nao",
]

CANONICAL: dict[str, tuple[str, frozenset[str]]] = {
    "cpf": ("cpf", frozenset({"cpf"})),
    "nome": ("name", frozenset({"texto"})),
    "contrato": ("contract", frozenset({"texto", "codigo"})),
    "produto": ("product", frozenset({"texto", "codigo"})),
    "valor": ("amount", frozenset({"dinheiro"})),
    "vencimento": ("due_date", frozenset({"data"})),
    "nascimento": ("birth_date", frozenset({"data"})),
    "email": ("email", frozenset({"email", "texto"})),
    "cidade": ("city", frozenset({"texto"})),
    "uf": ("state", frozenset({"uf"})),
    "telefone_1": ("phone_1", frozenset({"telefone"})),
    "telefone_2": ("phone_2", frozenset({"telefone"})),
    "telefone_3": ("phone_3", frozenset({"telefone"})),
    "telefones": ("", frozenset({"telefones"})),
    "obito": ("deceased", frozenset({"sim_nao"})),
}
"""Names that fill the canonical columns: name in the layout → (column, types that it may have)."""

REQUIRED = ("cpf", "nome", "contrato", "valor", "vencimento")
"""Names without which a portfolio can not be loaded; always ``obrigatorio``."""


def _yes_no(value: object) -> object:
    words = {"sim": True, "s": True, "não": False, "nao": False, "n": False}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


YesNo = Annotated[bool, BeforeValidator(_yes_no)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(_Model):
    """One field: its name, type and rules, wherever in the record it stands."""

    name: str = Field(alias="nome", pattern=r"^[a-z][a-z0-9_]*$")
    type: FieldType = Field(alias="tipo", default="texto")
    required: YesNo = Field(alias="obrigatorio", default=False)
    unique: YesNo = Field(alias="unico", default=False)
    empty: tuple[str, ...] = Field(alias="vazios", default=())
    date_format: str = Field(alias="formato", default="dd/mm/aaaa")
    decimal_mark: Literal[",", "."] = Field(alias="decimal", default=",")
    implied_decimals: int | None = Field(alias="decimais", default=None, ge=0, le=6)
    minimum: Decimal | date | None = Field(alias="minimo", default=None)
    maximum: Decimal | date | None = Field(alias="maximo", default=None)
    true: tuple[str, ...] = Field(alias="verdadeiro", default=("S", "SIM", "1"))
    false: tuple[str, ...] = Field(alias="falso", default=("N", "NÃO", "NAO", "0"))
    table: dict[str, str] | None = Field(alias="tabela", default=None)
    when_invalid: Literal["rejeitar", "esvaziar"] | None = Field(alias="se_invalido", default=None)

    @field_validator("date_format")
    @classmethod
    def _known_date_format(cls, value: str) -> str:
        rest = value
        for part in ("aaaa", "mm", "dd"):
            if rest.count(part) != 1:
                raise ValueError(f"'{value}': escreva dia, mês e ano como dd/mm/aaaa ou aaaammdd")
            rest = rest.replace(part, "")
        if rest.strip("/-. "):
            raise ValueError(f"'{value}': entre dd, mm e aaaa só cabem / - . ou nada")
        return value

    @model_validator(mode="after")
    def _fits_canonical(self) -> FieldSpec:
        known = CANONICAL.get(self.name)
        if known and self.type not in known[1]:
            expected = " ou ".join(sorted(known[1]))
            raise ValueError(f"o campo '{self.name}' precisa ter tipo: {expected}")
        if self.type == "codigo" and not self.table:
            raise ValueError(f"o campo '{self.name}' é um código: escreva a 'tabela' dele")
        return self

    @property
    def date_order(self) -> str:
        """``dmy``, ``ymd`` or ``mdy``: the order that ``formato`` writes."""
        return "".join(sorted("amd", key=self.date_format.index)).replace("a", "y")

    @property
    def must_be_filled(self) -> bool:
        """Whether a row with this field empty is rejected."""
        return self.required or self.name in REQUIRED

    @property
    def blanked_when_invalid(self) -> bool:
        """Whether an invalid value empties the field (with a warning) and keeps the row.

        A wrong phone or e-mail must not cost the contract, so they are emptied unless the layout
        says otherwise; every other type rejects the row.
        """
        if self.must_be_filled:
            return False
        if self.when_invalid is None:
            return self.type in {"telefone", "telefones", "email"}
        return self.when_invalid == "esvaziar"


class ColumnField(FieldSpec):
    """A field of a delimited file or a spreadsheet: found by the title of its column."""

    column: str = Field(alias="coluna", default="")
    ddd_column: str | None = Field(alias="coluna_ddd", default=None)
    between: str = Field(alias="separador", default="/", min_length=1)

    @property
    def title(self) -> str:
        """The column's title in the file: the field's own name unless the layout gives another."""
        return self.column or self.name


class PositionField(FieldSpec):
    """A field of a fixed-width record: first byte (from 1) and size in bytes."""

    start: int = Field(alias="inicio", ge=1)
    size: int = Field(alias="tamanho", ge=1)
    equals: str | None = Field(alias="igual", default=None)
    check: Literal["data_do_nome", "sequencia_do_nome", "quantidade", "soma"] | None = Field(
        alias="confere", default=None
    )
    summed: str = Field(alias="de", default="valor")


class Limits(_Model):
    """When a whole file is held although some of its rows are good."""

    rejected_share: float = Field(alias="rejeicao_maxima", default=0.05, ge=0, le=1)
    shrink_share: float = Field(alias="reducao_maxima", default=0.5, ge=0, le=1)
    growth_factor: float = Field(alias="crescimento_maximo", default=3.0, ge=1)


class _Layout(_Model):
    version: str = Field(alias="versao")
    effective: date = Field(alias="vigencia")
    files: tuple[str, ...] = Field(alias="arquivos", min_length=1)
    zipped: YesNo = Field(alias="zip", default=False)
    limits: Limits = Field(alias="limites", default_factory=lambda: Limits())

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

    @property
    def patterns(self) -> tuple[NamePattern, ...]:
        """The file names that this layout reads."""
        return tuple(NamePattern.parse(pattern) for pattern in self.files)


class _TextLayout(_Layout):
    encoding: Literal["ascii", "utf-8", "latin-1", "cp1252"] = Field(alias="codificacao")
    ends_with_newline: YesNo = Field(alias="termina_com_quebra_de_linha", default=True)


class DelimitedLayout(_TextLayout):
    """Rows of cells between separators, with a header line."""

    kind: Literal["delimitado"] = Field(alias="formato")
    delimiter: str = Field(alias="separador", min_length=1)
    quote: str = Field(alias="aspas", default='"', max_length=1)
    ignored: tuple[str, ...] = Field(alias="ignorar", default=())
    fields: tuple[ColumnField, ...] = Field(alias="campos", min_length=1)


class SheetLayout(_Layout):
    """A worksheet whose first row holds the titles."""

    kind: Literal["planilha"] = Field(alias="formato")
    sheet: str | None = Field(alias="aba", default=None)
    ignored: tuple[str, ...] = Field(alias="ignorar", default=())
    fields: tuple[ColumnField, ...] = Field(alias="campos", min_length=1)


class FixedLayout(_TextLayout):
    """Lines of one size, each a contract."""

    kind: Literal["largura_fixa"] = Field(alias="formato")
    record_size: int = Field(alias="tamanho_da_linha", ge=1)
    fields: tuple[PositionField, ...] = Field(alias="campos", min_length=1)


class RecordType(_Model):
    """One type of record: the code that announces it and its fields."""

    code: str = Field(alias="codigo", min_length=1)
    fields: tuple[PositionField, ...] = Field(alias="campos", min_length=1)


class Records(_Model):
    """Where the record's code stands, and the three types of record."""

    start: int = Field(alias="inicio", default=1, ge=1)
    header: RecordType = Field(alias="cabecalho")
    detail: RecordType = Field(alias="detalhe")
    trailer: RecordType = Field(alias="rodape")


class RecordsLayout(_TextLayout):
    """Lines of one size: a header, the details, a trailer that proves them."""

    kind: Literal["registros"] = Field(alias="formato")
    record_size: int = Field(alias="tamanho_da_linha", ge=1)
    records: Records = Field(alias="registros")

    @property
    def fields(self) -> tuple[PositionField, ...]:
        """The fields of the detail record: those that become a row."""
        return self.records.detail.fields


Layout = DelimitedLayout | SheetLayout | FixedLayout | RecordsLayout

_KINDS: dict[str, type[Layout]] = {
    "delimitado": DelimitedLayout,
    "planilha": SheetLayout,
    "largura_fixa": FixedLayout,
    "registros": RecordsLayout,
}


def load_layout(path: Path) -> Layout:
    """Read one layout. Raises ConfigError, in Portuguese, with the exact key that is wrong."""
    content = read_yaml(path)
    kind = content.get("formato")
    if kind not in _KINDS:
        raise ConfigError(f"{path}: formato: {_found(kind)}; use um destes: {', '.join(_KINDS)}")
    try:
        layout = _KINDS[kind].model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_translate(problem) for problem in error.errors())
        raise ConfigError(f"{path}: {problems}") from None
    problem = next(_contradictions(layout), None)
    if problem:
        raise ConfigError(f"{path}: {problem}")
    return layout


def load_layouts(folder: Path) -> list[Layout]:
    """Every version in a convênio's folder, the oldest first; empty when there is none."""
    layouts = [load_layout(path) for path in sorted(folder.glob("layout*.yaml"))]
    versions = [layout.version for layout in layouts]
    for version in versions:
        if versions.count(version) > 1:
            raise ConfigError(
                f"{folder}: duas versões de layout se chamam '{version}': mude 'versao' em uma"
            )
    return sorted(layouts, key=lambda layout: layout.effective)


def require_portfolio_fields(layout: Layout, origin: str) -> None:
    """Raise ConfigError unless the layout has all that a portfolio needs."""
    names = {field.name for field in layout.fields}
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ConfigError(
            f"{origin}: layout '{layout.version}': falta em 'campos': {', '.join(missing)}"
        )


def _contradictions(layout: Layout) -> Iterator[str]:
    groups: list[tuple[str, Sequence[FieldSpec]]] = [("campos", layout.fields)]
    if isinstance(layout, RecordsLayout):
        records = layout.records
        groups = [
            (f"registros.{name}.campos", record.fields)
            for name, record in (
                ("cabecalho", records.header),
                ("detalhe", records.detail),
                ("rodape", records.trailer),
            )
        ]
        codes = [records.header.code, records.detail.code, records.trailer.code]
        if len(set(codes)) < 3:
            yield f"registros: os códigos {', '.join(codes)} precisam ser diferentes entre si"
        summable = {field.name for field in layout.fields if field.type in {"dinheiro", "inteiro"}}
        for field in records.trailer.fields:
            if field.check == "soma" and field.summed not in summable:
                yield f"registros.rodape.campos: 'de: {field.summed}' não é um dinheiro do detalhe"
    for where, fields in groups:
        names = [field.name for field in fields]
        for name in names:
            if names.count(name) > 1:
                yield f"{where}: o nome '{name}' aparece mais de uma vez"
        if "telefones" in names and any(name.startswith("telefone_") for name in names):
            yield f"{where}: use 'telefones' ou 'telefone_1', 'telefone_2', …; não os dois"
        if isinstance(layout, FixedLayout | RecordsLayout):
            yield from _overlaps(where, fields, layout.record_size)


def _overlaps(where: str, fields: Sequence[FieldSpec], size: int) -> Iterator[str]:
    placed = sorted(
        (field for field in fields if isinstance(field, PositionField)),
        key=lambda field: field.start,
    )
    end, last = 0, ""
    for field in placed:
        if field.start <= end:
            yield (
                f"{where}: '{field.name}' começa no byte {field.start}, dentro de '{last}', "
                f"que vai até o byte {end}"
            )
        end, last = field.start + field.size - 1, field.name
        if end > size:
            yield f"{where}: '{field.name}' termina no byte {end}, mas a linha tem {size} bytes"


def _found(value: object) -> str:
    return "falta esta chave" if value is None else f"'{value}' não é aceito"


def _translate(problem: Any) -> str:
    key = ""
    for step in problem["loc"]:
        key += f"[{step + 1}º]" if isinstance(step, int) else f"{'.' if key else ''}{step}"
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "missing":
        text = "falta esta chave"
    elif kind == "extra_forbidden":
        known = difflib.get_close_matches(str(problem["loc"][-1]), _all_keys(), n=1)
        text = "chave desconhecida" + (f"; você quis dizer '{known[0]}'?" if known else "")
    elif kind == "literal_error":
        text = f"'{value}' não é aceito; use um destes: {context['expected'].replace(' or ', ', ')}"
    elif kind == "string_type":
        text = f"'{value}' precisa ser um texto: escreva-o entre aspas"
    elif kind.startswith("int_"):
        text = f"'{value}' precisa ser um número inteiro"
    elif kind.startswith("bool_"):
        text = f"'{value}' precisa ser sim ou não"
    elif kind.startswith("date_"):
        text = f"'{value}' precisa ser uma data como 2026-01-31"
    elif kind == "value_error":
        text = str(context["error"])
    elif kind == "string_pattern_mismatch":
        text = f"'{value}': use só letras minúsculas sem acento, números e _"
    else:
        text = f"'{value}' não é aceito ({problem['msg']})"
    return f"{key}: {text}" if key else text


def _all_keys() -> list[str]:
    models: list[type[BaseModel]] = [
        *_KINDS.values(),
        ColumnField,
        PositionField,
        Limits,
        Records,
        RecordType,
    ]
    return sorted(
        {info.alias for model in models for info in model.model_fields.values() if info.alias}
    )
