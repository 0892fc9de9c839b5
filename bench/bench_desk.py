"""The pages of the floor with 100 campaigns, 200 operators at their desks and 5 supervisors.

    python bench/bench_desk.py [--rounds N] [--full]

A dialer of its own, without a PBX, on a PostgreSQL of its own with 30 days behind it; in another
process 200 desks and 5 walls hold their websockets while each page is asked again and again. Every
page must answer within 200 ms (of 20 asked, the 19th); so must the card that is pushed to a desk.
``--full`` asks ten times as often over 90 days.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from own_postgres import server
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings

CAMPAIGNS, OPERATORS, WALLS = 100, 200, 5
LIMIT_MS = 200.0
ROUNDS, DAYS = 40, 30
ATTEMPTS_A_DAY = 3000

SECTION = {
    "modo": "preditivo", "horario": ["00:00", "24:00"],
    "dias": ["seg", "ter", "qua", "qui", "sex", "sab", "dom"], "fuso": "America/Sao_Paulo",
    "identificador": "1140028900", "tentativas_por_telefone": 2, "nova_tentativa_minutos": {},
    "toque_maximo_segundos": 20, "pos_atendimento_segundos": 30,
}  # fmt: skip

_FILL = """
INSERT INTO campaign (id, name, settings, mailing, sha256, submitted_at)
SELECT 'c' || n, 'campanha_' || n, %(section)s::jsonb, '', '', now() - interval '90 days'
FROM generate_series(1, %(campaigns)s) n;
INSERT INTO lead (campaign_id, rank, cpf, name, crm, convenio, contract, amount, phones)
SELECT 'c' || c, n, lpad((c * 1000 + n)::text, 11, '0'), 'Pessoa ' || n, 'norma', 'banco_aurora',
       'C' || n, 100, ARRAY['11912345678']
FROM generate_series(1, %(campaigns)s) c, generate_series(1, 50) n;
INSERT INTO operator (id, name, state, since)
SELECT 'op' || lpad(n::text, 3, '0'), 'op' || n,
       CASE WHEN n %% 5 = 0 THEN 'paused' ELSE 'idle' END, now() - n * interval '1 second'
FROM generate_series(1, %(operators)s) n;
INSERT INTO account (login, name, role, phone, password)
SELECT 'o' || n, 'Operador ' || n, 'operator', 'op' || lpad(n::text, 3, '0'), ''
FROM generate_series(1, %(operators)s) n
UNION ALL SELECT 's' || n, 'Supervisor ' || n, 'supervisor', NULL, ''
FROM generate_series(1, %(walls)s) n;
INSERT INTO web_session (sha256, login, csrf, expires_at)
SELECT encode(sha256(rpad(login, 43, '_')::bytea), 'hex'), login, 'x', now() + interval '1 day'
FROM account;
INSERT INTO calling_hour
SELECT 'campanha_' || c, current_date - d, h, '', 60, 15, 0
FROM generate_series(1, %(campaigns)s) c, generate_series(0, %(days)s) d,
     generate_series(8, 19) h;
INSERT INTO attempt (id, campaign_id, lead_id, number, cpf, phone, pbx, operator, state, created_at,
                     answered_at, connected_at, ended_at, outcome, tabulation, promise_amount,
                     closed_number, exported_at)
SELECT md5(n::text), 'c' || (1 + n %% %(campaigns)s), 1 + n %% (50 * %(campaigns)s), n, '1', '1',
       'central', 'op' || lpad((1 + n %% %(operators)s)::text, 3, '0'), 'ended', at, at, at,
       at + interval '90 s', 'human', CASE WHEN n %% 4 = 0 THEN 'promise' ELSE 'refusal' END,
       CASE WHEN n %% 4 = 0 THEN 100 END, n, at
FROM (SELECT n, now() - (n / %(a_day)s::float8) * interval '1 day' AS at
      FROM generate_series(1, %(a_day)s * %(days)s) n) made;
INSERT INTO operator_time (operator_id, campaign_id, state, started_at, ended_at)
SELECT operator, campaign_id, 'talking', connected_at, ended_at FROM attempt;
ANALYZE
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Milliseconds that answers took, one after the other."""

    what: str
    times: list[float]

    @property
    def late(self) -> float:
        """The 19th of 20."""
        return statistics.quantiles(self.times, n=20)[18]


def main() -> None:
    """Print the figures; exit 1 when a page is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often a page is asked")
    parser.add_argument("--full", action="store_true", help="ten times as often, over 90 days")
    chosen = parser.parse_args()
    rounds, days = (ROUNDS * 10, 90) if chosen.full else (chosen.rounds, DAYS)
    with TemporaryDirectory(prefix="zanc-bench-") as folder, server(Path(folder)) as settings:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            settings.dialer.port = probe.getsockname()[1]
        settings.localization.url = "http://127.0.0.1:9"
        settings.world.any_hour = True
        _fill(settings, days)
        floor = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings,))
        floor.start()
        try:
            asked = asyncio.run(_ask(settings, rounds))
        finally:
            floor.kill()
            floor.join()
    print(f"{CAMPAIGNS} campaigns, {OPERATORS} desks, {WALLS} walls, {days} days, ms:")
    print(f"{'':24} {'median':>8} {'p95':>8} {'worst':>8}   limit {LIMIT_MS:.0f} of p95")
    missed = False
    for one in asked:
        ratio = one.late / LIMIT_MS
        missed |= ratio > 1
        print(
            f"{one.what:24} {statistics.median(one.times):8.1f} {one.late:8.1f}"
            f" {max(one.times):8.1f}   {ratio:.2f}"
        )
    sys.exit(1 if missed else 0)


def _fill(settings: Settings, days: int) -> None:
    values = {
        "section": json.dumps(SECTION), "campaigns": CAMPAIGNS, "operators": OPERATORS,
        "walls": WALLS, "days": days, "a_day": ATTEMPTS_A_DAY,
    }  # fmt: skip
    with transaction(settings, "dialer") as cursor:
        cursor.execute(_FILL, values)


def _serve(settings: Settings) -> None:
    import uvloop

    from dialer.service import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


def _cookie(login: str) -> dict[str, str]:
    return {"Cookie": f"zanc_session={login:_<43}"}


async def _ask(settings: Settings, rounds: int) -> list[Asked]:
    url = settings.web_url(settings.dialer)
    client = AsyncHTTPClient(max_clients=20)
    await _until_ready(client, url)
    stop = asyncio.Event()
    sockets = [
        await websocket_connect(
            HTTPRequest(url.replace("http", "ws") + path, headers=_cookie(login)),
            max_message_size=10**8,
        )
        for path, login in (
            *(("/mesa/ao-vivo", f"o{number}") for number in range(1, OPERATORS + 1)),
            *(("/v1/live", f"s{number}") for number in range(1, WALLS + 1)),
        )
    ]
    pushed: dict[int, asyncio.Event] = {0: asyncio.Event()}

    async def hear(number: int, connection: Any) -> None:
        while not stop.is_set() and await connection.read_message() is not None:
            if number in pushed:
                pushed[number].set()

    hearing = [asyncio.create_task(hear(number, one)) for number, one in enumerate(sockets)]
    await asyncio.sleep(2)
    found = []
    for what, path, login in (
        ("login page", "/entrar", ""),
        ("desk", "/mesa", "o1"),
        ("wall, live", "/painel", "s1"),
        ("wall, 30 days", "/painel/historico?dias=30", "s1"),
        ("wall, 90 days", "/painel/historico?dias=90", "s1"),
        ("audit", "/painel/auditoria", "s1"),
    ):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            answer = await client.fetch(url + path, headers=_cookie(login), follow_redirects=False)
            assert answer.code == 200, (path, answer.code)
            times.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
        found.append(Asked(what=what, times=times))
    found.append(await _pushes(settings, client, url, pushed[0], rounds))
    stop.set()
    for task in hearing:
        task.cancel()
    return found


async def _pushes(
    settings: Settings, client: AsyncHTTPClient, url: str, pushed: asyncio.Event, rounds: int
) -> Asked:
    """From an order (pause, ready) until the desk of that operator has its new card."""
    token = {"Authorization": f"Bearer {settings.secret('dialer_token')}"}
    times = []
    for number in range(rounds):
        await asyncio.sleep(0.1)
        pushed.clear()
        order = "ready" if number % 2 else "pause"
        began = time.perf_counter()
        asked = client.fetch(
            f"{url}/v1/operators/op001/{order}", method="POST", body="{}", headers=token
        )
        await asyncio.gather(pushed.wait(), asked)
        times.append((time.perf_counter() - began) * 1000)
    return Asked(what="order to card on a desk", times=times)


async def _until_ready(client: AsyncHTTPClient, url: str) -> None:
    for _ in range(600):
        try:
            await client.fetch(f"{url}/healthz")
        except Exception:  # it is not there yet, or restores
            await asyncio.sleep(0.2)
        else:
            return
    sys.exit("the dialer did not start")


if __name__ == "__main__":
    main()
