"""The law of the simulated world: who answers, what else happens, who pays.

Pure functions of numpy arrays (or single values, which numpy broadcasts). The same functions make
the past, decide live calls and give the ceiling that no model can pass. Every coefficient is in
this module; log-odds unless it says otherwise. Times are real seconds: what plays live divides
them by the world's ``time_scale``.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zanc_pipeline.common.outcomes import Outcome, Tabulation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Random = np.random.Generator

LOCAL = ZoneInfo("America/Sao_Paulo")
FIRST_HOUR, LAST_HOUR = 8, 19
"""Local hours in which a call may start."""
NIGHT_HOUR = 10
"""Outside the calling hours people behave as at this hour, so that a demo works at night."""

RESULTS: tuple[str, ...] = (
    "",
    Outcome.HUMAN,
    Outcome.MACHINE,
    Outcome.BUSY,
    Outcome.NO_ANSWER,
    Outcome.INVALID_NUMBER,
    Outcome.NETWORK_FAILURE,
    Outcome.ABANDONED,
)
"""Results of a call by code; 0 stands for "never called"."""
NEVER, HUMAN, MACHINE, BUSY, NO_ANSWER, INVALID, NETWORK, ABANDONED = range(len(RESULTS))

TABULATIONS: tuple[str, ...] = ("", *(tabulation.value for tabulation in Tabulation))
"""Tabulations by code; 0 stands for "none"."""
_TABULATION_CODE = {name: code for code, name in enumerate(TABULATIONS)}

# Columns: landline, mobile. Rows: the local hours 8 to 19.
_HOUR = np.array(
    [
        [0.25, -1.05],
        [0.60, -0.40],
        [0.50, 0.15],
        [0.10, 0.35],
        [0.30, 0.10],
        [-0.30, -0.35],
        [-0.85, -0.60],
        [-0.95, -0.45],
        [-0.75, -0.15],
        [0.00, 0.45],
        [0.90, 1.05],
        [1.25, 0.90],
    ]
)
# Rows: Monday to Sunday. Nobody is called on Sundays; then it is like Saturday.
_WEEKDAY = np.array(
    [
        [-0.10, -0.15],
        [0.00, 0.10],
        [0.00, 0.15],
        [0.00, 0.10],
        [-0.20, -0.20],
        [0.60, 0.30],
        [0.60, 0.30],
    ]
)
_KIND = np.array([-1.25, -1.15])
_LAST_RESULT = np.array([0.0, 0.60, -0.30, 0.35, -0.15, 0.0, 0.0, 0.40])
_PER_MISS, _MOST_MISSES = -0.18, 6
_NEW_NUMBER, _NEW_NUMBER_DAYS = 0.90, 45.0
QUALITY_SPREAD = 0.60
"""Standard deviation of a phone's hidden quality, in log-odds of an answer."""


def answer_probability(
    *,
    hour: ArrayLike,
    weekday: ArrayLike,
    mobile: ArrayLike,
    age_days: ArrayLike,
    misses: ArrayLike,
    last: ArrayLike,
    quality: ArrayLike,
    dead: ArrayLike,
) -> Floats:
    """Probability that a person answers.

    ``hour`` is local (see ``calling_hour``), ``weekday`` counts from Monday = 0, ``age_days`` is
    the time since the number was first seen, ``misses`` the latest calls in a row that no person
    answered, ``last`` the code in ``RESULTS`` of the latest call, ``quality`` the phone's hidden
    quality. A dead number is never answered.
    """
    kind = np.asarray(mobile, dtype=np.int64)
    logit = (
        _KIND[kind]
        + _HOUR[np.asarray(hour) - FIRST_HOUR, kind]
        + _WEEKDAY[np.asarray(weekday), kind]
        + _LAST_RESULT[np.asarray(last)]
        + _PER_MISS * np.minimum(misses, _MOST_MISSES)
        + _NEW_NUMBER * np.exp(-np.maximum(age_days, 0) / _NEW_NUMBER_DAYS)
        + np.asarray(quality)
    )
    return np.where(np.asarray(dead, dtype=bool), 0.0, logistic(logit))


# When no person answers: machine, busy, no answer, network failure (shares, not log-odds).
_MISS_CODES = np.array([MACHINE, BUSY, NO_ANSWER, NETWORK])
_MISS_SHARES = np.array([[0.18, 0.20, 0.57, 0.05], [0.46, 0.12, 0.38, 0.04]])
_MACHINE_BY_QUALITY = -0.40
ABANDONED_SHARE = 0.02
"""Of the people who answered in the past, how many got no operator."""


def draw_result(
    uniform: ArrayLike, p_answer: ArrayLike, mobile: ArrayLike, quality: ArrayLike, dead: ArrayLike
) -> Ints:
    """The result's code for each ``uniform`` in [0, 1): human, a miss by kind, or invalid."""
    chance, p = np.asarray(uniform, dtype=np.float64), np.asarray(p_answer, dtype=np.float64)
    shares = _MISS_SHARES[np.asarray(mobile, dtype=np.int64)].copy()
    shares[..., 0] *= np.exp(_MACHINE_BY_QUALITY * np.asarray(quality, dtype=np.float64))
    bounds = np.cumsum(shares / shares.sum(axis=-1, keepdims=True), axis=-1)
    rest = np.clip((chance - p) / np.maximum(1 - p, 1e-12), 0.0, 1.0)
    which = (rest[..., None] >= bounds[..., :-1]).sum(axis=-1)
    live = np.where(chance < p, HUMAN, _MISS_CODES[which])
    return np.where(np.asarray(dead, dtype=bool), INVALID, live).astype(np.int64)


def misses_after(misses: ArrayLike, result: ArrayLike) -> Ints:
    """Calls in a row without a person, after one more call that ended as ``result``."""
    code = np.asarray(result)
    answered = (code == HUMAN) | (code == ABANDONED)
    return np.where(answered, 0, np.asarray(misses) + 1).astype(np.int64)


# Shortest, longest and the gamma's shape and mean of the ring before each result, in seconds.
_RING = {
    HUMAN: (2.0, 22.0, 4.0, 9.0),
    ABANDONED: (2.0, 22.0, 4.0, 9.0),
    MACHINE: (12.0, 22.0, 30.0, 17.0),
    BUSY: (0.5, 4.0, 4.0, 1.5),
    NO_ANSWER: (20.0, 25.0, 300.0, 23.0),
    INVALID: (0.5, 3.0, 4.0, 1.2),
    NETWORK: (0.5, 6.0, 4.0, 2.5),
}


def ring_seconds(random: Random, result: ArrayLike) -> Floats:
    """How long it rings (or stays silent) before each result of ``result``."""
    codes = np.atleast_1d(np.asarray(result))
    table = np.array([_RING.get(code, (0.0, 0.0, 1.0, 0.0)) for code in range(len(RESULTS))])
    low, high, shape, mean = (table[codes, column] for column in range(4))
    rings: Floats = np.clip(random.gamma(shape, mean / shape), low, high)
    return rings


# Median, spread of the logarithm, shortest and longest, in seconds.
_TALK = np.array([[22.0, 0.40, 10.0, 90.0], [100.0, 0.50, 30.0, 600.0]])
_WRAPUP = (18.0, 0.35, 6.0, 40.0)


def talk_seconds(random: Random, right_party: ArrayLike) -> Floats:
    """Length of each conversation with a person: short unless it is the right one."""
    rows = _TALK[np.atleast_1d(np.asarray(right_party)).astype(np.int64)]
    drawn = rows[:, 0] * np.exp(rows[:, 1] * random.standard_normal(len(rows)))
    talks: Floats = np.clip(drawn, rows[:, 2], rows[:, 3])
    return talks


def wrapup_seconds(random: Random) -> float:
    """What an operator needs to tabulate after a conversation."""
    median, spread, low, high = _WRAPUP
    return float(np.clip(median * np.exp(spread * random.standard_normal()), low, high))


_RIGHT_PARTY = np.array([0.55, 0.86])


def right_party_probability(*, mobile: ArrayLike, owner: ArrayLike, deceased: ArrayLike) -> Floats:
    """Probability that the person who answered is the debtor: a landline is a household's."""
    possible = np.asarray(owner, dtype=bool) & ~np.asarray(deceased, dtype=bool)
    return np.where(possible, _RIGHT_PARTY[np.asarray(mobile, dtype=np.int64)], 0.0)


def promise_probability(*, amount: ArrayLike, delay_days: ArrayLike) -> Floats:
    """Probability that the right party promises; ``amount`` in reais."""
    return logistic(0.10 - 0.35 * _log_amount(amount) - 0.30 * _log_delay(delay_days))


# What else a right party may say, what another person says, what is said of a dead debtor.
_RIGHT = ((Tabulation.REFUSAL, 0.50), (Tabulation.CALLBACK, 0.36), (Tabulation.ALREADY_PAID, 0.08))
_WRONG = ((Tabulation.WRONG_PERSON, 0.85), (Tabulation.CALLBACK, 0.05))
_DEAD = ((Tabulation.DECEASED, 0.70), (Tabulation.WRONG_PERSON, 0.20))


def draw_tabulation(
    uniform: ArrayLike,
    *,
    right_party: ArrayLike,
    deceased: ArrayLike,
    amount: ArrayLike,
    delay_days: ArrayLike,
) -> Ints:
    """The tabulation's code (``TABULATIONS``) of each conversation, for a uniform in [0, 1)."""
    chance = np.atleast_1d(np.asarray(uniform, dtype=np.float64))
    right = np.broadcast_to(np.asarray(right_party, dtype=bool), chance.shape)
    dead = np.broadcast_to(np.asarray(deceased, dtype=bool), chance.shape)
    promise = promise_probability(amount=amount, delay_days=delay_days)
    rest = np.clip((chance - promise) / np.maximum(1 - promise, 1e-12), 0.0, 1.0)
    told = np.where(chance < promise, _TABULATION_CODE[Tabulation.PROMISE], _choose(rest, _RIGHT))
    other = np.where(dead, _choose(chance, _DEAD), _choose(chance, _WRONG))
    return np.where(right, told, other).astype(np.int64)


def _choose(uniform: Floats, shares: tuple[tuple[Tabulation, float], ...]) -> Ints:
    bounds = np.cumsum([share for _, share in shares])
    codes = np.array(
        [_TABULATION_CODE[name] for name, _ in shares]
        + [_TABULATION_CODE[Tabulation.NO_TABULATION]]
    )
    chosen: Ints = codes[np.searchsorted(bounds, uniform, side="right")]
    return chosen


def right_party_codes() -> Ints:
    """Codes of the tabulations in which the debtor spoke."""
    return np.array(
        [_TABULATION_CODE[name] for name in Tabulation if name.right_party], dtype=np.int64
    )


def promise_code() -> int:
    """Code of the promise in ``TABULATIONS``."""
    return _TABULATION_CODE[Tabulation.PROMISE]


def payment_probability(
    *,
    amount: ArrayLike,
    delay_days: ArrayLike,
    ease: ArrayLike,
    debtor_age: ArrayLike,
    contracts: ArrayLike,
    talked: ArrayLike,
    promised: ArrayLike,
) -> Floats:
    """Probability that a contract is paid within 30 days.

    ``amount`` in reais; ``ease`` is the creditor's and the product's (``people.CONVENIOS``);
    ``contracts`` is how many the person has open; ``talked`` and ``promised`` say whether an
    operator spoke with the debtor, or had a promise, in the 30 days before.
    """
    decades = np.clip((np.asarray(debtor_age, dtype=np.float64) - 40) / 10, -2, 4)
    logit = (
        -1.05
        + np.asarray(ease)
        - 0.55 * _log_amount(amount)
        - 0.80 * _log_delay(delay_days)
        + 0.10 * decades
        - 0.25 * (np.asarray(contracts) - 1)
        + 0.55 * np.asarray(talked)
        + 1.30 * np.asarray(promised)
    )
    return logistic(logit)


def _log_amount(amount: ArrayLike) -> Floats:
    logarithm: Floats = np.log(np.maximum(np.asarray(amount, dtype=np.float64), 1) / 500)
    return logarithm


def _log_delay(days: ArrayLike) -> Floats:
    logarithm: Floats = np.log1p(np.maximum(np.asarray(days, dtype=np.float64), 0) / 30)
    return logarithm


def logistic(logit: ArrayLike) -> Floats:
    """1 / (1 + e^-x)."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(logit, dtype=np.float64))))


def calling_hour(moment: datetime) -> tuple[int, int]:
    """Local hour and weekday (Monday = 0) by which people behave at ``moment`` (aware)."""
    local = moment.astimezone(LOCAL)
    hour = local.hour if FIRST_HOUR <= local.hour <= LAST_HOUR else NIGHT_HOUR
    return hour, local.weekday()


def random_stream(seed: int, *names: object) -> Random:
    """A generator of its own for each purpose: drawing more of one never shifts another."""
    key = zlib.crc32("\x1f".join(str(name) for name in names).encode("utf-8"))
    return np.random.default_rng([seed, key])


def auc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve (ties count half); NaN when one class is absent."""
    positive = np.asarray(label, dtype=bool)
    values: NDArray[Any] = np.asarray(score)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits, others = int(positive.sum()), int((~positive).sum())
    if not hits or not others:
        return float("nan")
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))
