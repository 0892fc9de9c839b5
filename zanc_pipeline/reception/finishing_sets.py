"""Files that make a portfolio together: each waits, and the last one that was missing joins all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace

import pyarrow as pa

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import joining, ledger
from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.aside import AsideFiles, aside
from zanc_pipeline.reception.joining import Parts, Place, place_of
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.ledger import Delivery, Standing, Verdict
from zanc_pipeline.reception.outputs import write_folder
from zanc_pipeline.reception.process import Processed
from zanc_pipeline.reception.verdicts import APPLICATION, Repeats, content_of, unchanged


def finish_member(
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
        with transaction(settings, "zanc", application=APPLICATION) as cursor:
            overruled = {
                one: frozenset(said.rule for said in ledger.decisions(cursor, part.id))
                for one, part in chosen.items()
            }
        for one, part in chosen.items():
            own = place_of(settings, part) or place
            content = content_of(settings, part)
            results[one], tables[one] = joining.read_member(
                settings, own, part, content, files[one], overruled[one]
            )
        standing: Standing | None = None
        if ready and all(result.verdict.status == "accepted" for result in results.values()):
            standing = _join(settings, delivery, place, rules, results, tables, files)
        else:
            for result in results.values():
                _hold(result, parts, twin)
        for one, kept in files.items():
            if results[one].verdict.status == "joined":
                kept.accept(tables[one])
            kept.finish()
        with transaction(settings, "zanc", application=APPLICATION) as cursor:
            ledger.lock_convenio(cursor, delivery.convenio)
            replaced = parts.replaced if ready else {}
            if not unchanged(cursor, [*chosen.values(), *_some(waiting, replaced)]):
                return  # another process was faster
            stale = standing is not None and ledger.standing(cursor, delivery) != standing
            if not stale:
                for one, part in chosen.items():
                    write_folder(settings, part, results[one], files[one], decided if ready else ())
                    ledger.settle(cursor, part.id, results[one].verdict, results[one].rejected)
                    remember = results[one].remember
                    if remember is not None:
                        remember(cursor)
                for old, newer in replaced.items():
                    ledger.settle(cursor, old, _replaced(newer), ())
    if stale:
        finish_member(settings, delivery, place, twin)


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
    repeats = Repeats(settings=settings, delivery=delivery, files=files[main])
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
