"""Summaries of many calls at once, in columns: what ``queries.RECORD`` computes of a few."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation
from zanc_pipeline.localization.queries import ANSWER_HOURS, MISSES, RIGHT_PARTIES

if TYPE_CHECKING:
    import numpy as np

_NEVER = -(2**63)
_HOUR = 3_600_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Summaries:
    """Two ``pyarrow.Table`` in the order in which rows are locked.

    ``pairs`` has cpf, phone, source, first_at and PAIR_COLUMNS by (phone, cpf); ``phones`` has
    phone and PHONE_COLUMNS by phone.
    """

    pairs: Any
    phones: Any


def fold(calls: Any) -> Summaries:
    """The summaries of a ``pyarrow.Table`` with the columns of ``localization.call``."""
    import numpy as np

    columns = _Columns(calls)
    by_pair = np.lexsort((columns.outcome, columns.started, columns.cpf, columns.phone))
    return Summaries(
        pairs=_pairs(columns, by_pair),
        phones=_phones(columns, by_pair),
    )


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


def _pairs(columns: _Columns, order: np.ndarray) -> Any:
    import numpy as np
    import pyarrow as pa

    cpf, phone, started = columns.cpf[order], columns.phone[order], columns.started[order]
    first = np.flatnonzero(_changes(phone) | _changes(cpf))
    last = np.append(first[1:], len(order)) - 1

    def count(mask: np.ndarray) -> Any:
        return pa.array(np.add.reduceat(mask.astype(np.int32), first))

    def latest(mask: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(np.where(mask, started, _NEVER), first)

    answered, invalid = columns.answered[order], columns.invalid[order]
    answered_at = latest(answered)
    missed = columns.missed[order] & (started > np.repeat(answered_at, last - first + 1))
    return pa.table(
        {
            "cpf": columns.cpfs.take(pa.array(cpf[first])),
            "phone": columns.phones.take(pa.array(phone[first])),
            "source": columns.crms.take(pa.array(columns.crm[order][first])),
            "first_at": _moments(started[first]),
            "attempts": pa.array((last - first + 1).astype(np.int32)),
            "answers": count(answered),
            "right_parties": count(columns.right_party[order]),
            "misses_in_a_row": count(missed),
            "last_outcome": columns.outcomes.take(pa.array(columns.outcome[order][last])),
            "last_attempt_at": _moments(started[last]),
            "last_answer_at": _moments(answered_at),
            "last_right_party_at": _moments(latest(columns.right_party[order])),
            "invalids": count(invalid),
            "last_invalid_at": _moments(latest(invalid)),
            "last_wrong_person_at": _moments(latest(columns.wrong_person[order])),
            "deceased": pa.array(np.logical_or.reduceat(columns.deceased[order], first)),
        }
    )


def _phones(columns: _Columns, order: np.ndarray) -> Any:
    import numpy as np
    import pyarrow as pa

    phone, started = columns.phone[order], columns.started[order]
    first = np.flatnonzero(_changes(phone))
    size = np.diff(np.append(first, len(order)))
    answered, invalid = columns.answered[order], columns.invalid[order]

    def latest(mask: np.ndarray) -> Any:
        return _moments(np.maximum.reduceat(np.where(mask, started, _NEVER), first))

    answers = np.add.reduceat(answered.astype(np.int32), first)
    return pa.table(
        {
            "phone": columns.phones.take(pa.array(phone[first])),
            "attempts": pa.array(size.astype(np.int32)),
            "answers": pa.array(answers),
            "invalids": pa.array(np.add.reduceat(invalid.astype(np.int32), first)),
            "last_attempt_at": _moments(np.maximum.reduceat(started, first)),
            "last_answer_at": latest(answered),
            "last_invalid_at": latest(invalid),
            "answer_hours": _answer_hours(phone[answered], started[answered], answers),
        }
    )


def _answer_hours(phone: np.ndarray, started: np.ndarray, answers: np.ndarray) -> Any:
    """The hours of the week of each phone's last answers, as PostgreSQL writes bytes."""
    import numpy as np
    import pyarrow as pa

    digits = hours_of_week(started[np.lexsort((started, phone))]).tobytes().hex()
    ends = np.cumsum(answers)
    starts = np.maximum(ends - answers, ends - ANSWER_HOURS)
    return pa.array(
        [
            f"\\x{digits[2 * start : 2 * end]}"
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ],
        pa.string(),
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


def _moments(microseconds: np.ndarray) -> Any:
    import pyarrow as pa

    kind = pa.timestamp("us", tz="UTC")
    return pa.array(microseconds, pa.int64(), mask=microseconds == _NEVER).cast(kind)
