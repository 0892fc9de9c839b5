"""Reception as the other rooms see it: receive a file, ask the ledger, decide, correct, replay.

Kill-safe by order: the bytes go to the archive, then the row ``received`` to the ledger, then the
delivery's files aside and renamed, then one transaction sets the verdict. Killed anywhere, the same
call completes it; a completed delivery is only read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError, DataError, UnknownConvenio
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger
from zanc_pipeline.reception.archive import store
from zanc_pipeline.reception.findings import RULES
from zanc_pipeline.reception.finishing import finish, resume
from zanc_pipeline.reception.joining import place_of
from zanc_pipeline.reception.ledger import STATUS_WORDS, Decision, Delivery, RemoteFile
from zanc_pipeline.reception.outputs import HTML_REPORT, TEXT_REPORT
from zanc_pipeline.reception.process import UNKNOWN_CONVENIO
from zanc_pipeline.reception.verdicts import APPLICATION, corrected_rows, get

__all__ = [
    "RULES",
    "UNKNOWN_CONVENIO",
    "Decision",
    "Delivery",
    "RemoteFile",
    "accept",
    "decisions",
    "get_delivery",
    "is_known",
    "known_uploads",
    "list_deliveries",
    "mark_loaded",
    "receive",
    "release",
    "replay",
    "report_path",
    "resubmit",
    "resume",
]


def receive(
    settings: Settings, path: Path, convenio: str, *, remote: RemoteFile | None = None
) -> Delivery:
    """Receive one file: the delivery is accepted, held, quarantined or a duplicate, and why.

    Whatever the bytes are, they never raise. Raises UnknownConvenio for a name that is neither a
    convênio nor ``UNKNOWN_CONVENIO``, ConfigError for a wrong layout, UnavailableError when
    PostgreSQL does not answer; after either of the last two the same call completes the delivery.
    """
    if convenio not in settings.convenios and convenio != UNKNOWN_CONVENIO:
        raise UnknownConvenio(
            f"não há convênio '{convenio}': use um destes: {', '.join(settings.convenios)}; ou "
            f"crie config/convenios/{convenio}/convenio.yaml"
        )
    archived = store(settings.var, path)
    name = Path(remote.path).name if remote is not None else path.name
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        delivery = ledger.insert_received(
            cursor, convenio, name, archived.sha256, archived.size, remote
        )
    if delivery.status != "received":
        return delivery
    return finish(settings, delivery)


def replay(settings: Settings, delivery_id: int) -> Delivery:
    """Judge a delivery again that is in quarantine, waits, or is half received.

    It is judged by the layouts, the treatment, the history and the decisions of now. Raises
    ConflictError for one that is accepted, loaded, a duplicate, or corrected by another.
    """
    delivery = get_delivery(settings, delivery_id)
    _require_open(settings, delivery)
    return finish(settings, delivery)


def accept(
    settings: Settings, delivery_id: int, rules: Collection[str], *, by: str, reason: str
) -> Delivery:
    """Record that a person overrules ``rules`` for this delivery, and judge it again.

    What the rules say no more holds it; anything else still does. The decision is kept with its
    author and reason and counts in every later replay. Raises ConflictError when the delivery is
    not held by one of these rules.
    """
    by, reason = by.strip(), reason.strip()
    if not by or not reason:
        raise DataError("uma decisão precisa de quem decidiu e do motivo: --by e --reason")
    delivery = get_delivery(settings, delivery_id)
    _require_open(settings, delivery)
    known = {decision.rule for decision in decisions(settings, delivery_id)}
    strange = [rule for rule in rules if rule not in delivery.rules and rule not in known]
    if strange or not rules:
        open_rules = ", ".join(delivery.rules) or "nenhuma que uma pessoa possa aceitar"
        raise ConflictError(
            f"a entrega {delivery_id} não está retida por '{', '.join(strange)}': as regras que a "
            f"retêm são: {open_rules}"
        )
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        for rule in rules:
            ledger.decide(cursor, delivery_id, rule, by=by, reason=reason)
    return finish(settings, delivery)


def release(settings: Settings, delivery_id: int, *, by: str, reason: str) -> Delivery:
    """Let a delivery that waits for others go on without them: a decision, as ``accept`` records.

    Raises ConflictError when it does not wait.
    """
    delivery = get_delivery(settings, delivery_id)
    if delivery.status != "held":
        raise ConflictError(
            f"a entrega {delivery_id} está '{STATUS_WORDS[delivery.status]}': só uma à espera de "
            "outras pode ser liberada"
        )
    return accept(settings, delivery_id, delivery.rules, by=by, reason=reason)


def resubmit(settings: Settings, delivery_id: int, path: Path) -> Delivery:
    """Receive the corrected rejected rows of a delivery: a new delivery that replaces it.

    The original's bytes are read again with the corrected lines in place of theirs, and judged as
    any file; what was not corrected stays rejected. The same file again is the same delivery.
    Raises DataError, with line and column, when the file is not the corrected rejected rows;
    ConflictError when the delivery has none or another correction of it was accepted.
    """
    original = get_delivery(settings, delivery_id)
    archived = store(settings.var, path)
    if not _known_correction(settings, original, archived.sha256):
        _require_correctable(settings, original)
        corrected_rows(settings, original, path)
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        delivery = ledger.insert_received(
            cursor,
            original.convenio,
            path.name,
            archived.sha256,
            archived.size,
            None,
            corrects=original.id,
        )
    if delivery.status != "received":
        return delivery
    return finish(settings, delivery)


def decisions(settings: Settings, delivery_id: int) -> list[Decision]:
    """What persons decided about a delivery, the oldest first."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        return ledger.decisions(cursor, delivery_id)


def report_path(
    settings: Settings, delivery: Delivery, kind: Literal["html", "text"] = "html"
) -> Path | None:
    """Where a delivery's report is, once it has a verdict."""
    if delivery.folder is None:
        return None
    return settings.var / delivery.folder / (HTML_REPORT if kind == "html" else TEXT_REPORT)


def get_delivery(settings: Settings, delivery_id: int) -> Delivery:
    """One delivery. Raises DataError when there is none with this number."""
    return get(settings, delivery_id)


def list_deliveries(settings: Settings, convenio: str | None = None) -> list[Delivery]:
    """All deliveries (of one convênio), the newest first."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        return ledger.select_all(cursor, convenio)


def mark_loaded(settings: Settings, delivery_id: int) -> None:
    """Say that the CRM holds an accepted delivery; saying it again does nothing."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        cursor.execute(
            "UPDATE reception.delivery SET status = 'loaded' WHERE id = %s AND status = 'accepted'",
            (delivery_id,),
        )


def is_known(settings: Settings, convenio: str, remote: RemoteFile) -> bool:
    """Whether this upload already has its verdict (one half received has none)."""
    return (convenio, remote.path, remote.size, remote.modified) in known_uploads(settings)


def known_uploads(settings: Settings) -> set[tuple[str, str, int, str]]:
    """(convênio, path, size, modified) of every upload that already has its verdict."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        cursor.execute(
            "SELECT convenio, remote_path, size_bytes, remote_modified FROM reception.delivery "
            "WHERE remote_path IS NOT NULL AND status <> 'received'"
        )
        return {
            (row["convenio"], row["remote_path"], row["size_bytes"], row["remote_modified"])
            for row in cursor.fetchall()
        }


def _require_open(settings: Settings, delivery: Delivery) -> None:
    if delivery.status not in {"quarantined", "held", "received"}:
        raise ConflictError(
            f"a entrega {delivery.id} está '{STATUS_WORDS[delivery.status]}': só uma em quarentena "
            "ou à espera pode ser reprocessada"
        )
    _require_uncorrected(settings, delivery)


def _require_uncorrected(settings: Settings, delivery: Delivery) -> None:
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        correction = ledger.correction_of(cursor, delivery.id)
    if correction is not None:
        raise ConflictError(
            f"a entrega {delivery.id} já foi corrigida pela entrega {correction.id}: siga com essa"
        )


def _require_correctable(settings: Settings, original: Delivery) -> None:
    if original.status not in {"accepted", "loaded", "quarantined"} or not original.rows_rejected:
        raise ConflictError(
            f"a entrega {original.id} está '{STATUS_WORDS[original.status]}' e tem "
            f"{original.rows_rejected or 0} linhas rejeitadas: não há o que corrigir"
        )
    if place_of(settings, original) is not None:
        raise ConflictError(
            f"a entrega {original.id} é de um conjunto: corrija o arquivo e envie o conjunto de "
            "novo"
        )
    _require_uncorrected(settings, original)


def _known_correction(settings: Settings, original: Delivery, sha256: str) -> bool:
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        cursor.execute(
            "SELECT 1 FROM reception.delivery WHERE corrects = %s AND sha256 = %s",
            (original.id, sha256),
        )
        return cursor.fetchone() is not None
