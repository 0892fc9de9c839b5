"""Makes the world, and its days: ``generate`` once, then ``next_day`` as often as one likes.

Both may be killed at any moment and called again: the truth changes in one transaction, the files
follow from it and from the seed, and ``state.json`` is written last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np

from zanc_pipeline.common.errors import ConfigError, StackError
from zanc_pipeline.common.locks import only_one
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import history, law, outbox, past, truth
from zanc_pipeline.world.days import evolve
from zanc_pipeline.world.people import CONVENIOS, make_contracts, make_people, make_phones

_STARTED_WITH = 1.28
"""People at the beginning of the past for each who still owes at its end."""

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
        raise ConfigError(
            f"{path}: not a state of ours; run 'zanc world generate --force'"
        ) from None


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
    with _alone(settings):
        return _generate(settings, day, force, progress)


def _generate(settings: Settings, day: date | None, force: bool, progress: Progress) -> State:
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
    calls, portfolio, paid_on = history.make_past(
        seed, past_calls, today, people, phones, contracts
    )
    past.write_calls(partial, today, calls, phones, contracts, people, crms)
    past.write_portfolio(partial, today, portfolio, contracts, people)
    past.write_truth(partial / "truth.sqlite3", today, people, phones, contracts, calls, paid_on)

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
    outbox.fill(settings, seed)
    _write_state(folder, state)
    return state


def next_day(settings: Settings, *, progress: Progress = lambda _line: None) -> State:
    """Advance the world by a day and put that day's files in the outbox.

    Some pay and go, some are new, some amounts change. Raises ConfigError without a world.
    """
    with _alone(settings):
        return _next_day(settings, progress)


def _next_day(settings: Settings, progress: Progress) -> State:
    state = read_state(settings)
    path = truth.truth_path(settings)
    if state is None:
        raise ConfigError(f"{path.parent}: the world is incomplete; run 'zanc world generate'")
    number = truth.present(path)[0]
    if number == state.day:
        with truth.writing(path) as connection:
            number += 1
            progress(f"world: day {number}")
            evolve(connection, state.seed, number)
    # Else a call before this one was killed between the truth and the files.
    number, today = truth.present(path)
    outbox.fill(settings, state.seed)
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


def _alone(settings: Settings) -> AbstractContextManager[None]:
    """Two that write the same files would leave a world of halves."""
    busy = StackError("another 'zanc world' command of this folder is making it: wait for its end")
    return only_one(settings.var / "run" / "world.lock", busy)


def _crms(settings: Settings) -> list[str]:
    """The CRM of each convênio of the world."""
    missing = [known.name for known in CONVENIOS if known.name not in settings.convenios]
    if missing:
        raise ConfigError(
            f"{settings.config / 'convenios'}: the simulated world needs {', '.join(missing)}"
        )
    return [str(settings.convenios[known.name]["crm"]) for known in CONVENIOS]


def _write_state(folder: Path, state: State) -> None:
    outbox.write_aside(
        folder / "state.json", (json.dumps(asdict(state), indent=2) + "\n").encode("utf-8")
    )


def _replace(folder: Path, partial: Path) -> None:
    (folder / "state.json").unlink(missing_ok=True)
    # What happened live belongs to the world that is replaced.
    (folder / "carrier.jsonl").unlink(missing_ok=True)
    for name in ("outbox", "sent", "history"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for item in sorted(partial.iterdir()):
        item.replace(folder / item.name)
    partial.rmdir()
