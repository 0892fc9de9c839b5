"""The dialer's HTTP service on a real PostgreSQL; no PBX is there, so nothing is dialled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration import dialing, fake_localization
from tests.integration.dialing import DialerProcess, write_mailing
from tests.patience import PATIENCE
from zanc_pipeline.common.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def dialer(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DialerProcess]:
    log = tmp_path_factory.mktemp("dialer") / "dialer.log"
    with (
        fake_localization.running() as fake,
        dialing.dialer(settings, None, fake.port, log) as made,
    ):
        yield made


def submit(dialer: DialerProcess, campaign: str, **changes: object) -> httpx.Response:
    body = write_mailing(dialer.settings, campaign, [["11912345678"], ["11912345679"]])
    return dialer.call("PUT", f"/v1/campaigns/{campaign}", json=body | changes)


def test_without_a_token_only_health_and_documentation_are_served(dialer: DialerProcess) -> None:
    def get(path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{dialer.url}{path}", headers=headers, trust_env=False, timeout=PATIENCE)

    assert get("/healthz").json()["status"] == "ok"
    document = get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for token in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        for path in ("/v1/campaigns", "/v1/campaigns/x", "/metrics", "/v1/operators/op01/events"):
            answer = get(path, **token)
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_every_documented_path_exists(dialer: DialerProcess) -> None:
    document = dialer.call("GET", "/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            concrete = path.replace("{id}", "op99" if "operators" in path else "none")
            answer = dialer.call(method, concrete, params={"timeout": "0"})
            assert answer.status_code not in (405, 500), (method, path, answer.text)
            assert "nothing at this address" not in answer.text, (method, path)


def test_a_campaign_is_submitted_once_and_another_body_is_a_conflict(dialer: DialerProcess) -> None:
    assert submit(dialer, "once").status_code == 201
    again = submit(dialer, "once")
    assert (again.status_code, again.json()["status"]) == (200, "running")
    assert submit(dialer, "once", name="other").status_code == 409
    other = write_mailing(dialer.settings, "another", [["11912345670"]])
    assert dialer.call("PUT", "/v1/campaigns/once", json=other).status_code == 409
    assert dialer.figures("once")["leads"] == {"waiting": 2, "active": 0, "ended": 0}


def test_submitted_by_many_at_once_it_is_still_one_campaign(dialer: DialerProcess) -> None:
    body = write_mailing(dialer.settings, "raced", [["11912345678"]])
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: dialer.call("PUT", "/v1/campaigns/raced", json=body).status_code,
                range(8),
            )
        )
    assert sorted(answers) == [200] * 7 + [201]
    assert dialer.figures("raced")["leads"]["waiting"] == 1


def test_an_empty_mailing_ends_at_once(dialer: DialerProcess) -> None:
    body = write_mailing(dialer.settings, "empty", [])
    assert dialer.call("PUT", "/v1/campaigns/empty", json=body).status_code == 201
    assert dialer.wait_finished("empty")["reason"] == "empty_mailing"


def test_a_campaign_without_a_pbx_waits_and_says_why_and_can_be_ended(
    dialer: DialerProcess,
) -> None:
    submit(dialer, "waits")
    dialer.wait(
        lambda: (
            dialer.figures("waits")["why"] == "nenhuma central ao alcance; central: não responde"
        ),
        "it says why",
    )
    order = "/v1/campaigns/waits"
    assert dialer.call("POST", f"{order}/pause").json()["status"] == "paused"
    assert dialer.call("POST", f"{order}/pause").json()["status"] == "paused"
    assert dialer.call("POST", f"{order}/resume").json()["status"] == "running"
    assert dialer.call("POST", f"{order}/stop").status_code == 200
    figures = dialer.wait_finished("waits")
    assert (figures["reason"], figures["leads"]["ended"]) == ("stopped", 2)
    assert dialer.call("POST", f"{order}/stop").status_code == 200
    assert dialer.call("POST", f"{order}/resume").status_code == 409
    assert dialer.call("GET", f"{order}/attempts").json() == {"attempts": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"modo": "turbo"}}, "use previa, progressivo, power ou preditivo"),
        ({"settings": []}, "settings must be an object"),
        ({"sha256": "0" * 64}, "changed since it was built"),
        ({"sha256": "zz"}, "64 hexadecimal digits"),
        ({"mailing": "../../etc/passwd"}, "below var/"),
        ({"mailing": "mailings/none.parquet"}, "does not exist"),
        ({"mailing": 7}, "mailing must be a text"),
        ({"mailing": "mailings/\0.parquet"}, "mailing must be a text of one line"),
        ({"name": "a\nb"}, "name must be a text of one line"),
        ({"extra": 1}, "exactly name"),
    ],
)
def test_a_wrong_submission_is_a_400_that_says_what(
    dialer: DialerProcess, changes: dict[str, object], message: str
) -> None:
    answer = submit(dialer, "wrong", **changes)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert dialer.call("GET", "/v1/campaigns/wrong").status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_malformed_body_is_a_400(dialer: DialerProcess, body: bytes) -> None:
    answer = dialer.call("PUT", "/v1/campaigns/malformed", content=body)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]


def test_an_oversized_body_is_refused(dialer: DialerProcess) -> None:
    body = json.dumps({"name": "x" * 300_000}).encode()
    with suppress(httpx.TransportError):  # the connection may be cut before all of it is sent
        assert dialer.call("PUT", "/v1/campaigns/big", content=body).status_code in (400, 413)


def test_operators_come_pause_and_go(dialer: DialerProcess) -> None:
    path = "/v1/operators/op07"
    news = {"timeout": "0"}
    assert dialer.call("GET", f"{path}/events", params=news).json()["state"] == "offline"
    assert dialer.call("POST", f"{path}/pause").status_code == 409
    for order, state in (
        ("login", "idle"),
        ("login", "idle"),
        ("pause", "paused"),
        ("ready", "idle"),
        ("logout", "offline"),
        ("logout", "offline"),
    ):
        answer = dialer.call("POST", f"{path}/{order}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert dialer.call("POST", "/v1/operators/mallory/login").status_code == 400


def test_news_are_told_as_soon_as_something_changes(dialer: DialerProcess) -> None:
    dialer.call("POST", "/v1/operators/op08/login")
    first = dialer.call("GET", "/v1/operators/op08/events").json()
    with ThreadPoolExecutor(1) as pool:
        params = {"after": first["sequence"], "timeout": "15"}
        waiting = pool.submit(dialer.call, "GET", "/v1/operators/op08/events", params=params)
        dialer.call("POST", "/v1/operators/op08/pause")
        news = waiting.result().json()
    assert (news["state"], news["call"]) == ("paused", None)
    assert news["sequence"] > first["sequence"]


def test_an_operators_token_acts_for_that_operator_only(
    settings: Settings, dialer: DialerProcess
) -> None:
    headers = {"Authorization": f"Bearer {settings.secret('operator_token_op05')}"}

    def status(method: str, path: str) -> int:
        return httpx.request(
            method,
            f"{dialer.url}{path}",
            headers=headers,
            trust_env=False,
            timeout=PATIENCE,
        ).status_code

    assert status("POST", "/v1/operators/op05/login") == 200
    assert status("POST", "/v1/operators/op06/login") == 401
    assert status("GET", "/v1/campaigns") == 401
    assert status("POST", "/v1/operators/..%2F..%2Fx/login") == 401
    # Nor may it name somebody else as the one who did it.
    headers["X-Zanc-User"] = "op05"
    assert status("POST", "/v1/operators/op05/logout") == 200
    headers["X-Zanc-User"] = "ana"
    assert status("POST", "/v1/operators/op05/login") == 401


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"attempt": "x", "tabulation": "refusal"}, 409, "not the present call"),
        ({"attempt": "x", "tabulation": "nonsense"}, 400, "must be one of"),
        ({"attempt": "x", "tabulation": "promise"}, 400, "a promise needs one"),
        (
            {"attempt": "x", "tabulation": "refusal", "promise_date": "2030-01-01"},
            400,
            "belongs to a promise",
        ),
        (
            {"attempt": "x", "tabulation": "promise", "promise_date": "2030-01-01"},
            400,
            "needs both",
        ),
        (
            {
                "attempt": "x",
                "tabulation": "promise",
                "promise_date": "2030-01-01",
                "promise_amount": "NaN",
            },
            400,
            "amount as 123.45",
        ),
        ({"attempt": "x", "tabulation": "promise", "promise_date": "31/12"}, 400, "2026-12-31"),
        (
            {
                "attempt": "x",
                "tabulation": "promise",
                "promise_date": "2030-01-01",
                "promise_amount": "1e30",
            },
            400,
            "amount as 123.45",
        ),
    ],
)
def test_a_wrong_tabulation_is_refused_with_the_reason(
    dialer: DialerProcess, body: dict[str, str], status: int, message: str
) -> None:
    dialer.call("POST", "/v1/operators/op09/login")
    answer = dialer.call("POST", "/v1/operators/op09/tabulate", json=body)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/campaigns/a%00b", 404),
        ("/v1/campaigns/a%00b/attempts", 404),
        ("/v1/campaigns/odd/attempts?after=%00", 400),
        ("/v1/campaigns/odd/attempts?limit=" + "9" * 5000, 400),
        ("/v1/operators/op09/events?after=" + "9" * 5000, 400),
    ],
)
def test_an_odd_address_is_told_and_is_no_error_of_ours(
    dialer: DialerProcess, path: str, status: int
) -> None:
    submit(dialer, "odd")
    assert dialer.call("GET", path).status_code == status
    assert "Traceback" not in dialer.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--campaign", "nenhuma"), "config/campaigns/nenhuma.yaml does not exist"),
        (("run", "--campaign", "../stack"), "config/campaigns/../stack.yaml does not exist"),
        (("run", "--campaign", "cobranca_geral"), "run 'zanc mailing build --campaign"),
        (("report", "--campaign", "nenhuma"), "the dialer has no campaign nenhuma"),
        (("simulate", "absent.yaml"), "absent.yaml"),
    ],
)
def test_a_command_that_cannot_succeed_says_why_in_one_line(
    dialer: DialerProcess, arguments: tuple[str, ...], said: str
) -> None:
    done = dialer.command(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("zanc: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_without_a_service_the_command_names_its_address(
    dialer: DialerProcess, tmp_path: Path
) -> None:
    away = dialing.beside(dialer, tmp_path / "none.log")
    done = away.command("report", "--campaign", "x")
    assert done.returncode == 1
    assert done.stderr.startswith(f"zanc: dialer at {away.url} does not answer")


def test_metrics_are_in_the_text_format_of_prometheus(dialer: DialerProcess) -> None:
    answer = dialer.call("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'zanc_dialer_pbx_up{pbx="central"} 0' in answer.text
    assert "zanc_dialer_open_calls 0" in answer.text
    assert 'zanc_dialer_trunk_blocked{pbx="central",trunk="carrier"} 0' in answer.text


def test_a_second_engine_waits_until_the_first_one_has_ended(
    settings: Settings, dialer: DialerProcess, tmp_path: Path
) -> None:
    second = dialing.beside(dialer, tmp_path / "second.log")
    try:
        second.spawn()
        second.wait(lambda: "another engine works on" in second.log.read_text(), "it waits")
        assert not second.healthy()
        # What operators do is not known yet: nobody is shown a wrap-up without its call.
        news = second.call("GET", "/v1/operators/op01/events", params={"timeout": "0"})
        assert news.status_code == 503
        assert dialer.terminate() == 0
        assert "Traceback" not in dialer.log.read_text()
        second.wait(second.healthy, "it takes over")
    finally:
        second.kill()
