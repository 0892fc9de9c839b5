"""How a table in order of time is cut into what is learnt from, chosen by and judged on.

    fitting │embargo│ validation │embargo│ holdout

Candidates are fitted on the first part, chosen and calibrated on the second, and the chosen one
is reported on the third, which decided nothing. The embargo leaves out the rows whose label was
not known yet when the next part begins. All positions are of rows in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring.spec import HOLDOUT_SHARE
from zanc_pipeline.scoring.tables import LABEL, TIME

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec

VALIDATION_SHARE = 0.25
"""Share of the rows before the holdout that chooses, stops the boosting and calibrates."""

MIN_PART_ROWS = 30


@dataclass(frozen=True, kw_only=True)
class Period:
    """Rows ``[start, end)`` that a model trained on rows ``[since, until)`` may be asked about."""

    since: int
    until: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where the validation and the holdout are, as periods of successive trainings.

    With no ``retraining`` in the spec each is one period.
    """

    validation: tuple[Period, ...]
    holdout: tuple[Period, ...]


def split(table: pd.DataFrame, spec: Spec, *, where: str) -> Split:
    """Cut a prepared table; DataError, naming ``where``, when a part has no rows or one class."""
    times = table[TIME]
    cut = split_point(times, 1 - HOLDOUT_SHARE)
    train = table.iloc[: known_rows(times, cut, spec)]
    if len(train) < MIN_PART_ROWS:
        _too_short(where, spec, "training", len(train))
    middle = split_point(train[TIME], 1 - VALIDATION_SHARE)
    validation = _periods(table, spec, middle, len(train))
    holdout = _periods(table, spec, cut, len(table))
    for name, start, end in (
        ("fitting", validation[0].since, validation[0].until),
        ("validation", middle, len(train)),
        ("training", holdout[0].since, holdout[0].until),
        ("holdout", cut, len(table)),
    ):
        rows = table[LABEL].iloc[start:end]
        if len(rows) < MIN_PART_ROWS:
            _too_short(where, spec, name, len(rows))
        positives = int(rows.sum())
        if positives in (0, len(rows)):
            raise DataError(
                f"{where}: in order of time, the {name} part of {len(rows)} rows has {positives} "
                "positives: give a longer period"
            )
    return Split(validation=validation, holdout=holdout)


def split_point(times: pd.Series[Any], share: float) -> int:
    """The row nearest to ``share`` of the rows where time moves on: no moment is on both sides.

    When all rows are of one moment, they are cut by their order.
    """
    wanted = round(len(times) * share)
    values = times.to_numpy()
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    if not len(starts):
        return wanted
    return int(starts[np.abs(starts - wanted).argmin()])


def known_rows(times: pd.Series[Any], cut: int, spec: Spec) -> int:
    """How many of the first rows have a label that is known when row ``cut`` happens."""
    if not spec.embargo_days:
        return cut
    limit = times.iloc[cut] - timedelta(days=spec.embargo_days)
    return min(cut, int(times.searchsorted(limit, side="right")))


def _periods(table: pd.DataFrame, spec: Spec, start: int, end: int) -> tuple[Period, ...]:
    times = table[TIME]
    bounds = [*_origins(times, spec, start, end), end]
    periods = []
    for first, following in pairwise(bounds):
        until = known_rows(times, first, spec)
        since = 0
        if spec.retraining is not None:
            if spec.window.rows is not None:
                since = max(0, until - spec.window.rows)
            if spec.window.days is not None:
                oldest = times.iloc[first] - timedelta(days=spec.window.days)
                since = max(since, int(times.searchsorted(oldest)))
        periods.append(Period(since=since, until=until, start=first, end=following))
    return tuple(periods)


def _origins(times: pd.Series[Any], spec: Spec, start: int, end: int) -> list[int]:
    """The rows before which the model is trained again."""
    if spec.retraining is None:
        return [start]
    if spec.retraining.every_rows is not None:
        return list(range(start, end, spec.retraining.every_rows))
    every = timedelta(days=spec.retraining.every_days or 0)
    origins, moment = [start], times.iloc[start] + every
    while moment <= times.iloc[end - 1]:
        row = int(times.searchsorted(moment))
        if row > origins[-1]:
            origins.append(row)
        moment += every
    return origins


def _too_short(where: str, spec: Spec, part: str, rows: int) -> None:
    embargo = f" after an embargo of {spec.embargo_days} days" if spec.embargo_days else ""
    raise DataError(
        f"{where}: in order of time, the {part} part has {rows} rows{embargo}: give a longer period"
    )
