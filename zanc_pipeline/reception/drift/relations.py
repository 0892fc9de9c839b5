"""What always holds between two or three fields of one row: order, equality, size, sums.

The issue comes before the due date, the debt is its principal and interest, the second phone is
filled only beside the first. Such laws are found in each delivery; a file that breaks them holds
something else in one of the fields, even where no contract of it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from zanc_pipeline.reception.drift.belongs import belonging, parted
from zanc_pipeline.reception.drift.chance import apart, is_new, too_few
from zanc_pipeline.reception.drift.exact import (
    SUM_HOLDS,
    Column,
    shares,
    sum_now,
    sums,
)

_ORDERED = {"dinheiro": "dinheiro", "decimal": "dinheiro", "data": "data"}
_MOST_FIELDS = 10
_CELLS = ("<", "=", ">", "a", "b")
_APART = 0.12
_NEWS, _NEWS_ALONE = 0.08, 0.01
"""Share of the rows from which what never was is news; known contracts do move, a few a day."""
_RATIO_ROOM = 5.0
_RATIO_ROWS = 20
_RATIO_ALONE, _RATIO_FEW_ROWS = 20.0, 6
"""A single row may be that many times out of the proportion of all rows before."""
_RATIO_EXACT, _RATIO_EXACT_ROOM = 1.2, 1.5
"""Amounts that are a fixed share of each other: rounding alone moves their ratio."""
_ORDER_ROWS, _ORDER_SLIPS = 25, 0.05
"""Two dates of which one never was the later in so many rows; and the share of rows that a
creditor may mistake."""
_MOST_STEPS, _STEP_ROWS = 12, 12
_SAID = {
    "<": "'{a}' menor que '{b}'",
    "=": "'{a}' igual a '{b}'",
    ">": "'{a}' maior que '{b}'",
    "a": "'{a}' preenchido sem '{b}'",
    "b": "'{b}' preenchido sem '{a}'",
}

Numbers = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
"""The values of a field as numbers, and which rows have one."""

Relations = dict[str, Any]
"""``pairs``: "a|b" → shares by ``_CELLS``, rows, ratios; ``sums``, ``shares``: see ``exact``;
``belongs``: "a|b" → rows that belong together, of how many."""


def relations(
    kinds: Mapping[str, str], values: Mapping[str, Sequence[Any]], numbers: Mapping[str, Column]
) -> Relations:
    """The laws between the typed ``values`` of the fields (name → type of the field), of which
    ``numbers`` are those that count."""
    pairs: dict[str, dict[str, Any]] = {}
    columns = {name: _numbers(kind, values[name]) for name, kind in kinds.items() if name in values}
    for family in ("dinheiro", "data", "telefone"):
        names = [name for name, kind in kinds.items() if _ORDERED.get(kind, kind) == family]
        names = [name for name in names if name in columns][:_MOST_FIELDS]
        for one, other in combinations(names, 2):
            found = _pair(columns[one], columns[other], ordered=family != "telefone")
            if found and family == "data":
                found["days"] = True
                steps = _steps(columns[one], columns[other])
                if len(steps) <= _MOST_STEPS:
                    found["steps"] = steps
            if found:
                pairs[f"{one}|{other}"] = found
    return {
        "pairs": pairs,
        "sums": sums(kinds, numbers),
        "shares": shares(kinds, numbers),
        "belongs": belonging({name: kinds[name] for name in columns}, values),
    }


def _numbers(kind: str, values: Sequence[Any]) -> Numbers:
    there = np.array([value is not None for value in values], dtype=np.bool_)
    made = np.array([_number(kind, value) for value in values], dtype=np.float64)
    return made, there


def _number(kind: str, value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, Decimal):
        return float(value.scaleb(2))
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if kind == "telefone" and str(value).isdigit() else 0.0


def _pair(one: Numbers, other: Numbers, *, ordered: bool) -> dict[str, Any]:
    (a, has_a), (b, has_b) = one, other
    both = has_a & has_b
    rows = int((has_a | has_b).sum())
    if not rows:
        return {}
    less, more = both & (a < b), both & (a > b)
    cells = {
        "<": less if ordered else less | more,
        "=": both & (a == b),
        ">": more if ordered else np.zeros(len(a), dtype=np.bool_),
        "a": has_a & ~has_b,
        "b": has_b & ~has_a,
    }
    found: dict[str, Any] = {
        "rows": rows,
        "cells": {name: round(float(mask.sum()) / rows, 4) for name, mask in cells.items()},
    }
    positive = both & (a > 0) & (b > 0)
    if ordered and int(positive.sum()) >= 2 and float(a[positive].max()) < 1e12:
        ratios = np.sort(a[positive] / b[positive])
        found["ratios"] = [float(f"{value:.4g}") for value in (ratios[0], ratios[-1])]
        found["outer"] = [float(f"{value:.4g}") for value in (ratios[1], ratios[-2])]
        found["ratio_rows"] = len(ratios)
        found["zeros"] = int((both & ((a == 0) != (b == 0))).sum())
    return found


def _steps(one: Numbers, other: Numbers) -> dict[str, float]:
    """Rows by the days between two dates, when these are few and none of them is rare."""
    both = one[1] & other[1]
    days, times = np.unique((other[0] - one[0])[both], return_counts=True)
    return {str(int(day)): int(count) for day, count in zip(days, times, strict=True)}


def broken(
    now: Relations, before: Relations, columns: Mapping[str, Column], *, alone: bool = False
) -> Iterator[tuple[str, str, str, bool]]:
    """(field, kind, text in Portuguese, whether it may be chance) of each law of ``before``
    that does not hold ``now``, in the numbers of ``columns``. ``alone``: most of the contracts are
    new."""
    for key, law in before.get("pairs", {}).items():
        found = now.get("pairs", {}).get(key)
        if found is not None:
            one, other = key.split("|")
            yield from _broken_pair(one, other, found, law, alone)
    for name, text in parted(now.get("belongs", {}), before.get("belongs", {})):
        yield name, "belongs", text, False
    for key, law in before.get("sums", {}).items():
        whole, *parts = key.split("|")
        there = law["share"] >= SUM_HOLDS and {whole, *parts} <= columns.keys()
        found = sum_now(whole, parts, columns) if there else None
        if found is None:
            continue
        kind = "exact" if law.get("exact") == 1 else "share"  # to the cent, or rounded
        wrong = round((1 - found[kind]) * found["rows"])
        exact = law[kind] == 1 and wrong >= 2
        if exact or too_few(found["rows"] - wrong, found["rows"], law["share"] - 0.02):
            yield (
                whole,
                "sum",
                f"'{whole}' era a soma de {' e '.join(parts)} em {law['share'] * 100:.0f} % das "
                f"linhas e agora em {found[kind] * 100:.0f} %",
                False,
            )


def _broken_pair(
    a: str, b: str, found: Mapping[str, Any], law: Mapping[str, Any], alone: bool
) -> Iterator[tuple[str, str, str, bool]]:
    rows, rows_before = found["rows"], law["rows"]
    cells, usual = found["cells"], law["cells"]
    for cell in _CELLS:
        share, was = cells.get(cell, 0.0), usual.get(cell, 0.0)
        count = round(share * rows)
        rare = was < 0.002 and share >= (_NEWS_ALONE if alone else _NEWS)
        new = rare and is_new(count, rows, rows_before, alone=alone)
        never = not was and "days" in found and rows_before >= _ORDER_ROWS and cell in "<>"
        new = new or (never and count > max(1, _ORDER_SLIPS * rows))
        if new or (share > was and 2 * apart({"": share}, {"": was}, rows, rows_before) > _APART):
            said = _SAID[cell].format(a=a, b=b)
            text = f"{said} em {share * 100:.0f} % das linhas (antes, {was * 100:.0f} %)"
            yield a, "relation", text, False
            return
    if alone:
        yield from _new_steps(a, b, found.get("steps"), law.get("steps"))
    few = min(found.get("ratio_rows", 0), law.get("ratio_rows", 0))
    if few < _RATIO_FEW_ROWS:
        return
    text = f"'{a}' está fora da proporção que sempre teve com '{b}'"
    low, high = law["ratios"]
    if high < low * _RATIO_EXACT and law.get("zeros") == 0 and found.get("zeros"):
        yield a, "scale", text, False
        return
    room = _RATIO_EXACT_ROOM if high < low * _RATIO_EXACT else _RATIO_ALONE
    single = found["ratios"][0] < low / room or found["ratios"][1] > high * room
    outer = found["outer"][0] < low / _RATIO_ROOM or found["outer"][1] > high * _RATIO_ROOM
    if single or (outer and few >= _RATIO_ROWS):
        yield a, "scale", text, False


def _new_steps(
    a: str, b: str, found: Mapping[str, int] | None, law: Mapping[str, int] | None
) -> Iterator[tuple[str, str, str, bool]]:
    """Other differences between two dates than the few that there were."""
    if not law or min(law.values()) < 2 or sum(law.values()) < _STEP_ROWS:
        return
    rows = sum(found.values()) if found else 0
    news = sum(found[days] for days in found if days not in law) if found else 0
    if found is None or news:
        days = ", ".join(sorted(law))
        text = f"de '{a}' a '{b}' sempre havia {days} dias; agora há outros prazos"
        yield a, "steps", text, found is not None and news < max(2, _NEWS * rows)
