"""The time column of a table, however it was written: what puts its rows in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.masking import mask_text

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec

_DAY_FIRST = r"^(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4})(?:[ T](.+))?$"
_NUMBER = r"\d+(?:\.\d+)?"

_COMPACT = (
    (r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", "%Y%m%d"),
    (r"(?:19|20)\d\d(?:0[1-9]|1[0-2])", "%Y%m"),
    (r"(?:19|20)\d\d", "%Y"),
)
_EPOCHS = ((r"\d{9,10}", 1), (r"\d{12,13}", 1_000))


def moments(column: pd.Series[Any], spec: Spec, where: str) -> pd.Series[Any]:
    """When each row was: datetimes in UTC, or plain numbers when the column only counts.

    Read are ISO 8601, with or without an offset (UTC without one), day/month/year (a date with
    slashes is Brazilian), 20260131, 202601, 2026 and seconds or milliseconds since 1970. DataError
    names ``where`` and the first row that is none of these, lies in the future, or when all rows
    are of one moment or numbers that a spec with days can't use.
    """
    import pandas as pd

    name = spec.time_column
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.to_datetime(column, utc=True)
    else:
        times = _of_text(column)
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax()) + 1
        raise DataError(
            f"{where}: '{mask_text(str(column.iloc[row - 1]))}' in row {row} of the time column "
            f"'{name}' is not a date (write 2026-01-31, with the hour if it matters)"
        )
    if len(times) > 1 and times.nunique() == 1:
        raise DataError(
            f"{where}: every row of the time column '{name}' says {times.iloc[0]}: nothing comes "
            "later to be judged on; with rows in order of time write time_column: null"
        )
    if not pd.api.types.is_datetime64_any_dtype(times):
        _refuse_days(spec, where)
        return times
    future = (times > datetime.now(UTC) + timedelta(days=1)).to_numpy(bool)
    if future.any():
        row = int(future.argmax()) + 1
        raise DataError(
            f"{where}: {times.iloc[row - 1]:%Y-%m-%d} in row {row} of the time column "
            f"'{name}' is in the future"
        )
    return times


def _of_text(column: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    text = column.where(column.notna()).astype("object").map(str, na_action="ignore")
    text = text.astype("str").str.strip()
    if pd.api.types.is_numeric_dtype(column):
        text = text.str.replace(r"\.0$", "", regex=True)
    if text.str.fullmatch(_NUMBER, na=False).all():
        return _of_numbers(text)
    parts = text.str.extract(_DAY_FIRST)
    there = parts[0].notna()
    day, month = parts[0].str.zfill(2), parts[1].str.zfill(2)
    clock = ("T" + parts[3].str.strip()).fillna("")
    text = text.where(~there, parts[2] + "-" + month + "-" + day + clock)
    return pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)


def _of_numbers(text: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    for pattern, form in _COMPACT:
        if text.str.fullmatch(pattern).all():
            return pd.to_datetime(text, format=form, errors="coerce", utc=True)
    for pattern, a_second in _EPOCHS:
        if text.str.fullmatch(pattern).all():
            return pd.to_datetime(text.astype("int64") / a_second, unit="s", utc=True)
    return text.astype("float64")


def _refuse_days(spec: Spec, where: str) -> None:
    for key, used in (
        ("window.days", spec.window.days),
        ("embargo_days", spec.embargo_days),
        ("retraining.every_days", spec.retraining and spec.retraining.every_days),
    ):
        if used:
            raise DataError(
                f"{where}: the time column '{spec.time_column}' holds numbers, not dates: "
                f"{key} can't be counted on it"
            )
