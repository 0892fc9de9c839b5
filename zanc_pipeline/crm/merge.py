"""Merges staged rows into PostgreSQL tables, touching only rows that changed, and undoes it.

Every row that a merge overwrites or inserts is first written to a journal table, in the same
transaction, under the delivery that caused it. Undoing a delivery restores those rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

JOURNAL_COLUMNS = sql.SQL("(delivery_id, table_name, row_key, before)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A table that deliveries are merged into.

    ``columns`` are compared and written; ``stamps`` (column → SQL expression with the named
    parameter ``delivery_id``) are written with a changed row and not compared. Rows of a
    ``shared`` table are written by several convênios: undoing one of them spares what a later
    one wrote, and a row it inserted stays while ``used_by`` finds it (a SQL condition on ``t``).
    """

    table: sql.Composable
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    stamps: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    used_by: str | None = None


def merge(
    cursor: Any, target: Target, stage: sql.Composable, journal: sql.Composable, delivery_id: int
) -> int:
    """Merge the rows of ``stage`` (unique by key) into ``target``; how many rows were written."""
    stamp_names = [name for name, _ in target.stamps]
    stamp_values = [sql.SQL(expression) for _, expression in target.stamps]
    written = [*target.columns, *stamp_names]
    updated = [name for name in written if name not in target.key]
    statement = sql.SQL(
        """
        WITH changed AS MATERIALIZED (
            SELECT {stage_columns}, CASE WHEN t.{first_key} IS NULL THEN NULL
                                         ELSE to_jsonb(t.*) END AS journal_before
            FROM {stage} s LEFT JOIN {table} t USING ({key})
            WHERE t.{first_key} IS NULL OR ROW({stage_columns}) IS DISTINCT FROM ROW({columns_t})
        ), journalled AS (
            INSERT INTO {journal} {journal_columns}
            SELECT %(delivery_id)s, %(table)s, ARRAY[{key_text}], journal_before FROM changed
        ), written AS (
            INSERT INTO {table} ({written})
            SELECT {values} FROM changed ORDER BY {key}
            ON CONFLICT ({key}) DO UPDATE SET {updates}
            RETURNING 1
        )
        SELECT count(*) AS rows FROM written
        """
    ).format(
        stage_columns=_names(target.columns, "s"),
        columns_t=_names(target.columns, "t"),
        first_key=sql.Identifier(target.key[0]),
        stage=stage,
        table=target.table,
        key=_names(target.key),
        journal=journal,
        journal_columns=JOURNAL_COLUMNS,
        key_text=sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(name)) for name in target.key
        ),
        written=_names(written),
        values=sql.SQL(", ").join([*map(sql.Identifier, target.columns), *stamp_values]),
        updates=_from_excluded(updated),
    )
    cursor.execute(statement, {"delivery_id": delivery_id, "table": target.name})
    return int(cursor.fetchone()["rows"])


def undo(cursor: Any, target: Target, journal: sql.Composable, delivery_id: int) -> int:
    """Take the rows of a delivery out of ``target`` again; how many rows were restored or deleted.

    The journal's rows of that delivery and table are consumed. Call it for the tables in the
    reverse order of their merges, because of foreign keys.
    """
    parameters = {"delivery_id": delivery_id, "table": target.name}
    if target.shared:
        cursor.execute(_PASS_ON.format(journal=journal), parameters)
    cursor.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE (table_schema || '.' || table_name)::regclass = %s::regclass "
        "AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (target.table.as_string(cursor),),
    )
    columns = [row["column_name"] for row in cursor.fetchall()]
    names = {
        "journal": journal,
        "table": target.table,
        "columns": _names(columns),
        "key": _names(target.key),
        "updates": _from_excluded([name for name in columns if name not in target.key]),
        "key_text": sql.SQL(", ").join(
            sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in target.key
        ),
        "unused": sql.SQL(f"AND NOT ({target.used_by})" if target.used_by else ""),
    }
    cursor.execute(_RESTORE.format(**names), parameters)
    restored = int(cursor.rowcount)
    cursor.execute(_DELETE_INSERTED.format(**names), parameters)
    deleted = int(cursor.rowcount)
    cursor.execute(
        sql.SQL(
            "DELETE FROM {journal} WHERE delivery_id = %(delivery_id)s AND table_name = %(table)s"
        ).format(journal=journal),
        parameters,
    )
    return restored + deleted


# A later delivery of another convênio overwrote the row: its journal row then inherits what was
# there before both, and the row itself stays as the later one left it.
_PASS_ON = sql.SQL(
    """
    WITH mine AS (
        SELECT m.seq, m.before, (
            SELECT min(n.seq) FROM {journal} n
            WHERE n.table_name = m.table_name AND n.row_key = m.row_key AND n.seq > m.seq
        ) AS next_seq
        FROM {journal} m
        WHERE m.delivery_id = %(delivery_id)s AND m.table_name = %(table)s
    ), passed_on AS (
        UPDATE {journal} later SET before = mine.before FROM mine WHERE later.seq = mine.next_seq
    )
    DELETE FROM {journal} j USING mine WHERE j.seq = mine.seq AND mine.next_seq IS NOT NULL
    """
)

_RESTORE = sql.SQL(
    """
    INSERT INTO {table} ({columns})
    SELECT (jsonb_populate_record(NULL::{table}, before)).*
    FROM {journal}
    WHERE delivery_id = %(delivery_id)s AND table_name = %(table)s AND before IS NOT NULL
    ON CONFLICT ({key}) DO UPDATE SET {updates}
    """
)

_DELETE_INSERTED = sql.SQL(
    """
    DELETE FROM {table} t USING {journal} j
    WHERE j.delivery_id = %(delivery_id)s AND j.table_name = %(table)s AND j.before IS NULL
      AND j.row_key = ARRAY[{key_text}] {unused}
    """
)


def _names(names: Sequence[str], alias: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names
    )


def _from_excluded(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names
    )
