"""A CRM's tables as its YAML maps them: instalments, addresses, payments, mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from crm_world import contract, cpf, deliver

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import service
from zanc_pipeline.crm.adapters import adapter_for

pytestmark = pytest.mark.integration

DAY_1, DAY_2, DAY_3 = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)
MONEY = pa.decimal128(14, 2)
EXTRAS = [
    pa.field("campo_parcela_vencimento_1", pa.date32()),
    pa.field("campo_parcela_valor_1", MONEY),
    pa.field("campo_parcela_vencimento_2", pa.date32()),
    pa.field("campo_parcela_valor_2", MONEY),
    pa.field("campo_logradouro", pa.string()),
    pa.field("campo_cep", pa.string()),
    pa.field("campo_pago_em", pa.date32()),
    pa.field("campo_valor_pago", MONEY),
    pa.field("campo_quitado", pa.bool_()),
]


@pytest.fixture(autouse=True)
def empty(settings: Settings) -> None:
    service.ensure(settings)
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "TRUNCATE crm.load, crm.contract, crm.person, crm.journal, reception.delivery CASCADE"
        )
    for database, tables in (
        ("crm_norma", "cliente, contrato, parcela, telefone, endereco, email, pagamento"),
        ("crm_larga", "carteira"),
    ):
        with transaction(settings, database) as cursor:
            cursor.execute(f"TRUNCATE {tables}, zanc_delivery, zanc_journal")


def rows(settings: Settings, query: str, database: str = "crm_norma") -> list[tuple[Any, ...]]:
    with transaction(settings, database) as cursor:
        cursor.execute(query)
        return [tuple(row.values()) for row in cursor.fetchall()]


@contextmanager
def altered(settings: Settings, change: str, back: str) -> Iterator[None]:
    with transaction(settings, "crm_larga") as cursor:
        cursor.execute(change)
    try:
        yield
    finally:
        with transaction(settings, "crm_larga") as cursor:
            cursor.execute(back)


def full(number: int, **changed: Any) -> dict[str, Any]:
    """A contract whose layout has every extra field."""
    return contract(
        number,
        email=f"p{number}@example.com",
        campo_parcela_vencimento_1=date(2026, 8, 1),
        campo_parcela_valor_1=Decimal("60.00"),
        campo_parcela_vencimento_2=date(2026, 9, 1),
        campo_parcela_valor_2=Decimal("40.00"),
        campo_logradouro="RUA A",
        campo_cep="01310100",
        **changed,
    )


def test_instalments_addresses_and_payments_come_where_a_layout_has_them(
    settings: Settings,
) -> None:
    service.load(settings, deliver(settings, "banco_aurora", DAY_1, [full(1), full(2)], EXTRAS))
    assert rows(
        settings, "SELECT contrato, numero, valor, situacao FROM parcela ORDER BY 1, 2"
    ) == [
        ("C000001", 1, Decimal("60.00"), "A"),
        ("C000001", 2, Decimal("40.00"), "A"),
        ("C000002", 1, Decimal("60.00"), "A"),
        ("C000002", 2, Decimal("40.00"), "A"),
    ]
    assert rows(settings, "SELECT cpf, logradouro, cep, uf FROM endereco ORDER BY 1")[0] == (
        cpf(1001),
        "RUA A",
        "01310100",
        "SP",
    )
    assert rows(settings, "SELECT count(*) FROM email") == [(2,)]
    before = {
        table: rows(settings, f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in ("cliente", "contrato", "parcela", "endereco", "email", "pagamento")
    }
    # the next day one instalment was paid, and the other contract paid off
    paid = full(1, campo_pago_em=date(2026, 11, 23), campo_valor_pago=Decimal("60.00"))
    paid |= {"campo_parcela_valor_1": None}
    second = deliver(settings, "banco_aurora", DAY_2, [paid, full(2, campo_quitado=True)], EXTRAS)
    service.load(settings, second)
    assert rows(settings, "SELECT contrato, pago_em, valor FROM pagamento") == [
        ("C000001", date(2026, 11, 23), Decimal("60.00"))
    ]
    assert rows(
        settings,
        "SELECT contrato, numero, situacao FROM parcela WHERE situacao <> 'A' ORDER BY 1, 2",
    ) == [("C000001", 1, "R"), ("C000002", 1, "Q"), ("C000002", 2, "Q")]
    assert rows(settings, "SELECT contract, status FROM crm.contract ORDER BY 1", "zanc") == [
        ("C000001", "open"),
        ("C000002", "paid"),
    ]
    service.rollback(settings, second)
    for table, found in before.items():
        assert rows(settings, f"SELECT * FROM {table} ORDER BY 1, 2, 3") == found, table


def test_a_field_of_another_type_is_told_before_anything_loads(settings: Settings) -> None:
    wrong = [pa.field("campo_parcela_valor_1", pa.string())]
    delivery = deliver(
        settings, "banco_aurora", DAY_1, [contract(1, campo_parcela_valor_1="10,00")], wrong
    )
    with pytest.raises(DataError, match=r"'parcela_valor_1' do layout é texto.* como valor"):
        service.load(settings, delivery)
    assert rows(settings, "SELECT count(*) FROM cliente") == [(0,)]


@pytest.mark.parametrize(
    ("change", "back", "message"),
    [
        (
            "ALTER TABLE carteira RENAME COLUMN fone2 TO celular",
            "ALTER TABLE carteira RENAME COLUMN celular TO fone2",
            r"larga\.yaml: tabelas\.carteira\.colunas\.fone2: .*não tem a coluna 'fone2'",
        ),
        (
            "ALTER TABLE carteira ALTER valor TYPE integer",
            "ALTER TABLE carteira ALTER valor TYPE numeric(14, 2)",
            r"colunas\.valor: .* é do tipo integer, e o campo 'valor' é valor",
        ),
        (
            "ALTER TABLE carteira ADD COLUMN agencia text NOT NULL",
            "ALTER TABLE carteira DROP COLUMN agencia",
            r"tabelas\.carteira\.colunas: a coluna 'agencia' .* é obrigatória",
        ),
        (
            "ALTER TABLE carteira DROP CONSTRAINT carteira_pkey",
            "ALTER TABLE carteira ADD PRIMARY KEY (convenio, contrato)",
            r"não tem chave única em \(convenio, contrato\)",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_told_before_anything_loads(
    settings: Settings, change: str, back: str, message: str
) -> None:
    delivery = deliver(settings, "energia_sul", DAY_1, [contract(1)])
    with (
        altered(settings, change, back),
        pytest.raises(ConfigError, match=message) as caught,
    ):
        service.load(settings, delivery)
    assert "nada foi carregado" in str(caught.value)
    assert rows(settings, "SELECT count(*) FROM zanc_delivery", "crm_larga") == [(0,)]
    assert service.load(settings, delivery).rows == 1


def test_what_the_crm_refuses_is_one_line_without_the_rows_values(settings: Settings) -> None:
    delivery = deliver(settings, "energia_sul", DAY_1, [contract(1)])
    with (
        altered(
            settings,
            "ALTER TABLE carteira ALTER nome TYPE varchar(3)",
            "ALTER TABLE carteira ALTER nome TYPE text",
        ),
        pytest.raises(DataError, match="o banco recusou os dados") as caught,
    ):
        service.load(settings, delivery)
    assert "PESSOA" not in str(caught.value)


TABLE_OF_OTHERS = """
    DROP SCHEMA IF EXISTS outro CASCADE;
    CREATE SCHEMA outro;
    CREATE TABLE outro.carteira (
        credor char(20), numero char(12), doc char(11), nome varchar(60), valor numeric(12, 4),
        vence timestamp, obito smallint, estado char(1), lida_em timestamp, fone varchar(11),
        obs text DEFAULT 'do CRM', PRIMARY KEY (credor, numero))
"""
MAPPED = {
    "outro.carteira": {
        "entidade": "contrato",
        "colunas": {
            "credor": "convenio",
            "numero": "contrato",
            "doc": "cpf",
            "nome": "nome",
            "valor": "valor",
            "vence": "vencimento",
            "obito": "obito",
            "estado": "situacao",
            "lida_em": "campo_lida_em",
            "fone": "telefone_1",
        },
        "codigos": {"estado": {"aberto": "A", "removido": "R", "quitado": "Q"}},
    }
}


def test_sqlalchemy_keeps_a_table_of_postgresql_that_others_made(settings: Settings) -> None:
    with transaction(settings, "crm_larga") as cursor:
        cursor.execute(TABLE_OF_OTHERS)
    url = settings.postgres.sqlalchemy_url("crm_larga")
    password = f":{settings.postgres.password}@"
    assert password in url
    secret = settings.var / "secrets" / "crm_leve"
    config = {
        "adapter": "sqlalchemy",
        "url": url.replace(password, ":{senha}@") + "?options=-csearch_path%3Doutro",
        "tabelas": MAPPED,
    }
    known = settings.crms["leve"]
    settings.__dict__["crms"] = {**settings.crms, "leve": config}
    try:
        with pytest.raises(ConfigError, match=r"leve\.yaml: url: escreva a senha"):
            adapter_for(settings, "leve")
        secret.write_text(settings.postgres.password)
        adapter = adapter_for(settings, "leve")
        extra = [pa.field("campo_lida_em", pa.timestamp("us", tz="UTC"))]
        read = datetime(2026, 11, 23, 12, tzinfo=UTC)
        contracts = [contract(n, campo_lida_em=read) for n in range(20)]
        days = [
            deliver(settings, "telecom_brisa", day, rows_of_day, extra)
            for day, rows_of_day in (
                (DAY_1, contracts),
                (DAY_2, [contract(1, campo_lida_em=read, deceased=True), *contracts[2:]]),
                (DAY_3, [{**one, "amount": Decimal(7)} for one in contracts]),
            )
        ]
        assert [service.load(settings, day).changed for day in days] == [20, 2, 20]
        [[last]] = rows(
            settings,
            "SELECT to_jsonb(c) FROM outro.carteira c WHERE numero = 'C000001'",
            "crm_larga",
        )
        assert (last["valor"], last["estado"], last["obito"], last["obs"]) == (7, "A", 0, "do CRM")
        assert (last["vence"], last["lida_em"]) == ("2026-08-01T00:00:00", "2026-11-23T09:00:00")
        service.rollback(settings, days[2])
        service.rollback(settings, days[1])
        assert adapter.count() == {"telecom_brisa": 20}
        sums = "SELECT sum(valor) AS valor, sum(obito) AS obito FROM outro.carteira"
        assert rows(settings, sums, "crm_larga") == [(Decimal(2190), 0)]
        with transaction(settings, "crm_larga") as cursor:
            cursor.execute("ALTER TABLE outro.carteira ALTER valor TYPE numeric(12)")
        with pytest.raises(ConfigError, match=r"'valor' da tabela 'outro\.carteira' é do tipo"):
            adapter.ensure()
    finally:
        settings.__dict__["crms"] = {**settings.crms, "leve": known}
        secret.unlink(missing_ok=True)


@pytest.mark.parametrize("convenio", ["banco_aurora", "energia_sul", "telecom_brisa"])
def test_the_same_file_again_changes_nothing_and_may_be_rolled_back(
    settings: Settings, convenio: str
) -> None:
    contracts = [contract(n) for n in range(5)]
    first = deliver(settings, convenio, DAY_1, contracts)
    again = deliver(settings, convenio, DAY_2, contracts)
    third = deliver(settings, convenio, DAY_3, contracts[1:])
    assert service.load(settings, first).changed > 0
    assert service.load(settings, again).changed == 0
    assert service.load(settings, third).changed > 0
    for delivery in (third, again, first):
        service.rollback(settings, delivery)
    adapter = adapter_for(settings, settings.convenios[convenio]["crm"])
    assert adapter.count().get(convenio, 0) == 0
    assert rows(settings, "SELECT count(*) FROM crm.person", "zanc") == [(0,)]
    # in another order afterwards, each is wholly itself
    service.load(settings, third)
    assert adapter.count()[convenio] == 4
