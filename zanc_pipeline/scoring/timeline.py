"""Point-in-time counting: what was known of a key strictly before a moment, vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_SPAN = 1 << 33
"""Seconds reserved for one key (until the year 2242): a billion keys fit in an int64."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """For each question, the slice ``[start, end)`` of the ordered events that it may see."""

    start: Ints
    end: Ints

    @property
    def size(self) -> Floats:
        """How many events each slice holds."""
        return (self.end - self.start).astype(np.float64)


class Timeline:
    """Events ordered by key and time.

    ``keys`` are texts (a phone, a CPF); ``seconds`` is the epoch second at which each event became
    known, rounded up. A question at second ``t`` sees the events of its key with ``seconds < t``:
    an event never sees itself, nor another of the same second.
    """

    def __init__(self, keys: pd.Series[str], seconds: Ints) -> None:
        import pandas as pd

        codes, self._known = pd.factorize(keys)
        combined = codes.astype(np.int64) * _SPAN + seconds
        self.order: Ints = np.argsort(combined, kind="stable")
        self._combined: Ints = combined[self.order]
        self.seconds: Ints = seconds[self.order]

    def ask(self, keys: pd.Series[str], at: Ints) -> Question:
        """Ask about these keys at these moments (epoch seconds, rounded down)."""
        import pandas as pd

        codes = pd.Index(self._known).get_indexer(pd.Index(keys)).astype(np.int64)
        return Question(self._combined, codes, at)

    def marks(self, flags: Bools) -> Marks:
        """Count and find the events with a flag; ``flags`` is in the order of the input."""
        return Marks(flags[self.order], self.seconds)


class Question:
    """Keys and moments, looked up once."""

    def __init__(self, combined: Ints, codes: Ints, at: Ints) -> None:
        self._combined, self._codes, self._at = combined, codes, at
        self._unseen = codes < 0
        self._end = self._place(codes * _SPAN + at)

    def span(self, *, days: float) -> Span:
        """The events of each key in the ``days`` before its moment."""
        since = np.maximum(self._at - int(days * 86_400), 0)
        return Span(start=self._place(self._codes * _SPAN + since), end=self._end)

    def _place(self, wanted: Ints) -> Ints:
        found = np.searchsorted(self._combined, wanted, side="left").astype(np.int64)
        found[self._unseen] = 0
        return found


class Marks:
    """The flagged events of a timeline."""

    def __init__(self, flags: Bools, seconds: Ints) -> None:
        self._seconds = seconds
        self._running = np.concatenate(([0], np.cumsum(flags, dtype=np.int64)))
        positions = np.where(flags, np.arange(len(flags)), -1)
        self._latest = np.concatenate(([-1], np.maximum.accumulate(positions)))

    def count(self, span: Span) -> Floats:
        """How many flagged events each span holds."""
        return (self._running[span.end] - self._running[span.start]).astype(np.float64)

    def since(self, span: Span) -> Floats:
        """How many events of the span follow its last flagged one; all of them when none is."""
        latest = self._latest[span.end]
        return np.where(latest >= span.start, span.end - 1 - latest, span.end - span.start).astype(
            np.float64
        )

    def days_since(self, span: Span, at: Ints) -> Floats:
        """Days from the last flagged event of each span to ``at``; NaN when there is none."""
        latest = self._latest[span.end]
        found = (latest >= span.start) & (span.end > span.start)
        days = np.full(len(at), np.nan)
        days[found] = (at[found] - self._seconds[latest[found]]) / 86_400
        return days
