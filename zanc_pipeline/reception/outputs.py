"""The folder of a delivery: accepted rows, rejected rows for correction, report."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import report
from zanc_pipeline.reception.archive import sync_folder, write_atomically
from zanc_pipeline.reception.aside import ACCEPTED, REJECTED, REJECTED_LINES, AsideFiles
from zanc_pipeline.reception.cells import protected
from zanc_pipeline.reception.corrections import LINE
from zanc_pipeline.reception.ledger import Decision, Delivery
from zanc_pipeline.reception.process import Processed
from zanc_pipeline.reception.treatments import FILE_NAME as TREATMENT

__all__ = [
    "ACCEPTED",
    "HTML_REPORT",
    "REJECTED",
    "REJECTED_LINES",
    "REMOVED",
    "TEXT_REPORT",
    "write_folder",
]

REMOVED = "retiradas.csv"
TEXT_REPORT = "relatorio.txt"
HTML_REPORT = "relatorio.html"


def write_folder(
    settings: Settings,
    delivery: Delivery,
    result: Processed,
    files: AsideFiles,
    decisions: Sequence[Decision] = (),
) -> None:
    """Write what a verdict leaves in ``var/deliveries/<id>``; writing again gives the same.

    ``files`` holds the rows that were read; they are moved, each as a whole. ``decisions`` are
    those that persons made about the delivery.
    """
    folder = settings.var / "deliveries" / str(delivery.id)
    folder.mkdir(parents=True, exist_ok=True)
    files.finish()
    _place(
        files.folder / ACCEPTED,
        folder / ACCEPTED,
        wanted=result.verdict.status in {"accepted", "joined"} and result.validation is not None,
    )
    for name in (REJECTED, REJECTED_LINES):
        _place(
            files.folder / name,
            folder / name,
            wanted=files.has_rejected and result.validation is not None,
        )
    _write_treatment(settings, delivery, result, folder)
    sync_folder(folder)
    facts = report.facts(settings, delivery, result, rejected_file=REJECTED, decisions=decisions)
    write_atomically(folder / TEXT_REPORT, lambda file: file.write(report.text(facts).encode()))
    write_atomically(folder / HTML_REPORT, lambda file: file.write(report.html(facts).encode()))


def _write_treatment(
    settings: Settings, delivery: Delivery, result: Processed, folder: Path
) -> None:
    """The treatment as it was, and the rows that it took out: nothing is lost without a trace."""
    differences = result.differences
    source = settings.config / "convenios" / delivery.convenio / TREATMENT
    if differences is not None and source.is_file():
        shutil.copyfile(source, folder / TREATMENT)
    else:
        (folder / TREATMENT).unlink(missing_ok=True)
    if differences is None or result.layout is None or not differences.removed:
        (folder / REMOVED).unlink(missing_ok=True)
        return
    names = [spec.name for spec in result.layout.fields]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow([LINE, *names])
    writer.writerows([row.line, *map(protected, row.cells)] for row in differences.removed)
    data = text.getvalue().encode("utf-8-sig")
    write_atomically(folder / REMOVED, lambda file: file.write(data), mode=0o600)


def _place(source: Path, target: Path, *, wanted: bool) -> None:
    if wanted:
        source.chmod(0o600)
        source.replace(target)
    else:
        target.unlink(missing_ok=True)
