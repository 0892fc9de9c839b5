"""A CRM reached through plain SQLAlchemy, whatever the dialect: one table, a row for each contract.

Only portable SQL: what changed is found here, by comparing the delivery with the rows of the
convênio, some contracts at a time, and written row by row in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import sqlalchemy as sa

from zanc_pipeline.common.errors import ConfigError, DataError, UnavailableError
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.crm.adapters.sqlalchemy_values import (
    INNODB,
    as_kept,
    check,
    converter,
    new_column,
)
from zanc_pipeline.crm.entities import CallOutcome, Changes, Loaded, Portfolio
from zanc_pipeline.crm.fields import CANONICAL, OPEN, PAID, REMOVED, Kind
from zanc_pipeline.crm.mapping import Code, CrmMapping
from zanc_pipeline.crm.staging import PAID_OFF

Row = dict[str, Any]

# MySQL takes "ab1" and "AB1" for one key otherwise, and may have a default without transactions.
_MADE: Mapping[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", INNODB), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
METADATA = sa.MetaData()
_JOURNAL = sa.Table(
    "zanc_journal",
    METADATA,
    sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("contract", sa.String(60), primary_key=True),
    sa.Column("before", sa.Text),  # JSON of the row; NULL: the delivery inserted it
    **_MADE,
)
_DELIVERY = sa.Table(
    "zanc_delivery",
    METADATA,
    sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("convenio", sa.String(60), nullable=False),
    sa.Column("reference_date", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("changed", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    **_MADE,
)
_OUTCOME = sa.Table(
    "zanc_outcome",
    METADATA,
    sa.Column("call_id", sa.String(80), primary_key=True),
    sa.Column("convenio", sa.String(60), nullable=False),
    sa.Column("contract", sa.String(60)),
    sa.Column("cpf", sa.String(11), nullable=False),
    sa.Column("phone", sa.String(11), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("outcome", sa.String(30), nullable=False),
    sa.Column("tabulation", sa.String(30)),
    sa.Column("promise_date", sa.Date),
    sa.Column("promise_centavos", sa.BigInteger),
    **_MADE,
)
_T = TypeVar("_T")
_CHUNK = 500  # dialects bound the parameters of a statement


def differing(
    existing: Mapping[str, Row], incoming: Mapping[str, Row]
) -> Iterator[tuple[Row | None, Row]]:
    """(before, after) of each contract that the delivery changes; ``before`` is None for a new one.

    Both mappings are by contract. Columns that the delivery does not bring stay as they are.
    """
    for contract, after in incoming.items():
        before = existing.get(contract)
        if before is None or any(before[name] != value for name, value in after.items()):
            yield before, {**(before or {}), **after}


class SqlAlchemyTable:
    """The CRM at ``url``; messages show its URL without the password."""

    unit: ClassVar[Literal["contracts", "clients"]] = "contracts"

    def __init__(self, url: str, mapping: CrmMapping) -> None:
        self._crm = mapping.crm
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError(
                f"config/crms/{self._crm}.yaml: url: não é um endereço do SQLAlchemy "
                "(dialeto://usuario:senha@servidor/banco)"
            ) from None
        self._mapping = mapping
        self._table = mapping.contracts
        self._convenio, self._contract = self._table.key
        state = self._table.column_of("situacao")
        assert state is not None, "the mapping was checked"
        self._state = state

    def ensure(self) -> None:
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as connection:
            METADATA.create_all(connection)
            schema, name = self._name
            if self._mapping.create and not sa.inspect(connection).has_table(name, schema=schema):
                made = [new_column(self._table, column) for column in self._table.columns]
                sa.Table(name, sa.MetaData(), *made, schema=schema, **_MADE).create(connection)
            self._portfolio(connection)

    def load(self, portfolio: Portfolio) -> Loaded:
        with self._transaction() as connection:
            mark = _mark(connection, portfolio.delivery_id)
            if mark is not None:
                return mark
            digest = self._mapping.digest(portfolio.digest)
            latest = None
            if not portfolio.added_since:
                latest = self._latest(connection, portfolio.convenio)
            changes = portfolio.changes
            if changes is not None and latest != self._mapping.digest(changes.since):
                changes = None
            changed = 0 if latest == digest else self._merge(connection, portfolio, changes)
            _set_mark(connection, portfolio, changed, digest)
        return Loaded(rows=portfolio.rows, changed=changed)

    def add(self, added: Portfolio) -> Loaded:
        with self._transaction() as connection:
            mark = _mark(connection, added.delivery_id)
            if mark is not None:
                return mark
            changed = self._pay_off(connection, added)
            _set_mark(connection, added, changed, "")
        return Loaded(rows=added.rows, changed=changed)

    def loaded(self, delivery_id: int) -> Loaded | None:
        with self._transaction() as connection:
            return _mark(connection, delivery_id)

    def rollback(self, delivery_id: int) -> bool:
        with self._transaction() as connection:
            if _mark(connection, delivery_id) is None:
                return False
            store = self._portfolio(connection)
            of_delivery = _JOURNAL.c.delivery_id == delivery_id
            convenio = connection.execute(
                sa.select(_DELIVERY.c.convenio).where(_DELIVERY.c.delivery_id == delivery_id)
            ).scalar_one()
            restored: list[Row] = []
            inserted: list[Row] = []
            for entry in connection.execute(sa.select(_JOURNAL).where(of_delivery)).mappings():
                if entry["before"] is None:
                    inserted.append(
                        {f"b_{self._convenio}": convenio, f"b_{self._contract}": entry["contract"]}
                    )
                else:
                    restored.append(_from_json(entry["before"], store))
            self._update(connection, store, restored)
            if inserted:
                connection.execute(store.delete().where(self._by_key(store)), inserted)
            connection.execute(_JOURNAL.delete().where(of_delivery))
            connection.execute(_DELIVERY.delete().where(_DELIVERY.c.delivery_id == delivery_id))
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        with self._transaction() as connection:
            known: dict[str, str | None] = {}
            for ids in _chunks(outcome.call_id for outcome in outcomes):
                some = sa.select(_OUTCOME.c.call_id, _OUTCOME.c.tabulation).where(
                    _OUTCOME.c.call_id.in_(ids)
                )
                known.update({row[0]: row[1] for row in connection.execute(some)})
            rows = [_outcome_row(outcome) for outcome in outcomes if outcome.call_id not in known]
            if rows:
                connection.execute(_OUTCOME.insert(), rows)
            late = [
                {"b_call_id": outcome.call_id, **_said(outcome)}
                for outcome in outcomes
                if known.get(outcome.call_id, outcome.tabulation) != outcome.tabulation
            ]
            if late:
                connection.execute(
                    _OUTCOME.update().where(_OUTCOME.c.call_id == sa.bindparam("b_call_id")), late
                )

    def count(self) -> dict[str, int]:
        with self._transaction() as connection:
            store = self._portfolio(connection)
            query = (
                sa.select(store.c[self._convenio], sa.func.count())
                .where(store.c[self._state] == self._table.code(self._state, OPEN))
                .group_by(store.c[self._convenio])
            )
            name = store.c[self._convenio]
            return {as_kept(row[0], name): int(row[1]) for row in connection.execute(query)}

    @property
    def _name(self) -> tuple[str | None, str]:
        schema, _, name = self._table.name.rpartition(".")
        return schema or None, name

    def _portfolio(self, connection: sa.Connection) -> sa.Table:
        """The CRM's table as it is there, checked against the mapping."""
        schema, name = self._name
        try:
            store = sa.Table(name, sa.MetaData(), autoload_with=connection, schema=schema)
        except sa.exc.NoSuchTableError:
            raise ConfigError(
                f"{self._table.where}: o banco não tem a tabela '{self._table.name}': corrija o "
                "nome, ou crie a tabela no CRM; nada foi carregado"
            ) from None
        check(self._table, store)
        return store

    def _latest(self, connection: sa.Connection, convenio: str) -> str | None:
        """The digest of the convênio's latest delivery: the same again changes nothing.

        None when there is none, or the CRM's table holds less of it than it brought.
        """
        query = (
            sa.select(_DELIVERY.c.digest, _DELIVERY.c.rows)
            .where(_DELIVERY.c.convenio == convenio, _DELIVERY.c.digest != "")
            .order_by(_DELIVERY.c.reference_date.desc(), _DELIVERY.c.delivery_id.desc())
            .limit(1)
        )
        found = connection.execute(query).one_or_none()
        if found is None:
            return None
        store = self._portfolio(connection)
        ours = [self._table.code(self._state, state) for state in (OPEN, PAID)]
        held = connection.execute(
            sa.select(sa.func.count()).where(
                store.c[self._convenio] == convenio, store.c[self._state].in_(ours)
            )
        ).scalar_one()
        return str(found[0]) if held >= found[1] else None

    def _merge(
        self, connection: sa.Connection, portfolio: Portfolio, changes: Changes | None
    ) -> int:
        store = self._portfolio(connection)
        mine = store.c[self._convenio] == portfolio.convenio
        seen: set[str] = set()
        changed = 0
        for incoming in self._incoming(portfolio, store, changes):
            seen.update(incoming)
            existing = self._rows(connection, store, mine, list(incoming))
            pairs = list(differing(existing, incoming))
            changed += self._write(connection, store, portfolio, pairs)
        removed = {self._state: self._table.code(self._state, REMOVED)}
        lost = self._gone(connection, store, mine, seen)
        if changes is not None:
            looked_at = set(changes.contracts.to_pylist())
            lost = [name for name in lost if name in looked_at]
        for gone in _chunks(lost):
            existing = self._rows(connection, store, mine, gone)
            pairs = [(row, {**row, **removed}) for row in existing.values()]
            changed += self._write(connection, store, portfolio, pairs)
        return changed

    def _pay_off(self, connection: sa.Connection, added: Portfolio) -> int:
        """Mark the open contracts that the payments pay off."""
        if added.extras.get(PAID_OFF) is not Kind.BOOLEAN:
            return 0
        store = self._portfolio(connection)
        mine = store.c[self._convenio] == added.convenio
        is_open, paid = (self._table.code(self._state, state) for state in (OPEN, PAID))
        changed = 0
        for batch in added.batches(["contract", PAID_OFF]):
            ended = {row["contract"] for row in batch.to_pylist() if row[PAID_OFF]}
            for some in _chunks(sorted(ended)):
                existing = self._rows(connection, store, mine, some).values()
                pairs: list[tuple[Row | None, Row]] = [
                    (row, {**row, self._state: paid})
                    for row in existing
                    if row[self._state] == is_open
                ]
                changed += self._write(connection, store, added, pairs)
        return changed

    def _incoming(
        self, portfolio: Portfolio, store: sa.Table, changes: Changes | None
    ) -> Iterator[dict[str, Row]]:
        """The rows of the delivery as the CRM keeps them, by contract, some at a time."""
        paid = portfolio.extras.get(PAID_OFF) is Kind.BOOLEAN
        constant: dict[str, Code] = {self._convenio: portfolio.convenio}
        sources, converters = {}, {}
        for name, field in self._table.columns.items():
            source = CANONICAL[field][0] if field in CANONICAL else field
            kind = portfolio.extras.get(field) or self._table.entity.kind(field)
            if field in CANONICAL or field in portfolio.extras:
                sources[name] = source
                converters[name] = converter(self._table, name, kind, store.c[name])
        states = {state: self._table.code(self._state, state) for state in (OPEN, PAID)}
        columns = sorted({*sources.values(), "cpf", *([PAID_OFF] if paid else [])})
        for batch in portfolio.batches(columns, of=changes):
            for some in _chunks(batch.to_pylist()):
                rows = {}
                for row in some:
                    made = {name: converters[name](row[source]) for name, source in sources.items()}
                    made |= constant
                    is_paid = paid and row[PAID_OFF]
                    made[self._state] = states[PAID if is_paid else OPEN]
                    rows[row["contract"]] = made
                yield rows

    def _rows(
        self, connection: sa.Connection, store: sa.Table, mine: Any, contracts: Sequence[str]
    ) -> dict[str, Row]:
        columns = [store.c[name] for name in self._table.columns]
        query = sa.select(*columns).where(mine, store.c[self._contract].in_(contracts))
        found = [
            {name: as_kept(value, store.c[name]) for name, value in row.items()}
            for row in connection.execute(query).mappings()
        ]
        return {row[self._contract]: row for row in found}

    def _gone(
        self, connection: sa.Connection, store: sa.Table, mine: Any, seen: set[str]
    ) -> list[str]:
        is_open = store.c[self._state] == self._table.code(self._state, OPEN)
        query = sa.select(store.c[self._contract]).where(mine, is_open)
        key = store.c[self._contract]
        found = (as_kept(name, key) for name in connection.scalars(query))
        return [name for name in found if name not in seen]

    def _write(
        self,
        connection: sa.Connection,
        store: sa.Table,
        portfolio: Portfolio,
        changed: list[tuple[Row | None, Row]],
    ) -> int:
        if changed:
            connection.execute(
                _JOURNAL.insert(),
                [
                    {
                        "delivery_id": portfolio.delivery_id,
                        "contract": after[self._contract],
                        "before": None if before is None else _to_json(before),
                    }
                    for before, after in changed
                ],
            )
            inserted = [after for before, after in changed if before is None]
            if inserted:
                connection.execute(store.insert(), inserted)
            self._update(connection, store, [after for before, after in changed if before])
        return len(changed)

    def _by_key(self, store: sa.Table) -> Any:
        return sa.and_(*(store.c[name] == sa.bindparam(f"b_{name}") for name in self._table.key))

    def _update(self, connection: sa.Connection, store: sa.Table, rows: list[Row]) -> None:
        values = [name for name in self._table.columns if name not in self._table.key]
        if not rows:
            return
        statement = (
            store.update()
            .where(self._by_key(store))
            .values({name: sa.bindparam(f"b_{name}") for name in values})
        )
        connection.execute(statement, [{f"b_{k}": v for k, v in row.items()} for row in rows])

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            raise ConfigError(
                f"config/crms/{self._crm}.yaml: url: falta o driver de "
                f"'{self._url.drivername}': {error}"
            ) from None
        if engine.dialect.name == "sqlite":
            _take_the_write_lock_first(engine)
        try:
            with engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            address = self._url.render_as_string(hide_password=True)
            raise UnavailableError(f"CRM {self._crm}", address, _first_line(error)) from None
        except (sa.exc.DataError, sa.exc.IntegrityError) as error:
            # What the driver says may hold what was in the row: only its kind is told.
            raise DataError(
                f"CRM {self._crm}, tabela {self._table.name}: o banco recusou os dados "
                f"({type(error.orig).__name__}); nada foi carregado"
            ) from None
        except sa.exc.DBAPIError as error:
            raise ConfigError(
                f"config/crms/{self._crm}.yaml: url: o banco não deixa fazer o que é preciso "
                f"({type(error.orig).__name__}: {mask_text(_first_line(error))})"
            ) from None
        finally:
            engine.dispose()


def _chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    """The items in lists of as many as one statement may name."""
    rest = iter(items)
    while some := list(islice(rest, _CHUNK)):
        yield some


def _first_line(error: sa.exc.DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [""])[0]


def _to_json(row: Row) -> str:
    def plain(value: object) -> str:
        return str(value) if isinstance(value, Decimal) else value.isoformat()  # type: ignore[attr-defined]

    return json.dumps(row, default=plain, ensure_ascii=False)


def _from_json(text: str, store: sa.Table) -> Row:
    restored: Row = {}
    for name, value in json.loads(text).items():
        kind = store.c[name].type
        if value is None:
            restored[name] = None
        elif isinstance(kind, sa.DateTime):
            restored[name] = datetime.fromisoformat(value)
        elif isinstance(kind, sa.Date):
            restored[name] = date.fromisoformat(value)
        elif isinstance(value, str) and isinstance(kind, sa.Numeric):
            restored[name] = Decimal(value)
        else:
            restored[name] = value
    return restored


def _set_mark(connection: sa.Connection, taken: Portfolio, changed: int, digest: str) -> None:
    """Say that the delivery is in; ``digest`` is empty when it is no portfolio."""
    connection.execute(
        _DELIVERY.insert(),
        {
            "delivery_id": taken.delivery_id,
            "convenio": taken.convenio,
            "reference_date": taken.reference_date,
            "rows": taken.rows,
            "changed": changed,
            "digest": digest,
        },
    )


def _mark(connection: sa.Connection, delivery_id: int) -> Loaded | None:
    query = sa.select(_DELIVERY.c.rows, _DELIVERY.c.changed).where(
        _DELIVERY.c.delivery_id == delivery_id
    )
    row = connection.execute(query).one_or_none()
    return Loaded(rows=row[0], changed=row[1]) if row else None


def _said(outcome: CallOutcome) -> Row:
    amount = outcome.promise_amount
    return {
        "tabulation": outcome.tabulation,
        "promise_date": outcome.promise_date,
        "promise_centavos": None if amount is None else int(amount * 100),
    }


def _outcome_row(outcome: CallOutcome) -> Row:
    return {
        "call_id": outcome.call_id,
        "convenio": outcome.convenio,
        "contract": outcome.contract,
        "cpf": outcome.cpf,
        "phone": outcome.phone,
        "started_at": outcome.started_at.astimezone(UTC),  # some databases keep no zone
        "outcome": outcome.outcome,
        **_said(outcome),
    }


def _take_the_write_lock_first(engine: sa.Engine) -> None:
    """Make SQLite's transactions real ones: its driver would begin them only at the first write."""

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
