"""The schemas of our databases: one history of Alembic revisions for each room that has tables.

``schema.sql`` of a room is what its code expects. ``migrations/rNNNN_<what>.py`` beside it are the
revisions that lead there; their numbers follow each other. ``zanc up`` and ``zanc migrate`` apply
what is missing; every other process only looks whether the schema is the one that it was made for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, ConflictError
from zanc_pipeline.common.settings import Settings

VERSION_TABLE = "zanc_alembic"
"""In the room's own schema: Airflow and MLflow keep theirs in other databases."""

_REVISION_FILE = re.compile(r"r(\d{4})_\w+\.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Where the tables of a room are; ``folder`` holds its ``schema.sql`` and ``migrations``."""

    name: str
    database: str
    schema: str
    folder: Path

    @property
    def revisions(self) -> Path:
        """The folder of its revisions."""
        return self.folder / "migrations"

    @property
    def head(self) -> str:
        """The newest revision: the schema that this version of the program works with."""
        names = (_REVISION_FILE.fullmatch(path.name) for path in self.revisions.iterdir())
        return max(name[1] for name in names if name)


@cache
def rooms() -> dict[str, Room]:
    """All rooms with tables, by name, in the order of their creation."""
    found = {}
    for name, database, schema, package in (
        ("reception", "zanc", "reception", "zanc_pipeline.reception"),
        ("crm", "zanc", "crm", "zanc_pipeline.crm"),
        ("localization", "zanc", "localization", "zanc_pipeline.localization"),
        ("scoring", "zanc", "scoring", "zanc_pipeline.scoring"),
        ("mailing", "zanc", "mailing", "zanc_pipeline.mailing"),
        ("dialer", "dialer", "public", "dialer"),
    ):
        folder = Path(str(resources.files(package)))
        found[name] = Room(name=name, database=database, schema=schema, folder=folder)
    return found


def migrate(settings: Settings, names: Iterable[str] | None = None) -> list[str]:
    """Bring the schemas of the named rooms (all of them by default) to this program's revisions.

    What it did, one line a room; nothing, and no lock, where all is in place. A revision is
    applied wholly or not at all, by one process at a time. Raises ConflictError for a schema
    newer than this program or made without revisions, ConfigError when the server refuses a
    statement, UnavailableError when it is away.
    """
    done = []
    for room in _chosen(names):
        found = _revision(settings, room)
        _refuse_newer(settings, room, found)
        if found != room.head:
            from zanc_pipeline.common.migrations.alembic_runner import upgrade

            done.append(upgrade(settings, room))
    return done


def script(settings: Settings) -> str:
    """The SQL that ``migrate`` would execute now, for psql: for servers where a person does it."""
    output = io.StringIO()
    for room in _chosen(None):
        found = _revision(settings, room)
        _refuse_newer(settings, room, found)
        if found != room.head:
            from zanc_pipeline.common.migrations.alembic_runner import write_script

            write_script(settings, room, found, output)
    return output.getvalue()


def require(settings: Settings, *names: str) -> None:
    """See that the schemas of the named rooms are those that this program works with.

    Raises ConflictError, with the remedy, when one is older or newer, ConfigError when one was
    never created, UnavailableError when the server is away.
    """
    for room in _chosen(names):
        found = _revision(settings, room)
        _refuse_newer(settings, room, found)
        where = _where(settings, room)
        if found is None:
            raise ConfigError(f"{where} does not exist: run 'zanc up' or 'zanc migrate' once")
        if found != room.head:
            raise ConflictError(
                f"{where} is at revision {found} and this program needs {room.head}: "
                "run 'zanc migrate'"
            )


def first_revision(file: str) -> Callable[[], None]:
    """The ``upgrade`` of the revision in ``file``: the SQL script of the same name beside it."""

    def upgrade() -> None:
        import sqlalchemy as sa
        from alembic import op

        statements = Path(file).with_suffix(".sql").read_text(encoding="utf-8")
        op.execute(sa.text(re.sub(r":(?=\w)", r"\:", statements)))  # none of them is a parameter

    return upgrade


def _chosen(names: Iterable[str] | None) -> list[Room]:
    known = rooms()
    return list(known.values()) if names is None else [known[name] for name in names]


def _revision(settings: Settings, room: Room) -> str | None:
    with transaction(settings, room.database, application="zanc schema") as cursor:
        table = f"{room.schema}.{VERSION_TABLE}"
        cursor.execute("SELECT to_regclass(%s) AS found", (table,))
        if cursor.fetchone()["found"] is None:
            return None
        cursor.execute(f"SELECT max(version_num) AS revision FROM {table}")  # noqa: S608 (constants)
        revision: str | None = cursor.fetchone()["revision"]
    return revision


def _refuse_newer(settings: Settings, room: Room, found: str | None) -> None:
    if found is not None and found > room.head:
        raise ConflictError(
            f"{_where(settings, room)} is at revision {found} and this program knows only "
            f"{room.head}: a newer version of it was here, use that one"
        )


def _where(settings: Settings, room: Room) -> str:
    server = settings.postgres
    return (
        f"PostgreSQL at {server.host}:{server.port}/{room.database}: the schema of the {room.name}"
    )
