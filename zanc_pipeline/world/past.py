"""Writes the world's past: what the other rooms load, and beside it what only the truth knows."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import date, datetime
from pathlib import Path

import numpy as np

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import landing
from zanc_pipeline.world import history, law, truth
from zanc_pipeline.world.history import Calls, Portfolio, amount_at, day_of
from zanc_pipeline.world.law import Ints
from zanc_pipeline.world.people import CONVENIOS, Contracts, People, Phones, product_of


def write_calls(
    folder: Path,
    today: date,
    calls: Calls,
    phones: Phones,
    contracts: Contracts,
    people: People,
    crms: list[str],
) -> None:
    """``history/calls.parquet`` (columns of localization.call) and ``truth_calls.parquet``."""
    import pyarrow as pa
    from pyarrow import parquet

    midnight = datetime(today.year, today.month, today.day, tzinfo=law.LOCAL)
    started = np.datetime64(int(midnight.timestamp()), "s") + calls.second.astype("timedelta64[s]")
    ids = [f"h{number:08d}" for number in range(1, len(calls) + 1)]
    convenio = contracts.convenio[calls.contract]
    owner = phones.person[calls.phone]
    table = pa.table(
        {
            "crm": pa.array(crms).take(pa.array(convenio)),
            "call_id": ids,
            "cpf": pa.array(people.cpf).take(pa.array(owner)),
            "phone": pa.array(phones.number).take(pa.array(calls.phone)),
            "started_at": pa.array(started.astype("datetime64[us]")).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "ring_seconds": pa.array(calls.ring, pa.float32()),
            "talk_seconds": pa.array(calls.talk, pa.float32()),
            "outcome": pa.array(law.RESULTS).take(pa.array(calls.result)),
            "tabulation": pa.array([name or None for name in law.TABULATIONS]).take(
                pa.array(calls.tabulation)
            ),
            "convenio": pa.array([known.name for known in CONVENIOS]).take(pa.array(convenio)),
        }
    )
    parquet.write_table(table, folder / "history" / "calls.parquet", compression="zstd")
    mine = phones.owner[calls.phone]
    p_right = law.right_party_probability(
        mobile=phones.mobile[calls.phone], owner=mine, deceased=people.deceased[owner] & mine
    )
    secret = pa.table({"call_id": ids, "p_answer": calls.p_answer, "p_right_party": p_right})
    parquet.write_table(secret, folder / "truth_calls.parquet", compression="zstd")


def leave_calls(settings: Settings) -> None:
    """Leave the past calls where each CRM leaves its files for the localization base."""
    import pyarrow.compute as pc
    from pyarrow import parquet

    made = settings.var / "world" / "history" / "calls.parquet"
    calls = parquet.read_table(made)
    for crm in settings.crms:
        path = landing.folder_of(settings, crm) / "past.parquet"
        aside = path.with_suffix(".part")
        parquet.write_table(calls.filter(pc.equal(calls["crm"], crm)), aside, compression="zstd")
        shutil.copystat(made, aside)  # as old as they are: nobody writes to them any more
        aside.replace(path)


def write_portfolio(
    folder: Path, today: date, portfolio: Portfolio, contracts: Contracts, people: People
) -> None:
    """``history/portfolio.csv`` (scoring.portfolio_history) and ``truth_payments.parquet``."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    rows = portfolio.contract
    cents = np.empty(len(rows), dtype=np.int64)
    for snapshot in np.unique(portfolio.snapshot).tolist():
        at = portfolio.snapshot == snapshot
        cents[at] = amount_at(contracts.cents[rows[at]], snapshot)
    key = {
        "convenio": pa.array([known.name for known in CONVENIOS]).take(
            pa.array(contracts.convenio[rows])
        ),
        "contract": pa.array(contracts.number).take(pa.array(rows)),
    }
    snapshot_on = [day_of(today, offset) for offset in portfolio.snapshot.tolist()]
    table = pa.table(
        {
            **key,
            "cpf": pa.array(people.cpf).take(pa.array(contracts.person[rows])),
            "snapshot_on": snapshot_on,
            "amount": [f"{value // 100}.{value % 100:02d}" for value in cents.tolist()],
            "due_date": [day_of(today, offset) for offset in contracts.due[rows].tolist()],
            "paid": portfolio.paid,
            "product": [
                product_of(convenio, product)
                for convenio, product in zip(
                    contracts.convenio[rows].tolist(), contracts.product[rows].tolist(), strict=True
                )
            ],
            "birth_date": pa.array(people.birth).take(pa.array(contracts.person[rows])),
        }
    )
    csv.write_csv(
        table, folder / "history" / "portfolio.csv", csv.WriteOptions(quoting_style="none")
    )
    secret = pa.table({**key, "snapshot_on": snapshot_on, "p_payment": portfolio.p_payment})
    parquet.write_table(secret, folder / "truth_payments.parquet", compression="zstd")


def write_truth(
    path: Path,
    today: date,
    people: People,
    phones: Phones,
    contracts: Contracts,
    calls: Calls,
    paid_on: Ints,
) -> None:
    """``truth.sqlite3`` as of day 1."""
    last, misses = _final_states(calls, len(phones))
    connection = sqlite3.connect(path)
    try:
        connection.executescript(truth.SCHEMA)
        with connection:
            connection.execute("INSERT INTO day VALUES (1, ?)", (today.isoformat(),))
            truth.insert(connection, today, people, phones, contracts, last, misses)
            connection.executemany(
                "UPDATE contract SET paid_on = ? WHERE convenio = ? AND contract = ?",
                (
                    (
                        day_of(today, int(paid_on[row])).isoformat(),
                        CONVENIOS[contracts.convenio[row]].name,
                        contracts.number[row],
                    )
                    for row in np.flatnonzero(~history.open_contracts(paid_on)).tolist()
                ),
            )
    finally:
        connection.close()


def _final_states(calls: Calls, phones: int) -> tuple[Ints, Ints]:
    """The last result and the misses of each phone; calls are in order of time."""
    last, misses = np.zeros(phones, dtype=np.int64), np.zeros(phones, dtype=np.int64)
    last[calls.phone] = calls.result
    misses[calls.phone] = law.misses_after(calls.misses, calls.result)
    return last, misses
