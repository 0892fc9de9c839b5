"""A CRM on PostgreSQL that keeps everything in one wide table, a row for each contract."""

from __future__ import annotations

import re

from psycopg2 import sql

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters.postgres import PostgresCrm
from zanc_pipeline.crm.merge import Target

_COLUMNS = {
    "convenio": "%(convenio)s::text",
    "contrato": "contract",
    "cpf": "cpf",
    "nome": "name",
    "produto": "product",
    "valor": "amount",
    "vencimento": "due_date",
    "nascimento": "birth_date",
    "email": "email",
    "cidade": "city",
    "uf": "state",
    "fone1": "phone_1",
    "fone2": "phone_2",
    "fone3": "phone_3",
    "falecido": "deceased",
    "situacao": "'aberto'",
}
"""The CRM's columns and what of the delivery they hold."""


class WidePostgres(PostgresCrm):
    """The wide CRM; ``table`` is the name in its YAML."""

    def __init__(self, settings: Settings, *, database: str, table: str) -> None:
        super().__init__(settings, database=database)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", table):
            raise ConfigError(
                f"config/crms: '{table}' is not a table name: use lower-case letters, digits and _"
            )
        self._target = Target(
            table=sql.Identifier(table),
            name=table,
            key=("convenio", "contrato"),
            columns=tuple(_COLUMNS),
            stamps=(("atualizado_em", "now()"),),
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self._target,)

    @property
    def tables(self) -> sql.Composable:
        return sql.SQL(
            """
            CREATE TABLE IF NOT EXISTS {} (
                convenio text NOT NULL, contrato text NOT NULL, cpf text NOT NULL,
                nome text NOT NULL, produto text, valor numeric(14, 2) NOT NULL,
                vencimento date NOT NULL, nascimento date, email text, cidade text, uf text,
                fone1 text, fone2 text, fone3 text, falecido boolean NOT NULL,
                situacao text NOT NULL CHECK (situacao IN ('aberto', 'removido')),
                atualizado_em timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (convenio, contrato)
            )
            """
        ).format(self._target.table)

    def stage(self, target: Target) -> sql.Composable:
        carried = [name for name in _COLUMNS if name != "situacao"]
        return sql.SQL(
            """
            SELECT {mapped} FROM delivery_row
            UNION ALL
            SELECT {carried}, 'removido' FROM {table} t
            WHERE t.convenio = %(convenio)s AND t.situacao = 'aberto'
              AND NOT EXISTS (SELECT 1 FROM delivery_row d WHERE d.contract = t.contrato)
            """
        ).format(
            mapped=sql.SQL(", ").join(
                sql.SQL(f"{expression} AS {name}") for name, expression in _COLUMNS.items()
            ),
            carried=sql.SQL(", ").join(sql.Identifier("t", name) for name in carried),
            table=target.table,
        )

    @property
    def count_query(self) -> sql.Composable:
        return sql.SQL(
            "SELECT convenio, count(*) AS rows FROM {} WHERE situacao = 'aberto' GROUP BY convenio"
        ).format(self._target.table)
