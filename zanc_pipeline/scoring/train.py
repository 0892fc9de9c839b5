"""Fits and judges a model on a prepared table. Pure: no database, no MLflow, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring.calibration import Calibration, choose_calibration
from zanc_pipeline.scoring.encoding import Encoder, Matrix
from zanc_pipeline.scoring.metrics import evaluate
from zanc_pipeline.scoring.spec import HOLDOUT_SHARE
from zanc_pipeline.scoring.tables import LABEL, TIME

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec

VALIDATION_SHARE = 0.15
"""Share of the training rows, the last in time, that stops the boosting and calibrates."""

BOOSTING = {
    "learning_rate": 0.05,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 5.0,
    "max_bin": 128,
}
MIN_TREES, MAX_TREES = 150, 600
"""Where the validation period is unlike the past, early stopping alone would stop at once."""

PATIENCE = 30
THREADS = 1
"""OpenMP and BLAS threads wait for each other spinning: beside a busy stack that costs more than
a second core gives."""

SEED = 20261123

Floats = np.ndarray[Any, np.dtype[np.float64]]
Kind = Literal["xgboost", "logistic"]


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A model that turns a typed table into calibrated probabilities."""

    kind: Kind
    estimator: Any
    encoder: Encoder
    calibration: Calibration

    def predict(self, table: pd.DataFrame) -> Floats:
        """P(1) of each row; DataError when ``table`` lacks a feature."""
        return self.calibration.apply(raw_probability(self.estimator, self.encoder.encode(table)))


@dataclass(frozen=True, kw_only=True)
class Training:
    """Both candidates, judged on the same holdout. ``chosen`` is the better there by AUC."""

    chosen: Kind
    models: dict[Kind, FittedModel]
    metrics: dict[Kind, dict[str, float]]
    scores: dict[Kind, Floats]
    trees: int
    train: pd.DataFrame
    holdout: pd.DataFrame


def raw_probability(estimator: Any, matrix: Matrix) -> Floats:
    """Uncalibrated P(1); boosted trees score by ``inplace_predict``, the fastest way there is."""
    if hasattr(estimator, "get_booster"):
        booster = estimator.get_booster()
        scores = booster.inplace_predict(matrix, validate_features=False)
        probability: Floats = scores.astype(np.float64)
        return probability
    logistic: Floats = estimator.predict_proba(matrix)[:, 1]
    return logistic


def train_candidates(table: pd.DataFrame, spec: Spec, *, where: str) -> Training:
    """Fit boosted trees and a logistic regression on the past, judge both on what follows.

    ``table`` and ``spec`` come from ``tables.prepare``. Raises DataError, naming ``where``, when a
    part of the split holds a single class.
    """
    cut = split_point(table[TIME], 1 - HOLDOUT_SHARE)
    train, holdout = table.iloc[:cut], table.iloc[cut:]
    middle = split_point(train[TIME], 1 - VALIDATION_SHARE)
    fitting, validation = train.iloc[:middle], train.iloc[middle:]
    for part, rows in (("fitting", fitting), ("validation", validation), ("holdout", holdout)):
        positives = int(rows[LABEL].sum())
        if positives in (0, len(rows)):
            raise DataError(
                f"{where}: in order of time, the {part} part of {len(rows)} rows has {positives} "
                "positives: give a longer period"
            )
    present = {
        name: feature
        for name, feature in spec.features.items()
        if fitting[name].notna().any() or feature.required
    }
    encoder = Encoder.fit(fitting, present)
    label = train[LABEL].to_numpy(np.float64)
    matrix = encoder.encode(train)
    monotone = tuple(spec.features[name].monotone for name in encoder.source_of_columns())
    trees = _trees(matrix[:middle], label[:middle], matrix[middle:], label[middle:], monotone)
    fits = {
        "xgboost": lambda x, y: _boost(x, y, monotone, trees),
        "logistic": _logistic,
    }
    models: dict[Kind, FittedModel] = {}
    metrics: dict[Kind, dict[str, float]] = {}
    scores: dict[Kind, Floats] = {}
    kinds: tuple[Kind, ...] = ("xgboost", "logistic")
    truth = holdout[LABEL].to_numpy(np.float64)
    for kind in kinds:
        past = fits[kind](matrix[:middle], label[:middle])
        calibration = choose_calibration(raw_probability(past, matrix[middle:]), label[middle:])
        models[kind] = FittedModel(
            kind=kind,
            estimator=fits[kind](matrix, label),
            encoder=encoder,
            calibration=calibration,
        )
        scores[kind] = models[kind].predict(holdout)
        metrics[kind] = evaluate(truth, scores[kind])
    chosen: Kind = (
        "xgboost" if metrics["xgboost"]["auc"] >= metrics["logistic"]["auc"] else "logistic"
    )
    return Training(
        chosen=chosen,
        models=models,
        metrics=metrics,
        scores=scores,
        trees=trees,
        train=train,
        holdout=holdout,
    )


def split_point(times: pd.Series[Any], share: float) -> int:
    """The row nearest to ``share`` of the rows where time moves on: no moment is on both sides.

    When all rows are of one moment, they are cut by their order.
    """
    wanted = round(len(times) * share)
    values = times.to_numpy()
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    if not len(starts):
        return wanted
    return int(starts[np.abs(starts - wanted).argmin()])


def _trees(
    x: Matrix, y: Floats, later_x: Matrix, later_y: Floats, monotone: tuple[int, ...]
) -> int:
    """How many trees help on the rows that follow."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=MAX_TREES,
        early_stopping_rounds=PATIENCE,
        eval_metric="logloss",
        **_boosting(monotone),
    )
    model.fit(x, y, eval_set=[(later_x, later_y)], verbose=False)
    return max(int(model.best_iteration) + 1, MIN_TREES)


def _boost(x: Matrix, y: Floats, monotone: tuple[int, ...], trees: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=trees, **_boosting(monotone)).fit(x, y)


def _boosting(monotone: tuple[int, ...]) -> dict[str, Any]:
    return BOOSTING | {
        "tree_method": "hist",
        "n_jobs": THREADS,
        "random_state": SEED,
        "monotone_constraints": monotone,
    }


def _logistic(x: Matrix, y: Floats) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=500),
    ).fit(x, y)
