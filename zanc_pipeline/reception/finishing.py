"""From ``received`` to a verdict, once: read, judge, write the folder, settle; then what waited.

Killed anywhere, the same call completes it. Another process may do the same at the same time: the
last transaction finds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import joining, ledger, sender
from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.archive import archive_path
from zanc_pipeline.reception.aside import (
    ACCEPTED,
    REJECTED_LINES,
    AsideFiles,
    aside,
    rejected_lines,
)
from zanc_pipeline.reception.content import same_rows
from zanc_pipeline.reception.corrections import Corrections, Rows, merged, read_corrections
from zanc_pipeline.reception.drift.fingerprint import Witness
from zanc_pipeline.reception.drift.hook import judged as judged_with_drift
from zanc_pipeline.reception.history import Gap, judge_sequence
from zanc_pipeline.reception.joining import Parts, Place, place_of
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.layout import Layout
from zanc_pipeline.reception.ledger import Decision, Delivery, Standing, Verdict
from zanc_pipeline.reception.outputs import write_folder
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import (
    UNKNOWN_CONVENIO,
    Processed,
    business_day,
    choose_layout,
    process,
)

APPLICATION = "reception"


def finish(settings: Settings, delivery: Delivery) -> Delivery:
    """Give a delivery its verdict, then finish those that waited for it."""
    _finish_alone(settings, delivery)
    resume(settings, delivery.convenio)
    return get(settings, delivery.id)


def get(settings: Settings, delivery_id: int) -> Delivery:
    """One delivery. Raises DataError when there is none with this number."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        delivery = ledger.select(cursor, delivery_id)
    if delivery is None:
        raise DataError(f"não há entrega {delivery_id}: veja 'zanc reception deliveries'")
    return delivery


def resume(settings: Settings, convenio: str) -> list[Delivery]:
    """Finish the deliveries of ``convenio`` whose wait is over, in their order.

    Every reception does this at its end; call it when one was killed just then.
    """
    finished: list[Delivery] = []
    while True:
        delivery = _next_turn(settings, convenio)
        if delivery is None:
            return finished
        _finish_alone(settings, delivery)
        done = get(settings, delivery.id)
        if done.status == "held":
            return finished
        finished.append(done)


def corrected_rows(settings: Settings, original: Delivery, path: Path) -> Rows:
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
        chain.insert(0, get(settings, chain[0].corrects))
    return chain


def _next_turn(settings: Settings, convenio: str) -> Delivery | None:
    """The first delivery that waits for nothing any more."""
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        waiting = [(one, ledger.standing(cursor, one)) for one in ledger.held(cursor, convenio)]
    for delivery, standing in waiting:
        try:
            layout, facts = choose_layout(settings, delivery)
        except FileRejected:
            return delivery  # the layout changed: its verdict is another one now
        place = place_of(settings, delivery)
        if place is not None:
            parts = Parts.among(settings, place, [one for one, _ in waiting])
            if not place.member.main or not parts.complete(_decided(settings, delivery)):
                continue
        mode = layout.sequence if place is None else place.layout.sequence
        day = business_day(delivery, facts)
        turn = judge_sequence(mode, facts.sequence, day, standing.past)
        if not isinstance(turn, Gap):
            return delivery
    return None


def _decided(settings: Settings, delivery: Delivery) -> frozenset[str]:
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        return frozenset(one.rule for one in ledger.decisions(cursor, delivery.id))


def _finish_alone(settings: Settings, delivery: Delivery) -> None:
    chain = _chain(settings, delivery)
    for one in chain:
        _content(settings, one)
    twin = _twin(settings, delivery) if len(chain) == 1 else None
    single = len(chain) > 1 or delivery.convenio == UNKNOWN_CONVENIO
    place = None if single else place_of(settings, delivery)
    # A set is sent again whole though one file of it changed: the others are no duplicates alone.
    if place is not None and (twin is None or twin.status in {"accepted", "loaded"}):
        _finish_member(settings, delivery, place, twin)
        return
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        decided = ledger.decisions(cursor, delivery.id)
    with aside(settings.var) as files:
        if twin is not None:
            standing, result = None, Processed(verdict=_duplicate(twin, "mesmo conteúdo"))
        else:
            with transaction(settings, "zanc", application=APPLICATION) as cursor:
                standing = ledger.standing(cursor, chain[0])
            rules = frozenset(one.rule for one in decided)
            result = _judge(settings, chain, files, rules, standing)
        files.finish()
        if _settled(settings, chain, standing, result, files, decided):
            return
    _finish_alone(settings, delivery)  # others were accepted meanwhile


def _settled(
    settings: Settings,
    chain: list[Delivery],
    standing: Standing | None,
    result: Processed,
    files: AsideFiles,
    decided: Sequence[Decision],
) -> bool:
    """Write the folder and the verdict, with other receptions of the convênio kept out.

    False, and nothing is written, when the convênio accepted another delivery since: the verdict
    rests on what it had accepted.
    """
    root, delivery = chain[0], chain[-1]
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        ledger.lock_convenio(cursor, delivery.convenio)
        if not _unchanged(cursor, [delivery]):
            return True  # another process was faster
        if standing is not None and ledger.standing(cursor, root) != standing:
            return False
        rival = ledger.correction_of(cursor, chain[-2].id) if root is not delivery else None
        if rival is not None and rival.id != delivery.id:
            result = Processed(verdict=_outdone(chain[-2], rival, delivery))
        write_folder(settings, delivery, result, files, decided)
        ledger.settle(cursor, delivery.id, result.verdict, result.rejected)
        if result.remember is not None:
            result.remember(cursor)
    return True


def _content(settings: Settings, delivery: Delivery) -> Path:
    content = archive_path(settings.var, delivery.sha256)
    if not content.is_file():
        raise DataError(
            f"entrega {delivery.id}: {content} não existe mais: receba o arquivo de novo"
        )
    return content


@dataclass(kw_only=True)
class _Repeats:
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
        return _duplicate(self.found[0], "mesmas linhas, em outra ordem ou escrita,")


def _judge(
    settings: Settings,
    chain: list[Delivery],
    files: AsideFiles,
    decided: frozenset[str],
    standing: Standing,
) -> Processed:
    """The verdict on the bytes of the first of ``chain``, with the corrections of the others."""
    root, delivery = chain[0], chain[-1]
    content = archive_path(settings.var, root.sha256)
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
    repeats = _Repeats(settings=settings, delivery=delivery, files=files)
    # A correction is read as the file that it corrects: by that file's name and size.
    same = replace(delivery, file_name=root.file_name, size_bytes=root.size_bytes)

    def read(layout: Layout | None, witness: Witness, keep: bool) -> Processed:
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
            )

    result = judged_with_drift(settings, same, content, read, decided)
    if repeats.found:
        result.remember = None
        result.verdict = repeats.verdict
        return result
    if result.verdict.status == "quarantined" and not result.findings:
        result.verdict = _with_hint(settings, root, content, result.verdict)
    return result


def _finish_member(
    settings: Settings, delivery: Delivery, place: Place, twin: Delivery | None
) -> None:
    """One file of a set: it waits, or, as the last one that the main one missed, all are joined.

    ``twin`` is the accepted delivery with the same bytes, when there is one.
    """
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        waiting = {one.id: one for one in ledger.held(cursor, delivery.convenio)}
        decided = ledger.decisions(cursor, delivery.id)
    parts = Parts.among(settings, place, (waiting | {delivery.id: delivery}).values())
    rules = frozenset(one.rule for one in decided)
    name = place.member.name
    ready = place.member.main and parts.complete(rules) and parts.found[name].id == delivery.id
    chosen = dict(parts.found) if ready else {name: delivery}
    results: dict[str, Processed] = {}
    with ExitStack() as stack:
        files = {one: stack.enter_context(aside(settings.var)) for one in chosen}
        tables = {
            one.name: accepted_schema(one.layout).empty_table() for one in place.layout.members
        }
        for one, part in chosen.items():
            own = place_of(settings, part) or place
            content = _content(settings, part)
            results[one], tables[one] = joining.read_member(
                settings, own, part, content, files[one]
            )
        standing: Standing | None = None
        if ready and all(result.verdict.status == "accepted" for result in results.values()):
            standing = _join(settings, delivery, place, rules, results, tables, files)
        else:
            for result in results.values():
                _hold(result, parts, twin)
        for kept in files.values():
            kept.finish()
        with transaction(settings, "zanc", application=APPLICATION) as cursor:
            ledger.lock_convenio(cursor, delivery.convenio)
            replaced = parts.replaced if ready else {}
            if not _unchanged(cursor, [*chosen.values(), *_some(waiting, replaced)]):
                return  # another process was faster
            stale = standing is not None and ledger.standing(cursor, delivery) != standing
            if not stale:
                for one, part in chosen.items():
                    write_folder(settings, part, results[one], files[one], decided if ready else ())
                    ledger.settle(cursor, part.id, results[one].verdict, results[one].rejected)
                for old, newer in replaced.items():
                    ledger.settle(cursor, old, _replaced(newer), ())
    if stale:
        _finish_member(settings, delivery, place, twin)


def _join(
    settings: Settings,
    delivery: Delivery,
    place: Place,
    rules: frozenset[str],
    results: Mapping[str, Processed],
    tables: Mapping[str, pa.Table],
    files: Mapping[str, AsideFiles],
) -> Standing:
    """Set the verdicts of a whole set; what the convênio had accepted when they were found."""
    main = place.member.name
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        standing = ledger.standing(cursor, delivery)
    repeats = _Repeats(settings=settings, delivery=delivery, files=files[main])
    with Judge(
        settings=settings,
        delivery=delivery,
        standing=standing,
        decided=rules,
        repeats=repeats,
    ) as judge:
        joining.join(place, judge, results, tables, files)
    if repeats.found:
        results[main].verdict = repeats.verdict
    done = results[main].verdict.status in {"accepted", "duplicate"}
    for name, result in results.items():
        if name != main:
            about = f"a entrega {delivery.id} ('{delivery.file_name}')"
            result.verdict = replace(
                result.verdict,
                status="joined" if done else "held",
                reason=f"juntado com {about}" if done else f"o conjunto espera {about}",
            )
    return standing


def _hold(result: Processed, parts: Parts, twin: Delivery | None) -> None:
    if result.verdict.status != "accepted":
        return
    main = parts.place.member.main
    known = f"; a entrega {twin.id} já trouxe este mesmo arquivo" if twin is not None else ""
    result.verdict = replace(
        result.verdict,
        status="held",
        reason=(parts.wait if parts.missing else "aguardando ser juntado ao conjunto") + known,
        rules=(joining.RULE,) if main and parts.missing else (),
    )


def _replaced(newer: Delivery) -> Verdict:
    return Verdict(
        status="duplicate",
        reason=f"a entrega {newer.id} trouxe de novo este arquivo do conjunto: vale aquela",
        duplicate_of=newer.id,
    )


def _some(waiting: Mapping[int, Delivery], numbers: Iterable[int]) -> list[Delivery]:
    return [waiting[number] for number in numbers if number in waiting]


def _unchanged(cursor: Any, deliveries: Iterable[Delivery]) -> bool:
    """Whether all of them are still as they were read; nobody changes them until the end."""
    found = [(one, ledger.select(cursor, one.id, lock=True)) for one in deliveries]
    return all(now is not None and now.status == one.status for one, now in found)


def _with_hint(settings: Settings, root: Delivery, content: Path, verdict: Verdict) -> Verdict:
    whose = sender.whose(settings, root.convenio, root.file_name, content)
    return verdict if whose is None else replace(verdict, reason=f"{verdict.reason}; {whose}")


def _twin(settings: Settings, delivery: Delivery) -> Delivery | None:
    """The earlier delivery that this one repeats; one left half received is completed first."""
    if not delivery.size_bytes:
        return None
    while True:
        with transaction(settings, "zanc", application=APPLICATION) as cursor:
            twin = ledger.same_content(cursor, delivery)
        if twin is None or twin.status != "received":
            return twin
        _finish_alone(settings, twin)


def _outdone(original: Delivery, rival: Delivery, delivery: Delivery) -> Verdict:
    return Verdict(
        status="quarantined",
        reason=f"a entrega {original.id} já foi corrigida pela entrega {rival.id}: siga com essa",
        folder=f"deliveries/{delivery.id}",
    )


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
