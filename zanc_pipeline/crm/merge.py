"""Merges staged rows into PostgreSQL tables, touching only rows that changed, and undoes it.

Every row that a merge overwrites or inserts is first written to a journal table, in the same
transaction, under the delivery that caused it. Undoing a delivery restores those rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

_JOURNAL_COLUMNS = sql.SQL("(delivery_id, table_name, row_key, before)")


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
    used_by: sql.Composable | None = None


def merge(
    cursor: Any, target: Target, stage: sql.Composable, journal: sql.Composable, delivery_id: int
) -> int:
    """Merge the rows of ``stage`` (unique by key) into ``target``; how many rows were written."""
    values = [name for name in target.columns if name not in target.key]
    stamps = [(name, sql.SQL(expression)) for name, expression in target.stamps]
    updated = 0
    if values:
        changed = sql.SQL(
            "SELECT s.*, to_jsonb(t.*) AS journal_before FROM {stage} s JOIN {table} t "
            "ON {same} WHERE ({staged}) IS DISTINCT FROM ({stored})"
        ).format(
            stage=stage,
            table=target.table,
            same=_same(target.key, "s", "t"),
            staged=_names(values, "s"),
            stored=_names(values, "t"),
        )
        new_values = [(name, sql.Identifier("c", name)) for name in values]
        updated = _overwrite(cursor, target, changed, [*new_values, *stamps], journal, delivery_id)
    insert = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values} FROM {stage} s WHERE NOT EXISTS "
        "(SELECT FROM {table} t WHERE {same}) RETURNING ARRAY[{key_text}] AS row_key"
    ).format(
        table=target.table,
        columns=_names([*target.columns, *(name for name, _ in stamps)]),
        values=sql.SQL(", ").join([_names(target.columns, "s"), *(value for _, value in stamps)]),
        stage=stage,
        same=_same(target.key, "s", "t"),
        key_text=_key_text(target.key),
    )
    statement = (_JOURNAL_EACH if target.shared else _JOURNAL_TOGETHER).format(
        insert=insert, journal=journal, journal_columns=_JOURNAL_COLUMNS
    )
    cursor.execute(statement, {"delivery_id": delivery_id, "table": target.name})
    return updated + int(cursor.fetchone()["rows"])


def retire(
    cursor: Any,
    target: Target,
    stage: sql.Composable,
    condition: sql.Composable,
    state: tuple[str, sql.Composable],
    journal: sql.Composable,
    delivery_id: int,
    *,
    among: sql.Composable | None = None,
) -> int:
    """Give the rows that meet ``condition`` (on ``t``) and are not in ``stage`` another state.

    ``state`` is (column, value); ``among`` is where to look for the rows ``t``, when that is not
    the whole table. How many rows were written.
    """
    changed = sql.SQL(
        "SELECT {key}, to_jsonb(t.*) AS journal_before FROM {rows} "
        "WHERE {condition} AND NOT EXISTS (SELECT FROM {stage} s WHERE {same})"
    ).format(
        key=_names(target.key, "t"),
        rows=sql.SQL("{} t").format(target.table) if among is None else among,
        condition=condition,
        stage=stage,
        same=_same(target.key, "s", "t"),
    )
    return _overwrite(cursor, target, changed, [state], journal, delivery_id)


def _overwrite(
    cursor: Any,
    target: Target,
    changed: sql.Composable,
    values: Sequence[tuple[str, sql.Composable]],
    journal: sql.Composable,
    delivery_id: int,
) -> int:
    """Set ``values`` in the rows of ``changed`` (keys and ``journal_before``), journalled first."""
    statement = sql.SQL(
        """
        WITH changed AS MATERIALIZED ({changed}), journalled AS (
            INSERT INTO {journal} {journal_columns}
            SELECT %(delivery_id)s, %(table)s, ARRAY[{key_text}], journal_before FROM changed c
        )
        UPDATE {table} t SET {updates} FROM changed c WHERE {same}
        """
    ).format(
        changed=changed,
        journal=journal,
        journal_columns=_JOURNAL_COLUMNS,
        key_text=_key_text(target.key, "c"),
        table=target.table,
        updates=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in values
        ),
        same=_same(target.key, "c", "t"),
    )
    cursor.execute(statement, {"delivery_id": delivery_id, "table": target.name})
    return int(cursor.rowcount)


# What was inserted is journalled by its keys alone: many in one array of keys, which is far cheaper
# than a row each; of a shared table one each, because each may be passed on to a later delivery.
_JOURNAL_TOGETHER = sql.SQL(
    """
    WITH inserted AS ({insert}), grouped AS (
        SELECT array_agg(row_key) AS row_keys, count(*) AS rows
        FROM (SELECT row_key, row_number() OVER () / 200 AS place FROM inserted) i
        GROUP BY place
    ), journalled AS (
        INSERT INTO {journal} {journal_columns}
        SELECT %(delivery_id)s, %(table)s, row_keys, NULL FROM grouped
    )
    SELECT coalesce(sum(rows), 0) AS rows FROM grouped
    """
)
_JOURNAL_EACH = sql.SQL(
    """
    WITH inserted AS ({insert}), journalled AS (
        INSERT INTO {journal} {journal_columns}
        SELECT %(delivery_id)s, %(table)s, row_key, NULL FROM inserted
    )
    SELECT count(*) AS rows FROM inserted
    """
)


def _same(key: Sequence[str], left: str, right: str) -> sql.Composable:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name))
        for name in key
    )


def _key_text(key: Sequence[str], alias: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(alias, name) if alias else sql.Identifier(name))
        for name in key
    )


def undo(cursor: Any, target: Target, journal: sql.Composable, delivery_id: int) -> int:
    """Take the rows of a delivery out of ``target`` again; how many rows were restored or deleted.

    The journal's rows of that delivery and table are consumed. Call it for the tables in the
    reverse order of their merges, because of foreign keys.
    """
    parameters = {"delivery_id": delivery_id, "table": target.name}
    if target.shared:
        cursor.execute(_PASS_ON.format(journal=journal), parameters)
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a' ORDER BY attnum",
        (target.table.as_string(cursor),),
    )
    columns = [row["attname"] for row in cursor.fetchall()]
    updates = [name for name in columns if name not in target.key]
    names = {
        "journal": journal,
        "table": target.table,
        "columns": _names(columns),
        "key": _names(target.key),
        "action": sql.SQL("UPDATE SET {}").format(_from_excluded(updates))
        if updates
        else sql.SQL("NOTHING"),
        "matches": sql.SQL(" AND ").join(
            sql.SQL("t.{}::text = keys.part[{}]").format(sql.Identifier(name), sql.Literal(place))
            for place, name in enumerate(target.key, 1)
        ),
        "parts": sql.SQL(", ").join(
            sql.SQL("j.row_key[i][{}]").format(sql.Literal(place))
            for place in range(1, len(target.key) + 1)
        ),
        "unused": sql.SQL("AND NOT ({})").format(target.used_by) if target.used_by else sql.SQL(""),
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
    ON CONFLICT ({key}) DO {action}
    """
)

_DELETE_INSERTED = sql.SQL(
    """
    WITH keys AS MATERIALIZED (
        SELECT j.row_key AS part FROM {journal} j
        WHERE j.delivery_id = %(delivery_id)s AND j.table_name = %(table)s AND j.before IS NULL
          AND array_ndims(j.row_key) = 1
        UNION ALL
        SELECT ARRAY[{parts}] FROM {journal} j, generate_subscripts(j.row_key, 1) AS i
        WHERE j.delivery_id = %(delivery_id)s AND j.table_name = %(table)s AND j.before IS NULL
          AND array_ndims(j.row_key) = 2
    )
    DELETE FROM {table} t USING keys WHERE {matches} {unused}
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
