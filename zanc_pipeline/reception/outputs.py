"""The folder of a delivery: accepted rows, rejected rows for correction, report."""

from __future__ import annotations

from pathlib import Path

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import report
from zanc_pipeline.reception.archive import sync_folder, write_atomically
from zanc_pipeline.reception.aside import ACCEPTED, REJECTED, AsideFiles, neutral
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.process import Processed

__all__ = ["ACCEPTED", "HTML_REPORT", "REJECTED", "TEXT_REPORT", "neutral", "write_folder"]

TEXT_REPORT = "relatorio.txt"
HTML_REPORT = "relatorio.html"


def write_folder(
    settings: Settings, delivery: Delivery, result: Processed, files: AsideFiles
) -> None:
    """Write what a verdict leaves in ``var/deliveries/<id>``; writing again gives the same.

    ``files`` holds the rows that were read; they are moved, each as a whole.
    """
    folder = settings.var / "deliveries" / str(delivery.id)
    folder.mkdir(parents=True, exist_ok=True)
    files.finish()
    _place(
        files.folder / ACCEPTED,
        folder / ACCEPTED,
        wanted=result.verdict.status == "accepted" and result.validation is not None,
    )
    _place(
        files.folder / REJECTED,
        folder / REJECTED,
        wanted=files.has_rejected and result.validation is not None,
    )
    sync_folder(folder)
    facts = report.facts(settings, delivery, result, rejected_file=REJECTED)
    write_atomically(folder / TEXT_REPORT, lambda file: file.write(report.text(facts).encode()))
    write_atomically(folder / HTML_REPORT, lambda file: file.write(report.html(facts).encode()))


def _place(source: Path, target: Path, *, wanted: bool) -> None:
    if wanted:
        source.chmod(0o600)
        source.replace(target)
    else:
        target.unlink(missing_ok=True)
