"""A convênio's own past as the measure of its next file: volume, order. Pure: no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Literal

from zanc_pipeline.reception.findings import Finding, percent, thousands
from zanc_pipeline.reception.layout import Limits

MATTERS_FROM = 100
"""Below so many rows a file's volume says nothing."""

REMEMBERED = 30
"""Deliveries that make the history."""

SPREAD_FROM = 8
"""From so many deliveries on, their spread narrows what is usual."""

KNOWN_SHRINK = 0.5
"""How much a file may shrink whose convênio is known to vary so, unless its limits say less."""

WEEKDAY_FROM = 4
"""So many deliveries of the same weekday speak for that weekday alone."""

_MAD_TO_SIGMA = 1.4826

SequenceMode = Literal["continua", "diaria", "livre"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """An accepted delivery: its rows, its business day, its running number.

    ``level`` marks one whose volume a person accepted: what came before it counts no more.
    """

    rows: int
    day: date | None = None
    sequence: int | None = None
    level: bool = False
    delivery_id: int = 0
    content: str = "carteira"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usual:
    """What this convênio sends: rows in the middle, their spread, from how many deliveries."""

    middle: float
    spread: float
    deliveries: int
    weekday: bool


def usual(past: Sequence[Past], day: date | None) -> Usual | None:
    """The usual volume on ``day``, from deliveries with the newest first; None without any.

    The median and the median absolute deviation, which one strange file does not move.
    """
    level = next((place for place, one in enumerate(past) if one.level), len(past) - 1)
    recent = past[: level + 1][:REMEMBERED]
    if not recent:
        return None
    same = [one for one in recent if day and one.day and one.day.weekday() == day.weekday()]
    weekday = len(same) >= WEEKDAY_FROM
    rows = [one.rows for one in (same if weekday else recent)]
    middle = median(rows)
    spread = _MAD_TO_SIGMA * median(abs(count - middle) for count in rows)
    return Usual(middle=middle, spread=spread, deliveries=len(rows), weekday=weekday)


def judge_volume(rows: int, expected: Usual | None, limits: Limits) -> Finding | None:
    """Whether a file of ``rows`` is far from what this convênio sends."""
    if expected is None or expected.middle < MATTERS_FROM:
        return None
    middle = expected.middle
    low, high = middle * (1 - limits.shrink_share), middle * limits.growth_factor
    if expected.deliveries >= SPREAD_FROM:
        room = max(limits.spreads * expected.spread, limits.volume_room * middle)
        told = "shrink_share" in limits.model_fields_set
        floor = low if told else middle * (1 - max(limits.shrink_share, KNOWN_SHRINK))
        low, high = max(floor, middle - room), min(high, middle + room)
    if low <= rows <= high:
        return None
    if expected.deliveries == 1:
        usually = "o arquivo anterior trazia"
    else:
        when = " deste dia da semana" if expected.weekday else ""
        usually = f"as últimas {expected.deliveries} entregas{when} trazem em geral"
    return Finding(
        rule="volume",
        found=f"o arquivo traz {thousands(rows)} linhas e {usually} {thousands(round(middle))}: a "
        f"carteira teria {'encolhido' if rows < low else 'crescido'} "
        f"{percent(abs(rows / middle - 1))}",
        expected=f"de {thousands(round(low))} a {thousands(round(high))} linhas",
        remedy="confirme com o credor se veio inteiro e se é o arquivo certo; se for, aceite o "
        "volume",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Files that are missing before this one: their running numbers, first and last."""

    first: int
    last: int

    @property
    def words(self) -> str:
        """For whom the file waits, in Portuguese."""
        if self.first == self.last:
            return f"aguardando o arquivo {self.first}"
        return f"aguardando os arquivos {self.first} a {self.last}"


def judge_sequence(
    mode: SequenceMode, sequence: int | None, day: date, past: Sequence[Past]
) -> Gap | Finding | None:
    """A gap before the file, a finding when its turn is over, or None when it is next.

    ``past`` are the accepted deliveries. ``continua``: the number grows by one from file to file,
    and may begin again at 1 with a new year. ``diaria``: it begins at 1 every business day.
    """
    if mode == "livre" or sequence is None:
        return None
    numbered = [(one.day, one.sequence) for one in past if one.sequence is not None]
    if mode == "diaria":
        last = max((number for when, number in numbered if when == day), default=0)
    elif not numbered:
        return None
    else:
        newest = max((when for when, _ in numbered if when), default=day)
        years = [number for when, number in numbered if when and when.year == newest.year]
        last = max(years or [number for _, number in numbered])
        if sequence == 1 and day.year > newest.year:
            return None
    if sequence > last + 1:
        return Gap(first=last + 1, last=sequence - 1)
    if sequence == last + 1:
        return None
    again = ""
    if mode == "continua" and sequence < last and all(when != day for when, _ in numbered):
        again = " (se ele recomeça do 1 a cada dia, escreva 'sequencia: diaria' no layout)"
    return Finding(
        rule="sequencia",
        found=f"o arquivo tem o número {sequence} e o {last} já foi aceito",
        expected=f"o número {last + 1}",
        remedy="um arquivo mais antigo não substitui um mais novo; confirme com o credor se ele "
        "repetiu o número e, se este deve valer, aceite a sequência" + again,
    )
