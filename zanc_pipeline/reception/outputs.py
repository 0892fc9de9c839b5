"""The folder of a delivery: accepted rows, rejected rows for correction, report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import report
from zanc_pipeline.reception.archive import write_atomically
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.problems import RejectedRow
from zanc_pipeline.reception.process import Processed

ACCEPTED = "accepted.parquet"
REJECTED = "rejeitadas.csv"
TEXT_REPORT = "relatorio.txt"
HTML_REPORT = "relatorio.html"


def write_folder(settings: Settings, delivery: Delivery, result: Processed) -> None:
    """Write what a verdict leaves in ``var/deliveries/<id>``; writing again gives the same."""
    folder = settings.var / "deliveries" / str(delivery.id)
    accepted = folder / ACCEPTED
    if result.verdict.status == "accepted" and result.validation is not None:
        table = result.validation.accepted
        write_atomically(
            accepted, lambda file: pq.write_table(table, file, compression="zstd"), mode=0o600
        )
    else:
        accepted.unlink(missing_ok=True)
    if result.rejected and result.layout is not None:
        names = [spec.name for spec in result.layout.fields]
        write_atomically(
            folder / REJECTED,
            lambda file: _write_rejected(file, names, result.rejected),
            mode=0o600,
        )
    else:
        (folder / REJECTED).unlink(missing_ok=True)
    facts = report.facts(settings, delivery, result, rejected_file=REJECTED)
    write_atomically(folder / TEXT_REPORT, lambda file: file.write(report.text(facts).encode()))
    write_atomically(folder / HTML_REPORT, lambda file: file.write(report.html(facts).encode()))


def _write_rejected(file: BinaryIO, names: list[str], rows: Sequence[RejectedRow]) -> None:
    """``;``, UTF-8 with BOM: what a Brazilian spreadsheet opens by a double click."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(["linha", "campo", "problema", *names])
    for row in rows:
        cells: list[Any] = [
            row.line,
            ", ".join(problem.field for problem in row.problems),
            " / ".join(problem.problem for problem in row.problems),
            *(neutral(cell) for cell in row.cells),
        ]
        writer.writerow(cells)
    text.flush()
    text.detach()


def neutral(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if cell.lstrip(" \t\r\n").startswith(("=", "+", "-", "@")) else cell
