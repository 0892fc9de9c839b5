"""What an adapter writes, without a database."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.crm.adapters import adapter_for
from zanc_pipeline.crm.adapters.fixed_layout import Field, Layout
from zanc_pipeline.crm.adapters.sqlalchemy_table import differing
from zanc_pipeline.crm.choice import Choice, Contact, parse_choice


def contract(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "cpf": "52998224725",
        "contract": f"C{number}",
        "amount": Decimal(number),
        "due_date": date(2026, 1, number),
        "phone_1": None,
        "phone_2": None,
        "phone_3": None,
        **changed,
    }


@pytest.mark.parametrize(
    ("kind", "size", "value", "text"),
    [
        ("texto", 8, "José Conceição", "Jose Con"),
        ("texto", 6, "a\nb\t", "a b   "),
        ("codigo", 5, "12", "12   "),
        ("codigo", 3, None, "   "),
        ("dinheiro", 8, Decimal("12.34"), "00001234"),
        ("data", 8, date(2026, 3, 9), "09032026"),
        ("hora", 14, datetime(2026, 3, 9, 2, 30, tzinfo=UTC), "08032026233000"),
    ],
)
def test_a_field_is_written(kind: str, size: int, value: object, text: str) -> None:
    assert Field(name="x", size=size, kind=kind).render(value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [("codigo", "123456"), ("dinheiro", Decimal("1000.00")), ("dinheiro", Decimal(-1))],
)
def test_what_does_not_fit_is_refused_rather_than_changed(kind: str, value: object) -> None:
    with pytest.raises(DataError):
        Field(name="x", size=5, kind=kind).render(value)


CPF = {"cpf": "cpf"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (None, "esperava uma lista"),
        ([], "esperava uma lista"),
        ([{"campo": "cpf"}], "linha 1: esperava campo, tamanho e tipo"),
        (["cpf"], "linha 1"),
        ([{"campo": "cpf", "tamanho": 0, "tipo": "codigo"}], "tamanho deve ser positivo"),
        ([{"campo": "cfp", "tamanho": 3, "tipo": "codigo"}], "'cfp' não existe; seria 'cpf'"),
    ],
)
def test_a_wrong_layout_is_named(entries: object, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^remessa\.yaml: cliente.*{message}"):
        Layout.parse(entries, known=CPF, where="remessa.yaml: cliente")


def test_what_is_written_is_read_again() -> None:
    entries = [
        {"campo": "cpf", "tamanho": 11, "tipo": "codigo"},
        {"campo": "n", "tamanho": 5, "tipo": "texto"},
    ]
    layout = Layout.parse(entries, known={"cpf": "cpf", "n": "name"}, where="x")
    text = layout.render({"cpf": "52998224725", "name": "Zé"})
    assert layout.read(text) == {"cpf": "52998224725", "name": "Ze"}
    with pytest.raises(DataError, match="mais que os 16 caracteres"):
        layout.read(text + "x")


CHOICE = parse_choice(
    {
        "contrato": ["maior_valor", "vencimento_mais_antigo"],
        "telefone": ["melhor_situacao", "contato_mais_recente", "ordem_do_arquivo"],
        "situacoes": ["confirmado", "atendeu", "nunca_ligado", "nao_atendeu"],
    },
    where="escolha",
)


def test_a_client_is_its_contract_of_greatest_value_with_the_first_phone_known() -> None:
    owned = [contract(1, phone_2="11987654321"), contract(3), contract(2, phone_1="1133334444")]
    client = CHOICE.one(owned, {})
    assert client["contract"] == "C3"
    assert client["phone"] == "11987654321"
    assert (client["contracts_count"], client["total"]) == (3, Decimal(6))


def test_of_equal_values_the_oldest_due_is_chosen() -> None:
    same = [contract(9, amount=Decimal(5)), contract(2, amount=Decimal(5))]
    assert CHOICE.one(same, {})["contract"] == "C2"


def test_the_phone_of_best_status_then_latest_contact_is_chosen() -> None:
    owned = [contract(1, phone_1="1", phone_2="2", phone_3="3"), contract(2, phone_1="4")]

    def known(**states: tuple[str, int]) -> dict[tuple[str, str], Contact]:
        return {
            ("52998224725", phone.strip("p")): Contact(
                state=state, last_at=datetime(2026, 1, day, tzinfo=UTC)
            )
            for phone, (state, day) in states.items()
        }

    assert CHOICE.one(owned, known(p1=("nao_atendeu", 9)))["phone"] == "4"
    some = known(p2=("atendeu", 1), p3=("atendeu", 5), p4=("nao_atendeu", 9))
    assert CHOICE.one(owned, some)["phone"] == "3"
    all_bad = known(**{f"p{n}": ("suprimido", n) for n in (1, 2, 3, 4)})
    assert CHOICE.one(owned, all_bad)["phone"] is None


def test_rules_that_ask_nothing_of_the_calls_need_no_contacts() -> None:
    by_file = Choice(contract=("menor_valor",), phone=("ordem_do_arquivo",), states=CHOICE.states)
    assert (by_file.needs_contacts, CHOICE.needs_contacts) == (False, True)
    assert by_file.one([contract(2), contract(1)], {})["contract"] == "C1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "esperava as chaves"),
        ({"contratos": []}, r"escolha\.contratos: chave desconhecida"),
        ({"contrato": ["o maior"]}, r"escolha\.contrato: 'o maior' não é um de maior_valor"),
        ({"contrato": ["maior_valor", "maior_valor"]}, "repetida"),
        ({"contrato": ["maior_valor"], "telefone": []}, r"escolha\.telefone: esperava uma lista"),
    ],
)
def test_a_wrong_choice_is_named(content: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_choice(content, where="escolha")


def test_only_what_differs_is_written() -> None:
    def row(contract: str, value: int, status: str = "aberto") -> dict[str, Any]:
        return {"contrato": contract, "valor_centavos": value, "situacao": status}

    existing = {
        "same": row("same", 1) | {"cep": "01310100"},  # not brought by this delivery
        "other": row("other", 1) | {"cep": "01310100"},
        "back": row("back", 1, "removido"),
    }
    incoming = {
        "same": row("same", 1),
        "other": row("other", 2),
        "new": row("new", 1),
        "back": row("back", 1),
    }
    assert {
        after["contrato"]: (before, after) for before, after in differing(existing, incoming)
    } == {
        "other": (existing["other"], incoming["other"] | {"cep": "01310100"}),
        "new": (None, incoming["new"]),
        "back": (existing["back"], incoming["back"]),
    }


def settings_with(tmp_path: Path, yaml: str) -> Settings:
    folder = tmp_path / "config" / "crms"
    folder.mkdir(parents=True)
    (folder / "novo.yaml").write_text(yaml)
    return load_settings(config=tmp_path / "config", var=tmp_path / "var")


_TABLE = """
tabelas:
  carteira:
    entidade: contrato
    colunas: {convenio: convenio, contrato: contrato, situacao: situacao}
"""


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("adapter: oracle\n", "novo.yaml: adapter: 'oracle' não é um de"),
        ("adapter: postgres_wide\ndatabase: x\n", "novo.yaml: tabelas: falta a lista"),
        (f"adapter: postgres_wide\n{_TABLE}", "novo.yaml: falta a chave 'database'"),
        (f"adapter: sqlalchemy\nurl: nonsense\n{_TABLE}", "novo.yaml: url: não é um endereço"),
        (f"adapter: sqlalchemy\nurls: x\n{_TABLE}", "novo.yaml: urls: chave desconhecida"),
    ],
)
def test_a_wrong_crm_file_is_named(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapter_for(settings_with(tmp_path, yaml), "novo")


@pytest.mark.parametrize("dialect", ["firebird", "mysql+pymysql"])
def test_a_dialect_without_its_driver_is_named(tmp_path: Path, dialect: str) -> None:
    yaml = f"adapter: sqlalchemy\nurl: {dialect}://user:secret@db/x\n{_TABLE}"
    adapter = adapter_for(settings_with(tmp_path, yaml), "novo")
    with pytest.raises(ConfigError, match=f"falta o driver de '{re.escape(dialect)}'") as caught:
        adapter.ensure()
    assert "secret" not in str(caught.value)


def test_an_unknown_crm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config/crms/outro\.yaml does not exist"):
        adapter_for(load_settings(var=tmp_path), "outro")
