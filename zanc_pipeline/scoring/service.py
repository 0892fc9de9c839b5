"""Trains a model, logs it to MLflow and lets the gate decide on its promotion."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.migrations import require
from zanc_pipeline.scoring import dataset, registry
from zanc_pipeline.scoring.artifacts import write_artifacts
from zanc_pipeline.scoring.candidates import THREADS, Floats
from zanc_pipeline.scoring.gate import Measured, Segments, decide
from zanc_pipeline.scoring.leaks import refuse_leaks
from zanc_pipeline.scoring.metrics import (
    auc_within_month,
    by_segment,
    evaluate,
    gains,
    profit_metrics,
)
from zanc_pipeline.scoring.model_files import Kept
from zanc_pipeline.scoring.reference import Reference
from zanc_pipeline.scoring.serving import ANSWER, PAYMENT, RIGHT_PARTY, ScoreResult, score
from zanc_pipeline.scoring.spec import Spec, load_spec
from zanc_pipeline.scoring.tables import LABEL, TIME, prepare, read_table
from zanc_pipeline.scoring.train import BASELINE, Training, train_candidates

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

__all__ = [
    "ANSWER",
    "PAYMENT",
    "RIGHT_PARTY",
    "ScoreResult",
    "TrainResult",
    "ensure",
    "score",
    "train",
]

MIN_COMPARED_ROWS = 200
SAMPLE_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What one training measured on its holdout and what became of the model.

    The figures are of the model as it is used: with ``retraining`` in its spec, each row is scored
    by the latest training before it (``fits`` of them); ``once_auc`` is that of the registered
    version alone, trained before the holdout began. ``simpler_wins`` names a simpler kind that
    ranks the holdout better than the chosen. ``holdout`` is a Parquet with the rows' id columns,
    ``label`` and ``score``.
    """

    run_id: str
    run_name: str
    name: str
    model_version: int
    model_kind: str
    rows_train: int
    rows_test: int
    fits: int
    auc: float
    once_auc: float
    auc_within_month: float | None
    average_precision: float
    brier: float
    lift_at_10: float
    calibration_error: float
    baseline_auc: float
    last_rate_auc: float
    profit: float | None
    simpler_wins: str | None
    promoted: bool
    why: str
    holdout: str

    def to_json(self) -> dict[str, Any]:
        """The pinned JSON object of ``zanc models train``."""
        return asdict(self)


def ensure(settings: Settings) -> None:
    """Refuse, in one line, tables of this room, or of those it reads, of another version."""
    require(settings, "crm", "localization", "scoring")


def train(settings: Settings, spec_path: Path, data: Path | None = None) -> TrainResult:
    """Train, judge, log and register the model of ``spec_path``; promote it by the spec's rule.

    Without ``data`` the table is made from the databases, by ``source`` of the spec. Raises
    ConfigError for a wrong spec, DataError for data that teaches nothing or a feature that knows
    the future, UnavailableError when PostgreSQL or MLflow does not answer (a retry trains afresh;
    a version registered before stays without an alias).
    """
    from threadpoolctl import threadpool_limits

    spec = load_spec(spec_path)
    with registry.connected(settings) as models:
        raw, where = _table(settings, spec, data)
        table, spec = prepare(raw, spec, where=where)
        with threadpool_limits(limits=THREADS):
            training = train_candidates(table, spec, where=where)
            refuse_leaks(training.train, spec, where=where)
        segments = by_segment(training.holdout, training.scores[training.chosen])
        metrics = training.metrics[training.chosen] | _more_metrics(spec, training, segments)
        run_id, run_name, number = _log(
            models, spec, spec_path, training, metrics, segments, _fingerprint(table)
        )
        holdout = _write_holdout(settings, run_id, spec, training)
        promoted, why = _judge(models, spec, training, number)
        models.say_why(spec.name, number, run_id=run_id, promoted=promoted, why=why)
    return TrainResult(
        run_id=run_id,
        run_name=run_name,
        name=spec.name,
        model_version=number,
        model_kind=training.chosen,
        rows_train=len(training.train),
        rows_test=len(training.holdout),
        fits=training.fits,
        auc=metrics["auc"],
        once_auc=metrics["once_auc"],
        auc_within_month=metrics.get("auc_within_month"),
        average_precision=metrics["average_precision"],
        brier=metrics["brier"],
        lift_at_10=metrics["lift_at_10"],
        calibration_error=metrics["calibration_error"],
        baseline_auc=training.metrics["logistic"]["auc"],
        last_rate_auc=training.metrics[BASELINE]["auc"],
        profit=metrics.get("profit"),
        simpler_wins=training.simpler_wins,
        promoted=promoted,
        why=why,
        holdout=str(holdout),
    )


def _table(settings: Settings, spec: Spec, data: Path | None) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if data is not None:
        table = read_table(data)
        if spec.source in ("answer", "right_party") and dataset.looks_like_calls(table):
            calls = dataset.calls_of_file(table)
            return dataset.table_of_calls(spec, calls, pd.Series(dtype="float64")), str(data)
        return table, str(data)
    if spec.source is None:
        raise ConfigError(f"{spec.name} has no source: name a file with --data")
    ensure(settings)
    table = dataset.training_table(settings, spec, datetime.now(UTC))
    return table, "scoring.portfolio_history" if spec.source == "payment" else "localization.call"


def _more_metrics(spec: Spec, training: Training, segments: Segments) -> dict[str, float]:
    label = training.holdout[LABEL].to_numpy(np.float64)
    more = {"once_auc": evaluate(label, training.once)["auc"]}
    monthly = auc_within_month(segments)
    if monthly is not None:
        more["auc_within_month"] = monthly
    if spec.profit is not None:
        gain = gains(training.holdout, spec.profit)
        more |= profit_metrics(label, training.scores[training.chosen], gain, spec.profit.cost)
    return more


def _log(
    models: registry.Registry,
    spec: Spec,
    spec_path: Path,
    training: Training,
    metrics: dict[str, float],
    segments: Segments,
    fingerprint: str,
) -> tuple[str, str, int]:
    model = training.model
    logged = dict(metrics)
    for kind, measured in training.metrics.items():
        logged |= {f"{kind}/{name}": value for name, value in measured.items()}
    for kind, area in training.validation_auc.items():
        logged[f"{kind}/validation_auc"] = area
    for name, values in segments.items():
        for value, measured in values.items():
            logged[_metric_name(f"by_{name}/{value}/auc")] = measured["auc"]
    logged |= {"rows_train": len(training.train), "rows_test": len(training.holdout)}
    params: dict[str, Any] = {
        "model_kind": training.chosen,
        "rows_train": len(training.train),
        "rows_test": len(training.holdout),
        "fits_over_holdout": training.fits,
        "trees": training.trees,
        "logistic_C": training.strength,
        "calibration": model.calibration.kind,
        "data_sha256": fingerprint,
        "first_time": str(training.train[TIME].iloc[0]),
        "trained_until": str(training.train[TIME].iloc[-1]),
        "holdout_from": str(training.holdout[TIME].iloc[0]),
        "last_time": str(training.holdout[TIME].iloc[-1]),
        "embargo_days": spec.embargo_days,
        "features": ", ".join(model.encoder.features),
    } | spec.boosting.model_dump()
    kept = Kept(
        model=model,
        reference=Reference.of(training.holdout, training.once, model.encoder, metrics),
        trained_until=_moment(training.train),
    )
    with registry.scratch() as folder:
        run_id, number = models.log(
            name=spec.name,
            kept=kept,
            params=params,
            metrics=logged,
            tags={"model_kind": training.chosen, "simpler_wins": str(training.simpler_wins)},
            files=write_artifacts(folder, spec, spec_path, training, segments),
            sample=training.train[list(model.encoder.features)].tail(SAMPLE_ROWS),
        )
    return run_id, models.run_name(run_id), number


def _metric_name(text: str) -> str:
    """MLflow takes letters, digits and ``_-./ `` alone."""
    return "".join(
        one if one.isascii() and (one.isalnum() or one in "_-./ ") else "_" for one in text
    )


def _judge(
    models: registry.Registry, spec: Spec, training: Training, number: int
) -> tuple[bool, str]:
    champion = models.champion(spec.name)
    mine, theirs, why_not = None, None, ""
    if champion is not None:
        mine, theirs, why_not = _compare(champion[0], training)
    positives = int(training.holdout[LABEL].sum())
    promoted, why = decide(
        training.metrics[training.chosen]["auc"],
        min(positives, len(training.holdout) - positives),
        mine,
        theirs,
        rule=spec.promotion,
        champion=champion[1] if champion else None,
        why_not=why_not,
        known_after=spec.known_after,
    )
    if promoted:
        models.promote(spec.name, number)
    else:
        models.challenge(spec.name, number)
    return promoted, why


def _compare(champion: Kept, training: Training) -> tuple[Measured | None, Measured | None, str]:
    """Both models on the rows of the holdout that neither was trained on; or why that can't be."""
    import pandas as pd

    rows = training.holdout
    inside = np.ones(len(rows), dtype=bool)
    if champion.trained_until is not None and _moment(rows) is not None:
        inside = (rows[TIME] > pd.Timestamp(champion.trained_until)).to_numpy(bool)
    rows = rows[inside]
    if len(rows) < MIN_COMPARED_ROWS or rows[LABEL].nunique() < 2:
        return None, None, "it has learnt most of this holdout"
    try:
        theirs = champion.model.predict(rows)
    except DataError as error:
        return None, None, str(error)
    return _measured(rows, training.once[inside]), _measured(rows, theirs), ""


def _measured(rows: pd.DataFrame, score: Floats) -> Measured:
    label = rows[LABEL].to_numpy(np.float64)
    return Measured(metrics=evaluate(label, score), segments=by_segment(rows, score))


def _moment(rows: pd.DataFrame) -> str | None:
    """The latest time of rows, when they have one."""
    latest = rows[TIME].iloc[-1]
    return latest.isoformat() if hasattr(latest, "isoformat") else None


def _write_holdout(settings: Settings, run_id: str, spec: Spec, training: Training) -> Path:
    rows = training.holdout[list(spec.id_columns)].copy()
    rows["label"] = training.holdout[LABEL]
    rows["score"] = training.scores[training.chosen]
    path = settings.var / "models" / run_id / "holdout.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    rows.to_parquet(aside, index=False)
    return aside.replace(path)


def _fingerprint(table: pd.DataFrame) -> str:
    import pandas as pd

    hashes = pd.util.hash_pandas_object(table, index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()
