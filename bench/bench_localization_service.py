"""The localization service on real PostgreSQL: lookups beside a bare handler, and durable POSTs.

The bare handler (bare_lookup.py) is the limit of a lookup: Tornado + asyncpg with one SELECT, in as
many processes; both are asked by turns for the same people by the same generator. Then 4,000
connections stay open while calls are posted in batches of 100 through all of them: as fast as they
are answered, and at half the asked rate. The generator shares the machine with what it measures.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import http_load
import httpx
import numpy as np
import uvloop
from own_postgres import calls, server

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import bulk

CALLS, PHONES, PROCESSES = 200_000, 60_000, 2
ROUNDS, SECONDS = 4, 4.0
CONNECTIONS, BATCH, ASKED = 4000, 100, 10_000
ASKED_LOOKUPS, ASKED_P99 = 0.8, 0.5


def main() -> None:
    """Print the figures; exit 1 when one of those asked for is missed."""
    with TemporaryDirectory(prefix="zanc-bench-") as folder, server(Path(folder)) as settings:
        table = calls(next(iter(settings.crms)), CALLS, PHONES, seed=7)
        bulk.load(settings, [table])
        people = table["cpf"].unique().to_pylist()
        with _service(settings), _bare(settings) as bare:
            missed = uvloop.run(_measure(settings, people, bare))
    if missed:
        sys.exit(1)


async def _measure(settings: Settings, people: list[str], bare: int) -> bool:
    token = settings.secret(f"localization_token_{next(iter(settings.crms))}")
    random = np.random.default_rng(11)
    asked = [
        http_load.get(f"/v1/people/{people[place]}/phones", token)
        for place in random.integers(0, len(people), 20_000)
    ]
    numbers = count()

    def lookup() -> bytes:
        return asked[next(numbers) % len(asked)]

    best = {"bare": 0.0, "ours": 0.0}
    ports = {"bare": bare, "ours": settings.localization.port}
    opened = {name: await http_load.connect(port, 64) for name, port in ports.items()}
    for name in (*ports, *list(ports) * ROUNDS):
        rate, _ = await http_load.closed_loop(opened[name], lookup, seconds=SECONDS, in_flight=64)
        best[name] = max(best[name], rate)
    for connection in (*opened["bare"], *opened["ours"]):
        connection.close()
    ratio = best["ours"] / best["bare"]
    print(f"bare Tornado + asyncpg, one SELECT  {best['bare']:>8,.0f} lookups/s")
    print(f"ranked, audited, with evidence      {best['ours']:>8,.0f} lookups/s")
    print(f"of the limit                        {ratio:>8.2f}  ({ASKED_LOOKUPS} asked)")

    connections = await http_load.connect(settings.localization.port, CONNECTIONS)
    batches = iter(_batches(people, token))
    rate, latencies = await http_load.closed_loop(
        connections, lambda: next(batches), seconds=2 * SECONDS, in_flight=32
    )
    print(
        f"{CONNECTIONS:,} connections, batches of {BATCH}     {rate * BATCH:>8,.0f} durable calls/s"
        f"  ({ASKED:,} asked), p99 {np.quantile(latencies, 0.99) * 1000:.0f} ms"
    )
    half = await http_load.open_loop(
        connections, lambda: next(batches), seconds=2 * SECONDS, rate=ASKED / 2 / BATCH
    )
    p99 = float(np.quantile(half, 0.99))
    print(
        f"at {ASKED // 2:,} calls/s                    p99 {p99 * 1000:>8,.0f} ms"
        f"  ({ASKED_P99 * 1000:.0f} asked), median {np.median(half) * 1000:.0f} ms"
    )
    for connection in connections:
        connection.close()
    return ratio < ASKED_LOOKUPS or rate * BATCH < ASKED or p99 > ASKED_P99


def _batches(people: list[str], token: str) -> Iterator[bytes]:
    """Requests of BATCH new calls each."""
    random = np.random.default_rng(12)
    started = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    entry = (
        '{{"call_id":"s{number}","cpf":"{cpf}","phone":"119{phone:08d}","started_at":"{started}",'
        '"ring_seconds":9.5,"talk_seconds":0,"outcome":"no_answer","tabulation":null}}'
    )
    for number in count():
        places = random.integers(0, len(people), BATCH).tolist()
        body = ",".join(
            entry.format(
                number=number * BATCH + place,
                cpf=people[person],
                phone=person * 3,
                started=started,
            )
            for place, person in enumerate(places)
        )
        yield http_load.post("/v1/calls", f"[{body}]".encode(), token)


@contextmanager
def _service(settings: Settings) -> Iterator[None]:
    environment = {
        **os.environ,
        "ZANC_VAR": str(settings.var),
        "ZANC_PORT_OFFSET": "0",
        "ZANC_POSTGRES__PORT": str(settings.postgres.port),
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port),
        "ZANC_LOCALIZATION__PROCESSES": str(PROCESSES),
    }
    command = [str(Path(sys.executable).with_name("zanc")), "localization", "serve"]
    with (settings.var / "service.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _healthy(settings):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((settings.var / "service.log").read_text())
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _healthy(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.web_url(settings.localization)}/healthz").is_success
    except httpx.TransportError:
        return False


@contextmanager
def _bare(settings: Settings) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    dsn = settings.postgres.sqlalchemy_url("zanc").replace("+psycopg2", "")
    script = Path(__file__).with_name("bare_lookup.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(port), str(PROCESSES)],
        env={**os.environ, "DSN": dsn},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for _ in range(PROCESSES):
            process.stdout.readline()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


if __name__ == "__main__":
    main()
