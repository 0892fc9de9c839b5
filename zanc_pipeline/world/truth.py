"""``var/world/truth.sqlite3``: what is so in the simulated world, and no other room may read.

The dates are ISO text, the amounts cents. ``day`` holds one row: the world's present day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world.law import Ints
from zanc_pipeline.world.people import CONVENIOS, Contracts, People, Phones, product_of

BUSY_SECONDS = 10.0

SCHEMA = """
CREATE TABLE day (
    number         INTEGER NOT NULL,      -- 1 for the day of generation
    reference_date TEXT NOT NULL
);
CREATE TABLE person (
    cpf            TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    birth_date     TEXT NOT NULL,
    email          TEXT,
    city           INTEGER NOT NULL,      -- place in people.CITIES
    deceased       INTEGER NOT NULL,
    deceased_known INTEGER NOT NULL       -- the creditors know it
) WITHOUT ROWID;
CREATE TABLE phone (
    number     TEXT PRIMARY KEY,
    cpf        TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    mobile     INTEGER NOT NULL,
    dead       INTEGER NOT NULL,          -- never allocated: every call fails
    owner      INTEGER NOT NULL,          -- 0: the creditor has it, but it is somebody else's
    quality    REAL NOT NULL,
    first_seen TEXT NOT NULL,
    misses     INTEGER NOT NULL,          -- as the past left it
    last       INTEGER NOT NULL           -- code in law.RESULTS, as the past left it
) WITHOUT ROWID;
CREATE INDEX phone_cpf ON phone (cpf);
CREATE TABLE contract (
    convenio TEXT NOT NULL,
    contract TEXT NOT NULL,
    cpf      TEXT NOT NULL,
    product  TEXT NOT NULL,
    cents    INTEGER NOT NULL,
    due_date TEXT NOT NULL,
    phones   INTEGER NOT NULL,            -- bits of the slots that this creditor knows
    paid_on  TEXT,
    PRIMARY KEY (convenio, contract)
) WITHOUT ROWID;
CREATE INDEX contract_cpf ON contract (cpf);
CREATE TABLE file (
    convenio       TEXT NOT NULL,
    name           TEXT NOT NULL,
    day            INTEGER NOT NULL,
    reference_date TEXT NOT NULL,
    fault          TEXT,                  -- NULL for a file of the day, else what is wrong with it
    rows_good      INTEGER NOT NULL,
    rows_bad       INTEGER NOT NULL,
    cents          INTEGER NOT NULL,      -- of the good rows
    sha256         TEXT NOT NULL,
    PRIMARY KEY (convenio, name, sha256)
) WITHOUT ROWID;
CREATE TABLE bad_row (
    convenio TEXT NOT NULL,
    name     TEXT NOT NULL,
    line     INTEGER NOT NULL,
    field    TEXT NOT NULL,
    PRIMARY KEY (convenio, name, line)
) WITHOUT ROWID;
"""


def world_folder(settings: Settings) -> Path:
    """The folder of the simulated world."""
    return settings.var / "world"


def truth_path(settings: Settings) -> Path:
    """The truth of the generated world; ConfigError when there is none."""
    path = world_folder(settings) / "truth.sqlite3"
    if not path.is_file():
        raise ConfigError(f"{path}: no world was generated; run 'zanc world generate'")
    return path


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write; rows are read by name."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end, rolled back on error."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()  # without a COMMIT this rolls back


def present(path: Path) -> tuple[int, date]:
    """The number and the reference date of the world's present day."""
    with reading(path) as connection:
        row = connection.execute("SELECT number, reference_date FROM day").fetchone()
    return row["number"], date.fromisoformat(row["reference_date"])


def insert(
    connection: sqlite3.Connection,
    today: date,
    people: People,
    phones: Phones,
    contracts: Contracts,
    last: Ints,
    misses: Ints,
) -> None:
    """Add people, their phones (with the result and misses of the last call) and contracts."""
    connection.executemany(
        "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)",
        zip(
            people.cpf,
            people.name,
            (birth.isoformat() for birth in people.birth),
            people.email,
            people.city.tolist(),
            people.deceased.astype(int).tolist(),
            people.deceased_known.astype(int).tolist(),
            strict=True,
        ),
    )
    connection.executemany(
        "INSERT INTO phone VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        zip(
            phones.number,
            (people.cpf[person] for person in phones.person.tolist()),
            phones.slot.tolist(),
            phones.mobile.astype(int).tolist(),
            phones.dead.astype(int).tolist(),
            phones.owner.astype(int).tolist(),
            phones.quality.tolist(),
            (_day_of(today, offset).isoformat() for offset in phones.first_seen.tolist()),
            misses.tolist(),
            last.tolist(),
            strict=True,
        ),
    )
    _insert_contracts(connection, today, contracts, people.cpf)


def _insert_contracts(
    connection: sqlite3.Connection, today: date, contracts: Contracts, cpf: list[str]
) -> None:
    connection.executemany(
        "INSERT INTO contract VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            (
                CONVENIOS[convenio].name,
                number,
                cpf[person],
                product_of(convenio, product),
                cents,
                _day_of(today, due).isoformat(),
                bits,
            )
            for number, person, convenio, product, cents, due, bits in zip(
                contracts.number,
                contracts.person.tolist(),
                contracts.convenio.tolist(),
                contracts.product.tolist(),
                contracts.cents.tolist(),
                contracts.due.tolist(),
                contracts.phones.tolist(),
                strict=True,
            )
        ),
    )


def _day_of(today: date, offset: int) -> date:
    return today + timedelta(days=offset)
