"""What a run reports beside the AUC: profit, segments, drift, and what scores promise."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from zanc_pipeline.scoring.calibration import Calibration
from zanc_pipeline.scoring.candidates import FittedModel
from zanc_pipeline.scoring.encoding import Encoder
from zanc_pipeline.scoring.leaks import single_auc
from zanc_pipeline.scoring.metrics import (
    auc,
    auc_within_month,
    by_segment,
    profit_curve,
    profit_metrics,
)
from zanc_pipeline.scoring.model_files import Kept
from zanc_pipeline.scoring.monitoring import Rows, judge
from zanc_pipeline.scoring.reference import SCORE, Reference, expected_auc, psi
from zanc_pipeline.scoring.spec import Feature, Monitoring
from zanc_pipeline.scoring.tables import LABEL, SEGMENT, TIME

RANDOM = np.random.default_rng(11)
SCORES = RANDOM.beta(2, 4, 20_000)
LABELS = (RANDOM.random(20_000) < SCORES).astype(float)


def test_the_auc_counts_ties_half() -> None:
    assert auc(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.9, 0.5, 0.5])) == 0.875


def test_calibrated_scores_promise_the_auc_that_they_keep() -> None:
    assert expected_auc(SCORES) == pytest.approx(auc(LABELS, SCORES), abs=0.01)
    assert expected_auc(np.full(10, 0.3)) == 0.5


def test_profit_is_earned_where_the_score_expects_one() -> None:
    label, score = np.array([1.0, 0.0, 0.0]), np.array([0.9, 0.4, 0.1])
    gain = np.full(3, 10.0)
    assert list(profit_curve(label, score, gain, 2.0)) == [0.0, 8.0, 6.0, 4.0]
    measured = profit_metrics(label, score, gain, 2.0)
    assert (measured["profit"], measured["profit_of_all"]) == (6.0, 4.0)
    assert measured["profit_best"] == 8.0


def rows() -> pd.DataFrame:
    days = pd.Timestamp("2026-09-15", tz="UTC") + pd.to_timedelta(np.arange(20_000) / 500, unit="D")
    crm = np.where(np.arange(20_000) % 100 == 0, "rare", "norma")
    return pd.DataFrame({LABEL: LABELS, TIME: days, SEGMENT + "crm": crm, "x": SCORES})


def test_each_month_and_segment_that_is_large_enough_is_judged_apart() -> None:
    segments = by_segment(rows(), SCORES)
    assert set(segments["month"]) == {"2026-09", "2026-10"}
    assert set(segments["crm"]) == {"norma", "rare"}
    assert auc_within_month(segments) == pytest.approx(auc(LABELS, SCORES), abs=0.01)
    assert "crm" not in by_segment(rows().head(150), SCORES[:150])


def test_a_column_that_is_filled_in_only_afterwards_is_a_leak() -> None:
    column = pd.Series(np.where(LABELS > 0, 1.0, np.nan))
    assert single_auc(column, "numeric", LABELS) == 1.0
    assert single_auc(pd.Series(RANDOM.random(20_000)), "numeric", LABELS) < 0.52
    many = pd.Series([f"k{number}" for number in range(20_000)])
    assert single_auc(many, "categorical", LABELS) < 0.52


def test_drift_is_none_for_the_same_rows_and_great_for_others() -> None:
    assert psi(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    encoder = Encoder(features=("x",), categories={})
    reference = Reference.of(rows(), SCORES, encoder, {})
    same = reference.drift(rows(), SCORES, encoder)
    assert max(same.values()) < 1e-9
    moved = reference.drift(rows().assign(x=SCORES + 0.5), SCORES, encoder)
    assert list(moved) == ["x", SCORE]
    assert moved["x"] > 1
    gone = reference.drift(rows().assign(x=np.nan), SCORES, encoder)
    assert gone["x"] > 1
    assert Reference.from_json(reference.to_json()) == reference


class _Says:
    """An estimator whose probability is the column itself."""

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([1 - matrix[:, 0], matrix[:, 0]])


def kept() -> Kept:
    encoder = Encoder.fit(rows(), {"x": Feature(type="numeric")})
    model = FittedModel(
        kind="logistic", trees=None, logistic=_Says(), encoder=encoder, calibration=Calibration()
    )
    metrics = {"once_auc": auc(LABELS, SCORES), "calibration_error": 0.005}
    return Kept(
        model=model,
        reference=Reference.of(rows(), SCORES, encoder, metrics),
        trained_until=None,
    )


def test_a_champion_that_still_does_well_is_left_alone() -> None:
    check = judge("m", 1, kept(), Rows(recent=rows(), matured=rows(), label=LABELS), Monitoring())
    assert not check.breach
    assert check.why == "within its limits"


@pytest.mark.parametrize(
    ("recent", "label", "why"),
    [
        (rows(), 1 - LABELS, "its AUC fell by"),
        (rows(), np.where(RANDOM.random(20_000) < 0.3, 1.0, LABELS), "calibration error rose by"),
        (rows().assign(x=SCORES / 3), np.zeros(0), r"x drifted \(PSI"),
        (rows().assign(x=0.3), np.zeros(0), "promise less than its holdout did"),
    ],
)
def test_a_breach_says_what_broke(recent: pd.DataFrame, label: np.ndarray, why: str) -> None:
    matured = recent if len(label) else recent.iloc[:0]
    check = judge("m", 1, kept(), Rows(recent=recent, matured=matured, label=label), Monitoring())
    assert check.breach
    assert re.search(why, check.why)


def test_few_rows_say_nothing() -> None:
    few = rows().head(40).assign(x=0.99)
    check = judge("m", 1, kept(), Rows(recent=few, matured=few, label=LABELS[:40]), Monitoring())
    assert not check.breach
    assert check.why == "too few rows to judge"
