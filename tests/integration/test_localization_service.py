"""The localization service as a process, on a PostgreSQL that the tests stop and kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from crm_world import cpf

from tests.ports import free_port_offset
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.localization import rebuild
from zanc_pipeline.stack import postgres

pytestmark = pytest.mark.integration

PHONE = "11987654321"
ZANC = Path(sys.executable).with_name("zanc")


class Database:
    """A PostgreSQL of this module's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server: subprocess.Popen[bytes] | None = None
        self.log = (settings.var / "postgres.log").open("wb")

    def start(self) -> None:
        self.server = subprocess.Popen(
            postgres.command(self.settings), stdout=self.log, stderr=self.log
        )
        wait_until(lambda: postgres.answers(self.settings))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        assert self.server is not None
        if how == signal.SIGKILL:
            # the launcher and the server may be one process or two: the pid file names the server
            folder = next(self.settings.var.rglob("postmaster.pid")).read_text().splitlines()
            os.kill(int(folder[0]), signal.SIGKILL)
        else:
            self.server.send_signal(how)
        self.server.wait(30)


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    var = tmp_path_factory.mktemp("localization")
    settings = load_settings(var=var, port_offset=free_port_offset())
    postgres.initialise(settings)
    made = Database(settings)
    made.start()
    try:
        postgres.create_databases(settings)
        migrate(settings)
        yield made
    finally:
        made.stop()
        made.log.close()


@contextmanager
def running(settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "ZANC_VAR": str(settings.var),
        "ZANC_PORT_OFFSET": str(settings.port_offset),
        **more,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [ZANC, "localization", "serve"], stderr=output, stdout=output, env=environment
        )
    try:
        wait_until(lambda: "listening" in log.read_text() or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "service.log"


@pytest.fixture(scope="module")
def service(database: Database, log: Path) -> Iterator[str]:
    with running(database.settings, log):
        yield database.settings.web_url(database.settings.localization)


@pytest.fixture
def client(database: Database, service: str) -> Iterator[httpx.Client]:
    with transaction(database.settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")
    with as_crm(database.settings, "norma") as opened:
        yield opened


def as_crm(settings: Settings, crm: str) -> httpx.Client:
    token = settings.secret(f"localization_token_{crm}")
    return httpx.Client(
        base_url=settings.web_url(settings.localization),
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )


def call(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "call_id": f"a{number}",
        "cpf": cpf(1),
        "phone": PHONE,
        "started_at": (datetime.now(UTC) - timedelta(days=3, minutes=number)).isoformat(),
        "ring_seconds": 8.5,
        "talk_seconds": 0,
        "outcome": "no_answer",
        "tabulation": None,
        **changed,
    }


def test_calls_are_recorded_once(client: httpx.Client, database: Database) -> None:
    calls = [call(1), call(2, outcome="human", talk_seconds=30.5, tabulation="promise"), call(3)]
    assert client.post("/v1/calls", json=calls).json() == {"accepted": 3, "duplicates": 0}
    assert client.post("/v1/calls", json=calls).json() == {"accepted": 0, "duplicates": 3}
    with as_crm(database.settings, "larga") as other:
        assert other.post("/v1/calls", json=calls[:1]).json() == {"accepted": 1, "duplicates": 0}
    result = rebuild.verify(database.settings)
    assert (result.calls, result.differing) == (4, 0)
    assert client.post("/v1/calls", json=[]).json() == {"accepted": 0, "duplicates": 0}


def test_calls_out_of_order_keep_the_summary_right(
    client: httpx.Client, database: Database
) -> None:
    # a higher number is an earlier call
    for number, outcome in ((5, "human"), (2, "busy"), (1, "busy"), (3, "human"), (4, "busy")):
        client.post("/v1/calls", json=[call(number, outcome=outcome)])
    assert rebuild.verify(database.settings).differing == 0


def test_phones_come_ranked_with_evidence(client: httpx.Client) -> None:
    calls = [
        call(1, outcome="human", tabulation="callback"),
        call(2, phone="+55 (11) 3333-4444"),
    ]
    client.post("/v1/calls", json=calls)
    found = client.get(f"/v1/people/{cpf(1)}/phones").json()
    assert [phone["phone"] for phone in found["phones"]] == [PHONE, "1133334444"]
    assert found["phones"][0]["rank"] == 1
    assert any("titular" in line for line in found["phones"][0]["evidence"])
    assert client.get(f"/v1/people/{cpf(77)}/phones").json()["phones"] == []


def test_dial_check_says_why_not(client: httpx.Client) -> None:
    now = datetime.now(UTC).isoformat()
    client.post("/v1/calls", json=[call(n, started_at=now) for n in range(3)])
    answer = client.post(
        "/v1/dial-check", json={"cpf": cpf(1), "phones": [PHONE, "11987654322"]}
    ).json()
    assert answer["phones"] == [
        {
            "phone": PHONE,
            "dial": False,
            "reason": "phone_limit",
            "texto": "o telefone já teve 3 tentativas hoje",
        },
        {"phone": "11987654322", "dial": True, "reason": None, "texto": None},
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cpf": "12345678900"}, "call 0: cpf"),
        ({"cpf": 12345678909}, "call 0: cpf"),
        ({"phone": "123"}, "call 0: phone"),
        ({"started_at": "2026-13-45T00:00:00Z"}, "call 0: started_at"),
        ({"started_at": "2026-03-01T10:00:00"}, "UTC offset"),
        ({"started_at": "1970-01-01T00:00:00Z"}, "before the year 2000"),
        ({"started_at": "2999-01-01T00:00:00Z"}, "in the future"),
        ({"started_at": "0001-01-01T00:00:00+23:59"}, "started_at"),
        ({"outcome": "answered"}, "outcome: expected one of human"),
        ({"outcome": ["human"]}, "outcome"),
        ({"outcome": {}}, "outcome"),
        ({"tabulation": "x"}, "tabulation"),
        ({"talk_seconds": -1}, "talk_seconds"),
        ({"talk_seconds": "3"}, "talk_seconds"),
        ({"talk_seconds": True}, "talk_seconds"),
        ({"talk_seconds": 10**400}, "talk_seconds"),
        ({"ring_seconds": 1e9}, "ring_seconds"),
        ({"call_id": ""}, "call_id"),
        ({"call_id": "x" * 81}, "call_id"),
        ({"call_id": "a\u0000"}, "call_id"),
        ({"convenio": "../x"}, "convenio"),
    ],
)
def test_a_wrong_call_is_refused_with_its_field(
    client: httpx.Client, changed: dict[str, Any], message: str
) -> None:
    answer = client.post("/v1/calls", json=[{**call(1), **changed}, call(2)])
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    # none was recorded
    assert client.post("/v1/calls", json=[call(2)]).json()["accepted"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"calls": []}', b"[1]", b"null", b"NaN"]
)
def test_a_malformed_body_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/calls", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_wrong_questions_are_refused(client: httpx.Client) -> None:
    for question in (
        {"cpf": "x", "phones": [PHONE]},
        {"cpf": cpf(1)},
        {"cpf": cpf(1), "phones": []},
        {"cpf": cpf(1), "phones": [PHONE] * 51},
        {"cpf": cpf(1), "phones": [5]},
        [],
    ):
        assert client.post("/v1/dial-check", json=question).status_code == 400
    assert client.get("/v1/people/123/phones").status_code == 400
    assert client.get("/v1/people/%00/phones").status_code == 400
    assert client.get("/v1/nothing").status_code == 404
    assert client.put("/v1/calls").status_code == 405
    assert client.post("/v1/calls", json=[call(n) for n in range(5001)]).status_code == 400


def test_a_body_that_is_too_large_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/calls", content=b"[" + b" " * 3_000_000 + b"]")
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]
    chunks = (b" " * 100_000 for _ in range(30))
    assert client.post("/v1/calls", content=chunks).status_code == 413
    # the connection is still good
    assert client.post("/v1/calls", json=[call(1)]).json()["accepted"] == 1


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic eDp5", "Bearer é"])
def test_without_the_token_of_a_crm_nothing_is_told(
    service: str, client: httpx.Client, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    for method, path in (
        ("POST", "/v1/calls"),
        ("GET", f"/v1/people/{cpf(1)}/phones"),
        ("POST", "/v1/dial-check"),
    ):
        answer = httpx.request(method, service + path, headers=headers)
        assert answer.status_code == 401
        assert "token" in answer.json()["error"]


def test_health_metrics_and_the_document_are_open(service: str, client: httpx.Client) -> None:
    client.post("/v1/calls", json=[call(1)])
    assert httpx.get(f"{service}/healthz").json() == {"status": "ok"}
    assert httpx.request("MADEUP", f"{service}/healthz").status_code == 405
    metrics = httpx.get(f"{service}/metrics").text
    assert 'localization_calls_total{crm="norma",result="accepted"}' in metrics
    assert 'route="/v1/calls",status="200"' in metrics
    assert "localization_in_flight 0" in metrics
    assert "MADEUP" not in metrics
    document = httpx.get(f"{service}/openapi.json").json()
    assert set(document["paths"]) >= {
        "/v1/calls",
        "/v1/people/{cpf}/phones",
        "/v1/dial-check",
        "/healthz",
        "/metrics",
    }


def test_the_log_shows_no_cpf_and_no_phone(client: httpx.Client, log: Path) -> None:
    client.post("/v1/calls", json=[call(1)])
    client.get(f"/v1/people/{cpf(1)}/phones")
    client.post("/v1/dial-check", json={"cpf": cpf(1), "phones": [PHONE]})
    wait_until(lambda: "/v1/dial-check" in log.read_text())
    text = log.read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    [asked] = [one for one in entries if one.get("route") == "/v1/people/{cpf}/phones"][-1:]
    assert (asked["crm"], asked["status"], asked["cpf"]) == (
        "norma",
        200,
        "*********" + cpf(1)[-2:],
    )
    assert cpf(1) not in text
    assert PHONE not in text


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_while_postgres_is_away_it_says_so_and_then_goes_on(
    client: httpx.Client, database: Database, service: str, how: signal.Signals
) -> None:
    assert client.post("/v1/calls", json=[call(1)]).status_code == 200
    database.stop(how)
    try:
        answer = client.post("/v1/calls", json=[call(2)])
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert httpx.get(f"{service}/healthz").status_code == 503
    finally:
        database.start()
    wait_until(lambda: client.post("/v1/calls", json=[call(2)]).status_code == 200)
    result = rebuild.verify(database.settings)
    assert (result.calls, result.differing) == (2, 0)


def test_it_starts_and_waits_while_postgres_is_away(database: Database, tmp_path: Path) -> None:
    settings = load_settings(var=database.settings.var, port_offset=database.settings.port_offset)
    settings.localization.port += 50
    more = {
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port - settings.port_offset),
    }
    database.stop()
    url = settings.web_url(settings.localization)
    try:
        with running(settings, tmp_path / "log", **more):
            assert httpx.get(f"{url}/healthz").status_code == 503
            database.start()
            wait_until(lambda: httpx.get(f"{url}/healthz").status_code == 200)
    finally:
        if database.server is not None and database.server.poll() is not None:
            database.start()


def test_a_taken_port_is_one_clear_line(service: str, database: Database, tmp_path: Path) -> None:
    with running(database.settings, tmp_path / "log") as second:
        assert second.wait(30) == 1
    assert (tmp_path / "log").read_text().strip().endswith("config/stack.yaml")


def test_killed_service_and_killed_postgres_lose_and_double_nothing(
    client: httpx.Client, database: Database, tmp_path: Path
) -> None:
    """Three CRMs send until answered, two processes serve, everything is killed in between."""
    settings = load_settings(var=database.settings.var, port_offset=database.settings.port_offset)
    settings.localization.port += 60
    more = {
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port - settings.port_offset),
        "ZANC_LOCALIZATION__PROCESSES": "2",
    }
    acknowledged = dict.fromkeys(("norma", "larga", "leve"), 0)
    done = threading.Event()

    def send(crm: str) -> None:
        batch = 0
        with as_crm(settings, crm) as mine:
            while not done.is_set() or batch < 30:
                calls = [
                    call(
                        batch * 20 + n,
                        cpf=cpf(1 + n % 3),
                        phone=f"1198765432{n % 4}",
                        outcome=("human", "busy", "no_answer")[(batch + n) % 3],
                    )
                    for n in range(20)
                ]
                while True:
                    try:
                        answer = mine.post("/v1/calls", json=calls)
                    except httpx.TransportError:
                        time.sleep(0.05)
                        continue
                    if answer.status_code == 200:
                        assert sum(answer.json().values()) == 20
                        break
                    assert answer.status_code == 503
                    time.sleep(0.05)
                acknowledged[crm] += 20
                batch += 1

    log = tmp_path / "log"
    senders = [threading.Thread(target=send, args=(crm,), daemon=True) for crm in acknowledged]
    for sender in senders:
        sender.start()
    with running(settings, log, **more) as first:
        wait_until(lambda: min(acknowledged.values()) > 60)
        first.kill()
        first.wait()
    log.unlink()
    wait_until(lambda: _port_is_free(settings))
    with running(settings, log, **more):
        before = min(acknowledged.values())
        wait_until(lambda: min(acknowledged.values()) > before + 60)
        database.stop(signal.SIGKILL)
        database.start()
        done.set()
        for sender in senders:
            sender.join(120)
    assert not any(sender.is_alive() for sender in senders)
    result = rebuild.verify(database.settings)
    assert (result.calls, result.differing) == (sum(acknowledged.values()), 0)


def _port_is_free(settings: Settings) -> bool:
    try:
        httpx.get(f"{settings.web_url(settings.localization)}/healthz")
    except httpx.TransportError:
        return True
    return False


def test_asked_to_stop_it_answers_what_it_has_begun(database: Database, tmp_path: Path) -> None:
    settings = load_settings(var=database.settings.var, port_offset=database.settings.port_offset)
    settings.localization.port += 70
    more = {
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port - settings.port_offset),
    }
    statuses: list[int] = []
    with running(settings, tmp_path / "log", **more) as process:
        # the request waits for this lock
        with transaction(settings, "zanc") as cursor:
            cursor.execute("LOCK TABLE localization.call IN ACCESS EXCLUSIVE MODE")

            def post() -> None:
                with as_crm(settings, "norma") as mine:
                    statuses.append(mine.post("/v1/calls", json=[call(900)]).status_code)

            sender = threading.Thread(target=post)
            sender.start()
            url = f"{settings.web_url(settings.localization)}/metrics"
            wait_until(lambda: "in_flight 1" in httpx.get(url).text)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in (tmp_path / "log").read_text())
        sender.join(30)
        assert process.wait(30) == 0
    assert statuses == [200]


def test_commands_ask_the_base(client: httpx.Client, database: Database, tmp_path: Path) -> None:
    client.post("/v1/calls", json=[call(1, outcome="human", tabulation="refusal")])
    environment = {
        **os.environ,
        "ZANC_VAR": str(database.settings.var),
        "ZANC_PORT_OFFSET": str(database.settings.port_offset),
    }

    def zanc(*words: str) -> str:
        return subprocess.run(
            [ZANC, "localization", *words],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert json.loads(zanc("phones", cpf(1), "--json"))[0]["phone"] == PHONE
    assert "o titular falou neste número" in zanc("phones", cpf(1))
    assert json.loads(zanc("verify", "--json"))["differing"] == 0
