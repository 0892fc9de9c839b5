"""What a conversation adds to P(paid): the payment model asked before and after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from zanc_pipeline.scoring.uplift import USUAL_PROMISES, gain_of_a_talk, promise_chance


class _Model:
    """P(paid) from the conversations and promises of 30 days."""

    def predict(self, features: pd.DataFrame) -> Any:
        assert (
            features["days_since_right_party"].isna().all()
            or (features["days_since_right_party"] == 0).any()
        )
        talked = features["right_parties_30d"].clip(upper=1)
        return (0.1 + 0.1 * talked + 0.3 * features["promises_30d"].clip(upper=1)).to_numpy()


def test_a_talk_adds_most_where_there_was_none_and_no_promise_yet() -> None:
    counts = ("attempts_30d", "answers_30d", "right_parties", "promises")
    features = pd.DataFrame(
        {
            "right_parties_30d": [0.0, 1.0, 1.0],
            "promises_30d": [0.0, 0.0, 1.0],
            **dict.fromkeys(counts, 0.0),
            **dict.fromkeys(("log_amount", "log_delay"), 5.0),
            **dict.fromkeys(("talked_30d", "promised_30d"), False),
            "days_since_right_party": np.nan,
            "days_since_promise": np.nan,
        }
    )
    before = features.copy()
    model: Any = _Model()
    gain = gain_of_a_talk(model, features, model.predict(features))
    assert gain == pytest.approx([0.1 + 0.35 * 0.3, 0.35 * 0.3, 0.0])
    assert gain_of_a_talk(model, features.head(0), np.zeros(0)).tolist() == []
    pd.testing.assert_frame_equal(features, before)


def test_the_chance_of_a_promise_is_learnt_from_the_talks_about_such_debts() -> None:
    random = np.random.default_rng(4)
    rows = 4_000
    amount, delay = random.normal(6.5, 1.0, rows), random.normal(4.0, 1.0, rows)
    truth = 1 / (1 + np.exp(0.6 + 0.5 * (amount - 6.5) + 0.3 * (delay - 4.0)))
    talks = random.integers(0, 4, rows)
    debts = pd.DataFrame(
        {
            "log_amount": amount,
            "log_delay": delay,
            "right_parties": talks,
            "promises": random.binomial(talks, truth),
        }
    )
    assert np.abs(promise_chance(debts) - truth).mean() < 0.02
    none = promise_chance(debts.assign(right_parties=0, promises=0))
    assert none == pytest.approx(np.full(rows, USUAL_PROMISES))
    assert promise_chance(debts.head(1).assign(promises=50))[0] < 1
