"""Numbers and dates that move by themselves: days overdue, one more each day, in all rows alike.

A field whose every value is another one each day proves nothing by agreeing with the last file.
But it moves in step: all known contracts by the same number, about as many as days went by; and
where the days overdue and the due date make one and the same day in all rows, they always do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product

import numpy as np

from zanc_pipeline.common.holidays import national_holidays
from zanc_pipeline.reception.drift.chance import at_least
from zanc_pipeline.reception.drift.doubts import SMALL, Doubt
from zanc_pipeline.reception.drift.fingerprint import ARRIVED, Fingerprint, Step
from zanc_pipeline.reception.drift.rows import same

_ROWS = 4
"""Rows from which a step, or a day that is common to all of them, is known."""
_COUNTER = 0.9
"""Share of the rows that move by the same step, in a field that counts."""
_LAW = 0.95
_MOST_FIELDS = 8
_NUMBERS = frozenset({"inteiro", "texto"})
_DIFFERENT = 3
_FAR = 40
_RESTING_DAYS = 4
"""Days of a long weekend: a file of the last working day comes again, or that many at once."""
_PRIOR, _PRIOR_ROWS = 0.01, 4
_UNLIKELY, _UNLIKELY_OF_FEW = 0.02, 0.05


Pair = tuple[str, str, str]
"""A date, a number, and the sign with which the two of them make one day."""


@dataclass(frozen=True, kw_only=True)
class Movement:
    """What moved from one file to the next: the fields, and the days that pairs of them make."""

    moves: Mapping[str, Common]
    anchors: Mapping[Pair, tuple[Common, Common]]
    """Now, and before."""


def movement(seen: Fingerprint, before: Fingerprint) -> Movement:
    """What moved from ``before`` to ``seen``."""
    anchors = _anchors(seen, before)
    sure = {number for (_, number, _), (now, _) in anchors.items() if not now.others}
    return Movement(
        moves=_moves(seen, before),
        # Where one date explains every row, another that mostly goes with it proves nothing more.
        anchors={
            pair: both
            for pair, both in anchors.items()
            if pair[1] not in sure or not both[0].others
        },
    )


def counter_doubts(moved: Movement, seen: Fingerprint, before: Fingerprint) -> Iterator[Doubt]:
    """Fields that moved by another step than they do, in all rows or in some of them."""
    gone = seen.days_since(before)
    anchored: set[str] = set()
    for (day, number, sign), (now, was) in moved.anchors.items():
        anchored.add(number)
        past = before.steps.get(f"{day}{sign}{number}")
        if not _may_move(now.value - was.value, past, gone) or _stale(now, was, seen, before):
            yield _moved_doubt(number, now.value - was.value)
        usual = (was.others + _PRIOR * _PRIOR_ROWS) / (was.rows + _PRIOR_ROWS)
        others = newly_apart(now, was)
        if others and at_least(len(others), now.rows, usual) < _limit(now.rows):
            yield Doubt(
                field=number,
                kind="counter",
                text=f"em {len(others)} de {now.rows} linhas não combina com '{day}', como nas "
                "demais",
                rows=others,
            )
    for name, found in moved.moves.items():
        past = before.steps.get(name)
        if name in anchored or not _counts(found, past, seen.fields[name].type):
            continue
        if not _may_move(found.value, past, gone):
            yield _moved_doubt(name, found.value)
        _, alike, rows = past or (0, 0.0, 0.0)
        usual = (rows - alike + _PRIOR * _PRIOR_ROWS) / (rows + _PRIOR_ROWS)
        if found.others and at_least(found.others, found.rows, usual) < _limit(found.rows):
            yield Doubt(
                field=name,
                kind="counter",
                text=f"em {found.others} de {found.rows} contratos já conhecidos não andou "
                f"{found.value}, como nos demais",
                rows=frozenset(found.keys),
            )


def newly_apart(now: Common, was: Common) -> frozenset[int]:
    """The contracts that do not make the day which the others make, and did before or are new."""
    return frozenset(now.keys) - frozenset(was.keys)


def counters(moved: Movement, seen: Fingerprint, before: Fingerprint) -> set[str]:
    """The fields that moved in all rows by one step, or make one day with a date: as they do."""
    return {number for _, number, _ in moved.anchors} | {
        name
        for name, one in moved.moves.items()
        if _counts(one, before.steps.get(name), seen.fields[name].type)
    }


def steps_of(moved: Movement, before: Fingerprint) -> dict[str, Step]:
    """What is to be remembered of the steps from one file to the next."""
    steps: dict[str, Step] = {}
    for name, found in moved.moves.items():
        usual, alike, rows = before.steps.get(name, (0, 0.0, 0.0))
        steps[name] = (found.value or usual, alike + found.rows - found.others, rows + found.rows)
    for (day, number, sign), (now, was) in moved.anchors.items():
        steps[f"{day}{sign}{number}"] = (now.value - was.value, now.rows - now.others, now.rows)
    return steps


class Common:
    """The value that most rows have, and the contracts (``keys``) that have another one."""

    def __init__(
        self, values: Mapping[int, int], excused: Collection[int] = (), value: int | None = None
    ) -> None:
        self.rows = len(values)
        most = Counter(values.values()).most_common(1)[0][0] if value is None else value
        self.value = most
        self.keys = [
            key for key, value in values.items() if value != self.value and key not in excused
        ]

    @property
    def others(self) -> int:
        """How many contracts have another one, and no excuse."""
        return len(self.keys)


def _counts(found: Common, past: Step | None, kind: str) -> bool:
    """Whether a field moves in step: it always did, or, while that is unknown, it does now.

    Dates that all moved at once, on a second day, are more likely wrong than in the habit of it.
    """
    if past is None:
        return (
            kind != "data"
            and bool(found.value)
            and found.rows - found.others >= _COUNTER * found.rows
        )
    step, alike, rows = past
    return bool(step) and alike >= _COUNTER * rows


def _may_move(step: int, past: Step | None, gone: int | None) -> bool:
    """Whether the step is the usual one, or that of the days that went by, give or take some."""
    near = [days for days in (past[0] if past else None, gone) if days is not None] or [1]
    return any(abs(step - days) <= _RESTING_DAYS for days in near) or (
        gone is not None and 0 <= step <= gone
    )


def _stale(now: Common, was: Common, seen: Fingerprint, before: Fingerprint) -> bool:
    """Whether the day that all rows speak of is further from the file's own than it was.

    Counted in working days: on a Sunday the rows may speak of Friday. Whether the creditor works on
    holidays, and on which, is not known: one calendar in which it is as far is enough.
    """
    for rest in (None, False, True):
        late, before_late = _working_days(now, seen, rest), _working_days(was, before, rest)
        if late is None or before_late is None or late == before_late:
            return False
    return True


def _working_days(common: Common, of: Fingerprint, optional: bool | None) -> int | None:
    """Working days from the day of the rows to the file's; ``optional``: of the holidays on which
    not all rest, None where nobody does."""
    day = of.file.get(ARRIVED)
    if day is None or abs(date.fromisoformat(day).toordinal() - common.value) > _FAR:
        return None
    spoken, own = date.fromordinal(common.value), date.fromisoformat(day)
    rest = [
        holiday
        for year in {spoken.year, own.year}
        for holiday in (() if optional is None else national_holidays(year, optional=optional))
    ]
    off = np.array(rest, "datetime64[D]")
    days = np.array([spoken, own], "datetime64[D]")
    first, last = np.busday_offset(days, 0, roll="backward", holidays=off)
    return int(np.busday_count(first, last, holidays=off))


def _moved_doubt(name: str, step: int) -> Doubt:
    return Doubt(
        field=name,
        kind="counter",
        text=f"andou {step} desde o último arquivo, em todas as linhas: não é o que costuma andar",
    )


def _limit(rows: int) -> float:
    return _UNLIKELY_OF_FEW if rows < 2 * SMALL else _UNLIKELY


def _moves(seen: Fingerprint, before: Fingerprint) -> dict[str, Common]:
    """How far each field of the known contracts moved.

    A row whose amount, or whose date, is another one is excused: the debt itself has changed.
    """
    steps: dict[str, dict[int, int]] = {}
    for name, values in seen.numbers.items():
        old = before.numbers.get(name, {}) if name in before.fields else {}
        moved = {key: value - old[key] for key, value in values.items() if key in old}
        if len(moved) >= _ROWS:
            steps[name] = moved
    news = _changed_debts(seen, before)
    usual = {name: Counter(moved.values()).most_common(1)[0][0] for name, moved in steps.items()}
    found = {}
    for name, moved in steps.items():
        others = [one for one in steps if one != name and seen.fields[one].type == "data"]
        excused = {
            key
            for key in moved
            if key in news or any(steps[one].get(key, usual[one]) != usual[one] for one in others)
        }
        found[name] = Common(moved, excused)
    return found


def _changed_debts(seen: Fingerprint, before: Fingerprint) -> set[int]:
    """Known contracts with another amount."""
    amounts = [name for name in seen.names if seen.fields[name].type == "dinheiro"]
    news: set[int] = set()
    for name in amounts:
        if name in before.fields:
            new, old = seen.column(name), before.column(name)
            news |= {key for key in new if key in old and not same(new[key], old[key])}
    return news


def _anchors(seen: Fingerprint, before: Fingerprint) -> dict[Pair, tuple[Common, Common]]:
    """The pairs that made one and the same day in (nearly) all rows of the file before."""
    kinds = {name: one.type for name, one in seen.fields.items() if name in before.fields}
    days = [name for name in seen.numbers if kinds.get(name) == "data"][:_MOST_FIELDS]
    numbers = [name for name in seen.numbers if kinds.get(name) in _NUMBERS][:_MOST_FIELDS]
    found = {}
    for day, number, sign in product(days, numbers, "+-"):
        was = day_of(before, day, number, sign)
        if was is None or was.others > (1 - _LAW) * was.rows:
            continue
        now = day_of(seen, day, number, sign)
        if now is not None:
            found[day, number, sign] = (now, was)
    return found


def day_of(
    of: Fingerprint, day: str, number: str, sign: str, *, value: int | None = None
) -> Common | None:
    """The day that a date and a number make; debts that are not due yet have no days overdue.

    ``value`` is that day (its ordinal) when it is known from more rows than these.
    """
    dates, numbers = of.numbers.get(day, {}), of.numbers.get(number, {})
    keys = [key for key in dates if key in numbers]
    few = len(keys) < _ROWS or len({numbers[key] for key in keys}) < _DIFFERENT
    if not keys or (few and value is None):
        return None
    times = 1 if sign == "+" else -1
    values = {key: dates[key] + times * numbers[key] for key in keys}
    common = Common(values, value=value).value
    early = {key for key in keys if numbers[key] == 0 and times * (dates[key] - common) >= 0}
    return Common(values, early, common)
