"""How the values of known contracts move: as a debt moves, or as damage makes them.

A debt is paid, corrected, put off by a month; a name gets another surname. A value that lost its
first digit, that is ten times the one before, a date of four years and a day later, a text cut
off: these are values of before that something spoiled. How often a field moves so is remembered
of each creditor: where it never did, a single row that does goes aside.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from zanc_pipeline.reception.drift.chance import of_many, poisson_tail
from zanc_pipeline.reception.drift.fingerprint import Fingerprint, file_day
from zanc_pipeline.reception.drift.rows import leaps, near_after, same, times
from zanc_pipeline.reception.drift.sample import Token

SPOILED, CENTS, STEP, EXCHANGED = "!", "~", "*", "&"
EARLIER, BACK, MOVED = "<", "^", "+"
"""Behind the name of a field in the history: the rows in which it did not move so."""
SAID = {
    SPOILED: "é o valor de antes estragado: cortado, trocado ou fora da escala",
    CENTS: "é o valor de antes arredondado, ou por um centavo",
    STEP: "mudou no mesmo passo em várias linhas, enquanto as demais ficaram",
    EXCHANGED: "é o valor que outra linha, que também mudou, trazia",
    EARLIER: "a linha é a de um arquivo mais antigo, e não a do último",
    BACK: "o contrato já tinha saído da carteira e voltou",
}
_PRIOR = {
    SPOILED: 0.001,
    CENTS: 0.02,
    STEP: 0.01,
    EXCHANGED: 0.0003,
    EARLIER: 0.1,
    BACK: 0.5,
    MOVED: 1.0,
}
"""How many rows move so, of one file more, before anything is known."""
_SCALES = (10, 100, 1000)
_FEW_DIGITS, _FEW_SIGNS = 3, 4
_YEAR = 366
_ALIKE = 0.8
"""Part of the letters of a text that are to be found again, in order, in one that it became."""
_MOST = 3
"""Fields that move in more than one row of so many move by themselves."""
_TOLD_ROWS, _HARDLY, _MANY = 12, 20, 0.75
"""But where hardly any of so many rows ever moved, a step that many make, and the others do not,
is no interest."""
_CHANCE = 0.05

_COARSE, _ACCIDENT = 6.0, 0.01
"""How near to each other, in cents, two factors or differences come by chance; what is none."""
_RETURNS = 0.005
_STALE = frozenset({EARLIER, BACK})

Moves = Mapping[str, frozenset[int]]
"""Field and mark → known contracts that moved so."""
History = Mapping[str, tuple[float, float]]


def price_of_move(name: str, history: History, count: int, rows: int) -> float:
    """The share of rows that move so, of one file more; ``name``: of a field, and the mark.

    In a file in which ``count`` of ``rows`` do.
    """
    calm, of = history.get(name, (0.0, 0.0))
    share = (of - calm + _PRIOR[name[-1]]) / (of + 1)
    if name[-1] not in _STALE:
        return share
    share = max(share, _RETURNS)  # a line of yesterday that could not be read is back too
    return of_many(share, count, rows) if of >= _TOLD_ROWS else 1.0


def moves(seen: Fingerprint, before: Fingerprint, known: Collection[int]) -> Moves:
    """The ``known`` contracts whose values moved as damage moves them."""
    day, days = file_day(seen.file), seen.days_since(before)
    near = near_after(days)
    found: dict[str, frozenset[int]] = {}
    for name, print_ in seen.fields.items():
        kind = print_.type
        if name not in before.fields or before.fields[name].type != kind:
            continue
        here, there = _values(seen, name), _values(before, name)
        both = [key for key in known if here.get(key) is not None and there.get(key) is not None]
        changed = [key for key in both if here[key] != there[key]]
        calm, told = before.history.get(name + MOVED, (0.0, 0.0))
        still = (told - calm) * _MOST <= told
        some = changed if still and _MOST * len(changed) <= len(both) else []
        far = [key for key in changed if not same(here[key], there[key], near)]
        found[name + SPOILED] = frozenset(
            key
            for key in some or far
            if (some or kind != "dinheiro" or _cut(here[key], there[key]))
            and spoiled(kind, here[key], there[key], day, days)
        )
        if kind == "dinheiro":
            found[name + CENTS] = frozenset(key for key in some if _by_cents(here[key], there[key]))
            found[name + MOVED] = frozenset(changed)
            never = told >= _TOLD_ROWS and (told - calm) * _HARDLY <= told
            many = never and len(changed) <= _MANY * len(both)
            found[name + STEP] = _one_step(there, here, changed if many else some)
        if kind != "telefones":
            found[name + EXCHANGED] = _exchanged(there, here, some)
    return found


def stale(
    seen: Fingerprint, last: Fingerprint, earlier: Sequence[Fingerprint], known: Collection[int]
) -> Moves:
    """The rows of a later day that are those of one of the ``earlier`` files, not of the ``last``;
    and the contracts that only these had."""
    if not (seen.days_since(last) or 0) > 0:
        return {}
    key = seen.key.name
    names = [name for name in seen.names if all(name in one.fields for one in (last, *earlier))]
    now, was = _rows(seen, names), _rows(last, names)
    reach = max(last.links, default=0) if last.rows > len(last.links) else math.inf
    reached = [row for row in known if row <= reach and row not in last.waiting]
    reverted, back = set[int](), set[int]()
    for one in earlier:
        then = _rows(one, names)
        back |= {row for row in reached if row in then and row not in was}
        reverted |= {
            row for row in known if row in then and row in was and now[row] == then[row] != was[row]
        }
    return {
        key + EARLIER: frozenset(reverted),
        key + BACK: frozenset(back),
    }


def _rows(of: Fingerprint, names: Sequence[str]) -> dict[int, list[Token]]:
    places = [of.names.index(name) for name in names]
    return {key: [row[place] for place in places] for key, row in of.links.items()}


def _values(of: Fingerprint, name: str) -> Mapping[int, Any]:
    """The values of a field by contract, as far as they are known; amounts in cents."""
    if of.fields[name].type == "dinheiro":
        return of.column(name)
    return of.plain.get(name, {})


def spoiled(kind: str, new: Any, old: Any, day: date | None, days: int | None) -> bool:
    """Whether a value is what damage makes of the one before, in a file of ``day``, so many
    ``days`` later. Amounts are in cents."""
    if kind == "dinheiro":
        return leaps(new, old, days) or _digits(new, old)
    if kind == "decimal":
        return _digits(int(new.scaleb(6)), int(old.scaleb(6)))
    if kind in {"inteiro", "telefone", "cpf", "cnpj"}:
        return _digits(int(new), int(old)) if f"{new}{old}".isdigit() else False
    if kind == "data":
        return _date(new, old, day)
    if kind == "email":  # who has another address may well keep its domain, or half its name
        one, other = new.casefold().split("@"), old.casefold().split("@")
        return any(
            one[at:][:1] == other[at:][:1] and _text(one[-1 - at], other[-1 - at]) for at in (0, 1)
        )
    return kind == "texto" and _text(new.casefold(), old.casefold())


def _digits(new: int, old: int) -> bool:
    """Digits lost, added or in another order; a scale, a sign."""
    if new == -old:
        return True
    if min(new, old) <= 0:
        return False
    short, long = sorted((str(new), str(old)), key=len)
    if len(short) < _FEW_DIGITS:
        return False
    if any(times(new, old, scale) or times(old, new, scale) for scale in _SCALES):
        return True
    if len(short) < len(long):
        return long.startswith(short) or (long == str(old) and long.endswith(short))
    places = [at for at, (one, other) in enumerate(zip(short, long, strict=True)) if one != other]
    return (
        len(places) == 2 and short[places[0]] == long[places[1]] and sorted(short) == sorted(long)
    )


def _cut(new: int, old: int) -> bool:
    """Whether an amount lost its first digits or is far off: where all amounts move by themselves,
    any other likeness of their digits is chance."""
    return leaps(new, old, None) or (new >= 10**_FEW_DIGITS and str(old).endswith(str(new)))


def _by_cents(new: int, old: int) -> bool:
    """Rounded, or a cent or two beside."""
    off = abs(new - old)
    return off <= 2 or (off < 100 and not new % 100) or (off < 10 and not new % 10)


def _date(new: date, old: date, day: date | None) -> bool:
    """Back in time, far ahead, by whole years, by one day, on the day of the file itself."""
    step = (new - old).days
    years = new.month == old.month and abs(new.day - old.day) <= 1 and new.year != old.year
    ahead = step > _YEAR and (day is None or new > day)
    return step < 0 or step == 1 or ahead or years or new == day


def _text(new: str, old: str) -> bool:
    """Cut, or with letters lost or changed; a text that only grew is none of these."""
    if new.startswith(old) or min(len(new), len(old)) < _FEW_SIGNS:
        return False
    if new in old:
        return True
    size = max(len(new), len(old))
    return abs(len(new) - len(old)) <= (1 - _ALIKE) * size and _common(new, old) >= _ALIKE * size


def _common(one: str, other: str) -> int:
    """The length of the longest text that is in both with signs left out."""
    row = [0] * (len(other) + 1)
    for sign in one:
        left = 0
        for at, its in enumerate(other, 1):
            best = left + 1 if sign == its else max(row[at], row[at - 1])
            left, row[at] = row[at], best
    return row[-1]


def _one_step(
    old: Mapping[int, Any], new: Mapping[int, Any], keys: Collection[int]
) -> frozenset[int]:
    """Contracts whose amounts moved by one and the same factor or difference, when more did than
    by chance."""
    keys = [key for key in keys if old[key] > 0 and new[key] > 0]
    if len(keys) < 2:
        return frozenset()
    by_off: defaultdict[int, set[int]] = defaultdict(set)
    for key in keys:
        by_off[new[key] - old[key]].add(key)
    groups = [*by_off.values()]
    low, high = 0.0, 0.0
    for factor, key in sorted((new[key] / old[key], key) for key in keys):
        room = 1.01 / old[key]
        if max(low, factor - room) <= min(high, factor + room):
            low, high = max(low, factor - room), min(high, factor + room)
            groups[-1].add(key)
        else:
            groups.append({key})
            low, high = factor - room, factor + room
    alike = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    each = sum(_COARSE / old[key] for key in keys) / len(keys)
    if poisson_tail(alike, each * len(keys) * (len(keys) - 1) / 2) >= _ACCIDENT:
        return frozenset()
    return frozenset(key for group in groups if len(group) > 1 for key in group)


def _exchanged(
    old: Mapping[int, Any], new: Mapping[int, Any], keys: Collection[int]
) -> frozenset[int]:
    """Contracts that got the value of another that changed too, when more did than by chance."""
    whose: defaultdict[Any, set[int]] = defaultdict(set)
    for key in keys:
        whose[old[key]].add(key)
    got = frozenset(key for key in keys if whose.get(new[key], set()) - {key})
    if len(got) < 2:
        return frozenset()
    values = Counter(value for value in old.values() if value is not None)
    share = sum(values[value] for value in whose) / values.total()
    return got if poisson_tail(len(got), share * len(keys)) < _CHANCE else frozenset()
