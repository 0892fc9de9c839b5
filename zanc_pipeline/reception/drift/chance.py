"""How likely a difference is when nothing changed: what a few rows may say."""

from __future__ import annotations

import math
from collections.abc import Mapping

UNLIKELY = 0.004
"""Below this probability a count is no accident."""

_NEW = 1e-3


def too_few(found: int, rows: int, share: float) -> bool:
    """Whether ``found`` of ``rows`` is too few to be believed, where each is found by ``share``."""
    if not rows or found >= share * rows:
        return False
    share = min(max(share, 1e-6), 1 - 1e-6)
    log, log_other = math.log(share), math.log1p(-share)
    total = 0.0
    for count in range(found + 1):
        ways = math.lgamma(rows + 1) - math.lgamma(count + 1) - math.lgamma(rows - count + 1)
        total += math.exp(ways + count * log + (rows - count) * log_other)
    return total < UNLIKELY


def is_new(count: int, rows: int, rows_before: int) -> bool:
    """Whether what was never seen in ``rows_before`` and now in ``count`` of ``rows`` is news."""
    if count < 2 or not rows_before:
        return False
    return bool((rows / (rows + rows_before)) ** count < _NEW)


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
