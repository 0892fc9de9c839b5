"""Reception as the other rooms see it: receive a file, ask the ledger, decide, correct, replay.

Kill-safe by order: the bytes go to the archive, then the row ``received`` to the ledger, then the
delivery's files aside and renamed, then one transaction sets the verdict. Killed anywhere, the same
call completes it; a completed delivery is only read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConflictError, DataError, UnknownConvenio
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger, sender
from zanc_pipeline.reception.archive import archive_path, store
from zanc_pipeline.reception.aside import (
    ACCEPTED,
    REJECTED_LINES,
    AsideFiles,
    aside,
    rejected_lines,
)
from zanc_pipeline.reception.content import same_rows
from zanc_pipeline.reception.corrections import Corrections, Rows, merged, read_corrections
from zanc_pipeline.reception.findings import RULES
from zanc_pipeline.reception.history import Gap, judge_sequence
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.ledger import STATUS_WORDS, Decision, Delivery, RemoteFile, Verdict
from zanc_pipeline.reception.outputs import HTML_REPORT, TEXT_REPORT, write_folder
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import (
    UNKNOWN_CONVENIO,
    Processed,
    business_day,
    choose_layout,
    process,
)

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


def replay(settings: Settings, delivery_id: int) -> Delivery:
    """Judge a delivery again that is in quarantine, waits, or is half received.

    It is judged by the layouts, the treatment, the history and the decisions of now. Raises
    ConflictError for one that is accepted, loaded, a duplicate, or corrected by another.
    """
    delivery = get_delivery(settings, delivery_id)
    _require_open(settings, delivery)
    return _finish(settings, delivery)


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
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        for rule in rules:
            ledger.decide(cursor, delivery_id, rule, by=by, reason=reason)
    return _finish(settings, delivery)


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


def resume(settings: Settings, convenio: str) -> list[Delivery]:
    """Finish the deliveries of ``convenio`` whose wait is over, in their order.

    Every reception does this at its end; call it when one was killed just then.
    """
    finished: list[Delivery] = []
    while True:
        delivery = _next_turn(settings, convenio)
        if delivery is None:
            return finished
        done = _finish_alone(settings, delivery)
        if done.status == "held":
            return finished
        finished.append(done)


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
        _rows(settings, original, path)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
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
    return _finish(settings, delivery)


def decisions(settings: Settings, delivery_id: int) -> list[Decision]:
    """What persons decided about a delivery, the oldest first."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
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


def _require_open(settings: Settings, delivery: Delivery) -> None:
    if delivery.status not in {"quarantined", "held", "received"}:
        raise ConflictError(
            f"a entrega {delivery.id} está '{STATUS_WORDS[delivery.status]}': só uma em quarentena "
            "ou à espera pode ser reprocessada"
        )
    _require_uncorrected(settings, delivery)


def _require_uncorrected(settings: Settings, delivery: Delivery) -> None:
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
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
    _require_uncorrected(settings, original)


def _known_correction(settings: Settings, original: Delivery, sha256: str) -> bool:
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            "SELECT 1 FROM reception.delivery WHERE corrects = %s AND sha256 = %s",
            (original.id, sha256),
        )
        return cursor.fetchone() is not None


def _rows(settings: Settings, original: Delivery, path: Path) -> Rows:
    """The corrected rows in ``path``, which may correct only what ``original`` rejected."""
    chain = _chain(settings, original)
    try:
        layout, _ = choose_layout(settings, chain[0])
    except FileRejected as refusal:
        raise DataError(str(refusal)) from None
    folder = settings.var / "deliveries" / str(original.id)
    return read_corrections(path, layout.fields, rejected_lines(folder / REJECTED_LINES))


def _chain(settings: Settings, delivery: Delivery) -> list[Delivery]:
    """The delivery whose bytes came from the creditor, and its corrections up to this one."""
    chain = [delivery]
    while chain[0].corrects is not None:
        chain.insert(0, get_delivery(settings, chain[0].corrects))
    return chain


def _next_turn(settings: Settings, convenio: str) -> Delivery | None:
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        waiting = [(one, ledger.standing(cursor, one)) for one in ledger.held(cursor, convenio)]
    for delivery, standing in waiting:
        try:
            layout, facts = choose_layout(settings, delivery)
        except FileRejected:
            return delivery  # the layout changed: its verdict is another one now
        day = business_day(delivery, facts)
        turn = judge_sequence(layout.sequence, facts.sequence, day, standing.past)
        if not isinstance(turn, Gap):
            return delivery
    return None


def _finish(settings: Settings, delivery: Delivery) -> Delivery:
    done = _finish_alone(settings, delivery)
    resume(settings, delivery.convenio)
    return done


def _finish_alone(settings: Settings, delivery: Delivery, *, again: bool = False) -> Delivery:
    chain = _chain(settings, delivery)
    for one in chain:
        content = archive_path(settings.var, one.sha256)
        if not content.is_file():
            raise DataError(
                f"entrega {one.id}: {content} não existe mais: receba o arquivo de novo"
            )
    twin = _twin(settings, delivery) if len(chain) == 1 else None
    decided = decisions(settings, delivery.id)
    with aside(settings.var) as files:
        result = (
            Processed(verdict=_duplicate(twin, "mesmo conteúdo"))
            if twin is not None
            else _judge(settings, chain, files, frozenset(one.rule for one in decided))
        )
        write_folder(settings, delivery, result, files, decided)
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        ledger.lock_convenio(cursor, delivery.convenio)
        now = ledger.select(cursor, delivery.id, lock=True)
        if now is not None and now.status != delivery.status:
            return now  # another process was faster; the same bytes gave it the same verdict
        digest = result.verdict.content_digest
        raced = (
            not again
            and len(chain) == 1
            and digest is not None
            and ledger.same_rows(cursor, delivery, digest) is not None
        )
        if not raced:
            return ledger.settle(cursor, delivery.id, result.verdict, result.rejected)
    return _finish_alone(settings, delivery, again=True)  # the same rows were accepted meanwhile


def _judge(
    settings: Settings, chain: list[Delivery], files: AsideFiles, decided: frozenset[str]
) -> Processed:
    """The verdict on the bytes of the first of ``chain``, with the corrections of the others."""
    root, delivery = chain[0], chain[-1]
    content = archive_path(settings.var, root.sha256)
    corrections: Corrections | None = None
    if delivery is not root:
        try:
            corrections = merged(
                [
                    _rows(settings, before, archive_path(settings.var, one.sha256))
                    for before, one in pairwise(chain)
                ]
            )
        except DataError as error:
            folder = f"deliveries/{delivery.id}"
            return Processed(
                verdict=Verdict(status="quarantined", reason=str(error), folder=folder)
            )
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        standing = ledger.standing(cursor, root)
    repeated: list[Delivery] = []

    def repeats(digest: str) -> bool:
        with transaction(settings, "zanc", application=_APPLICATION) as cursor:
            other = ledger.same_rows(cursor, delivery, digest)
        if other is None:
            return False
        files.finish()
        kept = settings.var / "deliveries" / str(other.id) / ACCEPTED
        if kept.is_file() and same_rows(files.folder / ACCEPTED, kept):
            repeated.append(other)
        return bool(repeated)

    with Judge(
        settings=settings,
        delivery=delivery,
        standing=standing,
        decided=decided,
        root=root.id if delivery is not root else None,
        better_than=(chain[-2].rows_accepted or 0) if delivery is not root else None,
        repeats=repeats if delivery is root else lambda _digest: False,
    ) as judge:
        # A correction is read as the file that it corrects: by that file's name and size.
        same = replace(delivery, file_name=root.file_name, size_bytes=root.size_bytes)
        result = process(settings, same, content, judge=judge, corrections=corrections, sink=files)
    if repeated:
        result.verdict = _duplicate(repeated[0], "mesmas linhas, em outra ordem ou escrita,")
        return result
    if result.verdict.status == "quarantined" and not result.findings:
        result.verdict = _with_hint(settings, root, content, result.verdict)
    return result


def _with_hint(settings: Settings, root: Delivery, content: Path, verdict: Verdict) -> Verdict:
    whose = sender.whose(settings, root.convenio, root.file_name, content)
    return verdict if whose is None else replace(verdict, reason=f"{verdict.reason}; {whose}")


def _twin(settings: Settings, delivery: Delivery) -> Delivery | None:
    """The earlier delivery that this one repeats; one left half received is completed first."""
    if not delivery.size_bytes:
        return None
    while True:
        with transaction(settings, "zanc", application=_APPLICATION) as cursor:
            twin = ledger.same_content(cursor, delivery)
        if twin is None or twin.status != "received":
            return twin
        _finish_alone(settings, twin)


def _duplicate(twin: Delivery, what: str) -> Verdict:
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
