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
from zanc_pipeline.crm.adapters.fixed_width import Field, Layout, one_row_a_client
from zanc_pipeline.crm.adapters.sqlalchemy_table import changes


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
        ("text", 8, "José Conceição", "Jose Con"),
        ("text", 6, "a\nb\t", "a b   "),
        ("code", 5, "12", "12   "),
        ("code", 3, None, "   "),
        ("money", 8, Decimal("12.34"), "00001234"),
        ("date", 8, date(2026, 3, 9), "09032026"),
        ("time", 14, datetime(2026, 3, 9, 2, 30, tzinfo=UTC), "08032026233000"),
    ],
)
def test_a_field_is_written(kind: str, size: int, value: object, text: str) -> None:
    assert Field(name="x", size=size, kind=kind).render(value) == text


@pytest.mark.parametrize(
    ("kind", "value"), [("code", "123456"), ("money", Decimal("1000.00")), ("money", Decimal(-1))]
)
def test_what_does_not_fit_is_refused_rather_than_changed(kind: str, value: object) -> None:
    with pytest.raises(DataError):
        Field(name="x", size=5, kind=kind).render(value)


@pytest.mark.parametrize(
    "entries",
    [None, [], [{"field": "cpf"}], [{"field": "cpf", "size": 0, "kind": "code"}], ["cpf"]],
)
def test_a_wrong_layout_is_named(entries: object) -> None:
    with pytest.raises(ConfigError, match=r"^remessa\.yaml: client"):
        Layout.parse(entries, where="remessa.yaml: client")


def test_a_layout_of_an_unknown_field_is_refused() -> None:
    layout = Layout.parse([{"field": "nope", "size": 3, "kind": "code"}], where="x")
    with pytest.raises(ConfigError, match="nope"):
        layout.render({"cpf": "1"})


def test_a_client_is_its_contract_of_greatest_value_with_the_first_phone_known() -> None:
    [client] = one_row_a_client(
        [contract(1, phone_2="11987654321"), contract(3), contract(2, phone_1="1133334444")]
    )
    assert client["contract"] == "C3"
    assert client["phone"] == "11987654321"
    assert (client["contracts_count"], client["total"]) == (3, Decimal(6))


def test_of_equal_values_the_oldest_due_is_chosen() -> None:
    same = [contract(9, amount=Decimal(5)), contract(2, amount=Decimal(5))]
    assert one_row_a_client(same)[0]["contract"] == "C2"


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
        after["contrato"]: (before, after) for before, after in changes(existing, incoming)
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
