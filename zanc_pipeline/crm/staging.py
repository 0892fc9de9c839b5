"""A delivery in a temporary table of PostgreSQL, and the rows of each entity drawn from it."""

# ruff: noqa: S608 (every name in a query is a constant or was matched by EXTRA_NAME)

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zanc_pipeline.common.database import copy_batches, copy_rows
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.crm.entities import Changes, Portfolio
from zanc_pipeline.crm.fields import CANONICAL, EXTRA, OPEN, PAID, Entity, Kind

_TYPES = {
    Kind.TEXT: "text",
    Kind.NUMBER: "numeric",
    Kind.INTEGER: "bigint",
    Kind.DATE: "date",
    Kind.MOMENT: "timestamptz",
    Kind.BOOLEAN: "boolean",
}

_ADDRESS = ("logradouro", "numero_endereco", "complemento", "bairro", "cep")
# Fields that a layout may have once, or numbered (valor_pago_1, valor_pago_2, …).
_GROUPS: Mapping[str, Mapping[str, Kind | None]] = {
    "parcela": {
        "parcela_valor": Kind.NUMBER,
        "parcela_vencimento": Kind.DATE,
        "parcela": None,  # its number, when the layout has it as an integer
    },
    "pagamento": {"valor_pago": Kind.NUMBER, "pago_em": Kind.DATE},
}
PAID_OFF = EXTRA + "quitado"


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """What ``delivery_row`` holds beside the canonical columns."""

    extras: Mapping[str, Kind]

    def has(self, field: str) -> bool:
        """Whether the delivery says ``field`` (extra fields are only in some layouts)."""
        return not field.startswith(EXTRA) or field in self.extras

    def is_plain(self, entity: Entity) -> bool:
        """Whether every row of the delivery is one row of the entity."""
        return entity.name == "contrato" or (
            entity.name == "parcela" and not self._numbers("parcela")
        )

    def query(self, entity: Entity) -> str | None:
        """The query of the entity's rows, columns named as its fields; None without any.

        Its named parameter is ``convenio``. Rows are unique by the entity's key.
        """
        extras = "".join(f", {name}" for name in self.extras)
        person = (
            "cpf, name AS nome, birth_date AS nascimento, email, city AS cidade, state AS uf, "
            "deceased AS obito"
        )
        convenio = "%(convenio)s::text AS convenio"
        state = f"'{OPEN}'"
        if self.extras.get(PAID_OFF) is Kind.BOOLEAN:
            state = f"CASE WHEN {PAID_OFF} THEN '{PAID}' ELSE '{OPEN}' END"
        match entity.name:
            case "devedor":
                return (
                    f"SELECT DISTINCT ON (cpf) {person}{extras} FROM delivery_row "
                    "ORDER BY cpf, deceased DESC, line DESC"
                )
            case "contrato":
                return (
                    f"SELECT {convenio}, contract AS contrato, product AS produto, "
                    f"amount AS valor, due_date AS vencimento, {state} AS situacao, {person}, "
                    "phone_1 AS telefone_1, phone_2 AS telefone_2, phone_3 AS telefone_3"
                    f"{extras} FROM delivery_row"
                )
            case "parcela":
                return self._instalments(convenio, state)
            case "telefone":
                return (
                    f"SELECT DISTINCT ON (d.cpf, p.telefone) {convenio}, d.cpf, p.telefone, "
                    f"p.ordem, '{OPEN}' AS situacao FROM delivery_row d CROSS JOIN LATERAL "
                    "(VALUES (1, phone_1), (2, phone_2), (3, phone_3)) AS p (ordem, telefone) "
                    "WHERE p.telefone IS NOT NULL ORDER BY d.cpf, p.telefone, p.ordem, d.line"
                )
            case "email":
                return (
                    f"SELECT DISTINCT {convenio}, cpf, email FROM delivery_row "
                    "WHERE email IS NOT NULL"
                )
            case "endereco":
                return self._addresses(convenio)
            case _:
                return self._payments(convenio)

    def _instalments(self, convenio: str, state: str) -> str:
        if not self._numbers("parcela"):
            return (
                f"SELECT {convenio}, contract AS contrato, 1 AS parcela, due_date AS vencimento, "
                f"amount AS valor, {state} AS situacao, cpf FROM delivery_row"
            )
        rows = ", ".join(
            f"({place}, {self._cell('parcela', suffix, Kind.INTEGER)}, "
            f"{self._cell('parcela_vencimento', suffix, Kind.DATE)}, "
            f"{self._cell('parcela_valor', suffix, Kind.NUMBER)})"
            for place, suffix in enumerate(self._numbers("parcela"), 1)
        )
        return (
            f"SELECT DISTINCT ON (contract, coalesce(p.parcela, p.place)) {convenio}, "
            "contract AS contrato, coalesce(p.parcela, p.place) AS parcela, "
            f"coalesce(p.vencimento, due_date) AS vencimento, p.valor, {state} AS situacao, cpf "
            f"FROM delivery_row CROSS JOIN LATERAL (VALUES {rows}) "
            "AS p (place, parcela, vencimento, valor) WHERE p.valor IS NOT NULL "
            "ORDER BY contract, coalesce(p.parcela, p.place), p.place"
        )

    def _addresses(self, convenio: str) -> str | None:
        present = [name for name in _ADDRESS if EXTRA + name in self.extras]
        if not present:
            return None
        columns = ", ".join(
            f"{self._cell(name, '', Kind.TEXT)}::text AS {name}" for name in _ADDRESS
        )
        known = ", ".join(EXTRA + name for name in present)
        return (
            f"SELECT DISTINCT ON (cpf) {convenio}, cpf, {columns}, city AS cidade, state AS uf "
            f"FROM delivery_row WHERE num_nonnulls({known}) > 0 ORDER BY cpf, line DESC"
        )

    def _payments(self, convenio: str) -> str | None:
        numbers = self._numbers("pagamento")
        if not numbers:
            return None
        rows = ", ".join(f"({EXTRA}pago_em{n}, {EXTRA}valor_pago{n})" for n in numbers)
        return (
            f"SELECT {convenio}, contract AS contrato, p.pago_em, sum(p.valor_pago) AS valor_pago, "
            f"min(cpf) AS cpf FROM delivery_row CROSS JOIN LATERAL (VALUES {rows}) "
            "AS p (pago_em, valor_pago) WHERE p.pago_em IS NOT NULL AND p.valor_pago IS NOT NULL "
            "GROUP BY contract, p.pago_em"
        )

    def _numbers(self, group: str) -> list[str]:
        """The endings ("" or "_1", "_2", …) of the fields of a group that the delivery has."""
        first, *others = _GROUPS[group]
        needed = others if group == "pagamento" else []
        found = [
            match[1] or ""
            for match in (re.fullmatch(rf"{EXTRA}{first}(_\d+)?", name) for name in self.extras)
            if match and all(f"{EXTRA}{name}{match[1] or ''}" in self.extras for name in needed)
        ]
        return sorted(found, key=lambda ending: int(ending[1:] or 0))

    def _cell(self, field: str, ending: str, kind: Kind) -> str:
        name = f"{EXTRA}{field}{ending}"
        return name if self.extras.get(name) is kind else f"NULL::{_TYPES[kind]}"


def stage_delivery(
    cursor: Any, portfolio: Portfolio, wanted: Iterable[str] = (), *, of: Changes | None = None
) -> Staged:
    """Copy the delivery into the temporary table ``delivery_row``, with its extra columns that
    ``wanted`` names (all that speak of instalments, payments and addresses among them).

    With ``of`` only the rows of the people whom the changes concern; they and their contracts are
    then in the temporary tables ``looked_at_person`` and ``looked_at_contract``.

    Raises DataError when such a field has another type than its meaning needs.
    """
    extras = {name: kind for name, kind in portfolio.extras.items() if name in set(wanted)}
    for group in _GROUPS.values():
        for field, needed in group.items():
            for name in extras:
                if (
                    needed is not None
                    and re.fullmatch(rf"{EXTRA}{field}(_\d+)?", name)
                    and extras[name] is not needed
                ):
                    raise DataError(
                        f"convênio {portfolio.convenio}: o campo '{name.removeprefix(EXTRA)}' do "
                        f"layout é {extras[name].value}, mas o CRM precisa dele como "
                        f"{needed.value}: corrija o 'tipo' no layout; nada foi carregado"
                    )
    columns = [f"{column} {_TYPES[kind]}" for column, kind in CANONICAL.values()]
    columns += [f"{name} {_TYPES[kind]}" for name, kind in extras.items()]
    cursor.execute(f"CREATE TEMP TABLE delivery_row ({', '.join(columns)}) ON COMMIT DROP")
    names = [*portfolio.columns, *extras]
    copy_batches(cursor, "delivery_row", names, portfolio.batches(names, of=of))
    cursor.execute("ANALYZE delivery_row (cpf, contract)")  # what it is joined by
    if of is not None:
        # Few rows are wanted, each by its key: also of tables that were never analysed.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for table, column, values in (
            ("looked_at_person", "cpf", of.people),
            ("looked_at_contract", "contract", of.contracts),
        ):
            cursor.execute(f"CREATE TEMP TABLE {table} ({column} text) ON COMMIT DROP")
            copy_rows(cursor, table, (column,), zip(values.to_pylist(), strict=True))
            cursor.execute(f"ANALYZE {table}")
    return Staged(extras=extras)


def extras_of(entity: Entity, mapped: Iterable[str], present: Iterable[str]) -> set[str]:
    """The extra columns, of those ``present``, that the rows of ``entity`` are drawn from."""
    wanted = {field for field in mapped if field.startswith(EXTRA)}
    if entity.name in ("contrato", "parcela"):
        wanted.add(PAID_OFF)
    if entity.name == "endereco":
        wanted |= {EXTRA + name for name in _ADDRESS}
    pattern = "|".join(_GROUPS.get(entity.name, {}))
    if pattern:
        wanted |= {name for name in present if re.fullmatch(rf"{EXTRA}({pattern})(_\d+)?", name)}
    return wanted
