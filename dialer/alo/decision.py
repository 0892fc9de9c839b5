"""When to say "a person" or "a machine", and the model that says how likely each is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dialer.alo.listening import FEATURES
from zanc_pipeline.common.errors import ConfigError

Verdict = Literal["human", "machine"]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How sure is sure enough, and how long one may listen.

    ``person`` and ``machine`` are probabilities of a machine. As soon as it is under the one, but
    not before ``least_seconds`` of voice and what follows it, it is a person. Otherwise one listens
    until ``speech_seconds`` from the first voice, or ``call_seconds`` from the answer; then the
    doubt is for the person: only over ``machine`` it is a machine.
    """

    person: float = 0.25
    machine: float = 0.95
    least_seconds: float = 0.5
    speech_seconds: float = 1.6
    call_seconds: float = 3.3


class Model(Protocol):
    """Anything that gives the probability of a machine for figures of ``listening.FEATURES``."""

    def machine(self, features: NDArray[np.float32]) -> float:
        """P(machine)."""


def decide(
    model: Model, features: NDArray[np.float32], patience: Patience = Patience()
) -> Verdict | None:
    """What is said now of a call of which these figures are known; None: listen on."""
    heard = float(features[FEATURES.index("heard")])
    began = float(features[FEATURES.index("since_voice_began")])
    speech = 0.0 if np.isnan(began) else began
    last = speech >= patience.speech_seconds or heard >= patience.call_seconds
    if not last and speech < patience.least_seconds:
        return None
    probability = model.machine(features)
    if last:
        return "machine" if probability > patience.machine else "human"
    return "human" if probability < patience.person else None


class Trees:
    """The champion of ``models/alo`` as ``zanc models export`` wrote it."""

    def __init__(self, path: Path) -> None:
        """Read the file; ConfigError when it is not one of this version's figures."""
        import xgboost

        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            features, trees = content["features"], content["trees"]
            self._calibration: dict[str, Any] = content["calibration"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{path}: no model of 'alô or machine': run 'zanc models export zanc_alo'"
            ) from None
        if features != list(FEATURES):
            raise ConfigError(
                f"{path}: the model hears other figures than this version: train again"
            )
        self._booster = xgboost.Booster()
        self._booster.load_model(bytearray(json.dumps(trees).encode()))
        self._booster.set_param({"nthread": 1})

    def machine(self, features: NDArray[np.float32]) -> float:
        """P(machine), calibrated."""
        raw = float(self._booster.inplace_predict(features.reshape(1, -1))[0])
        x, y = self._calibration["x"], self._calibration["y"]
        match self._calibration["kind"]:
            case "platt":
                safe = min(max(raw, 1e-6), 1 - 1e-6)
                return float(1 / (1 + np.exp(-(x[0] * np.log(safe / (1 - safe)) + y[0]))))
            case "isotonic":
                return float(np.interp(raw, x, y))
        return raw
