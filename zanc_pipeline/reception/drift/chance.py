"""How likely a difference is when nothing changed: what a few rows may say."""

from __future__ import annotations

import math
from collections.abc import Mapping

UNLIKELY = 0.004
"""Below this probability a count is no accident."""

_NEW, _NEW_ALONE, _NEW_OF_FEW = 1e-3, 0.02, 0.13
_FEW_ROWS = 60
_SEVERAL = 0.01


def too_few(found: int, rows: int, share: float) -> bool:
    """Whether ``found`` of ``rows`` is too few to be believed, where each is found by ``share``."""
    if not rows or found >= share * rows:
        return False
    share = min(max(share, 1e-6), 1 - 1e-6)
    log, log_other = math.log(share), math.log1p(-share)
    total = 0.0
    for count in range(found + 1):
        total += math.exp(_ways(rows, count) + count * log + (rows - count) * log_other)
    return total < UNLIKELY


def is_new(count: int, rows: int, rows_before: int, *, alone: bool = False) -> bool:
    """Whether what was never seen in ``rows_before`` and now in ``count`` of ``rows`` is news.

    ``alone``: most of the rows are of new contracts, which nothing else can judge.
    """
    if count < 2 or not rows_before:
        return False
    limit = (_NEW_OF_FEW if rows < _FEW_ROWS else _NEW_ALONE) if alone else _NEW
    return bool((rows / (rows + rows_before)) ** count < limit)


def at_least(found: int, rows: int, share: float) -> float:
    """The probability of ``found`` or more of ``rows``, where each is found by ``share``."""
    if found <= 0:
        return 1.0
    share = min(max(share, 1e-6), 1 - 1e-6)
    log, log_other = math.log(share), math.log1p(-share)
    return min(
        1.0,
        sum(
            math.exp(_ways(rows, count) + count * log + (rows - count) * log_other)
            for count in range(found, rows + 1)
        ),
    )


def of_many(share: float, count: int, rows: int) -> float:
    """The share of honest rows that are one of ``count``, or more, of ``rows`` that break a law
    which a ``share`` of them break: several at once are less likely than one."""
    chance = at_least(count, rows, share) if 1 < count <= rows else 1.0
    return min(share, chance * count / rows) if chance < _SEVERAL else share


def poisson_tail(found: int, expected: float) -> float:
    """The probability of ``found`` or more where ``expected`` come by chance."""
    if expected <= 0:
        return float(found <= 0)
    few = sum(
        math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
        for count in range(found)
    )
    return max(0.0, 1 - few)


def more_than_before(count: int, rows: int, count_before: int, rows_before: int) -> float:
    """The probability that chance alone put so many, or more, of all that were found into now."""
    every, found = rows + rows_before, count + count_before
    ways = _ways(every, found)
    return min(
        1.0,
        sum(
            math.exp(_ways(rows, one) + _ways(rows_before, found - one) - ways)
            for one in range(count, min(rows, found) + 1)
            if found - one <= rows_before
        ),
    )


def _ways(rows: int, count: int) -> float:
    return math.lgamma(rows + 1) - math.lgamma(count + 1) - math.lgamma(rows - count + 1)


def apart(
    now: Mapping[str, float], before: Mapping[str, float], rows: float, rows_before: float
) -> float:
    """Total variation of two tables of shares, from 0 to 1, less what chance alone makes of it."""
    if not rows or not rows_before:
        return 0.0
    noise = variation = 0.0
    for key in {*now, *before}:
        one, other = now.get(key, 0.0), before.get(key, 0.0)
        pooled = (one * rows + other * rows_before) / (rows + rows_before)
        variation += abs(one - other) / 2
        noise += 0.4 * math.sqrt(max(pooled * (1 - pooled), 0) * (1 / rows + 1 / rows_before))
    return max(0.0, variation - 2 * noise)
