"""The kinds of model that compete, and how each is fitted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zanc_pipeline.scoring.calibration import Calibration, log_odds
from zanc_pipeline.scoring.encoding import Encoder, Matrix

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Boosting, Spec

Floats = np.ndarray[Any, np.dtype[np.float64]]
Kind = Literal["logistic", "xgboost", "blend"]

KINDS: tuple[Kind, ...] = ("logistic", "xgboost", "blend")
"""From the simplest: of equals, the simpler is taken."""

STRENGTHS = (1.0, 0.01)
"""Penalties of the logistic regression that are tried (scikit-learn's C: smaller shrinks more)."""

PATIENCE = 30
THREADS = 1
"""OpenMP and BLAS threads wait for each other spinning: beside a busy stack that costs more than
a second core gives."""

SEED = 20261123


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A model that turns a typed table into calibrated probabilities.

    ``trees`` is an XGBClassifier or None, ``logistic`` a scikit-learn pipeline or None; a blend
    has both and averages their log-odds.
    """

    kind: Kind
    trees: Any
    logistic: Any
    encoder: Encoder
    calibration: Calibration

    def predict(self, table: pd.DataFrame) -> Floats:
        """P(1) of each row; DataError when ``table`` lacks a feature."""
        return self.predict_matrix(self.encoder.encode(table))

    def predict_matrix(self, matrix: Matrix) -> Floats:
        """P(1) of each row that the encoder made."""
        return self.calibration.apply(self.raw(matrix))

    def raw(self, matrix: Matrix) -> Floats:
        """P(1) before calibration."""
        used = [model for model in (self.trees, self.logistic) if model is not None]
        return blend([scores_of(model, matrix) for model in used])


def scores_of(model: Any, matrix: Matrix) -> Floats:
    """P(1) by one estimator; boosted trees by ``inplace_predict``, the fastest way there is."""
    if hasattr(model, "get_booster"):
        scores = model.get_booster().inplace_predict(matrix, validate_features=False)
        boosted: Floats = scores.astype(np.float64)
        return boosted
    linear: Floats = model.predict_proba(matrix)[:, 1]
    return linear


def blend(parts: list[Floats]) -> Floats:
    """The mean of probabilities in log-odds."""
    if len(parts) == 1:
        return parts[0]
    mean: Floats = 1 / (1 + np.exp(-np.mean([log_odds(part) for part in parts], axis=0)))
    return mean


def count_trees(
    x: Matrix,
    y: Floats,
    later_x: Matrix,
    later_y: Floats,
    monotone: tuple[int, ...],
    boosting: Boosting,
) -> int:
    """How many trees help on the rows that follow."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=boosting.max_trees,
        early_stopping_rounds=PATIENCE,
        eval_metric="logloss",
        **tree_parameters(monotone, boosting),
    )
    model.fit(x, y, eval_set=[(later_x, later_y)], verbose=False)
    # Where the validation period is unlike the past, early stopping alone would stop at once.
    return max(int(model.best_iteration) + 1, boosting.min_trees)


def fit_trees(
    x: Matrix, y: Floats, monotone: tuple[int, ...], boosting: Boosting, trees: int
) -> Any:
    """Gradient boosted trees."""
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=trees, **tree_parameters(monotone, boosting)).fit(x, y)


def tree_parameters(monotone: tuple[int, ...], boosting: Boosting) -> dict[str, Any]:
    """The parameters of every boosting of one training."""
    tuned = boosting.model_dump(exclude={"min_trees", "max_trees"})
    return tuned | {
        "reg_lambda": 5.0,
        "max_bin": 128,
        "tree_method": "hist",
        "n_jobs": THREADS,
        "random_state": SEED,
        "monotone_constraints": monotone,
    }


def fit_logistic(x: Matrix, y: Floats, strength: float) -> Any:
    """A logistic regression on standardised columns, with an indicator of what is missing."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=strength, solver="newton-cholesky", max_iter=50),
    ).fit(x, y)


def monotone_columns(encoder: Encoder, spec: Spec) -> tuple[int, ...]:
    """The constraint of each column of the matrix."""
    return tuple(spec.features[name].monotone for name in encoder.source_of_columns())
