"""Summaries of many calls at once, in columns: what ``queries.RECORD`` computes of a few."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation
from zanc_pipeline.localization.binary_copy import Column, booleans, integers, moments, texts
from zanc_pipeline.localization.queries import ANSWER_HOURS, MISSES, RIGHT_PARTIES

if TYPE_CHECKING:
    import numpy as np

_NEVER = -(2**63)
_HOUR = 3_600_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Summaries:
    """Columns to be copied: of ``pairs`` cpf, phone, source, first_at and PAIR_COLUMNS; of
    ``phones`` phone and PHONE_COLUMNS."""

    pairs: list[Column]
    phones: list[Column]


def fold(calls: Any) -> Summaries:
    """The summaries of a ``pyarrow.Table`` with the columns of ``localization.call``."""
    import numpy as np

    columns = _Columns(calls)
    by_pair = np.lexsort((columns.outcome, columns.started, columns.cpf, columns.phone))
    return Summaries(pairs=_pairs(columns, by_pair), phones=_phones(columns, by_pair))


class _Columns:
    """The columns as numbers; texts as places in their sorted distinct values."""

    def __init__(self, calls: Any) -> None:
        import numpy as np

        self.cpf, self.cpfs = _encoded(calls["cpf"])
        self.phone, self.phones = _encoded(calls["phone"])
        self.crm, self.crms = _encoded(calls["crm"])
        self.outcome, self.outcomes = _encoded(calls["outcome"])
        tabulation, tabulations = _encoded(calls["tabulation"])
        self.started = calls["started_at"].cast("int64").to_numpy()

        def among(code: np.ndarray, texts: Any, wanted: Any) -> np.ndarray:
            known = {str(text) for text in wanted}
            found = np.array([*(text in known for text in texts.to_pylist()), False], dtype=bool)
            places: np.ndarray = found[code]
            return places

        self.answered = among(self.outcome, self.outcomes, PERSON_ANSWERED)
        self.missed = among(self.outcome, self.outcomes, MISSES)
        self.invalid = among(self.outcome, self.outcomes, [Outcome.INVALID_NUMBER])
        self.right_party = among(tabulation, tabulations, RIGHT_PARTIES)
        self.wrong_person = among(tabulation, tabulations, [Tabulation.WRONG_PERSON])
        self.deceased = among(tabulation, tabulations, [Tabulation.DECEASED])


def _encoded(column: Any) -> tuple[np.ndarray, Any]:
    """Codes in the order of the texts, −1 for null, and the texts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    encoded = column.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary)
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return rank[codes], encoded.dictionary.take(order)


def _pairs(columns: _Columns, order: np.ndarray) -> list[Column]:
    import numpy as np

    cpf, phone, started = columns.cpf[order], columns.phone[order], columns.started[order]
    first = np.flatnonzero(_changes(phone) | _changes(cpf))
    last = np.append(first[1:], len(order)) - 1

    def count(name: str, mask: np.ndarray) -> Column:
        return integers(name, np.add.reduceat(mask.astype(np.int32), first))

    def latest(mask: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(np.where(mask, started, _NEVER), first)

    answered, invalid = columns.answered[order], columns.invalid[order]
    right, wrong = columns.right_party[order], columns.wrong_person[order]
    answered_at = latest(answered)
    missed = columns.missed[order] & (started > np.repeat(answered_at, last - first + 1))
    return [
        texts("cpf", columns.cpfs, cpf[first]),
        texts("phone", columns.phones, phone[first]),
        texts("source", columns.crms, columns.crm[order][first]),
        moments("first_at", started[first]),
        integers("attempts", last - first + 1),
        count("answers", answered),
        count("right_parties", right),
        count("misses_in_a_row", missed),
        texts("last_outcome", columns.outcomes, columns.outcome[order][last]),
        moments("last_attempt_at", started[last]),
        moments("last_answer_at", answered_at, never=_NEVER),
        moments("last_right_party_at", latest(right), never=_NEVER),
        count("invalids", invalid),
        moments("last_invalid_at", latest(invalid), never=_NEVER),
        moments("last_wrong_person_at", latest(wrong), never=_NEVER),
        booleans("deceased", np.logical_or.reduceat(columns.deceased[order], first)),
    ]


def _phones(columns: _Columns, order: np.ndarray) -> list[Column]:
    import numpy as np

    phone, started = columns.phone[order], columns.started[order]
    first = np.flatnonzero(_changes(phone))
    size = np.diff(np.append(first, len(order)))
    answered, invalid = columns.answered[order], columns.invalid[order]

    def latest(name: str, mask: np.ndarray) -> Column:
        values = np.maximum.reduceat(np.where(mask, started, _NEVER), first)
        return moments(name, values, never=_NEVER)

    answers = np.add.reduceat(answered.astype(np.int32), first)
    return [
        texts("phone", columns.phones, phone[first]),
        integers("attempts", size),
        integers("answers", answers),
        integers("invalids", np.add.reduceat(invalid.astype(np.int32), first)),
        moments("last_attempt_at", np.maximum.reduceat(started, first)),
        latest("last_answer_at", answered),
        latest("last_invalid_at", invalid),
        _answer_hours(phone[answered], started[answered], answers),
    ]


def _answer_hours(phone: np.ndarray, started: np.ndarray, answers: np.ndarray) -> Column:
    """The hours of the week of each phone's last answers, a byte each."""
    import numpy as np

    ends = np.cumsum(answers)
    sizes = np.minimum(answers, ANSWER_HOURS)
    return Column(
        name="answer_hours",
        data=hours_of_week(started[np.lexsort((started, phone))]),
        starts=ends - sizes,
        sizes=sizes,
    )


def hours_of_week(started: np.ndarray) -> np.ndarray:
    """24 × weekday (Sunday 0) + hour, in São Paulo, of moments in µs; bytes.

    The zone's offset has always changed at a full hour of UTC.
    """
    import numpy as np

    hours, place = np.unique(started // _HOUR, return_inverse=True)
    local = []
    for hour in hours.tolist():
        moment = datetime.fromtimestamp(hour * 3600, UTC).astimezone(LOCAL)
        local.append((moment.weekday() + 1) % 7 * 24 + moment.hour)
    return np.array(local, dtype=np.uint8)[place]


def _changes(codes: np.ndarray) -> np.ndarray:
    import numpy as np

    changed = np.ones(len(codes), dtype=bool)
    changed[1:] = codes[1:] != codes[:-1]
    return changed
