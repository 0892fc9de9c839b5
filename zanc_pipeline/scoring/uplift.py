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

_TALK = ("attempts_30d", "answers_30d", "right_parties_30d", "right_parties")
_PROMISE = ("promises_30d", "promises")


def gain_of_a_talk(model: FittedModel, features: pd.DataFrame, payment: Floats) -> Floats:
    """How much likelier each contract is paid when an operator speaks with the debtor now.

    ``features`` are of ``PaymentHistory`` and ``payment`` what the model says of them; the talk
    ends in a promise as often as the talks of these people did. The shift in log-odds is the mean
    of all contracts whose debtors were lately reached alike: what single trees make of one more
    talk is mostly noise. Never negative.
    """
    talks, promises = features["right_parties"].sum(), features["promises"].sum()
    share = (promises + USUAL_PROMISES * WEIGHT) / (talks + WEIGHT)
    talked = _one_more(features, _TALK, "days_since_right_party")
    promised = _one_more(talked, _PROMISE, "days_since_promise")
    spoken = (features["right_parties_30d"] > 0).to_numpy(np.int64)
    state = spoken + 2 * (features["promises_30d"] > 0).to_numpy(np.int64)
    before = _log_odds(payment)
    after = np.zeros(len(before))
    for weight, then in ((1 - share, talked), (share, promised)):
        shift = _mean_by(state, _log_odds(model.predict(then)) - before)
        after += weight / (1 + np.exp(-(before + shift)))
    gain: Floats = np.maximum(after - 1 / (1 + np.exp(-before)), 0.0)
    return gain


def _log_odds(probability: Floats) -> Floats:
    inside = np.clip(probability, LEAST, 1 - LEAST)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _mean_by(groups: Ints, values: Floats) -> Floats:
    """For each value the mean of its group."""
    total, count = np.bincount(groups, values), np.bincount(groups)
    mean: Floats = (total / np.maximum(count, 1))[groups]
    return mean


def _one_more(features: pd.DataFrame, counts: tuple[str, ...], since: str) -> pd.DataFrame:
    """``features`` as they are after one more event, today."""
    return features.assign(**{name: features[name] + 1 for name in counts}, **{since: 0.0})
