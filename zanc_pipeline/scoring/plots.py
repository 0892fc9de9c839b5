"""Plots of a run, as PNG files for MLflow. Each is of the holdout, a line for each candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zanc_pipeline.scoring.metrics import profit_curve, reliability

Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_FEATURES = 20
MOST_DOTS = 2_000


def reliability_plot(path: Path, label: Floats, scores: dict[str, Floats]) -> Path:
    """Score against what came true."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    for name, score in scores.items():
        alike = score.min() == score.max()  # then the bins would differ by chance alone
        mean, rate, _ = reliability(label, score, bins=1 if alike else 10)
        axes.plot(mean, rate, marker="o", label=name)
    top = min(1.0, 1.1 * max(float(score.max()) for score in scores.values()))
    axes.set(xlabel="score", ylabel="came true", title="Reliability (holdout)")
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend()
    figure.savefig(path)
    return path


def gain_plot(path: Path, label: Floats, scores: dict[str, Floats]) -> Path:
    """Share of all positives found in the best rows by score."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="at random")
    for name, score in scores.items():
        share, found = _found(label, score)
        axes.plot(share, found, label=name)
    axes.set(xlabel="share of rows", ylabel="share of positives", title="Gain (holdout)")
    axes.legend()
    figure.savefig(path)
    return path


def lift_plot(path: Path, label: Floats, scores: dict[str, Floats]) -> Path:
    """How many times the average rate the best rows by score have."""
    figure, axes = _figure()
    axes.axhline(1.0, color="grey", linestyle=":", label="at random")
    for name, score in scores.items():
        share, found = _found(label, score)
        from_here = share >= 0.01  # the first few rows are chance
        axes.plot(share[from_here], found[from_here] / share[from_here], label=name)
    axes.set(xlabel="share of rows", ylabel="lift", title="Lift (holdout)")
    axes.legend()
    figure.savefig(path)
    return path


def profit_plot(
    path: Path, label: Floats, scores: dict[str, Floats], gain: Floats, cost: float
) -> Path:
    """Reais earned by acting on the first rows by expected profit."""
    figure, axes = _figure()
    axes.axhline(0.0, color="grey", linestyle=":")
    for name, score in scores.items():
        curve = profit_curve(label, score, gain, cost)
        axes.plot(np.arange(len(curve)) / max(1, len(label)), curve, label=name)
    axes.set(xlabel="share of rows acted on", ylabel="reais", title="Profit (holdout)")
    axes.legend()
    figure.savefig(path)
    return path


def importance_plot(path: Path, importance: dict[str, float]) -> Path:
    """How much each feature lowers the loss, the most useful first."""
    figure, axes = _figure()
    top = sorted(importance.items(), key=lambda item: item[1])[-MOST_FEATURES:]
    axes.barh([name for name, _ in top], [value for _, value in top])
    axes.set(xlabel="share of gain", title="Importance (boosted trees)")
    figure.savefig(path)
    return path


def shap_plot(path: Path, names: list[str], values: Floats, matrix: Floats) -> Path:
    """SHAP values (log-odds) of the columns that matter most, coloured by the column's value.

    ``values`` and ``matrix`` have a row for each sampled row and a column for each of ``names``.
    """
    figure, axes = _figure()
    order = np.argsort(np.abs(values).mean(axis=0))[-MOST_FEATURES:]
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(values))
    dots = None
    for place, column in enumerate(order):
        _, ranks = np.unique(matrix[:, column], return_inverse=True)
        colour = np.where(np.isnan(matrix[:, column]), 0.5, ranks / max(1, ranks.max()))
        dots = axes.scatter(
            values[:, column], place + shift, c=colour, cmap="coolwarm", s=4, vmin=0, vmax=1
        )
    axes.axvline(0.0, color="grey", linestyle=":")
    axes.set_yticks(range(len(order)), [names[column] for column in order])
    axes.set(xlabel="log-odds", title="SHAP (holdout; red: high values of the column)")
    if dots is not None:
        figure.colorbar(dots, ax=axes, ticks=[], label="low … high")
    figure.savefig(path)
    return path


def _found(label: Floats, score: Floats) -> tuple[Floats, Floats]:
    found = np.cumsum(label[np.argsort(-score, kind="stable")]) / label.sum()
    keep = np.unique(np.linspace(0, len(label) - 1, min(MOST_DOTS, len(label))).astype(int))
    return (keep + 1) / len(label), found[keep]


def _figure() -> tuple[Any, Any]:
    # The object interface: pyplot keeps global state and looks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()
