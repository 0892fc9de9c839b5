"""Strategies: what an analyst writes wrong is explained in Portuguese, by file and key."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.mailing.reading import calling_hours
from zanc_pipeline.mailing.strategy import Strategy, check_strategy, load_strategy

CONVENIOS = {"banco_aurora": {}, "energia_sul": {}}
CONTENT = yaml.safe_load(Path("config/campaigns/cobranca_geral.yaml").read_text(encoding="utf-8"))


def changed(key: str, value: Any) -> dict[str, Any]:
    content = deepcopy(CONTENT)
    *sections, last = key.split(".")
    part = content
    for section in sections:
        part = part[section]
    part[last] = value
    return content


def check(content: dict[str, Any]) -> Strategy:
    return check_strategy(content, file="config/campaigns/x.yaml", convenios=CONVENIOS)


def test_every_campaign_of_the_project_is_valid(tmp_path: Path) -> None:
    stack = load_settings(var=tmp_path)
    for name in stack.campaigns:
        assert load_strategy(stack, name).nome


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed("publico.valor_minimo", "muito"), "publico.valor_minimo: esperado um valor em"),
        (changed("publico.valor_minimo", -1), "publico.valor_minimo: precisa ser no mínimo 0"),
        (changed("publico.valor_minino", 1), "você quis dizer 'valor_minimo'?"),
        (changed("capacidade.pessoas", 0), "capacidade.pessoas: precisa ser maior que 0, veio '0'"),
        (changed("capacidade.pessoas", 2.5), "capacidade.pessoas: esperado um número inteiro"),
        (changed("economia.comissao", 10), "economia.comissao: pode ser no máximo 1"),
        (changed("nunca_chamar.falecidos", "talvez"), "esperado true ou false, veio 'talvez'"),
        (changed("convenios", ["banco_aurorra"]), "'banco_aurorra' não existe; você quis dizer"),
        (changed("convenios", []), "a lista está vazia"),
        (changed("convenios", "banco_aurora"), "convenios: esperado 'todos' ou uma lista"),
        (changed("economias", {}), "economias: chave desconhecida; você quis dizer 'economia'?"),
        (changed("publico", 3), "publico: esperadas linhas 'chave: valor'"),
        (changed("capacidade.pessoas", None), "escreva 'pessoas', ou 'operadores' e 'horas'"),
        (changed("capacidade", {"operadores": 5}), "capacidade: falta 'horas'"),
        (changed("publico.ddds", [10]), "publico.ddds.0: precisa ser no mínimo 11"),
        (changed("publico.estados", ["São Paulo"]), "esperada a sigla do estado em maiúsculas"),
        (changed("publico.valor_maximo", 1), "valor_maximo é menor que valor_minimo"),
        (changed("nunca_chamar.listas", "procon"), "listas: esperado 'todas' ou nomes de arquivos"),
        (changed("exploracao.nunca_ligar", 0.9), "exploracao.nunca_ligar: pode ser no máximo 0.5"),
        ({k: v for k, v in CONTENT.items() if k != "economia"}, "economia: falta esta chave"),
    ],
)
def test_mistakes_are_explained(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(content)
    assert str(caught.value).startswith("config/campaigns/x.yaml: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("name", ["nao_existe", "../stack", "x" * 99, ""])
def test_an_unknown_campaign_lists_those_that_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"não há campanha .* cobranca_geral"):
        load_strategy(load_settings(var=tmp_path), name)


def test_how_to_dial_does_not_change_who_is_called() -> None:
    same = check(changed("discador.toque_maximo_segundos", 5)).fingerprint()
    assert check(CONTENT).fingerprint() == same
    assert check(changed("capacidade.pessoas", 61)).fingerprint() != same


@pytest.mark.parametrize(
    ("horario", "hours"),
    [
        (["08:00", "20:00"], range(8, 20)),
        (["09:00", "12:30"], range(9, 13)),
        (["00:00", "23:59"], range(24)),
        ("?", range(24)),
    ],
)
def test_the_hours_that_count_are_those_in_which_the_campaign_dials(
    horario: object, hours: range
) -> None:
    assert calling_hours(check(changed("discador.horario", horario))) == list(hours)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("pessoas: 60 ", "pessoas: 0 ", "x.yaml:15: capacidade.pessoas: precisa ser maior que 0"),
        ("  pessoas: 60", "\tpessoas: 60", "x.yaml:15: há uma tabulação"),
        ("nome: Cobrança geral", 'nome: "Cobrança', "as aspas abertas na linha 3 não fecham"),
        ("nome: Cobrança geral", "nome: a\nnome: b", "x.yaml:4: a chave 'nome' já está na linha 3"),
        ("convenios: todos", "convenios: [nenhum]", "x.yaml:4: convenios: 'nenhum' não existe"),
    ],
)
def test_the_line_is_named_and_bad_yaml_is_explained(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    stack = load_settings(var=tmp_path / "var")
    folder = tmp_path / "config"
    shutil.copytree(stack.config, folder)
    text = (folder / "campaigns/cobranca_geral.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "campaigns/x.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_strategy(stack.model_copy(update={"config": folder}), "x")
    assert problem in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
