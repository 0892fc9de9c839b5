"""A table from a file, and any table checked against a spec before a model may learn from it."""

from __future__ import annotations

import csv
import io
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.scoring.moments import moments

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Spec, Window

TRUE = frozenset({"true", "t", "1", "1.0", "yes", "y", "sim", "s"})
FALSE = frozenset({"false", "f", "0", "0.0", "no", "n", "nao", "não"})

NOTHING = frozenset({"nan", "na", "n/a", "null", "none", "nulo"})
"""In a column of numbers these mean that there is none."""

_THOUSANDS = r"[+-]?\d{1,3}(?:\.\d{3})+"
_WITH_COMMA = rf"(?:[+-]?\d+|{_THOUSANDS}),\d+"

LABEL = "_label"
"""Column of a prepared table: the target as 0.0 or 1.0."""

TIME = "_time"
"""Column of a prepared table: what its rows are ordered by."""

SEGMENT = "_by_"
"""Prefix of a prepared table's columns by which the model is judged apart."""

GAIN = "_gain"
"""Column of a prepared table: reais that the row brings when it is positive (see spec.Profit)."""

RATE_PRIOR_ROWS = 10.0
"""A ``target_rate`` leans to the rate of all rows before, as if so many rows had shown it."""

MIN_ROWS = 200
"""Under this many rows neither training nor its evaluation says anything."""


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet or delimited text file (delimiter and encoding detected), cells unconverted.

    Raises DataError when the file is absent, empty or not a table: no two columns of one name, no
    row longer than the header.
    """
    import pandas as pd

    if not path.is_file():
        raise DataError(f"{path}: the file does not exist")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as lines:
            head = lines.read(65_536)
        if not head.strip():
            raise DataError(f"{path}: the file is empty")
        delimiter = _delimiter(head)
        _refuse_repeated(next(csv.reader(io.StringIO(head), delimiter=delimiter)), path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=delimiter,
                dtype="str",
                encoding=encoding,
                keep_default_na=False,
                index_col=False,
            )
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{path}: not a table: {str(error).splitlines()[0]}") from None
    except pd.errors.ParserWarning:
        raise DataError(f"{path}: not a table: a row has more fields than the header") from None
    return table.rename(columns=str.strip).replace("", None)


def _refuse_repeated(header: list[str], path: Path) -> None:
    names = [name.strip() for name in header]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: two columns are called '{twice}': which one is meant?")


def _encoding(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _delimiter(head: str) -> str:
    header = next(csv.reader([head.splitlines()[0]], delimiter="\x00"))[0]
    counts = {mark: header.count(mark) for mark in (";", ",", "\t", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def prepare(table: pd.DataFrame, spec: Spec, *, where: str) -> tuple[pd.DataFrame, Spec]:
    """Typed features, label and time of a table, in order of time.

    Returns the table and the spec with the features that are really there; of a spec with a
    ``source`` the other columns stay. Raises DataError,
    which names ``where``, the column, and for a bad value its row (the first data row is 1).
    """
    import pandas as pd

    _require_columns(table, spec, where)
    typed = table.loc[:, [*spec.id_columns]].copy()
    typed[LABEL] = _label(table[spec.target.column], spec, where)
    typed[TIME] = _time(table, spec, where)
    for name in spec.segments:
        typed[SEGMENT + name] = table[name].astype("str").where(table[name].notna(), "(none)")
    if spec.profit is not None and spec.profit.gain_column is not None:
        gains = _feature(table[spec.profit.gain_column], "numeric", where).fillna(0.0)
        typed[GAIN] = gains * spec.profit.gain_share
    features = {
        name: _feature(_there(table[name], feature.missing), feature.type, where)
        for name, feature in spec.features.items()
        if name in table.columns and feature.target_rate is None
    }
    kept_raw = typed.drop(columns=[name for name in features if name in typed])
    typed = pd.concat([kept_raw, pd.DataFrame(features, index=table.index)], axis=1)
    if spec.source is not None:  # the champion, which may know other features, is asked, too
        told = {spec.target.column, spec.time_column, *typed.columns}
        typed = typed.join(table[[name for name in table.columns if name not in told]])
    typed = typed.sort_values(TIME, kind="stable", ignore_index=True)
    for name, feature in spec.features.items():
        if feature.target_rate is not None:
            typed[name] = target_rate(typed[LABEL].to_numpy(np.float64), feature.target_rate)
    if spec.retraining is None:
        typed = within(typed, spec.window)
    if len(typed) < MIN_ROWS:
        raise DataError(f"{where}: {len(typed)} rows; a model needs at least {MIN_ROWS}")
    kept = {}
    for name, feature in spec.features.items():
        if name in typed.columns and typed[name].notna().any():
            kept[name] = feature
        elif feature.required:
            raise DataError(
                f"{where}: column '{name}' is empty in every row: fill it, or exclude it"
            )
    return typed, spec.model_copy(update={"features": kept})


def within(typed: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The rows of a prepared table that are in the window before its end."""
    if window.days is not None:
        oldest = typed[TIME].iloc[-1] - timedelta(days=window.days)
        typed = typed[typed[TIME] >= oldest].reset_index(drop=True)
    if window.rows is not None:
        typed = typed.tail(window.rows).reset_index(drop=True)
    return typed


def _require_columns(table: pd.DataFrame, spec: Spec, where: str) -> None:
    if not len(table):
        raise DataError(f"{where}: there are no rows to learn from")
    needed = [spec.target.column, *spec.id_columns]
    needed += [spec.time_column] if spec.time_column else []
    needed += [*spec.segments]
    if spec.profit is not None and spec.profit.gain_column is not None:
        needed.append(spec.profit.gain_column)
    needed += [
        name
        for name, feature in spec.features.items()
        if feature.required and feature.target_rate is None
    ]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(
            f"{where}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"it has {', '.join(str(name) for name in table.columns[:40])}"
        )


def target_rate(label: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """For each row, the log-odds of the positive rate of the ``rows`` before it; never its own."""
    before = np.concatenate(([0.0], np.cumsum(label)))
    place = np.arange(len(label))
    since = np.maximum(place - rows, 0)
    prior = (before[place] + 1) / (place + 2)
    hits = before[place] - before[since]
    rate = (hits + RATE_PRIOR_ROWS * prior) / (place - since + RATE_PRIOR_ROWS)
    odds: np.ndarray[Any, Any] = np.log(rate / (1 - rate))
    return odds


def _there(column: pd.Series[Any], missing: tuple[str, ...]) -> pd.Series[Any]:
    """The column with the values that stand for "not there" as nulls."""
    if not missing:
        return column
    text = column.astype("str").str.strip().str.removesuffix(".0")
    return column.where(~text.isin(missing))


def _label(column: pd.Series[Any], spec: Spec, where: str) -> np.ndarray[Any, Any]:
    name = spec.target.column
    if column.isna().any():
        raise DataError(f"{where}: the target '{name}' is empty in row {_first(column.isna())}")
    text = column.astype("str").str.strip()
    if spec.target.positive is not None:
        label = (text == spec.target.positive).to_numpy(np.float64)
    else:
        lower = text.str.lower()
        unclear = ~lower.isin(TRUE | FALSE)
        if unclear.any():
            raise DataError(
                f"{where}: the target '{name}' holds '{mask_text(text[unclear].iloc[0])}' in row "
                f"{_first(unclear)}: say in target.positive which value counts as 1"
            )
        label = lower.isin(TRUE).to_numpy(np.float64)
    if label.min() == label.max():
        only = "positives" if label.min() else "negatives"
        raise DataError(f"{where}: the target '{name}' has only {only}: nothing can be learnt")
    return label


def _time(table: pd.DataFrame, spec: Spec, where: str) -> Any:
    if spec.time_column is None:
        return np.arange(len(table))
    return moments(table[spec.time_column], spec, where).to_numpy()


def _feature(column: pd.Series[Any], kind: str, where: str) -> pd.Series[Any]:
    import pandas as pd

    if kind == "categorical":
        return column.astype("str").where(column.notna()).astype(object)
    if kind == "boolean" and not pd.api.types.is_bool_dtype(column):
        lower = column.astype("str").str.strip().str.lower()
        numbers = pd.Series(np.nan, index=column.index)
        numbers[lower.isin(TRUE)] = 1.0
        numbers[lower.isin(FALSE)] = 0.0
    else:
        numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = numbers.isna() & column.notna()
    if wrong.any() and kind == "numeric":
        text = column.astype("str").str.strip()
        if text.str.fullmatch(_WITH_COMMA).any():  # then 1.234 is a thousand, too
            plain = text.str.replace(".", "").str.replace(",", ".")
            written = text.str.fullmatch(f"{_WITH_COMMA}|{_THOUSANDS}").fillna(False)
            numbers = numbers.where(~written, pd.to_numeric(plain, errors="coerce"))
        wrong = numbers.isna() & column.notna() & ~text.str.lower().isin(NOTHING)
    if wrong.any():
        row = _first(wrong)
        raise DataError(
            f"{where}: '{mask_text(str(column.iloc[row - 1]))}' in row {row} of column "
            f"'{column.name}' is not {'a number' if kind == 'numeric' else 'yes or no'}; if it "
            f"stands for nothing, list it under features.{column.name}.missing"
        )
    infinite = numbers.isin([np.inf, -np.inf])
    if infinite.any():
        row = _first(infinite)
        raise DataError(f"{where}: column '{column.name}' is infinite in row {row}")
    return numbers


def _first(flags: pd.Series[bool]) -> int:
    return int(flags.to_numpy(bool).argmax()) + 1
