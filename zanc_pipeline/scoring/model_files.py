"""A fitted model as a folder of files: what MLflow keeps, and what scoring loads."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.scoring.calibration import Calibration
from zanc_pipeline.scoring.candidates import FittedModel
from zanc_pipeline.scoring.encoding import Encoder
from zanc_pipeline.scoring.reference import Reference

_ABOUT, _TREES, _LOGISTIC = "model.json", "trees.ubj", "logistic.skops"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A model with what it must remember of its training.

    ``trained_until`` is the latest time (ISO) that any row of its training had, or None.
    """

    model: FittedModel
    reference: Reference
    trained_until: str | None


@contextmanager
def _hushed() -> Iterator[None]:
    """skops asks every module for every name, and Airflow's old names warn, thousands of times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def write(folder: Path, kept: Kept) -> Path:
    """Write the model's files into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    model = kept.model
    about: dict[str, Any] = {
        "kind": model.kind,
        "encoder": model.encoder.to_json(),
        "calibration": model.calibration.to_json(),
        "reference": kept.reference.to_json(),
        "trained_until": kept.trained_until,
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
    if model.trees is not None:
        model.trees.save_model(folder / _TREES)
    if model.logistic is not None:
        import skops.io

        with _hushed():
            skops.io.dump(model.logistic, folder / _LOGISTIC)
    return folder


def read(folder: Path) -> Kept:
    """Read what ``write`` wrote; ConflictError when the folder holds something else."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConflictError(f"{folder}: the model was not made by 'zanc models train'") from None
    trees = logistic = None
    if (folder / _TREES).is_file():
        from xgboost import XGBClassifier

        trees = XGBClassifier()
        trees.load_model(folder / _TREES)
    if (folder / _LOGISTIC).is_file():
        import skops.io

        with _hushed():
            logistic = skops.io.load(folder / _LOGISTIC, trusted=["numpy.dtype"])
    model = FittedModel(
        kind=about["kind"],
        trees=trees,
        logistic=logistic,
        encoder=Encoder.from_json(about["encoder"]),
        calibration=Calibration.from_json(about["calibration"]),
    )
    return Kept(
        model=model,
        reference=Reference.from_json(about["reference"]),
        trained_until=about["trained_until"],
    )
