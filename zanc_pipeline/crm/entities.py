"""What travels between a delivery and a CRM: a portfolio in, the outcomes of its calls back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import DataError

PORTFOLIO_COLUMNS = (
    "line",
    "cpf",
    "name",
    "contract",
    "product",
    "amount",
    "due_date",
    "birth_date",
    "email",
    "city",
    "state",
    "phone_1",
    "phone_2",
    "phone_3",
    "deceased",
)
"""Canonical columns of ``accepted.parquet``, one row a contract."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portfolio:
    """One accepted delivery: the whole portfolio of a convênio on ``reference_date``.

    ``table`` is a ``pyarrow.Table`` of PORTFOLIO_COLUMNS.
    """

    delivery_id: int
    convenio: str
    reference_date: date
    table: Any

    @property
    def rows(self) -> int:
        """Contracts in the delivery."""
        return int(self.table.num_rows)


def read_portfolio(
    path: Path, *, delivery_id: int, convenio: str, reference_date: date
) -> Portfolio:
    """Read ``accepted.parquet``.

    Raises DataError when the file is missing, lacks a column or holds no contract: loading an
    empty portfolio would take every contract of the convênio out of the CRM.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} does not exist: receive delivery {delivery_id} again")
    missing = set(PORTFOLIO_COLUMNS) - set(pq.read_schema(path).names)
    if missing:
        raise DataError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
    table = pq.read_table(path, columns=list(PORTFOLIO_COLUMNS))
    if table.num_rows == 0:
        raise DataError(f"{path}: no contract in delivery {delivery_id}; nothing was loaded")
    return Portfolio(
        delivery_id=delivery_id, convenio=convenio, reference_date=reference_date, table=table
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a CRM took: ``rows`` of the delivery, of which ``changed`` rows were written."""

    rows: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """The end of ``zanc crm load``."""

    delivery_id: int
    crm: str
    rows: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOutcome:
    """How one call ended: the columns of ``crm.outcome``. Times carry their zone."""

    call_id: str
    crm: str
    convenio: str
    contract: str | None
    cpf: str
    phone: str
    started_at: datetime
    outcome: str
    tabulation: str | None = None
    promise_date: date | None = None
    promise_amount: Decimal | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> CallOutcome:
        """The outcome in a row of ``crm.outcome`` (other columns are left out)."""
        return cls(**{name: row[name] for name in OUTCOME_COLUMNS})


OUTCOME_COLUMNS = (
    "call_id",
    "crm",
    "convenio",
    "contract",
    "cpf",
    "phone",
    "started_at",
    "outcome",
    "tabulation",
    "promise_date",
    "promise_amount",
)
