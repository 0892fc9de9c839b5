"""The fields of lines of one size, found by what their bytes have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from zanc_pipeline.common.codecs import STATES, parse_cpf, parse_date, parse_phone
from zanc_pipeline.reception.infer_types import SURE, Guess, guess_type

_PROOFS = (
    ("cpf", 11),
    ("aaaa-mm-dd", 10),
    ("dd/mm/aaaa", 10),
    ("aaaammdd", 8),
    ("ddmmaaaa", 8),
    ("telefone", 12),
    ("telefone", 11),
    ("uf", 2),
)
_FEWEST, _RAREST = 3, 0.02
"""A proof needs so many lines, and such a part of them, in which the place is filled."""

_NEARLY = 0.97
_LONGEST_PREFIX = 5
_NAME = re.compile(r"[^\W\d_]{2,}[.']?( [^\W\d_.']+[.']?)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A field of a line: place (from 0), size, name and what its examples are."""

    start: int
    size: int
    name: str
    guess: Guess
    values: tuple[str, ...]


def boundaries(texts: Sequence[str]) -> list[tuple[int, int]]:
    """(start from 0, size) of the fields of lines of one size.

    First the places where a CPF, a date or a phone proves itself; then, between them, wherever
    digits meet letters, a text begins after blanks, or zeros pad a number after another.
    """
    proofs = _proved(texts)
    fields: list[tuple[int, int]] = []
    begun = 0
    for start, size in [*proofs, (len(texts[0]), 0)]:
        fields += _cut_plain(texts, begun, start)
        if size:
            fields.append((start, size))
        begun = start + size
    return fields


def _proved(texts: Sequence[str]) -> list[tuple[int, int]]:
    width = len(texts[0])
    taken = np.zeros(width, dtype=np.bool_)
    found: list[tuple[int, int]] = []
    for kind, size in _PROOFS:
        place = 0
        while place + size <= width:
            free = not taken[place : place + size].any()
            if free and _holds(texts, kind, place, size):
                taken[place : place + size] = True
                found.append((place, size))
                place += size
            else:
                place += 1
    return sorted(found)


def _holds(texts: Sequence[str], kind: str, start: int, size: int) -> bool:
    """Whether what stands there is a value of the kind in nearly all lines where it is filled."""
    wrong = filled = 0
    seen: set[str] = set()
    for number, text in enumerate(texts):
        part = text[start : start + size]
        if not part.strip(" 0"):
            continue
        filled += 1
        wrong += not _is(kind, part)
        if number >= 20 and wrong > number / 4:
            return False
        seen.add(part)
    if kind == "uf":  # two letters are states by chance where there are few different ones
        return len(seen) >= _FEWEST and not wrong
    if kind in {"cpf", "telefone"} and len(texts) >= _FEWEST and len(seen) < _FEWEST:
        return False  # a number that is always the same passes its check digits by chance
    enough = min(len(texts), max(_FEWEST, len(texts) * _RAREST))
    return filled >= enough and wrong <= filled * (1 - SURE) / 2


def _is(kind: str, part: str) -> object:
    if kind == "uf":
        return part in STATES
    if kind == "cpf":
        return part.isdigit() and parse_cpf(part)
    if kind == "telefone":
        text = part.strip()
        return text.isdigit() and part.startswith(text) and len(text) >= 10 and parse_phone(text)
    order = "".join(sorted("amd", key=kind.index)).replace("a", "y")
    marks = [(place, char) for place, char in enumerate(kind) if char not in "dma"]
    if any(part[place] != char for place, char in marks) or not part[:2].strip().isdigit():
        return None
    return parse_date(part, order=order)


def _cut_plain(texts: Sequence[str], start: int, end: int) -> list[tuple[int, int]]:
    if start >= end:
        return []
    block = np.array([list(text[start:end].ljust(end - start)) for text in texts])
    digit = np.char.isdigit(block).mean(axis=0)
    blank = (block == " ").mean(axis=0)
    zero = (block == "0").mean(axis=0)
    cuts = [0]
    for place in range(1, end - start):
        if not _begins(digit, blank, zero, place):
            continue
        before = block[:, cuts[-1] : place]
        if not _is_prefix(before):
            cuts.append(place)
    return [
        (start + cut, following - cut)
        for cut, following in zip(cuts, [*cuts[1:], end - start], strict=True)
    ]


def _begins(
    digit: npt.NDArray[np.float64],
    blank: npt.NDArray[np.float64],
    zero: npt.NDArray[np.float64],
    place: int,
) -> bool:
    """Whether a field may begin at ``place``; blanks after a value belong to it."""
    before = place - 1
    if blank[place] > 0.9:
        return False
    jump = abs(digit[place] - digit[before]) > 0.9
    after_blank = blank[before] > 0.9 and blank[place] < blank[before] - 0.5
    padding = min(digit[place], digit[before]) > 0.99 and zero[place] > 0.9 and zero[before] < 0.5
    return bool(jump or after_blank or padding)


def _is_prefix(block: npt.NDArray[np.str_]) -> bool:
    """Whether a few characters, the same in all lines, only begin what follows (``LH000001``)."""
    if block.shape[1] > _LONGEST_PREFIX or len(block) < 2:
        return False
    lines, counts = np.unique(block, axis=0, return_counts=True)
    return bool(counts.max() >= _NEARLY * len(block) and (lines[counts.argmax()] != " ").all())


def fields_of(texts: Sequence[str], *, today: date, skip: int = 0) -> list[Found]:
    """The named fields of lines of one type; blank places have none.

    ``skip`` bytes at the start hold the record's type. What only looks like a field (a name, a
    value in cents) is marked as a doubt, for a person to confirm.
    """
    taken: set[str] = set()
    found: list[Found] = []
    for start, size in boundaries([text[skip:] for text in texts]):
        start += skip
        values = _without_filler(tuple(text[start : start + size] for text in texts))
        if any(value.strip() for value in values):
            item = _recognised(start, values, taken, today)
            found.append(item)
            taken.add(item.name)
    return found


def _without_filler(values: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers that zeros pad to one size end where their digits end; blanks after are no part.

    Any other value keeps the blanks: a longer one may come some day and must not be cut.
    """
    ends = {len(value.rstrip()) for value in values}
    size = max(ends)
    padded = sum(value.startswith("00") for value in values) >= SURE * len(values)
    if len(ends) == 1 and padded and all(value[:size].isdigit() for value in values):
        return tuple(value[:size] for value in values)
    return values


def _recognised(start: int, values: tuple[str, ...], taken: set[str], today: date) -> Found:
    guess = _fixed_type(values)
    name, doubt = guessed_name(guess, values, taken, today)
    if not name or name in taken:
        name, doubt = f"campo_{start + 1}", ""
    if doubt or guess.doubt:
        guess = replace(guess, doubt="; ".join(part for part in (doubt, guess.doubt) if part))
    return Found(start=start, size=len(values[0]), name=name, guess=guess, values=values)


def _fixed_type(values: Sequence[str]) -> Guess:
    guess = guess_type(values)
    filled = [value for value in values if value.strip()]
    numbers = [value for value in filled if value.isdigit()]
    if guess.type in {"texto", "sim_nao"} and len(values[0]) >= 6 and len(set(numbers)) > 1:
        share = len(numbers) / len(filled)
        padded = sum(value.startswith("00") for value in numbers) >= SURE * len(numbers)
        if padded and share >= SURE:
            doubt = "algarismos com zeros à esquerda: os 2 últimos seriam centavos?"
            return Guess(type="dinheiro", keys={"decimais": 2}, share=share, doubt=doubt)
    return replace(guess, doubt="") if guess.type == "sim_nao" else guess


def guessed_name(
    guess: Guess, values: Sequence[str], taken: set[str], today: date
) -> tuple[str, str]:
    """Our name for a field without a title, by what it holds, and the doubt that this leaves."""
    filled = [value.strip() for value in values if value.strip(" 0")]
    if guess.type in {"cpf", "uf", "email"}:
        return guess.type, ""
    if guess.type == "telefone":
        places = [f"telefone_{place}" for place in (1, 2, 3)]
        return next((place for place in places if place not in taken), ""), ""
    if guess.type == "dinheiro":
        return "valor", "parece ser o valor da dívida"
    if guess.type == "data":
        years = sorted(int(found) for value in filled for found in _years(value, guess))
        if years and years[len(years) // 2] <= today.year - 16:
            return "nascimento", "parece ser a data de nascimento"
        return "vencimento", "parece ser o vencimento"
    if guess.type != "texto" or not filled:
        return "", ""
    if sum(bool(_NAME.fullmatch(value)) for value in filled) >= 0.8 * len(filled):
        if "nome" not in taken and len(set(filled)) >= min(len(filled), _FEWEST):
            return "nome", "parece ser o nome"
        return "", ""
    distinct = len(set(filled)) >= _NEARLY * len(filled) and len(filled) >= _NEARLY * len(values)
    coded = sum(any(char.isdigit() for char in value) for value in filled) >= _NEARLY * len(filled)
    if distinct and coded and len(filled) > 1 and not any(" " in value for value in filled):
        return "contrato", "não se repete: parece ser o contrato"
    return "", ""


def _years(value: str, guess: Guess) -> list[str]:
    shape = str(guess.keys.get("formato", ""))
    place = shape.find("aaaa")
    return [value[place : place + 4]] if place >= 0 and value[place : place + 4].isdigit() else []
