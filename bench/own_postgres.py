"""A PostgreSQL for one bench, with the stack's own settings, and calls to put into it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import postgres
from zanc_pipeline.world.people import cpfs_of

OUTCOMES = ("human", "no_answer", "machine", "busy", "invalid_number")
SHARES = (0.25, 0.4, 0.2, 0.149, 0.001)


@contextmanager
def server(var: Path, **options: str) -> Iterator[Settings]:
    """Run it under ``var`` on free ports, with all tables made; ``options`` go to PostgreSQL."""
    with (
        socket.create_server(("127.0.0.1", 0)) as probe,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = probe.getsockname()[1], other.getsockname()[1]
    settings = load_settings(var=var)
    settings.postgres.port, settings.localization.port = ports
    postgres.initialise(settings)
    with (var / "postgres.log").open("wb") as log:
        more = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        command = [*postgres.command(settings), *more]
        process: Any = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not postgres.answers(settings):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit((var / "postgres.log").read_text())
                time.sleep(0.1)
            postgres.create_databases(settings)
            migrate(settings)
            yield settings
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def cpf_of(number: np.ndarray) -> pa.Array:
    """CPFs of people numbered from 0."""
    return pa.array(cpfs_of(number * 31 + 100_000_007))


def calls(
    crm: str,
    rows: int,
    phones: int,
    *,
    seed: int,
    first: int = 0,
    total: int | None = None,
    days: int = 120,
) -> Any:
    """``rows`` calls of ``days`` days, in order of time, over ``phones`` phones, three a person.

    ``first`` is the number of the first call. In a log of ``total`` calls that is made in parts,
    the times of the parts follow each other too.
    """
    random = np.random.default_rng([seed, first])
    phone = random.integers(0, phones, rows)
    people, person = np.unique(phone // 3, return_inverse=True)
    numbers, place = np.unique(phone, return_inverse=True)
    whole = days * 86_400
    since, until = (0, 1) if total is None else (first / total, (first + rows) / total)
    seconds = np.sort(random.integers(int(since * whole), int(until * whole), rows))
    start = np.datetime64((datetime.now(UTC) - timedelta(days=days + 1)).replace(tzinfo=None), "us")
    outcome = random.choice(len(OUTCOMES), rows, p=SHARES)
    return pa.table(
        {
            "crm": pa.array([crm]).take(pa.array(np.zeros(rows, dtype=np.int32))),
            "call_id": pa.array(np.char.mod("b%010d", np.arange(first, first + rows))),
            "cpf": cpf_of(people).take(pa.array(person)),
            "phone": pa.array(np.char.mod("119%08d", numbers)).take(pa.array(place)),
            "started_at": pa.array(start + seconds.astype("timedelta64[s]")).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "ring_seconds": pa.array(random.integers(1, 25, rows), pa.float32()),
            "talk_seconds": pa.array(np.where(outcome == 0, 60.0, 0.0), pa.float32()),
            "outcome": pa.array(OUTCOMES).take(pa.array(outcome)),
            "tabulation": pa.nulls(rows, pa.string()),
            "convenio": pa.nulls(rows, pa.string()),
        }
    )
