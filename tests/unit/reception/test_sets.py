"""File sets: clients, contracts and phones in files of their own become one portfolio."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from reception_files import CPFS

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.layout import (
    SetLayout,
    member_of,
    parse_layout,
    require_portfolio_fields,
)
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.sets import SetJoin, join_members, set_key
from zanc_pipeline.reception.validate import validate


def member(name: str, fields: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    return {
        "nome": name,
        **keys,
        "layout": {
            "arquivos": f"{name}_{{aaaammdd}}_{{sequencia}}.csv",
            "formato": "delimitado",
            "codificacao": "utf-8",
            "separador": ";",
            "campos": fields,
        },
    }


CONTENT: dict[str, Any] = {
    "versao": "1",
    "vigencia": date(2026, 1, 1),
    "formato": "conjunto",
    "membros": [
        member(
            "contratos",
            [{"nome": n} for n in ("cpf", "contrato", "valor", "vencimento")] + [{"nome": "loja"}],
            principal="sim",
        ),
        member("clientes", [{"nome": "cpf"}, {"nome": "nome"}, {"nome": "uf"}], chave="cpf"),
        member(
            "telefones",
            [{"nome": "contrato"}, {"nome": "telefone", "tipo": "telefone"}],
            chave="contrato",
            varios="sim",
            ate=2,
        ),
    ],
}
CONTRACTS = f"""\
cpf;contrato;valor;vencimento;loja
{CPFS[0]};A1;10,00;31/01/2026;Centro
{CPFS[0]};A2;20,00;31/01/2026;Norte
{CPFS[1]};A3;30,00;31/01/2026;
{CPFS[2]};A4;40,00;31/01/2026;
{CPFS[1]};A3;50,00;31/01/2026;
"""
CLIENTS = f"""\
cpf;nome;uf
{CPFS[0]};ANA;SP
{CPFS[1]};BIA;RJ
{CPFS[3]};CAIO;MG
{CPFS[0]};OUTRA;SP
"""
PHONES = """\
contrato;telefone
A1;11987654321
A1;1133334444
A1;11977777777
A3;21987654321
A9;31987654321
"""


@pytest.fixture
def layout() -> SetLayout:
    found = parse_layout(CONTENT, "layout.yaml")
    assert isinstance(found, SetLayout)
    return found


def join(folder: Path, layout: SetLayout, files: dict[str, str]) -> SetJoin:
    tables = {}
    for one in layout.members:
        path = folder / one.name
        path.write_text(files[one.name], encoding="utf-8")
        tables[one.name] = validate(one.layout, read_file(one.layout, path, NameFacts())).accepted
    return join_members(layout, tables)


@pytest.fixture
def joined(layout: SetLayout, tmp_path: Path) -> SetJoin:
    files = {"contratos": CONTRACTS, "clientes": CLIENTS, "telefones": PHONES}
    return join(tmp_path, layout, files)


def test_rows_join_by_their_keys(layout: SetLayout, joined: SetJoin) -> None:
    assert joined.accepted.schema == accepted_schema(layout)
    rows = joined.accepted.to_pylist()
    assert [(row["contract"], row["name"], row["state"], row["amount"]) for row in rows] == [
        ("A1", "ANA", "SP", Decimal("10.00")),
        ("A2", "ANA", "SP", Decimal("20.00")),
        ("A3", "BIA", "RJ", Decimal("30.00")),
    ]
    assert [(row["phone_1"], row["phone_2"]) for row in rows] == [
        ("11987654321", "1133334444"),
        (None, None),
        ("21987654321", None),
    ]
    assert [row["campo_loja"] for row in rows] == ["Centro", "Norte", None]
    assert [row["line"] for row in rows] == [2, 3, 4]
    assert not any(row["deceased"] for row in rows)


def test_every_row_that_is_not_joined_is_rejected_with_its_reason(joined: SetJoin) -> None:
    said = {
        name: [(row.line, row.problems[0].field, row.problems[0].problem) for row in rows]
        for name, rows in joined.rejected.items()
    }
    ask = "confirme com o credor"
    assert said == {
        "contratos": [
            (5, "cpf", f"não há linha com esta chave em 'clientes': {ask}"),
            (6, "contrato", f"repete o valor da linha 4, a única aceita: {ask}"),
        ],
        "clientes": [
            (4, "cpf", f"não há linha com esta chave em 'contratos': {ask}"),
            (5, "cpf", f"repete a chave da linha 2, a única aceita: {ask}"),
        ],
        "telefones": [
            (
                4,
                "contrato",
                "é o 3º com a mesma chave, e o layout aceita 2: aumente 'ate' no layout",
            ),
            (6, "contrato", f"não há linha com esta chave em 'contratos': {ask}"),
        ],
    }
    assert CPFS[2] not in joined.rejected["contratos"][0].problems[0].found


def test_an_optional_member_leaves_its_fields_empty(tmp_path: Path) -> None:
    optional = [{**CONTENT["membros"][2], "varios": "não", "obrigatorio": "não"}]
    content = {**CONTENT, "membros": [*CONTENT["membros"][:2], *optional]}
    layout = parse_layout(content, "layout.yaml")
    assert isinstance(layout, SetLayout)
    files = {"contratos": CONTRACTS, "clientes": CLIENTS, "telefones": "contrato;telefone\nA1;\n"}
    joined = join(tmp_path, layout, files)
    assert joined.accepted["contract"].to_pylist() == ["A1", "A2", "A3"]
    assert joined.accepted["campo_telefone"].to_pylist() == [None, None, None]


def test_a_file_is_told_by_its_name(layout: SetLayout) -> None:
    found = member_of(layout, "CLIENTES_20261123_000042.csv")
    assert found is not None
    one, facts = found
    assert (one.name, set_key(facts)) == ("clientes", "20261123/42")
    assert set_key(NameFacts(reference_date=date(2026, 11, 23))) == "20261123"
    assert member_of(layout, "outro.csv") is None
    require_portfolio_fields(layout, "x")


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"liga_a": "nada"}, "liga_a: 'nada' não serve"),
        (1, {"liga_a": "telefones"}, "liga_a: 'telefones' não serve"),
        (2, {"nome": "clientes"}, "o nome aparece mais de uma vez"),
        (
            2,
            {"varios": "não", "chave": "loja"},
            "o campo 'loja' não está em 'telefones'",
        ),
    ],
)
def test_links_that_make_no_sense_are_refused(
    place: int, change: dict[str, Any], message: str
) -> None:
    members = list(CONTENT["membros"])
    members[place] = {**members[place], **change}
    with pytest.raises(ConfigError, match=message):
        parse_layout({**CONTENT, "membros": members}, "layout.yaml")


def test_a_field_of_two_members_is_refused() -> None:
    members = list(CONTENT["membros"])
    fields = [*members[1]["layout"]["campos"], {"nome": "loja"}]
    members[1] = {**members[1], "layout": {**members[1]["layout"], "campos": fields}}
    with pytest.raises(ConfigError, match="'loja' está em 'contratos' e em 'clientes'"):
        parse_layout({**CONTENT, "membros": members}, "layout.yaml")
