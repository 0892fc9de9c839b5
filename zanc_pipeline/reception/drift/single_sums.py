"""Amounts and dates of one row: their sums, their fixed shares, and which of two is the later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from operator import eq, gt, lt
from typing import Any

import numpy as np

from zanc_pipeline.reception.drift.exact import Mask, fields_of, off_share, off_sum
from zanc_pipeline.reception.drift.law import LEAST_ROWS, NEVER, Law, Rows

_ORDERS: dict[str, dict[str, tuple[str, Callable[[int, int], bool]]]] = {
    "data": {"<": ("menor que", lt), ">": ("maior que", gt)},
    "telefone": {"=": ("igual a", eq)},
    "dinheiro": {},
}
"""Type of two fields → which of them being less, greater or equal may be a law."""
_SLIPS = 0.06
"""The same of two dates: one may be paid before it is due."""
_EXACT = 1.2
_ROOM = 0.01
_CENTS = 2


def sums_and_orders(rows: Rows) -> Iterator[Law]:
    """Rows that break a sum, a fixed share or an order of dates that held in all rows before."""
    yield from _exact(rows)
    numbers = {
        name: {
            key: made
            for key in (*rows.known, *rows.fresh)
            if (made := _number(rows.here.values[name][key])) is not None
        }
        for name in rows.names
        if rows.seen.fields[name].type in _ORDERS
    }
    for names, law in rows.before.relations.get("pairs", {}).items():
        one, other = names.split("|")
        if one in numbers and other in numbers and law["rows"] >= LEAST_ROWS:
            kind = rows.seen.fields[one].type
            yield from _pair(one, other, kind, numbers, law)


def _exact(rows: Rows) -> Iterator[Law]:
    columns = rows.here.columns
    for names, law in rows.before.relations.get("sums", {}).items():
        if law["share"] == 1 and law["rows"] >= LEAST_ROWS:
            whole, *parts = fields_of(names)
            text = f"não é a soma de {' e '.join(parts)}, como nas demais linhas"
            off = off_sum(names, columns, int(law.get("exact") != 1))
            yield from _off(rows, whole, off, text, law)
    for names, law in rows.before.relations.get("shares", {}).items():
        if law["rows"] >= LEAST_ROWS:
            one, *parts = fields_of(names)
            text = f"não é a parte de {' e '.join(parts)} que sempre foi"
            yield from _off(rows, one, off_share(names, law, columns), text, law)


def _off(
    rows: Rows, name: str, off: Mask | None, text: str, law: Mapping[str, Any]
) -> Iterator[Law]:
    if off is not None and name in rows.seen.fields:
        keys = rows.here.sample.keys
        broken = frozenset(keys[place] for place in np.flatnonzero(off).tolist())
        yield Law(field=name, price=NEVER / law["rows"], text=text, broken=broken)


def _pair(
    one: str,
    other: str,
    kind: str,
    numbers: Mapping[str, Mapping[int, int]],
    law: Mapping[str, Any],
) -> Iterator[Law]:
    both = {
        key: (value, numbers[other][key])
        for key, value in numbers[one].items()
        if key in numbers[other]
    }
    for sign, (said, is_so) in _ORDERS[kind].items():
        if not law["cells"].get(sign) and law["cells"].get("=", 0.0) < 1:
            yield Law(
                field=one,
                price=_SLIPS / law["rows"],
                text=f"é {said} '{other}', o que nunca foi",
                broken=frozenset(key for key, values in both.items() if is_so(*values)),
            )
    low, high = law.get("ratios", (0.0, 1e9))
    if law.get("ratio_rows", 0) >= LEAST_ROWS and high < low * _EXACT:
        low, high = low * (1 - _ROOM), high * (1 + _ROOM)
        yield Law(
            field=one,
            price=NEVER / law["rows"],
            text=f"está fora da proporção que sempre teve com '{other}'",
            broken=frozenset(
                key
                for key, (a, b) in both.items()
                if not low * b - _CENTS <= a <= high * b + _CENTS
            ),
        )


def _number(value: Any) -> int | None:
    if isinstance(value, Decimal):
        return int(value.scaleb(2))
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    return value.toordinal() if isinstance(value, date) else None
