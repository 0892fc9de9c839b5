"""The call centre's limits: ``config/localization.yaml``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings, read_yaml


class Limits(BaseModel):
    """How often a phone and a person may be called, over all CRMs.

    A day is São Paulo's; a week is today and the six days before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts_per_phone_day: int = Field(alias="tentativas_por_telefone_dia", ge=1)
    attempts_per_phone_week: int = Field(alias="tentativas_por_telefone_semana", ge=1)
    attempts_per_person_day: int = Field(alias="tentativas_por_pessoa_dia", ge=1)
    attempts_per_person_week: int = Field(alias="tentativas_por_pessoa_semana", ge=1)
    quiet_days_after_talk: int = Field(alias="dias_sem_ligar_apos_conversa", ge=0)


class Rules(BaseModel):
    """Everything in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: Limits = Field(alias="limites")
    right_party_valid_days: int = Field(alias="titular_confirmado_vale_dias", ge=1)
    audit_days: int = Field(alias="auditoria_guardada_dias", ge=1)


def load_rules(settings: Settings) -> Rules:
    """Read the file; ConfigError names the key that is wrong."""
    path = settings.config / "localization.yaml"
    try:
        return Rules.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {problems}") from None
