"""What a person decides about a delivery that did not go through by itself.

The question is asked by a task of ``decision__entregas``; the same decisions can be taken with
``zanc reception approve|reject|accept|release|replay``. Whoever comes first decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings

if TYPE_CHECKING:
    from zanc_pipeline.reception.service import Delivery

APPROVE = "Aprovar o layout proposto"
REJECT = "Recusar o layout proposto"
ACCEPT = "Aceitar o arquivo assim mesmo"
RELEASE = "Liberar sem esperar"
REPLAY = "Reprocessar (o layout já foi corrigido)"
LEAVE = "Deixar em quarentena"
CHOICES = (APPROVE, REJECT, ACCEPT, RELEASE, REPLAY, LEAVE)

_MAX_CELL_CHARS = 80


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is asked about a delivery; ``options`` are some of ``CHOICES``."""

    delivery: int
    convenio: str
    subject: str
    body: str
    options: tuple[str, ...]
    mark: str
    """Tells this question from every other one about the same delivery."""


def open_questions(settings: Settings, convenio: str) -> list[tuple[int, str]]:
    """(delivery, mark) of each question of ``convenio`` that waits for a person, oldest first."""
    from zanc_pipeline.reception import service

    waiting = [
        (delivery.id, _mark(delivery, options))
        for delivery in service.list_deliveries(settings, convenio)
        if delivery.status in {"quarantined", "held"} and (options := choices(settings, delivery))
    ]
    return sorted(waiting)


def mark(settings: Settings, delivery_id: int) -> str | None:
    """The mark of the question that is open about a delivery; None when there is none."""
    from zanc_pipeline.reception import service

    delivery = service.get_delivery(settings, delivery_id)
    options = choices(settings, delivery)
    return _mark(delivery, options) if options else None


def _mark(delivery: Delivery, options: tuple[str, ...]) -> str:
    # A delivery that is judged again has another verdict, about which nobody was asked yet.
    told = f"{delivery.finished_at} {options}"
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


def taken(settings: Settings, delivery_id: int, options: Sequence[str]) -> str:
    """Which of ``options`` a person took elsewhere: by command or on a page."""
    from zanc_pipeline.reception import service
    from zanc_pipeline.reception.drift import proposals

    proposal = proposals.get(settings, delivery_id)
    found = {"approved": APPROVE, "rejected": REJECT}.get(proposal.status if proposal else "")
    if found is None and service.decisions(settings, delivery_id):
        found = RELEASE if RELEASE in options else ACCEPT
    if found is None and service.get_delivery(settings, delivery_id).status != "quarantined":
        found = REPLAY
    return found if found is not None and found in options else LEAVE


def question(settings: Settings, delivery_id: int) -> Question | None:
    """What to ask about a delivery; None when there is nothing to decide (any more)."""
    from zanc_pipeline.reception import service
    from zanc_pipeline.reception.drift import proposals

    delivery = service.get_delivery(settings, delivery_id)
    options = choices(settings, delivery)
    if not options:
        return None
    lines = [f"**{mask_text(delivery.reason or 'sem motivo registrado')}**"]
    if APPROVE in options:
        proposal = proposals.get(settings, delivery.id)
        if proposal is not None:
            lines.append(_side_by_side(proposal.evidence))
    address = f"/zanc/recepcao/reception__{delivery.convenio}/{delivery.id}"
    lines.append(f"[Relatório da entrega]({address}) · [todas as entregas](/zanc/recepcao)")
    return Question(
        delivery=delivery.id,
        convenio=delivery.convenio,
        subject=f"{delivery.convenio} · {delivery.file_name} · entrega {delivery.id}",
        body="\n\n".join(lines),
        options=options,
        mark=_mark(delivery, options),
    )


def decide(settings: Settings, delivery_id: int, choice: str, *, by: str, reason: str) -> str:
    """Carry a choice out; what became of the delivery, in Portuguese.

    Repeated, or after somebody else decided, it changes nothing and says so. Raises DataError for
    a choice that is none of ``CHOICES``.
    """
    from zanc_pipeline.reception import service
    from zanc_pipeline.reception.drift import proposals

    if choice not in CHOICES:
        raise DataError(f"entrega {delivery_id}: não há a opção '{choice}'")
    before = service.get_delivery(settings, delivery_id)
    if choice != LEAVE and choice not in choices(settings, before):
        return f"entrega {delivery_id}: já decidida, está '{before.status}'; nada foi mudado"
    reason = reason.strip() or "decidido no Airflow"
    try:
        if choice == APPROVE:
            proposals.approve(settings, delivery_id, by=by, note=reason)
        elif choice == REJECT:
            proposals.reject(settings, delivery_id, by=by, reason=reason)
        elif choice == ACCEPT:
            service.accept(settings, delivery_id, before.rules, by=by, reason=reason)
        elif choice == RELEASE:
            service.release(settings, delivery_id, by=by, reason=reason)
        elif choice == REPLAY:
            service.replay(settings, delivery_id)
    except ConflictError as conflict:
        return f"entrega {delivery_id}: {conflict}"
    after = service.get_delivery(settings, delivery_id)
    told = f": {after.reason}" if after.reason else ""
    return mask_text(f"entrega {delivery_id}: '{choice}' por {by}; agora '{after.status}'{told}")


def request(delivery_id: int, convenio: str, asked: str) -> dict[str, Any]:
    """How one run of ``decision__entregas`` is asked for: its id is the question's, so once."""
    return {
        "trigger_run_id": f"entrega-{delivery_id}-{asked}",
        "conf": {"delivery": delivery_id, "convenio": convenio, "question": asked},
    }


def choices(settings: Settings, delivery: Delivery) -> tuple[str, ...]:
    """What a person may choose about a delivery, some of ``CHOICES``; nothing when it is closed."""
    from zanc_pipeline.reception.drift import proposals

    if delivery.status == "held":
        return (RELEASE, LEAVE)
    if delivery.status != "quarantined":
        return ()
    found = []
    proposal = proposals.get(settings, delivery.id)
    if proposal is not None and proposal.status == "proposed":
        found += [APPROVE, REJECT]
    if delivery.rules:
        found.append(ACCEPT)
    return (*found, REPLAY, LEAVE) if found else ()


def _side_by_side(evidence: Mapping[str, Any]) -> str:
    """The fields that would be read otherwise, before and after, as a table in Markdown."""
    rows = evidence.get("campos", [])
    changed = [row for row in rows if row.get("mudou")]
    table = [
        "| campo | como era | como veio | iguais ao anterior | exemplos de antes | de agora |",
        "|---|---|---|---|---|---|",
    ]
    for row in changed:
        same = row.get("iguais")
        cells = (
            row["campo"],
            row.get("antes"),
            row.get("agora"),
            "" if same is None else f"{same:.0%}",
            row.get("exemplo_antes"),
            row.get("exemplo"),
        )
        table.append("| " + " | ".join(_cell(value) for value in cells) + " |")
    return "\n".join(table) + f"\n\nCampos que não mudaram: {len(rows) - len(changed)}."


def _cell(value: Any) -> str:
    """A value of a creditor's file as plain text in a table of Markdown."""
    text = " ".join(str("" if value is None else value).split())[:_MAX_CELL_CHARS]
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+-!|~&" else char for char in text)
