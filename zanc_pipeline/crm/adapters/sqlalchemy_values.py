"""Our values in the columns of any database that SQLAlchemy reaches, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.crm.fields import Kind
from zanc_pipeline.crm.mapping import OTHERS, Table

_FITTING: dict[Kind, tuple[type[Any], ...]] = {
    Kind.TEXT: (sa.String,),
    Kind.NUMBER: (sa.Numeric, sa.Integer),  # an integer holds cents
    Kind.INTEGER: (sa.Integer, sa.Numeric),
    Kind.DATE: (sa.Date, sa.DateTime),
    Kind.MOMENT: (sa.DateTime,),
    Kind.BOOLEAN: (sa.Boolean, sa.Integer),
}

INNODB = "InnoDB"
"""The storage of MySQL and MariaDB that has transactions."""


def check(table: Table, store: sa.Table) -> None:
    """Raise ConfigError, with the key of the mapping and the remedy, unless the table fits it."""
    engines = (store.dialect_kwargs.get(f"{name}_engine") for name in ("mysql", "mariadb"))
    for engine in engines:
        if engine not in (None, INNODB):
            raise ConfigError(
                f"{table.where}: a tabela '{table.name}' é {engine}, que não desfaz uma carga "
                f"interrompida: no CRM, ALTER TABLE … ENGINE={INNODB}; nada foi carregado"
            )
    for name, field in table.columns.items():
        if name not in store.c:
            raise ConfigError(
                f"{table.where}.colunas.{name}: a tabela '{table.name}' não tem a coluna "
                f"'{name}': corrija o nome, ou crie a coluna no CRM; nada foi carregado"
            )
        kind = _kind(table, name, table.entity.kind(field))
        held = store.c[name].type
        fits = kind is None or isinstance(held, (*_FITTING[kind], sa.types.NullType))
        if kind is Kind.NUMBER and isinstance(held, sa.Numeric) and held.scale == 0:
            fits = False  # it would lose the cents
        if not fits and kind is not None:
            raise ConfigError(
                f"{table.where}.colunas.{name}: a coluna '{name}' da tabela '{table.name}' é do "
                f"tipo {held}, e o campo '{field}' é {kind.value}: mapeie outra coluna, traduza "
                "em codigos ou mude o tipo no CRM; nada foi carregado"
            )
    for column in store.c:
        filled = column.name in table.columns or column.server_default is not None
        if not (filled or column.nullable or column is store.autoincrement_column):
            raise ConfigError(
                f"{table.where}.colunas: a coluna '{column.name}' da tabela '{table.name}' é "
                "obrigatória e nenhum campo a preenche: mapeie-a, ou dê a ela um valor padrão no "
                "CRM; nada foi carregado"
            )


def as_kept(value: Any, column: sa.Column[Any]) -> Any:
    """A value that was read: a CHAR comes filled with blanks, which say nothing."""
    padded = isinstance(value, str) and isinstance(column.type, sa.CHAR)
    return value.rstrip(" ") if padded else value


def new_column(table: Table, name: str) -> sa.Column[Any]:
    """The column as the mapping describes it, for a table that is created."""
    field = table.columns[name]
    key = name in table.key
    types: dict[Kind | None, sa.types.TypeEngine[Any]] = {
        Kind.NUMBER: sa.BigInteger(),
        Kind.INTEGER: sa.Integer(),
        Kind.DATE: sa.Date(),
        Kind.MOMENT: sa.DateTime(),
        Kind.BOOLEAN: sa.Boolean(),
    }
    kind = _kind(table, name, table.entity.kind(field))
    return sa.Column(
        name, types.get(kind, sa.String(60 if key else 254)), primary_key=key, nullable=not key
    )


def converter(
    table: Table, name: str, kind: Kind | None, column: sa.Column[Any]
) -> Callable[[Any], Any]:
    """What turns a value of the delivery into the CRM's: codes, cents, 0 and 1."""
    codes = table.codes.get(name)
    if codes and kind is Kind.BOOLEAN:
        return lambda value: None if value is None else codes["sim" if value else "não"]
    if codes:
        return lambda value: None if value is None else codes.get(value, codes.get(OTHERS, value))
    if kind is Kind.NUMBER and isinstance(column.type, sa.Integer):
        return lambda value: None if value is None else int(value * 100)
    if kind is Kind.NUMBER and isinstance(column.type, sa.Float):
        return lambda value: None if value is None else float(value)
    if kind is Kind.NUMBER:
        return lambda value: None if value is None else value.quantize(Decimal("0.01"))
    if kind is Kind.DATE and isinstance(column.type, sa.DateTime):
        return lambda value: None if value is None else datetime.combine(value, time())
    if kind is Kind.MOMENT and not getattr(column.type, "timezone", False):
        return lambda value: None if value is None else value.astimezone(LOCAL).replace(tzinfo=None)
    if kind is Kind.BOOLEAN and not isinstance(column.type, sa.Boolean):
        return lambda value: None if value is None else int(value)
    return lambda value: value


def _kind(table: Table, name: str, kind: Kind | None) -> Kind | None:
    codes = table.codes.get(name)
    if codes:
        return Kind.INTEGER if isinstance(next(iter(codes.values())), int) else Kind.TEXT
    return kind
