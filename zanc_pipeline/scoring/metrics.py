"""How good probabilities are, on rows that the model has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def evaluate(label: Floats, score: Floats) -> dict[str, float]:
    """AUC, average precision, Brier score, log loss, calibration error and lift of the first 10 %.

    ``label`` holds 0 and 1, both at least once; ``score`` probabilities in the same order.
    """
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    return {
        "auc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
        "brier": float(np.mean((score - label) ** 2)),
        "log_loss": float(log_loss(label, np.clip(score, 1e-7, 1 - 1e-7), labels=[0, 1])),
        "calibration_error": calibration_error(label, score),
        "lift_at_10": lift(label, score, share=0.1),
        "base_rate": float(label.mean()),
    }


def lift(label: Floats, score: Floats, *, share: float) -> float:
    """The positive rate of the best ``share`` of rows by score, over that of all rows."""
    top = max(1, round(len(label) * share))
    best = np.argsort(-score, kind="stable")[:top]
    return float(label[best].mean() / label.mean())


def reliability(label: Floats, score: Floats, *, bins: int = 10) -> tuple[Floats, Floats, Floats]:
    """Mean score, positive rate and rows of equally filled bins, by rising score."""
    parts = [part for part in np.array_split(np.argsort(score, kind="stable"), bins) if len(part)]
    return (
        np.array([score[part].mean() for part in parts]),
        np.array([label[part].mean() for part in parts]),
        np.array([float(len(part)) for part in parts]),
    )


def calibration_error(label: Floats, score: Floats) -> float:
    """Mean absolute distance of score and positive rate over ten equally filled bins."""
    mean, rate, rows = reliability(label, score)
    return float(np.sum(np.abs(mean - rate) * rows) / rows.sum())
