"""Makes the world, and its days: ``generate`` once, then ``next_day`` as often as one likes.

Both may be killed at any moment and called again: the truth changes in one transaction, the files
follow from it and from the seed, and ``state.json`` is written last.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import history, law, truth
from zanc_pipeline.world.files import DayFile, Row, make_file
from zanc_pipeline.world.history import Calls, Portfolio, amount_at, day_of
from zanc_pipeline.world.law import Ints
from zanc_pipeline.world.people import (
    CITIES,
    CONVENIOS,
    Contracts,
    People,
    Phones,
    make_contracts,
    make_people,
    make_phones,
    reais,
)

_STARTED_WITH = 1.28
"""People at the beginning of the past for each who still owes at its end."""
_DAILY_PAID, _DAILY_NEW, _DAILY_CHANGED = 0.02, 0.02, 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class State:
    """What ``var/world/state.json`` holds."""

    seed: int
    debtors: int
    past_calls: int
    day: int
    reference_date: str
    people: int
    phones: int
    open_contracts: int
    calls: int
    answer_rate: float
    answer_auc: float
    snapshots: int
    payment_rate: float
    payment_auc: float


def read_state(settings: Settings) -> State | None:
    """The state of the generated world, or None when there is none."""
    path = truth.world_folder(settings) / "state.json"
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise ConfigError(f"{path}: not a state of ours; run 'zanc world generate --force'") from None


def present_day() -> date:
    """Today in the call centre's time zone."""
    return datetime.now(law.LOCAL).date()


def generate(
    settings: Settings,
    *,
    day: date | None = None,
    force: bool = False,
    progress: Progress = lambda _line: None,
) -> State:
    """Make the whole world below ``var/world`` as of ``day`` (today); nothing when it is there.

    Raises ConfigError when one of another seed or size is there and ``force`` does not replace it.
    """
    folder = truth.world_folder(settings)
    state = read_state(settings)
    wanted = (settings.world.seed, settings.world.debtors, settings.world.past_calls)
    if state is not None and not force:
        if (state.seed, state.debtors, state.past_calls) != wanted:
            raise ConfigError(
                f"{folder / 'state.json'}: the world there has another seed or size; "
                "'zanc world generate --force' replaces it"
            )
        return state
    crms = _crms(settings)
    today = day or present_day()
    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "history").mkdir(parents=True)

    seed, debtors, past_calls = wanted
    count = max(8, round(debtors * _STARTED_WITH))
    progress(f"world: {count} people and their debts")
    people = make_people(law.random_stream(seed, "people"), count, today)
    phones = make_phones(law.random_stream(seed, "phones"), people.city, np.full(count, -1))
    contracts = make_contracts(
        law.random_stream(seed, "contracts"), count, phones, first_number=[1] * len(CONVENIOS)
    )
    progress(f"world: {past_calls} past calls and the payments")
    calls, portfolio, paid_on = history.make_past(seed, past_calls, today, people, phones, contracts)
    _write_calls(partial, today, calls, phones, contracts, people, crms)
    _write_portfolio(partial, today, portfolio, contracts, people)
    _write_truth(partial / "truth.sqlite3", today, people, phones, contracts, calls, paid_on)

    answered = np.isin(calls.result, (law.HUMAN, law.ABANDONED))
    state = State(
        seed=seed,
        debtors=debtors,
        past_calls=past_calls,
        day=1,
        reference_date=today.isoformat(),
        people=len(people),
        phones=len(phones),
        open_contracts=int(history.open_contracts(paid_on).sum()),
        calls=len(calls),
        answer_rate=round(float(answered.mean()), 4),
        answer_auc=round(law.auc(answered, calls.p_answer), 4),
        snapshots=len(portfolio.contract),
        payment_rate=round(float(portfolio.paid.mean()), 4),
        payment_auc=round(law.auc(portfolio.paid, portfolio.p_payment), 4),
    )
    _replace(folder, partial)
    progress("world: the creditors' files of day 1")
    _write_outbox(settings, seed)
    _write_state(folder, state)
    return state


def next_day(settings: Settings, *, progress: Progress = lambda _line: None) -> State:
    """Advance the world by a day and put that day's files in the outbox.

    Some pay and go, some are new, some amounts change. Raises ConfigError without a world.
    """
    state = read_state(settings)
    path = truth.truth_path(settings)
    if state is None:
        raise ConfigError(f"{path.parent}: the world is incomplete; run 'zanc world generate'")
    number = _day(path)[0]
    if number == state.day:
        with truth.writing(path) as connection:
            number += 1
            progress(f"world: day {number}")
            _evolve(connection, state.seed, number)
    # Else a call before this one was killed between the truth and the files.
    number, today = _day(path)
    _retire_outbox(settings)
    _write_outbox(settings, state.seed)
    with truth.reading(path) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("person", "phone", "contract WHERE paid_on IS NULL")
        ]
    new = State(
        **{
            **asdict(state),
            "day": number,
            "reference_date": today.isoformat(),
            "people": counts[0],
            "phones": counts[1],
            "open_contracts": counts[2],
        }
    )
    _write_state(truth.world_folder(settings), new)
    return new


def outbox(settings: Settings) -> list[Path]:
    """The files of the present day, as ``outbox/<convenio>/<name>``."""
    return sorted((truth.world_folder(settings) / "outbox").glob("*/*"))


def _crms(settings: Settings) -> list[str]:
    """The CRM of each convênio of the world."""
    missing = [known.name for known in CONVENIOS if known.name not in settings.convenios]
    if missing:
        raise ConfigError(
            f"{settings.config / 'convenios'}: the simulated world needs {', '.join(missing)}"
        )
    return [str(settings.convenios[known.name]["crm"]) for known in CONVENIOS]


def _day(path: Path) -> tuple[int, date]:
    with truth.reading(path) as connection:
        row = connection.execute("SELECT number, reference_date FROM day").fetchone()
    return row["number"], date.fromisoformat(row["reference_date"])


def _write_state(folder: Path, state: State) -> None:
    _write_aside(
        folder / "state.json", (json.dumps(asdict(state), indent=2) + "\n").encode("utf-8")
    )


def _write_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(content)
    os.replace(aside, path)


def _replace(folder: Path, partial: Path) -> None:
    (folder / "state.json").unlink(missing_ok=True)
    # What happened live belongs to the world that is replaced.
    (folder / "carrier.jsonl").unlink(missing_ok=True)
    for name in ("outbox", "sent", "history"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for item in sorted(partial.iterdir()):
        os.replace(item, folder / item.name)
    partial.rmdir()


# --- the past -------------------------------------------------------------------------------------


def _write_calls(
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
    secret = pa.table({"call_id": ids, "p_answer": calls.p_answer})
    parquet.write_table(secret, folder / "truth_calls.parquet", compression="zstd")


def _write_portfolio(
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
        }
    )
    csv.write_csv(
        table, folder / "history" / "portfolio.csv", csv.WriteOptions(quoting_style="none")
    )
    secret = pa.table({**key, "snapshot_on": snapshot_on, "p_payment": portfolio.p_payment})
    parquet.write_table(secret, folder / "truth_payments.parquet", compression="zstd")


def _write_truth(
    path: Path,
    today: date,
    people: People,
    phones: Phones,
    contracts: Contracts,
    calls: Calls,
    paid_on: Ints,
) -> None:
    last, misses = _final_states(calls, len(phones))
    connection = sqlite3.connect(path)
    try:
        connection.executescript(truth.SCHEMA)
        with connection:
            connection.execute("INSERT INTO day VALUES (1, ?)", (today.isoformat(),))
            _insert(connection, today, people, phones, contracts, last, misses)
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


def _insert(
    connection: sqlite3.Connection,
    today: date,
    people: People,
    phones: Phones,
    contracts: Contracts,
    last: Ints,
    misses: Ints,
    *,
    known: int = 0,
) -> None:
    """Insert people and what is theirs; the first ``known`` people are there already."""
    connection.executemany(
        "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)",
        list(
            zip(
                people.cpf,
                people.name,
                (birth.isoformat() for birth in people.birth),
                people.email,
                people.city.tolist(),
                people.deceased.astype(int).tolist(),
                people.deceased_known.astype(int).tolist(),
                strict=True,
            )
        )[known:],
    )
    connection.executemany(
        "INSERT INTO phone VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        zip(
            phones.number,
            (people.cpf[person] for person in phones.person.tolist()),
            phones.slot.tolist(),
            phones.mobile.astype(int).tolist(),
            phones.dead.astype(int).tolist(),
            phones.owner.astype(int).tolist(),
            phones.quality.tolist(),
            (day_of(today, offset).isoformat() for offset in phones.first_seen.tolist()),
            misses.tolist(),
            last.tolist(),
            strict=True,
        ),
    )
    _insert_contracts(connection, today, contracts, people.cpf)


def _insert_contracts(
    connection: sqlite3.Connection, today: date, contracts: Contracts, cpf: list[str]
) -> None:
    connection.executemany(
        "INSERT INTO contract VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            (
                CONVENIOS[convenio].name,
                number,
                cpf[person],
                CONVENIOS[convenio].products[product],
                cents,
                day_of(today, due).isoformat(),
                bits,
            )
            for number, person, convenio, product, cents, due, bits in zip(
                contracts.number,
                contracts.person.tolist(),
                contracts.convenio.tolist(),
                contracts.product.tolist(),
                contracts.cents.tolist(),
                contracts.due.tolist(),
                contracts.phones.tolist(),
                strict=True,
            )
        ),
    )


# --- the days after it ----------------------------------------------------------------------------


def _evolve(connection: sqlite3.Connection, seed: int, number: int) -> None:
    """Change the truth by one day, inside the caller's transaction."""
    reference = connection.execute("SELECT reference_date FROM day").fetchone()[0]
    today = date.fromisoformat(reference) + timedelta(days=1)
    random = law.random_stream(seed, "day", number)
    rows = connection.execute(
        "SELECT c.convenio, c.contract, c.cents, c.due_date, p.birth_date,"
        " count(*) OVER (PARTITION BY c.cpf) AS owed"
        " FROM contract c JOIN person p USING (cpf) WHERE c.paid_on IS NULL"
        " ORDER BY c.convenio, c.contract"
    ).fetchall()
    ease = {known.name: known.ease for known in CONVENIOS}
    p = law.payment_probability(
        amount=reais(np.array([row["cents"] for row in rows])),
        delay_days=[_days(row["due_date"], today) for row in rows],
        ease=[ease[row["convenio"]] for row in rows],
        debtor_age=[_days(row["birth_date"], today) / 365.25 for row in rows],
        contracts=[row["owed"] for row in rows],
        talked=False,
        promised=False,
    )
    paying = round(len(rows) * _DAILY_PAID)
    paid = random.choice(len(rows), paying, replace=False, p=p / p.sum())
    connection.executemany(
        "UPDATE contract SET paid_on = ? WHERE convenio = ? AND contract = ?",
        ((today.isoformat(), rows[n]["convenio"], rows[n]["contract"]) for n in sorted(paid.tolist())),
    )
    still = np.setdiff1d(np.arange(len(rows)), paid)
    changed = random.choice(still, round(len(rows) * _DAILY_CHANGED), replace=False)
    factor = random.uniform(0.6, 1.03, len(changed))
    connection.executemany(
        "UPDATE contract SET cents = ? WHERE convenio = ? AND contract = ?",
        (
            (max(2500, round(rows[n]["cents"] * by)), rows[n]["convenio"], rows[n]["contract"])
            for n, by in zip(changed.tolist(), factor.tolist(), strict=True)
        ),
    )
    _arrive(connection, random, today, round(len(rows) * _DAILY_NEW / 1.34))
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
    _insert(connection, today, people, phones, contracts, nothing, nothing)


def _days(earlier: str, later: date) -> int:
    return (later - date.fromisoformat(earlier)).days


# --- the creditors' files -------------------------------------------------------------------------


def _write_outbox(settings: Settings, seed: int) -> None:
    path = truth.truth_path(settings)
    folder = path.parent / "outbox"
    number, today = _day(path)
    for known in CONVENIOS:
        made = day_file(path, seed, known.name)
        _write_aside(folder / made.convenio / made.name, made.content)
        record_file(path, made, number, today)


def day_file(path: Path, seed: int, convenio: str) -> DayFile:
    """The file that ``convenio`` sends on the present day of the truth at ``path``."""
    number, today = _day(path)
    with truth.reading(path) as connection:
        rows = list(_rows(connection, convenio))
    random = law.random_stream(seed, "file", convenio, number)
    return make_file(convenio, rows, today, number, random)


def record_file(
    path: Path, made: DayFile, number: int, today: date, *, fault: str | None = None
) -> None:
    """Note in the truth what is good and bad in a file; noting it again changes nothing."""
    with truth.writing(path) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                made.convenio,
                made.name,
                number,
                today.isoformat(),
                fault,
                made.rows_good,
                len(made.bad),
                made.cents,
                made.sha256,
            ),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO bad_row VALUES (?, ?, ?, ?)",
            ((made.convenio, made.name, line, field) for line, field in made.bad.items()),
        )


def files_of(settings: Settings) -> list[dict[str, Any]]:
    """Every file ever made, with its good and bad rows: what a report reconciles with."""
    with truth.reading(truth.truth_path(settings)) as connection:
        return [
            dict(row)
            for row in connection.execute("SELECT * FROM file ORDER BY day, convenio, name")
        ]


def _rows(connection: sqlite3.Connection, convenio: str) -> Iterable[Row]:
    phones: dict[str, dict[int, str]] = {}
    for row in connection.execute("SELECT cpf, slot, number FROM phone"):
        phones.setdefault(row["cpf"], {})[row["slot"]] = row["number"]
    for row in connection.execute(
        "SELECT * FROM contract JOIN person USING (cpf)"
        " WHERE convenio = ? AND paid_on IS NULL ORDER BY contract",
        (convenio,),
    ):
        _, city, state, _ = CITIES[row["city"]]
        known = phones.get(row["cpf"], {})
        yield Row(
            cpf=row["cpf"],
            name=row["name"],
            contract=row["contract"],
            product=row["product"],
            cents=row["cents"],
            due=date.fromisoformat(row["due_date"]),
            birth=date.fromisoformat(row["birth_date"]),
            email=row["email"] or "",
            city=city,
            state=state,
            phones=tuple(known[slot] for slot in sorted(known) if row["phones"] >> slot & 1),
            deceased=bool(row["deceased_known"]),
        )


def _retire_outbox(settings: Settings) -> None:
    """Files of days before the present one go to ``sent/``."""
    folder = truth.world_folder(settings)
    _, today = _day(truth.truth_path(settings))
    with truth.reading(truth.truth_path(settings)) as connection:
        earlier = {
            (row["convenio"], row["name"])
            for row in connection.execute(
                "SELECT convenio, name FROM file WHERE reference_date < ?", (today.isoformat(),)
            )
        }
    for path in outbox(settings):
        if (path.parent.name, path.name) in earlier:
            kept = folder / "sent" / path.parent.name / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, kept)
