"""A wrong layout is named by file, line, key and the nearest right key; editors know the keys."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from zanc_pipeline.cli import cli
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.reception.layout import load_any_layout, parse_layout
from zanc_pipeline.reception.layout_models import KINDS
from zanc_pipeline.reception.layout_schema import layout_schema

CONVENIOS = Path(__file__).parents[3] / "config" / "convenios"
SET = """\
versao: "1"
vigencia: 2026-01-01
formato: conjunto
membros:
  - nome: contratos
    principal: sim
    layout:
      arquivos: C_{aaaammdd}.csv
      formato: delimitado
      codificacao: utf-8
      separador: ";"
      campos:
        - {nome: cpf}
        - {nome: contrato}
        - {nome: valor}
        - {nome: vencimento}
  - nome: clientes
    chave: cpf
    layout:
      arquivos: P_{aaaammdd}.csv
      formato: largura_fixa
      codificacao: latin-1
      tamanho_da_linha: 51
      campos:
        - {nome: cpf, inicio: 1, tamanho: 11}
        - {nome: nome, inicio: 12, picture: X(40)}
"""
CNAB = """\
versao: "1"
vigencia: 2026-01-01
arquivos: CB{ddmmaaaa}.rem
formato: registros
codificacao: ascii
tamanho_da_linha: 240
registros:
  inicio: 8
  cabecalho: {codigo: "0", campos: [{nome: banco, inicio: 1, tamanho: 3, igual: "341"}]}
  detalhe:
    codigo: "3"
    quando: [{onde: 14, igual: P}]
    campos:
      - {nome: contrato, inicio: 59, tamanho: 15}
      - {nome: valor, inicio: 86, tamanho: 15, decimais: 2}
  filhos:
    - nome: pessoa
      codigo: "3"
      quando: [{onde: 14, igual: Q}]
      obrigatorio: sim
      campos: [{nome: nome, inicio: 34, tamanho: 40}]
  rodape:
    codigo: "9"
    campos:
      - {nome: linhas, tipo: inteiro, inicio: 24, tamanho: 6, confere: quantidade_de_registros}
"""
GOOD = """\
versao: "1"
vigencia: 2026-01-01
arquivos: CARTEIRA_{aaaammdd}.csv
formato: delimitado
codificacao: utf-8
separador: ";"
campos:
  - {nome: cpf, tipo: cpf}
  - nome: valor
    tipo: dinheiro
    minimo: 0.01
limites:
  rejeicao_maxima: 0.1
"""


def refused(folder: Path, text: str) -> str:
    path = folder / "layout.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_any_layout(path)
    return str(error.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (GOOD, "minimo: 0.01", "minino: 0.01", "layout.yaml:11: campos[2º].minino: chave "
         "desconhecida; você quis dizer 'minimo'?"),
        (GOOD, "tipo: cpf}", "tipo: cpff}", "layout.yaml:8: campos[1º].tipo: 'cpff' não é aceito"),
        (GOOD, "tipo: cpf}", "tipo: cpff}", "(você quis dizer 'cpf'?)"),
        (GOOD, "rejeicao_maxima: 0.1", "rejeicao_maxima: 10", "layout.yaml:13: "
         "limites.rejeicao_maxima: '10' não é aceito: o máximo é 1"),
        (GOOD, 'separador: ";"\n', "", "layout.yaml:1: separador: falta esta chave"),
        (GOOD, "vigencia: 2026-01-01\n", "", "vigencia: falta esta chave"),
        (GOOD, "formato: delimitado", "formato: delimtado", "layout.yaml:4: formato: "),
        (GOOD, "  - nome: valor", "\t- nome: valor", "layout.yaml:9: há uma tabulação"),
        (GOOD, "codificacao: utf-8", "codificacao utf-8", "falta o ':'"),
        (GOOD, "tipo: cpf}", "tipo: cpf", "layout.yaml:9: falta ','"),
        (GOOD, 'separador: ";"', 'separador: ";', "as aspas abertas na linha 6 não fecham"),
        (GOOD, "  rejeicao_maxima: 0.1", "  sequencia: diaria", "esta chave vem fora de 'limites'"),
        (GOOD, 'separador: ";"', "separador: |", "um sinal como | precisa de aspas"),
        (GOOD, 'separador: ";"', "separador: #", "layout.yaml:6: separador: está vazio"),
        (GOOD, 'separador: ";"', "separador: tab", "a tabulação se escreve"),
        (GOOD, 'separador: ";"', "separador: \u201c;\u201d", "troque-as pelas retas"),
        (GOOD, 'separador: ";"', 'separado: ";"', "layout.yaml:6: separado: chave desconhecida; "
         "você quis dizer 'separador'?"),
        (GOOD, "tipo: cpf}", "tipo:cpf}", "tipo:cpf: falta um espaço depois do ':'"),
        (GOOD, "    tipo: dinheiro", "    tipo:\u00a0dinheiro", "um espaço que não é comum"),
        (GOOD, "limites:\n  rejeicao_maxima: 0.1", "limites: {rejeicao_maxima: 0,1}",
         "as decimais vêm com ponto"),
        (GOOD, "minimo: 0.01", "minimo: zero", "campos[2º].minimo: 'zero' precisa ser um número"),
        (GOOD, "CARTEIRA_{aaaammdd}.csv", "{aaaammdd}_C.csv", "que começa com { precisa de aspas"),
        (GOOD, "nome: valor\n    tipo: dinheiro\n    minimo: 0.01", "nome: cpf",
         "layout.yaml:9: campos: o nome 'cpf' aparece mais"),
        (GOOD, "    tipo: dinheiro", "   tipo: dinheiro", "layout.yaml:10: o recuo não combina"),
        (GOOD, "CARTEIRA_{aaaammdd}.csv", "a: b.csv", "layout.yaml:3: há um ':' onde não cabe"),
        (GOOD, "CARTEIRA", "%CARTEIRA", "layout.yaml:3: um texto que começa com sinal"),
        (GOOD, "codificacao: utf-8", "codificacao: utf-8\ncodificacao: ascii",
         "layout.yaml:6: a chave 'codificacao' já está na linha 5"),
        (GOOD, GOOD, "- a\n- b\n", "layout.yaml:1: escreva linhas como 'chave: valor'"),
        (GOOD, GOOD, "", "layout.yaml:1: escreva linhas como 'chave: valor'"),
        (GOOD, "2026-01-01", "2026-13-01", "layout.yaml:2: '2026-13-01' não é uma data"),
        (SET, "principal: sim\n", "principal: não\n", "exatamente um é 'principal: sim' (há 0)"),
        (SET, "chave: cpf", "chave: cpg", "o campo 'cpg' não está em 'clientes'"),
        (SET, "    chave: cpf\n", "", "falta a 'chave'"),
        (SET, "codificacao: utf-8", "codificacao: utf8", "layout.yaml:10: membros[1º].layout"),
        (SET, "tamanho_da_linha: 51", "tamanho_da_linha: 50", "layout.yaml:26: membros[2º] "
         "(clientes): layout: campos: 'nome' termina no byte 51"),
        (SET, "picture: X(40)", "picture: Z(40)", "layout.yaml:26: membros[2º].layout."
         "campos[2º].picture: 'Z(40)'"),
        (SET, "picture: X(40)", "tamnho: 40", "você quis dizer 'tamanho'?"),
        (CNAB, "onde: 14, igual: P", "onde: 240, igual: PP", "'PP' no byte 240 não cabe"),
        (CNAB, 'codigo: "9"', 'codigo: "ç"', "precisa ser de letras sem acento"),
        (CNAB, "igual: Q", "igual: P", "o código 3 anuncia dois tipos de registro"),
        (CNAB, "obrigatorio: sim", "obrigatoria: sim", "layout.yaml:20: registros.filhos[1º]."
         "obrigatoria: chave desconhecida; você quis dizer 'obrigatorio'?"),
        (CNAB, "onde: 14, igual: P", "onde: 14", "layout.yaml:12: registros.detalhe.quando[1º]."
         "igual: falta esta chave"),
        (CNAB, "tamanho: 15, decimais: 2", "picture: S9(13)V99 COMP-3", "é COMP-3, que não cabe"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_line_and_key(
    tmp_path: Path, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    assert message in refused(tmp_path, text.replace(old, new, 1))


def test_a_layout_that_is_not_utf_8_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "layout.yaml"
    path.write_bytes(b'versao: "1"\n# posi\xe7\xe3o\n')
    with pytest.raises(ConfigError, match=r"layout.yaml:2: os acentos não estão em UTF-8"):
        load_any_layout(path)


@pytest.mark.parametrize("text", [GOOD, SET, CNAB])
def test_a_layout_is_the_same_from_its_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "layout.yaml"
    path.write_text(text, encoding="utf-8")
    layout = load_any_layout(path)
    keys = layout.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert parse_layout(keys, "proposta") == layout


def examples() -> list[Any]:
    files = [path.read_text(encoding="utf-8") for path in CONVENIOS.glob("*/layout*.yaml")]
    return [yaml.safe_load(text) for text in (GOOD, SET, CNAB, *files)]


@pytest.mark.parametrize("content", examples())
def test_what_the_model_accepts_the_schema_accepts(content: dict[str, Any]) -> None:
    Draft202012Validator(layout_schema()).validate(json.loads(json.dumps(content, default=str)))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (GOOD, "minimo:", "minino:"),
        (GOOD, "tipo: cpf}", "tipo: cpff}"),
        (GOOD, 'separador: ";"\n', ""),
        (GOOD, 'versao: "1"\n', ""),
        (CNAB, "igual: P", "iguall: P"),
        (SET, "codificacao: utf-8", "codificacao: utf8"),
    ],
)
def test_what_the_model_refuses_the_schema_refuses(text: str, old: str, new: str) -> None:
    content = json.loads(json.dumps(yaml.safe_load(text.replace(old, new)), default=str))
    assert not Draft202012Validator(layout_schema()).is_valid(content)


def test_every_key_of_the_schema_is_explained_in_portuguese() -> None:
    schema = layout_schema()
    assert set(schema["properties"]["formato"]["enum"]) == set(KINDS)
    silent = [
        f"{name}.{key}"
        for name, body in schema["$defs"].items()
        for key, said in body["properties"].items()
        if "description" not in said
    ]
    assert silent == []


def test_the_command_prints_the_schema() -> None:
    result = CliRunner().invoke(cli, ["reception", "schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == layout_schema()


def test_the_schema_beside_the_convenios_is_that_of_the_model() -> None:
    written = json.loads((CONVENIOS / "layout.schema.json").read_text(encoding="utf-8"))
    assert written == layout_schema(), (
        "run: zanc reception schema > config/convenios/layout.schema.json"
    )
