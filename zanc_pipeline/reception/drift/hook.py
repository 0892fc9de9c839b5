"""Drift where a delivery gets its verdict: accepted as it is, read otherwise, or held.

The verdict by the layout in force comes first. Then the file is compared with the last accepted
one; another layout is tried only when something is wrong, and taken only when it is proved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.aside import ACCEPTED
from zanc_pipeline.reception.drift import store
from zanc_pipeline.reception.drift.compare import compare
from zanc_pipeline.reception.drift.content import content_of, written
from zanc_pipeline.reception.drift.diagnose import (
    Diagnosis,
    Trial,
    diagnose,
    remembered,
    too_many,
)
from zanc_pipeline.reception.drift.doubts import Doubt, OddRow
from zanc_pipeline.reception.drift.every_row import odd_rows, with_known
from zanc_pipeline.reception.drift.evidence import evidence, summary
from zanc_pipeline.reception.drift.facts import file_facts
from zanc_pipeline.reception.drift.fingerprint import (
    ARRIVED,
    RECEIVED,
    Fingerprint,
    Witness,
)
from zanc_pipeline.reception.drift.known import Known, known
from zanc_pipeline.reception.drift.members import Within, with_member
from zanc_pipeline.reception.drift.put_aside import OF_A_SET, REMEDY, of_sample, problems
from zanc_pipeline.reception.drift.sample import Hasher
from zanc_pipeline.reception.layout import Layout, SetLayout, load_layouts
from zanc_pipeline.reception.ledger import Delivery, Verdict
from zanc_pipeline.reception.problems import RowProblem
from zanc_pipeline.reception.process import Processed, layout_folders

RULE = "aspecto"
"""The rule that a person may overrule: the fields do not look like those of the last file."""

_OF_ITS_TURN = frozenset({"sequencia", "volume"})
"""Rules about when and how much a convênio sends: no other layout is looked for."""

Aside = Mapping[int, Sequence[RowProblem]]
"""Line → why that row alone is rejected."""

Again = Callable[[Layout | None, Witness, bool, Aside], Processed]
"""(another layout or None, who watches, whether the rows are to be kept, rows to be rejected) →
the file's verdict."""

Kept = Callable[[], Path]
"""The accepted rows of the last reading whose rows were to be kept."""


def hasher_of(settings: Settings) -> Hasher:
    """The keyed hashes of this installation."""
    return Hasher(settings.secret("fingerprint"))


def accepted_rows(settings: Settings, delivery_id: int) -> Path:
    """Where the accepted rows of a delivery are kept."""
    return settings.var / "deliveries" / str(delivery_id) / ACCEPTED


def judged(
    settings: Settings,
    delivery: Delivery,
    content: Path,
    again: Again,
    kept: Kept,
    decided: frozenset[str],
    confirmed: frozenset[int] = frozenset(),
    within: Within | None = None,
) -> Processed:
    """The verdict on a delivery with drift taken into account; it knows what to remember.

    ``confirmed`` are lines that a person sent back: they are not compared with the past. A file of
    a set is judged ``within`` it.
    """
    result, finding = _judged(settings, delivery, content, again, kept, decided, confirmed, within)
    if within is not None and finding is not None and finding.fingerprint is not None:
        own = replace(finding.fingerprint, member=within.member.name)
        finding = replace(finding, fingerprint=own)

    def remember(cursor: Any) -> None:
        store.keep(cursor, delivery.id, finding)

    result.remember = remember
    return result


def _judged(
    settings: Settings,
    delivery: Delivery,
    content: Path,
    again: Again,
    kept: Kept,
    decided: frozenset[str],
    confirmed: frozenset[int],
    within: Within | None,
) -> tuple[Processed, store.Finding | None]:
    hasher = hasher_of(settings)
    key = within.key if within is not None else None
    witness = Witness(hasher, key)
    result = again(None, witness, True, {})
    own = result.layout
    if own is None or result.verdict.status == "held" or not delivery.size_bytes:
        return result, None
    if any(not one.rule for one in result.findings):
        return result, None  # too old: the layout is not to blame
    with transaction(settings, "zanc", application="reception") as cursor:
        accepted = store.past(
            cursor, delivery, own.content, within.member.name if within is not None else ""
        )
    sample = witness.sample()
    accepted = {number: one for number, one in accepted.items() if one.key == sample.key}
    past_ids = [*accepted]
    past = [
        _lasting(with_known(one, accepted_rows(settings, number), own, hasher), own)
        for number, one in accepted.items()
    ]
    before, earlier = (past[0], past[1:]) if past else (None, [])
    first = _trial(own, result, witness, content, delivery, before)
    crm = known(settings, delivery.convenio, sample)
    if RULE in decided or before is None:
        found = Diagnosis(kind="fits", layout=own, trial=_taught(first, before))
        return result, _accepted(result, first, found)

    def attempt(layout: Layout) -> Trial:
        other = Witness(hasher, key)
        try:
            tried = again(layout, other, False, {})
        except ConfigError as error:
            return Trial(layout=layout, refusal=str(error))
        return _trial(layout, tried, other, content, delivery, before)

    if first.refusal is None and crm is not None and crm.doubts:
        first = replace(first, refusal=crm.doubts[0].text)
    if result.findings and set(result.verdict.rules) <= _OF_ITS_TURN:
        return _held(result, _beside(first, before, earlier)), store.Finding()
    older = _other_versions(settings, delivery, own, within)
    beside = _Past(
        settings=settings,
        ids=past_ids,
        before=before,
        earlier=earlier,
        hasher=hasher,
        confirmed=confirmed,
        within=within,
    )
    found = diagnose(
        first,
        content,
        before,
        hasher,
        attempt,
        older=older,
        earlier=earlier,
        confirmed=confirmed,
    )
    ruled = found.kind == "quarantine" and first.ruled and not found.doubts
    if found.kind == "fits" or ruled:
        odd = of_sample(found) | beside.odd_rows(found, kept)
        many = too_many({line: row.doubts for line, row in odd.items()}, first)
        if many:
            return _held(result, replace(found, doubts=tuple(many))), store.Finding()
        if odd:  # what goes aside counts in no rule: a file held for it is not held without it
            result = again(None, Witness(hasher, key), True, beside.problems(found, odd))
        if ruled and result.verdict.status != "accepted":
            return _held(result, found), store.Finding()
        if found.comparison is not None and found.comparison.insisted:
            count = len(found.comparison.insisted)
            result.adapted = [
                f"{count} linha(s) que tinham ficado de lado voltaram iguais: entraram."
            ]
        return result, _accepted(result, first, found)
    if found.kind == "quarantine":
        return _held(result, found), store.Finding()
    return _otherwise(
        settings, delivery, content, again, kept, result, found, own, hasher, crm, beside
    )


@dataclass(frozen=True, kw_only=True)
class _Past:
    """The accepted deliveries that a file is compared with, newest first."""

    settings: Settings
    ids: Sequence[int]
    before: Fingerprint
    earlier: Sequence[Fingerprint]
    hasher: Hasher
    confirmed: frozenset[int]
    within: Within | None

    def odd_rows(self, found: Diagnosis, kept: Kept) -> dict[int, OddRow]:
        """Line → what is odd in the accepted rows, of those that the sample left out."""
        files = (accepted_rows(self.settings, number) for number in self.ids)
        if found.trial.seen is None or found.layout.content != "carteira":
            return {}
        return odd_rows(
            kept(),
            [path for path in files if path.is_file()],
            found.trial.seen,
            self.before,
            self.earlier,
            found.layout,
            self.hasher,
            self.confirmed,
        )

    def problems(self, found: Diagnosis, odd: Mapping[int, OddRow]) -> Aside:
        """What a clerk reads of each odd row."""
        remedy = REMEDY if self.within is None else OF_A_SET
        return problems(self.settings, found.layout, odd, self.ids, self.before.key, remedy)

    def text_of(self, layout: Layout, notes: Sequence[str]) -> str:
        """The file of a layout, or of the set of which it is one member's."""
        if self.within is None:
            return written(content_of(layout), notes)
        whole = with_member(self.within.layout, self.within.member.name, content_of(layout))
        return written(whole, notes)


def _otherwise(
    settings: Settings,
    delivery: Delivery,
    content: Path,
    again: Again,
    kept: Kept,
    result: Processed,
    found: Diagnosis,
    own: Layout,
    hasher: Hasher,
    crm: Known | None,
    beside: _Past,
) -> tuple[Processed, store.Finding | None]:
    """Read by the other layout when that is proved; else held, with the other layout proposed."""
    said = summary(found, own)
    finding = store.Finding(
        status="proposed",
        layout=beside.text_of(
            found.layout,
            [f"Layout proposto a partir da entrega {delivery.id} ({delivery.file_name}).", said],
        ),
        summary=said,
        evidence=evidence(found, own, beside.before)
        | {"contratos_no_crm": [crm.found, crm.asked] if crm is not None else None},
    )
    if found.kind == "adapt":
        key = beside.before.key
        witness = Witness(hasher, key)
        odd = of_sample(found)
        adapted = again(found.layout, witness, True, beside.problems(found, odd))
        more = beside.odd_rows(found, kept) if adapted.verdict.status == "accepted" else {}
        if more:
            witness = Witness(hasher, key)
            adapted = again(found.layout, witness, True, beside.problems(found, odd | more))
        crm = known(settings, delivery.convenio, witness.sample())
        if adapted.verdict.status == "accepted" and not (crm is not None and crm.doubts):
            adapted.adapted = [f"O arquivo mudou e foi lido assim: {said}."]
            trial = _trial(found.layout, adapted, witness, content, delivery, beside.before)
            kept_of = remembered(replace(found, trial=trial), _rejected(adapted))
            taken = replace(finding, status="adapted", fingerprint=kept_of)
            return adapted, taken
        result = adapted
    why = found.why or result.verdict.reason or ""
    see = f"veja-o com 'zanc reception proposal {delivery.id}' e aprove-o ou recuse-o"
    if not delivery.id:
        see = "receba o arquivo para vê-lo e aprová-lo"
    result.verdict = replace(
        result.verdict,
        status="quarantined",
        rows_accepted=0,
        content_digest=None,
        layout_version=own.version,
        reason=f"o arquivo mudou ({said}): {why}; há um layout proposto: {see}",
    )
    return result, finding


def _lasting(before: Fingerprint, layout: Layout) -> Fingerprint:
    """``before`` without what is another one every day: the dates of payments."""
    if layout.content == "carteira":
        return before
    days = {field.name for field in layout.fields if field.type in {"data", "data_hora"}}
    kept = [place for place, name in enumerate(before.names) if name not in days]
    return replace(
        before,
        fields={name: one for name, one in before.fields.items() if name not in days},
        links={key: [row[place] for place in kept] for key, row in before.links.items()},
    )


def _other_versions(
    settings: Settings, delivery: Delivery, own: Layout, within: Within | None
) -> list[Layout]:
    """The convênio's other layouts for files of this name, the newest first."""
    layouts = load_layouts(*layout_folders(settings, delivery.convenio))
    if within is not None:
        return within.versions(layouts, own)
    return [
        layout
        for layout in reversed(layouts)
        if not isinstance(layout, SetLayout)
        and layout.version != own.version
        and any(pattern.match(delivery.file_name) for pattern in layout.patterns)
    ]


def _held(result: Processed, found: Diagnosis) -> Processed:
    if found.trial.refusal is not None and not found.doubts:
        if result.verdict.status == "accepted":
            result.verdict = _quarantined(result, f"{found.trial.refusal}: confirme com o credor")
        return result
    doubts = "; ".join(f"'{doubt.field}': {doubt.text}" for doubt in found.doubts[:4])
    ruled = f"{result.verdict.reason}; além disso, " if result.verdict.rules else ""
    result.verdict = _quarantined(
        result,
        f"{ruled}o arquivo cabe no layout, mas não se parece com o último aceito ({doubts}): "
        "confirme com o credor e, se estiver certo, aceite a regra 'aspecto'",
    )
    return result


def _quarantined(result: Processed, reason: str) -> Verdict:
    rules = dict.fromkeys((*result.verdict.rules, RULE))
    return replace(
        result.verdict,
        status="quarantined",
        reason=reason,
        rows_accepted=0,
        content_digest=None,
        rules=tuple(rules),
    )


def _beside(first: Trial, before: Fingerprint, earlier: Sequence[Fingerprint]) -> Diagnosis:
    """What speaks against a file beside the rules that hold it already."""
    doubts: list[Doubt] = []
    if first.seen is not None:
        comparison = compare(first.seen, before, earlier)
        doubts = [*comparison.doubts, *too_many(comparison.aside, first)]
    return Diagnosis(kind="quarantine", layout=first.layout, trial=first, doubts=tuple(doubts))


def _trial(
    layout: Layout,
    result: Processed,
    witness: Witness,
    content: Path,
    delivery: Delivery,
    before: Fingerprint | None,
) -> Trial:
    seen = result.validation
    refused = result.verdict.status != "accepted"
    day = result.verdict.reference_date or delivery.received_at.astimezone(LOCAL).date()
    named = any(
        match.reference_date
        for pattern in layout.patterns
        if (match := pattern.match(delivery.file_name))
    )
    arrived = {ARRIVED if named else RECEIVED: day.isoformat()}
    return Trial(
        layout=layout,
        refusal=result.verdict.reason if refused else None,
        ruled=refused and bool(result.verdict.rules),
        rows=seen.rows_total if seen else 0,
        rejected=seen.rows_rejected if seen else 0,
        emptied=sum(seen.warnings.values()) if seen else 0,
        seen=witness.fingerprint(layout, file_facts(layout, content) | arrived, before)
        if seen
        else None,
    )


def _taught(trial: Trial, before: Fingerprint | None) -> Trial:
    """What a person accepted teaches how many contracts come again, and how many values change."""
    if trial.seen is None or before is None:
        return trial
    found = compare(trial.seen, before, taught=True)
    overlap = round(found.overlap, 4)
    return replace(
        trial, seen=replace(trial.seen, overlap=overlap, history=found.history, steps=found.steps)
    )


def _rejected(result: Processed) -> frozenset[int]:
    return frozenset(row.line for row in result.rejected)


def _accepted(result: Processed, first: Trial, found: Diagnosis) -> store.Finding | None:
    if result.verdict.status != "accepted" or first.seen is None:
        return None
    return store.Finding(fingerprint=remembered(found, _rejected(result)))
