"""What a conversation adds to P(paid): the payment model asked twice. Pure.

The model has learned from past calls, which were not made at random: what it says here is scaled
by the mailing's control group once that is large enough (``mailing.exploration``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.candidates import FittedModel, Floats
    from zanc_pipeline.scoring.timeline import Ints

USUAL_PROMISES, WEIGHT = 0.35, 20.0
"""Of few conversations this share is taken to end in a promise, as if so many had shown it."""

LEAST = 1e-3
"""Probabilities nearer to 0 or 1 say nothing that log-odds should dwell on."""

NEWTON_STEPS = 12
"""Enough for a logistic regression of three coefficients that starts at the usual share."""

_TALK = ("attempts_30d", "answers_30d", "right_parties_30d", "right_parties")
_PROMISE = ("promises_30d", "promises")


def gain_of_a_talk(model: FittedModel, features: pd.DataFrame, payment: Floats) -> Floats:
    """How much likelier each contract is paid when an operator speaks with the debtor now.

    ``features`` are of ``PaymentHistory`` and ``payment`` what the model says of them; the talk
    ends in a promise as often as those about such amounts and delays did. The shift in log-odds is
    the mean of all contracts whose debtors were lately reached alike: what single trees make of one
    more talk is mostly noise. Never negative.
    """
    share = promise_chance(features)
    talked = _one_more(features, _TALK, "talked_30d", "days_since_right_party")
    promised = _one_more(talked, _PROMISE, "promised_30d", "days_since_promise")
    spoken = (features["right_parties_30d"] > 0).to_numpy(np.int64)
    state = spoken + 2 * (features["promises_30d"] > 0).to_numpy(np.int64)
    before = _log_odds(payment)
    after = np.zeros(len(before))
    for weight, then in ((1 - share, talked), (share, promised)):
        shift = _mean_by(state, _log_odds(model.predict(then)) - before)
        after += weight / (1 + np.exp(-(before + shift)))
    gain: Floats = np.maximum(after - 1 / (1 + np.exp(-before)), 0.0)
    return gain


def promise_chance(features: pd.DataFrame) -> Floats:
    """P(a talk with the debtor ends in a promise) of each contract, from the talks of all.

    A logistic regression on ``log_amount`` and ``log_delay``, its slopes drawn to none and its
    level to ``USUAL_PROMISES`` as if ``WEIGHT`` talks said so.
    """
    talks = features["right_parties"].to_numpy(np.float64)
    promises = np.minimum(features["promises"].to_numpy(np.float64), talks)
    columns = [features[name].to_numpy(np.float64) for name in ("log_amount", "log_delay")]
    known = np.column_stack([np.ones(len(features)), *map(_standard, columns)])
    level = np.log(USUAL_PROMISES / (1 - USUAL_PROMISES))
    weights = np.array([level, 0.0, 0.0])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-known @ weights))
        prior = 1 / (1 + np.exp(-weights[0]))
        slope = known.T @ (promises - talks * chance) - np.array([0.0, WEIGHT, WEIGHT]) * weights
        slope[0] += WEIGHT * (USUAL_PROMISES - prior)
        bend = known.T @ (known * (talks * chance * (1 - chance))[:, None])
        bend += WEIGHT * np.diag([prior * (1 - prior), 1.0, 1.0])
        weights = weights + np.clip(np.linalg.solve(bend, slope), -1, 1)
    said: Floats = 1 / (1 + np.exp(-known @ weights))
    return said


def _standard(values: Floats) -> Floats:
    """``values`` around 0 with deviation 1; 0 where all are alike."""
    deviation = float(values.std()) if len(values) else 0.0
    standard: Floats = (values - values.mean()) / deviation if deviation > 0 else values * 0.0
    return standard


def _log_odds(probability: Floats) -> Floats:
    inside = np.clip(probability, LEAST, 1 - LEAST)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _mean_by(groups: Ints, values: Floats) -> Floats:
    """For each value the mean of its group."""
    total, count = np.bincount(groups, values), np.bincount(groups)
    mean: Floats = (total / np.maximum(count, 1))[groups]
    return mean


def _one_more(
    features: pd.DataFrame, counts: tuple[str, ...], flag: str, since: str
) -> pd.DataFrame:
    """``features`` as they are after one more event, today."""
    more = {name: features[name] + 1 for name in counts}
    return features.assign(**more, **{flag: True, since: 0.0})
