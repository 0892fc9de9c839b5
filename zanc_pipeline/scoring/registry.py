"""MLflow: runs, registered models and the ``champion`` and ``challenger`` aliases."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError, ConflictError, UnavailableError
from zanc_pipeline.scoring import model_files
from zanc_pipeline.scoring.model_files import Kept

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

CHAMPION, CHALLENGER = "champion", "challenger"

PAST_CHAMPIONS = "past_champions"
"""Tag of a registered model: the versions that were champion, for the rollback."""

CARD = "model_card.md"

_KIND = "mlflow.experimentKind"
"""Tag by which MLflow's UI chooses what it shows of an experiment first."""

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
    run_name: str
    data: str
    metrics: dict[str, float]


class Registry:
    """MLflow's tracking server and model registry. Open it with ``connected``."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def log(
        self,
        *,
        name: str,
        kept: Kept,
        params: dict[str, Any],
        metrics: dict[str, float],
        tags: dict[str, str],
        files: list[Path],
        sample: pd.DataFrame,
    ) -> tuple[str, int]:
        """Record one finished training and register the model; return (run id, version).

        ``files`` become artifacts, plots below ``plots/``; ``sample`` is a few rows of the
        features, for the signature.
        """
        import mlflow
        from mlflow.models import infer_signature

        experiment = mlflow.set_experiment(name)
        if _KIND not in experiment.tags:  # else the UI shows it as a project of language models
            self.client.set_experiment_tag(
                experiment.experiment_id, _KIND, "custom_model_development"
            )
        with mlflow.start_run(run_name=self._run_name(name, experiment.experiment_id)) as run:
            mlflow.log_params(params)
            mlflow.set_tags(tags)
            for file in files:
                mlflow.log_artifact(str(file), "plots" if file.suffix == ".png" else None)
                if file.name == CARD:
                    mlflow.set_tag("mlflow.note.content", file.read_text(encoding="utf-8"))
            with scratch() as folder:
                info = mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(Path(__file__).with_name("mlflow_model.py")),
                    artifacts={"model": str(model_files.write(folder / "model", kept))},
                    signature=infer_signature(sample, kept.model.predict(sample)),
                    pip_requirements=_pins("xgboost-cpu", "scikit-learn", "skops", "pandas"),
                    registered_model_name=name,
                )
            # After the model: logging it asks for the history of each metric logged before.
            mlflow.log_metrics(metrics, model_id=info.model_id)
        return run.info.run_id, int(info.registered_model_version)

    def run_name(self, run_id: str) -> str:
        """The name of a run."""
        return str(self.client.get_run(run_id).info.run_name)

    def _run_name(self, name: str, experiment: str) -> str:
        """Model, day and which training of that day: "zanc_answer 2026-11-23 #2"."""
        today = f"{name} {datetime.now(LOCAL):%Y-%m-%d} #"
        runs = self.client.search_runs(
            [experiment], f"attributes.run_name LIKE '{today}%'", max_results=1000
        )
        numbers = [run.info.run_name.removeprefix(today) for run in runs]
        return f"{today}{max((int(one) for one in numbers if one.isdigit()), default=0) + 1}"

    def champion(self, name: str) -> tuple[Kept, int] | None:
        """The model that carries the champion alias and its version, or None when none does."""
        found = self._by_alias(name, CHAMPION)
        return None if found is None else (self.load(name, found), found)

    def require_champion(self, name: str, spec_path: str) -> tuple[Kept, int]:
        """As ``champion``; ConflictError says what to run when there is none."""
        found = self.champion(name)
        if found is None:
            raise ConflictError(
                f"{name} has no champion in MLflow yet: run 'zanc models train --spec {spec_path}'"
            )
        return found

    def load(self, name: str, number: int) -> Kept:
        """Download a version; ConflictError when 'zanc models train' did not make it."""
        import mlflow

        with scratch() as folder:
            where = mlflow.artifacts.download_artifacts(
                f"models:/{name}/{number}", dst_path=str(folder)
            )
            return model_files.read(Path(where) / "artifacts" / "model")

    def promote(self, name: str, number: int) -> None:
        """Make a version champion; ConflictError when it does not exist. Repeating is harmless."""
        self._require(name, number)
        before, past = self._by_alias(name, CHAMPION), self._past_champions(name)
        # Killed after this line, the next try finds it remembered.
        if before is not None and before != number and past[-1:] != [before]:
            self._remember(name, [*past, before])
        self.client.set_registered_model_alias(name, CHAMPION, str(number))
        if self._by_alias(name, CHALLENGER) == number:
            self.client.delete_registered_model_alias(name, CHALLENGER)

    def rollback(self, name: str) -> int:
        """Give the alias back to the champion before, and return its version.

        ConflictError when there was none. Said again, it goes back one more.
        """
        past, now = self._past_champions(name), self._by_alias(name, CHAMPION)
        if past[-1:] == [now]:  # a promotion that was killed half way
            past = past[:-1]
        if not past or now is None:
            raise ConflictError(f"{name} had no champion before the present one")
        self._require(name, past[-1])
        self.client.set_registered_model_alias(name, CHAMPION, str(past[-1]))
        self._remember(name, past[:-1])
        return past[-1]

    def _past_champions(self, name: str) -> list[int]:
        """The champions before the present one, the latest last."""
        tags = self._registered(name).tags
        return [int(number) for number in json.loads(tags.get(PAST_CHAMPIONS, "[]"))]

    def _remember(self, name: str, past: list[int]) -> None:
        self.client.set_registered_model_tag(name, PAST_CHAMPIONS, json.dumps(past))

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
                    run_name=run.info.run_name,
                    data=run.data.params.get("data_sha256", "")[:8],
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
