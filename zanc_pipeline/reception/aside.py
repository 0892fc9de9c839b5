"""The rows of a file, written aside while it is read until its verdict is known."""

from __future__ import annotations

import csv
import fcntl
import os
import secrets
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import numpy as np
import pyarrow as pa

from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.cells import protected, protected_all
from zanc_pipeline.reception.corrections import LINE, ORIGINAL_LINE, PROBLEM_COLUMNS
from zanc_pipeline.reception.layout import Layout, SetLayout
from zanc_pipeline.reception.parquet import RowsWriter
from zanc_pipeline.reception.problems import RejectedRow
from zanc_pipeline.reception.rejections import Rejections

if TYPE_CHECKING:
    from _csv import Writer as CsvWriter

ACCEPTED = "accepted.parquet"
REJECTED = "rejeitadas.csv"
REJECTED_LINES = "rejected_lines.bin"
"""The lines of all rejected rows, eight bytes each: those that may be corrected."""


class AsideFiles:
    """A sink that writes accepted rows as Parquet and rejected ones as a file for correction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rejected_lines = array("q")
        self._parquet: RowsWriter | None = None
        self._csv: TextIO | None = None
        self._rows: CsvWriter | None = None
        self._names: list[str] = []

    def start(self, layout: Layout) -> None:
        """Begin both files, or begin them again."""
        self.close()
        self._names = [spec.name for spec in layout.fields]
        self._parquet = RowsWriter(self.folder / ACCEPTED, accepted_schema(layout))
        # ``;``, UTF-8 with BOM: what a Brazilian spreadsheet opens by a double click.
        self._csv = (self.folder / REJECTED).open("w", encoding="utf-8", newline="")
        self._csv.write("\ufeff")
        self._rows = csv.writer(self._csv, delimiter=";")
        self._rows.writerow([LINE, *PROBLEM_COLUMNS, *self._names, ORIGINAL_LINE])
        self._rejected_lines = array("q")

    def accept_as(self, layout: SetLayout) -> None:
        """Begin the accepted rows again, with the columns of a set; the rejected ones stay."""
        if self._parquet is not None:
            self._parquet.close()
        self._parquet = RowsWriter(self.folder / ACCEPTED, accepted_schema(layout))

    def accept(self, rows: pa.Table) -> None:
        """Write accepted rows, some batches at a time."""
        if self._parquet is not None:
            self._parquet.write(rows)

    def reject(self, rows: Rejections) -> None:
        """Write rejected rows, with what is wrong with each before its cells.

        A line that could not be cut has no cells: it stands whole in the last column.
        """
        if self._rows is not None:
            whole = [""] * len(rows)
            for place, row in rows.broken.items():
                whole[place] = protected(row.cells[0])
            cells = [protected_all(column) for column in rows.cells]
            fields, problems = zip(*rows.told, strict=True)
            self._rows.writerows(
                zip(rows.lines.tolist(), fields, problems, *cells, whole, strict=True)
            )
        self._rejected_lines.frombytes(rows.lines.astype(np.int64).tobytes())

    def reject_row(self, row: RejectedRow) -> None:
        """Write one more row that was cut into its cells."""
        fields = ", ".join([problem.field for problem in row.problems])
        problems = " / ".join([problem.problem for problem in row.problems])
        if self._rows is not None:
            self._rows.writerow([row.line, fields, problems, *map(protected, row.cells), ""])
        self._rejected_lines.append(row.line)

    @property
    def has_rejected(self) -> bool:
        """Whether a row was rejected."""
        return bool(self._rejected_lines)

    def finish(self) -> None:
        """Bring the files to the disk."""
        if self._parquet is not None:
            self._parquet.finish()
        self.close()
        (self.folder / REJECTED_LINES).write_bytes(self._rejected_lines.tobytes())
        for name in (ACCEPTED, REJECTED, REJECTED_LINES):
            with suppress(FileNotFoundError), (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Let both files go, finished or not."""
        if self._parquet is not None:
            self._parquet.close()
        if self._csv is not None:
            self._csv.close()
        self._parquet = self._csv = self._rows = None


@contextmanager
def aside(var: Path) -> Iterator[AsideFiles]:
    """Files in a folder of their own under ``var/deliveries/.aside``, removed at the end.

    What a killed process left there is removed first: nobody holds its lock any more.
    """
    parent = var / "deliveries" / ".aside"
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in parent.iterdir():
        _remove_left(left)
    lock = _locked(parent)
    with lock:
        folder = Path(lock.name).with_suffix("")
        folder.mkdir(mode=0o700)
        files = AsideFiles(folder)
        try:
            yield files
        finally:
            files.close()
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.name).unlink(missing_ok=True)


def _locked(parent: Path) -> BinaryIO:
    while True:
        path = parent / f"{secrets.token_hex(8)}.lock"
        lock = path.open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():  # else another call took it for one left over, before it was locked
            return lock
        lock.close()


def _remove_left(lock_path: Path) -> None:
    if lock_path.suffix != ".lock":
        return
    with suppress(OSError), lock_path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock_path.with_suffix(""), ignore_errors=True)
        lock_path.unlink(missing_ok=True)


def rejected_lines(path: Path) -> frozenset[int]:
    """The lines that ``finish`` wrote to ``REJECTED_LINES``; none when there is no such file."""
    lines = array("q")
    with suppress(FileNotFoundError):
        lines.frombytes(path.read_bytes())
    return frozenset(lines)
