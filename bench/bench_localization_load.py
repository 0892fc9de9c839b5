"""Bulk load of calls with their summaries, beside the bare COPY of the same rows.

Both write the same rows into the same empty log table of a PostgreSQL of their own, one after the
other, several times; the best of each counts. The COPY is the limit: nobody can load faster.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zanc_pipeline.common.database import copy_table, transaction
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.localization import base
from zanc_pipeline.localization.files import read_calls
from zanc_pipeline.stack import postgres
from zanc_pipeline.world.people import cpfs_of

ROWS, PEOPLE, ROUNDS = 200_000, 30_000, 3


def main() -> None:
    """Print both rates and their ratio."""
    with TemporaryDirectory(prefix="zanc-bench-") as folder, _server(Path(folder)) as settings:
        migrate(settings)
        path = Path(folder) / "calls.parquet"
        pq.write_table(_calls(next(iter(settings.crms))), path)
        rows = read_calls(path, now=datetime.now(UTC), crms=frozenset(settings.crms))

        def bare() -> None:
            with transaction(settings, "zanc") as cursor:
                copy_table(cursor, "localization.call", rows)

        def ours() -> None:
            counts = base.load_file(settings, path)
            assert counts.accepted == ROWS, counts

        limit, measured = np.inf, np.inf
        for _ in range(ROUNDS):
            limit = min(limit, _seconds(settings, bare))
            measured = min(measured, _seconds(settings, ours))
    print(f"bare COPY into the log       {ROWS / limit:>9,.0f} calls/s")
    print(f"load, checked, with summaries {ROWS / measured:>8,.0f} calls/s")
    print(f"of the limit                 {limit / measured:>9.0%}")


def _calls(crm: str) -> pa.Table:
    """Calls of 120 days to one to three phones of each person, in order of time."""
    random = np.random.default_rng(7)
    person = random.integers(0, PEOPLE, ROWS)
    cpfs = pa.array(cpfs_of(np.arange(PEOPLE) * 31 + 100_000_007))
    phones = pa.array([f"1190{number:07d}" for number in range(PEOPLE * 3)])
    seconds = np.sort(random.integers(0, 120 * 86_400, ROWS)).astype("timedelta64[s]")
    first = np.datetime64((datetime.now(UTC) - timedelta(days=121)).replace(tzinfo=None), "us")
    outcomes = pa.array(["human", "no_answer", "machine", "busy", "invalid_number"])
    outcome = random.choice(5, ROWS, p=[0.25, 0.4, 0.2, 0.1, 0.05])
    return pa.table(
        {
            "crm": [crm] * ROWS,
            "call_id": [f"b{number:08d}" for number in range(ROWS)],
            "cpf": cpfs.take(pa.array(person)),
            "phone": phones.take(pa.array(person * 3 + random.integers(0, 3, ROWS))),
            "started_at": pa.array(first + seconds).cast(pa.timestamp("us", tz="UTC")),
            "ring_seconds": pa.array(random.uniform(1, 25, ROWS), pa.float32()),
            "talk_seconds": pa.array(np.where(outcome == 0, 60.0, 0.0), pa.float32()),
            "outcome": outcomes.take(pa.array(outcome)),
        }
    )


def _seconds(settings: Settings, work: Callable[[], None]) -> float:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")
        cursor.execute("CHECKPOINT")
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _server(var: Path) -> Iterator[Settings]:
    """A PostgreSQL of its own, with the same settings as the stack's."""
    settings = load_settings(var=var)
    with socket.create_server((settings.host, 0)) as probe:
        settings.postgres.port = probe.getsockname()[1]
    postgres.initialise(settings)
    with (var / "postgres.log").open("wb") as log:
        server: Any = subprocess.Popen(postgres.command(settings), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not postgres.answers(settings):
                if server.poll() is not None or time.monotonic() > deadline:
                    sys.exit((var / "postgres.log").read_text())
                time.sleep(0.1)
            postgres.create_databases(settings)
            yield settings
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)


if __name__ == "__main__":
    main()
