"""The ``discador:`` section that analysts write."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from dialer.settings import parse_campaign
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import read_yaml

CAMPAIGNS = Path(__file__).parents[3] / "config" / "campaigns"


def section(**changes: Any) -> dict[str, Any]:
    return {**read_yaml(CAMPAIGNS / "cobranca_geral.yaml")["discador"], **changes}


@pytest.mark.parametrize("path", sorted(CAMPAIGNS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_campaign_of_the_house_is_valid(path: Path) -> None:
    parse_campaign(read_yaml(path)["discador"], path.name)


def test_what_is_written_is_what_is_done() -> None:
    parsed = parse_campaign(section(nova_tentativa_minutos={"busy": 1}), "x")
    assert parsed.pacing.mode == "predictive"
    assert parsed.pacing.max_abandon == 0.03
    hours = parsed.hours()
    assert (hours.start, hours.end, hours.weekdays) == (
        time(8),
        time(20),
        frozenset({0, 1, 2, 3, 4}),
    )
    assert parsed.retries().waits == {Outcome.BUSY: timedelta(minutes=1)}
    assert parsed.retries(4).waits == {Outcome.BUSY: timedelta(seconds=15)}


@pytest.mark.parametrize(
    ("mode", "paced"),
    [
        ("previa", "progressive"),
        ("progressivo", "progressive"),
        ("power", "power"),
        ("preditivo", "predictive"),
    ],
)
def test_each_mode_has_its_pacing(mode: str, paced: str) -> None:
    assert parse_campaign(section(modo=mode), "x").pacing.mode == paced


def test_a_day_may_end_at_midnight() -> None:
    assert parse_campaign(section(horario=["08:00", "24:00"]), "x").hours().end == time.max


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modo": "turbo"}, "modo: use previa, progressivo, power ou preditivo"),
        ({"abandono_maximo": 0}, "abandono_maximo: deve ser mais que 0"),
        ({"prioridade": 10}, "prioridade: deve ser no máximo 9"),
        ({"motivos_de_pausa": ["a\nb"]}, "escreva cada motivo em uma linha"),
        ({"gravar": "sim"}, "gravar: deve ser true ou false, sem aspas"),
        ({"horario": ["20:00", "08:00"]}, "o início deve vir antes do fim"),
        ({"horario": ["8h", "20:00"]}, "escreva a hora entre aspas"),
        ({"horario": ["08:00", "24:30"]}, "a última hora do dia é 24:00"),
        ({"dias": ["segunda"]}, "os dias são seg, ter"),
        ({"dias": []}, "dias: não pode ficar vazio"),
        ({"fuso": "Brasilia"}, "fuso horário desconhecido"),
        ({"identificador": 1140028900}, "identificador: escreva DDD e número"),
        ({"identificador": "11400289\r\n"}, "identificador: escreva DDD e número"),
        ({"tentativas_por_telefone": 0}, "tentativas_por_telefone: deve ser no mínimo 1"),
        ({"tentativas_por_telefone": "muitas"}, "deve ser um número inteiro"),
        ({"nova_tentativa_minutos": {"human": 1}}, "só se tenta de novo depois de"),
        ({"toque_maximo_segundos": 90}, "toque_maximo_segundos: deve ser no máximo 60"),
        ({"toque": 9}, "toque: esta opção não existe"),
    ],
)
def test_a_mistake_is_told_in_portuguese_with_the_field(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match="discador") as caught:
        parse_campaign(section(**change), "config/campaigns/x.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config/campaigns/x.yaml: ")


def test_a_missing_line_or_section_is_told() -> None:
    incomplete = section()
    del incomplete["fuso"]
    with pytest.raises(ConfigError, match=r"discador\.fuso: falta esta linha"):
        parse_campaign(incomplete, "x")
    with pytest.raises(ConfigError, match="falta a seção 'discador'"):
        parse_campaign(None, "x")


def test_a_list_with_a_wrong_part_is_not_also_told_to_be_empty() -> None:
    with pytest.raises(ConfigError) as error:
        parse_campaign(section(motivos_de_pausa=["a\nb"]), "x")
    assert "vazio" not in str(error.value)
