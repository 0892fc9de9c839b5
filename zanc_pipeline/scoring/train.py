"""Fits, chooses and judges a model on a prepared table. Pure: no database, no MLflow, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring.calibration import Calibration, choose_calibration
from zanc_pipeline.scoring.candidates import (
    KINDS,
    STRENGTHS,
    FittedModel,
    Floats,
    Kind,
    blend,
    count_trees,
    fit_logistic,
    fit_trees,
    monotone_columns,
    scores_of,
)
from zanc_pipeline.scoring.encoding import Encoder, Matrix
from zanc_pipeline.scoring.metrics import auc, evaluate
from zanc_pipeline.scoring.splits import Period, split
from zanc_pipeline.scoring.tables import LABEL

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec

MIN_CHOICE_GAIN = 0.001
"""A more complex kind is chosen when its AUC on the validation rows is better by this."""

BASELINE = "last_rate"
"""Beside the kinds: the positive rate of what each training saw last, the same for every row."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What competed, what was chosen on the validation rows, and how it did on the holdout.

    ``scores`` are calibrated, of the holdout's rows, as the model is used: each from the latest
    training before it. ``once`` are the chosen kind's when it is not trained again. ``models`` were
    trained on all that was known when the holdout began.
    """

    chosen: Kind
    models: dict[Kind, FittedModel]
    validation_auc: dict[str, float]
    metrics: dict[str, dict[str, float]]
    scores: dict[str, Floats]
    once: Floats
    trees: int
    strength: float
    fits: int
    train: pd.DataFrame
    holdout: pd.DataFrame

    @property
    def model(self) -> FittedModel:
        """The chosen kind."""
        return self.models[self.chosen]

    @property
    def simpler_wins(self) -> str | None:
        """A simpler kind than the chosen that did better on the holdout, to be said and not used:
        the holdout decides nothing."""
        best = self.metrics[self.chosen]["auc"]
        simpler = KINDS[: KINDS.index(self.chosen)]
        return next((kind for kind in simpler if self.metrics[kind]["auc"] > best), None)


def train_candidates(table: pd.DataFrame, spec: Spec, *, where: str) -> Training:
    """Fit a logistic regression and boosted trees, choose between them and their blend, judge.

    ``table`` and ``spec`` come from ``tables.prepare``. Raises DataError, naming ``where``, when a
    part of the split holds no rows or a single class.
    """
    parts = split(table, spec, where=where)
    _refuse_empty(table.iloc[parts.holdout[0].since : parts.holdout[0].until], spec, where)
    first, last = parts.validation[0], parts.validation[-1]
    seen = table[LABEL].iloc[first.start : last.end].to_numpy(np.float64)
    trees = _count_trees(table, spec, first, last.end)
    logistics = {strength: _logistic(strength) for strength in STRENGTHS}
    tried = _roll(table, spec, parts.validation, {**logistics, "xgboost": _boosted(spec, trees)})
    strength = max(STRENGTHS, key=lambda one: auc(seen, tried.scores[one]))
    raw: dict[Kind, Floats] = {
        "logistic": tried.scores[strength],
        "xgboost": tried.scores["xgboost"],
        "blend": blend([tried.scores["xgboost"], tried.scores[strength]]),
    }
    validation_auc: dict[str, float] = {kind: auc(seen, raw[kind]) for kind in KINDS}
    calibrations = {kind: choose_calibration(raw[kind], seen) for kind in KINDS}
    judged = _roll(
        table,
        spec,
        parts.holdout,
        {"logistic": _logistic(strength), "xgboost": _boosted(spec, trees)},
    )
    return _judge(
        table,
        parts.holdout,
        judged,
        calibrations,
        chosen=spec.kind or _choose(validation_auc),
        validation_auc=validation_auc,
        trees=trees,
        strength=strength,
    )


def _refuse_empty(learnt: pd.DataFrame, spec: Spec, where: str) -> None:
    """Of a feature that is there in the holdout alone nothing can be learnt."""
    for name, feature in spec.features.items():
        if feature.required and not learnt[name].notna().any():
            raise DataError(
                f"{where}: column '{name}' is empty in all {len(learnt)} rows before the holdout: "
                "give it required: false, or exclude it"
            )


def _choose(validation_auc: dict[str, float]) -> Kind:
    chosen = KINDS[0]
    for kind in KINDS[1:]:
        if validation_auc[kind] > validation_auc[chosen] + MIN_CHOICE_GAIN:
            chosen = kind
    return chosen


Fit = Callable[[Matrix, Floats, Encoder], Any]


def _logistic(strength: float) -> Fit:
    return lambda x, y, _: fit_logistic(x, y, strength)


def _boosted(spec: Spec, trees: int) -> Fit:
    return lambda x, y, encoder: fit_trees(
        x, y, monotone_columns(encoder, spec), spec.boosting, trees
    )


def _count_trees(table: pd.DataFrame, spec: Spec, period: Period, end: int) -> int:
    if spec.boosting.min_trees >= spec.boosting.max_trees:
        return spec.boosting.max_trees
    past, later = table.iloc[period.since : period.until], table.iloc[period.start : end]
    encoder = _encoder(past, spec)
    return count_trees(
        encoder.encode(past),
        past[LABEL].to_numpy(np.float64),
        encoder.encode(later),
        later[LABEL].to_numpy(np.float64),
        monotone_columns(encoder, spec),
        spec.boosting,
    )


def _encoder(past: pd.DataFrame, spec: Spec) -> Encoder:
    present = {
        name: feature
        for name, feature in spec.features.items()
        if past[name].notna().any() or feature.required
    }
    return Encoder.fit(past, present)


@dataclass(frozen=True, kw_only=True)
class _Rolled:
    """Uncalibrated scores of successive periods, by what was fitted.

    ``scores`` are each from the latest training before the row, ``once`` all from the first one,
    whose ``encoder`` and ``fitted`` estimators are kept.
    """

    scores: dict[Any, Floats]
    once: dict[Any, Floats]
    encoder: Encoder
    fitted: dict[Any, Any]


def _roll(
    table: pd.DataFrame, spec: Spec, periods: tuple[Period, ...], fits: Mapping[Any, Fit]
) -> _Rolled:
    kept: list[dict[Any, Floats]] = []
    fitted: dict[Any, Any] = {}
    encoder = Encoder(features=(), categories={})
    first: tuple[Encoder, dict[Any, Any]] | None = None
    for period in periods:
        past = table.iloc[period.since : period.until]
        y = past[LABEL].to_numpy(np.float64)
        if first is None or 0 < y.sum() < len(y):  # else the model of before goes on
            encoder = _encoder(past, spec)
            x = encoder.encode(past)
            fitted = {name: fit(x, y, encoder) for name, fit in fits.items()}
        first = first or (encoder, fitted)
        rows = encoder.encode(table.iloc[period.start : period.end])
        kept.append({name: scores_of(model, rows) for name, model in fitted.items()})
    assert first is not None
    once = kept[0]
    if len(periods) > 1:
        rows = first[0].encode(table.iloc[periods[0].start : periods[-1].end])
        once = {name: scores_of(model, rows) for name, model in first[1].items()}
    return _Rolled(
        scores={name: np.concatenate([part[name] for part in kept]) for name in fits},
        once=once,
        encoder=first[0],
        fitted=first[1],
    )


def _judge(
    table: pd.DataFrame,
    periods: tuple[Period, ...],
    judged: _Rolled,
    calibrations: dict[Kind, Calibration],
    *,
    chosen: Kind,
    validation_auc: dict[str, float],
    trees: int,
    strength: float,
) -> Training:
    for rows in (judged.scores, judged.once):
        rows["blend"] = blend([rows["xgboost"], rows["logistic"]])
    models = {
        kind: FittedModel(
            kind=kind,
            trees=judged.fitted["xgboost"] if kind != "logistic" else None,
            logistic=judged.fitted["logistic"] if kind != "xgboost" else None,
            encoder=judged.encoder,
            calibration=calibrations[kind],
        )
        for kind in KINDS
    }
    holdout = table.iloc[periods[0].start :]
    label = table[LABEL].to_numpy(np.float64)
    scores: dict[str, Floats] = {
        kind: calibrations[kind].apply(judged.scores[kind]) for kind in KINDS
    }
    scores[BASELINE] = np.concatenate(
        [np.full(period.end - period.start, label[_last(period)].mean()) for period in periods]
    )
    truth = label[periods[0].start :]
    return Training(
        chosen=chosen,
        models=models,
        validation_auc=validation_auc,
        metrics={kind: evaluate(truth, score) for kind, score in scores.items()},
        scores=scores,
        once=calibrations[chosen].apply(judged.once[chosen]),
        trees=trees,
        strength=strength,
        fits=len(periods),
        train=table.iloc[periods[0].since : periods[0].until],
        holdout=holdout,
    )


def _last(period: Period) -> slice:
    """As many rows before a training as are scored after it."""
    return slice(max(period.since, period.until - (period.end - period.start)), period.until)
