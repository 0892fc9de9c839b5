"""What the two PostgreSQL CRMs share: the mark, the journal, the merge and the outcomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, ClassVar, Literal

from psycopg2 import sql

from zanc_pipeline.common.database import copy_rows, copy_table, transaction
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.entities import OUTCOME_COLUMNS, CallOutcome, Loaded, Portfolio
from zanc_pipeline.crm.merge import Target, merge, undo

JOURNAL = sql.Identifier("zanc_journal")

STAGED_DELIVERY = """
CREATE TEMP TABLE delivery_row (
    line bigint, cpf text, name text, contract text, product text, amount numeric(14, 2),
    due_date date, birth_date date, email text, city text, state text,
    phone_1 text, phone_2 text, phone_3 text, deceased boolean
) ON COMMIT DROP
"""

_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS zanc_delivery (
    delivery_id bigint PRIMARY KEY, convenio text NOT NULL, reference_date date NOT NULL,
    rows integer NOT NULL, changed integer NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now()
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


class PostgresCrm(ABC):
    """A CRM on PostgreSQL; a subclass says its tables and how a delivery is staged for each."""

    unit: ClassVar[Literal["contracts", "clients"]] = "contracts"

    def __init__(self, settings: Settings, *, database: str) -> None:
        self._settings = settings
        self._database = database

    @property
    @abstractmethod
    def targets(self) -> tuple[Target, ...]:
        """The tables, parents before children."""

    @property
    @abstractmethod
    def tables(self) -> sql.Composable:
        """The statements that create the tables when they are absent."""

    @abstractmethod
    def stage(self, target: Target) -> sql.Composable:
        """The query that makes the rows of ``target`` of ``delivery_row``.

        Its named parameter is ``convenio``. It includes the rows of contracts that the delivery
        no longer brings, marked as removed.
        """

    @property
    @abstractmethod
    def count_query(self) -> sql.Composable:
        """The query of (convenio, rows) that are open."""

    def ensure(self) -> None:
        with transaction(self._settings, self._database, application="zanc crm") as cursor:
            self._lock(cursor)
            cursor.execute(_OWN_TABLES)
            cursor.execute(self.tables)
            for target in self.targets:
                self._check_columns(cursor, target)

    def load(self, portfolio: Portfolio) -> Loaded:
        with transaction(self._settings, self._database, application="zanc crm load") as cursor:
            self._lock(cursor)
            mark = self._mark(cursor, portfolio.delivery_id)
            if mark is not None:
                return mark
            cursor.execute(STAGED_DELIVERY)
            copy_table(cursor, "delivery_row", portfolio.table)
            cursor.execute("ANALYZE delivery_row")
            changed = sum(self._merge(cursor, target, portfolio) for target in self.targets)
            cursor.execute(
                "INSERT INTO zanc_delivery (delivery_id, convenio, reference_date, rows, changed) "
                "VALUES (%s, %s, %s, %s, %s)",
                (
                    portfolio.delivery_id,
                    portfolio.convenio,
                    portfolio.reference_date,
                    portfolio.rows,
                    changed,
                ),
            )
        return Loaded(rows=portfolio.rows, changed=changed)

    def loaded(self, delivery_id: int) -> Loaded | None:
        with transaction(self._settings, self._database) as cursor:
            return self._mark(cursor, delivery_id)

    def rollback(self, delivery_id: int) -> bool:
        with transaction(self._settings, self._database, application="zanc crm rollback") as cursor:
            self._lock(cursor)
            if self._mark(cursor, delivery_id) is None:
                return False
            for target in reversed(self.targets):
                undo(cursor, target, JOURNAL, delivery_id)
            cursor.execute("DELETE FROM zanc_delivery WHERE delivery_id = %s", (delivery_id,))
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        columns = ", ".join(OUTCOME_COLUMNS)
        with transaction(self._settings, self._database, application="zanc crm") as cursor:
            cursor.execute(
                "CREATE TEMP TABLE outcome_row (LIKE zanc_outcome INCLUDING DEFAULTS) "
                "ON COMMIT DROP"
            )
            copy_rows(cursor, "outcome_row", OUTCOME_COLUMNS, map(astuple, outcomes))
            cursor.execute(
                f"INSERT INTO zanc_outcome ({columns}) SELECT {columns} FROM outcome_row "  # noqa: S608 (constants)
                "ORDER BY call_id ON CONFLICT (call_id) DO NOTHING"
            )

    def count(self) -> dict[str, int]:
        with transaction(self._settings, self._database) as cursor:
            cursor.execute(self.count_query)
            return {row["convenio"]: int(row["rows"]) for row in cursor.fetchall()}

    def _lock(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('zanc crm'))")

    def _mark(self, cursor: Any, delivery_id: int) -> Loaded | None:
        cursor.execute(
            "SELECT rows, changed FROM zanc_delivery WHERE delivery_id = %s", (delivery_id,)
        )
        row = cursor.fetchone()
        return Loaded(rows=row["rows"], changed=row["changed"]) if row else None

    def _merge(self, cursor: Any, target: Target, portfolio: Portfolio) -> int:
        stage = sql.Identifier(f"stage_{target.name}")
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(stage, self.stage(target)),
            {"convenio": portfolio.convenio},
        )
        cursor.execute(sql.SQL("ANALYZE {}").format(stage))
        return merge(cursor, target, stage, JOURNAL, portfolio.delivery_id)

    def _check_columns(self, cursor: Any, target: Target) -> None:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = %s",
            (target.name,),
        )
        present = {row["column_name"] for row in cursor.fetchall()}
        missing = [name for name in target.columns if name not in present]
        if missing:
            raise ConfigError(
                f"CRM database {self._database}, table {target.name}: lacks the columns "
                f"{', '.join(missing)}; nothing was loaded"
            )
