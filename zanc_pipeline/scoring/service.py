"""Trains the models and scores the open portfolio with the champions."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.frames import copy_frame
from zanc_pipeline.common.migrations import require
from zanc_pipeline.scoring import dataset, plots, registry
from zanc_pipeline.scoring.features import LOOKBACK_DAYS, AnswerHistory, PaymentHistory
from zanc_pipeline.scoring.metrics import evaluate
from zanc_pipeline.scoring.spec import Spec, load_spec
from zanc_pipeline.scoring.tables import LABEL, TIME, prepare, read_table
from zanc_pipeline.scoring.train import (
    BOOSTING,
    THREADS,
    FittedModel,
    Training,
    train_candidates,
)

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

ANSWER, PAYMENT = "zanc_answer", "zanc_payment"
ANSWER_SPEC, PAYMENT_SPEC = "models/answer/model.yaml", "models/payment/model.yaml"
HOURS = range(8, 20)
"""Local hours in which a call may start (law and custom; a campaign may dial in fewer)."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What one training measured on its holdout and what became of the model.

    ``holdout`` is a Parquet with the rows' id columns, ``label`` and ``score``.
    """

    run_id: str
    name: str
    model_version: int
    model_kind: str
    rows_train: int
    rows_test: int
    auc: float
    average_precision: float
    brier: float
    lift_at_10: float
    calibration_error: float
    baseline_auc: float
    promoted: bool
    why: str
    holdout: str

    def to_json(self) -> dict[str, Any]:
        """The pinned JSON object of ``zanc models train``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """How much was scored, and by which versions."""

    day: date
    phones: int
    contracts: int
    phone_scores: int
    answer_version: str
    payment_version: str

    def to_json(self) -> dict[str, Any]:
        """As ``zanc models score`` prints it."""
        return asdict(self) | {"day": self.day.isoformat()}


def train(settings: Settings, spec_path: Path, data: Path | None = None) -> TrainResult:
    """Train, judge, log and register the model of ``spec_path``; promote it by the spec's rule.

    Without ``data`` the table is made from the databases, by ``source`` of the spec. Raises
    ConfigError for a wrong spec, DataError for data that teaches nothing, UnavailableError when
    PostgreSQL or MLflow does not answer (a retry trains afresh; a version registered before stays
    without an alias).
    """
    from threadpoolctl import threadpool_limits

    spec = load_spec(spec_path)
    with registry.connected(settings) as models:
        raw, where = _table(settings, spec, data)
        table, spec = prepare(raw, spec, where=where)
        with threadpool_limits(limits=THREADS):
            training = train_candidates(table, spec, where=where)
        run_id, number = _log(models, spec, spec_path, training, _fingerprint(table))
        holdout = _write_holdout(settings, run_id, spec, training)
        promoted, why = _judge(models, spec, training, number)
        models.say_why(spec.name, number, run_id=run_id, promoted=promoted, why=why)
    metrics = training.metrics[training.chosen]
    return TrainResult(
        run_id=run_id,
        name=spec.name,
        model_version=number,
        model_kind=training.chosen,
        rows_train=len(training.train),
        rows_test=len(training.holdout),
        auc=metrics["auc"],
        average_precision=metrics["average_precision"],
        brier=metrics["brier"],
        lift_at_10=metrics["lift_at_10"],
        calibration_error=metrics["calibration_error"],
        baseline_auc=training.metrics["logistic"]["auc"],
        promoted=promoted,
        why=why,
        holdout=str(holdout),
    )


def score(settings: Settings, day: date, *, now: datetime | None = None) -> ScoreResult:
    """Score the open portfolio for the hours of ``day`` with the champions, from what is known.

    Replaces scoring.phone_score and scoring.contract_score in one transaction. Raises
    ConflictError when a model has no champion, UnavailableError when a part does not answer.
    """
    require(settings, "crm", "localization", "scoring")
    with registry.connected(settings) as models:
        answer, answer_number = models.require_champion(ANSWER, ANSWER_SPEC)
        payment, payment_number = models.require_champion(PAYMENT, PAYMENT_SPEC)
    at = now or datetime.now(UTC)
    calls = dataset.recorded_calls(settings, at - timedelta(days=LOOKBACK_DAYS + 1), at)
    phones = dataset.open_phones(settings)
    contracts = dataset.open_contracts(settings, day, at)
    phone_scores = _phone_scores(answer, calls, phones, day, at)
    contracts["payment"] = (
        payment.predict(PaymentHistory(calls).features(contracts)).round(6)
        if len(contracts)
        else np.zeros(0)
    )
    result = ScoreResult(
        day=day,
        phones=len(phones),
        contracts=len(contracts),
        phone_scores=len(phone_scores),
        answer_version=f"{ANSWER}/{answer_number}",
        payment_version=f"{PAYMENT}/{payment_number}",
    )
    phone_scores["model_version"] = result.answer_version
    contracts["model_version"] = result.payment_version
    with transaction(settings, "zanc", application="zanc-scoring") as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('scoring.score'))")
        _swap(
            cursor,
            "scoring.phone_score",
            phone_scores[["cpf", "phone", "hour", "answer", "day", "model_version"]],
        )
        _swap(
            cursor,
            "scoring.contract_score",
            contracts[["convenio", "contract", "payment", "model_version"]],
        )
    return result


def _table(settings: Settings, spec: Spec, data: Path | None) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if data is not None:
        table = read_table(data)
        if spec.source == "answer" and dataset.looks_like_calls(table):
            calls = dataset.calls_of_file(table)
            return dataset.answer_table(calls, pd.Series(dtype="float64")), str(data)
        return table, str(data)
    if spec.source is None:
        raise ConfigError(f"{spec.name} has no source: name a file with --data")
    require(settings, "crm", "localization", "scoring")
    table = dataset.training_table(settings, spec, datetime.now(UTC))
    return table, "localization.call" if spec.source == "answer" else "scoring.portfolio_history"


def _log(
    models: registry.Registry, spec: Spec, spec_path: Path, training: Training, fingerprint: str
) -> tuple[str, int]:
    chosen = training.models[training.chosen]
    metrics = dict(training.metrics[training.chosen])
    for kind, measured in training.metrics.items():
        metrics |= {f"{kind}_{name}": value for name, value in measured.items()}
    label = training.holdout[LABEL].to_numpy(np.float64)
    params: dict[str, Any] = {
        "model_kind": training.chosen,
        "rows_train": len(training.train),
        "rows_test": len(training.holdout),
        "trees": training.trees,
        "calibration": chosen.calibration.kind,
        "data_sha256": fingerprint,
        "first_time": str(training.train[TIME].iloc[0]),
        "holdout_from": str(training.holdout[TIME].iloc[0]),
        "last_time": str(training.holdout[TIME].iloc[-1]),
        "features": ", ".join(chosen.encoder.features),
    } | BOOSTING
    with registry.scratch() as folder:
        importance = _importance(training.models["xgboost"])
        files = [
            plots.reliability_plot(folder / "reliability.png", label, _by_name(training)),
            plots.gain_plot(folder / "gain.png", label, _by_name(training)),
            plots.importance_plot(folder / "importance.png", importance),
            registry.write_json(folder / "importance.json", importance),
            registry.write_json(folder / "spec.json", spec.model_dump(mode="json")),
        ]
        card = spec_path.parent / "README.md"
        files += [card] if card.is_file() else []
        return models.log(
            name=spec.name,
            model=chosen,
            params=params,
            metrics=metrics | {"rows_test": float(len(training.holdout))},
            files=files,
            sample=chosen.encoder.encode(training.train.tail(5)),
        )


def _judge(
    models: registry.Registry, spec: Spec, training: Training, number: int
) -> tuple[bool, str]:
    champion = models.champion(spec.name)
    rule = spec.promotion
    mine = training.metrics[training.chosen]
    theirs: dict[str, float] | None = None
    if champion is not None:
        try:
            theirs = evaluate(
                training.holdout[LABEL].to_numpy(np.float64), champion[0].predict(training.holdout)
            )
        except DataError as error:
            log.warning("the champion can't be compared: %s", error)
    promoted, why = decide(mine, theirs, rule=rule, champion=champion[1] if champion else None)
    if promoted:
        models.promote(spec.name, number)
    else:
        models.challenge(spec.name, number)
    return promoted, why


def decide(
    mine: dict[str, float],
    theirs: dict[str, float] | None,
    *,
    rule: Any,
    champion: int | None,
) -> tuple[bool, str]:
    """The promotion rule: (promoted, why), from both models' metrics on the same holdout."""
    if mine["auc"] < rule.min_auc:
        return False, f"AUC {mine['auc']:.4f} is under the minimum of {rule.min_auc}"
    if theirs is None:
        if champion is None:
            return True, f"first champion: AUC {mine['auc']:.4f} reaches {rule.min_auc}"
        return True, f"version {champion} can't read today's columns any more"
    drop, rise = theirs["auc"] - mine["auc"], mine["brier"] - theirs["brier"]
    compared = (
        f"AUC {mine['auc']:.4f} against {theirs['auc']:.4f}, Brier {mine['brier']:.4f} against "
        f"{theirs['brier']:.4f} of version {champion} on the same holdout"
    )
    if drop > rule.max_auc_drop or rise > rule.max_brier_rise:
        return False, f"worse: {compared}"
    return True, f"not worse: {compared}"


def _phone_scores(
    model: FittedModel, calls: pd.DataFrame, phones: pd.DataFrame, day: date, at: datetime
) -> pd.DataFrame:
    import pandas as pd

    slots = phones.loc[phones.index.repeat(len(HOURS)), ["cpf", "phone", "first_seen"]]
    slots = slots.reset_index(drop=True)
    slots["hour"] = np.tile(np.array(HOURS), len(phones))
    slots["weekday"] = day.weekday()
    slots["at"] = at.timestamp()
    answer = model.predict(AnswerHistory(calls).features(slots)) if len(slots) else np.zeros(0)
    return pd.DataFrame(
        {
            "cpf": slots["cpf"],
            "phone": slots["phone"],
            "hour": slots["hour"],
            "answer": answer.round(6),
            "day": day.isoformat(),
        }
    )


def _swap(cursor: Any, table: str, rows: pd.DataFrame) -> None:
    """Put ``rows`` in the place of all that ``table`` holds, at the end of the transaction."""
    aside = f"{table}_next"
    cursor.execute(f"DROP TABLE IF EXISTS {aside}")
    cursor.execute(f"CREATE TABLE {aside} (LIKE {table} INCLUDING DEFAULTS)")
    copy_frame(cursor, aside, rows)
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'p'",
        (table,),
    )
    cursor.execute(f"ALTER TABLE {aside} ADD {cursor.fetchone()['key']}")
    cursor.execute(f"DROP TABLE {table}")
    cursor.execute(f"ALTER TABLE {aside} RENAME TO {table.partition('.')[2]}")


def _write_holdout(settings: Settings, run_id: str, spec: Spec, training: Training) -> Path:
    rows = training.holdout[list(spec.id_columns)].copy()
    rows["label"] = training.holdout[LABEL]
    rows["score"] = training.scores[training.chosen]
    path = settings.var / "models" / run_id / "holdout.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    rows.to_parquet(aside, index=False)
    return aside.replace(path)


def _importance(model: FittedModel) -> dict[str, float]:
    gains = model.estimator.get_booster().get_score(importance_type="total_gain")
    sources = model.encoder.source_of_columns()
    importance = dict.fromkeys(model.encoder.features, 0.0)
    for column, gain in gains.items():
        importance[sources[int(column.removeprefix("f"))]] += gain
    total = sum(importance.values()) or 1.0
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    return {name: round(value / total, 6) for name, value in ranked}


def _by_name(training: Training) -> dict[str, Any]:
    return {str(kind): score for kind, score in training.scores.items()}


def _fingerprint(table: pd.DataFrame) -> str:
    import pandas as pd

    hashes = pd.util.hash_pandas_object(table, index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()
