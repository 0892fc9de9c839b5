"""Watches the champions: have the data moved, and do the scores still come true?

For models of calls the last days' calls are made into rows by the training's own code: their labels
are known at once, so drift, the promised and the real performance stand side by side. For payments
the open portfolio is scored (its labels come in 30 days: drift and the promise only), and the
matured snapshots after the champion's training say what came true.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring import dataset, registry
from zanc_pipeline.scoring.features import LOOKBACK_DAYS, PaymentHistory
from zanc_pipeline.scoring.metrics import evaluate
from zanc_pipeline.scoring.model_files import Kept
from zanc_pipeline.scoring.reference import SCORE, expected_auc, expected_brier
from zanc_pipeline.scoring.spec import Monitoring, Spec, load_spec

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

Floats = np.ndarray[Any, np.dtype[np.float64]]

_INSERT = """
    INSERT INTO scoring.monitor (model, version, rows_from, rows_until, rows, matured, auc, brier,
        calibration_error, expected_auc, expected_brier, reference_auc, score_psi, breach, why)
    VALUES (%(model)s, %(version)s, %(rows_from)s, %(rows_until)s, %(rows)s, %(matured)s, %(auc)s,
        %(brier)s, %(calibration_error)s, %(expected_auc)s, %(expected_brier)s, %(reference_auc)s,
        %(score_psi)s, %(breach)s, %(why)s)
    RETURNING id
"""
MIN_ROWS = 500
"""With fewer rows nothing is said: a breach would be chance."""
MIN_MATURED_CLASS = 50


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one check found; a row of scoring.monitor. ``psi`` is by feature, the worst first."""

    model: str
    version: int
    rows_from: datetime | None
    rows_until: datetime | None
    rows: int
    matured: int
    auc: float | None
    brier: float | None
    calibration_error: float | None
    expected_auc: float | None
    expected_brier: float | None
    reference_auc: float
    score_psi: float
    breach: bool
    why: str
    psi: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As ``zanc models monitor --json`` prints it."""
        moments = {
            name: value.isoformat() if isinstance(value, datetime) else None
            for name, value in (("rows_from", self.rows_from), ("rows_until", self.rows_until))
        }
        return asdict(self) | moments

    def line(self) -> str:
        """One line for a person."""
        real = "" if self.auc is None else f", AUC {self.auc:.3f}"
        promise = "" if self.expected_auc is None else f", promised AUC {self.expected_auc:.3f}"
        state = "BREACH" if self.breach else "ok"
        return (
            f"{self.model} version {self.version}: {state}: {self.why} ({self.rows} rows"
            f"{promise}{real}, on its holdout {self.reference_auc:.3f}, PSI of the score "
            f"{self.score_psi:.3f})"
        )


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is looked at: ``recent`` features, and ``matured`` ones with their ``label``."""

    recent: pd.DataFrame
    matured: pd.DataFrame
    label: Floats
    since: datetime | None = None
    until: datetime | None = None


def check_all(settings: Settings, specs: list[Path] | None = None) -> list[Check]:
    """Check the champion of each spec, by default of every model of ``models/`` with a source.

    Records each in scoring.monitor. A model without a champion is passed over, with a warning.
    """
    from zanc_pipeline.scoring.service import ensure

    ensure(settings)
    paths = specs or sorted(settings.root.glob("models/*/model.yaml"))
    checks = []
    with registry.connected(settings) as models:
        for path in paths:
            spec = load_spec(path)
            if spec.source is None:
                continue
            champion = models.champion(spec.name)
            if champion is None:
                log.warning("%s has no champion to watch", spec.name)
                continue
            kept, version = champion
            try:
                rows = recent_rows(settings, spec, kept, datetime.now(UTC))
            except DataError as error:
                log.warning("%s can't be watched: %s", spec.name, error)
                continue
            check = judge(spec.name, version, kept, rows, spec.monitoring)
            _record(settings, check)
            checks.append(check)
    return checks


def recent_rows(settings: Settings, spec: Spec, kept: Kept, now: datetime) -> Rows:
    """The rows that the champion is asked about, by the code that made its training's."""
    import pandas as pd

    since = now - timedelta(days=spec.monitoring.days)
    if spec.source != "payment":
        calls_since = since - timedelta(days=LOOKBACK_DAYS)
        table = dataset.training_table(settings, spec, now, since=calls_since)
        table = table[table[spec.time_column] >= pd.Timestamp(since)]
        label = table[spec.target.column].to_numpy(np.float64)
        return Rows(recent=table, matured=table, label=label, since=since, until=now)
    contracts = dataset.open_contracts(settings, now.date(), now)
    calls = dataset.recorded_calls(settings, now - timedelta(days=LOOKBACK_DAYS), now)
    matured = dataset.training_table(settings, spec, now)
    if kept.trained_until is not None:
        known = pd.Timestamp(kept.trained_until).tz_localize(None)
        matured = matured[matured["snapshot_on"] > known]
    return Rows(
        recent=PaymentHistory(calls).features(contracts),
        matured=matured,
        label=matured["paid"].to_numpy(np.float64),
        until=now,
    )


def judge(name: str, version: int, kept: Kept, rows: Rows, limits: Monitoring) -> Check:
    """Compare the rows with the champion's reference. Pure."""
    reference = kept.reference
    score = kept.model.predict(rows.recent) if len(rows.recent) else np.zeros(0)
    enough = len(rows.recent) >= MIN_ROWS
    psi = reference.drift(rows.recent, score, kept.model.encoder) if enough else {}
    measured: dict[str, float] = {}
    fewest = min(rows.label.sum(), len(rows.label) - rows.label.sum())
    if fewest >= MIN_MATURED_CLASS:
        measured = evaluate(rows.label, kept.model.predict(rows.matured))
    problems = [
        f"{feature} drifted (PSI {value:.2f})"
        for feature, value in psi.items()
        if value > limits.max_psi
    ]
    if measured:
        lost = reference.metrics["once_auc"] - measured["auc"]
        if lost > limits.max_auc_drop:
            problems.insert(0, f"its AUC fell by {lost:.3f}")
        rise = measured["calibration_error"] - reference.metrics["calibration_error"]
        if rise > limits.max_calibration_rise:
            problems.insert(0, f"its calibration error rose by {rise:.3f}")
    elif enough and reference.metrics["once_auc"] - expected_auc(score) > limits.max_auc_drop:
        problems.insert(0, "its scores promise less than its holdout did")
    why = "; ".join(problems) or ("within its limits" if enough else "too few rows to judge")
    return Check(
        model=name,
        version=version,
        rows_from=rows.since,
        rows_until=rows.until,
        rows=len(rows.recent),
        matured=len(rows.matured),
        auc=measured.get("auc"),
        brier=measured.get("brier"),
        calibration_error=measured.get("calibration_error"),
        expected_auc=expected_auc(score) if enough else None,
        expected_brier=expected_brier(score) if enough else None,
        reference_auc=reference.metrics["once_auc"],
        score_psi=psi.get(SCORE, 0.0),
        breach=bool(problems),
        why=why,
        psi=psi,
    )


def _record(settings: Settings, check: Check) -> None:
    with transaction(settings, "zanc", application="zanc-scoring") as cursor:
        cursor.execute(_INSERT, asdict(check))
        number = cursor.fetchone()["id"]
        for feature, value in check.psi.items():
            cursor.execute(
                "INSERT INTO scoring.monitor_feature (monitor_id, feature, psi) "
                "VALUES (%s, %s, %s)",
                (number, feature, value),
            )
