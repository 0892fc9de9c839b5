"""What to do with a file that is not like the last accepted one: the judgement of drift.

``fits``: the layout in force reads it, and every field holds what it held. ``adapt``: another
layout reads it, nothing is lost and every field is proved. ``propose``: another layout reads it,
but a person has to decide. ``quarantine``: no layout explains it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from zanc_pipeline.reception.drift.candidates import Candidate, candidates
from zanc_pipeline.reception.drift.compare import Comparison, compare
from zanc_pipeline.reception.drift.content import content_of
from zanc_pipeline.reception.drift.doubts import ENOUGH, Doubt
from zanc_pipeline.reception.drift.ending import CUT, OPEN, ending
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.past import unlinked
from zanc_pipeline.reception.drift.sample import Hasher, Token
from zanc_pipeline.reception.layout import REQUIRED, Layout
from zanc_pipeline.reception.validate import spared_of

Kind = Literal["fits", "adapt", "propose", "quarantine"]

REJECTED_SHARE = 0.01
"""Rows that an adapted layout may reject: a file that needs more is looked at by a person."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A file read and judged by one layout; ``refusal`` says why it would be quarantined."""

    layout: Layout
    refusal: str | None
    ruled: bool = False
    """Whether it is refused by rules that a person may overrule, not for how it is written."""
    rows: int = 0
    rejected: int = 0
    emptied: int = 0
    seen: Fingerprint | None = None


Attempt = Callable[[Layout], Trial]
Beside = Callable[[Fingerprint], Comparison]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The judgement. ``layout`` is the one to read by: the layout in force, or the other one."""

    kind: Kind
    layout: Layout
    content: dict[str, Any] = field(default_factory=dict)
    """The other layout's keys, when there is one."""
    trial: Trial
    comparison: Comparison | None = None
    doubts: tuple[Doubt, ...] = ()
    candidate: Candidate | None = None
    why: str = ""
    """Why it is not adapted by itself, in Portuguese."""

    @property
    def aside(self) -> dict[int, list[Doubt]]:
        """Line of the file → why that row alone is not to be loaded."""
        seen = self.trial.seen
        if self.comparison is None or seen is None or seen.at_hand is None:
            return {}
        return {seen.at_hand.lines[key]: why for key, why in self.comparison.aside.items()}


def diagnose(
    first: Trial,
    path: Path,
    before: Fingerprint | None,
    hasher: Hasher,
    attempt: Attempt,
    *,
    older: Iterable[Layout] = (),
    earlier: Sequence[Fingerprint] = (),
    confirmed: Collection[int] = (),
) -> Diagnosis:
    """Judge a file that ``first`` read by the layout in force, beside the last accepted one.

    ``older`` are other versions of the layout, the best first: a creditor may be back to one.
    ``earlier`` are fingerprints from before ``before``, the newest first. A person confirmed the
    rows of the lines ``confirmed``.
    """
    if before is None:
        kind: Kind = "quarantine" if first.refusal else "fits"
        return Diagnosis(kind=kind, layout=first.layout, trial=first)

    past = [before, *earlier]
    if first.layout.content != "carteira":
        past = [unlinked(one) for one in past]

    def beside(seen: Fingerprint) -> Comparison:
        lines = seen.at_hand.lines if seen.at_hand is not None and confirmed else {}
        right = {key for key, line in lines.items() if line in confirmed}
        return compare(seen, past[0], past[1:], right)

    comparison = beside(first.seen) if first.seen is not None else None
    _hold_many(comparison, first)
    if first.refusal is None and comparison is not None and not comparison.doubts:
        return Diagnosis(kind="fits", layout=first.layout, trial=first, comparison=comparison)
    readable = first.refusal is None or first.ruled
    doubts = tuple(comparison.doubts) if comparison is not None and readable else ()
    if first.ruled and not doubts:
        return Diagnosis(kind="quarantine", layout=first.layout, trial=first, comparison=comparison)
    best: Diagnosis | None = None
    for layout in older:
        back = _back_to(layout, attempt(layout), beside)
        if back is not None and ending(first.layout, layout, path) is None:
            return back
    for candidate in candidates(first.layout, path, before, hasher):
        found = _judged(candidate, attempt(candidate.layout), before, beside, first.layout, path)
        if found is not None and (best is None or _rank(found) > _rank(best)):
            best = found
        if best is not None and best.kind == "adapt":
            break
    if best is not None and not (readable and len(best.doubts) >= len(doubts) > 0):
        return best  # a reading that leaves as much in doubt explains nothing
    return Diagnosis(
        kind="quarantine", layout=first.layout, trial=first, comparison=comparison, doubts=doubts
    )


def too_many(aside: Mapping[int, Sequence[Doubt]], trial: Trial) -> list[Doubt]:
    """Doubts about the file, when rows put aside one by one are too many, with those rejected."""
    room = trial.layout.limits.rejected_share * trial.rows
    spared = spared_of(len(aside), trial.rows)
    if len(aside) == spared or len(aside) + trial.rejected - spared <= room:
        return []
    kinds = Counter((one.field, one.kind) for why in aside.values() for one in why)
    return [
        next(
            replace(one, text=f"{one.text} ({count} de {trial.rows} linhas)")
            for why in aside.values()
            for one in why
            if (one.field, one.kind) == kind
        )
        for kind, count in kinds.most_common(3)
    ]


def _hold_many(comparison: Comparison | None, trial: Trial) -> None:
    if comparison is not None:
        comparison.doubts += too_many(comparison.aside, trial)


def _back_to(layout: Layout, trial: Trial, beside: Beside) -> Diagnosis | None:
    """Another version of the layout, when it reads the file and nothing speaks against it."""
    if trial.refusal is not None or trial.seen is None:
        return None
    comparison = beside(trial.seen)
    _hold_many(comparison, trial)
    if comparison.doubts:
        return None
    proved = comparison.linked >= ENOUGH and trial.rejected <= REJECTED_SHARE * trial.rows
    return Diagnosis(
        kind="adapt" if proved else "propose",
        layout=layout,
        content=content_of(layout),
        trial=trial,
        comparison=comparison,
        why="" if proved else "é como outra versão do layout o lia, mas não há como provar",
    )


def _rank(found: Diagnosis) -> tuple[bool, int]:
    return (found.kind == "adapt", -len(found.doubts))


def _judged(
    candidate: Candidate,
    trial: Trial,
    before: Fingerprint,
    beside: Beside,
    own: Layout,
    path: Path,
) -> Diagnosis | None:
    if trial.refusal is not None or trial.seen is None:
        return None
    if any(name in candidate.missing for name in REQUIRED):
        return None
    if {one.name for one in candidate.layout.fields} <= {before.key.name}:
        return None  # nothing would be left of its rows but whose they are
    end = ending(own, candidate.layout, path)
    if end == CUT:
        return None
    comparison = beside(trial.seen)
    _hold_many(comparison, trial)
    why = _not_proved(candidate, trial, comparison, before)
    if not why and end == OPEN:
        why = "o arquivo não termina com quebra de linha: confirme com o credor se veio inteiro"
    wrong = [doubt for doubt in comparison.doubts if doubt.kind != "filled"]
    if len(wrong) > max(2, len(before.fields) // 4):
        return None
    return Diagnosis(
        kind="propose" if why else "adapt",
        layout=candidate.layout,
        content=candidate.content,
        trial=trial,
        comparison=comparison,
        doubts=tuple(comparison.doubts),
        candidate=candidate,
        why=why,
    )


def _not_proved(
    candidate: Candidate, trial: Trial, comparison: Comparison, before: Fingerprint
) -> str:
    """Why a person has to decide; empty when all is proved."""
    if candidate.missing:
        return f"não veio mais: {', '.join(candidate.missing)}"
    if candidate.meanings:
        return f"confirme o que querem dizer os novos códigos em: {', '.join(candidate.meanings)}"
    if comparison.doubts:
        return "; ".join(f"{doubt.field}: {doubt.text}" for doubt in comparison.doubts[:3])
    if not candidate.sure:
        return "há mais de um lugar possível para algum campo"
    if trial.rejected > REJECTED_SHARE * trial.rows:
        return f"{trial.rejected} de {trial.rows} linhas seriam rejeitadas"
    if not candidate.moved:
        return ""
    if comparison.linked < ENOUGH:
        return "poucos contratos conhecidos vieram neste arquivo: não há como provar"
    for name in before.names:
        one = comparison.fields.get(name)
        if one is None or not before.fields[name].traits.filled:
            continue
        if not comparison.proves(name) and one.linked >= 5:
            return f"não há prova bastante de que '{name}' é o mesmo campo"
    return ""


def remembered(found: Diagnosis, rejected: Collection[int] = ()) -> Fingerprint:
    """The fingerprint to keep of an accepted delivery: with what was usual up to now.

    Of a row that was put aside, what was known of its contract before. Of the ``rejected`` lines
    nothing is known but that they came.
    """
    seen = found.trial.seen
    if seen is None:
        raise ValueError("a delivery that was not read has no fingerprint")
    if rejected and seen.at_hand is not None:
        unknown = {key for key, line in seen.at_hand.lines.items() if line in rejected}
        links = {key: row for key, row in seen.links.items() if key not in unknown}
    else:
        unknown, links = set(), seen.links
    waiting: dict[int, dict[str, Token]] = {key: {} for key in unknown}
    if found.comparison is None:
        return replace(seen, links=links, waiting=waiting)
    places = {name: place for place, name in enumerate(seen.names)}
    waiting |= {
        key: {
            **found.comparison.waited.get(key, {}),
            **{
                # What counts comes with another number then.
                one.field: None
                if seen.fields[one.field].type == "inteiro"
                else seen.links[key][places[one.field]]
                for one in why
            },
        }
        for key, why in found.comparison.aside.items()
    }
    if found.comparison.aside and seen.at_hand is not None:
        seen = seen.at_hand.without(found.comparison.aside)
    return replace(
        seen,
        waiting=waiting,
        links={key: row for key, row in links.items() if key in seen.links} | found.comparison.past,
        agreement=found.comparison.agreement,
        overlap=round(found.comparison.overlap, 4),
        history=found.comparison.history,
        steps=found.comparison.steps,
    )
