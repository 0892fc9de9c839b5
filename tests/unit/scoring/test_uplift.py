"""What a conversation adds to P(paid): the payment model asked before and after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from zanc_pipeline.scoring.uplift import gain_of_a_talk


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
