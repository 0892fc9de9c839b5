"""What must not be learnt from: a feature that knows the future.

Three nets: a column that by its name is known only after the call (``spec``), a feature that
alone separates the target too well to be honest, and features made of the history that change
when the calls after their moment are taken away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring.metrics import auc
from zanc_pipeline.scoring.tables import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec

Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_ROWS = 50_000
CHECKED_ROWS = 2_000
MIN_CATEGORY_ROWS = 50


def refuse_leaks(train: pd.DataFrame, spec: Spec, *, where: str) -> None:
    """DataError names the first feature that alone separates the target better than the spec's
    limit, by its value or by being filled in at all."""
    rows = train.iloc[:: max(1, len(train) // MOST_ROWS)]
    label = rows[LABEL].to_numpy(np.float64)
    limit = spec.leak_guard.single_feature_auc
    for name, feature in spec.features.items():
        if feature.known_after:
            continue
        found = single_auc(rows[name], feature.type, label)
        if found > limit:
            raise DataError(
                f"{where}: feature '{name}' alone separates the target with AUC {found:.3f} "
                f"(limit {limit}): if it is known only after the call, exclude it with the reason "
                "or declare known_after; if it is honest, raise leak_guard.single_feature_auc"
            )


def single_auc(column: pd.Series[Any], kind: str, label: Floats) -> float:
    """How well a column alone separates the label, whichever its direction; .5 is not at all."""
    if not 0 < label.sum() < len(label):
        return 0.5
    there = column.notna().to_numpy(bool)
    values = _rates(column, label) if kind == "categorical" else column.to_numpy(np.float64)
    best = 0.5
    for score in (np.where(there, values, np.nanmedian(values) if there.any() else 0.0), there):
        area = auc(label, np.asarray(score, dtype=np.float64))
        best = max(best, area, 1 - area)
    return best


def _rates(column: pd.Series[Any], label: Floats) -> Floats:
    """The positive rate of each row's category; rare ones count as the mean, for they would be
    learnt by heart."""
    import pandas as pd

    by_value = pd.Series(label, index=column.index).groupby(column.astype("str"))
    rates = by_value.transform("mean").where(by_value.transform("size") >= MIN_CATEGORY_ROWS)
    return rates.fillna(float(label.mean())).to_numpy(np.float64)


def refuse_hindsight(
    make: Callable[[pd.DataFrame], pd.DataFrame],
    history: pd.DataFrame,
    table: pd.DataFrame,
    *,
    time_column: str,
    keys: Collection[str],
    features: Collection[str],
) -> None:
    """Make the features again without what came later, and refuse them when one differs.

    ``make`` turns a history of calls (column ``started``, epoch seconds) into a table with
    ``keys``, ``time_column`` and ``features``; ``table`` is what it made of the whole
    ``history``. The last rows before a moment two thirds along are compared. DataError names the
    feature that knew the future.
    """
    import pandas as pd

    moments = pd.to_datetime(table[time_column], utc=True)
    order = moments.sort_values(kind="stable")
    cut = order.iloc[len(order) * 2 // 3]
    rows = order.index[(order < cut).to_numpy(bool)][-CHECKED_ROWS:]
    if not len(rows):
        return
    epoch = (cut - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    again = make(history[history["started"] < epoch].reset_index(drop=True))
    known = table.loc[rows].set_index(list(keys))
    made = again.set_index(list(keys)).reindex(known.index)
    for name in features:
        if name not in known.columns or name not in made.columns:
            continue
        one, other = known[name], made[name]
        same = (one == other) | (one.isna() & other.isna())
        if not bool(same.all()):
            raise DataError(
                f"feature '{name}' knows the future: in {int((~same).sum())} of {len(rows)} rows "
                "it changes when the calls after its moment are taken away"
            )
