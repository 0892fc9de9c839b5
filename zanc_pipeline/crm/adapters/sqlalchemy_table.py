"""A CRM reached through plain SQLAlchemy, whatever the dialect; SQLite in the demo.

Only portable SQL: what changed is found here, by comparing the delivery with the rows of the
convênio, and written row by row in one transaction. Amounts are kept in cents, because not every
dialect has an exact decimal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import sqlalchemy as sa

from zanc_pipeline.common.errors import ConfigError, UnavailableError
from zanc_pipeline.crm.entities import CallOutcome, Loaded, Portfolio

Row = dict[str, Any]

_OPEN, _REMOVED = "aberto", "removido"


def _portfolio_columns(*, key: bool) -> list[sa.Column[Any]]:
    return [
        sa.Column("convenio", sa.String(60), primary_key=key),
        sa.Column("contrato", sa.String(60), primary_key=key),
        sa.Column("cpf", sa.String(11), nullable=not key, index=key),
        sa.Column("nome", sa.String(200)),
        sa.Column("produto", sa.String(120)),
        sa.Column("valor_centavos", sa.BigInteger),
        sa.Column("vencimento", sa.Date),
        sa.Column("nascimento", sa.Date),
        sa.Column("email", sa.String(254)),
        sa.Column("cidade", sa.String(120)),
        sa.Column("uf", sa.String(2)),
        sa.Column("fone1", sa.String(11)),
        sa.Column("fone2", sa.String(11)),
        sa.Column("fone3", sa.String(11)),
        sa.Column("falecido", sa.Boolean),
        sa.Column("situacao", sa.String(8)),
    ]


_METADATA = sa.MetaData()
_PORTFOLIO = sa.Table("carteira", _METADATA, *_portfolio_columns(key=True))
_JOURNAL = sa.Table(
    "zanc_journal",
    _METADATA,
    sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("existed", sa.Boolean, nullable=False),
    *_portfolio_columns(key=False),
)
_DELIVERY = sa.Table(
    "zanc_delivery",
    _METADATA,
    sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("convenio", sa.String(60), nullable=False),
    sa.Column("reference_date", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("changed", sa.Integer, nullable=False),
)
_OUTCOME = sa.Table(
    "zanc_outcome",
    _METADATA,
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
)
_COLUMNS = tuple(column.name for column in _PORTFOLIO.columns)


def changes(
    existing: Mapping[str, Row], incoming: Mapping[str, Row]
) -> Iterator[tuple[Row | None, Row]]:
    """(before, after) of each contract that the delivery changes; ``before`` is None for a new one.

    Both mappings are by contract, of one convênio. A contract that is open and no longer comes is
    removed; one that comes again is open again.
    """
    for contract, after in incoming.items():
        before = existing.get(contract)
        if before != after:
            yield before, after
    for contract, before in existing.items():
        if contract not in incoming and before["situacao"] == _OPEN:
            yield before, {**before, "situacao": _REMOVED}


class SqlAlchemyTable:
    """The CRM at ``url``; ``crm`` is its name in messages, where the URL shows no password."""

    unit: ClassVar[Literal["contracts", "clients"]] = "contracts"

    def __init__(self, crm: str, url: str) -> None:
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError(f"config/crms/{crm}.yaml: url is not a SQLAlchemy URL") from None
        self._crm = crm

    def ensure(self) -> None:
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as connection:
            _METADATA.create_all(connection)
            present = {column["name"] for column in sa.inspect(connection).get_columns("carteira")}
        missing = [name for name in _COLUMNS if name not in present]
        if missing:
            raise ConfigError(
                f"CRM {self._crm}, table carteira: lacks the columns {', '.join(missing)}; "
                "nothing was loaded"
            )

    def load(self, portfolio: Portfolio) -> Loaded:
        with self._transaction() as connection:
            mark = _mark(connection, portfolio.delivery_id)
            if mark is not None:
                return mark
            found = connection.execute(
                sa.select(_PORTFOLIO).where(_PORTFOLIO.c.convenio == portfolio.convenio)
            ).mappings()
            existing = {row["contrato"]: dict(row) for row in found}
            changed = list(changes(existing, _incoming(portfolio)))
            self._write(connection, portfolio.delivery_id, changed)
            connection.execute(
                _DELIVERY.insert(),
                {
                    "delivery_id": portfolio.delivery_id,
                    "convenio": portfolio.convenio,
                    "reference_date": portfolio.reference_date,
                    "rows": portfolio.rows,
                    "changed": len(changed),
                },
            )
        return Loaded(rows=portfolio.rows, changed=len(changed))

    def loaded(self, delivery_id: int) -> Loaded | None:
        with self._transaction() as connection:
            return _mark(connection, delivery_id)

    def rollback(self, delivery_id: int) -> bool:
        with self._transaction() as connection:
            if _mark(connection, delivery_id) is None:
                return False
            journal = connection.execute(
                sa.select(_JOURNAL).where(_JOURNAL.c.delivery_id == delivery_id)
            ).mappings()
            restored: list[Row] = []
            inserted: list[Row] = []
            for row in journal:
                (restored if row["existed"] else inserted).append(
                    {name: row[name] for name in _COLUMNS}
                )
            _update(connection, restored)
            if inserted:
                keys = [
                    {"b_convenio": r["convenio"], "b_contrato": r["contrato"]} for r in inserted
                ]
                connection.execute(_PORTFOLIO.delete().where(_BY_KEY), keys)
            connection.execute(_JOURNAL.delete().where(_JOURNAL.c.delivery_id == delivery_id))
            connection.execute(_DELIVERY.delete().where(_DELIVERY.c.delivery_id == delivery_id))
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        with self._transaction() as connection:
            known: set[str] = set()
            ids = [outcome.call_id for outcome in outcomes]
            for start in range(0, len(ids), 500):  # dialects bound the parameters of a statement
                some = sa.select(_OUTCOME.c.call_id).where(
                    _OUTCOME.c.call_id.in_(ids[start : start + 500])
                )
                known.update(connection.execute(some).scalars())
            rows = [_outcome_row(outcome) for outcome in outcomes if outcome.call_id not in known]
            if rows:
                connection.execute(_OUTCOME.insert(), rows)

    def count(self) -> dict[str, int]:
        query = (
            sa.select(_PORTFOLIO.c.convenio, sa.func.count())
            .where(_PORTFOLIO.c.situacao == _OPEN)
            .group_by(_PORTFOLIO.c.convenio)
        )
        with self._transaction() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def _write(
        self, connection: sa.Connection, delivery_id: int, changed: list[tuple[Row | None, Row]]
    ) -> None:
        if not changed:
            return
        connection.execute(
            _JOURNAL.insert(),
            [
                {
                    "delivery_id": delivery_id,
                    "position": position,
                    "existed": before is not None,
                    **(before or after),
                }
                for position, (before, after) in enumerate(changed)
            ],
        )
        inserted = [after for before, after in changed if before is None]
        if inserted:
            connection.execute(_PORTFOLIO.insert(), inserted)
        _update(connection, [after for before, after in changed if before is not None])

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            raise ConfigError(
                f"config/crms/{self._crm}.yaml: no driver for '{self._url.drivername}': {error}"
            ) from None
        if engine.dialect.name == "sqlite":
            _take_the_write_lock_first(engine)
        try:
            with engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            address = self._url.render_as_string(hide_password=True)
            why = str(error.orig).strip().splitlines()[:1] or [""]
            raise UnavailableError(f"CRM {self._crm}", address, why[0]) from None
        finally:
            engine.dispose()


_BY_KEY = sa.and_(
    _PORTFOLIO.c.convenio == sa.bindparam("b_convenio"),
    _PORTFOLIO.c.contrato == sa.bindparam("b_contrato"),
)


def _update(connection: sa.Connection, rows: list[Row]) -> None:
    if not rows:
        return
    values = [name for name in _COLUMNS if name not in ("convenio", "contrato")]
    statement = (
        _PORTFOLIO.update()
        .where(_BY_KEY)
        .values({name: sa.bindparam(f"b_{name}") for name in values})
    )
    connection.execute(statement, [{f"b_{k}": v for k, v in row.items()} for row in rows])


def _mark(connection: sa.Connection, delivery_id: int) -> Loaded | None:
    query = sa.select(_DELIVERY.c.rows, _DELIVERY.c.changed).where(
        _DELIVERY.c.delivery_id == delivery_id
    )
    row = connection.execute(query).one_or_none()
    return Loaded(rows=row[0], changed=row[1]) if row else None


def _incoming(portfolio: Portfolio) -> dict[str, Row]:
    return {
        row["contract"]: {
            "convenio": portfolio.convenio,
            "contrato": row["contract"],
            "cpf": row["cpf"],
            "nome": row["name"],
            "produto": row["product"],
            "valor_centavos": int(row["amount"] * 100),
            "vencimento": row["due_date"],
            "nascimento": row["birth_date"],
            "email": row["email"],
            "cidade": row["city"],
            "uf": row["state"],
            "fone1": row["phone_1"],
            "fone2": row["phone_2"],
            "fone3": row["phone_3"],
            "falecido": row["deceased"],
            "situacao": _OPEN,
        }
        for row in portfolio.table.to_pylist()
    }


def _outcome_row(outcome: CallOutcome) -> Row:
    amount = outcome.promise_amount
    return {
        "call_id": outcome.call_id,
        "convenio": outcome.convenio,
        "contract": outcome.contract,
        "cpf": outcome.cpf,
        "phone": outcome.phone,
        "started_at": outcome.started_at,
        "outcome": outcome.outcome,
        "tabulation": outcome.tabulation,
        "promise_date": outcome.promise_date,
        "promise_centavos": None if amount is None else int(amount * 100),
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
