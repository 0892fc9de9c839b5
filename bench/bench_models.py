"""The models on the generated world beside the law that made it, and on a real data set.

    python bench/bench_models.py [--full]

Each model must reach .97 of the AUC of the law's own probabilities on the same holdout, with a
calibration error under .02. The law knows each phone's hidden quality and whose it is; a model
learns them from calls alone. So beside it stands the best that any model could do from the same
calls: an observer who knows every coefficient of the law but no hidden quality ("Bayes").

What .97 needs is calls a debtor: with the demo's ten even the observer stays under .97 (.965); by
20 calls the observer passes it (.972), and with 40 the models do. Payment needs no more than ten.
By default 8,000 debtors with 40 calls each; ``--full`` 20,000 debtors, and the demo's own size
beside them (not judged).

The real data set (``../shared/data/bank-additional-full.csv``, or $ZANC_BANK_DATA) is judged as
``models/bank_marketing`` says, rolling, when it is there: AUC .78 on the last fifth.

Ends with status 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from zanc_pipeline.scoring.dataset import payment_table, table_of_calls
from zanc_pipeline.scoring.spec import load_spec
from zanc_pipeline.scoring.tables import LABEL, prepare, read_table
from zanc_pipeline.scoring.train import BASELINE, Training, train_candidates
from zanc_pipeline.world import history, law
from zanc_pipeline.world.people import (
    CONVENIOS,
    Contracts,
    People,
    Phones,
    make_contracts,
    make_people,
    make_phones,
    product_of,
    reais,
)

SEED = 2026
TODAY = date(2026, 11, 23)
MIN_RATIO, MAX_ERROR, BANK_AUC = 0.97, 0.02, 0.78
ROOT = Path(__file__).parents[1]
BANK = Path(os.environ.get("ZANC_BANK_DATA", ROOT.parent / "shared/data/bank-additional-full.csv"))


@dataclass(frozen=True)
class World:
    """A generated past in memory, with what only the law knows."""

    calls: pd.DataFrame
    first_seen: pd.Series
    portfolio: pd.DataFrame
    truth: pd.DataFrame
    p_payment: np.ndarray
    observer: np.ndarray
    people: People
    phones: Phones
    contracts: Contracts
    past: history.Calls
    paid_on: np.ndarray


def make_world(debtors: int, past_calls: int) -> World:
    """Draw the world of ``zanc world generate`` without writing it."""
    count = round(debtors * 1.28)
    people = make_people(law.random_stream(SEED, "people"), count, TODAY)
    phones = make_phones(law.random_stream(SEED, "phones"), people.city, np.full(count, -1))
    contracts = make_contracts(
        law.random_stream(SEED, "contracts"), count, phones, first_number=[1] * len(CONVENIOS)
    )
    past, snapshots, paid_on = history.make_past(SEED, past_calls, TODAY, people, phones, contracts)
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=law.LOCAL).timestamp()
    owner = phones.person[past.phone]
    convenios = np.array([known.name for known in CONVENIOS])
    tabulation = pd.Series(np.array(law.TABULATIONS, dtype=object)[past.tabulation])
    calls = pd.DataFrame(
        {
            "crm": "norma",
            "call_id": [f"h{number:08d}" for number in range(len(past))],
            "cpf": np.array(people.cpf)[owner],
            "phone": np.array(phones.number)[past.phone],
            "started": midnight + past.second.astype(np.float64),
            "ring_seconds": past.ring,
            "talk_seconds": past.talk,
            "outcome": np.array(law.RESULTS)[past.result],
            "tabulation": tabulation.where(tabulation != "", None),
            "convenio": convenios[contracts.convenio[past.contract]],
        }
    )
    deceased = people.deceased[owner] & phones.owner[past.phone]
    p_right = law.right_party_probability(
        mobile=phones.mobile[past.phone], owner=phones.owner[past.phone], deceased=deceased
    )
    truth = pd.DataFrame(
        {"call_id": calls["call_id"], "zanc_answer": past.p_answer, "zanc_right_party": p_right}
    )
    rows = snapshots.contract
    cents = np.array(
        [
            history.amount_at(contracts.cents[row], day)
            for row, day in zip(rows.tolist(), snapshots.snapshot.tolist(), strict=True)
        ]
    )
    birth = pd.to_datetime(pd.Series(people.birth))
    start = pd.Timestamp(TODAY)
    portfolio = pd.DataFrame(
        {
            "convenio": convenios[contracts.convenio[rows]],
            "contract": np.array(contracts.number)[rows],
            "cpf": np.array(people.cpf)[contracts.person[rows]],
            "snapshot_on": start + pd.to_timedelta(snapshots.snapshot, unit="D"),
            "amount": reais(cents),
            "due_date": start + pd.to_timedelta(contracts.due[rows], unit="D"),
            "paid": np.where(snapshots.paid, "t", "f"),
            "product": [
                product_of(int(contracts.convenio[row]), int(contracts.product[row]))
                for row in rows
            ],
            "birth_date": birth.iloc[contracts.person[rows]].to_numpy(),
        }
    )
    # The base knows a number from the first call to it, or from the file that brought it.
    seen = pd.Series(midnight + phones.first_seen * 86_400.0, index=phones.number)
    return World(
        calls=calls,
        first_seen=seen,
        portfolio=portfolio,
        truth=truth,
        p_payment=snapshots.p_payment,
        observer=observe(past, phones),
        people=people,
        phones=phones,
        contracts=contracts,
        past=past,
        paid_on=paid_on,
    )


def observe(past: history.Calls, phones: Any) -> np.ndarray:
    """P(answer) of each call for one who knows the law but no phone's quality: the posterior over
    a grid of qualities, moved by every earlier call of the phone."""
    grid = np.linspace(-4, 4, 33) * law.QUALITY_SPREAD
    prior = np.exp(-((grid / law.QUALITY_SPREAD) ** 2) / 2)
    posterior = np.tile(prior / prior.sum(), (len(phones), 1))
    order = np.argsort(past.phone, kind="stable")
    place = np.empty(len(past), dtype=np.int64)
    ordered = past.phone[order]
    place[order] = np.arange(len(past)) - np.searchsorted(ordered, ordered)
    dead = phones.dead[past.phone]
    with np.errstate(divide="ignore"):
        known = np.log(past.p_answer / (1 - past.p_answer)) - phones.quality[past.phone]
    known = np.where(dead, -1.2, known)
    found_dead = np.zeros(len(phones), dtype=bool)
    share_dead = float(dead[place == 0].mean())
    predicted = np.zeros(len(past))
    answered = np.isin(past.result, (law.HUMAN, law.ABANDONED))
    for turn in range(int(place.max()) + 1):
        rows = np.flatnonzero(place == turn)
        phone = past.phone[rows]
        p = law.logistic(known[rows, None] + grid)
        gone = np.where(found_dead[phone], 1.0, share_dead if turn == 0 else 0.0)
        predicted[rows] = (posterior[phone] * p).sum(axis=1) * (1 - gone)
        found_dead[phone] |= past.result[rows] == law.INVALID
        alive = past.result[rows] != law.INVALID
        moved = posterior[phone] * np.where(answered[rows, None], p, 1 - p)
        posterior[phone[alive]] = moved[alive] / moved[alive].sum(axis=1, keepdims=True)
    return predicted


def fit(
    name: str, make: Callable[[Any], pd.DataFrame], *, once: bool = False
) -> tuple[Training, float]:
    """Train a model of ``models/`` on a table; the training and its seconds.

    With ``once`` the holdout is scored by one training before it, as the registered version is.
    """
    spec = load_spec(ROOT / "models" / name / "model.yaml")
    if once:
        spec = spec.model_copy(update={"retraining": None})
    started = time.perf_counter()
    table, spec = prepare(make(spec), spec, where=name)
    with threadpool_limits(limits=1):
        training = train_candidates(table, spec, where=name)
    return training, time.perf_counter() - started


def judge(
    world: World, *, asked: bool, once: bool = False
) -> tuple[dict[str, Training], list[str]]:
    """Train the three models and print each beside the law; the trainings and what missed."""
    trainings: dict[str, Training] = {}
    missed = []

    def calls(spec: Any) -> pd.DataFrame:
        return table_of_calls(spec, world.calls, world.first_seen)

    for name in ("answer", "right_party", "payment"):
        if name == "payment":
            training, seconds = fit(
                name, lambda _: payment_table(world.portfolio, world.calls), once=once
            )
            key = ["convenio", "contract", "snapshot_on"]
            secret = world.portfolio[key].assign(p=world.p_payment)
        else:
            training, seconds = fit(name, calls, once=once)
            key, secret = ["call_id"], world.truth.rename(columns={f"zanc_{name}": "p"})
        rows = training.holdout[[*key, LABEL]].merge(secret, on=key, validate="one_to_one")
        law_auc = law.auc(rows[LABEL], rows["p"])
        metrics = training.metrics[training.chosen]
        ratio, error = metrics["auc"] / law_auc, metrics["calibration_error"]
        good = ratio >= MIN_RATIO and error < MAX_ERROR
        verdict = ("ok" if good else "MISSED") if asked else "not judged"
        best = ""
        if name == "answer":
            seen = secret.assign(p=world.observer)
            rows = training.holdout[[*key, LABEL]].merge(seen, on=key)
            best = f"  Bayes {law.auc(rows[LABEL], rows['p']) / law_auc:.3f} of it"
        print(
            f"  {name:12} {len(training.train):7,} + {len(training.holdout):7,} rows  "
            f"{training.chosen:8} AUC {metrics['auc']:.4f}  law {law_auc:.4f}  "
            f"ratio {ratio:.3f} (≥ {MIN_RATIO}){best}  calibration error {error:.4f} "
            f"(< {MAX_ERROR})  logistic {training.metrics['logistic']['auc']:.4f}  last rate "
            f"{training.metrics[BASELINE]['auc']:.4f}  {seconds:.0f} s  {verdict}",
            flush=True,
        )
        trainings[name] = training
        if asked and not good:
            missed.append(name)
    return trainings, missed


def bank() -> list[str]:
    """The real data set, rolling; what missed."""
    if not BANK.is_file():
        print(f"  {BANK.name}: not there, not judged")
        return []
    training, seconds = fit("bank_marketing", lambda _: read_table(BANK))
    for kind, metrics in training.metrics.items():
        print(
            f"  {kind:10} AUC {metrics['auc']:.4f}  calibration error "
            f"{metrics['calibration_error']:.4f}  AP {metrics['average_precision']:.4f}"
        )
    auc = training.metrics[training.chosen]["auc"]
    good = auc >= BANK_AUC
    print(
        f"  chosen on the rows before: {training.chosen}, {training.fits} trainings over "
        f"{len(training.holdout):,} contacts: AUC {auc:.4f} (≥ {BANK_AUC}), {seconds:.0f} s  "
        f"{'ok' if good else 'MISSED'}"
    )
    return [] if good else ["the real data set"]


def main() -> int:
    """Print the tables; 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="20,000 debtors, and the demo's size")
    full = parser.parse_args().full
    debtors = 20_000 if full else 8_000
    print(f"{debtors:,} debtors, {debtors * 40:,} past calls asked for")
    _, missed = judge(make_world(debtors, debtors * 40), asked=True)
    if full:
        print("the demo: 20,000 debtors, 200,000 past calls asked for")
        judge(make_world(20_000, 200_000), asked=False)
    print("bank marketing, without duration, the last fifth")
    missed += bank()
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
