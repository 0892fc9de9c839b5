"""A CRM on PostgreSQL, normalised or one wide table: which, its mapping says.

A delivery is copied into a temporary table, the rows of each mapped table are drawn from it, and
merged: only rows that changed are written, and what they were before is kept in a journal of ours
in the CRM's own database, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, ClassVar, Literal

import psycopg2
from psycopg2 import sql

from zanc_pipeline.common.database import copy_rows, transaction
from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters import catalogue
from zanc_pipeline.crm.adapters.catalogue import Column
from zanc_pipeline.crm.entities import OUTCOME_COLUMNS, CallOutcome, Changes, Loaded, Portfolio
from zanc_pipeline.crm.fields import OPEN, PAID, REMOVED, Kind
from zanc_pipeline.crm.mapping import OTHERS, CrmMapping, Table
from zanc_pipeline.crm.merge import Target, merge, retire, undo
from zanc_pipeline.crm.staging import PAID_OFF, Staged, extras_of, stage_delivery

_JOURNAL = sql.Identifier("zanc_journal")

_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS zanc_delivery (
    delivery_id bigint PRIMARY KEY, convenio text NOT NULL, reference_date date NOT NULL,
    rows integer NOT NULL, changed integer NOT NULL, digest text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS zanc_journal (
    seq bigint GENERATED ALWAYS AS IDENTITY, delivery_id bigint NOT NULL, table_name text NOT NULL,
    row_key text[] NOT NULL, before jsonb
);
CREATE INDEX IF NOT EXISTS zanc_journal_delivery ON zanc_journal (delivery_id);
CREATE TABLE IF NOT EXISTS zanc_outcome (
    call_id text PRIMARY KEY, crm text NOT NULL, convenio text NOT NULL, contract text,
    cpf text NOT NULL, phone text NOT NULL, started_at timestamptz NOT NULL, outcome text NOT NULL,
    tabulation text, promise_date date, promise_amount numeric(14, 2),
    recorded_at timestamptz NOT NULL DEFAULT now()
);
"""

_ADDED = {"pagamentos": "pagamento", "telefones": "telefone"}
"""What the rows of a delivery that is no portfolio are → the entity that they add to."""

_Columns = Mapping[str, Mapping[str, Column]]


class PostgresCrm:
    """The CRM in ``database``, laid out as ``mapping`` says."""

    unit: ClassVar[Literal["contracts", "clients"]] = "contracts"

    def __init__(self, settings: Settings, *, database: str, mapping: CrmMapping) -> None:
        self._settings = settings
        self._database = database
        self._mapping = mapping

    def ensure(self) -> None:
        with self._transaction("zanc crm") as cursor:
            cursor.execute("SELECT to_regclass('zanc_outcome') IS NULL AS absent")
            new = cursor.fetchone()["absent"]
            wanted = self._mapping.tables if self._mapping.create else ()
            absent = [table for table in wanted if not catalogue.columns(cursor, table)]
            if new or absent:
                # Schema statements only where something is missing: they wait for who is at work.
                self._lock(cursor)
                cursor.execute(_OWN_TABLES)
                for table in absent:
                    catalogue.create(cursor, table)
            self._columns(cursor)

    def load(self, portfolio: Portfolio) -> Loaded:
        with self._transaction("zanc crm load") as cursor:
            self._lock(cursor)
            mark = self._mark(cursor, portfolio.delivery_id)
            if mark is not None:
                return mark
            digest = self._mapping.digest(portfolio.digest)
            latest = None if portfolio.added_since else self._latest(cursor, portfolio)
            changes = portfolio.changes
            if changes is not None and latest != self._mapping.digest(changes.since):
                changes = None
            changed = 0 if latest == digest else self._merge_all(cursor, portfolio, changes)
            self._set_mark(cursor, portfolio, changed, digest)
        return Loaded(rows=portfolio.rows, changed=changed)

    def add(self, added: Portfolio) -> Loaded:
        with self._transaction("zanc crm load") as cursor:
            self._lock(cursor)
            mark = self._mark(cursor, added.delivery_id)
            if mark is not None:
                return mark
            changed = self._merge_added(cursor, added)
            self._set_mark(cursor, added, changed, "")
        return Loaded(rows=added.rows, changed=changed)

    def loaded(self, delivery_id: int) -> Loaded | None:
        with self._transaction("zanc crm") as cursor:
            return self._mark(cursor, delivery_id)

    def rollback(self, delivery_id: int) -> bool:
        with self._transaction("zanc crm rollback") as cursor:
            self._lock(cursor)
            if self._mark(cursor, delivery_id) is None:
                return False
            for table in reversed(self._mapping.tables):
                undo(cursor, self._target(table), _JOURNAL, delivery_id)
            cursor.execute("DELETE FROM zanc_delivery WHERE delivery_id = %s", (delivery_id,))
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        columns = ", ".join(OUTCOME_COLUMNS)
        with self._transaction("zanc crm") as cursor:
            cursor.execute(
                "CREATE TEMP TABLE outcome_row (LIKE zanc_outcome INCLUDING DEFAULTS) "
                "ON COMMIT DROP"
            )
            copy_rows(cursor, "outcome_row", OUTCOME_COLUMNS, map(astuple, outcomes))
            cursor.execute(
                f"INSERT INTO zanc_outcome ({columns}) SELECT {columns} FROM outcome_row "  # noqa: S608 (constants)
                "ORDER BY call_id ON CONFLICT (call_id) DO UPDATE SET tabulation = "
                "excluded.tabulation, promise_date = excluded.promise_date, "
                "promise_amount = excluded.promise_amount "
                "WHERE zanc_outcome.tabulation IS DISTINCT FROM excluded.tabulation"
            )

    def count(self) -> dict[str, int]:
        table = self._mapping.contracts
        state = _column(table, "situacao")
        query = sql.SQL(
            "SELECT {convenio} AS convenio, count(*) AS rows FROM {table} "
            "WHERE {state} = {open} GROUP BY {convenio}"
        ).format(
            convenio=sql.Identifier(_column(table, "convenio")),
            table=identifier(table),
            state=sql.Identifier(state),
            open=_value(table, state, OPEN),
        )
        with self._transaction("zanc crm") as cursor:
            catalogue.check(cursor, self._database, table, catalogue.columns(cursor, table))
            cursor.execute(query)
            return {row["convenio"]: int(row["rows"]) for row in cursor.fetchall()}

    @contextmanager
    def _transaction(self, application: str) -> Iterator[Any]:
        with transaction(self._settings, self._database, application=application) as cursor:
            try:
                yield cursor
            except (psycopg2.DataError, psycopg2.IntegrityError) as error:
                diagnosis = error.diag
                names = (diagnosis.table_name, diagnosis.column_name, diagnosis.constraint_name)
                where = "".join(f", {name}" for name in names if name)
                # The rest of the message may hold what was in the row.
                raise DataError(
                    f"CRM {self._mapping.crm}{where}: o banco recusou os dados "
                    f"({diagnosis.message_primary}); nada foi carregado"
                ) from None
            except (psycopg2.errors.InsufficientPrivilege, psycopg2.InternalError) as error:
                # The user may not, or a trigger of the CRM's own objects.
                raise ConfigError(
                    f"CRM {self._mapping.crm}: o banco {self._database} não deixa fazer o que é "
                    f"preciso ({mask_text(error.diag.message_primary or '')}); nada foi carregado"
                ) from None

    def _columns(self, cursor: Any) -> dict[str, dict[str, Column]]:
        found = {table.name: catalogue.columns(cursor, table) for table in self._mapping.tables}
        for table in self._mapping.tables:
            catalogue.check(cursor, self._database, table, found[table.name])
        return found

    def _lock(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('zanc crm'))")

    def _mark(self, cursor: Any, delivery_id: int) -> Loaded | None:
        cursor.execute(
            "SELECT rows, changed FROM zanc_delivery WHERE delivery_id = %s", (delivery_id,)
        )
        row = cursor.fetchone()
        return Loaded(rows=row["rows"], changed=row["changed"]) if row else None

    def _set_mark(self, cursor: Any, taken: Portfolio, changed: int, digest: str) -> None:
        """Say that the delivery is in; ``digest`` is empty when it is no portfolio."""
        cursor.execute(
            "INSERT INTO zanc_delivery "
            "(delivery_id, convenio, reference_date, rows, changed, digest) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (
                taken.delivery_id,
                taken.convenio,
                taken.reference_date,
                taken.rows,
                changed,
                digest,
            ),
        )

    def _latest(self, cursor: Any, portfolio: Portfolio) -> str | None:
        """The digest of the convênio's latest delivery: the same again changes nothing.

        None when there is none, or the CRM's tables hold less of it than it brought.
        """
        table = self._mapping.contracts
        state = _column(table, "situacao")
        ours = [_value(table, state, name) for name in (OPEN, PAID)]
        cursor.execute(
            sql.SQL(
                "SELECT digest FROM (SELECT digest, rows FROM zanc_delivery "
                "WHERE convenio = %(convenio)s AND digest <> '' "
                "ORDER BY reference_date DESC, delivery_id DESC LIMIT 1) d "
                "WHERE rows <= (SELECT count(*) FROM {table} t WHERE t.{convenio} = %(convenio)s "
                "AND t.{state} IN ({ours}))"
            ).format(
                table=identifier(table),
                convenio=sql.Identifier(_column(table, "convenio")),
                state=sql.Identifier(state),
                ours=sql.SQL(", ").join(ours),
            ),
            {"convenio": portfolio.convenio},
        )
        row = cursor.fetchone()
        return str(row["digest"]) if row else None

    def _merge_all(self, cursor: Any, portfolio: Portfolio, changes: Changes | None) -> int:
        tables = self._mapping.tables
        columns = self._columns(cursor)
        wanted = (
            extras_of(table.entity, table.columns.values(), portfolio.extras) for table in tables
        )
        staged = stage_delivery(cursor, portfolio, set().union(*wanted), of=changes)
        return sum(
            self._merge(cursor, number, columns[table.name], staged, portfolio, changes)
            for number, table in enumerate(tables)
        )

    def _merge_added(self, cursor: Any, added: Portfolio) -> int:
        """Merge the rows of the one entity that the delivery adds, and end what it pays off."""
        tables = self._mapping.tables
        columns = self._columns(cursor)
        entity = _ADDED[added.content]
        ours = [number for number, table in enumerate(tables) if table.entity.name == entity]
        wanted = (
            extras_of(tables[one].entity, tables[one].columns.values(), added.extras)
            for one in ours
        )
        staged = stage_delivery(cursor, added, {PAID_OFF}.union(*wanted))
        changed = sum(
            self._merge(cursor, one, columns[tables[one].name], staged, added, None) for one in ours
        )
        if staged.extras.get(PAID_OFF) is not Kind.BOOLEAN:
            return changed
        return changed + sum(self._pay_off(cursor, table, added) for table in tables)

    def _pay_off(self, cursor: Any, table: Table, added: Portfolio) -> int:
        """Mark the table's open rows of the contracts that the payments pay off."""
        state, contract = table.column_of("situacao"), table.column_of("contrato")
        if state is None or contract is None:
            return 0
        condition = sql.SQL(
            "t.{} = {} AND t.{} = {} AND EXISTS (SELECT FROM delivery_row d "
            "WHERE d.contract = t.{}::text AND d.{})"
        ).format(
            sql.Identifier(_column(table, "convenio")),
            sql.Literal(added.convenio),
            sql.Identifier(state),
            _value(table, state, OPEN),
            sql.Identifier(contract),
            sql.Identifier(PAID_OFF),
        )
        return retire(
            cursor,
            self._target(table),
            sql.SQL("(SELECT * FROM {} LIMIT 0)").format(identifier(table)),
            condition,
            (state, _value(table, state, PAID)),
            _JOURNAL,
            added.delivery_id,
        )

    def _merge(
        self,
        cursor: Any,
        number: int,
        columns: Mapping[str, Column],
        staged: Staged,
        portfolio: Portfolio,
        changes: Changes | None,
    ) -> int:
        table = self._mapping.tables[number]
        rows = staged.query(table.entity)
        if rows is None:
            return 0
        carried = {name: field for name, field in table.columns.items() if staged.has(field)}
        for name, field in table.columns.items():
            if name in carried:
                kind = staged.extras.get(field) or table.entity.kind(field)
                catalogue.check_kind(self._database, table, name, columns[name], kind)
            elif columns[name].required:
                raise DataError(
                    f"{table.where}.colunas.{name}: a coluna é obrigatória no CRM, e o layout do "
                    f"convênio {portfolio.convenio} não tem o campo "
                    f"'{field.removeprefix('campo_')}'; nada foi carregado"
                )
        stage = sql.Identifier(f"stage_{number}")
        # A row for each of the delivery costs no copy; what must be sorted out is done once.
        plain = staged.is_plain(table.entity)
        cursor.execute(
            sql.SQL("CREATE TEMP {} AS {}").format(
                sql.SQL("VIEW {}" if plain else "TABLE {} ON COMMIT DROP").format(stage),
                _projection(table, carried, columns, staged, rows),
            ),
            {"convenio": portfolio.convenio},
        )
        if not plain:
            keys = sql.SQL(", ").join(map(sql.Identifier, table.key))
            cursor.execute(sql.SQL("ANALYZE {} ({})").format(stage, keys))
        target = self._target(table, tuple(carried))
        changed = 0
        state = table.column_of("situacao")
        whole = portfolio.content == "carteira"
        if (
            whole and state is not None
        ):  # first, while what is new is not there to be looked through
            condition = sql.SQL("t.{} = {} AND t.{} = {}").format(
                sql.Identifier(_column(table, "convenio")),
                sql.Literal(portfolio.convenio),
                sql.Identifier(state),
                _value(table, state, OPEN),
            )
            removed = (state, _value(table, state, REMOVED))
            changed = retire(
                cursor,
                target,
                stage,
                condition,
                removed,
                _JOURNAL,
                portfolio.delivery_id,
                among=None if changes is None else _looked_at(table, columns, portfolio.convenio),
            )
        return changed + merge(cursor, target, stage, _JOURNAL, portfolio.delivery_id)

    def _target(self, table: Table, columns: tuple[str, ...] = ()) -> Target:
        shared = table.entity.name == "devedor"
        return Target(
            table=identifier(table),
            name=table.name,
            key=table.key,
            columns=columns,
            shared=shared,
            used_by=self._used_by(table) if shared else None,
        )

    def _used_by(self, debtors: Table) -> sql.Composable | None:
        """Whether another table still speaks of the debtor ``t``."""
        conditions = [
            sql.SQL("EXISTS (SELECT FROM {} u WHERE u.{} = t.{})").format(
                identifier(other), sql.Identifier(cpf), sql.Identifier(debtors.key[0])
            )
            for other in self._mapping.tables
            if other is not debtors and (cpf := other.column_of("cpf")) is not None
        ]
        return sql.SQL(" OR ").join(conditions) if conditions else None


def identifier(table: Table) -> sql.Composable:
    """The table's name, quoted, with its schema when the mapping has one."""
    return sql.Identifier(*table.name.split("."))


def _looked_at(table: Table, columns: Mapping[str, Column], convenio: str) -> sql.Composable:
    """The rows ``t`` of the people whom the changes of the delivery concern, each by its key.

    OFFSET 0 keeps the planner, which may know nothing of the table yet, from reading all of it.
    """
    contract = table.column_of("contrato")
    name = _column(table, "cpf") if contract is None else contract
    return sql.SQL(
        "{people} l CROSS JOIN LATERAL (SELECT i.* FROM {table} i WHERE i.{convenio} = {value} "
        "AND i.{name} = l.{field}::{cast} OFFSET 0) t"
    ).format(
        people=sql.Identifier("looked_at_person" if contract is None else "looked_at_contract"),
        table=identifier(table),
        convenio=sql.Identifier(_column(table, "convenio")),
        value=sql.Literal(convenio),
        name=sql.Identifier(name),
        field=sql.Identifier("cpf" if contract is None else "contract"),
        cast=sql.SQL(columns[name].cast),
    )


def _projection(
    table: Table,
    carried: Mapping[str, str],
    columns: Mapping[str, Column],
    staged: Staged,
    rows: str,
) -> sql.Composable:
    """The query of the rows as the CRM keeps them: its columns, codes and types.

    What a convênio does not send of a person does not erase what another one sent, and a death
    that any creditor reported stands, whatever the others say: the harm of calling is greater.
    """
    shared = table.entity.name == "devedor"
    values = []
    for name, field in carried.items():
        kind = staged.extras.get(field) or table.entity.kind(field)
        value = _coded(sql.Identifier("d", field), table.codes.get(name, {}), kind)
        value = sql.SQL("({})::{}").format(value, sql.SQL(columns[name].cast))
        if shared and name not in table.key:
            known = sql.Identifier("t", name)
            if field == "obito":
                value = sql.SQL("CASE WHEN d.obito THEN {0} ELSE coalesce({1}, {0}) END").format(
                    value, known
                )
            else:
                value = sql.SQL("coalesce({}, {})").format(value, known)
        values.append(sql.SQL("{} AS {}").format(value, sql.Identifier(name)))
    joined: sql.Composable = sql.SQL("")
    if shared:
        joined = sql.SQL("LEFT JOIN {} t ON t.{} = d.cpf").format(
            identifier(table), sql.Identifier(table.key[0])
        )
    return sql.SQL("SELECT {} FROM ({}) d {}").format(
        sql.SQL(", ").join(values), sql.SQL(rows), joined
    )


def _coded(
    value: sql.Composable, codes: Mapping[str, str | int], kind: Kind | None
) -> sql.Composable:
    if not codes:
        return value
    if kind is Kind.BOOLEAN:
        return sql.SQL("CASE WHEN {0} THEN {1} WHEN NOT {0} THEN {2} END").format(
            value, sql.Literal(codes["sim"]), sql.Literal(codes["não"])
        )
    cases = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(ours), sql.Literal(code))
        for ours, code in codes.items()
        if ours != OTHERS
    )
    other = sql.Literal(codes[OTHERS]) if OTHERS in codes else value
    return sql.SQL("CASE {0} {1} ELSE CASE WHEN {0} IS NOT NULL THEN {2} END END").format(
        value, cases, other
    )


def _value(table: Table, column: str, value: str) -> sql.Composable:
    """What the CRM's column holds for our value, as a literal."""
    return sql.Literal(table.code(column, value))


def _column(table: Table, field: str) -> str:
    column = table.column_of(field)
    assert column is not None, "the mapping was checked"
    return column
