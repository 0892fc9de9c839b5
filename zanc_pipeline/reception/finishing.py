"""From ``received`` to a verdict, once: read, judge, write the folder, settle; then what waited.

Killed anywhere, the same call completes it. Another process may do the same at the same time: the
last transaction finds out.
"""

from __future__ import annotations

from collections.abc import Sequence

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger
from zanc_pipeline.reception.aside import (
    AsideFiles,
    aside,
)
from zanc_pipeline.reception.finishing_sets import finish_member
from zanc_pipeline.reception.history import Gap, judge_sequence
from zanc_pipeline.reception.joining import Parts, place_of
from zanc_pipeline.reception.ledger import Decision, Delivery, Standing, Verdict
from zanc_pipeline.reception.outputs import write_folder
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import (
    UNKNOWN_CONVENIO,
    Processed,
    business_day,
    choose_layout,
)
from zanc_pipeline.reception.verdicts import (
    APPLICATION,
    chain_of,
    content_of,
    duplicate,
    get,
    judge_chain,
    unchanged,
)


def finish(settings: Settings, delivery: Delivery) -> Delivery:
    """Give a delivery its verdict, then finish those that waited for it."""
    _finish_alone(settings, delivery)
    resume(settings, delivery.convenio)
    return get(settings, delivery.id)


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
        turn = judge_sequence(mode, facts.sequence, day, standing.of(layout.content))
        if not isinstance(turn, Gap):
            return delivery
    return None


def _decided(settings: Settings, delivery: Delivery) -> frozenset[str]:
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        return frozenset(one.rule for one in ledger.decisions(cursor, delivery.id))


def _finish_alone(settings: Settings, delivery: Delivery) -> None:
    chain = chain_of(settings, delivery)
    for one in chain:
        content_of(settings, one)
    twin = _twin(settings, delivery) if len(chain) == 1 else None
    single = len(chain) > 1 or delivery.convenio == UNKNOWN_CONVENIO
    place = None if single else place_of(settings, delivery)
    # A set is sent again whole though one file of it changed: the others are no duplicates alone.
    if place is not None and (twin is None or twin.status in {"accepted", "loaded"}):
        finish_member(settings, delivery, place, twin)
        return
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        decided = ledger.decisions(cursor, delivery.id)
    with aside(settings.var) as files:
        if twin is not None:
            standing, result = None, Processed(verdict=duplicate(twin, "mesmo conteúdo"))
        else:
            with transaction(settings, "zanc", application=APPLICATION) as cursor:
                standing = ledger.standing(cursor, chain[0])
            rules = frozenset(one.rule for one in decided)
            result = judge_chain(settings, chain, files, rules, standing)
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
        if not unchanged(cursor, [delivery]):
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
