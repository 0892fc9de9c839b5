"""A champion's trees as one JSON file, for programs that score row by row without this package."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.errors import ConflictError

if TYPE_CHECKING:
    from zanc_pipeline.scoring.candidates import FittedModel


def exported(model: FittedModel, *, name: str) -> dict[str, Any]:
    """``features`` in the order of the columns, the ``trees`` and their ``calibration``.

    Of a blend only the trees, as they are. Raises ConflictError for a model without trees, or with
    a feature that is no number.
    """
    if model.trees is None:
        raise ConflictError(f"{name}: its champion is a logistic regression, which has no trees")
    if model.encoder.categories:
        raise ConflictError(f"{name}: it has features that are no numbers")
    raw = model.trees.get_booster().save_raw("json")
    whole = model.kind == "xgboost"
    return {
        "name": name,
        "features": list(model.encoder.features),
        "trees": json.loads(bytes(raw)),
        "calibration": model.calibration.to_json() if whole else {"kind": "none", "x": [], "y": []},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
