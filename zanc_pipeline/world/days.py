"""The days after the first: debts that are paid, people who are new, amounts that change."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta

import numpy as np

from zanc_pipeline.world import law, truth
from zanc_pipeline.world.people import (
    CONVENIOS,
    Convenio,
    make_contracts,
    make_people,
    make_phones,
    reais,
)

_PAID, _NEW, _CHANGED = 0.02, 0.02, 0.05
_CONTRACTS_PER_PERSON = 1.34


def evolve(connection: sqlite3.Connection, seed: int, number: int) -> None:
    """Change the truth by one day, inside the caller's transaction."""
    reference = connection.execute("SELECT reference_date FROM day").fetchone()[0]
    today = date.fromisoformat(reference) + timedelta(days=1)
    random = law.random_stream(seed, "day", number)
    rows = connection.execute(
        "SELECT c.convenio, c.contract, c.product, c.cents, c.due_date, p.birth_date,"
        " count(*) OVER (PARTITION BY c.cpf) AS owed"
        " FROM contract c JOIN person p USING (cpf) WHERE c.paid_on IS NULL"
        " ORDER BY c.convenio, c.contract"
    ).fetchall()
    creditors = {known.name: known for known in CONVENIOS}
    p = law.payment_probability(
        amount=reais(np.array([row["cents"] for row in rows])),
        delay_days=[_days(row["due_date"], today) for row in rows],
        ease=[_ease(creditors[row["convenio"]], row["product"]) for row in rows],
        debtor_age=[_days(row["birth_date"], today) / 365.25 for row in rows],
        contracts=[row["owed"] for row in rows],
        talked=False,
        promised=False,
    )
    paying = round(len(rows) * _PAID)
    paid = random.choice(len(rows), paying, replace=False, p=p / p.sum())
    connection.executemany(
        "UPDATE contract SET paid_on = ? WHERE convenio = ? AND contract = ?",
        (
            (today.isoformat(), rows[n]["convenio"], rows[n]["contract"])
            for n in sorted(paid.tolist())
        ),
    )
    still = np.setdiff1d(np.arange(len(rows)), paid)
    changed = random.choice(still, round(len(rows) * _CHANGED), replace=False)
    factor = random.uniform(0.6, 1.03, len(changed))
    connection.executemany(
        "UPDATE contract SET cents = ? WHERE convenio = ? AND contract = ?",
        (
            (max(2500, round(rows[n]["cents"] * by)), rows[n]["convenio"], rows[n]["contract"])
            for n, by in zip(changed.tolist(), factor.tolist(), strict=True)
        ),
    )
    _arrive(connection, random, today, round(len(rows) * _NEW / _CONTRACTS_PER_PERSON))
    connection.execute("UPDATE day SET number = ?, reference_date = ?", (number, today.isoformat()))


def _arrive(connection: sqlite3.Connection, random: law.Random, today: date, count: int) -> None:
    """``count`` new people with their phones and contracts."""
    taken = frozenset(row[0] for row in connection.execute("SELECT cpf FROM person"))
    numbers = frozenset(row[0] for row in connection.execute("SELECT number FROM phone"))
    people = make_people(random, count, today, taken=taken)
    phones = make_phones(random, people.city, np.zeros(count, dtype=np.int64), taken=numbers)
    # The base has not seen them: they are as new as their delivery.
    phones.first_seen[:] = 0
    first = []
    for known in CONVENIOS:
        row = connection.execute(
            "SELECT max(contract) FROM contract WHERE convenio = ?", (known.name,)
        ).fetchone()
        first.append(int(row[0].removeprefix(known.prefix)) + 1 if row[0] else 1)
    contracts = make_contracts(random, count, phones, first_number=first, due=(20.0, 0.6, 6, 90))
    nothing = np.zeros(len(phones), dtype=np.int64)
    truth.insert(connection, today, people, phones, contracts, nothing, nothing)


def _ease(creditor: Convenio, product: str) -> float:
    """A product of a world that an earlier version made has no ease of its own."""
    return creditor.ease + creditor.products.get(product, 0.0)


def _days(earlier: str, later: date) -> int:
    return (later - date.fromisoformat(earlier)).days
