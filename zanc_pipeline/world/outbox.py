"""The outbox: the files that the creditors send on the world's present day."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import law, truth
from zanc_pipeline.world.files import DayFile, FaultyFile, Row, make_file
from zanc_pipeline.world.people import CITIES, CONVENIOS


def paths(settings: Settings) -> list[Path]:
    """The files of the present day, as ``outbox/<convenio>/<name>``."""
    return sorted((truth.world_folder(settings) / "outbox").glob("*/[!.]*"))


def fill(settings: Settings, seed: int) -> None:
    """Write the files of the present day; those of the days before go to ``sent/``."""
    path = truth.truth_path(settings)
    number, today = truth.present(path)
    _retire(settings, path, today)
    for known in CONVENIOS:
        made = day_file(path, seed, known.name)
        write_aside(path.parent / "outbox" / made.convenio / made.name, made.content)
        _record(path, made, number, today)


def write_aside(target: Path, content: bytes) -> None:
    """Write ``target`` so that it is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.partial")
    aside.write_bytes(content)
    aside.replace(target)


def day_file(path: Path, seed: int, convenio: str) -> DayFile:
    """The file that ``convenio`` sends on the present day of the truth at ``path``."""
    number, today = truth.present(path)
    with truth.reading(path) as connection:
        rows = list(_rows(connection, convenio))
    random = law.random_stream(seed, "file", convenio, number)
    return make_file(convenio, rows, today, number, random)


def _record(path: Path, made: DayFile, number: int, today: date) -> None:
    """Note in the truth what is good and bad in a file; noting it again changes nothing."""
    with truth.writing(path) as connection:
        connection.execute(
            _NOTE_FILE,
            (
                made.convenio,
                made.name,
                number,
                today.isoformat(),
                None,
                made.rows_good,
                len(made.bad),
                made.cents,
                made.sha256,
            ),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO bad_row VALUES (?, ?, ?, ?)",
            ((made.convenio, made.name, line, field) for line, field in made.bad.items()),
        )


def record_fault(path: Path, made: FaultyFile, number: int, today: date) -> None:
    """Note in the truth a file of which no row may be loaded."""
    sha256 = hashlib.sha256(made.content).hexdigest()
    values = (made.folder, made.name, number, today.isoformat(), made.fault, 0, 0, 0, sha256)
    with truth.writing(path) as connection:
        connection.execute(_NOTE_FILE, values)


_NOTE_FILE = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def files_of(settings: Settings) -> list[dict[str, Any]]:
    """Every file ever made, with its good and bad rows: what a report reconciles with."""
    with truth.reading(truth.truth_path(settings)) as connection:
        return [
            dict(row)
            for row in connection.execute("SELECT * FROM file ORDER BY day, convenio, name")
        ]


def _rows(connection: sqlite3.Connection, convenio: str) -> Iterator[Row]:
    phones: dict[str, dict[int, str]] = {}
    for row in connection.execute("SELECT cpf, slot, number FROM phone"):
        phones.setdefault(row["cpf"], {})[row["slot"]] = row["number"]
    for row in connection.execute(
        "SELECT * FROM contract JOIN person USING (cpf)"
        " WHERE convenio = ? AND paid_on IS NULL ORDER BY contract",
        (convenio,),
    ):
        _, city, state, _ = CITIES[row["city"]]
        known = phones.get(row["cpf"], {})
        yield Row(
            cpf=row["cpf"],
            name=row["name"],
            contract=row["contract"],
            product=row["product"],
            cents=row["cents"],
            due=date.fromisoformat(row["due_date"]),
            birth=date.fromisoformat(row["birth_date"]),
            email=row["email"] or "",
            city=city,
            state=state,
            phones=tuple(known[slot] for slot in sorted(known) if row["phones"] >> slot & 1),
            deceased=bool(row["deceased_known"]),
        )


def _retire(settings: Settings, path: Path, today: date) -> None:
    with truth.reading(path) as connection:
        earlier = {
            (row["convenio"], row["name"])
            for row in connection.execute(
                "SELECT convenio, name FROM file WHERE reference_date < ?", (today.isoformat(),)
            )
        }
    for old in paths(settings):
        if (old.parent.name, old.name) in earlier:
            kept = path.parent / "sent" / old.parent.name / old.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            old.replace(kept)
