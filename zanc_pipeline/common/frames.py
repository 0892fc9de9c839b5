"""Rows of PostgreSQL as pandas tables and back, by COPY."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def read_frame(
    cursor: Any,
    select: str,
    parameters: Mapping[str, object] | None = None,
    *,
    numbers: Collection[str] = (),
    dates: Collection[str] = (),
) -> pd.DataFrame:
    """The rows of a SELECT of ours, through a temporary file.

    ``numbers`` become float64 (NULL is NaN), ``dates`` datetime64; all other columns stay text as
    PostgreSQL writes it ('t' and 'f' for booleans), NULL is null.
    """
    import pandas as pd

    query = cursor.mogrify(select, parameters).decode()
    with tempfile.TemporaryFile() as rows:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)", rows)
        rows.seek(0)
        header = rows.readline().decode().strip().split(",")
        rows.seek(0)
        table = pd.read_csv(
            rows,
            dtype={name: "float64" if name in numbers else "str" for name in header},
            keep_default_na=False,
            na_values=[""],
        )
    for name in dates:
        table[name] = pd.to_datetime(table[name], format="%Y-%m-%d")
    return table


def copy_frame(cursor: Any, table: str, rows: pd.DataFrame) -> None:
    """COPY ``rows`` into ``table`` (a name of ours); a null becomes NULL."""
    buffer = io.StringIO(rows.to_csv(index=False, header=False))
    columns = ", ".join(rows.columns)
    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv)", buffer)
