"""``config/crms``: what may be written there, and what a mistake is answered with."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.crm.entities import PORTFOLIO_COLUMNS
from zanc_pipeline.crm.fields import ENTITIES, Kind
from zanc_pipeline.crm.mapping import parse_mapping
from zanc_pipeline.crm.staging import Staged, extras_of

GOOD: dict[str, Any] = {
    "tabelas": {
        "cob.contrato": {
            "entidade": "contrato",
            "colunas": {
                "convenio": "convenio",
                "numero": "contrato",
                "situacao": "situacao",
                "falecido": "obito",
                "cep": "campo_cep",
            },
            "codigos": {
                "situacao": {"aberto": "A", "removido": "R"},
                "falecido": {True: 1, False: 0},
            },
        }
    }
}


def wrong(path: str, value: object) -> dict[str, Any]:
    config = deepcopy(GOOD)
    place: Any = config
    *parents, last = path.split("/")
    for parent in parents:
        place = place[parent]
    place[last] = value
    return config


def test_a_mapping_says_where_each_field_goes() -> None:
    mapping = parse_mapping("novo", GOOD)
    table = mapping.contracts
    assert table.key == ("convenio", "numero")
    assert (table.column_of("obito"), table.column_of("email")) == ("falecido", None)
    assert (table.code("situacao", "removido"), table.code("falecido", "sim")) == ("R", 1)
    assert mapping.create is False


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("criar_tabelas", "talvez", r"novo\.yaml: criar_tabelas: escreva sim ou não"),
        ("tabelas/x; drop", {}, r"tabelas\.x; drop: 'x; drop' não é nome de tabela"),
        ("tabelas/cob.contrato/entidade", "divida", r"contrato\.entidade: 'divida' não é uma de"),
        ("tabelas/cob.contrato/coluna", {}, r"contrato\.coluna: chave desconhecida"),
        ("tabelas/outra", GOOD["tabelas"]["cob.contrato"], "duas tabelas com entidade contrato"),
        ("tabelas/cob.contrato/colunas/fone", "telefone", "seria 'telefone_"),
        ("tabelas/cob.contrato/colunas/fone", "campo_X y", r"colunas\.fone: o campo 'campo_X y'"),
        ("tabelas/cob.contrato/colunas/a b", "nome", r"colunas\.a b: 'a b' não é nome de coluna"),
        ("tabelas/cob.contrato/colunas/obito", "obito", "o campo 'obito' está em duas colunas"),
        ("tabelas/cob.contrato/colunas/convenio", "nome", "nenhuma coluna recebe 'convenio'"),
        ("tabelas/cob.contrato/codigos/nada", {"a": "b"}, r"codigos\.nada: a coluna não está"),
        ("tabelas/cob.contrato/codigos/numero", {"a": "b"}, "não pode ser traduzida"),
        ("tabelas/cob.contrato/codigos/cep", {"a": 1, "b": "2"}, "use aspas em todos"),
        ("tabelas/cob.contrato/codigos/cep", {"a": "50%"}, "sem %"),
        ("tabelas/cob.contrato/codigos/situacao", {"aberto": "A"}, "falta o código de 'removido'"),
        (
            "tabelas/cob.contrato/codigos/situacao",
            {"aberto": "A", "removido": "A"},
            "têm o mesmo código",
        ),
        (
            "tabelas/cob.contrato/codigos/situacao",
            {"aberto": "A", "removido": "R", "fechado": "F"},
            r"situacao\.fechado: não é um valor",
        ),
    ],
)
def test_a_mistake_is_named_by_its_key(path: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_mapping("novo", wrong(path, value))
    assert str(caught.value).startswith("config/crms/novo.yaml: ")


def test_the_shipped_mappings_are_right() -> None:
    crms = load_settings().crms
    mapped = [parse_mapping(crm, crms[crm]) for crm in ("norma", "larga", "leve")]
    assert {table.entity.name for table in mapped[0].tables} == set(ENTITIES)
    assert "cpf" in PORTFOLIO_COLUMNS


def test_numbered_fields_of_a_layout_are_instalments_and_payments() -> None:
    present = {
        "campo_parcela_valor_1": Kind.NUMBER,
        "campo_parcela_valor_10": Kind.NUMBER,
        "campo_parcela_valor_2": Kind.NUMBER,
        "campo_parcela_vencimento_1": Kind.DATE,
        "campo_pago_em": Kind.DATE,
        "campo_loja": Kind.TEXT,
    }
    instalments = extras_of(ENTITIES["parcela"], (), present) & set(present)
    assert instalments == {name for name in present if name.startswith("campo_parcela")}
    staged = Staged(extras={name: present[name] for name in instalments})
    query = staged.query(ENTITIES["parcela"])
    assert query is not None
    assert query.index("valor_2") < query.index("valor_10")
    assert not staged.is_plain(ENTITIES["parcela"])
    # a payment needs its day and its amount
    assert Staged(extras={"campo_pago_em": Kind.DATE}).query(ENTITIES["pagamento"]) is None


def test_without_such_fields_a_contract_is_its_own_instalment() -> None:
    staged = Staged(extras={})
    assert staged.is_plain(ENTITIES["parcela"])
    assert "1 AS parcela" in str(staged.query(ENTITIES["parcela"]))
    assert staged.query(ENTITIES["endereco"]) is None
