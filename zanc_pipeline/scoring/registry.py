"""MLflow: runs, registered models and the ``champion`` and ``challenger`` aliases."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.errors import ConfigError, ConflictError, UnavailableError
from zanc_pipeline.scoring.calibration import Calibration
from zanc_pipeline.scoring.encoding import Encoder
from zanc_pipeline.scoring.train import FittedModel

if TYPE_CHECKING:
    from zanc_pipeline.common.settings import Settings

CHAMPION, CHALLENGER = "champion", "challenger"

METADATA_KEY = "zanc"
"""Where a model's encoder and calibration are, in the metadata of its MLmodel file."""

REQUEST_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model and what its run measured on its holdout."""

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    kind: str
    why: str
    metrics: dict[str, float]


class Registry:
    """MLflow's tracking server and model registry. Open it with ``connected``."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def log(
        self,
        *,
        name: str,
        model: FittedModel,
        params: dict[str, Any],
        metrics: dict[str, float],
        files: list[Path],
        sample: Any,
    ) -> tuple[str, int]:
        """Record one finished training and register the model; return (run id, version).

        ``files`` become artifacts; ``sample`` is a few encoded rows, for the signature.
        """
        import mlflow
        import pandas as pd
        from mlflow.models import infer_signature

        example = pd.DataFrame(sample, columns=model.encoder.columns)
        scores = model.estimator.predict_proba(sample)[:, 1]
        common: dict[str, Any] = {
            "name": "model",
            "signature": infer_signature(example, scores),
            "metadata": {
                METADATA_KEY: {
                    "kind": model.kind,
                    "encoder": model.encoder.to_json(),
                    "calibration": model.calibration.to_json(),
                }
            },
            "registered_model_name": name,
        }
        mlflow.set_experiment(name)
        with mlflow.start_run() as run:
            mlflow.log_params(params)
            mlflow.log_metrics(metrics)
            mlflow.set_tag("model_kind", model.kind)
            for file in files:
                mlflow.log_artifact(str(file))
            if model.kind == "xgboost":
                info = mlflow.xgboost.log_model(
                    model.estimator, pip_requirements=_pins("xgboost-cpu", "numpy"), **common
                )
            else:
                info = mlflow.sklearn.log_model(
                    model.estimator,
                    pip_requirements=_pins("scikit-learn", "numpy"),
                    skops_trusted_types=["numpy.dtype"],
                    **common,
                )
        return run.info.run_id, int(info.registered_model_version)

    def champion(self, name: str) -> tuple[FittedModel, int] | None:
        """The model that carries the champion alias and its version, or None when none does."""
        found = self._by_alias(name, CHAMPION)
        return None if found is None else (self.load(name, found), found)

    def require_champion(self, name: str, spec_path: str) -> tuple[FittedModel, int]:
        """As ``champion``; ConflictError says what to run when there is none."""
        found = self.champion(name)
        if found is None:
            raise ConflictError(
                f"{name} has no champion in MLflow yet: run 'zanc models train --spec {spec_path}'"
            )
        return found

    def load(self, name: str, number: int) -> FittedModel:
        """Download a version with its encoder and calibration."""
        import mlflow

        uri = f"models:/{name}/{number}"
        metadata: dict[str, Any] = mlflow.models.get_model_info(uri).metadata or {}
        if METADATA_KEY not in metadata:
            raise ConflictError(f"{name} version {number} was not made by 'zanc models train'")
        content = metadata[METADATA_KEY]
        flavor = mlflow.xgboost if content["kind"] == "xgboost" else mlflow.sklearn
        return FittedModel(
            kind=content["kind"],
            estimator=flavor.load_model(uri),
            encoder=Encoder.from_json(content["encoder"]),
            calibration=Calibration.from_json(content["calibration"]),
        )

    def promote(self, name: str, number: int) -> None:
        """Make a version champion; ConflictError when it does not exist. Repeating is harmless."""
        self._require(name, number)
        self.client.set_registered_model_alias(name, CHAMPION, str(number))
        if self._by_alias(name, CHALLENGER) == number:
            self.client.delete_registered_model_alias(name, CHALLENGER)

    def challenge(self, name: str, number: int) -> None:
        """Make a version the challenger."""
        self.client.set_registered_model_alias(name, CHALLENGER, str(number))

    def say_why(self, name: str, number: int, *, run_id: str, promoted: bool, why: str) -> None:
        """Record the decision of the promotion rule beside the version and its run."""
        self.client.set_model_version_tag(name, str(number), "why", why)
        self.client.set_tag(run_id, "promoted", str(promoted).lower())
        self.client.set_tag(run_id, "why", why)

    def versions(self, name: str) -> list[Version]:
        """All versions, newest first, with their metrics; ConflictError for an unknown name."""
        by_version = {
            int(number): alias
            for alias, number in self._registered(name).aliases.items()
            if alias in (CHAMPION, CHALLENGER)
        }
        versions = []
        for found in self.client.search_model_versions(f"name='{name}'"):
            run = self.client.get_run(found.run_id)
            number = int(found.version)
            versions.append(
                Version(
                    name=name,
                    version=number,
                    run_id=found.run_id,
                    aliases=(by_version[number],) if number in by_version else (),
                    kind=run.data.tags.get("model_kind", ""),
                    why=found.tags.get("why", ""),
                    metrics=dict(run.data.metrics),
                )
            )
        return sorted(versions, key=lambda one: -one.version)

    def _registered(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise ConflictError(f"MLflow has no registered model called '{name}'") from None

    def _by_alias(self, name: str, alias: str) -> int | None:
        try:
            number = self._registered(name).aliases.get(alias)
        except ConflictError:
            return None
        return None if number is None else int(number)

    def _require(self, name: str, number: int) -> None:
        known = {found.version for found in self.versions(name)}
        if number not in known:
            raise ConflictError(
                f"{name} has no version {number}: it has "
                f"{', '.join(str(one) for one in sorted(known)) or 'none'}"
            )


@contextmanager
def connected(settings: Settings) -> Iterator[Registry]:
    """The registry of this stack; UnavailableError, naming its address, when it does not answer."""
    address = settings.web_url(settings.mlflow)
    os.environ.update(
        MLFLOW_TRACKING_USERNAME=settings.mlflow.username,
        MLFLOW_TRACKING_PASSWORD=settings.mlflow.password,
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(REQUEST_TIMEOUT_SECONDS),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
        GIT_PYTHON_REFRESH="quiet",
    )
    _require_answer(address, settings)
    import mlflow
    import requests
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    try:
        yield Registry(mlflow.MlflowClient())
    except requests.RequestException as error:
        raise UnavailableError("MLflow", address, type(error).__name__) from None
    except MlflowException as error:
        if "API request to" in str(error) or error.error_code == "INTERNAL_ERROR":
            raise UnavailableError("MLflow", address, str(error).splitlines()[0][:200]) from None
        raise ConfigError(f"MLflow at {address}: {str(error).splitlines()[0][:300]}") from None


def _require_answer(address: str, settings: Settings) -> None:
    """Ask before the imports, which take seconds: a server that is down is reported at once."""
    import httpx

    try:
        # Any registry call proves the password too; /health is open.
        reply = httpx.get(
            f"{address}/api/2.0/mlflow/registered-models/search",
            params={"max_results": 1},
            auth=(settings.mlflow.username, settings.mlflow.password),
            timeout=REQUEST_TIMEOUT_SECONDS,
        )
    except httpx.HTTPError as error:
        raise UnavailableError("MLflow", address, str(error) or type(error).__name__) from None
    if reply.status_code in (401, 403):
        raise ConfigError(
            f"MLflow at {address} refuses user '{settings.mlflow.username}': "
            "check mlflow.username and mlflow.password"
        )
    if reply.status_code >= 500:
        raise UnavailableError("MLflow", address, f"HTTP {reply.status_code}")


def _pins(*packages: str) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the artifacts of one run."""
    with tempfile.TemporaryDirectory(prefix="zanc-model-") as folder:
        yield Path(folder)


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write an artifact and return its path."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return path
