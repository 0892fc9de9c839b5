"""Fields of a layout: name, type, rules and place, as the clerk writes them."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from zanc_pipeline.reception.pictures import Sign, parse_picture

FieldType = Literal[
    "cpf",
    "cnpj",
    "cpf_cnpj",
    "telefone",
    "telefones",
    "dinheiro",
    "decimal",
    "inteiro",
    "data",
    "data_hora",
    "texto",
    "email",
    "uf",
    "codigo",
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

PAYMENT = {"pago_em": "data", "valor_pago": "dinheiro"}
"""Beside ``contrato``, the fields of a payment: name in the layout → type."""

_NUMBERS = frozenset({"dinheiro", "decimal", "inteiro"})
_DATES = frozenset({"data", "data_hora"})
_DATE_PARTS = re.compile(r"a+|m+|d+|h+|s+|f+")
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.ASCII)
EXCEL = "excel"
"""A date as the number of its day in a spreadsheet: 1 is the first of January of 1900."""


def _yes_no(value: object) -> object:
    words = {"sim": True, "s": True, "não": False, "nao": False, "n": False}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


YesNo = Annotated[
    bool,
    BeforeValidator(_yes_no),
    WithJsonSchema({"enum": ["sim", "não", "nao", "s", "n", True, False]}),
]


class StrictModel(BaseModel):
    """A part of a layout: an unknown key is an error, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(StrictModel):
    """One field: its name, type and rules, wherever in the record it stands."""

    name: str = Field(
        alias="nome",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="O nosso nome para o campo: letras minúsculas sem acento, números e _. "
        f"Os que vão para o CRM: {', '.join(CANONICAL)}. Qualquer outro é guardado também.",
    )
    type: FieldType = Field(
        alias="tipo", default="texto", description="O que o campo traz: é assim que é conferido."
    )
    required: YesNo = Field(
        alias="obrigatorio", default=False, description="Vazio, a linha é rejeitada."
    )
    unique: YesNo = Field(
        alias="unico", default=False, description="O mesmo valor duas vezes: a segunda é rejeitada."
    )
    empty: tuple[str, ...] = Field(
        alias="vazios",
        default=(),
        description='Textos que querem dizer "sem valor", como ["00000000"].',
    )
    date_format: str = Field(
        alias="formato",
        default="dd/mm/aaaa",
        description="Como a data é escrita: dd/mm/aaaa, aaaammdd, dd/mm/aa (com 'seculo'), "
        "aaaaddd (dia do ano), dd-mmm-aa (31-jan-26), excel (o número do dia: 46053); com hora: "
        "dd/mm/aaaa hh:mm:ss, aaaa-mm-ddThh:mm:ss.fffZ.",
    )
    century: int | None = Field(
        alias="seculo",
        default=None,
        ge=0,
        le=99,
        description="Para anos de dois algarismos: abaixo deste número é 20aa, senão 19aa.",
    )
    decimal_mark: Literal[",", "."] = Field(
        alias="decimal", default=",", description="O sinal que separa os centavos."
    )
    implied_decimals: int | None = Field(
        alias="decimais",
        default=None,
        ge=0,
        le=6,
        description="Sem vírgula no arquivo: quantos dos últimos algarismos são decimais.",
    )
    sign: Sign = Field(
        alias="sinal",
        default="antes",
        description="Onde fica o sinal: antes (-10), depois (10-) ou cobol (no último algarismo).",
    )
    minimum: Decimal | date | None = Field(
        alias="minimo", default=None, description="O menor valor aceito (número ou data)."
    )
    maximum: Decimal | date | None = Field(
        alias="maximo", default=None, description="O maior valor aceito (número ou data)."
    )
    min_length: int = Field(
        alias="comprimento_minimo", default=0, ge=0, description="Mínimo de caracteres do texto."
    )
    max_length: int | None = Field(
        alias="comprimento_maximo", default=None, ge=1, description="Máximo de caracteres do texto."
    )
    pattern: str | None = Field(
        alias="padrao",
        default=None,
        max_length=500,
        description="Expressão regular (RE2) que o texto inteiro precisa seguir.",
    )
    true: tuple[str, ...] = Field(
        alias="verdadeiro", default=("S", "SIM", "1"), description="Textos que querem dizer sim."
    )
    false: tuple[str, ...] = Field(
        alias="falso", default=("N", "NÃO", "NAO", "0"), description="Textos que querem dizer não."
    )
    table: dict[str, str] | None = Field(
        alias="tabela", default=None, description='Os códigos e o que dizem: {"01": ativo}.'
    )
    when_invalid: Literal["rejeitar", "esvaziar"] | None = Field(
        alias="se_invalido",
        default=None,
        description="Valor errado: rejeitar a linha, ou só esvaziar o campo e avisar.",
    )
    confirm: YesNo = Field(
        alias="confirmar",
        default=False,
        description="Posto pelo rascunho: confira o campo e apague esta chave. Enquanto ela "
        "estiver aqui, os arquivos ficam em quarentena.",
    )

    @model_validator(mode="before")
    @classmethod
    def _type_of_the_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "tipo" not in data:
            types = CANONICAL.get(str(data.get("nome")), ("", frozenset()))[1]
            if len(types) == 1:
                return {**data, "tipo": next(iter(types))}
        return data

    @field_validator("date_format")
    @classmethod
    def _known_date_format(cls, value: str) -> str:
        if value == EXCEL:
            return value
        parts: list[str] = _DATE_PARTS.findall(value)
        day, hour = parts, list[str]()
        if "hh" in parts:
            day, hour = parts[: parts.index("hh")], parts[parts.index("hh") :]
        alike = {"aa": "aaaa", "mmm": "mm"}
        days = sorted(alike.get(part, part) for part in day)
        if days not in (["aaaa", "dd", "mm"], ["aaaa", "ddd"]):
            raise ValueError(
                f"'{value}': escreva dia, mês e ano com d, m e a: dd/mm/aaaa, aaaammdd, "
                "dd-mmm-aa (31-jan-26); ou excel (46053)"
            )
        if hour and hour[-1].strip("f") == "":
            hour = hour[:-1] if hour[-2:-1] == ["ss"] else hour
        if hour not in ([], ["hh", "mm"], ["hh", "mm", "ss"]):
            raise ValueError(f"'{value}': depois da data só cabe hh:mm, hh:mm:ss ou hh:mm:ss.fff")
        zoneless = _ZONE.sub("", value) if hour else value
        if _DATE_PARTS.sub("", zoneless).strip("/-.: T"):
            raise ValueError(f"'{value}': entre dd, mm e aaaa só cabem / - . ou nada")
        return value

    @field_validator("pattern")
    @classmethod
    def _readable_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                pc.match_substring_regex(pa.array([""]), value)
            except pa.ArrowInvalid:
                raise ValueError(f"'{value}' não é uma expressão regular (RE2)") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> FieldSpec:
        known = CANONICAL.get(self.name)
        if known and self.type not in known[1]:
            expected = " ou ".join(sorted(known[1]))
            raise ValueError(f"o campo '{self.name}' precisa ter tipo: {expected}")
        if self.type == "codigo" and not self.table:
            raise ValueError(f"o campo '{self.name}' é um código: escreva a 'tabela' dele")
        if self.type in _DATES and self.two_digit_year and self.century is None:
            raise ValueError(
                f"o campo '{self.name}' tem ano de dois algarismos: diga o 'seculo' (com seculo: "
                "30, de 00 a 29 é 20aa e de 30 a 99 é 19aa)"
            )
        if self.type == "data_hora" and "hh" not in self.date_format != EXCEL:
            raise ValueError(f"o campo '{self.name}' tem hora: o 'formato' precisa de hh:mm")
        for key, limit in (("minimo", self.minimum), ("maximo", self.maximum)):
            allowed = _DATES if isinstance(limit, date) else _NUMBERS
            if limit is not None and self.type not in allowed:
                raise ValueError(f"o campo '{self.name}': '{key}: {limit}' não serve a {self.type}")
        return self

    @property
    def two_digit_year(self) -> bool:
        """Whether ``formato`` writes the year as ``aa``."""
        return "aa" in self.date_format and "aaaa" not in self.date_format

    @property
    def plain_date(self) -> bool:
        """Whether ``formato`` is day, month and four-digit year in a usual order, and no more."""
        parts = sorted(_DATE_PARTS.findall(self.date_format))
        return parts == ["aaaa", "dd", "mm"] and self.date_order in {"dmy", "ymd", "mdy"}

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

    column: str = Field(
        alias="coluna",
        default="",
        description="O título da coluna no arquivo, quando não é igual ao 'nome'.",
    )
    ddd_column: str | None = Field(
        alias="coluna_ddd", default=None, description="O título da coluna que traz o DDD."
    )
    position: int | None = Field(
        alias="posicao",
        default=None,
        ge=1,
        description="Sem cabeçalho no arquivo: o número da coluna, a partir de 1.",
    )
    ddd_position: int | None = Field(
        alias="posicao_ddd", default=None, ge=1, description="O número da coluna que traz o DDD."
    )
    between: str = Field(
        alias="separador",
        default="/",
        min_length=1,
        description="Em 'telefones': o que separa um telefone do outro.",
    )

    @property
    def title(self) -> str:
        """The column's title in the file: the field's own name unless the layout gives another."""
        return self.column or self.name


class JsonField(FieldSpec):
    """A field of a JSON record: found by its path."""

    path: str = Field(
        alias="caminho",
        default="",
        description="Onde está, como em cliente.cpf ou telefones[0].numero.",
    )
    ddd_path: str | None = Field(
        alias="caminho_ddd", default=None, description="Onde está o DDD do telefone."
    )

    @property
    def place(self) -> str:
        """The path in the record: the field's own name unless the layout gives another."""
        return self.path or self.name


Check = Literal[
    "data_do_nome",
    "sequencia_do_nome",
    "quantidade",
    "quantidade_de_registros",
    "quantidade_de_lotes",
    "soma",
    "numero_do_registro",
    "numero_no_lote",
]


class ProvingField(FieldSpec):
    """A field of a record, which may also prove something of the file."""

    equals: str | None = Field(
        alias="igual", default=None, description="O texto que precisa estar aqui (o remetente)."
    )
    check: Check | None = Field(
        alias="confere",
        default=None,
        description="O que este campo prova: a data ou a sequência do nome do arquivo, a "
        "quantidade de detalhes, de registros (linhas) ou de lotes, a soma de um campo, ou o "
        "número do registro no arquivo ou no lote (dos que estão entre o cabeçalho e o rodapé).",
    )
    summed: str = Field(
        alias="de", default="valor", description="Em 'confere: soma', o campo que é somado."
    )


class PositionField(ProvingField):
    """A field of a fixed-width record: first byte (from 1) and size in bytes."""

    start: int = Field(alias="inicio", ge=1, description="O primeiro byte do campo, a partir de 1.")
    size: int = Field(alias="tamanho", default=0, ge=1, description="Quantos bytes o campo tem.")
    picture: str | None = Field(
        alias="picture",
        default=None,
        description="No lugar do tamanho, a picture do COBOL: X(10), 9(9)V99, S9(7)V99 COMP-3.",
    )
    ddd_start: int | None = Field(
        alias="inicio_ddd", default=None, ge=1, description="O primeiro byte do DDD."
    )
    ddd_size: int = Field(
        alias="tamanho_ddd", default=2, ge=2, le=4, description="Quantos bytes o DDD tem."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_picture(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("picture"), str):
            return data
        try:
            picture = parse_picture(data["picture"])
        except ValueError:
            return data  # the key's own validator says it, with its place
        drawn: dict[str, Any] = {"tamanho": picture.size}
        if picture.numeric and (picture.decimals or picture.sign != "antes" or picture.packed):
            drawn |= {"decimais": picture.decimals, "sinal": picture.sign}
        if picture.numeric and "tipo" not in data and data.get("nome") not in CANONICAL:
            drawn["tipo"] = "decimal" if picture.decimals else "inteiro"
        return {**drawn, **data}

    @field_validator("picture")
    @classmethod
    def _known_picture(cls, value: str | None) -> str | None:
        if value is not None:
            parse_picture(value)
        return value

    @model_validator(mode="after")
    def _has_size(self) -> PositionField:
        if not self.size:
            raise ValueError("tamanho: falta esta chave (ou escreva a 'picture')")
        if self.picture is not None:
            size = parse_picture(self.picture).size
            if self.size != size:
                raise ValueError(
                    f"o campo '{self.name}': a picture {self.picture} ocupa {size} bytes, e "
                    f"'tamanho' diz {self.size}: apague um dos dois"
                )
        if self.packed and self.type not in _NUMBERS:
            raise ValueError(
                f"o campo '{self.name}': COMP-3 é número: use dinheiro, decimal ou inteiro"
            )
        return self

    @property
    def packed(self) -> bool:
        """Whether the bytes are a packed decimal (COMP-3) and no text."""
        return self.picture is not None and parse_picture(self.picture).packed


class NumberedField(ProvingField):
    """A field of a delimited record: the number of its column, from 1."""

    position: int = Field(
        alias="posicao", ge=1, description="O número da coluna no registro, a partir de 1."
    )
    ddd_position: int | None = Field(
        alias="posicao_ddd", default=None, ge=1, description="O número da coluna que traz o DDD."
    )
