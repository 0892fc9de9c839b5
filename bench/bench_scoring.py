"""Batch scoring of the answer model beside bare ``inplace_predict`` on the same rows.

    python bench/bench_scoring.py [--full]

Ours makes the point-in-time features from the calls, encodes, predicts and calibrates every phone
for twelve hours, in the chunks and by the code of ``zanc models score``. Bare is the same trees on
matrices that are ready, one thread each. Asked: at least .6 of bare, in the same run, and memory
that does not grow with phones times hours. Default 150,000 phones; ``--full`` a million.

Ends with status 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from datetime import date

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from zanc_pipeline.common.settings import project_root
from zanc_pipeline.scoring.calibration import Calibration, fit_calibration
from zanc_pipeline.scoring.candidates import FittedModel, fit_trees, monotone_columns
from zanc_pipeline.scoring.dataset import answer_table
from zanc_pipeline.scoring.encoding import Encoder
from zanc_pipeline.scoring.features import AnswerHistory
from zanc_pipeline.scoring.serving import CHUNK_PHONES, HOURS, slot_scores
from zanc_pipeline.scoring.spec import load_spec
from zanc_pipeline.scoring.tables import LABEL, prepare

MIN_RATIO, MAX_MEGABYTES = 0.6, 1500.0
CALLS_A_PHONE, TREES = 5, 250
OUTCOMES = np.array(["human", "machine", "busy", "no_answer", "invalid_number"], dtype=object)
SHARES = (0.25, 0.3, 0.1, 0.33, 0.02)
DAY, NOW = date(2026, 11, 23), 1_795_420_800.0


def chunk_of(number: int, phones: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The phones of a chunk and their calls, as they come from the base."""
    random = np.random.default_rng([7, number])
    names = pd.Series([f"119{number:03d}{one:05d}" for one in range(phones)])
    frame = pd.DataFrame(
        {"phone": names, "first_seen": NOW - random.integers(1, 500, phones) * 864e2}
    )
    count = phones * CALLS_A_PHONE
    calls = pd.DataFrame(
        {
            "crm": "norma",
            "call_id": np.arange(count).astype("str"),
            "cpf": "52998224725",
            "phone": names.to_numpy()[random.integers(0, phones, count)],
            "started": np.sort(NOW - random.random(count) * 120 * 86_400),
            "ring_seconds": 8.0,
            "talk_seconds": 0.0,
            "outcome": random.choice(OUTCOMES, count, p=SHARES),
            "tabulation": pd.Series([None] * count, dtype="str"),
            "convenio": "banco_aurora",
        }
    )
    return frame, calls


def make_model() -> FittedModel:
    """Trees of the answer model's own size, fitted on generated calls."""
    phones, calls = chunk_of(999, 20_000)
    spec = load_spec(project_root() / "models/answer/model.yaml")
    table = answer_table(calls, phones.set_index("phone")["first_seen"])
    table, spec = prepare(table, spec, where="generated")
    encoder = Encoder.fit(table, spec.features)
    matrix, label = encoder.encode(table), table[LABEL].to_numpy(np.float64)
    trees = fit_trees(matrix, label, monotone_columns(encoder, spec), spec.boosting, TREES)
    model = FittedModel(
        kind="xgboost", trees=trees, logistic=None, encoder=encoder, calibration=Calibration()
    )
    calibration = fit_calibration(model.predict_matrix(matrix), label, "isotonic")
    return FittedModel(
        kind="xgboost", trees=trees, logistic=None, encoder=encoder, calibration=calibration
    )


def main() -> int:
    """Print both speeds and the peak of memory; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a million phones")
    phones = 1_000_000 if parser.parse_args().full else 150_000
    ours = bare = 0.0
    with threadpool_limits(limits=1):
        model = make_model()
        booster = model.trees.get_booster()
        for number in range(phones // CHUNK_PHONES):
            frame, calls = chunk_of(number, CHUNK_PHONES)
            began = time.process_time()
            slot_scores(model, calls, frame, DAY, NOW)
            ours += time.process_time() - began
            moments = frame.assign(at=NOW, weekday=DAY.weekday(), hour=10)
            ready = model.encoder.encode(AnswerHistory(calls).features(moments))
            began = time.process_time()
            for _ in HOURS:
                booster.inplace_predict(ready, validate_features=False)
            bare += time.process_time() - began
    rows = phones * len(HOURS)
    ratio = bare / ours
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fast, small = ratio >= MIN_RATIO, peak <= MAX_MEGABYTES
    print(
        f"{phones:,} phones, {phones * CALLS_A_PHONE:,} calls, {len(HOURS)} hours: {rows:,} scores"
    )
    print(f"  bare inplace_predict, {TREES} trees   {rows / bare:12,.0f} rows a CPU second")
    print(f"  ours, features included          {rows / ours:12,.0f} rows a CPU second")
    print(f"  ratio {ratio:.2f} (≥ {MIN_RATIO})  {'ok' if fast else 'MISSED'}")
    print(f"  peak memory {peak:,.0f} MB (≤ {MAX_MEGABYTES:,.0f})  {'ok' if small else 'MISSED'}")
    for name, good in (("the speed", fast), ("the memory", small)):
        if not good:
            print(f"missed: {name}", file=sys.stderr)
    return 0 if fast and small else 1


if __name__ == "__main__":
    sys.exit(main())
