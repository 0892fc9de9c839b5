"""The small print of a column: its signs, how its texts begin and end, its most common text.

It shows what check digits and lengths do not: a last digit that is always zero, letters that an
encoding spoiled, a word for nothing in a column of names. No value is kept.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from zanc_pipeline.reception.drift.chance import apart, is_new

_LETTERS = frozenset(string.ascii_letters + "áàâãäéèêëíìîïóòôõöúùûüçñýÁÀÂÃÄÉÈÊËÍÌÎÏÓÒÔÕÖÚÙÛÜÇÑÝ")
_USUAL = frozenset(string.digits + " .,-/'()ºª°@_:+&#*%$\"") | _LETTERS
_NOTHING = frozenset(["null", "none", "nan", "n/a", "nulo", "#n/d", "#n/a", "#ref!", "#valor!"])
ODD, NOTHING = "odd", "nothing"

EDGE_LIMIT, SIGN_LIMIT, PEAK_LIMIT = 0.2, 0.12, 0.12
_RARE = 0.003


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """``signs``: share of the filled texts that have one; ``first``/``last``: shares by character.

    ``peak`` is the share of the most common text. ``rows`` filled texts were looked at.
    """

    rows: int = 0
    signs: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, shares rounded."""
        return {
            name: {key: round(share, 4) for key, share in value.items()}
            if isinstance(value, dict)
            else round(value, 4)
            for name, value in asdict(self).items()
        }


def looks(texts: Sequence[str]) -> Looks:
    """Look at the values of a column as texts in one notation."""
    filled = [text.strip() for text in texts if text.strip()]
    if not filled:
        return Looks()
    counts = Counter(filled)
    signs: Counter[str] = Counter()
    for text, times in counts.items():
        for sign in _signs(text):
            signs[sign] += times
    rows = len(filled)
    return Looks(
        rows=rows,
        signs={sign: count / rows for sign, count in signs.most_common(24)},
        first=_shares(Counter(_edge(text[0]) for text in filled), rows),
        last=_shares(Counter(_edge(text[-1]) for text in filled), rows),
        peak=counts.most_common(1)[0][1] / rows,
    )


def _signs(text: str) -> set[str]:
    found = {char for char in text if not char.isalnum() and char in _USUAL and char != " "}
    if any(char in string.digits for char in text):
        found.add("digit")
    if any(char.isalpha() for char in text):
        found.add("letter")
    if not _USUAL.issuperset(text):
        found.add(ODD)
    if text.casefold() in _NOTHING:
        found.add(NOTHING)
    return found


def _edge(char: str) -> str:
    return char.lower() if char in _USUAL else "?"


def _shares(counts: Counter[str], rows: int) -> dict[str, float]:
    return {char: count / rows for char, count in counts.most_common(40)}


def strange(now: Looks, before: Looks, *, key: bool = False) -> Iterator[tuple[str, str]]:
    """(kind, what is strange, in Portuguese) of a column beside the same one of the last file.

    ``key``: of contracts, whose first character tells the creditor's series.
    """
    if not now.rows or not before.rows:
        return
    yield from _strange_signs(now, before)
    if key and (news := _new_edges(now, before)):
        yield "begins", f"contratos que começam com '{news}' nunca vieram antes"
    if apart(now.last, before.last, now.rows, before.rows) > EDGE_LIMIT:
        char, share = max(
            now.last.items(), key=lambda item: item[1] - before.last.get(item[0], 0.0)
        )
        was = before.last.get(char, 0.0)
        yield (
            "ends",
            f"{share * 100:.0f} % dos textos terminam em '{char}' (antes, {was * 100:.0f} %)",
        )
    peak = apart({"": now.peak}, {"": before.peak}, now.rows, before.rows) * 2
    if now.peak > before.peak and peak > PEAK_LIMIT:
        yield (
            "peak",
            f"um mesmo valor vem em {now.peak * 100:.0f} % das linhas (antes, o mais comum vinha "
            f"em {before.peak * 100:.0f} %)",
        )


def _strange_signs(now: Looks, before: Looks) -> Iterator[tuple[str, str]]:
    said = {
        ODD: "traz sinais que não são de nenhum texto em português",
        NOTHING: "traz palavras como NULL no lugar de valores",
        "digit": "traz números onde não vinham",
        "letter": "traz letras onde não vinham",
    }
    for sign in sorted({*now.signs, *before.signs}):
        share, was = now.signs.get(sign, 0.0), before.signs.get(sign, 0.0)
        count = round(share * now.rows)
        certain = sign in {ODD, NOTHING} and not was and count >= 2
        new = was < _RARE and share >= 0.02 and is_new(count, now.rows, before.rows)
        moved = apart({"": share}, {"": was}, now.rows, before.rows) * 2 > SIGN_LIMIT
        if certain or (new and share > was):
            text = said.get(sign, f"traz o sinal '{sign}'")
            yield "sign", f"{text} ({share * 100:.0f} % das linhas; antes, {was * 100:.0f} %)"
        elif moved and sign not in {"digit", "letter"}:
            yield (
                "sign",
                f"o sinal '{sign}' vinha em {was * 100:.0f} % das linhas e agora em "
                f"{share * 100:.0f} %",
            )


def _new_edges(now: Looks, before: Looks) -> str:
    for char, share in now.first.items():
        if char not in before.first and is_new(round(share * now.rows), now.rows, before.rows):
            return char
    return ""
