"""Our schemas on a real PostgreSQL: made once, brought on with what is in them, never guessed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from zanc_pipeline.common import migrations
from zanc_pipeline.common.database import connect, transaction
from zanc_pipeline.common.errors import ConfigError, ConflictError
from zanc_pipeline.common.migrations import migrate, require, rooms, script
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import postgres

pytestmark = pytest.mark.integration

_SECOND = '''"""A column more."""
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE crm.person ADD COLUMN nickname text NOT NULL DEFAULT 'ninguém: 50%'")
'''

_CATALOGUE = """
    SELECT n.nspname || '.' || c.relname || '.' || a.attname || ' '
           || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE n.nspname = %(schema)s AND c.relname <> 'zanc_alembic'
      AND c.relkind IN ('r', 'p', 'S', 'v')
    UNION ALL
    SELECT conrelid::regclass || ' ' || pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
    WHERE n.nspname = %(schema)s AND conrelid <> coalesce(to_regclass(%(own)s), 0)
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE schemaname = %(schema)s AND tablename <> 'zanc_alembic'
    ORDER BY 1
"""


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the program whose crm room has one revision more."""
    shutil.copytree(rooms()["crm"].folder / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "r0002_nickname.py").write_text(_SECOND, encoding="utf-8")
    newer = {**rooms(), "crm": replace(rooms()["crm"], folder=tmp_path)}
    monkeypatch.setattr(migrations, "rooms", lambda: newer)


@pytest.fixture
def filled(settings: Settings) -> Iterator[None]:
    """A person is in the tables; afterwards they are as the first revision made them."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute("INSERT INTO crm.person (cpf, name) VALUES ('52998224725', 'Ana')")
    yield
    with transaction(settings, "zanc") as cursor:
        cursor.execute("DELETE FROM crm.person")
        cursor.execute("ALTER TABLE crm.person DROP COLUMN IF EXISTS nickname")
        cursor.execute("UPDATE crm.zanc_alembic SET version_num = '0001'")


def people(settings: Settings) -> list[dict[str, Any]]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM crm.person")
        return [dict(row) for row in cursor.fetchall()]


def catalogue(settings: Settings, database: str, schema: str) -> list[str]:
    with transaction(settings, database) as cursor:
        cursor.execute(_CATALOGUE, {"schema": schema, "own": f"{schema}.zanc_alembic"})
        return [row["line"] for row in cursor.fetchall()]


def test_the_revisions_lead_to_the_schema_that_the_code_expects(settings: Settings) -> None:
    databases = {room.database for room in rooms().values()}
    postgres.create_databases(settings, [f"{name}_expected" for name in databases])
    for room in rooms().values():
        with transaction(settings, f"{room.database}_expected") as cursor:
            cursor.execute((room.folder / "schema.sql").read_text(encoding="utf-8"))
    for room in rooms().values():
        expected = catalogue(settings, f"{room.database}_expected", room.schema)
        assert len(expected) > 5
        assert catalogue(settings, room.database, room.schema) == expected, room.name


def test_at_the_newest_revision_nothing_is_locked_or_executed(settings: Settings) -> None:
    connection = connect(settings, "zanc")
    try:
        with connection.cursor() as cursor:
            # A load at work holds what a schema statement would wait for.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('zanc migrate'))")
            cursor.execute("LOCK crm.person, crm.contract, crm.load IN ROW EXCLUSIVE MODE")
        assert migrate(settings) == []
        require(settings, *rooms())
    finally:
        connection.close()
    assert script(settings) == ""


@pytest.mark.usefixtures("grown", "filled")
def test_a_new_revision_keeps_what_is_in_the_tables(settings: Settings) -> None:
    with pytest.raises(ConflictError, match=r"crm is at revision 0001 .* needs 0002.*zanc migrate"):
        require(settings, "crm")
    assert script(settings).startswith("\\connect zanc\n")
    assert "ALTER TABLE crm.person ADD COLUMN" in script(settings)
    assert migrate(settings) == ["the schema of the crm is at revision 0002"]
    [person] = people(settings)
    assert (person["name"], person["nickname"]) == ("Ana", "ninguém: 50%")
    assert migrate(settings) == []


@pytest.mark.usefixtures("filled")
def test_the_printed_sql_does_the_same_as_migrate(
    settings: Settings, grown: None, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = script(settings).split("\n", 1)[1]
    assert capsys.readouterr().out == ""
    with psycopg2.connect(**settings.postgres.target("zanc")) as connection:
        connection.autocommit = True
        connection.cursor().execute(statements)
    connection.close()
    assert people(settings)[0]["nickname"] == "ninguém: 50%"
    require(settings, "crm")


@pytest.mark.usefixtures("grown", "filled")
def test_many_processes_at_once_apply_a_revision_once(settings: Settings) -> None:
    failures: list[Exception] = []

    def run() -> None:
        try:
            migrate(settings, ["crm"])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    require(settings, "crm")


def test_a_schema_of_a_newer_program_is_refused(settings: Settings, filled: None) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("UPDATE crm.zanc_alembic SET version_num = '0907'")
    for refused in (lambda: require(settings, "crm"), lambda: migrate(settings)):
        with pytest.raises(ConflictError, match="revision 0907 and this program knows only 0001"):
            refused()


def test_tables_without_revisions_and_no_tables_are_told_apart(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("ALTER TABLE scoring.zanc_alembic RENAME TO mislaid")
    try:
        with pytest.raises(ConfigError, match="scoring does not exist: run 'zanc up'"):
            require(settings, "scoring")
        with pytest.raises(ConflictError, match="tables of the scoring were made by a version"):
            migrate(settings)
    finally:
        with transaction(settings, "zanc") as cursor:
            cursor.execute("ALTER TABLE scoring.mislaid RENAME TO zanc_alembic")
