"""The model as MLflow serves it: the features of ``model.yaml`` in, calibrated probabilities out.

MLflow runs this file by itself ("models from code"); our own scoring reads the files directly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow

from zanc_pipeline.scoring import model_files


class Scorer(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Scores a table of features."""

    def load_context(self, context: Any) -> None:
        """Read the model's files."""
        self.model = model_files.read(Path(context.artifacts["model"])).model

    # MLflow would read type hints as the model's signature; ours is logged with the model.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """P(1) of each row."""
        del context, params
        return self.model.predict(model_input)


mlflow.models.set_model(Scorer())
