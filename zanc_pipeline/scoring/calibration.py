"""Calibration: a score of .3 should come true three times in ten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

MIN_BRIER_GAIN = 1e-4
"""A calibration is kept when it lowers the Brier score of unseen rows by at least this."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A monotone map of probabilities: none, Platt (a line in log odds) or isotonic (steps)."""

    kind: Literal["none", "platt", "isotonic"] = "none"
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities."""
        if self.kind == "platt":
            slope, intercept = self.x[0], self.y[0]
            calibrated: Floats = 1 / (1 + np.exp(-(slope * log_odds(probability) + intercept)))
            return calibrated
        if self.kind == "isotonic":
            return np.interp(probability, self.x, self.y)
        return probability

    def to_json(self) -> dict[str, Any]:
        """For the model's metadata."""
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The reverse of ``to_json``."""
        return cls(kind=content["kind"], x=tuple(content["x"]), y=tuple(content["y"]))


def log_odds(probability: Floats) -> Floats:
    """Log odds, kept finite at 0 and 1."""
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(safe / (1 - safe))
    return odds


def fit_calibration(
    probability: Floats, label: Floats, kind: Literal["none", "platt", "isotonic"]
) -> Calibration:
    """The calibration of this ``kind`` for these predictions."""
    if kind == "none" or len(np.unique(label)) < 2:
        return Calibration()
    if kind == "platt":
        from sklearn.linear_model import LogisticRegression

        line = LogisticRegression(C=1e6).fit(log_odds(probability).reshape(-1, 1), label)
        return Calibration(
            kind="platt", x=(float(line.coef_[0, 0]),), y=(float(line.intercept_[0]),)
        )
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip")
    steps.fit(probability, label)
    return Calibration(
        kind="isotonic",
        x=tuple(float(value) for value in steps.X_thresholds_),
        y=tuple(float(value) for value in steps.y_thresholds_),
    )


def choose_calibration(probability: Floats, label: Floats) -> Calibration:
    """Try each kind on the later half of rows in time order, learnt from the earlier half.

    The kind that wins there is fitted again on all the rows.
    """
    half = len(label) // 2
    best: Literal["none", "platt", "isotonic"] = "none"
    best_brier = float(np.mean((probability[half:] - label[half:]) ** 2)) - MIN_BRIER_GAIN
    kinds: tuple[Literal["platt", "isotonic"], ...] = ("platt", "isotonic")
    for kind in kinds:
        fitted = fit_calibration(probability[:half], label[:half], kind)
        brier = float(np.mean((fitted.apply(probability[half:]) - label[half:]) ** 2))
        if brier < best_brier:
            best, best_brier = kind, brier - MIN_BRIER_GAIN
    return fit_calibration(probability, label, best)
