"""``config/crms/<name>.yaml``: which of our fields each column of a CRM holds.

Every error names the file and the key, in Portuguese: who edits the file is no programmer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.crm.fields import ENTITIES, OPEN, PAID, REMOVED, Entity, Kind

Code = str | int
OTHERS = "outros"
"""The key of ``codigos`` for every value that has no line of its own."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TABLE_NAME = re.compile(rf"({_NAME.pattern}\.)?{_NAME.pattern}")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a CRM: ``columns`` maps its columns to our fields, ``codes`` some of their
    values (ours → the CRM's). ``where`` is the place in the YAML, for messages.
    """

    name: str
    entity: Entity
    columns: Mapping[str, str]
    codes: Mapping[str, Mapping[str, Code]]
    where: str

    def column_of(self, field: str) -> str | None:
        """The column that holds ``field``, None when the CRM does not keep it."""
        return next((column for column, held in self.columns.items() if held == field), None)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        found = (self.column_of(field) for field in self.entity.key)
        return tuple(column for column in found if column is not None)

    def code(self, column: str, value: str) -> Code:
        """What the CRM's ``column`` holds for our ``value``."""
        codes = self.codes.get(column, {})
        return codes.get(value, codes.get(OTHERS, value))


@dataclass(frozen=True, kw_only=True, slots=True)
class CrmMapping:
    """All tables of a CRM, parents before children as the YAML lists them."""

    crm: str
    tables: tuple[Table, ...]
    create: bool

    def digest(self, file: str) -> str:
        """Names what a delivery makes of this CRM: its file (by SHA-256), and how it is mapped."""
        tables = [(t.name, dict(t.columns), t.codes) for t in self.tables]
        return hashlib.sha256(f"{file} {tables}".encode()).hexdigest()

    @property
    def contracts(self) -> Table:
        """The table of contracts."""
        return next(table for table in self.tables if table.entity.name == "contrato")


def parse_mapping(crm: str, config: Mapping[str, Any]) -> CrmMapping:
    """The mapping in the content of ``config/crms/<crm>.yaml``; ConfigError names file and key."""
    file = f"config/crms/{crm}.yaml"
    tables = config.get("tabelas")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{file}: tabelas: falta a lista das tabelas do CRM")
    create = config.get("criar_tabelas", False)
    if create not in (True, False, "sim", "não", "nao"):
        raise ConfigError(f"{file}: criar_tabelas: escreva sim ou não")
    parsed = tuple(_table(f"{file}: tabelas.{name}", str(name), t) for name, t in tables.items())
    entities = [table.entity.name for table in parsed]
    repeated = [name for name in entities if entities.count(name) > 1]
    if repeated:
        raise ConfigError(f"{file}: tabelas: duas tabelas com entidade {repeated[0]}")
    if "contrato" not in entities:
        raise ConfigError(f"{file}: tabelas: nenhuma tem 'entidade: contrato'")
    return CrmMapping(crm=crm, tables=parsed, create=create in (True, "sim"))


def _table(where: str, name: str, content: object) -> Table:
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: '{name}' não é nome de tabela: use letras, números e _ (esquema.tabela)"
        )
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: esperava as chaves entidade e colunas")
    for key in content:
        if key not in ("entidade", "colunas", "codigos"):
            raise ConfigError(
                f"{where}.{key}: chave desconhecida; existem entidade, colunas e codigos"
            )
    entity = ENTITIES.get(str(content.get("entidade")))
    if entity is None:
        raise ConfigError(
            f"{where}.entidade: '{content.get('entidade')}' não é uma de {', '.join(ENTITIES)}"
        )
    columns = content.get("colunas")
    if not isinstance(columns, dict) or not columns:
        raise ConfigError(f"{where}.colunas: esperava linhas 'coluna do CRM: campo'")
    for column, field in columns.items():
        _check_column(f"{where}.colunas.{column}", entity, column, field, list(columns.values()))
    needed = (*entity.key, *(("situacao",) if entity.name == "contrato" else ()))
    for field in needed:
        if field not in columns.values():
            raise ConfigError(
                f"{where}.colunas: nenhuma coluna recebe '{field}', sem o qual não se sabe qual "
                f"linha de {entity.name} mudar"
            )
    table = Table(
        name=name,
        entity=entity,
        columns=dict(columns),
        codes=_codes(f"{where}.codigos", entity, columns, content.get("codigos", {})),
        where=where,
    )
    _check_states(table)
    return table


def _check_column(
    where: str, entity: Entity, column: object, field: object, fields: list[Any]
) -> None:
    if not isinstance(column, str) or not _NAME.fullmatch(column):
        raise ConfigError(f"{where}: '{column}' não é nome de coluna: use letras, números e _")
    if not isinstance(field, str) or not entity.knows(field):
        near = get_close_matches(str(field), entity.fields, 1)
        hint = f"; seria '{near[0]}'?" if near else ""
        extras = " (ou campo_<nome> de um campo do layout)" if entity.takes_extras else ""
        raise ConfigError(
            f"{where}: o campo '{field}' não existe em {entity.name}{hint} Existem: "
            f"{', '.join(entity.fields)}{extras}"
        )
    if fields.count(field) > 1:
        raise ConfigError(f"{where}: o campo '{field}' está em duas colunas")


def _codes(
    where: str, entity: Entity, columns: Mapping[str, str], content: object
) -> dict[str, dict[str, Code]]:
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: esperava linhas 'coluna: {{nosso valor: código do CRM}}'")
    codes: dict[str, dict[str, Code]] = {}
    for column, table in content.items():
        here = f"{where}.{column}"
        if column not in columns:
            raise ConfigError(f"{here}: a coluna não está em colunas")
        if entity.kind(columns[column]) not in (Kind.TEXT, Kind.BOOLEAN, None):
            raise ConfigError(f"{here}: só textos e sim/não têm códigos")
        if columns[column] in entity.key:
            raise ConfigError(f"{here}: uma coluna que identifica a linha não pode ser traduzida")
        if not isinstance(table, dict) or not table:
            raise ConfigError(f"{here}: esperava {{nosso valor: código do CRM}}")
        for value, code in table.items():
            if isinstance(code, bool) or not isinstance(code, str | int) or "%" in str(code):
                raise ConfigError(f"{here}.{value}: escreva o código entre aspas, sem %")
        kinds = {type(code) for code in table.values()}
        if len(kinds) > 1:
            raise ConfigError(f"{here}: misture números e textos não: use aspas em todos")
        codes[column] = {_ours(value): code for value, code in table.items()}
    return codes


def _ours(value: object) -> str:
    """YAML's own true and false are our ``sim`` and ``não``; ``nao`` is ``não`` too."""
    if isinstance(value, bool):
        return "sim" if value else "não"
    return {"nao": "não"}.get(str(value), str(value))


def _check_states(table: Table) -> None:
    """Every state must have a code of its own, and both answers of a yes or no."""
    for column, codes in table.codes.items():
        field = table.columns[column]
        here = f"{table.where}.codigos.{column}"
        if field == "situacao":
            wanted: tuple[str, ...] = (OPEN, REMOVED)
        elif table.entity.kind(field) is Kind.BOOLEAN:
            wanted = ("sim", "não")
        else:
            continue
        missing = [value for value in wanted if value not in codes]
        if missing:
            raise ConfigError(f"{here}: falta o código de '{missing[0]}'")
        if len({codes[value] for value in wanted}) < len(wanted):
            raise ConfigError(f"{here}: {' e '.join(wanted)} têm o mesmo código")
        unknown = set(codes) - {*wanted, PAID} if field == "situacao" else set(codes) - {*wanted}
        if unknown:
            raise ConfigError(f"{here}.{sorted(unknown)[0]}: não é um valor de '{field}'")
