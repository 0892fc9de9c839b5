"""The ceiling of a model: the AUC of the law's own probabilities on the rows it was tested on."""

from __future__ import annotations

from pathlib import Path

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import law, truth


def answer_ceiling(settings: Settings, holdout: Path) -> float:
    """AUC of the law on a holdout of ``models/answer`` (columns ``call_id`` and ``label``).

    Rows of live calls are left out: the law keeps the probabilities of the past only.
    """
    return _ceiling(settings, holdout, "truth_calls.parquet", ["call_id"], "p_answer")


def right_party_ceiling(settings: Settings, holdout: Path) -> float:
    """As ``answer_ceiling``, on a holdout of ``models/right_party``."""
    return _ceiling(settings, holdout, "truth_calls.parquet", ["call_id"], "p_right_party")


def payment_ceiling(settings: Settings, holdout: Path) -> float:
    """AUC of the law on a holdout of ``models/payment``: ``convenio``, ``contract``,
    ``snapshot_on`` and ``label``."""
    key = ["convenio", "contract", "snapshot_on"]
    return _ceiling(settings, holdout, "truth_payments.parquet", key, "p_payment")


def _ceiling(
    settings: Settings, holdout: Path, secret: str, key: list[str], probability: str
) -> float:
    import pandas as pd

    path = truth.world_folder(settings) / secret
    for needed in (holdout, path):
        if not needed.is_file():
            raise DataError(f"{needed}: the file does not exist; train the model again")
    rows, known = pd.read_parquet(holdout), pd.read_parquet(path)
    missing = {*key, "label"} - set(rows.columns)
    if missing:
        raise DataError(f"{holdout}: no column {', '.join(sorted(missing))}")
    for column in key:
        if column.endswith("_on"):
            rows[column], known[column] = (
                pd.to_datetime(rows[column]),
                pd.to_datetime(known[column]),
            )
        else:
            rows[column], known[column] = rows[column].astype(str), known[column].astype(str)
    joined = rows[[*key, "label"]].merge(known, on=key, validate="one_to_one")
    value = law.auc(joined["label"].to_numpy() > 0, joined[probability].to_numpy())
    if value != value:  # NaN: one class only, or no row of ours
        raise DataError(f"{holdout}: none of its rows, or one class only, is of the world's past")
    return value
