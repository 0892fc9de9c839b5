"""``config/regras.yaml``: the rules that every dial obeys, whatever the campaign. In Portuguese.

What each rule is and where it comes from: docs/discador.md. A file that is not there leaves the
defaults below, which are the strictest reading of the sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from zanc_pipeline.common.codecs import STATES
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import read_yaml

FILE = "regras.yaml"

Window = tuple[time, time]
"""From (included) to (excluded), local time."""


def clock(value: object) -> time:
    """A time as "08:00"; "24:00" is the end of the day."""
    match = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('escreva a hora entre aspas, como "08:00"')
    if match[0] == "24:00":
        return time.max
    if match[1] == "24":
        raise ValueError("a última hora do dia é 24:00")
    return time(int(match[1]), int(match[2]))


def _window(value: object) -> object:
    if value is False or value == "fechado":
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError('escreva início e fim, como ["08:00", "20:00"], ou fechado')
    start, end = clock(value[0]), clock(value[1])
    if start >= end:
        raise ValueError("o início deve vir antes do fim")
    return start, end


_Window = Annotated[Window | None, BeforeValidator(_window)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hours(_Part):
    """When people may be called: Monday to Friday, Saturday, Sunday; None is never."""

    semana: _Window = (time(8), time(20))
    sabado: _Window = (time(8), time(14))
    domingo: _Window = None

    def on(self, weekday: int) -> Window | None:
        """The hours of a weekday, 0 is Monday."""
        return self.semana if weekday < 5 else self.sabado if weekday == 5 else self.domingo


_STATE_LAWS = {
    "RJ": Hours(semana=["09:00", "19:00"], sabado=False),
    "ES": Hours(semana=["08:00", "19:00"], sabado=False),
    "AM": Hours(semana=["08:00", "18:00"], sabado=False),
    "CE": Hours(semana=["08:00", "18:00"], sabado=False),
}


class StateHours(_Part):
    """The hours of each state; ``padrao`` where no law of the state is listed."""

    ligado: bool = True
    padrao: Hours = Hours()
    estados: dict[str, Hours] = _STATE_LAWS

    @model_validator(mode="after")
    def _known_states(self) -> StateHours:
        for state in self.estados:
            if state not in STATES:
                raise ValueError(f"{state[:20]} não é a sigla de um estado")
        return self

    def of(self, state: str) -> Hours:
        """The hours of one state."""
        return self.estados.get(state, self.padrao)


class Holidays(_Part):
    """Days on which nobody is called: of the nation, of the states, and of config/feriados.csv."""

    ligado: bool = True
    pontos_facultativos: bool = False


class DoNotCall(_Part):
    """Which files of config/nao_ligar are obeyed."""

    ligado: bool = True
    listas: Literal["todas"] | tuple[str, ...] = "todas"


class ShortCalls(_Part):
    """The share of short calls of a day at which it is told (``alarme``) and stopped (``freio``).

    Neither counts before so many calls (``minimo_…``) left on that day.
    """

    ligado: bool = True
    segundos: Annotated[float, Field(ge=1, le=60)] = 6
    alarme: _Share = 0.80
    freio: _Share = 0.84
    minimo_alarme: _Count = 10_000
    minimo_freio: _Count = 95_000


class Limit(_Part):
    """So many calls are told of, so many are not passed; None is no limit."""

    alarme: _Count | None = None
    freio: _Count | None = None


class Volume(_Part):
    """How many calls leave: of each caller id in a day, of all in a calendar month."""

    ligado: bool = True
    por_identificador_dia: Limit = Limit(alarme=80_000, freio=95_000)
    mes: Limit = Limit(alarme=400_000, freio=490_000)


class Callbacks(_Part):
    """Calls that people asked for at a time."""

    espera_operador_minutos: Annotated[float, Field(ge=0, le=240)] = 10
    validade_dias: Annotated[int, Field(ge=1, le=30)] = 3


class Kept(_Part):
    """For how many days recordings and the PBX's own records are kept."""

    gravacoes_dias: Annotated[int, Field(ge=1, le=3650)] = 180
    registros_dias: Annotated[int, Field(ge=30, le=3650)] = 180
    registros_mb: Annotated[float, Field(gt=0, le=10_000)] = 64


class Policy(_Part):
    """Everything in the file."""

    horarios: StateHours = StateHours()
    feriados: Holidays = Holidays()
    nao_ligar: DoNotCall = DoNotCall()
    chamadas_curtas: ShortCalls = ShortCalls()
    volume: Volume = Volume()
    retornos: Callbacks = Callbacks()
    guarda: Kept = Kept()

    def at_any_hour(self) -> Policy:
        """The same for people who are simulated: day and night, holidays too."""
        return self.model_copy(
            update={
                "horarios": StateHours(ligado=False),
                "feriados": Holidays(ligado=False),
            }
        )


def load_policy(folder: Path) -> Policy:
    """Read ``regras.yaml`` of ``folder``; the defaults when there is none.

    Raises ConfigError in Portuguese: the file, the field and what to write.
    """
    path = folder / FILE
    return parse_policy(read_yaml(path)) if path.is_file() else Policy()


def parse_policy(content: Mapping[str, Any]) -> Policy:
    """Check what is in the file; raises ConfigError as ``load_policy``."""
    try:
        return Policy.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigError(
            "; ".join(
                f"config/{FILE}: {'.'.join(map(str, problem['loc']))}: {_said(problem)}"
                for problem in error.errors()
            )
        ) from None


def _said(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx") or {}
    match problem["type"]:
        case "value_error":
            return str(context.get("error", problem["msg"]))
        case "extra_forbidden":
            return "esta opção não existe; confira a grafia"
        case "greater_than":
            return f"deve ser mais que {context['gt']:g}"
        case "greater_than_equal":
            return f"deve ser no mínimo {context['ge']:g}"
        case "less_than_equal":
            return f"deve ser no máximo {context['le']:g}"
        case "bool_type" | "bool_parsing":
            return "escreva true ou false"
        case "model_type" | "dict_type":
            return "esperava linhas 'chave: valor' abaixo"
        case _:
            return "deve ser um número"
