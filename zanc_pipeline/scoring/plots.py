"""Plots of a run, as PNG files for MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zanc_pipeline.scoring.metrics import reliability

Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_FEATURES = 20


def reliability_plot(path: Path, label: Floats, scores: dict[str, Floats]) -> Path:
    """Score against what came true, on the holdout, a line for each candidate."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    for name, score in scores.items():
        mean, rate, _ = reliability(label, score)
        axes.plot(mean, rate, marker="o", label=name)
    top = min(1.0, 1.1 * max(float(score.max()) for score in scores.values()))
    axes.set(xlabel="score", ylabel="came true", title="Reliability (holdout)")
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend()
    figure.savefig(path)
    return path


def gain_plot(path: Path, label: Floats, scores: dict[str, Floats]) -> Path:
    """Share of all positives found in the best rows by score, on the holdout."""
    figure, axes = _figure()
    share = np.arange(1, len(label) + 1) / len(label)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="at random")
    for name, score in scores.items():
        found = np.cumsum(label[np.argsort(-score, kind="stable")]) / label.sum()
        axes.plot(share, found, label=name)
    axes.set(xlabel="share of rows", ylabel="share of positives", title="Gain (holdout)")
    axes.legend()
    figure.savefig(path)
    return path


def importance_plot(path: Path, importance: dict[str, float]) -> Path:
    """How much each feature lowers the loss, the most useful first."""
    figure, axes = _figure()
    top = sorted(importance.items(), key=lambda item: item[1])[-MOST_FEATURES:]
    axes.barh([name for name, _ in top], [value for _, value in top])
    axes.set(xlabel="share of gain", title="Importance")
    figure.savefig(path)
    return path


def _figure() -> tuple[Any, Any]:
    # The object interface: pyplot keeps global state and looks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()
