"""Loads deliveries into the CRMs, takes them out again, and takes call outcomes back.

A load is exactly once: the CRM holds a mark of the delivery, written in the transaction that
loads its rows; the mirror and the ledger follow in a second transaction. A process killed between
the two leaves the mark, and the next call finds it and only completes the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

from zanc_pipeline.common.database import copy_rows, transaction
from zanc_pipeline.common.errors import ConflictError, DataError, ZancError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import ledger, mirror
from zanc_pipeline.crm.adapters import adapter_for
from zanc_pipeline.crm.adapters.base import CrmAdapter
from zanc_pipeline.crm.adapters.fixed_width import FixedWidthFiles
from zanc_pipeline.crm.changes import changes_since
from zanc_pipeline.crm.entities import (
    OUTCOME_COLUMNS,
    Answered,
    CallOutcome,
    LoadResult,
    Portfolio,
    read_portfolio,
)

__all__ = [
    "Answered",
    "CallOutcome",
    "LoadResult",
    "Reconciliation",
    "counts",
    "ensure",
    "load",
    "read_returns",
    "reconcile",
    "refused_rows",
    "return_outcomes",
    "rollback",
]


_RETURNED_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciliation:
    """Open rows of a convênio in its CRM beside what the mirror says there should be.

    ``expected`` leaves out what the CRM refused, as its return file said. ``unit`` is what a row
    of that CRM is: ``contracts`` or ``clients``.
    """

    crm: str
    convenio: str
    unit: str
    expected: int
    found: int


def ensure(settings: Settings) -> None:
    """Create whatever is missing in the CRMs.

    Raises ConfigError when a CRM's table lacks a column, UnavailableError when one is away.
    """
    for crm in settings.crms:
        adapter_for(settings, crm).ensure()


def load(settings: Settings, delivery_id: int) -> LoadResult:
    """Load an accepted delivery into its CRM and the mirror, exactly once.

    Payments and phones are added to what the CRM holds, in any order. Repeated, it returns the
    recorded result. Raises DataError when the delivery was not accepted
    or a newer one of its convênio is loaded, ConflictError when a rollback of it was begun,
    UnavailableError when a part is away (a retry completes the load).
    """
    crm = ledger.entry(settings, delivery_id).crm
    adapter = adapter_for(settings, crm)
    with ledger.serialised(settings, crm, "load"):
        entry = ledger.entry(settings, delivery_id)
        if entry.status == "loaded":
            return _result(entry)
        if entry.status == "rolling_back":
            raise ConflictError(
                f"the rollback of delivery {delivery_id} was interrupted: run "
                f"'zanc crm rollback {delivery_id}' again before loading it"
            )
        adapter.ensure()
        if entry.content != "carteira":
            return _add(settings, adapter, entry)
        for interrupted in ledger.of_convenio(settings, entry.convenio, ("loading",)):
            if interrupted.order < entry.order and adapter.loaded(interrupted.delivery_id):
                _load(settings, adapter, interrupted)
        newer = _later(settings, entry, ("loaded", "rolling_back"))
        if newer:
            raise DataError(
                f"delivery {delivery_id} of {entry.convenio} is of {entry.reference_date}, but "
                f"delivery {newer[-1].delivery_id} of {newer[-1].reference_date} is already "
                "loaded: an older portfolio does not replace a newer one"
            )
        return _load(settings, adapter, entry)


def rollback(settings: Settings, delivery_id: int) -> None:
    """Take a whole delivery out of its CRM and the mirror, restoring what it overwrote.

    Raises ConflictError, which names the delivery, when a later one of its convênio is loaded;
    DataError when the delivery is not loaded.
    """
    crm = ledger.entry(settings, delivery_id).crm
    adapter = adapter_for(settings, crm)
    with ledger.serialised(settings, crm, "load"):
        entry = ledger.entry(settings, delivery_id)
        if entry.status == "rolled_back":
            return
        if entry.status is None:
            raise DataError(f"delivery {delivery_id} is not loaded: there is nothing to roll back")
        adapter.ensure()
        later = ledger.added_to(settings, entry)
        if entry.content == "carteira":
            later += _later(settings, entry, ("loading", "loaded", "rolling_back"))
        later = [one for one in later if one.status != "loading" or adapter.loaded(one.delivery_id)]
        if later:
            raise ConflictError(
                f"delivery {later[-1].delivery_id} of {entry.convenio} "
                f"({later[-1].reference_date}) was loaded after delivery {delivery_id}: roll it "
                "back first"
            )
        ledger.set_rolling_back(settings, delivery_id)
        adapter.rollback(delivery_id)
        with transaction(settings, "zanc", application="zanc crm rollback") as cursor:
            mirror.take_out(cursor, delivery_id)
            ledger.finish_rollback(cursor, delivery_id)


def read_returns(settings: Settings) -> list[Answered]:
    """Read the return files of the CRMs that answer by file: what each accepted and refused.

    A file that was read is put aside; killed before that, it is read again with the same result.
    One that is wrong stays where it is and holds back no other: then DataError is raised at the
    end, which names the file and line.
    """
    answered: list[Answered] = []
    failures: list[DataError] = []
    for crm in settings.crms:
        adapter = adapter_for(settings, crm)
        if not isinstance(adapter, FixedWidthFiles):
            continue
        with ledger.serialised(settings, crm, "answers"):
            for path in adapter.answers():
                try:
                    answer = adapter.read_answer(path)
                    ledger.record_answer(settings, crm, answer)
                except DataError as error:
                    failures.append(error)
                    continue
                adapter.put_aside(path)
                answered.append(
                    Answered(
                        delivery_id=answer.delivery_id,
                        crm=crm,
                        accepted=answer.accepted,
                        refused=len(answer.refusals),
                    )
                )
    if failures:
        raise failures[0]
    return answered


def refused_rows(settings: Settings, delivery_id: int) -> list[dict[str, Any]]:
    """The rows of a delivery that its CRM refused: row of the file, CPF, contract, reason."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            'SELECT row_number AS "row", cpf, contract, reason FROM crm.refusal '
            "WHERE delivery_id = %s ORDER BY row_number",
            (delivery_id,),
        )
        return [dict(row) for row in cursor.fetchall()]


def counts(settings: Settings) -> dict[str, int]:
    """Open rows in each CRM, asked of the CRM itself (of ``remessa``: clients, not contracts).

    Rows that a CRM refused are not in it.
    """
    return {crm: sum(adapter_for(settings, crm).count().values()) for crm in settings.crms}


def reconcile(settings: Settings) -> list[Reconciliation]:
    """Compare what each CRM holds with the mirror, convênio by convênio."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT crm, convenio, count(*) AS contracts, count(DISTINCT cpf) AS clients "
            "FROM crm.contract WHERE status = 'open' GROUP BY crm, convenio"
        )
        expected = {(row["crm"], row["convenio"]): row for row in cursor.fetchall()}
        refused = ledger.refused(cursor)
    lines = []
    for crm in settings.crms:
        adapter = adapter_for(settings, crm)
        found = adapter.count()
        convenios = {convenio for owner, convenio in expected if owner == crm} | set(found)
        lines += [
            Reconciliation(
                crm=crm,
                convenio=convenio,
                unit=adapter.unit,
                expected=expected.get((crm, convenio), {}).get(adapter.unit, 0)
                - refused.get(convenio, 0),
                found=found.get(convenio, 0),
            )
            for convenio in sorted(convenios)
        ]
    return lines


def return_outcomes(settings: Settings, outcomes: Iterable[CallOutcome]) -> int:
    """Record the outcomes and give every pending one to the CRM of its debt; how many it took.

    At least once, without duplicates. A CRM that is down, or whose tables do not fit, holds back
    only itself: its outcomes stay pending, the other CRMs are served, and then its error is raised.
    """
    _record(settings, list(outcomes))
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT DISTINCT crm FROM crm.outcome WHERE returned_at IS NULL ORDER BY crm"
        )
        pending = [row["crm"] for row in cursor.fetchall()]
    returned, failures = 0, list[ZancError]()
    for crm in pending:
        try:
            returned += _return_to(settings, crm)
        except ZancError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return returned


def _load(settings: Settings, adapter: CrmAdapter, entry: ledger.Entry) -> LoadResult:
    portfolio = _with_changes(settings, _portfolio(settings, entry))
    ledger.begin(settings, entry)
    taken = adapter.load(portfolio)
    with transaction(settings, "zanc", application="zanc crm load") as cursor:
        latest = ledger.latest_digest(cursor, entry.convenio)
        latest = None if portfolio.added_since else latest
        mirror.write(cursor, portfolio, entry.crm, latest)
        ledger.finish(
            cursor,
            entry.delivery_id,
            rows=taken.rows,
            changed=taken.changed,
            digest=portfolio.digest,
        )
    return LoadResult(
        delivery_id=entry.delivery_id, crm=entry.crm, rows=taken.rows, changed=taken.changed
    )


def _add(settings: Settings, adapter: CrmAdapter, entry: ledger.Entry) -> LoadResult:
    """Load payments or phones: nothing that the CRM holds beside them changes."""
    added = _portfolio(settings, entry)
    ledger.begin(settings, entry)
    taken = adapter.add(added)
    with transaction(settings, "zanc", application="zanc crm load") as cursor:
        mirror.add(cursor, added)
        ledger.finish(
            cursor, entry.delivery_id, rows=taken.rows, changed=taken.changed, digest=None
        )
    return LoadResult(
        delivery_id=entry.delivery_id, crm=entry.crm, rows=taken.rows, changed=taken.changed
    )


def _portfolio(settings: Settings, entry: ledger.Entry) -> Portfolio:
    return read_portfolio(
        settings.var / "deliveries" / str(entry.delivery_id) / "accepted.parquet",
        delivery_id=entry.delivery_id,
        convenio=entry.convenio,
        reference_date=entry.reference_date,
        content=entry.content,
    )


def _with_changes(settings: Settings, portfolio: Portfolio) -> Portfolio:
    """The portfolio with its changes since the delivery that is in, while its file is kept."""
    loaded = ledger.of_convenio(settings, portfolio.convenio, ("loaded",))
    if not loaded:
        return portfolio
    if ledger.added_to(settings, loaded[-1]):
        return replace(portfolio, added_since=True)
    try:
        before = _portfolio(settings, loaded[-1])
    except DataError:
        return portfolio
    if before.digest == portfolio.digest:
        return portfolio
    return replace(portfolio, changes=changes_since(before, portfolio))


def _later(
    settings: Settings, entry: ledger.Entry, statuses: tuple[str, ...]
) -> list[ledger.Entry]:
    return [
        other
        for other in ledger.of_convenio(settings, entry.convenio, statuses)
        if other.order > entry.order
    ]


def _result(entry: ledger.Entry) -> LoadResult:
    return LoadResult(
        delivery_id=entry.delivery_id,
        crm=entry.crm,
        rows=entry.rows or 0,
        changed=entry.changed or 0,
        refused=entry.refused,
    )


def _record(settings: Settings, outcomes: list[CallOutcome]) -> None:
    columns = ", ".join(OUTCOME_COLUMNS)
    unknown = {outcome.crm for outcome in outcomes} - set(settings.crms)
    if unknown:
        raise DataError(f"outcomes name the CRM '{sorted(unknown)[0]}', which config/crms has not")
    with transaction(settings, "zanc", application="zanc crm outcomes") as cursor:
        cursor.execute("CREATE TEMP TABLE outcome_row (LIKE crm.outcome) ON COMMIT DROP")
        copy_rows(cursor, "outcome_row", OUTCOME_COLUMNS, map(astuple, outcomes))
        cursor.execute(
            f"INSERT INTO crm.outcome ({columns}) SELECT DISTINCT ON (call_id) {columns} "  # noqa: S608 (constants)
            "FROM outcome_row ORDER BY call_id ON CONFLICT (call_id) DO UPDATE SET "
            # A call may be tabulated late: then it is returned once more.
            "tabulation = excluded.tabulation, promise_date = excluded.promise_date, "
            "promise_amount = excluded.promise_amount, returned_at = NULL, return_batch = NULL "
            "WHERE outcome.tabulation = 'no_tabulation' AND excluded.tabulation <> 'no_tabulation'"
        )


def _return_to(settings: Settings, crm: str) -> int:
    adapter = adapter_for(settings, crm)
    returned = 0
    with ledger.serialised(settings, crm, "return"):
        adapter.ensure()
        for batch, outcomes in _batches(settings, crm):
            adapter.record_outcomes(batch, outcomes)
            with transaction(settings, "zanc") as cursor:
                cursor.execute(
                    "UPDATE crm.outcome SET returned_at = now() "
                    "WHERE crm = %s AND return_batch = %s AND returned_at IS NULL",
                    (crm, batch),
                )
                returned += cursor.rowcount
    return returned


def _batches(settings: Settings, crm: str) -> Iterator[tuple[int, list[CallOutcome]]]:
    """Pending outcomes in batches; those of an earlier try keep the batch they were given then.

    However much waits, as after a day without the CRM, one batch is in memory at a time.
    """
    with transaction(settings, "zanc") as cursor:
        numbered = 1
        while numbered:
            cursor.execute(
                "UPDATE crm.outcome SET return_batch = (SELECT nextval('crm.return_batch')) "
                "WHERE call_id IN (SELECT call_id FROM crm.outcome WHERE crm = %s "
                "AND returned_at IS NULL AND return_batch IS NULL "
                "ORDER BY started_at, call_id LIMIT %s)",
                (crm, _RETURNED_AT_ONCE),
            )
            numbered = cursor.rowcount
        cursor.execute(
            "SELECT DISTINCT return_batch FROM crm.outcome WHERE crm = %s AND returned_at IS NULL "
            "ORDER BY return_batch",
            (crm,),
        )
        batches = [int(row["return_batch"]) for row in cursor.fetchall()]
    for batch in batches:
        with transaction(settings, "zanc") as cursor:
            cursor.execute(
                "SELECT * FROM crm.outcome WHERE crm = %s AND returned_at IS NULL "
                "AND return_batch = %s ORDER BY started_at, call_id",
                (crm, batch),
            )
            outcomes = [CallOutcome.from_row(row) for row in cursor.fetchall()]
        yield batch, outcomes
