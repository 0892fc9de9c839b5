"""``scoring.portfolio_history``: what became of each contract in the past."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.frames import copy_frame
from zanc_pipeline.common.migrations import require
from zanc_pipeline.scoring.tables import FALSE, TRUE, read_table

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

REQUIRED = ("convenio", "contract", "cpf", "snapshot_on", "amount", "due_date", "paid")
OPTIONAL = ("product", "birth_date")
_MOST_REAIS = 1e12 - 1  # what numeric(14, 2) holds

_MERGE = """
    INSERT INTO scoring.portfolio_history AS h ({columns})
    SELECT {columns} FROM staged
    ON CONFLICT (convenio, contract, snapshot_on) DO UPDATE SET {updates}
    WHERE (h.cpf, h.amount, h.due_date, h.paid, h.product, h.birth_date) IS DISTINCT FROM
          (excluded.cpf, excluded.amount, excluded.due_date, excluded.paid, excluded.product,
           excluded.birth_date)
"""


def load(settings: Settings, path: Path) -> tuple[int, int]:
    """Load a CSV or Parquet of the table's columns; return (rows in the file, rows changed).

    All or nothing, and a repeated load changes nothing. DataError names the row and column.
    """
    table = read_table(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise DataError(f"{path}: missing column {', '.join(missing)}")
    columns = [*REQUIRED, *OPTIONAL]
    clean = _clean(table.reindex(columns=columns), path)
    require(settings, "scoring")
    names = ", ".join(columns)
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns)
    with transaction(settings, "zanc", application="zanc-scoring") as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE staged (LIKE scoring.portfolio_history) ON COMMIT DROP"
        )
        copy_frame(cursor, "staged", clean)
        cursor.execute(_MERGE.format(columns=names, updates=updates))
        return len(clean), cursor.rowcount


def _clean(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    import pandas as pd

    text: pd.DataFrame = table.astype("str").where(table.notna())
    for name in text.columns:
        text[name] = text[name].str.strip()
    for name in REQUIRED:
        _refuse(text[name].isna(), text[name], f"{path}: {name} is empty")
    text["cpf"] = text["cpf"].str.zfill(11).map(parse_cpf)
    _refuse(text["cpf"].isna(), None, f"{path}: cpf is not a CPF")
    amount = pd.to_numeric(text["amount"], errors="coerce")
    wrong = amount.isna() | ~amount.between(0, _MOST_REAIS)
    _refuse(wrong, text["amount"], f"{path}: amount is not an amount")
    lower = text["paid"].str.lower()
    _refuse(~lower.isin(TRUE | FALSE), text["paid"], f"{path}: paid is not yes or no")
    text["paid"] = lower.isin(TRUE).map({True: "t", False: "f"})
    for name in ("snapshot_on", "due_date", "birth_date"):
        day = pd.to_datetime(text[name].str[:10], format="%Y-%m-%d", errors="coerce")
        _refuse(day.isna() & text[name].notna(), text[name], f"{path}: {name} is not YYYY-MM-DD")
        text[name] = day.dt.strftime("%Y-%m-%d")
    duplicate = text.duplicated(["convenio", "contract", "snapshot_on"])
    _refuse(duplicate, text["contract"], f"{path}: contract and snapshot_on are repeated")
    return text


def _refuse(wrong: pd.Series[bool], values: pd.Series[str] | None, problem: str) -> None:
    if wrong.any():
        row = int(wrong.to_numpy(bool).argmax())
        found = "" if values is None else f", found '{str(values.iloc[row])[:40]}'"
        raise DataError(f"{problem} (data row {row + 1}{found})")
