"""Training: honest in time, calibrated, promoted by a stated rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring.calibration import Calibration, choose_calibration, fit_calibration
from zanc_pipeline.scoring.encoding import OTHER, Encoder
from zanc_pipeline.scoring.metrics import calibration_error, evaluate, lift
from zanc_pipeline.scoring.service import decide
from zanc_pipeline.scoring.spec import Feature, Promotion, Spec
from zanc_pipeline.scoring.tables import LABEL, TIME, prepare, read_table
from zanc_pipeline.scoring.train import split_point, train_candidates

RULE = Promotion(min_auc=0.6, max_auc_drop=0.01, max_brier_rise=0.01)
BANK = Path(__file__).parents[4] / "shared" / "data" / "bank-additional-full.csv"


def spec(**features: str) -> Spec:
    return Spec.model_validate(
        {
            "name": "zanc_test",
            "target": {"column": "y"},
            "time_column": None,
            "features": features,
            "promotion": {"min_auc": 0.6},
        }
    )


def learnable(rows: int = 3000) -> pd.DataFrame:
    random = np.random.default_rng(5)
    x, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    p = 1 / (1 + np.exp(-(1.5 * x + (kind == "a") - 1)))
    return pd.DataFrame({"x": x, "kind": kind, "y": (random.random(rows) < p).astype(int)})


def test_both_candidates_learn_and_are_calibrated() -> None:
    model = spec(x="numeric", kind="categorical")
    # 15,000 rows: the bins of a small holdout differ from any true probability by chance alone.
    table, model = prepare(learnable(15_000), model, where="t")
    training = train_candidates(table, model, where="t")
    assert len(training.holdout) == 3000
    for measured in training.metrics.values():
        assert measured["auc"] > 0.8
        assert measured["calibration_error"] < 0.03
    best = max(training.metrics.values(), key=lambda measured: measured["auc"])
    assert training.metrics[training.chosen] == best


def test_training_is_reproducible() -> None:
    table, model = prepare(learnable(), spec(x="numeric", kind="categorical"), where="t")
    first, second = (train_candidates(table, model, where="t") for _ in range(2))
    np.testing.assert_array_equal(first.scores["xgboost"], second.scores["xgboost"])


def test_a_holdout_of_one_class_is_refused() -> None:
    data = learnable().assign(y=[0, 1] * 1200 + [0] * 600)
    table, model = prepare(data, spec(x="numeric"), where="t")
    with pytest.raises(DataError, match="the holdout part of 600 rows has 0 positives"):
        train_candidates(table, model, where="t")


def test_no_moment_is_on_both_sides_of_the_split() -> None:
    times = pd.Series([1] * 30 + [2] * 45 + [3] * 25)
    assert split_point(times, 0.8) == 75
    assert split_point(pd.Series([1] * 100), 0.8) == 80


def test_an_unseen_category_counts_as_other_and_a_missing_one_as_none() -> None:
    seen = pd.DataFrame({"k": ["a", "b", None]})
    encoder = Encoder.fit(seen, {"k": Feature(type="categorical")})
    assert encoder.columns == ["k=a", "k=b", f"k={OTHER}"]
    matrix = encoder.encode(pd.DataFrame({"k": ["b", "new", None]}))
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert Encoder.from_json(encoder.to_json()) == encoder


def test_an_encoder_names_the_columns_that_are_missing() -> None:
    encoder = Encoder(features=("x", "z"), categories={})
    with pytest.raises(DataError, match="lacks the model's columns: z"):
        encoder.encode(pd.DataFrame({"x": [1.0]}))


def test_calibration_corrects_overconfidence() -> None:
    random = np.random.default_rng(2)
    truth = random.random(20_000)
    label = (random.random(20_000) < truth).astype(float)
    overconfident = np.clip((truth - 0.5) * 3 + 0.5, 0.01, 0.99)
    fitted = choose_calibration(overconfident, label)
    assert fitted.kind != "none"
    assert calibration_error(label, fitted.apply(overconfident)) < 0.03
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_good_probabilities_are_left_alone() -> None:
    random = np.random.default_rng(2)
    truth = random.random(20_000)
    assert choose_calibration(truth, (random.random(20_000) < truth).astype(float)).kind == "none"


_RANDOM = np.random.default_rng(0)
_SCORE = _RANDOM.random(500)
_LABEL = (_RANDOM.random(500) < _SCORE**2).astype(float)
CALIBRATIONS = [fit_calibration(_SCORE, _LABEL, kind) for kind in ("platt", "isotonic")]


@hypothesis_settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_calibrations_keep_the_order_and_stay_probabilities(values: list[float]) -> None:
    scores = np.sort(np.array(values))
    for calibration in CALIBRATIONS:
        applied = calibration.apply(scores)
        assert (np.diff(applied) >= -1e-12).all()
        assert ((applied >= 0) & (applied <= 1)).all()


def test_lift_and_metrics_of_a_perfect_score() -> None:
    label = np.array([1.0] * 10 + [0.0] * 90)
    assert lift(label, label, share=0.1) == 10
    measured = evaluate(label, label)
    assert (measured["auc"], measured["brier"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("mine", "theirs", "promoted", "why"),
    [
        ((0.59, 0.2), None, False, "under the minimum of 0.6"),
        ((0.70, 0.2), None, True, "first champion"),
        ((0.70, 0.2), (0.72, 0.2), False, "worse"),
        ((0.72, 0.25), (0.70, 0.2), False, "worse"),
        ((0.70, 0.2), (0.705, 0.195), True, "not worse"),
    ],
)
def test_the_promotion_rule(
    mine: tuple[float, float], theirs: tuple[float, float] | None, promoted: bool, why: str
) -> None:
    measured = [
        None if pair is None else {"auc": pair[0], "brier": pair[1]} for pair in (mine, theirs)
    ]
    assert measured[0] is not None
    decision = decide(measured[0], measured[1], rule=RULE, champion=3 if theirs else None)
    assert decision[0] is promoted
    assert why in decision[1]


@pytest.mark.skipif(not BANK.is_file(), reason="the real data set is not beside the repository")
def test_the_real_data_set_without_duration() -> None:
    columns = read_table(BANK).columns
    numbers = "age campaign pdays previous emp.var.rate cons.price.idx cons.conf.idx euribor3m"
    features = {
        name: "numeric" if name in [*numbers.split(), "nr.employed"] else "categorical"
        for name in columns
        if name not in ("y", "duration")
    }
    content = spec(**features).model_dump() | {"target": {"column": "y", "positive": "yes"}}
    table, model = prepare(read_table(BANK), Spec.model_validate(content), where="bank")
    training = train_candidates(table, model, where="bank")
    assert len(training.holdout) == 8238
    assert training.holdout[TIME].min() > training.train[TIME].max()
    assert 0.68 < training.metrics[training.chosen]["auc"] < 0.80
    assert training.holdout[LABEL].mean() > 2 * training.train[LABEL].mean()
