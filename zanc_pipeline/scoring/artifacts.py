"""The files of a run in MLflow: plots, tables and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.scoring import plots, registry
from zanc_pipeline.scoring.card import write_card
from zanc_pipeline.scoring.metrics import gains
from zanc_pipeline.scoring.tables import LABEL

if TYPE_CHECKING:
    from zanc_pipeline.scoring.candidates import FittedModel
    from zanc_pipeline.scoring.gate import Segments
    from zanc_pipeline.scoring.spec import Spec
    from zanc_pipeline.scoring.train import Training

EXPLAINED_ROWS = 500
"""Rows of the holdout whose SHAP values are shown."""


def write_artifacts(
    folder: Path, spec: Spec, spec_path: Path, training: Training, segments: Segments
) -> list[Path]:
    """Write all of them into ``folder`` and return their paths."""
    label = training.holdout[LABEL].to_numpy(np.float64)
    scores = {
        f"{kind} (chosen)" if kind == training.chosen else kind: score
        for kind, score in training.scores.items()
    }
    trees = training.models["xgboost"]
    ranked = importance(trees)
    files = [
        plots.reliability_plot(folder / "reliability.png", label, scores),
        plots.gain_plot(folder / "gain.png", label, scores),
        plots.lift_plot(folder / "lift.png", label, scores),
        plots.importance_plot(folder / "importance.png", ranked),
        _explain(folder / "shap.png", training),
        registry.write_json(folder / "importance.json", ranked),
        registry.write_json(folder / "segments.json", segments),
        registry.write_json(folder / "spec.json", spec.model_dump(mode="json")),
        write_card(
            folder / registry.CARD, spec_path.parent / "README.md", spec, training, segments
        ),
    ]
    if spec.profit is not None:
        gain = gains(training.holdout, spec.profit)
        files.append(
            plots.profit_plot(folder / "profit.png", label, scores, gain, spec.profit.cost)
        )
    return files


def importance(model: FittedModel) -> dict[str, float]:
    """Each feature's share of what the trees gained, the greatest first."""
    gains_of: dict[str, Any] = model.trees.get_booster().get_score(importance_type="total_gain")
    sources = model.encoder.source_of_columns()
    shares = dict.fromkeys(model.encoder.features, 0.0)
    for column, gain in gains_of.items():
        shares[sources[int(column.removeprefix("f"))]] += gain
    total = sum(shares.values()) or 1.0
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return {name: round(value / total, 6) for name, value in ranked}


def _explain(path: Path, training: Training) -> Path:
    """SHAP values by the trees' own code, on rows spread over the holdout."""
    from xgboost import DMatrix

    model = training.models["xgboost"]
    rows = training.holdout.iloc[:: max(1, len(training.holdout) // EXPLAINED_ROWS)]
    matrix = model.encoder.encode(rows)
    values = model.trees.get_booster().predict(DMatrix(matrix), pred_contribs=True)
    return plots.shap_plot(path, model.encoder.columns, values[:, :-1], matrix.astype(np.float64))
