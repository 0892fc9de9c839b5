"""The small print of a column: its signs, how its texts begin and end, its most common text.

It shows what check digits and lengths do not: a last digit that is always zero, letters that an
encoding spoiled, a word for nothing in a column of names. No value is kept.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from zanc_pipeline.reception.drift.chance import apart, is_new, more_than_before
from zanc_pipeline.reception.drift.doubts import SMALL

_LETTERS = frozenset(string.ascii_letters + "áàâãäéèêëíìîïóòôõöúùûüçñýÁÀÂÃÄÉÈÊËÍÌÎÏÓÒÔÕÖÚÙÛÜÇÑÝ")
_USUAL = frozenset(string.digits + " .,-/'()ºª°@_:+&#*%$\"") | _LETTERS
_NOTHING = frozenset(["null", "none", "nan", "n/a", "nulo", "#n/d", "#n/a", "#ref!", "#valor!"])
ODD, NOTHING, ZERO = "odd", "nothing", "zero"

EDGE_LIMIT, SIGN_LIMIT, PEAK_LIMIT = 0.2, 0.12, 0.12
_RARE = 0.003
_NEWS = 0.08
_STEM = 8
_SERIES_ROWS = 6
"""Contracts from which a series, a length that all have, is a law."""
_PILED, _PILED_FEW, _PILED_WEAK = 1e-5, 1e-3, 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """``signs``: share of the filled texts that have one; ``first``/``last``: shares by character.

    ``peak`` is the share of the most common text. ``rows`` filled texts were looked at.
    ``stem``: of contracts, what all of them begin with.
    """

    rows: int = 0
    signs: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0
    lengths: dict[str, float] = field(default_factory=dict)
    stem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, shares rounded."""
        return {
            name: {key: round(share, 4) for key, share in value.items()}
            if isinstance(value, dict)
            else round(value, 4)
            if isinstance(value, float)
            else value
            for name, value in asdict(self).items()
        }


def looks(texts: Sequence[str], *, key: bool = False) -> Looks:
    """Look at the values of a column as texts in one notation; ``key``: of contracts."""
    filled = [text.strip() for text in texts if text.strip()]
    if not filled:
        return Looks()
    counts = Counter(filled)
    signs: Counter[str] = Counter()
    for text, times in counts.items():
        for sign in signs_of(text):
            signs[sign] += times
    rows = len(filled)
    return Looks(
        rows=rows,
        signs={sign: count / rows for sign, count in signs.most_common(24)},
        first=_shares(Counter(_edge(text[0]) for text in filled), rows),
        last=_shares(Counter(_edge(text[-1]) for text in filled), rows),
        peak=counts.most_common(1)[0][1] / rows,
        lengths=_shares(Counter(str(len(text)) for text in filled), rows),
        stem=_stem(min(filled), max(filled)) if key else "",
    )


def _stem(first: str, last: str) -> str:
    """What the first and the last in order, and so all between them, begin with."""
    most = min(len(first), len(last), _STEM)
    return next((first[:at] for at in range(most) if first[at] != last[at]), first[:most])


def signs_of(text: str) -> set[str]:
    """The signs in a text, and what else strikes the eye: a word for nothing, letters spoiled."""
    found = {char for char in text if not char.isalnum() and char in _USUAL and char != " "}
    if any(char in string.digits for char in text):
        found.add("digit")
    if any(char.isalpha() for char in text):
        found.add("letter")
    if not _USUAL.issuperset(text):
        found.add(ODD)
    if text.casefold() in _NOTHING:
        found.add(NOTHING)
    if text == "0":
        found.add(ZERO)
    return found


def _edge(char: str) -> str:
    return char.lower() if char in _USUAL else "?"


def _shares(counts: Counter[str], rows: int) -> dict[str, float]:
    return {char: count / rows for char, count in counts.most_common(40)}


def strange(
    now: Looks, before: Looks, *, key: bool = False, alone: bool = False
) -> Iterator[tuple[str, str, bool]]:
    """(kind, what is strange, in Portuguese, whether it may be chance) beside the last file.

    ``key``: of contracts, whose beginning tells the creditor's series. ``alone``: most of them are
    new, and only their looks can judge them.
    """
    if not now.rows or not before.rows:
        return
    yield from _strange_signs(now, before, alone)
    if key and (news := _new_series(now, before)):
        yield "begins", news, False
    if alone:
        yield from _piled("terminam em", now.last, before.last, now, before)
        yield from _piled("têm este tamanho:", now.lengths, before.lengths, now, before)
    if apart(now.last, before.last, now.rows, before.rows) > EDGE_LIMIT:
        char, share = max(
            now.last.items(), key=lambda item: item[1] - before.last.get(item[0], 0.0)
        )
        was = before.last.get(char, 0.0)
        text = f"{share * 100:.0f} % dos textos terminam em '{char}' (antes, {was * 100:.0f} %)"
        yield "ends", text, False
    peak = apart({"": now.peak}, {"": before.peak}, now.rows, before.rows) * 2
    if now.peak > before.peak and peak > PEAK_LIMIT:
        yield (
            "peak",
            f"um mesmo valor vem em {now.peak * 100:.0f} % das linhas (antes, o mais comum vinha "
            f"em {before.peak * 100:.0f} %)",
            False,
        )


def _piled(
    said: str, shares: Mapping[str, float], before: Mapping[str, float], now: Looks, last: Looks
) -> Iterator[tuple[str, str, bool]]:
    """Many texts that end in one sign, or have one size, that few had: cut or rounded values."""
    sizes = shares is now.lengths
    limit = _PILED_FEW if sizes and now.rows < SMALL else _PILED
    for sign, share in shares.items() if before else ():
        was = before.get(sign, 0.0)
        count = round(share * now.rows)
        if share <= was or count < 3:
            continue
        chance = more_than_before(count, now.rows, round(was * last.rows), last.rows)
        if chance < _PILED_WEAK:
            text = f"{share * 100:.0f} % dos textos {said} {sign} (antes, {was * 100:.0f} %)"
            yield "length" if sizes else "ends", text, chance >= limit
            return


def _strange_signs(now: Looks, before: Looks, alone: bool) -> Iterator[tuple[str, str, bool]]:
    said = {
        ODD: "traz sinais que não são de nenhum texto em português",
        NOTHING: "traz palavras como NULL no lugar de valores",
        ZERO: "traz zeros onde não vinham",
        "digit": "traz números onde não vinham",
        "letter": "traz letras onde não vinham",
    }
    for sign in sorted({*now.signs, *before.signs}):
        share, was = now.signs.get(sign, 0.0), before.signs.get(sign, 0.0)
        count = round(share * now.rows)
        few = now.rows < SMALL and not was and count >= 1
        certain = sign in {ODD, NOTHING} and not was and (few or count >= 2)
        rare = was < _RARE and share >= (_NEWS if sign == ZERO and not alone else 0.02)
        new = rare and is_new(count, now.rows, before.rows, alone=alone and sign in said)
        moved = apart({"": share}, {"": was}, now.rows, before.rows) * 2 > SIGN_LIMIT
        if certain or (new and share > was) or (few and sign in said):
            text = said.get(sign, f"traz o sinal '{sign}'")
            text = f"{text} ({share * 100:.0f} % das linhas; antes, {was * 100:.0f} %)"
            yield "sign", text, not (certain or new)
        elif moved and sign not in {"digit", "letter"}:
            yield (
                "sign",
                f"o sinal '{sign}' vinha em {was * 100:.0f} % das linhas e agora em "
                f"{share * 100:.0f} %",
                False,
            )


def _new_series(now: Looks, before: Looks) -> str:
    series = before.rows >= _SERIES_ROWS
    series_mark = before.stem[: (len(before.stem) + 2) // 3]
    if series and not now.stem.startswith(series_mark):
        return f"há contratos que não começam com '{series_mark}', como sempre começaram"
    if len(before.lengths) == 1 and series:
        others = sorted(now.lengths.keys() - before.lengths)
        if others:
            return f"há contratos com {others[0]} caracteres; nunca foi assim"
    for char, share in now.first.items():
        if char not in before.first and is_new(round(share * now.rows), now.rows, before.rows):
            return f"contratos que começam com '{char}' nunca vieram antes"
    return ""
