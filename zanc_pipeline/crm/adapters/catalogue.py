"""What a table of a CRM on PostgreSQL looks like, checked against the mapping before a load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.crm.fields import Kind
from zanc_pipeline.crm.mapping import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """``type`` as PostgreSQL writes it, ``category`` as pg_type has it; ``required``: NOT NULL and
    without a default. ``cast`` is the type without its length: a cast to ``varchar(3)`` would cut
    silently what an insert refuses.
    """

    type: str
    cast: str
    category: str
    required: bool
    generated: bool


_COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           CASE a.atttypid WHEN 'bpchar'::regtype THEN 'bpchar'
                ELSE format_type(a.atttypid, NULL) END AS "cast",
           y.typcategory AS category, a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE = """
    SELECT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = to_regclass(%(table)s) AND i.indisunique
          AND i.indpred IS NULL AND (
            SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = %(key)s::text[]
    ) AS found
"""
_CATEGORIES = {
    Kind.TEXT: "SE",
    Kind.NUMBER: "N",
    Kind.INTEGER: "N",
    Kind.DATE: "D",
    Kind.MOMENT: "D",
    Kind.BOOLEAN: "B",
}
_WHOLE_NUMBERS = ("smallint", "integer", "bigint")
_NO_CENTS = re.compile(r"numeric\(\d+,(0|-\d+)\)")
_NEW_TYPES = {
    Kind.TEXT: "text",
    Kind.NUMBER: "numeric(14, 2)",
    Kind.INTEGER: "integer",
    Kind.DATE: "date",
    Kind.BOOLEAN: "boolean",
}


def columns(cursor: Any, table: Table) -> dict[str, Column]:
    """The columns of the table by name; none when there is no such table."""
    cursor.execute(_COLUMNS, (_quoted(cursor, table),))
    return {
        row["name"]: Column(
            type=row["type"],
            cast=row["cast"],
            category=row["category"],
            required=row["required"],
            generated=row["generated"],
        )
        for row in cursor.fetchall()
    }


def check(cursor: Any, database: str, table: Table, found: Mapping[str, Column]) -> None:
    """Raise ConfigError, with the key of the mapping and the remedy, unless the table fits it."""
    if not found:
        raise ConfigError(
            f"{table.where}: o banco {database} não tem a tabela '{table.name}': corrija o nome, "
            "ou crie a tabela no CRM; nada foi carregado"
        )
    for name, field in table.columns.items():
        if name not in found:
            raise ConfigError(
                f"{table.where}.colunas.{name}: a tabela '{table.name}' do banco {database} não "
                f"tem a coluna '{name}': corrija o nome, ou crie a coluna no CRM; nada foi "
                "carregado"
            )
        if found[name].generated:
            raise ConfigError(
                f"{table.where}.colunas.{name}: o próprio CRM calcula a coluna '{name}': tire-a "
                "do mapeamento; nada foi carregado"
            )
        check_kind(database, table, name, found[name], table.entity.kind(field))
    unfilled = [
        name for name, column in found.items() if column.required and name not in table.columns
    ]
    if unfilled:
        raise ConfigError(
            f"{table.where}.colunas: a coluna '{unfilled[0]}' da tabela '{table.name}' do banco "
            f"{database} é obrigatória e nenhum campo a preenche: mapeie-a, ou dê a ela um valor "
            "padrão no CRM; nada foi carregado"
        )
    cursor.execute(_UNIQUE, {"table": _quoted(cursor, table), "key": sorted(table.key)})
    if not cursor.fetchone()["found"]:
        raise ConfigError(
            f"{table.where}: a tabela '{table.name}' do banco {database} não tem chave única em "
            f"({', '.join(table.key)}), que identifica cada {table.entity.name}: crie o índice "
            "único no CRM; nada foi carregado"
        )


def check_kind(database: str, table: Table, name: str, column: Column, kind: Kind | None) -> None:
    """Raise ConfigError unless the column can hold what is mapped to it."""
    codes = table.codes.get(name)
    if codes:
        kind = Kind.INTEGER if isinstance(next(iter(codes.values())), int) else Kind.TEXT
    if kind is None:  # an extra field: its layout says what it holds
        return
    fits = column.category in _CATEGORIES[kind]
    whole = column.type in _WHOLE_NUMBERS or bool(_NO_CENTS.fullmatch(column.type))
    if fits and kind is Kind.NUMBER and whole:
        fits = False  # it would lose the cents
    if not fits:
        field = table.columns[name]
        raise ConfigError(
            f"{table.where}.colunas.{name}: a coluna '{name}' da tabela '{table.name}' do banco "
            f"{database} é do tipo {column.type}, e o campo '{field}' é {kind.value}: mapeie "
            "outra coluna, traduza em codigos ou mude o tipo no CRM; nada foi carregado"
        )


def create(cursor: Any, table: Table) -> None:
    """Create the table as the mapping describes it, unless it is there."""
    name = sql.Identifier(*table.name.split("."))
    lines = []
    for column, field in table.columns.items():
        codes = table.codes.get(column)
        kind = table.entity.kind(field) or Kind.TEXT
        if codes:
            kind = Kind.INTEGER if isinstance(next(iter(codes.values())), int) else Kind.TEXT
        lines.append(sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(_NEW_TYPES[kind])))
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    lines.append(sql.SQL("PRIMARY KEY ({})").format(key))
    cursor.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(name, sql.SQL(", ").join(lines))
    )
    cpf = table.column_of("cpf")
    if cpf is not None and table.key[0] != cpf:
        index = sql.Identifier(f"{table.name.replace('.', '_')}_{cpf}"[:63])
        cursor.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
                index, name, sql.Identifier(cpf)
            )
        )


def _quoted(cursor: Any, table: Table) -> str:
    text: str = sql.Identifier(*table.name.split(".")).as_string(cursor)
    return text
