"""Proposed layouts: shown to a person, approved as a new version or rejected.

An approved version is written to ``var/layouts/<convênio>/layout-N.yaml``: ``config/`` may be
read-only and is under version control, while ``var`` is what this installation has learnt. It is
read together with the layouts in ``config/convenios``, and a clerk may edit it just the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger, service
from zanc_pipeline.reception.drift import store
from zanc_pipeline.reception.drift.content import written
from zanc_pipeline.reception.drift.hook import RULE
from zanc_pipeline.reception.drift.members import member_content, with_member
from zanc_pipeline.reception.drift.store import Proposal
from zanc_pipeline.reception.joining import place_of
from zanc_pipeline.reception.layout import AnyLayout, load_layouts, parse_layout
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.process import layout_folders

_APPLICATION = "reception"


def get(settings: Settings, delivery_id: int) -> Proposal | None:
    """The proposal for a delivery, whatever became of it; None when there is none."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        return store.select(cursor, delivery_id)


def list_open(settings: Settings) -> list[Proposal]:
    """The proposals that wait for a decision, the oldest first."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        return store.select_open(cursor)


def approve(settings: Settings, delivery_id: int, *, by: str, note: str = "") -> Delivery:
    """Make the proposed layout a version of the convênio's, and judge the delivery by it.

    The version takes effect on the file's business day. Killed anywhere, the same call completes
    it. Raises ConflictError when there is nothing to approve, ConfigError when the version can not
    be written.
    """
    by = _named(by)
    delivery = service.get_delivery(settings, delivery_id)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        ledger.lock_convenio(cursor, delivery.convenio)
        proposal = store.select(cursor, delivery_id, lock=True)
        if proposal is None or proposal.status == "rejected":
            raise ConflictError(_nothing(delivery, proposal))
        if proposal.status != "approved":
            path = _write_version(settings, delivery, proposal)
            store.decide(
                cursor, delivery_id, "approved", by=by, note=note.strip(), layout_file=str(path)
            )
            if proposal.status == "proposed":
                reason = note.strip() or "layout proposto aprovado"
                ledger.decide(cursor, delivery_id, RULE, by=by, reason=reason)
    if delivery.status in {"quarantined", "held", "received"}:
        return service.replay(settings, delivery_id)
    return delivery


def reject(settings: Settings, delivery_id: int, *, by: str, reason: str) -> Proposal:
    """Record that the proposed layout is wrong; the delivery stays in quarantine.

    Raises ConflictError when there is nothing that could be rejected.
    """
    by, reason = _named(by), reason.strip()
    if not reason:
        raise DataError("diga o motivo da recusa: --reason")
    delivery = service.get_delivery(settings, delivery_id)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        proposal = store.select(cursor, delivery_id, lock=True)
        if proposal is None or proposal.status in {"approved", "adapted"}:
            raise ConflictError(_nothing(delivery, proposal))
        store.decide(cursor, delivery_id, "rejected", by=by, note=reason, layout_file=None)
        decided = store.select(cursor, delivery_id)
    if decided is None:  # the transaction holds the row
        raise ConflictError(_nothing(delivery, None))
    return decided


def _named(by: str) -> str:
    if not by.strip():
        raise DataError("uma decisão precisa de quem decidiu: --by")
    return by.strip()


def _nothing(delivery: Delivery, proposal: Proposal | None) -> str:
    if proposal is None:
        return f"a entrega {delivery.id} não tem layout proposto: veja 'zanc reception deliveries'"
    words = {"rejected": "recusado", "approved": "aprovado", "adapted": "usado sem decisão"}
    said = words.get(proposal.status, proposal.status)
    by = f" por {proposal.decided_by}" if proposal.decided_by else ""
    return f"o layout proposto para a entrega {delivery.id} já foi {said}{by}"


def _write_version(settings: Settings, delivery: Delivery, proposal: Proposal) -> Path:
    """Write the next free version, unless an approval that was killed wrote it already."""
    folder = settings.var / "layouts" / delivery.convenio
    mark = f"Aprovado a partir da entrega {delivery.id} ({delivery.file_name})."
    for path in sorted(folder.glob("layout-*.yaml")):
        if mark in path.read_text(encoding="utf-8").splitlines()[0]:
            return path
    content = yaml.safe_load(proposal.layout)
    place = place_of(settings, delivery)
    if place is not None:  # other files of the set may have got another layout meanwhile
        name = place.member.name
        content = with_member(place.layout, name, member_content(content, name))
    number = _next_number(load_layouts(*layout_folders(settings, delivery.convenio)))
    content["versao"] = str(number)
    day = delivery.reference_date
    if day is not None:
        content["vigencia"] = day
    text = written(content, [mark, proposal.summary])
    path = folder / f"layout-{number}.yaml"
    parse_layout(content, str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{path.name}.{os.getpid()}"
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # never over a version that is there
        finally:
            aside.unlink()
    except OSError as error:
        raise ConfigError(
            f"{path}: a versão aprovada não pôde ser gravada ({error.strerror}): acerte a pasta e "
            "aprove de novo"
        ) from None
    return path


def _next_number(layouts: Iterable[AnyLayout]) -> int:
    numbers = [int(one.version) for one in layouts if one.version.isdigit()]
    return max(numbers, default=1) + 1
