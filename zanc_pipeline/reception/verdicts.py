"""The verdict on one delivery, whoever asks: the reception, a set, or somebody who only checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger, sender
from zanc_pipeline.reception.archive import archive_path
from zanc_pipeline.reception.aside import (
    ACCEPTED,
    REJECTED_LINES,
    AsideFiles,
    rejected_lines,
)
from zanc_pipeline.reception.content import same_rows
from zanc_pipeline.reception.corrections import Corrections, Rows, merged, read_corrections
from zanc_pipeline.reception.drift.fingerprint import Witness
from zanc_pipeline.reception.drift.hook import Aside
from zanc_pipeline.reception.drift.hook import judged as judged_with_drift
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.layout import Layout
from zanc_pipeline.reception.ledger import Delivery, Standing, Verdict
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import Processed, choose_layout, process

APPLICATION = "reception"


def get(settings: Settings, delivery_id: int) -> Delivery:
    """One delivery. Raises DataError when there is none with this number."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        delivery = ledger.select(cursor, delivery_id)
    if delivery is None:
        raise DataError(f"não há entrega {delivery_id}: veja 'zanc reception deliveries'")
    return delivery


def corrected_rows(settings: Settings, original: Delivery, path: Path) -> Rows:
    """The corrected rows in ``path``, which may correct only what ``original`` rejected."""
    chain = chain_of(settings, original)
    try:
        layout, _ = choose_layout(settings, chain[0])
    except FileRejected as refusal:
        raise DataError(str(refusal)) from None
    folder = settings.var / "deliveries" / str(original.id)
    return read_corrections(path, layout.fields, rejected_lines(folder / REJECTED_LINES))


def chain_of(settings: Settings, delivery: Delivery) -> list[Delivery]:
    """The delivery whose bytes came from the creditor, and its corrections up to this one."""
    chain = [delivery]
    while chain[0].corrects is not None:
        chain.insert(0, get(settings, chain[0].corrects))
    return chain


def content_of(settings: Settings, delivery: Delivery) -> Path:
    """The archived bytes of a delivery. Raises DataError when they are gone."""
    content = archive_path(settings.var, delivery.sha256)
    if not content.is_file():
        raise DataError(
            f"entrega {delivery.id}: {content} não existe mais: receba o arquivo de novo"
        )
    return content


@dataclass(kw_only=True)
class Repeats:
    """Whether the accepted rows in ``files`` are those of another delivery, and of which."""

    settings: Settings
    delivery: Delivery
    files: AsideFiles
    found: list[Delivery] = field(default_factory=list)

    def __call__(self, digest: str) -> bool:
        with transaction(self.settings, "zanc", application=APPLICATION) as cursor:
            other = ledger.same_rows(cursor, self.delivery, digest)
        if other is None:
            return False
        self.files.finish()
        kept = self.settings.var / "deliveries" / str(other.id) / ACCEPTED
        if kept.is_file() and same_rows(self.files.folder / ACCEPTED, kept):
            self.found.append(other)
        return bool(self.found)

    @property
    def verdict(self) -> Verdict:
        """The verdict on a file whose rows are those of another."""
        return duplicate(self.found[0], "mesmas linhas, em outra ordem ou escrita,")


def judge_chain(
    settings: Settings,
    chain: list[Delivery],
    files: AsideFiles,
    decided: frozenset[str],
    standing: Standing,
    *,
    content: Path | None = None,
) -> Processed:
    """The verdict on the bytes of the first of ``chain``, with the corrections of the others.

    The bytes are those of the archive, or ``content`` of a file that is not received.
    """
    root, delivery = chain[0], chain[-1]
    content = content or archive_path(settings.var, root.sha256)
    corrections: Corrections | None = None
    if delivery is not root:
        try:
            corrections = merged(
                [
                    corrected_rows(settings, before, archive_path(settings.var, one.sha256))
                    for before, one in pairwise(chain)
                ]
            )
        except DataError as error:
            folder = f"deliveries/{delivery.id}"
            return Processed(
                verdict=Verdict(status="quarantined", reason=str(error), folder=folder)
            )
    repeats = Repeats(settings=settings, delivery=delivery, files=files)
    # A correction is read as the file that it corrects: by that file's name and size.
    same = replace(delivery, file_name=root.file_name, size_bytes=root.size_bytes)

    def read(layout: Layout | None, witness: Witness, keep: bool, aside: Aside) -> Processed:
        other = (layout, choose_layout(settings, same)[1]) if layout is not None else None
        if not keep:
            return process(
                settings, same, content, corrections=corrections, layout=other, watch=witness.watch
            )
        with Judge(
            settings=settings,
            delivery=delivery,
            standing=standing,
            decided=decided,
            root=root.id if delivery is not root else None,
            better_than=(chain[-2].rows_accepted or 0) if delivery is not root else None,
            repeats=repeats if delivery is root else lambda _digest: False,
        ) as judge:
            return process(
                settings,
                same,
                content,
                judge=judge,
                corrections=corrections,
                sink=files,
                scratch=files.folder,
                layout=other,
                watch=witness.watch,
                aside=aside,
            )

    def kept() -> Path:
        files.finish()
        return files.folder / ACCEPTED

    confirmed = frozenset(corrections.rows) if corrections is not None else frozenset()
    result = judged_with_drift(settings, same, content, read, kept, decided, confirmed)
    if repeats.found:
        result.remember = None
        result.verdict = repeats.verdict
        return result
    if result.verdict.status == "quarantined" and not result.findings:
        result.verdict = _with_hint(settings, root, content, result.verdict)
    return result


def unchanged(cursor: Any, deliveries: Iterable[Delivery]) -> bool:
    """Whether all of them are still as they were read; nobody changes them until the end."""
    found = [(one, ledger.select(cursor, one.id, lock=True)) for one in deliveries]
    return all(now is not None and now.status == one.status for one, now in found)


def _with_hint(settings: Settings, root: Delivery, content: Path, verdict: Verdict) -> Verdict:
    whose = sender.whose(settings, root.convenio, root.file_name, content)
    return verdict if whose is None else replace(verdict, reason=f"{verdict.reason}; {whose}")


def duplicate(twin: Delivery, what: str) -> Verdict:
    """The verdict on a delivery that repeats ``twin``."""
    about = (
        f"da entrega {twin.id} ('{twin.file_name}', {twin.received_at.astimezone(LOCAL):%d/%m/%Y})"
    )
    if twin.status == "quarantined":
        reason = f"{what} {about}, que está em quarentena: resolva aquela e reprocesse-a"
    elif twin.status == "held":
        reason = f"{what} {about}, que está à espera de outras: não há nada a fazer aqui"
    else:
        reason = f"{what} {about}: não há nada a fazer"
    return Verdict(
        status="duplicate",
        reason=reason,
        duplicate_of=twin.id,
        reference_date=twin.reference_date,
    )
