"""A CRM on PostgreSQL with a table each for clients, contracts, instalments and phones."""

from __future__ import annotations

from typing import ClassVar

from psycopg2 import sql

from zanc_pipeline.crm.adapters.postgres import PostgresCrm
from zanc_pipeline.crm.merge import Target

_CLIENT = Target(
    table=sql.Identifier("cliente"),
    name="cliente",
    key=("cpf",),
    columns=("cpf", "nome", "nascimento", "email", "cidade", "uf", "falecido"),
    shared=True,
    used_by=(
        "EXISTS (SELECT 1 FROM contrato c WHERE c.cpf = t.cpf) "
        "OR EXISTS (SELECT 1 FROM telefone f WHERE f.cpf = t.cpf)"
    ),
)
_CONTRACT = Target(
    table=sql.Identifier("contrato"),
    name="contrato",
    key=("convenio", "numero"),
    columns=("convenio", "numero", "cpf", "produto", "situacao"),
)
_INSTALMENT = Target(
    table=sql.Identifier("parcela"),
    name="parcela",
    key=("convenio", "contrato", "numero"),
    columns=("convenio", "contrato", "numero", "vencimento", "valor"),
)
_PHONE = Target(
    table=sql.Identifier("telefone"),
    name="telefone",
    key=("convenio", "cpf", "numero"),
    columns=("convenio", "cpf", "numero", "ordem"),
)

_STAGES = {
    # What a convênio does not send does not erase what another one sent; a death stands.
    "cliente": """
        SELECT d.cpf, d.name AS nome, coalesce(d.birth_date, c.nascimento) AS nascimento,
               coalesce(d.email, c.email) AS email, coalesce(d.city, c.cidade) AS cidade,
               coalesce(d.state, c.uf) AS uf, d.deceased OR coalesce(c.falecido, false) AS falecido
        FROM (SELECT DISTINCT ON (cpf) * FROM delivery_row ORDER BY cpf, deceased DESC, line DESC) d
        LEFT JOIN cliente c USING (cpf)
    """,
    "contrato": """
        SELECT %(convenio)s::text AS convenio, contract AS numero, cpf, product AS produto,
               'aberto' AS situacao
        FROM delivery_row
        UNION ALL
        SELECT t.convenio, t.numero, t.cpf, t.produto, 'removido' FROM contrato t
        WHERE t.convenio = %(convenio)s AND t.situacao = 'aberto'
          AND NOT EXISTS (SELECT 1 FROM delivery_row d WHERE d.contract = t.numero)
    """,
    "parcela": """
        SELECT %(convenio)s::text AS convenio, contract AS contrato, 1::smallint AS numero,
               due_date AS vencimento, amount AS valor
        FROM delivery_row
    """,
    "telefone": """
        SELECT DISTINCT ON (d.cpf, p.numero)
               %(convenio)s::text AS convenio, d.cpf, p.numero, p.ordem::smallint AS ordem
        FROM delivery_row d
        CROSS JOIN LATERAL unnest(ARRAY[d.phone_1, d.phone_2, d.phone_3])
             WITH ORDINALITY AS p (numero, ordem)
        WHERE p.numero IS NOT NULL
        ORDER BY d.cpf, p.numero, p.ordem, d.line
    """,
}

_TABLES = """
CREATE TABLE IF NOT EXISTS cliente (
    cpf text PRIMARY KEY, nome text NOT NULL, nascimento date, email text, cidade text, uf text,
    falecido boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS contrato (
    convenio text NOT NULL, numero text NOT NULL, cpf text NOT NULL REFERENCES cliente,
    produto text, situacao text NOT NULL CHECK (situacao IN ('aberto', 'removido')),
    PRIMARY KEY (convenio, numero)
);
CREATE INDEX IF NOT EXISTS contrato_cpf ON contrato (cpf);
CREATE TABLE IF NOT EXISTS parcela (
    convenio text NOT NULL, contrato text NOT NULL, numero smallint NOT NULL,
    vencimento date NOT NULL, valor numeric(14, 2) NOT NULL,
    PRIMARY KEY (convenio, contrato, numero),
    FOREIGN KEY (convenio, contrato) REFERENCES contrato (convenio, numero)
);
CREATE TABLE IF NOT EXISTS telefone (
    convenio text NOT NULL, cpf text NOT NULL REFERENCES cliente, numero text NOT NULL,
    ordem smallint NOT NULL,
    PRIMARY KEY (convenio, cpf, numero)
);
CREATE INDEX IF NOT EXISTS telefone_cpf ON telefone (cpf);
"""


class NormalisedPostgres(PostgresCrm):
    """The normalised CRM. A file brings one open balance a contract: its single instalment."""

    _TARGETS: ClassVar[tuple[Target, ...]] = (_CLIENT, _CONTRACT, _INSTALMENT, _PHONE)

    @property
    def targets(self) -> tuple[Target, ...]:
        return self._TARGETS

    @property
    def tables(self) -> sql.Composable:
        return sql.SQL(_TABLES)

    def stage(self, target: Target) -> sql.Composable:
        return sql.SQL(_STAGES[target.name])

    @property
    def count_query(self) -> sql.Composable:
        return sql.SQL(
            "SELECT convenio, count(*) AS rows FROM contrato "
            "WHERE situacao = 'aberto' GROUP BY convenio"
        )
