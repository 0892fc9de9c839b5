"""Texts of one row that belong together: a phone and its state, an e-mail and its person.

Where new debtors' rows are mixed up, nothing of the past tells; but the phones of Recife stay in
Pernambuco, and most people have their name in their e-mail.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zanc_pipeline.reception.drift.chance import UNLIKELY, more_than_before

_AREAS = {
    "AC": "68", "AL": "82", "AM": "92 97", "AP": "96", "BA": "71 73 74 75 77", "CE": "85 88",
    "DF": "61", "ES": "27 28", "GO": "61 62 64", "MA": "98 99", "MG": "31 32 33 34 35 37 38",
    "MS": "67", "MT": "65 66", "PA": "91 93 94", "PB": "83", "PE": "81 87", "PI": "86 89",
    "PR": "41 42 43 44 45 46", "RJ": "21 22 24", "RN": "84", "RO": "69", "RR": "95",
    "RS": "51 53 54 55", "SC": "47 48 49", "SE": "79", "SP": "11 12 13 14 15 16 17 18 19",
    "TO": "63",
}  # fmt: skip
"""The area codes of each state (Anatel's plan of numbering)."""
_USUAL = 0.6
"""Share of the rows that belong together, from which that is a law."""
_SHORTEST_NAME = 3
_NOT_LETTERS = re.compile("[^a-z]+")


def partners(kinds: Mapping[str, str]) -> Iterator[tuple[str, str, Callable[[str, str], bool]]]:
    """(field, the other that it belongs to, whether two texts of them do)."""
    for one, kind in kinds.items():
        other, match = ("uf", _of_state) if kind == "telefone" else ("nome", _of_person)
        if kind in {"telefone", "email"} and other in kinds:
            yield one, other, match


def belonging(
    kinds: Mapping[str, str], values: Mapping[str, Sequence[Any]]
) -> dict[str, list[int]]:
    """ "one|other" → rows that belong together, of how many with both."""
    found = {}
    for one, other, match in partners(kinds):
        pairs = [
            (str(a), str(b)) for a, b in zip(values[one], values[other], strict=True) if a and b
        ]
        found[f"{one}|{other}"] = [sum(match(a, b) for a, b in pairs), len(pairs)]
    return found


def parted(
    now: Mapping[str, Sequence[int]], before: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, str]]:
    """(field, text in Portuguese) where more rows than by chance do not belong together."""
    for key, (hits, rows) in now.items():
        hits_before, rows_before = before.get(key, (0, 0))
        if not rows or hits_before < _USUAL * rows_before or not rows_before:
            continue
        if hits * rows_before >= hits_before * rows:
            continue
        misses, misses_before = rows - hits, rows_before - hits_before
        if more_than_before(misses, rows, misses_before, rows_before) < UNLIKELY:
            one, other = key.split("|")
            yield (
                one,
                f"em {misses} de {rows} linhas não combina com '{other}' (antes, em "
                f"{misses_before} de {rows_before})",
            )


def _of_state(phone: str, state: str) -> bool:
    return phone[:2] in _AREAS.get(state.upper(), "")


def _of_person(email: str, name: str) -> bool:
    letters = _plain(email.partition("@")[0])
    return any(
        len(word) >= _SHORTEST_NAME and word in letters
        for word in (_plain(part) for part in name.split())
    )


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return _NOT_LETTERS.sub("", "".join(char for char in folded if not unicodedata.combining(char)))
