"""The ``discador:`` section of a campaign: what analysts write, checked; errors in Portuguese."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dialer.pacing import PacingConfig
from dialer.policy import clock
from dialer.rules import WEEKDAYS, CallingHours, RetryRules
from dialer.script import Step, parse_script
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome

ANY_HOUR = CallingHours(
    start=time.min, end=time.max, weekdays=frozenset(range(7)), zone=ZoneInfo("America/Sao_Paulo")
)
"""Day and night: only for people who are simulated."""

_MODES = {"previa", "progressivo", "power", "preditivo"}
_PACING = {"power": "power", "preditivo": "predictive"}
PREVIEW = "previa"
"""The mode in which an operator sees the person's card and decides before anything is dialled."""
ANSWER_WAIT_SECONDS = 2.0
"""As the PBX's dialplan has it: after so long a person hears the safe message."""

PAUSE_REASONS = ("almoço", "banheiro", "descanso", "treinamento", "sistema", "particular")

_RETRIED = frozenset(
    {
        Outcome.BUSY,
        Outcome.NO_ANSWER,
        Outcome.MACHINE,
        Outcome.NETWORK_FAILURE,
        Outcome.ABANDONED,
        Outcome.UNKNOWN,
    }
)


def _mode(value: object) -> str:
    if not isinstance(value, str) or value not in _MODES:
        raise ValueError("use previa, progressivo, power ou preditivo")
    return value


def _weekday(value: object) -> int:
    if value not in WEEKDAYS:
        raise ValueError(f"os dias são {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(str(value))


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("fuso horário desconhecido; use, por exemplo, America/Sao_Paulo") from None


def _caller_id(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[1-9][0-9]{9,10}", value, re.ASCII) is None:
        raise ValueError('escreva DDD e número, só dígitos e entre aspas, como "1140028900"')
    return value


def _reason(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 40 or not value.isprintable():
        raise ValueError("escreva cada motivo em uma linha, até 40 letras")
    return value


def _retried(value: object) -> Outcome:
    if value not in {outcome.value for outcome in _RETRIED}:
        names = ", ".join(sorted(outcome.value for outcome in _RETRIED))
        raise ValueError(f"só se tenta de novo depois de {names}")
    return Outcome(str(value))


class CampaignSettings(BaseModel):
    """How a campaign dials, as validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    modo: Annotated[str, BeforeValidator(_mode)]
    horario: tuple[Annotated[time, BeforeValidator(clock)], Annotated[time, BeforeValidator(clock)]]
    dias: Annotated[frozenset[Annotated[int, BeforeValidator(_weekday)]], Field(min_length=1)]
    fuso: Annotated[ZoneInfo, BeforeValidator(_zone)]
    identificador: Annotated[str, BeforeValidator(_caller_id)]
    tentativas_por_telefone: Annotated[int, Field(ge=1, le=20)]
    nova_tentativa_minutos: dict[
        Annotated[Outcome, BeforeValidator(_retried)], Annotated[float, Field(ge=0, le=1440)]
    ]
    gravar: bool = False
    toque_maximo_segundos: Annotated[int, Field(ge=5, le=60)]
    pos_atendimento_segundos: Annotated[float, Field(ge=1, le=600)]
    prioridade: Annotated[int, Field(ge=1, le=9)] = 5
    abandono_maximo: Annotated[float, Field(gt=0, le=0.2)] = 0.03
    linhas_por_operador: Annotated[float, Field(ge=1, le=10)] = 1.5
    previa_segundos: Annotated[float, Field(ge=5, le=600)] = 60
    motivos_de_pausa: Annotated[
        tuple[Annotated[str, BeforeValidator(_reason)], ...], Field(min_length=1)
    ] = PAUSE_REASONS
    roteiro: Annotated[tuple[Step, ...], BeforeValidator(parse_script)] = ()

    @model_validator(mode="after")
    def _order(self) -> CampaignSettings:
        if self.horario[0] >= self.horario[1]:
            raise ValueError("horario: o início deve vir antes do fim")
        return self

    @property
    def pacing(self) -> PacingConfig:
        """How many lines to open."""
        return PacingConfig(
            mode=_PACING.get(self.modo, "progressive"),
            max_abandon=self.abandono_maximo,
            max_wait=ANSWER_WAIT_SECONDS,
            lines_per_agent=self.linhas_por_operador,
        )

    def hours(self, override: CallingHours | None = None) -> CallingHours:
        """When calls may be placed."""
        if override is not None:
            return override
        return CallingHours(
            start=self.horario[0], end=self.horario[1], weekdays=self.dias, zone=self.fuso
        )

    def retries(self, time_scale: float = 1.0) -> RetryRules:
        """When a phone is tried again; the simulated world divides every wait by its scale."""
        return RetryRules(
            attempts_per_phone=self.tentativas_por_telefone,
            waits={
                outcome: timedelta(minutes=minutes / time_scale)
                for outcome, minutes in self.nova_tentativa_minutos.items()
            },
        )


def parse_campaign(section: object, where: str) -> CampaignSettings:
    """Check a ``discador:`` section; ``where`` names it in errors.

    Raises ConfigError that names the field and says, in Portuguese, what to write.
    """
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: falta a seção 'discador'")
    try:
        return CampaignSettings.model_validate(dict(section))
    except ValidationError as error:
        problems = error.errors()
        # What has a wrong part is not empty, though without that part it would be.
        inner = {problem["loc"][:-1] for problem in problems}
        told = [
            f"{where}: {_problem(problem)}"
            for problem in problems
            if problem["type"] != "too_short" or problem["loc"] not in inner
        ]
        raise ConfigError("; ".join(told)) from None


_MESSAGES = {
    "missing": "falta esta linha",
    "extra_forbidden": "esta opção não existe; confira a grafia",
    "int_type": "deve ser um número inteiro",
    "int_parsing": "deve ser um número inteiro",
    "int_from_float": "deve ser um número inteiro",
    "float_type": "deve ser um número",
    "float_parsing": "deve ser um número",
    "bool_type": "deve ser true ou false, sem aspas",
    "bool_parsing": "deve ser true ou false, sem aspas",
    "dict_type": "deve ser uma lista de 'resultado: minutos'",
    "frozen_set_type": "deve ser uma lista",
    "tuple_type": 'deve ter início e fim, como ["08:00", "20:00"]',
    "too_short": "não pode ficar vazio",
}


def _problem(problem: Mapping[str, Any]) -> str:
    steps = [str(step) for step in problem["loc"] if step != "[key]"]
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind == "value_error":
        message = str(context.get("error", problem["msg"]))
    elif kind == "greater_than":
        message = f"deve ser mais que {context['gt']:g}"
    elif kind == "greater_than_equal":
        message = f"deve ser no mínimo {context['ge']:g}"
    elif kind == "less_than_equal":
        message = f"deve ser no máximo {context['le']:g}"
    else:
        message = _MESSAGES.get(kind, str(problem["msg"]))
    return f"{'.'.join(['discador', *steps])}: {message}"
