"""The hours in which each phone is best called, now and then one drawn by lot. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

BEST = 3
"""So many hours of each phone are kept in the mailing."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """For each phone its ``hours``, the ``first`` of them, its ``best``, P(answer) in the first."""

    hours: list[list[int]]
    first: Ints
    best: Ints
    answer: Floats


def best_hours(slots: Floats, hours: tuple[int, ...], *, drawn: Floats) -> Told:
    """The best hours of each row of ``slots`` (P(a person answers) in each of ``hours``).

    ``drawn`` is NaN, or a number in [0, 1) for a phone whose first hour is drawn: every hour is
    then the first with the same probability, and the best of the others follow.
    """
    rows = np.arange(len(slots))
    order = np.argsort(-np.nan_to_num(slots, nan=-1.0), axis=1, kind="stable")
    best = order[:, 0].copy() if len(slots) else np.zeros(0, dtype=np.int64)
    lot = ~np.isnan(drawn)
    if lot.any():
        chosen = (drawn[lot] * len(hours)).astype(np.int64)
        others = order[lot]
        ahead = others != chosen[:, None]
        rest = others[ahead].reshape(len(others), -1)
        order[lot] = np.column_stack([chosen, rest])
    first = order[:, 0] if len(slots) else best
    clock = np.array(hours, dtype=np.int64)
    return Told(
        hours=clock[order[:, :BEST]].tolist(),
        first=clock[first],
        best=clock[best],
        answer=slots[rows, first] if len(slots) else np.zeros(0),
    )
