"""Laws to the last cent: an amount is the sum of others, or always the same share of some.

The debt is its principal, interest and fine; the least payment is 15 % of it; a day's interest is
a share of the principal and of the days overdue. What holds in every row of all files that are
remembered is a law for each row of the next one, however few rows a file has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Column = tuple[Floats, Mask]
"""The values of a field as numbers, and which rows have one."""

AGE = "@"
"""Before the name of a date: the days from it to the file's own."""
SUM_HOLDS = 0.95
_WHOLE = {"dinheiro": (2, 8, 6), "inteiro": (12, 6, 2)}
"""Type → rows from which a sum is looked for (to the cent of different amounts, two are no
accident), among how many fields, and of how many parts at most."""
SCALE = {"dinheiro": 2, "decimal": 6}
_HEAD, _HEAD_HOLDS = 30, 0.5
"""Rows that are tried first."""
_MOST_FIELDS = 12
_ROOM, _SPARE = 1.01, 2
"""Units by which a share may be rounded, or cut; and how much more of it in another file, where
it was rounded day after day."""
_FIRST, _LEAST, _DIFFERENT, _TELLING = 12, 4, 4, 0.03
"""Rows that are tried first; rows that prove a share, the values that they take, and how narrowly
each of them has to tell it."""

Law = dict[str, Any]
"""Of a sum: ``share`` of the rows in which it holds, ``exact`` to the cent, ``rows`` that prove it.
Of a share: ``low`` and ``high``, between which it lies, ``room`` of rounding, ``rows``."""


def number_columns(
    kinds: Mapping[str, str], values: Mapping[str, Sequence[Any]], day: date | None
) -> dict[str, Column]:
    """Amounts in cents, numbers as they are, and the ages of dates where ``day`` is the file's."""
    found = {}
    for name, kind in kinds.items():
        if name in values and kind in {*SCALE, "inteiro"}:
            found[name] = _column(kind, values[name])
        elif name in values and kind == "data" and day is not None:
            made, there = _column(kind, values[name])
            found[AGE + name] = (day.toordinal() - made, there)
    return found


def _column(kind: str, values: Sequence[Any]) -> Column:
    there = np.array([value is not None for value in values], dtype=np.bool_)
    return np.array([_number(kind, value) for value in values], dtype=np.float64), there


def _number(kind: str, value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, Decimal):
        return float(value.scaleb(SCALE.get(kind, 0)))
    return float(value.toordinal() if isinstance(value, date) else value)


def sums(kinds: Mapping[str, str], columns: Mapping[str, Column]) -> dict[str, Law]:
    """ "whole|part|part" → the law, of the fields of which one is the sum of others."""
    found: dict[str, Law] = {}
    head = {name: (made[:_HEAD], there[:_HEAD]) for name, (made, there) in columns.items()}
    for kind, (least, fields, most) in _WHOLE.items():
        names = [name for name in columns if kinds.get(name) == kind][:fields]
        for count in range(2, most + 1):
            for parts in combinations(names, count):
                for whole in names:
                    if whole in parts:
                        continue
                    first = sum_now(whole, parts, head)
                    if first and first["share"] < _HEAD_HOLDS:
                        continue
                    law = sum_now(whole, parts, columns)
                    if law and law["rows"] >= least and law["share"] >= SUM_HOLDS:
                        found["|".join((whole, *parts))] = law
    return found


def sum_now(whole: str, parts: Sequence[str], columns: Mapping[str, Column]) -> Law | None:
    """What becomes of a sum in these rows; None where none of them tells it."""
    there = np.logical_and.reduce([columns[name][1] for name in (whole, *parts)])
    filled = np.sum([columns[name][0] != 0 for name in parts], axis=0)
    there &= filled >= max(2, len(parts) - 1)
    if not (filled[there] == len(parts)).any():
        return None
    off = np.abs(columns[whole][0] - sum(columns[name][0] for name in parts))[there]
    return {
        "share": round(float((off <= 1).mean()), 4),
        "exact": round(float((off == 0).mean()), 4),
        "rows": len(off),
    }


def shares(kinds: Mapping[str, str], columns: Mapping[str, Column]) -> dict[str, Law]:
    """ "a=b", "a=b*c" or "a=b/c" → the law by which the first is a share of the others."""
    names = [name for name in columns if kinds.get(name) in {*SCALE, "inteiro"}][:_MOST_FIELDS]
    amounts = sorted((name for name in names if kinds[name] != "inteiro"), key=_size(columns))
    others = [name for name in columns if name in names or name.startswith(AGE)]
    found: dict[str, Law] = {}
    for one in amounts:
        room = _ROOM * _unit(columns[one])
        for made in _products(one, amounts, names, others):
            law = _share(one, made, columns, room)
            if law is not None:
                found[f"{one}={made}"] = law
                break
    return found


def _size(columns: Mapping[str, Column]) -> Any:
    return lambda name: -float(columns[name][0].sum())


def _unit(column: Column) -> float:
    """The unit in which decimals are written: 0.0001 of them counts 100."""
    whole = np.round(column[0][column[1]])
    return next((10.0**tens for tens in (6, 5, 4, 3, 2, 1) if not (whole % 10**tens).any()), 1.0)


def _products(
    one: str, amounts: Sequence[str], names: Sequence[str], others: Sequence[str]
) -> Iterator[str]:
    yield from (name for name in names if name != one)
    for name in amounts:
        yield from (f"{name}*{by}" for by in others if name != one and by not in {one, *amounts})
    for name in names:
        yield from (f"{name}/{by}" for by in names if len({one, name, by}) == 3)


def _product(made: str, columns: Mapping[str, Column]) -> Column | None:
    for sign in "*/":
        one, _, other = made.partition(sign)
        if other:
            if one not in columns or other not in columns:
                return None
            (a, has_a), (b, has_b) = columns[one], columns[other]
            if sign == "*":
                return a * b, has_a & has_b
            return np.divide(a, b, out=np.zeros_like(a), where=b != 0), has_a & has_b & (b != 0)
    return columns.get(made)


def _share(one: str, made: str, columns: Mapping[str, Column], room: float) -> Law | None:
    product = _product(made, columns)
    if product is None:
        return None
    (a, has_a), (b, has_b) = columns[one], product
    rows = np.flatnonzero(has_a & has_b & (b > 0) & (a >= 0))
    if len(rows) < _LEAST or (a[has_a & has_b & (b <= 0)] > room).any():
        return None
    for some in (rows[:_FIRST], rows):
        low, high = ((a[some] - room) / b[some]).max(), ((a[some] + room) / b[some]).min()
        if not 0 < low <= high:
            return None
    telling = room <= _TELLING * a[rows]
    different = min(len(np.unique(column[rows][telling])) for column in (a, b))
    if telling.sum() < _LEAST or different < _DIFFERENT:
        return None
    return {"low": float(low), "high": float(high), "room": room, "rows": int(telling.sum())}


def fields_of(law: str) -> list[str]:
    """The fields that a law is about, the one that it judges first; ages are of their dates."""
    for sign in "=*/":
        law = law.replace(sign, "|")
    return [name.removeprefix(AGE) for name in law.split("|")]


def off_sum(names: str, columns: Mapping[str, Column], room: float) -> Mask | None:
    """The rows whose amounts are no such sum; None where a field of it is not there."""
    whole, *parts = names.split("|")
    if not {whole, *parts} <= columns.keys():
        return None
    there = np.logical_and.reduce([columns[name][1] for name in (whole, *parts)])
    off = np.abs(columns[whole][0] - sum(columns[name][0] for name in parts))
    return np.asarray(there & (off > room), dtype=np.bool_)


def off_share(names: str, law: Law, columns: Mapping[str, Column]) -> Mask | None:
    """The rows whose amount is no such share; None where a field of it is not there."""
    one, _, made = names.partition("=")
    product = _product(made, columns)
    if one not in columns or product is None:
        return None
    (a, has_a), (b, has_b) = columns[one], product
    room = _SPARE * law["room"]
    wrong = (a < law["low"] * b - room) | (a > law["high"] * b + room)
    return np.asarray(has_a & has_b & (b > 0) & wrong, dtype=np.bool_)


def pooled_sums(files: Sequence[Mapping[str, Law]]) -> dict[str, Law]:
    """The sums of the newest of several files, as they held in all of them."""
    found = {}
    for names in files[0] if files else ():
        every = [one[names] for one in files if names in one]
        rows = sum(one["rows"] for one in every)
        found[names] = {
            "share": sum(one["share"] * one["rows"] for one in every) / rows,
            "exact": min(one.get("exact", 0) for one in every),
            "rows": rows,
        }
    return found


def pooled_shares(files: Sequence[Mapping[str, Law]]) -> dict[str, Law]:
    """The shares that are the same ones in all of several files."""
    found = {}
    for names, law in files[0].items() if files else ():
        every = [one[names] for one in files if names in one]
        low, high = max(one["low"] for one in every), min(one["high"] for one in every)
        if low <= high and len(every) == len(files):
            found[names] = law | {
                "low": low,
                "high": high,
                "rows": sum(one["rows"] for one in every),
            }
    return found
