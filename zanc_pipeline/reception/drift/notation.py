"""How a column writes its values: the notation in which it agrees with what is already known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zanc_pipeline.reception.drift.doubts import ENOUGH
from zanc_pipeline.reception.drift.rows import same
from zanc_pipeline.reception.drift.sample import Hasher, Token, plain, tokens, typed
from zanc_pipeline.reception.drift.traits import DATE_SHAPES
from zanc_pipeline.reception.layout import FieldSpec

_SETTLED, _SETTLED_BEYOND_CHANCE = 0.9, 0.7

SHORT_SHAPES = (
    "dd/mm/aa", "mm/dd/aa", "aa-mm-dd", "ddmmaa", "aammdd", "dd-mm-aa", "dd.mm.aa", "dd-mmm-aa",
    "dd/mmm/aa",
)  # fmt: skip
"""Dates that do not say their century: a person confirms them."""
_CENTURIES = (30, 50, 10)
_RARE_SHAPES = (
    "aaaa-dd-mm", "aaaa/dd/mm", "aaaaddmm", "dd-mmm-aaaa", "dd/mmm/aaaa", "mm.dd.aaaa", "excel"
)  # fmt: skip
_DAYS_OF_TIMES = ("aaaa-mm-dd", "dd/mm/aaaa", "mm/dd/aaaa", "dd-mm-aaaa", "aaaa-dd-mm")
_TIMED_SHAPES = tuple(
    f"{day}{mark}{time}"
    for day in _DAYS_OF_TIMES
    for mark in " T"
    for time in ("hh:mm", "hh:mm:ss", "hh:mm:ss.fff", "hh:mm:ssZ", "hh:mm:ss.fffZ")
)
_HEAD = 12
"""Texts that are looked at to see which shapes of date are possible at all."""

PURE = 0.97
"""Share of the rows with one word that must mean the same for the word to have that meaning."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A column read as a field: keys of the layout that change, and how well it agrees."""

    changes: dict[str, Any] = field(default_factory=dict)
    linked: int = 0
    agreement: float = 0.0
    invalid: float = 0.0
    beyond_chance: float = 0.0
    """Agreement beyond that of any column with as many of each value (Cohen's kappa)."""

    @property
    def rank(self) -> tuple[float, float, int]:
        """The larger, the better: agreement, then valid values, then fewer changes."""
        known = self.agreement if self.linked >= ENOUGH else 0.0
        return (round(known, 2), round(1 - self.invalid, 2), -len(self.changes))


def read_as(
    spec: FieldSpec, texts: Sequence[str], known: Sequence[Token], hasher: Hasher, wanted: float
) -> Reading:
    """The best reading of ``texts`` as ``spec``; ``known`` are the tokens of the same rows.

    Other notations than the layout's are tried only when its own does not agree.
    """
    empties = _empties(spec, texts, known)
    told: dict[str, Any] = {"vazios": empties} if empties else {}
    best = _reading(spec, texts, known, hasher, told)
    settled = best.agreement >= wanted if best.linked >= ENOUGH else best.invalid < 0.02
    if settled and best.invalid < 0.1:
        return best
    for changes in _notations(spec, texts, known, hasher):
        reading = _reading(spec, texts, known, hasher, told | changes)
        if reading.rank > best.rank and reading.invalid <= best.invalid + 0.02:
            best = reading
    return best


def settled(reading: Reading) -> bool:
    """Whether a column where the field was expected agrees so well that no other is looked at."""
    return (
        reading.linked >= ENOUGH
        and reading.agreement >= _SETTLED
        and reading.beyond_chance >= _SETTLED_BEYOND_CHANCE
    )


def _reading(
    spec: FieldSpec,
    texts: Sequence[str],
    known: Sequence[Token],
    hasher: Hasher,
    changes: dict[str, Any],
) -> Reading:
    attributes = {_ATTRIBUTES[key]: value for key, value in changes.items()}
    other = spec.model_copy(update=attributes)
    values, invalid = typed(other, texts)
    made = tokens(other, values, hasher)
    pairs = [(new, old) for new, old in zip(made, known, strict=True) if (new, old) != (None, None)]
    agree = sum(same(new, old) for new, old in pairs)
    filled = sum(bool(text.strip()) for text in texts) or 1
    return Reading(
        changes=changes,
        linked=len(pairs),
        agreement=agree / len(pairs) if pairs else 0.0,
        invalid=sum(invalid) / filled,
        beyond_chance=_beyond_chance(pairs, agree / len(pairs)) if pairs else 0.0,
    )


def _beyond_chance(pairs: Sequence[tuple[Token, Token]], agree: float) -> float:
    new = Counter(pair[0] for pair in pairs)
    old = Counter(pair[1] for pair in pairs)
    chance = sum(count * old[token] for token, count in new.items()) / len(pairs) ** 2
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0


_ATTRIBUTES = {
    "formato": "date_format",
    "seculo": "century",
    "decimal": "decimal_mark",
    "decimais": "implied_decimals",
    "verdadeiro": "true",
    "falso": "false",
    "tabela": "table",
    "vazios": "empty",
}


def _notations(
    spec: FieldSpec, texts: Sequence[str], known: Sequence[Token], hasher: Hasher
) -> Iterator[dict[str, Any]]:
    filled = [text for text in texts if text.strip()]
    if not filled:
        return
    if spec.type in {"data", "data_hora"}:
        dated = DATE_SHAPES + _RARE_SHAPES if spec.type == "data" else ()
        for shape in (*dated, *_TIMED_SHAPES):
            if shape != spec.date_format and _is_possible(spec, shape, filled):
                yield {"formato": shape}
        for shape in SHORT_SHAPES if dated else ():
            if _is_possible(spec, shape, filled):
                yield from ({"formato": shape, "seculo": century} for century in _CENTURIES)
    elif spec.type == "dinheiro":
        for mark in (",", "."):
            if mark != spec.decimal_mark or spec.implied_decimals is not None:
                yield {"decimal": mark, "decimais": None}
        for places in (2, 0, 3, 1, 4):
            if places != spec.implied_decimals:
                yield {"decimais": places}
    elif spec.type == "sim_nao":
        meanings = _meanings(texts, known)
        true = tuple(sorted(word for word, token in meanings.items() if token == 1))
        false = tuple(sorted(word for word, token in meanings.items() if token == 0))
        if true and false:
            yield {"verdadeiro": true, "falso": false}
    elif spec.type == "codigo" and spec.table:
        table = _codes(spec, texts, known, hasher)
        if table:
            yield {"tabela": table}


def _is_possible(spec: FieldSpec, shape: str, filled: Sequence[str]) -> bool:
    """Whether most of the first texts are dates of this shape."""
    other = spec.model_copy(update={"date_format": shape, "century": _CENTURIES[0]})
    head = filled[:_HEAD]
    return 2 * sum(typed(other, head)[1]) < len(head)


def _empties(spec: FieldSpec, texts: Sequence[str], known: Sequence[Token]) -> tuple[str, ...]:
    """The layout's words for nothing, with a new one of the same sign: more zeros, fewer zeros."""
    signs = {word[0] for word in spec.empty if len(set(word)) == 1}
    new = {
        text
        for text, token in zip(texts, known, strict=True)
        if token is None and text and text not in spec.empty and len(set(text)) == 1
    }
    new = {text for text in new if text[0] in signs}
    return (*spec.empty, *sorted(new)) if new else ()


def _meanings(texts: Sequence[str], known: Sequence[Token]) -> dict[str, Token]:
    """What each word meant in the last file, where it meant one thing only."""
    seen: dict[str, Counter[Token]] = {}
    for text, token in zip(texts, known, strict=True):
        if text.strip() and token is not None:
            seen.setdefault(text.strip(), Counter())[token] += 1
    meanings: dict[str, Token] = {}
    for word, counts in seen.items():
        token, count = counts.most_common(1)[0]
        if count >= 3 and count >= PURE * counts.total():
            meanings[word] = token
    return meanings if len(seen) <= 12 else {}


def _codes(
    spec: FieldSpec, texts: Sequence[str], known: Sequence[Token], hasher: Hasher
) -> dict[str, str]:
    """A code table with the same meanings under the codes that now stand for them."""
    meanings = {hasher.token(plain(text)): text for text in (spec.table or {}).values()}
    return {
        word: meanings[str(token)]
        for word, token in sorted(_meanings(texts, known).items())
        if str(token) in meanings
    }
