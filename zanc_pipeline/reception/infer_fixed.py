"""The fields of lines of one size, found by what their bytes have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from zanc_pipeline.common.codecs import STATES, parse_cpf, parse_date, parse_phone
from zanc_pipeline.reception.infer_types import SURE, Guess, guess_type, with_century
from zanc_pipeline.reception.names import day_of

_APART = ((4, 10), (4, 9), (3, 10), (3, 9), (2, 10), (2, 9), (2, 8))
"""Sizes of a DDD and of the number after it, where the DDD may stand alone."""

_PROOFS = (
    ("cpf", 11),
    ("aaaa-mm-dd", 10),
    ("dd/mm/aaaa", 10),
    ("aaaammdd", 8),
    ("ddmmaaaa", 8),
    ("telefone", 12),
    ("telefone", 11),
    *((f"ddd{ddd}", ddd + number) for ddd, number in _APART),
    ("ddmmaa", 6),
    ("aammdd", 6),
    ("uf", 2),
)
_FEWEST, _RAREST = 3, 0.02
"""A proof needs so many lines, and such a part of them, in which the place is filled."""

_NEARLY = 0.97
_DDDS = frozenset(f"ddd{ddd}" for ddd, _ in _APART)
_SHORT = frozenset({"ddmmaa", "aammdd"})
_FEWEST_SHORT = 5
_LONGEST_PREFIX = 5
_SHORTEST_SIGNED = 4
_SHORTEST_CODE = 3
_FEWEST_DIGITS = 7
"""A number of so many digits, nearly all of one length, is no amount but a number of something."""
_A_MILLION = 100_000_000
"""In cents: no debt of a person, but a number of something."""
_NAME = re.compile(r"[^\W\d_]{2,}[.']?( [^\W\d_]+(['-][^\W\d_]+)*[.']?)+")


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
                ddd = _ddd_size(kind)
                found += [(place, ddd), (place + ddd, size - ddd)] if ddd else [(place, size)]
                place += size
            else:
                place += 1
    return sorted(found)


def _ddd_size(kind: str) -> int:
    return int(kind[3:]) if kind in _DDDS else 0


def _holds(texts: Sequence[str], kind: str, start: int, size: int) -> bool:
    """Whether what stands there is a value of the kind in nearly all lines where it is filled."""
    wrong = filled = 0
    ddd = _ddd_size(kind)
    seen: set[str] = set()
    for number, text in enumerate(texts):
        part = text[start : start + size]
        if not part.strip(" 0") or (ddd and not part[ddd:].strip(" 0")):
            continue
        filled += 1
        wrong += not _is(kind, part)
        if number >= 20 and wrong > number / 4:
            return False
        seen.add(part)
    if kind == "uf":  # two letters are states by chance where there are few different ones
        return len(seen) >= _FEWEST and not wrong
    if kind in _SHORT and not _varies(kind, seen):
        return False
    if kind in {"cpf", "telefone"} | _DDDS and len(texts) >= _FEWEST and len(seen) < _FEWEST:
        return False  # a number that is always the same passes its check digits by chance
    enough = min(len(texts), max(_FEWEST, len(texts) * _RAREST))
    return filled >= enough and wrong <= filled * (1 - SURE) / 2


def _varies(kind: str, seen: set[str]) -> bool:
    """Whether six digits differ as dates do: by chance one in thirty is one, and a code that is
    always the same makes a date of what follows it."""
    days = {part[:2] if kind == "ddmmaa" else part[4:] for part in seen}
    return len(seen) >= _FEWEST_SHORT and len(days) >= _FEWEST


def _is(kind: str, part: str) -> object:
    if kind == "uf":
        return part in STATES
    if kind == "cpf":
        return part.isdigit() and parse_cpf(part)
    if kind == "telefone":
        text = part.strip()
        return text.isdigit() and part.startswith(text) and len(text) >= 10 and parse_phone(text)
    if kind in _DDDS:
        return _phone(part[: _ddd_size(kind)], part[_ddd_size(kind) :])
    if kind in _SHORT:
        return part.isdigit() and day_of(part, order="dmy" if kind == "ddmmaa" else "ymd")
    order = "".join(sorted("amd", key=kind.index)).replace("a", "y")
    marks = [(place, char) for place, char in enumerate(kind) if char not in "dma"]
    if any(part[place] != char for place, char in marks) or not part[:2].strip().isdigit():
        return None
    return parse_date(part, order=order)


def _phone(code: str, number: str) -> object:
    """Whether a DDD and a number, zeros before either, are a phone."""
    ddd, text = code.strip().lstrip("0"), number.strip().lstrip("0")
    plain = len(ddd) == 2 and len(text) in {8, 9} and (ddd + text).isdigit()
    return plain and parse_phone(ddd + text)


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
    cuts = _without_codes(block, digit, cuts)
    return [
        (start + cut, following - cut)
        for cut, following in zip(cuts, [*cuts[1:], end - start], strict=True)
    ]


def _without_codes(
    block: npt.NDArray[np.str_], digit: npt.NDArray[np.float64], cuts: list[int]
) -> list[int]:
    """The cuts, and one more where digits that differ end in a code that all lines have."""
    more = list(cuts)
    for begun, end in zip(cuts, [*cuts[1:], block.shape[1]], strict=True):
        if len(block) < _FEWEST_SHORT or digit[begun:end].min() < 1:
            continue
        same = (block[:, begun:end] == block[0, begun:end]).all(axis=0)
        code = int(np.argmin(same[::-1])) if not same.all() else 0
        tail = block[0, end - code : end]
        if code >= _SHORTEST_CODE and end - begun - code >= _FEWEST_DIGITS and (tail != "0").any():
            more.append(end - code)
    return sorted(more)


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
    for start, size, keys in _together(texts, boundaries([text[skip:] for text in texts]), skip):
        values = tuple(text[start : start + size] for text in texts)
        if keys:
            item = _of_two(start, values, keys, texts, taken)
            found.append(item)
            taken.add(item.name)
            continue
        values = _without_filler(values)
        if any(value.strip() for value in values):
            item = _recognised(start, values, taken, today)
            found.append(item)
            taken.add(item.name)
    return found


def _together(
    texts: Sequence[str], pieces: Sequence[tuple[int, int]], skip: int
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(start, size, keys) of the fields: a number with its DDD, or with its sign, is one."""
    place = 0
    while place < len(pieces):
        start, size = pieces[place][0] + skip, pieces[place][1]
        follows = pieces[place + 1] if place + 1 < len(pieces) else (0, 0)
        place += 1
        first = [text[start : start + size] for text in texts]
        second = [text[start + size : start + size + follows[1]] for text in texts]
        pairs = [
            (one, two) for one, two in zip(first, second, strict=True) if two.strip(" 0")
        ]  # a DDD may stand alone
        if (size, follows[1]) in _APART and len(pairs) >= _FEWEST and _nearly_phones(pairs):
            ddd = min(_zeros(first), size - 2)
            keys = {"inicio_ddd": start + ddd + 1}
            if size - ddd != 2:
                keys["tamanho_ddd"] = size - ddd
            zeros = _zeros([number for _, number in pairs])
            yield start + size + zeros, follows[1] - zeros, keys
            place += 1
        elif sign := _sign(first, second):
            yield start, size + follows[1], {"decimais": 2, "sinal": sign}
            place += 1
        else:
            yield start, size, {}


def _nearly_phones(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether nearly all pairs of a DDD and a number are phones."""
    return sum(bool(_phone(*pair)) for pair in pairs) >= SURE * len(pairs)


def _zeros(texts: Sequence[str]) -> int:
    """How many zeros all the filled ones begin with."""
    return min((len(text) - len(text.lstrip("0")) for text in texts if text.strip(" 0")), default=0)


def _sign(numbers: Sequence[str], last: Sequence[str]) -> str:
    """``cobol`` or ``depois`` where the character after digits is their sign, else nothing."""
    if len(numbers[0]) < _SHORTEST_SIGNED or len(last[0]) != 1:
        return ""
    seen = set(last)
    if not all(number.isdigit() for number in numbers) or len(seen) < 2:
        return ""
    if seen == {"+", "-"} or seen == {"-", " "}:
        return "depois"
    over = set("{ABCDEFGHI}JKLMNOPQR")
    return "cobol" if seen <= over | set("0123456789") and len(seen & over) >= _FEWEST else ""


def _of_two(
    start: int, values: tuple[str, ...], keys: dict[str, Any], texts: Sequence[str], taken: set[str]
) -> Found:
    """A phone that has its DDD before it, or a signed number."""
    if "inicio_ddd" in keys:
        phones = [f"telefone_{place}" for place in (1, 2, 3)]
        code = keys["inicio_ddd"] - 1
        joined = tuple(
            text[code : code + keys.get("tamanho_ddd", 2)].lstrip("0") + value.strip().lstrip("0")
            if value.strip(" 0")
            else ""
            for text, value in zip(texts, values, strict=True)
        )
        name = next((name for name in phones if name not in taken), f"campo_{start + 1}")
        guess = Guess(type="telefone", keys=keys)
        return Found(start=start, size=len(values[0]), name=name, guess=guess, values=joined)
    doubt = "número com sinal: os 2 últimos algarismos seriam centavos?"
    name = "valor" if "valor" not in taken else f"campo_{start + 1}"
    guess = Guess(type="dinheiro", keys=keys, doubt=doubt)
    return Found(start=start, size=len(values[0]), name=name, guess=guess, values=values)


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
    guess = with_century(guess, name, today)
    if doubt or guess.doubt:
        guess = replace(guess, doubt="; ".join(part for part in (doubt, guess.doubt) if part))
    return Found(start=start, size=len(values[0]), name=name, guess=guess, values=values)


def _fixed_type(values: Sequence[str]) -> Guess:
    guess = guess_type(values)
    filled = [value for value in values if value.strip()]
    numbers = [value for value in filled if value.isdigit()]
    if _runs_on(filled):
        return Guess(type="inteiro")
    if guess.type in {"texto", "sim_nao"} and len(values[0]) >= 6 and len(set(numbers)) > 1:
        share = len(numbers) / len(filled)
        padded = sum(value.startswith("00") for value in numbers) >= SURE * len(numbers)
        huge = _too_great(numbers)
        if padded and share >= SURE and not huge and not _one_length(numbers):
            doubt = "algarismos com zeros à esquerda: os 2 últimos seriam centavos?"
            return Guess(type="dinheiro", keys={"decimais": 2}, share=share, doubt=doubt)
    return replace(guess, doubt="") if guess.type == "sim_nao" else guess


def _runs_on(values: Sequence[str]) -> bool:
    """Whether the values count the lines (one more each, or two where each has a child)."""
    if len(values) < _FEWEST or not all(value.isdigit() for value in values):
        return False
    steps = {int(after) - int(before) for before, after in pairwise(values)}
    return len(steps) == 1 and steps <= {1, 2, 3} and int(values[0]) < 10


def _one_length(numbers: Sequence[str]) -> bool:
    """Whether all are different and, without their zeros, long and nearly all of one length."""
    lengths = Counter(len(number.lstrip("0")) for number in numbers)
    length, count = lengths.most_common(1)[0]
    alone = len(set(numbers)) == len(numbers)
    return alone and length >= _FEWEST_DIGITS and count >= SURE * len(numbers)


def _too_great(numbers: Sequence[str]) -> bool:
    """Whether all differ and, as cents, half of them would be more than a million reais."""
    ordered = sorted(int(number) for number in numbers)
    return len(set(numbers)) == len(numbers) and ordered[len(ordered) // 2] > _A_MILLION


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
    if (
        distinct
        and coded
        and len(filled) > 1
        and not _runs_on(filled)
        and not any(" " in value for value in filled)
    ):
        return "contrato", "não se repete: parece ser o contrato"
    return "", ""


def _years(value: str, guess: Guess) -> list[str]:
    shape = str(guess.keys.get("formato", ""))
    place = shape.find("aaaa")
    short = shape.find("aa")
    if place < 0 <= short and value[short : short + 2].isdigit():
        year = int(value[short : short + 2])
        return [str(year + (2000 if year < guess.keys.get("seculo", 0) else 1900))]
    return [value[place : place + 4]] if place >= 0 and value[place : place + 4].isdigit() else []
