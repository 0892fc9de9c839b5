"""``config/campaigns/<name>.yaml``: whom to call, whom never, how much, at what cost.

Analysts write these files, so whatever is wrong in one is explained in Portuguese, by file and key.
The ``discador`` section is only passed on: the dialer checks it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.yaml_text import read_yaml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from zanc_pipeline.common.settings import Settings

CAMPAIGN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
"""Also a part of file names, DAG ids and mailing ids."""


Text = Annotated[str, Field(min_length=1, max_length=80)]
State = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
AreaCode = Annotated[int, Field(ge=11, le=99)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Audience(_Part):
    """Which contracts count: by open reais, days late, product; and where the person lives."""

    valor_minimo: Decimal = Field(default=Decimal(0), ge=0)
    valor_maximo: Decimal | None = Field(default=None, gt=0)
    atraso_minimo_dias: int = Field(default=0, ge=0)
    atraso_maximo_dias: int | None = Field(default=None, ge=0)
    produtos: list[Text] = []
    estados: list[State] = []
    cidades: list[Text] = []
    ddds: list[AreaCode] = []

    @model_validator(mode="after")
    def _ranges_hold_something(self) -> Audience:
        if self.valor_maximo is not None and self.valor_maximo < self.valor_minimo:
            raise ValueError("valor_maximo é menor que valor_minimo: ninguém seria chamado")
        if self.atraso_maximo_dias is not None and (
            self.atraso_maximo_dias < self.atraso_minimo_dias
        ):
            raise ValueError("atraso_maximo_dias é menor que atraso_minimo_dias")
        return self


class Never(_Part):
    """Who is left out whatever the profit; ``listas`` name files of config/nao_ligar."""

    falecidos: bool = True
    promessas_em_curso: bool = True
    conversou_nos_ultimos_dias: int = Field(default=3, ge=0, le=365)
    disse_que_pagou_nos_ultimos_dias: int = Field(default=5, ge=0, le=365)
    listas: Literal["todas"] | list[str] = "todas"


class Capacity(_Part):
    """How much a mailing holds: so many people, or what operators and lines can work off."""

    pessoas: int | None = Field(default=None, gt=0)
    operadores: int | None = Field(default=None, gt=0)
    horas: float | None = Field(default=None, gt=0, le=24)
    ocupacao: float = Field(default=0.8, gt=0, le=1)
    linhas: int | None = Field(default=None, gt=0)
    telefones_por_pessoa: int = Field(default=2, gt=0, le=10)

    @model_validator(mode="after")
    def _ends_somewhere(self) -> Capacity:
        if self.pessoas is None and self.operadores is None and self.linhas is None:
            raise ValueError("escreva 'pessoas', ou 'operadores' e 'horas'")
        if self.horas is None and (self.operadores is not None or self.linhas is not None):
            raise ValueError("falta 'horas': por quantas horas operadores e linhas trabalham")
        return self


class Economy(_Part):
    """``comissao`` is a share of what is paid; the costs are in reais.

    ``efeito_da_ligacao`` says how much of the effect of a conversation that the model predicts is
    believed until the control group has measured it.
    """

    comissao: float = Field(gt=0, le=1)
    custo_por_tentativa: float = Field(ge=0)
    custo_por_minuto: float = Field(ge=0)
    custo_hora_operador: float = Field(ge=0)
    efeito_da_ligacao: float = Field(default=1.0, gt=0, le=1)


class Exploration(_Part):
    """What is left to chance so that the effect of a call and the good hours can be learned.

    Shares: of the people, who is never called; of the mailing's places, those for people whom
    value or capacity would leave out; of the people called, those whose first hour is drawn.
    ``semente`` is the same in campaigns that share their groups; the campaign's name without it.
    """

    nunca_ligar: float = Field(default=0.0, ge=0, le=0.5)
    ligar_mesmo_assim: float = Field(default=0.0, ge=0, le=0.5)
    hora_ao_acaso: float = Field(default=0.0, ge=0, le=1)
    semente: str = Field(default="", max_length=80)


class Strategy(_Part):
    """One campaign. Read it with ``load_strategy``."""

    nome: str = Field(min_length=1, max_length=80)
    convenios: Literal["todos"] | list[str]
    publico: Audience = Audience()
    nunca_chamar: Never = Never()
    capacidade: Capacity
    economia: Economy
    exploracao: Exploration = Exploration()
    discador: dict[str, Any]

    def fingerprint(self) -> str:
        """SHA-256 of all that decides who is called; how to dial is not part of it."""
        content = self.model_dump(mode="json", exclude={"nome", "discador"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_strategy(settings: Settings, campaign: str) -> Strategy:
    """The strategy called ``campaign``; ConfigError, in Portuguese, names file, key and remedy."""
    path = settings.config / "campaigns" / f"{campaign}.yaml"
    if CAMPAIGN_NAME.fullmatch(campaign) is None or not path.is_file():
        folder = settings.config / "campaigns"
        known = sorted(one.stem for one in folder.glob("*.yaml"))
        raise ConfigError(
            f"não há campanha '{campaign[:60]}': as que existem em config/campaigns são "
            f"{', '.join(known) or 'nenhuma'}"
        )
    text = read_yaml_text(path, shown=Path("config/campaigns") / path.name)
    return check_strategy(
        text.content, file=str(text.path), convenios=settings.convenios, line=text.line
    )


def check_strategy(
    content: Mapping[str, Any],
    *,
    file: str,
    convenios: Mapping[str, object],
    line: Callable[[Sequence[str | int]], int] | None = None,
) -> Strategy:
    """Check the content of a strategy; ``convenios`` are those that exist.

    ``line`` tells in which line of the file a key stands, so that errors name it.
    """

    def at(place: Sequence[str | int]) -> str:
        return file if line is None else f"{file}:{line(place)}"

    try:
        strategy = Strategy.model_validate(content)
    except ValidationError as error:
        said: dict[str, str] = {}  # by what it is: a union says the same for each branch
        for problem in error.errors():
            said.setdefault(_explain(problem), at(problem["loc"]))
        if line is None:
            raise ConfigError(f"{file}: {'; '.join(said)}") from None
        raise ConfigError("; ".join(f"{where}: {text}" for text, where in said.items())) from None
    if isinstance(strategy.convenios, list):
        for name in strategy.convenios:
            if name not in convenios:
                near = _did_you_mean(name, convenios)
                raise ConfigError(f"{at(['convenios'])}: convenios: '{name}' não existe{near}")
        if not strategy.convenios:
            raise ConfigError(
                f"{at(['convenios'])}: convenios: a lista está vazia; escreva 'todos' ou nomes"
            )
    return strategy


_TEXTS = {
    "missing": "falta esta chave",
    "bool_type": "esperado true ou false",
    "bool_parsing": "esperado true ou false",
    "int_type": "esperado um número inteiro",
    "int_parsing": "esperado um número inteiro",
    "int_from_float": "esperado um número inteiro",
    "float_type": "esperado um número, com ponto decimal",
    "float_parsing": "esperado um número, com ponto decimal",
    "decimal_type": "esperado um valor em reais, com ponto decimal (50.00)",
    "decimal_parsing": "esperado um valor em reais, com ponto decimal (50.00)",
    "string_type": "esperado um texto",
    "string_too_short": "o texto está vazio",
    "string_too_long": "o texto é longo demais (máximo {max_length})",
    "list_type": "esperada uma lista entre colchetes: [um, outro]",
    "string_pattern_mismatch": "esperada a sigla do estado em maiúsculas: SP",
    "dict_type": "esperadas linhas 'chave: valor' abaixo desta chave",
    "model_type": "esperadas linhas 'chave: valor' abaixo desta chave",
    "greater_than": "precisa ser maior que {gt}",
    "greater_than_equal": "precisa ser no mínimo {ge}",
    "less_than_equal": "pode ser no máximo {le}",
    "finite_number": "esperado um número finito",
}


_UNIONS = {
    "convenios": "esperado 'todos' ou uma lista de convênios: [banco_aurora, energia_sul]",
    "nunca_chamar.listas": "esperado 'todas' ou nomes de arquivos de config/nao_ligar: [procon]",
}


def _explain(problem: ErrorDetails) -> str:
    # A union adds the name of its branch to the place: the analyst wrote only the key.
    place = [str(step) for step in problem["loc"]]
    for union, expected in _UNIONS.items():
        if ".".join(place[: union.count(".") + 1]) == union:
            return f"{union}: {expected}, veio {str(problem['input'])[:40]!r}"
    key = ".".join(place) or "o arquivo"
    if problem["type"] == "extra_forbidden":
        section = Strategy.model_fields if len(place) == 1 else _section(place[0])
        return f"{key}: chave desconhecida{_did_you_mean(place[-1], section)}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    text = _TEXTS.get(problem["type"], problem["msg"]).format(**problem.get("ctx", {}))
    if problem["type"] == "missing":
        return f"{key}: {text}"
    return f"{key}: {text}, veio {str(problem['input'])[:40]!r}"


def _section(name: str) -> Mapping[str, object]:
    part = Strategy.model_fields[name].annotation
    return getattr(part, "model_fields", {})


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; você quis dizer '{close[0]}'?"
    return f"; existem: {', '.join(known)}"
