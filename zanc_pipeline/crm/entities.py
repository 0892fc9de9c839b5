"""What travels between a delivery and a CRM: a portfolio in, the outcomes of its calls back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.crm.fields import CANONICAL, EXTRA_NAME, Kind

PORTFOLIO_COLUMNS = tuple(column for column, _ in CANONICAL.values())
"""Canonical columns of ``accepted.parquet``, one row a contract."""

NEEDED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "carteira": PORTFOLIO_COLUMNS,
    "pagamentos": ("line", "cpf", "contract", "campo_pago_em", "campo_valor_pago"),
    "telefones": ("line", "cpf"),
}
"""What the rows of a delivery are → the columns that its file must have."""

BATCH_ROWS = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """How a delivery differs from the one whose file has the SHA-256 ``since``.

    ``people`` are the CPFs about whom anything changed, ``contracts`` all of theirs, those that
    are no longer in the file too: two Arrow arrays of texts, each once.
    """

    since: str
    people: Any
    contracts: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Portfolio:
    """One accepted delivery: the whole portfolio of a convênio on ``reference_date``.

    Or, as ``content`` says, payments or phones of contracts that the CRM knows already.

    ``rows`` contracts in the Parquet file ``path``; ``extras`` are its columns ``campo_…``, the
    fields that only this convênio sends, and what they hold; ``digest`` is the SHA-256 of the file.
    ``changes`` are those since the delivery before it, when they are known and few.
    """

    delivery_id: int
    convenio: str
    reference_date: date
    path: Path
    rows: int
    extras: Mapping[str, Kind]
    digest: str
    changes: Changes | None = None
    content: str = "carteira"
    columns: Sequence[str] = PORTFOLIO_COLUMNS
    """The canonical columns of the file."""
    added_since: bool = False
    """Whether payments or phones were loaded since the delivery before it: all of it is compared
    with what the CRM holds, though the creditor's file be as it was."""

    def batches(self, columns: Sequence[str], *, of: Changes | None = None) -> Iterator[Any]:
        """The rows as ``pyarrow.RecordBatch`` of ``columns``, so many at a time.

        With ``of`` the rows of the people whom the changes concern, whose ``cpf`` is asked for.
        """
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                if of is None:
                    yield batch
                elif (some := batch.filter(pc.is_in(batch["cpf"], value_set=of.people))).num_rows:
                    yield some


def read_portfolio(
    path: Path,
    *,
    delivery_id: int,
    convenio: str,
    reference_date: date,
    content: str = "carteira",
) -> Portfolio:
    """Read ``accepted.parquet``.

    Raises DataError when the file is missing, lacks a column or holds no contract: loading an
    empty portfolio would take every contract of the convênio out of the CRM.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} does not exist: receive delivery {delivery_id} again")
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, int(file.metadata.num_rows)
    missing = set(NEEDED_COLUMNS[content]) - set(schema.names)
    if missing:
        raise DataError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
    if rows == 0:
        raise DataError(f"{path}: no contract in delivery {delivery_id}; nothing was loaded")
    return Portfolio(
        delivery_id=delivery_id,
        convenio=convenio,
        reference_date=reference_date,
        path=path,
        rows=rows,
        digest=digest,
        content=content,
        columns=[name for name in PORTFOLIO_COLUMNS if name in schema.names],
        extras={
            field.name: _kind(field.type) for field in schema if EXTRA_NAME.fullmatch(field.name)
        },
    )


def _kind(arrow: Any) -> Kind:
    import pyarrow.types as kinds

    for kind, test in (
        (Kind.NUMBER, kinds.is_decimal),
        (Kind.INTEGER, kinds.is_integer),
        (Kind.DATE, kinds.is_date),
        (Kind.MOMENT, kinds.is_timestamp),
        (Kind.BOOLEAN, kinds.is_boolean),
    ):
        if test(arrow):
            return kind
    return Kind.TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a CRM took: ``rows`` of the delivery, of which ``changed`` rows were written."""

    rows: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """The end of ``zanc crm load``.

    ``refused`` rows of an import file, as the CRM's return file says; None while it has not come.
    """

    delivery_id: int
    crm: str
    rows: int
    changed: int
    refused: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a CRM's return file said of the rows of a delivery."""

    delivery_id: int
    crm: str
    accepted: int
    refused: int


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
