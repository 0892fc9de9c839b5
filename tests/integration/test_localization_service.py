"""The localization service as a process, on a PostgreSQL that the tests stop and kill."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from crm_world import cpf

from tests.conftest import NO_WAIT
from tests.patience import PATIENCE, wait_until
from tests.ports import port_offset
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.migrations import migrate
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.localization import rebuild, tokens
from zanc_pipeline.localization.audit import asked_about
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
        """Start it until it runs: it does not while a child of a killed one is still at work."""

        def runs() -> bool:
            if self.server is None or self.server.poll() is not None:
                command = [*postgres.command(self.settings), *NO_WAIT]
                self.server = subprocess.Popen(command, stdout=self.log, stderr=self.log)
            return postgres.answers(self.settings)

        wait_until(runs)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        assert self.server is not None
        if how == signal.SIGKILL:
            # the launcher and the server may be one process or two: the pid file names the server
            folder = next(self.settings.var.rglob("postmaster.pid")).read_text().splitlines()
            os.kill(int(folder[0]), signal.SIGKILL)
        else:
            self.server.send_signal(how)
        self.server.wait(PATIENCE)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    var = tmp_path_factory.mktemp("localization")
    with port_offset() as offset:
        settings = load_settings(var=var, port_offset=offset)
        postgres.initialise(settings)
        made = Database(settings)
        try:
            made.start()
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
        process.wait(PATIENCE)


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


class Patient(httpx.HTTPTransport):
    """Asks again while PostgreSQL is said to be away: the machine may only stand still."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(super(Patient, self).handle_request(request))
            if answers[-1].status_code == httpx.codes.SERVICE_UNAVAILABLE:
                answers.pop().close()
            return bool(answers)

        wait_until(answered, "the service answers")
        return answers[-1]


def as_crm(settings: Settings, crm: str, *, patient: bool = True) -> httpx.Client:
    token = settings.secret(f"localization_token_{crm}")
    return httpx.Client(
        base_url=settings.web_url(settings.localization),
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
        transport=Patient() if patient else None,
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
    counts = answer["phones"][1].pop("texto")
    assert counts.startswith("telefone 0 de 3 hoje e 0 de 10 em sete dias; pessoa 3 de 6 hoje")
    assert answer["phones"] == [
        {
            "phone": PHONE,
            "dial": False,
            "reason": "phone_limit",
            "texto": "o telefone já teve 3 tentativas hoje",
        },
        {"phone": "11987654322", "dial": True, "reason": None},
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
    wrong = client.put("/v1/calls")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert client.post("/v1/calls", json=[call(n) for n in range(5001)]).status_code == 400


def test_a_body_that_is_too_large_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/calls", content=b"[" + b" " * 3_000_000 + b"]")
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]
    chunks = (b" " * 100_000 for _ in range(30))
    assert client.post("/v1/calls", content=chunks).status_code == 413
    # one that is enormous is refused before it is sent
    request = client.build_request("POST", "/v1/calls", headers={"Content-Length": "9" * 12})
    with socket.create_connection((request.url.host, request.url.port or 0), PATIENCE) as raw:
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        raw.sendall("\r\n".join(["POST /v1/calls HTTP/1.1", *lines, "\r\n"]).encode())
        refused = raw.recv(1000)
        assert refused.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in refused  # what it would send is not read
    packed = client.post("/v1/calls", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (packed.status_code, "Content-Encoding" in packed.text) == (415, True)
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
        answer = httpx.request(method, service + path, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 401
        assert "token" in answer.json()["error"]


def test_health_metrics_and_the_document_are_open(service: str, client: httpx.Client) -> None:
    client.post("/v1/calls", json=[call(1)])
    assert httpx.get(f"{service}/healthz", timeout=PATIENCE).json() == {"status": "ok"}
    assert httpx.request("MADEUP", f"{service}/healthz", timeout=PATIENCE).status_code == 405
    metrics = httpx.get(f"{service}/metrics", timeout=PATIENCE).text
    assert 'localization_calls_total{crm="norma",result="accepted"}' in metrics
    assert 'route="/v1/calls",status="200"' in metrics
    assert "localization_in_flight 0" in metrics
    assert "MADEUP" not in metrics
    document = httpx.get(f"{service}/openapi.json", timeout=PATIENCE).json()
    assert set(document["paths"]) >= {
        "/v1/calls",
        "/v1/people/{cpf}/phones",
        "/v1/dial-check",
        "/healthz",
        "/metrics",
    }


def test_the_log_shows_no_cpf_and_no_phone(client: httpx.Client, log: Path) -> None:
    before = log.read_text().count("/v1/dial-check")
    client.post("/v1/calls", json=[call(1)])
    client.get(f"/v1/people/{cpf(1)}/phones")
    client.post("/v1/dial-check", json={"cpf": cpf(1), "phones": [PHONE]})
    wait_until(lambda: log.read_text().count("/v1/dial-check") > before)
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


def reserve(client: httpx.Client, number: int, *phones: str, **more: Any) -> dict[str, Any]:
    question = {"cpf": cpf(number), "phones": phones or (PHONE,), "reserve": True, **more}
    answer = client.post("/v1/dial-check", json=question)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_reserved_person_and_phone_are_nobody_elses(
    client: httpx.Client, database: Database
) -> None:
    second = "11987654322"
    with as_crm(database.settings, "larga") as other:
        mine = reserve(client, 1, PHONE, second, reference="a1")
        assert mine["lease"]["phone"] == PHONE
        assert [(one["dial"], one["reason"]) for one in mine["phones"]] == [
            (True, None),
            (False, "other_phone_reserved"),
        ]
        # asked again it is the same lease; another reference is another attempt
        assert reserve(client, 1, PHONE, second, reference="a1")["lease"] == mine["lease"]
        for asker, person, phone in ((other, 1, second), (other, 2, PHONE), (client, 1, PHONE)):
            refused = reserve(asker, person, phone, reference="a2")
            assert refused["lease"] is None
            assert refused["phones"][0]["reason"] == "reserved"
        # only its holder may end it
        path = f"/v1/leases/{mine['lease']['id']}/release"
        assert other.post(path).json() == {"released": False}
        assert client.post(path).json() == {"released": True}
        assert client.post(path).json() == {"released": False}
        theirs = reserve(other, 1, PHONE, reference="b1")
        assert theirs["lease"]["phone"] == PHONE
        # the report of its call ends a lease, one of an earlier call does not
        other.post("/v1/calls", json=[call(7)])
        assert reserve(client, 1)["lease"] is None
        now = datetime.now(UTC).isoformat()
        other.post("/v1/calls", json=[call(8, call_id="b1", started_at=now)])
        assert reserve(client, 1)["lease"] is not None


def test_a_lease_ends_by_itself(client: httpx.Client) -> None:
    assert reserve(client, 1, lease_seconds=1)["lease"] is not None
    wait_until(lambda: reserve(client, 1, reference="later")["lease"] is not None)


def test_an_agreed_call_is_allowed_after_a_talk(client: httpx.Client) -> None:
    now = datetime.now(UTC).isoformat()
    client.post("/v1/calls", json=[call(1, started_at=now, outcome="human", tabulation="callback")])
    assert reserve(client, 1)["phones"][0]["reason"] == "talked_recently"
    assert reserve(client, 1, agreed=True)["lease"] is not None


def test_crms_that_ask_at_once_never_both_get_yes(database: Database, tmp_path: Path) -> None:
    """Limits hold exactly: 3 a phone and day, whoever reserves, dials and reports when he wants."""
    settings = load_settings(var=database.settings.var, port_offset=database.settings.port_offset)
    settings.localization.port += 80
    more = {
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port - settings.port_offset),
        "ZANC_LOCALIZATION__PROCESSES": "2",
    }
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")
    phones = [f"1198765433{n}" for n in range(4)]
    held: dict[str, str] = {}
    lock, dialled, clashes = threading.Lock(), Counter[str](), list[str]()

    def dial(crm: str, seed: int) -> None:
        chosen = random.Random(seed)
        with as_crm(settings, crm) as mine:
            for turn in range(30):
                person, wanted = 1 + chosen.randrange(3), chosen.sample(phones, 2)
                name = f"{crm}{seed}-{turn}"
                lease = reserve(mine, person, *wanted, reference=name)["lease"]
                if lease is None:
                    continue
                keys = {f"person {person}", f"phone {lease['phone']}"}
                with lock:
                    clashes.extend(keys & held.keys())
                    held.update(dict.fromkeys(keys, name))
                if chosen.random() < 0.3:
                    with lock:
                        for key in keys:
                            del held[key]
                    mine.post(f"/v1/leases/{lease['id']}/release")
                    continue
                now = datetime.now(UTC).isoformat()
                report = call(0, call_id=name, cpf=cpf(person), phone=lease["phone"])
                with lock:
                    dialled[lease["phone"]] += 1
                    dialled[str(person)] += 1
                    for key in keys:
                        del held[key]
                assert mine.post("/v1/calls", json=[{**report, "started_at": now}]).is_success

    with running(settings, tmp_path / "log", **more):
        crms = ("norma", "larga", "leve", "remessa")
        dialers = [
            threading.Thread(target=dial, args=(crm, seed)) for seed in range(2) for crm in crms
        ]
        for dialer in dialers:
            dialer.start()
        for dialer in dialers:
            dialer.join()
    assert clashes == []
    assert 0 < max(dialled[phone] for phone in phones) <= 3
    assert max(dialled[str(person)] for person in (1, 2, 3)) <= 6


def test_many_people_are_asked_for_at_once(client: httpx.Client, database: Database) -> None:
    client.post("/v1/calls", json=[call(1), call(2, cpf=cpf(2), phone="1133334444")])
    people = client.post("/v1/people/phones", json={"cpfs": [cpf(2), cpf(3), cpf(1)]}).json()[
        "people"
    ]
    assert [(one["cpf"], len(one["phones"])) for one in people] == [
        (cpf(2), 1),
        (cpf(3), 0),
        (cpf(1), 1),
    ]
    checks = [
        {"cpf": cpf(1), "phones": [PHONE], "reserve": True},
        {"cpf": cpf(2), "phones": [PHONE], "reserve": True},
        {"cpf": cpf(1), "phones": [PHONE]},
    ]
    found = client.post("/v1/dial-checks", json={"checks": checks}).json()["checks"]
    assert found[0]["lease"]["phone"] == PHONE
    assert (found[1]["lease"], found[1]["phones"][0]["reason"]) == (None, "reserved")
    assert "lease" not in found[2]
    with as_crm(database.settings, "larga") as other:
        theirs = reserve(other, 4, "1133335555")["lease"]["id"]
        ids = [theirs, found[0]["lease"]["id"], theirs]
        for asker, expected in (
            (client, [False, True, False]),
            (client, [False] * 3),
            (other, [True, False, True]),
        ):
            assert asker.post("/v1/leases/release", json={"ids": ids}).json() == {
                "released": expected
            }
    for wrong in ({"cpfs": []}, {"cpfs": [cpf(1), "1"]}, {"cpfs": [cpf(1)] * 501}, []):
        assert client.post("/v1/people/phones", json=wrong).status_code == 400
    wrong_checks: list[Any] = [
        {"checks": [{"cpf": cpf(1)}]},
        {"checks": [{"cpf": cpf(1), "phones": [PHONE], "reserve": "yes"}]},
        {"checks": [{"cpf": cpf(1), "phones": [PHONE], "reserve": True, "lease_seconds": 0}]},
        {"checks": [{"cpf": cpf(1), "phones": [PHONE], "reserve": True, "reference": "a b"}]},
    ]
    for wrong in wrong_checks:
        assert client.post("/v1/dial-checks", json=wrong).status_code == 400
    assert client.post("/v1/leases/1/release").status_code == 400
    for wrong in ({"ids": []}, {"ids": [1]}, {"ids": ["1"]}, {"ids": [theirs] * 501}, []):
        assert client.post("/v1/leases/release", json=wrong).status_code == 400


def test_a_token_may_do_what_it_was_given_for(
    client: httpx.Client, database: Database, service: str
) -> None:
    token = tokens.create(database.settings, "larga", may=["phones"])
    headers = {"Authorization": f"Bearer {token}"}

    def status(method: str, path: str) -> int:
        return httpx.request(method, service + path, headers=headers, timeout=PATIENCE).status_code

    wait_until(lambda: status("GET", f"/v1/people/{cpf(1)}/phones") == 200)
    # Each process learns of a new token by itself, and any of them may answer.
    wait_until(lambda: status("POST", "/v1/dial-check") == 403)
    wait_until(lambda: status("POST", "/v1/calls") == 403)
    tokens.revoke(database.settings, tokens.listing(database.settings)[-1]["name"])
    wait_until(lambda: status("GET", f"/v1/people/{cpf(1)}/phones") == 401)


def test_who_asked_for_whom_is_kept_without_the_cpf(
    client: httpx.Client, database: Database
) -> None:
    person = cpf(4711)
    client.get(f"/v1/people/{person}/phones")
    reserve(client, 4711, "1133334455")
    wait_until(lambda: len(asked_about(database.settings, person)) == 2)
    assert {(row["crm"], row["action"]) for row in asked_about(database.settings, person)} == {
        ("norma", "phones"),
        ("norma", "reserve"),
    }
    with transaction(database.settings, "zanc") as cursor:
        cursor.execute("SELECT person::text FROM localization.audit")
        assert person not in str(cursor.fetchall())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_while_postgres_is_away_it_says_so_and_then_goes_on(
    client: httpx.Client, database: Database, service: str, how: signal.Signals
) -> None:
    assert client.post("/v1/calls", json=[call(1)]).status_code == 200
    database.stop(how)
    try:
        with as_crm(database.settings, "norma", patient=False) as hasty:
            answer = hasty.post("/v1/calls", json=[call(2)])
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert httpx.get(f"{service}/healthz", timeout=PATIENCE).status_code == 503
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
            assert httpx.get(f"{url}/healthz", timeout=PATIENCE).status_code == 503
            database.start()
            wait_until(lambda: httpx.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200)
    finally:
        if database.server is not None and database.server.poll() is not None:
            database.start()


def test_a_taken_port_is_one_clear_line(service: str, database: Database, tmp_path: Path) -> None:
    with running(database.settings, tmp_path / "log") as second:
        assert second.wait(PATIENCE) == 1
    assert (tmp_path / "log").read_text().strip().endswith("config/stack.yaml")


def test_random_kills_lose_and_double_nothing(database: Database, tmp_path: Path) -> None:
    """Three CRMs send until answered; service, one of its processes and PostgreSQL are killed."""
    settings = load_settings(var=database.settings.var, port_offset=database.settings.port_offset)
    settings.localization.port += 60
    more = {
        "ZANC_LOCALIZATION__PORT": str(settings.localization.port - settings.port_offset),
        "ZANC_LOCALIZATION__PROCESSES": "2",
    }
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")
    acknowledged: dict[str, set[str]] = {"norma": set(), "larga": set(), "leve": set()}
    sent = {crm: set[str]() for crm in acknowledged}
    done = threading.Event()

    def batch_of(batch: int) -> list[dict[str, Any]]:
        return [
            call(
                batch * 20 + n,
                cpf=cpf(1 + n % 3),
                phone=f"1198765432{n % 4}",
                outcome=("human", "busy", "no_answer")[(batch + n) % 3],
            )
            for n in range(20)
        ]

    def send(crm: str) -> None:
        batch = 0
        with as_crm(settings, crm, patient=False) as mine:
            while not done.is_set():
                calls = batch_of(batch)
                ids = {one["call_id"] for one in calls}
                sent[crm] |= ids
                while not done.is_set():
                    try:
                        answer = mine.post("/v1/calls", json=calls)
                    except httpx.TransportError:
                        time.sleep(0.05)
                        continue
                    if answer.status_code == 200:
                        assert sum(answer.json().values()) == 20
                        acknowledged[crm] |= ids
                        batch += 1
                        break
                    assert answer.status_code == 503
                    time.sleep(0.05)

    def goes_on() -> None:
        before = {crm: len(ids) for crm, ids in acknowledged.items()}
        wait_until(lambda: all(len(acknowledged[crm]) > before[crm] for crm in before))

    log = tmp_path / "log"
    chosen = random.Random(20261123)
    senders = [threading.Thread(target=send, args=(crm,), daemon=True) for crm in acknowledged]
    for sender in senders:
        sender.start()
    kills = ["service", "process", "postgres", "process", "service", "postgres"]
    chosen.shuffle(kills)
    try:
        while kills:
            log.unlink(missing_ok=True)
            wait_until(lambda: _port_is_free(settings))
            with running(settings, log, **more) as service:
                while kills:
                    goes_on()
                    time.sleep(chosen.random() / 5)
                    kill = kills.pop()
                    if kill == "postgres":
                        database.stop(signal.SIGKILL)
                        database.start()
                    elif kill == "process":
                        chosen.choice(psutil.Process(service.pid).children()).kill()
                    else:
                        service.kill()
                        service.wait()
                        break
                else:
                    goes_on()
    finally:
        done.set()
        for sender in senders:
            sender.join(PATIENCE)
    assert not any(sender.is_alive() for sender in senders)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT crm, call_id FROM localization.call")
        rows = [(row["crm"], row["call_id"]) for row in cursor.fetchall()]
    assert len(rows) == len(set(rows))
    for crm, ids in acknowledged.items():
        kept = {call_id for owner, call_id in rows if owner == crm}
        assert ids <= kept <= sent[crm]
    assert rebuild.verify(database.settings).right


def _port_is_free(settings: Settings) -> bool:
    try:
        httpx.get(f"{settings.web_url(settings.localization)}/healthz", timeout=PATIENCE)
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
            wait_until(lambda: "in_flight 1" in httpx.get(url, timeout=PATIENCE).text)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in (tmp_path / "log").read_text())
        sender.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
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
    [free] = json.loads(zanc("dial-check", cpf(2), "1133334444", "--json"))
    assert (free["phone"], free["dial"]) == ("1133334444", True)
    wrong = call(3, phone="11912340000", outcome="human", tabulation="wrong_person")
    client.post("/v1/calls", json=[wrong])
    with pytest.raises(subprocess.CalledProcessError) as refused:
        zanc("dial-check", wrong["cpf"], wrong["phone"])
    assert (refused.value.returncode, "não discar" in refused.value.stdout) == (1, True)
