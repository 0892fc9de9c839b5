"""Reception as the other rooms see it: receive a file, ask the ledger, replay a quarantined one.

Kill-safe by order: the bytes go to the archive, then the row ``received`` to the ledger, then the
delivery's files aside and renamed, then one transaction sets the verdict. Killed anywhere, the same
call completes it; a completed delivery is only read.
"""

from __future__ import annotations

from pathlib import Path

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConflictError, DataError, UnknownConvenio
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger
from zanc_pipeline.reception.archive import archive_path, store
from zanc_pipeline.reception.aside import aside
from zanc_pipeline.reception.ledger import STATUS_WORDS, Delivery, RemoteFile, Verdict
from zanc_pipeline.reception.outputs import write_folder
from zanc_pipeline.reception.process import UNKNOWN_CONVENIO, Processed, process

__all__ = [
    "UNKNOWN_CONVENIO",
    "Delivery",
    "RemoteFile",
    "get_delivery",
    "is_known",
    "known_uploads",
    "list_deliveries",
    "mark_loaded",
    "receive",
    "replay",
]

_APPLICATION = "reception"


def receive(
    settings: Settings, path: Path, convenio: str, *, remote: RemoteFile | None = None
) -> Delivery:
    """Receive one file: the delivery is accepted, quarantined or a duplicate, with the reason.

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
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        delivery = ledger.insert_received(
            cursor, convenio, name, archived.sha256, archived.size, remote
        )
    if delivery.status != "received":
        return delivery
    return _finish(settings, delivery)


def replay(settings: Settings, delivery_id: int, *, accept_volume: bool = False) -> Delivery:
    """Judge a quarantined (or half received) delivery again, with the layouts of now.

    Raises ConflictError for one that is accepted, loaded or a duplicate.
    """
    delivery = get_delivery(settings, delivery_id)
    if delivery.status not in {"quarantined", "received"}:
        raise ConflictError(
            f"a entrega {delivery_id} está '{STATUS_WORDS[delivery.status]}': só uma em quarentena "
            "pode ser reprocessada"
        )
    return _finish(settings, delivery, accept_volume=accept_volume)


def get_delivery(settings: Settings, delivery_id: int) -> Delivery:
    """One delivery. Raises DataError when there is none with this number."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        delivery = ledger.select(cursor, delivery_id)
    if delivery is None:
        raise DataError(f"não há entrega {delivery_id}: veja 'zanc reception deliveries'")
    return delivery


def list_deliveries(settings: Settings, convenio: str | None = None) -> list[Delivery]:
    """All deliveries (of one convênio), the newest first."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        return ledger.select_all(cursor, convenio)


def mark_loaded(settings: Settings, delivery_id: int) -> None:
    """Say that the CRM holds an accepted delivery; saying it again does nothing."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            "UPDATE reception.delivery SET status = 'loaded' WHERE id = %s AND status = 'accepted'",
            (delivery_id,),
        )


def is_known(settings: Settings, convenio: str, remote: RemoteFile) -> bool:
    """Whether this upload already has its verdict (one half received has none)."""
    return (convenio, remote.path, remote.size, remote.modified) in known_uploads(settings)


def known_uploads(settings: Settings) -> set[tuple[str, str, int, str]]:
    """(convênio, path, size, modified) of every upload that already has its verdict."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            "SELECT convenio, remote_path, size_bytes, remote_modified FROM reception.delivery "
            "WHERE remote_path IS NOT NULL AND status <> 'received'"
        )
        return {
            (row["convenio"], row["remote_path"], row["size_bytes"], row["remote_modified"])
            for row in cursor.fetchall()
        }


def _finish(settings: Settings, delivery: Delivery, *, accept_volume: bool = False) -> Delivery:
    content = archive_path(settings.var, delivery.sha256)
    if not content.is_file():
        raise DataError(
            f"entrega {delivery.id}: {content} não existe mais: receba o arquivo de novo"
        )
    twin = _twin(settings, delivery)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        previous = ledger.last_accepted_rows(cursor, delivery)
    with aside(settings.var) as files:
        result = (
            Processed(verdict=_duplicate(twin))
            if twin is not None
            else process(
                settings,
                delivery,
                content,
                previous_rows=previous,
                accept_volume=accept_volume,
                sink=files,
            )
        )
        write_folder(settings, delivery, result, files)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        now = ledger.select(cursor, delivery.id, lock=True)
        if now is not None and now.status != delivery.status:
            return now  # another process was faster; the same bytes gave it the same verdict
        return ledger.settle(cursor, delivery.id, result.verdict, result.rejected)


def _twin(settings: Settings, delivery: Delivery) -> Delivery | None:
    """The earlier delivery that this one repeats; one left half received is completed first."""
    if not delivery.size_bytes:
        return None
    while True:
        with transaction(settings, "zanc", application=_APPLICATION) as cursor:
            twin = ledger.same_content(cursor, delivery)
        if twin is None or twin.status != "received":
            return twin
        _finish(settings, twin)


def _duplicate(twin: Delivery) -> Verdict:
    about = (
        f"da entrega {twin.id} ('{twin.file_name}', {twin.received_at.astimezone(LOCAL):%d/%m/%Y})"
    )
    if twin.status == "quarantined":
        reason = f"mesmo conteúdo {about}, que está em quarentena: resolva aquela e reprocesse-a"
    else:
        reason = f"mesmo conteúdo {about}: não há nada a fazer"
    return Verdict(
        status="duplicate",
        reason=reason,
        duplicate_of=twin.id,
        reference_date=twin.reference_date,
    )
