"""The fields of a table: columns with titles or without, a phone and its DDD as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from zanc_pipeline.reception.infer_fixed import guessed_name
from zanc_pipeline.reception.infer_types import (
    SAMPLE_ROWS,
    field_name,
    guess_type,
    named_type,
    with_century,
)
from zanc_pipeline.reception.infer_write import field_lines

_FEWEST_PHONES = 3
_DDD = re.compile(r"(?i)(?:c[oó]d(?:igo)?[\s._-]*)?(?:de[\s._-]*)?(?:ddd|[aá]rea)[\s._-]*.*")
_NUMBER = re.compile(
    r"(?i)(?:n[uú]m(?:ero)?|nr|nro|n[ºo°])?[\s._-]*(?:do[\s._-]*)?"
    r"(?:telefone|fone|tel|cel|celular|contato|whats\w*|res\w*|com\w*)?[\s._-]*\w*"
)


_IGNORED = ('ignorar: [""]',)


def columns_of(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    today: date,
    *,
    taken: set[str] | None = None,
    before: int = 0,
) -> list[str]:
    """The ``campos`` of a table of ``width`` columns; ``titles`` is empty where it has none.

    ``taken`` are names that other records have, and gets these. ``before`` columns of the file
    stand before the first of ``rows``.
    """
    taken = set() if taken is None else taken
    out = ["campos:"]
    ddds = _ddd_columns(titles, rows) if titles else _bare_ddd_columns(rows, width)
    for place in range(width):
        if place in ddds.values():
            continue
        values = [row[place] for row in rows[:SAMPLE_ROWS] if place < len(row)]
        title = titles[place] if titles else ""
        if titles and not title and not any(value.strip() for value in values):
            out = [*_IGNORED, *out[out.index("campos:") :]]
            continue
        if place in ddds:
            guess = guess_type(_joined(rows, ddds[place], place))
            guess = replace(guess, type="telefone")
        else:
            guess = named_type(title, values) if titles else guess_type(values)
        name, doubt = ("", "") if titles else guessed_name(guess, values, taken, today)
        if not name or name in taken:
            name = field_name(title or f"coluna_{place + 1 + before}", guess.type, taken)
        elif doubt:
            guess = replace(guess, doubt="; ".join(part for part in (doubt, guess.doubt) if part))
        taken.add(name)
        keys: dict[str, Any] = {}
        if not titles:
            keys["posicao"] = place + 1 + before
        elif not title:
            keys["posicao"] = place + 1
        elif title != name:
            keys["coluna"] = title
        if place in ddds:
            keys |= (
                {"coluna_ddd": titles[ddds[place]]}
                if titles
                else {"posicao_ddd": ddds[place] + 1 + before}
            )
        guess = with_century(guess, name, today)
        out += field_lines(name, guess, keys, values)
    return out


def _ddd_columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[int, int]:
    """Column of a phone → column of its DDD, where together they are phones (DDD1, FONE1)."""
    found: dict[int, int] = {}
    for place, title in enumerate(titles[:-1]):
        following = titles[place + 1]
        ddd = _DDD.fullmatch(title.strip())
        phone = _NUMBER.fullmatch(following.strip())
        if ddd and phone and titles.count(title) == titles.count(following) == 1:
            joined = _joined(rows, place, place + 1)
            named = re.search(r"(?i)fone|tel|cel|num|whats", following)
            if guess_type(joined).type == "telefone" or (named and not any(joined)):
                found[place + 1] = place
    return found


def _bare_ddd_columns(rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The same for columns without titles, where the values alone must prove it."""
    found: dict[int, int] = {}
    for place in range(width - 1):
        pairs = [(row[place].strip(), row[place + 1].strip()) for row in rows[:SAMPLE_ROWS]]
        shaped = [
            re.fullmatch(r"0{0,2}[1-9]\d", code) and re.fullmatch(r"0{0,2}[2-9]\d{7,8}", number)
            for code, number in pairs
            if number
        ]
        if place in found or len(shaped) < _FEWEST_PHONES or not all(shaped):
            continue
        if guess_type(_joined(rows, place, place + 1)).type == "telefone":
            found[place + 1] = place
    return found


def _joined(rows: Sequence[Sequence[str]], ddd: int, phone: int) -> list[str]:
    pairs = [(row[ddd].strip(), row[phone].strip()) for row in rows[:SAMPLE_ROWS]]
    return [code + number if number else "" for code, number in pairs]
