"""What MySQL and MariaDB need that other databases give by themselves."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.crm.adapters.sqlalchemy_table import METADATA
from zanc_pipeline.crm.adapters.sqlalchemy_values import check
from zanc_pipeline.crm.mapping import parse_mapping

_COLUMNS = {"convenio": "convenio", "contrato": "contrato", "situacao": "situacao"}
_MAPPING = parse_mapping(
    "novo",
    {"tabelas": {"carteira": {"entidade": "contrato", "colunas": {**_COLUMNS, "cpf": "cpf"}}}},
)


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=str)
def test_keys_that_differ_in_case_only_are_two_and_a_load_can_be_undone(table: sa.Table) -> None:
    made = str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert "COLLATE utf8mb4_bin" in made
    assert "ENGINE=InnoDB" in made


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_a_table_without_transactions_is_told_with_the_remedy(dialect: str) -> None:
    def table(engine: str) -> sa.Table:
        columns = [sa.Column(name, sa.String(60)) for name in (*_COLUMNS, "cpf")]
        return sa.Table("carteira", sa.MetaData(), *columns, **{f"{dialect}_engine": engine})

    check(_MAPPING.contracts, table("InnoDB"))
    with pytest.raises(ConfigError, match=r"'carteira' é MyISAM, .* ENGINE=InnoDB"):
        check(_MAPPING.contracts, table("MyISAM"))
