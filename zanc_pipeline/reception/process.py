"""From archived bytes to a verdict: chooses the layout, reads, validates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.corrections import Corrections
from zanc_pipeline.reception.findings import FileHeld, Finding
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.layout import (
    AnyLayout,
    Layout,
    SetLayout,
    load_layouts,
    member_of,
    require_portfolio_fields,
    unconfirmed,
)
from zanc_pipeline.reception.ledger import Delivery, Verdict
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem
from zanc_pipeline.reception.readers import Batch, read_file
from zanc_pipeline.reception.treatments import Differences, treatment_of
from zanc_pipeline.reception.validate import (
    Discard,
    Sink,
    Validation,
    refused,
    spared_of,
    stream,
)

UNKNOWN_CONVENIO = "desconhecido"
"""Files in a folder of no convênio are received under this name and quarantined."""


@dataclass(kw_only=True)
class Processed:
    """A verdict and what it rests on; ``validation`` is None when the file could not be read."""

    verdict: Verdict
    layout: Layout | None = None
    validation: Validation | None = None
    differences: Differences | None = None
    """What the convênio's treatment changed, when it has one."""
    findings: Sequence[Finding] = ()
    """What the history and the CRM have against the file."""
    adapted: Sequence[str] = ()
    """What was read otherwise than the layout says, in sentences of Portuguese."""
    remember: Callable[[Any], None] | None = None
    """What else is to be written, with a cursor, in the transaction that settles the verdict."""

    @property
    def rejected(self) -> Sequence[RejectedRow]:
        """The first rejected rows: those that the ledger keeps."""
        return self.validation.rejected if self.validation is not None else ()


def convenio_folder(settings: Settings, convenio: str) -> Path:
    """``config/convenios/<convenio>``."""
    return settings.config / "convenios" / convenio


def layout_folders(settings: Settings, convenio: str) -> tuple[Path, Path]:
    """Where a convênio's layouts are: those written by hand, then the versions approved here."""
    return convenio_folder(settings, convenio), settings.var / "layouts" / convenio


def unreceived(path: Path, convenio: str, now: datetime) -> Delivery:
    """A file as a delivery that is in no ledger (its id is 0): to judge it without receiving it."""
    if not path.is_file():
        raise DataError(f"{path}: o arquivo não existe")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return Delivery(
        id=0,
        convenio=convenio,
        file_name=path.name,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        remote_path=None,
        remote_modified=None,
        received_at=now,
        uploaded_at=None,
        status="received",
        duplicate_of=None,
        layout_version=None,
        reference_date=None,
        rows_total=None,
        rows_accepted=None,
        rows_rejected=None,
        reason=None,
        folder=None,
        finished_at=None,
    )


def process(
    settings: Settings,
    delivery: Delivery,
    content: Path,
    *,
    judge: Judge | None = None,
    corrections: Corrections | None = None,
    sink: Sink | None = None,
    scratch: Path | None = None,
    layout: tuple[Layout, NameFacts] | None = None,
    watch: Callable[[Iterable[Batch]], Iterable[Batch]] | None = None,
    aside: Mapping[int, Sequence[RowProblem]] | None = None,
    decided: frozenset[str] = frozenset(),
) -> Processed:
    """Judge the archived ``content`` of a delivery; its rows go to ``sink``, if there is one.

    ``scratch`` is a folder for temporary files. Without a ``judge`` the file is not compared with
    the convênio's history and the CRM.
    ``corrections`` are cells that a person corrected, put over those of the file.

    ``layout`` (with what the file's name says by it) takes the place of the convênio's own: the
    same bytes judged by another reading. ``watch`` sees the batches pass. ``aside``: line → why its
    row alone is rejected, found by comparison with the past. ``decided``: rules that a person
    overruled, where no ``judge`` knows them. Raises ConfigError when
    the layout itself is wrong; what is wrong with the file is a verdict.
    """
    folder = f"deliveries/{delivery.id}"
    if delivery.convenio == UNKNOWN_CONVENIO:
        unplaced = (
            "o arquivo não está na pasta de nenhum convênio: mova-o para a pasta certa no FTP ou "
            "cadastre o convênio em config/convenios"
        )
        return Processed(verdict=Verdict(status="quarantined", reason=unplaced, folder=folder))
    try:
        chosen, facts = layout or choose_layout(settings, delivery)
    except FileRejected as error:
        verdict = Verdict(status="quarantined", reason=str(error), folder=folder)
        return Processed(verdict=verdict)
    reference = business_day(delivery, facts)
    result = Processed(
        verdict=Verdict(
            status="quarantined",
            layout_version=chosen.version,
            reference_date=reference,
            folder=folder,
            content=chosen.content,
        ),
        layout=chosen,
    )
    refusal: FileRejected | None = None
    treatment = treatment_of(settings, delivery.convenio, chosen)

    def batches() -> Iterable[Batch]:
        read: Iterable[Batch] = read_file(chosen, content, facts)
        if treatment is not None:
            read = treatment.batches(read)
        if corrections is not None:
            read = corrections.over(chosen, read)
        return read if watch is None else watch(read)

    try:
        if not delivery.size_bytes:
            raise FileRejected("o arquivo está vazio: peça ao credor que o envie de novo")
        into: Sink = sink or Discard()
        result.validation = stream(
            chosen,
            batches,
            judge.over(into) if judge is not None else into,
            scratch=scratch,
            check=_check(judge, aside or {}),
        )
        refusal = refused(
            chosen,
            result.validation,
            decided=judge.decided if judge is not None else decided,
            spared=spared_of(len(aside or {}), result.validation.rows_total),
        )
        if judge is not None:
            judge.conclude(chosen, facts, reference, result.validation, refusal)
    except FileRejected as error:
        refusal = error
    result.differences = treatment.differences if treatment is not None else None
    result.findings = judge.findings if judge is not None else []
    seen, accepted = result.validation, refusal is None
    result.verdict = Verdict(
        status=status_of(refusal),
        reason=None if accepted else str(refusal),
        layout_version=chosen.version,
        reference_date=reference,
        rows_total=seen.rows_total if seen and not seen.stopped else None,
        rows_accepted=None if seen is None else seen.rows_accepted if accepted else 0,
        rows_rejected=seen.rows_rejected if seen else None,
        rows_removed=result.differences.removed_rows if result.differences else None,
        folder=folder,
        content=chosen.content,
        sequence=facts.sequence,
        content_digest=judge.digest.text if judge is not None and accepted else None,
        rules=refusal.rules if refusal is not None else (),
    )
    return result


def _check(
    judge: Judge | None, aside: Mapping[int, Sequence[RowProblem]]
) -> Callable[[pa.Table], Mapping[int, list[RowProblem]]] | None:
    """What the CRM and the past have against typed rows, by their index."""
    if not aside:
        return judge.check if judge is not None else None

    def check(rows: pa.Table) -> Mapping[int, list[RowProblem]]:
        lines = rows["line"].to_numpy()
        odd = np.isin(lines, list(aside))
        found = {at: [*aside[int(lines[at])]] for at in np.flatnonzero(odd).tolist()}
        if judge is not None and not odd.all():
            left = np.flatnonzero(~odd)
            against = judge.check(rows.take(pa.array(left)) if found else rows)
            found |= {int(left[at]): problems for at, problems in against.items()}
        return found

    return check


def status_of(refusal: FileRejected | None) -> str:
    """The status of a file that was refused so, or of one that was not."""
    if refusal is None:
        return "accepted"
    return "held" if isinstance(refusal, FileHeld) else "quarantined"


def business_day(delivery: Delivery, facts: NameFacts) -> date:
    """The day that a file speaks of: the one in its name, else the one on which it came."""
    return facts.reference_date or delivery.received_at.astimezone(LOCAL).date()


def _named(layout: AnyLayout, file_name: str) -> Iterator[tuple[Layout, NameFacts]]:
    """The layout itself, or that of the member of a set, when the name is one of its files."""
    if isinstance(layout, SetLayout):
        member = member_of(layout, file_name)
        if member is not None:
            yield member[0].layout, member[1]
        return
    found = next((facts for one in layout.patterns if (facts := one.match(file_name))), None)
    if found is not None:
        yield layout, found


def choose_layout(settings: Settings, delivery: Delivery) -> tuple[Layout, NameFacts]:
    """The version in force on the file's business day among those that its name fits.

    Raises FileRejected when the name fits none, ConfigError when a layout is wrong.
    """
    folder = convenio_folder(settings, delivery.convenio)
    layouts = load_layouts(*layout_folders(settings, delivery.convenio))
    if not layouts:
        raise FileRejected(
            f"o convênio '{delivery.convenio}' ainda não tem layout: crie layout.yaml com "
            "'zanc reception infer' e reprocesse"
        )
    chosen: tuple[Layout, NameFacts] | None = None
    fits = False
    for layout in layouts:
        require_portfolio_fields(layout, str(folder))
        for one, facts in _named(layout, delivery.file_name):
            fits = True
            if one.effective <= business_day(delivery, facts):
                chosen = (one, facts)
    if chosen is not None:
        doubtful = unconfirmed(chosen[0])
        if doubtful:
            raise FileRejected(
                f"o layout ainda tem campos a confirmar ({', '.join(doubtful)}): confira-os, "
                "apague 'confirmar: sim' de cada um e reprocesse"
            )
        return chosen
    if fits:
        raise FileRejected(
            f"nenhuma versão do layout vale no dia do arquivo '{delivery.file_name}': confira "
            "'vigencia' em layout.yaml e reprocesse"
        )
    patterns = ", ".join(dict.fromkeys(name for layout in layouts for name in layout.files))
    raise FileRejected(
        f"o nome '{delivery.file_name}' não é de um arquivo deste convênio (esperado: {patterns}): "
        "confirme com o credor; se o nome mudou, acrescente-o em 'arquivos' no layout e reprocesse"
    )
