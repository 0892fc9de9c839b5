"""Our pages in the Airflow UI at 1,000 deliveries a day, 100 campaigns and 200 operators.

Each page is asked through the whole application, with Airflow's own permission checks replaced by
nothing (they are Airflow's), on a real PostgreSQL; the dialer is a stand-in that answers at once.
Beside them a bare handler of the same framework that answers as many bytes: what no page can beat.
A page must answer within 200 ms (p95).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from own_postgres import server

from zanc_pipeline.airflow.pages import access, campaigns, mailings, reception
from zanc_pipeline.airflow.pages.app import pages
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings

DELIVERIES, DAYS, CAMPAIGNS, OPERATORS, MAILINGS = 1_000, 30, 100, 200, 100
ASKED, WARM, LIMIT_MS = 40, 3, 200.0


class Everybody(access.Reader):
    """Reads and changes everything."""

    def may_change(self, dag_id: str) -> bool:
        """Yes."""
        return True


def main() -> None:
    """Print the figures; exit 1 when a page takes more than its limit."""
    with TemporaryDirectory(prefix="zanc-bench-") as folder, server(Path(folder)) as settings:
        fill(settings)
        for part in (reception, campaigns, mailings):
            part.settings = lambda: settings
        campaigns._dialer = lambda: StandIn()
        missed = measure(settings)
    if missed:
        sys.exit(1)


def measure(settings: Settings) -> bool:
    """Ask every page; whether one was too slow."""
    client = application(settings)
    print("page           p50 ms   p95 ms  limit  bare p50  ratio     kB")
    missed = False
    for name, address in {
        "Recepção": "/recepcao",
        "all days": "/recepcao?dia=todos",
        "Entrega": "/recepcao/reception__banco_aurora/1",
        "Campanhas": "/campanhas",
        "Campanha": "/campanhas/campaign__c0/c0-1",
        "Mailings": "/mailings",
        "Mailing": "/mailings/mailing__c0/c0-20261101-0",
    }.items():
        campaigns._answers.clear()
        answer = client.get(address)
        if answer.status_code != 200:
            sys.exit(f"{address}: {answer.status_code} {answer.text[:300]}")
        bare = bare_handler(answer.text)
        ours = timed(lambda address=address: client.get(address))
        least = timed(lambda bare=bare: bare.get("/"))
        p50, p95 = np.percentile(ours, [50, 95])
        floor = float(np.median(least))
        missed |= bool(p95 > LIMIT_MS)
        print(
            f"{name:<12} {p50:8.1f} {p95:8.1f} {LIMIT_MS:6.0f} {floor:9.1f} {p50 / floor:6.1f} "
            f"{len(answer.content) / 1000:6.1f}"
        )
    return missed


def timed(ask: Callable[[], Any]) -> list[float]:
    """Milliseconds of each of ``ASKED`` answers, one after the other, after some to warm up."""
    taken = []
    for place in range(WARM + ASKED):
        campaigns._answers.clear()
        began = time.perf_counter()
        ask()
        if place >= WARM:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def application(settings: Settings) -> TestClient:
    """All pages, opened for everybody."""
    app = pages()
    for route in app.routes:
        if isinstance(route, APIRoute):
            for one in route.dependencies:
                app.dependency_overrides[one.dependency] = lambda: None
    dags = [f"reception__{name}" for name in settings.convenios]
    for number in range(CAMPAIGNS):
        dags += [f"campaign__c{number}", f"mailing__c{number}"]
    reader = Everybody(name="bench", dags=frozenset(dags), user=None)
    app.dependency_overrides[access.reader] = lambda: reader
    return TestClient(app)


def bare_handler(text: str) -> TestClient:
    """The same framework, the same bytes, nothing to do."""
    app = FastAPI()

    @app.get("/")
    def nothing() -> HTMLResponse:
        return HTMLResponse(text)

    return TestClient(app)


def fill(settings: Settings) -> None:
    """A month of deliveries, 1,000 of them today, and mailings of every campaign."""
    convenios = list(settings.convenios)
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, received_at,"
            " status, rows_total, rows_accepted, rows_rejected, reason, folder)"
            " SELECT (%(convenios)s::text[])[1 + n %% %(most)s], 'ARQUIVO_' || n || '.csv',"
            " md5(n::text) || md5('x' || n), 100000, CASE WHEN n < %(today)s"
            " THEN date_trunc('day', now() AT TIME ZONE 'America/Sao_Paulo')"
            " AT TIME ZONE 'America/Sao_Paulo' + n * interval '1 second'"
            " ELSE now() - (1 + n %% %(days)s) * interval '1 day' END,"
            " (ARRAY['loaded', 'loaded', 'quarantined', 'held', 'accepted', 'duplicate'])"
            "[1 + n %% 6], 1000, 990, 10, 'o rodapé diz outro total', 'deliveries/' || n"
            " FROM generate_series(0, %(all)s - 1) AS n",
            {
                "convenios": convenios,
                "most": len(convenios),
                "today": DELIVERIES,
                "days": DAYS,
                "all": DELIVERIES * DAYS,
            },
        )
        cursor.execute(
            "INSERT INTO mailing.mailing (id, campaign, day, inputs_hash, leads, path, sha256,"
            " waterfall, expected, details)"
            " SELECT format('c%%s-20261101-%%s', n %% 100, n), 'c' || n %% 100, '2026-11-01',"
            " n::text, 60, 'x', repeat('0', 64), %(waterfall)s, %(expected)s, %(details)s"
            " FROM generate_series(0, %(most)s - 1) AS n",
            {"most": MAILINGS, **_MAILING},
        )
        cursor.execute("ANALYZE")


_EXPECTED = '{"answers": 30.1, "payments": 1.3, "cost": 27.6, "profit": 666.5}'
_MAILING = {
    "waterfall": '[{"step": "in", "texto": "pessoas com contrato em aberto", "people": 1491},'
    + ", ".join(
        f'{{"step": "s{number}", "texto": "regra {number}", "people": 10}}' for number in range(13)
    )
    + ', {"step": "kept", "texto": "pessoas no mailing", "people": 60}]',
    "expected": _EXPECTED,
    "details": f'{{"any_hour": {_EXPECTED}, "at_random": {_EXPECTED}, "effect": {{"texto": "x"}},'
    ' "exploration": {"control_people": 0, "drawn_people": 0, "hours_people": 0}}',
}


class StandIn:
    """A dialer with 100 campaigns and 200 operators that answers at once."""

    def campaigns(self) -> list[dict[str, Any]]:
        """Rows of all campaigns."""
        return [self.row(number) for number in range(CAMPAIGNS)]

    def row(self, number: int) -> dict[str, Any]:
        """One of them."""
        now = datetime.now(UTC).isoformat()
        row = {"id": f"c{number}-1", "name": f"c{number}", "status": "running", "reason": None}
        return row | {"submitted_at": now, "finished_at": None, "leads_left": 5000}

    def live(self, number: int) -> dict[str, Any]:
        """Its live figures."""
        return {
            "id": f"c{number}-1", "name": f"c{number}", "status": "running", "mode": "preditivo",
            "priority": 5, "operators": {"idle": 1, "talking": 1}, "lines": 3, "kept_lines": 0,
            "waiting": 0, "talking": 1, "answered": 400, "abandoned": 8, "abandoned_share": 0.02,
            "abandoned_share_30_days": 0.01, "abandoned_limit": 0.03,
            "why": "abre 2 linhas: 2 operadores livres, e de 4 chamadas uma é atendida",
        }  # fmt: skip

    def figures(self) -> dict[str, Any]:
        """What goes on."""
        return {
            "pbxs": {"central": True, "central2": True},
            "operators": {"idle": OPERATORS // 2, "talking": OPERATORS // 2},
            "campaigns": [self.live(number) for number in range(CAMPAIGNS)],
        }

    def campaign(self, campaign_id: str) -> dict[str, Any]:
        """One, with all its counts."""
        return self.row(0) | {
            "leads": {"waiting": 5000, "active": 50, "ended": 5000}, "live": self.live(0),
            "attempts": {"human": 4000, "no_answer": 9000, "busy": 100}, "why": "x",
            "tabulations": {"promise": 300}, "abandoned_share": 0.02, "mean_wait_seconds": 0.4,
            "mean_talk_seconds": 80.0, "occupancy": 0.9, "operators": {},
        }  # fmt: skip

    def section(self, campaign_id: str) -> dict[str, Any]:
        """How it dials."""
        return {"modo": "preditivo", "abandono_maximo": 0.03, "horario": ["08:00", "20:00"]}

    def audit(self, campaign_id: str) -> list[dict[str, Any]]:
        """Who did what."""
        now = datetime.now(UTC).isoformat()
        return [{"at": now, "who": "ana", "action": "pause", "detail": None}] * 200


if __name__ == "__main__":
    main()
