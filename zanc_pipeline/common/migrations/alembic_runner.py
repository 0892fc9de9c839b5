"""Applies or prints revisions through Alembic; imported only when there is something to apply."""

from __future__ import annotations

from typing import TextIO

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from zanc_pipeline.common.errors import ConfigError, ConflictError, UnavailableError
from zanc_pipeline.common.migrations import VERSION_TABLE, Room
from zanc_pipeline.common.settings import Settings


def upgrade(settings: Settings, room: Room) -> str:
    """Apply what is missing in one transaction; a line that says what was done."""
    server = settings.postgres
    engine = sa.create_engine(server.sqlalchemy_url(room.database), poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            # Whoever waits here finds everything done and applies nothing.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('zanc migrate'))"))
            _refuse_unversioned(connection, room)
            connection.execute(sa.schema.CreateSchema(room.schema, if_not_exists=True))
            config = configuration(room)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.OperationalError as error:
        address = f"{server.host}:{server.port}/{room.database}"
        raise UnavailableError("PostgreSQL", address, _first_line(error)) from error
    except sa.exc.DBAPIError as error:
        raise ConfigError(
            f"PostgreSQL at {server.host}:{server.port}/{room.database}: the schema of the "
            f"{room.name} could not be migrated to revision {room.head}: {_first_line(error)}"
        ) from error
    finally:
        engine.dispose()
    return f"the schema of the {room.name} is at revision {room.head}"


def write_script(settings: Settings, room: Room, found: str | None, output: TextIO) -> None:
    """Write the statements from revision ``found`` to the newest, for psql."""
    output.write(f"\\connect {room.database}\nCREATE SCHEMA IF NOT EXISTS {room.schema};\n\n")
    config = configuration(room)
    config.output_buffer = output
    command.upgrade(config, f"{found or 'base'}:head", sql=True)


def configuration(room: Room) -> Config:
    """Alembic's configuration for the history of a room."""
    config = Config()
    config.set_main_option("script_location", "zanc_pipeline.common:migrations")
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(room.revisions).replace("%", "%%"))
    config.attributes["schema"] = room.schema
    config.attributes["version_table"] = VERSION_TABLE
    return config


def _refuse_unversioned(connection: sa.Connection, room: Room) -> None:
    tables = set(sa.inspect(connection).get_table_names(schema=room.schema)) - {"zanc_schema"}
    if tables and VERSION_TABLE not in tables:
        raise ConflictError(
            f"database {room.database}: the tables of the {room.name} were made by a version that "
            "kept no revisions, before the first release: start from an empty database (for the "
            "local stack, 'make clean')"
        )


def _first_line(error: sa.exc.DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [""])[0]
