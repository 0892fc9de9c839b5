"""Layouts: what a clerk may write, and the exact key when it is wrong."""

from datetime import date
from pathlib import Path

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.reception.layout import load_layout, load_layouts
from zanc_pipeline.reception.names import NameFacts, NamePattern

GOOD = """
versao: "1"
vigencia: 2026-01-01
arquivos: CARTEIRA_{aaaammdd}.csv
formato: delimitado
codificacao: utf-8
separador: ";"
campos:
  - {nome: cpf, tipo: cpf}
  - {nome: situacao, tipo: codigo, tabela: {A: ativo, B: baixado}, obrigatorio: sim}
"""
FIXED = """
versao: "1"
vigencia: 2026-01-01
arquivos: x.txt
formato: largura_fixa
codificacao: ascii
tamanho_da_linha: 20
campos:
  - {nome: cpf, tipo: cpf, inicio: 1, tamanho: 11}
  - {nome: nome, inicio: 12, tamanho: 9}
"""


def layout_file(folder: Path, text: str, name: str = "layout.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "convenio", ["banco_aurora", "energia_sul", "loja_horizonte", "telecom_brisa"]
)
def test_the_layouts_of_the_demo_are_valid(convenio: str) -> None:
    folder = Path(__file__).parents[3] / "config" / "convenios" / convenio
    (layout,) = load_layouts(folder)
    assert layout.patterns


def test_yes_and_no_are_portuguese(tmp_path: Path) -> None:
    layout = load_layout(layout_file(tmp_path, GOOD))
    assert layout.fields[1].required is True


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tipo: cpf}", "tipo: cpff}", r"campos\[1º\].tipo: 'cpff' não é aceito; use um destes"),
        ("codificacao:", "codificaçao:", "você quis dizer 'codificacao'"),
        ("separador:", "separadr:", "separadr: chave desconhecida; você quis dizer 'separador'"),
        ('versao: "1"', "versao: 1", "versao: '1' precisa ser um texto: escreva-o entre aspas"),
        ("formato: delimitado", "formato: csv", "formato: 'csv' não é aceito; use um destes"),
        ("vigencia: 2026-01-01", "vigencia: ontem", "vigencia: 'ontem' precisa ser uma data"),
        ("{aaaammdd}", "{data}", r"arquivos: .*'\{data\}' não é conhecido"),
        ("nome: situacao", "nome: Situação", r"campos\[2º\].nome: .*minúsculas"),
        ("nome: situacao", "nome: cpf, tipo: cpf, coluna: x}\n  - {nome: outro", "mais de uma vez"),
        ("nome: situacao, tipo: codigo", "nome: valor, tipo: codigo", "precisa ter tipo: dinheiro"),
        ("tabela: {A: ativo, B: baixado}, ", "", "escreva a 'tabela' dele"),
        ("obrigatorio: sim", "obrigatorio: talvez", "obrigatorio: 'talvez' precisa ser sim ou não"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message) as error:
        load_layout(layout_file(tmp_path, GOOD.replace(old, new)))
    assert "layout.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("inicio: 12", "inicio: 11", "'nome' começa no byte 11, dentro de 'cpf'"),
        ("tamanho: 9", "tamanho: 10", "'nome' termina no byte 21, mas a linha tem 20 bytes"),
        ("inicio: 12, ", "", r"campos\[2º\].inicio: falta esta chave"),
    ],
)
def test_positions_must_fit_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_layout(layout_file(tmp_path, FIXED.replace(old, new)))


def test_two_versions_of_one_name_are_refused(tmp_path: Path) -> None:
    layout_file(tmp_path, GOOD)
    layout_file(tmp_path, GOOD, "layout-2.yaml")
    with pytest.raises(ConfigError, match="duas versões"):
        load_layouts(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "name", "facts"),
    [
        ("A_{aaaammdd}.csv", "a_20261123.CSV", NameFacts(reference_date=date(2026, 11, 23))),
        ("{ddmmaaaa}*.txt", "23112026-b.txt", NameFacts(reference_date=date(2026, 11, 23))),
        (
            "L_{aaaammdd}_{sequencia}.rem",
            "L_20261123_0042.rem",
            NameFacts(reference_date=date(2026, 11, 23), sequence=42),
        ),
        ("fixo.csv", "fixo.csv", NameFacts()),
        ("A_{aaaammdd}.csv", "A_20261323.csv", None),
        ("A_{aaaammdd}.csv", "A_2026112.csv", None),
        ("A_{aaaammdd}.csv", "A_20261123.csv.part", None),
        ("*.csv", "x/y.csv", None),
        ("a.csv", "aXcsv", None),
    ],
)
def test_names_give_the_date_and_the_sequence(
    pattern: str, name: str, facts: NameFacts | None
) -> None:
    assert NamePattern.parse(pattern).match(name) == facts
