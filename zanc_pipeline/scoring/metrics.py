"""How good probabilities are, on rows that the model has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.scoring.tables import GAIN, LABEL, SEGMENT, TIME

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Profit

Floats = np.ndarray[Any, np.dtype[np.float64]]

MIN_SEGMENT_ROWS = 200
"""A segment with fewer rows, or with fewer than ``MIN_SEGMENT_CLASS`` of a class, says nothing."""
MIN_SEGMENT_CLASS = 20
MOST_SEGMENTS = 40


def evaluate(label: Floats, score: Floats) -> dict[str, float]:
    """AUC, average precision, Brier score, log loss, calibration error and lifts.

    ``label`` holds 0 and 1, both at least once; ``score`` probabilities in the same order.
    """
    from sklearn.metrics import average_precision_score, log_loss

    return {
        "auc": auc(label, score),
        "average_precision": float(average_precision_score(label, score)),
        "brier": float(np.mean((score - label) ** 2)),
        "log_loss": float(log_loss(label, np.clip(score, 1e-7, 1 - 1e-7), labels=[0, 1])),
        "calibration_error": calibration_error(label, score),
        "lift_at_10": lift(label, score, share=0.1),
        "lift_at_20": lift(label, score, share=0.2),
        "gain_at_20": lift(label, score, share=0.2) * 0.2,
        "base_rate": float(label.mean()),
    }


def auc(label: Floats, score: Floats) -> float:
    """Area under the ROC curve, ties counting half; both classes must be there."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = label > 0
    hits, others = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))


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


def gains(rows: pd.DataFrame, profit: Profit) -> Floats:
    """Reais that each row of a prepared table brings if it is positive."""
    if profit.gain is not None:
        return np.full(len(rows), profit.gain)
    return rows[GAIN].to_numpy(np.float64)


def profit_curve(label: Floats, score: Floats, gain: Floats, cost: float) -> Floats:
    """Reais earned by acting on the first 0, 1, 2 … rows by expected profit."""
    order = np.argsort(-(score * gain), kind="stable")
    return np.concatenate(([0.0], np.cumsum(label[order] * gain[order] - cost)))


def profit_metrics(label: Floats, score: Floats, gain: Floats, cost: float) -> dict[str, float]:
    """Profit of acting where the score expects one, of acting on all, and the best afterwards."""
    chosen = score * gain > cost
    each = label * gain - cost
    curve = profit_curve(label, score, gain, cost)
    return {
        "profit": float(each[chosen].sum()),
        "profit_of_all": float(each.sum()),
        "profit_best": float(curve.max()),
        "profit_share_acted_on": float(chosen.mean()),
    }


def by_segment(rows: pd.DataFrame, score: Floats) -> dict[str, dict[str, dict[str, float]]]:
    """AUC, Brier, calibration error and rows within each month and each declared segment.

    ``{"month": {"2026-10": {"auc": …}}, "crm": {…}}``; segments too small to say anything are
    left out.
    """
    import pandas as pd

    keys: dict[str, pd.Series[Any]] = {}
    if pd.api.types.is_datetime64_any_dtype(rows[TIME]):
        keys["month"] = pd.Series(rows[TIME].dt.strftime("%Y-%m"), index=rows.index)
    for column in rows.columns:
        if column.startswith(SEGMENT):
            keys[column.removeprefix(SEGMENT)] = rows[column]
    label = rows[LABEL].to_numpy(np.float64)
    result = {}
    for name, key in keys.items():
        values = key.value_counts()
        measured = {}
        for value in sorted(values.index[:MOST_SEGMENTS]):
            inside = (key == value).to_numpy(bool)
            mine, theirs = label[inside], score[inside]
            fewest = min(mine.sum(), len(mine) - mine.sum())
            if len(mine) < MIN_SEGMENT_ROWS or fewest < MIN_SEGMENT_CLASS:
                continue
            measured[str(value)] = {
                "auc": auc(mine, theirs),
                "brier": float(np.mean((theirs - mine) ** 2)),
                "calibration_error": calibration_error(mine, theirs),
                "rows": float(len(mine)),
            }
        if measured:
            result[name] = measured
    return result


def auc_within_month(segments: dict[str, dict[str, dict[str, float]]]) -> float | None:
    """The mean over months of the AUC within each, weighted by rows: what ranking is worth on a
    day's list, free of the drift between months. None without a month."""
    months = list(segments.get("month", {}).values())
    if not months:
        return None
    weights = [month["rows"] for month in months]
    return float(np.average([month["auc"] for month in months], weights=weights))
