"""The dialer's modes, callbacks, withdrawals and changes on a real Asterisk and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.integration import dialing, fake_localization, pbx
from tests.integration.dialing import DialerProcess, crew, write_mailing
from tests.integration.fake_localization import FakeLocalization
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

OPERATORS = asterisk.operator_names(4)
PLANS = {
    "0": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=4, voice="alo_01"),
    "1": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=30, voice="alo_02"),
    "3": CallPlan(outcome=Outcome.BUSY, ring_seconds=0.2),
    "7": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=60.0),
}


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit."""
    return PLANS[number[-1]]


def phone(number: int, digit: int) -> str:
    return f"119{number:07d}{digit}"


@pytest.fixture(scope="module")
def telephony(settings: Settings) -> Iterator[pbx.World]:
    folder = settings.var / "asterisk"
    folder.mkdir(exist_ok=True)
    with dialing.telephony(folder, decide, 22) as world:
        yield world


@pytest.fixture(scope="module")
def localization() -> Iterator[FakeLocalization]:
    with fake_localization.running() as fake:
        yield fake


@pytest.fixture(scope="module")
def dialer(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DialerProcess]:
    log = tmp_path_factory.mktemp("modes") / "dialer.log"
    with dialing.dialer(settings, telephony, localization.port, log) as made:
        yield made


def submit(dialer: DialerProcess, name: str, people: list[list[str]], **options: Any) -> None:
    body = write_mailing(dialer.settings, name, people)
    body["settings"] = {**body["settings"], **options}
    answer = dialer.call("PUT", f"/v1/campaigns/{name}", json=body)
    assert answer.status_code == 201, answer.text


def card(dialer: DialerProcess, operator: str) -> dict[str, Any]:
    answer = dialer.call("GET", f"/v1/operators/{operator}/events", params={"timeout": "0"})
    return dict(answer.json())


def order(dialer: DialerProcess, operator: str, what: str, **body: Any) -> dict[str, Any]:
    answer = dialer.call("POST", f"/v1/operators/{operator}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_power_abandons_who_finds_no_operator_and_calls_back_with_one_kept(
    dialer: DialerProcess, localization: FakeLocalization
) -> None:
    """Two lines for one operator, and both answer: one person hears the safe message."""
    people = [[phone(100 + n, 1)] for n in range(2)]
    submit(dialer, "power", people, modo="power", linhas_por_operador=2)
    with crew(dialer, OPERATORS[:1]):
        dialer.wait(
            lambda: dialer.figures("power")["attempts"].get("abandoned", 0) >= 1, "one is lost"
        )
        live = dialer.figures("power")["live"]
        assert (live["mode"], live["answered"], live["abandoned"] >= 1) == ("power", 2, True)
        figures = dialer.wait_finished("power")
    attempts = dialer.attempts("power")
    outcomes = Counter(attempt["outcome"] for attempt in attempts)
    # A machine that stands still for seconds loses one more.
    assert set(outcomes) == {"abandoned", "human"}
    assert (outcomes["human"], outcomes["abandoned"] >= 1) == (2, True)
    assert figures["abandoned_share"] == pytest.approx(outcomes["abandoned"] / outcomes.total())
    firsts = [one for one in attempts if (one["outcome"], one["number"]) == ("abandoned", 1)]
    first = {one["phone"]: one for one in firsts}
    again = {one["phone"]: one for one in attempts if one["phone"] in first and one["number"] == 2}
    for number, lost in first.items():
        assert lost["operator"] is None
        assert again[number]["operator"] == OPERATORS[0]
        paused = datetime.fromisoformat(again[number]["created_at"]) - datetime.fromisoformat(
            lost["ended_at"]
        )
        assert paused >= timedelta(minutes=0.05)
    dialer.wait(lambda: not localization.leases, "every lease is over")


def test_predictive_reconciles_with_the_carrier_and_says_why(
    telephony: pbx.World, dialer: DialerProcess
) -> None:
    """Too few calls for a forecast at first; then more lines than free operators."""
    people = [[phone(200 + n, 0 if n % 6 == 0 else 3)] for n in range(66)]
    waits = {"busy": 0.02, "abandoned": 0.05}
    submit(
        dialer, "predictive", people,
        modo="preditivo", abandono_maximo=0.2, nova_tentativa_minutos=waits,
        tentativas_por_telefone=1,
    )  # fmt: skip
    reasons: set[str] = set()

    def finished() -> bool:
        figures = dialer.figures("predictive")
        reasons.add(figures["why"])
        return figures["status"] == "finished"

    with crew(dialer, OPERATORS):
        dialer.wait(finished, "it ends")
    figures = dialer.figures("predictive")
    assert figures["mode"] == "preditivo"
    assert figures["leads"] == {"waiting": 0, "active": 0, "ended": 66}
    assert any("pouco para prever" in reason for reason in reasons), reasons
    attempts = dialer.attempts("predictive")
    placed = Counter(one["phone"] for one in attempts if one["placed"])
    carried = Counter(
        row.destination for row in asterisk.read_cdr(telephony.carrier.cdr_path)
        if row.destination in placed
    )  # fmt: skip
    assert carried == placed
    assert {one["outcome"] for one in attempts if one["phone"].endswith("3")} == {"busy"}
    by_phone: dict[str, list[str]] = {}
    for one in attempts:
        by_phone.setdefault(one["phone"], []).append(one["outcome"])
    for outcomes in by_phone.values():  # nobody is called again but for an abandoned call
        assert all(outcome == "abandoned" for outcome in outcomes[:-1]), outcomes


def test_preview_shows_the_card_and_dials_only_when_told(dialer: DialerProcess) -> None:
    submit(dialer, "preview", [[phone(300, 0)], [phone(301, 0)]], modo="previa")
    [operator] = OPERATORS[:1]
    order(dialer, operator, "login")
    dialer.wait(lambda: card(dialer, operator)["state"] == "preview", "a card is shown")
    first = card(dialer, operator)["preview"]
    assert first["phone"] == phone(300, 0)
    assert dialer.figures("preview")["attempts"] == {}
    order(dialer, operator, "skip")
    dialer.wait(
        lambda: (card(dialer, operator)["preview"] or first)["cpf"] != first["cpf"], "another one"
    )
    order(dialer, operator, "call")
    dialer.wait(lambda: card(dialer, operator)["state"] == "wrapup", "the conversation ends")
    call = card(dialer, operator)["call"]
    assert call["phone"] == phone(301, 0)
    order(dialer, operator, "tabulate", attempt=call["attempt"], tabulation="refusal")
    *_, attempt = dialer.attempts("preview")
    assert (attempt["operator"], attempt["outcome"]) == (operator, "human")
    # A second person is skipped; the campaign goes on in another mode without being told twice.
    changes = {"modo": "progressivo"}
    path = "/v1/campaigns/preview"
    assert dialer.call("PATCH", f"{path}/settings", json=changes).status_code == 200
    order(dialer, operator, "logout")
    dialer.call("POST", f"{path}/stop")
    dialer.wait_finished("preview")


def test_an_agreed_callback_comes_at_its_time_to_the_same_operator_and_a_late_tabulation_counts(
    settings: Settings, dialer: DialerProcess, localization: FakeLocalization
) -> None:
    submit(dialer, "callback", [[phone(400, 0)]], tentativas_por_telefone=1)
    for operator in OPERATORS[:2]:
        order(dialer, operator, "login")
    talked: list[dict[str, Any]] = []

    def ends() -> bool:
        for operator in OPERATORS[:2]:
            found = card(dialer, operator)
            if found["state"] in ("talking", "wrapup") and found["call"] not in talked:
                talked.append({**found["call"], "operator": operator})
                return True
        return False

    dialer.wait(ends, "somebody talks")
    operator, attempt = talked[0]["operator"], talked[0]["attempt"]
    agreed = datetime.now(UTC) + timedelta(seconds=6)
    order(
        dialer, operator, "tabulate",
        attempt=attempt, tabulation="callback", callback_at=agreed.isoformat(),
    )  # fmt: skip
    dialer.wait(
        lambda: any(one["id"] == attempt for one in dialer.attempts("callback")),
        "the first call is closed",
    )
    dialer.wait(
        lambda: (
            card(dialer, operator)["call"] is not None
            and card(dialer, operator)["call"]["state"] == "talking"
        ),
        "the callback comes to the same operator",
    )
    again = card(dialer, operator)["call"]["attempt"]
    # The operator goes on without tabulating, and does it afterwards.
    dialer.wait(lambda: card(dialer, operator)["state"] == "wrapup", "the conversation ends")
    order(dialer, operator, "ready")
    dialer.wait_finished("callback")
    assert dialer.attempts("callback")[-1]["tabulation"] == "no_tabulation"
    order(dialer, operator, "tabulate", attempt=again, tabulation="refusal")
    last = dialer.attempts("callback")[-1]
    assert (last["id"], last["tabulation"], last["operator"]) == (again, "refusal", operator)
    assert datetime.fromisoformat(last["created_at"]) >= agreed
    dialer.wait(
        lambda: localization.calls.get(again, {}).get("tabulation") == "refusal",
        "localization learns it",
    )
    for one in OPERATORS[:2]:
        order(dialer, one, "logout")


def test_priority_withdrawal_settings_pause_and_the_live_figures(
    settings: Settings, dialer: DialerProcess
) -> None:
    submit(dialer, "low", [[phone(500 + n, 0)] for n in range(4)], prioridade=2)
    people = [[phone(510 + n, 7)] for n in range(6)]
    submit(dialer, "high", people, prioridade=8, toque_maximo_segundos=60)
    order(dialer, OPERATORS[0], "login")
    dialer.wait(lambda: dialer.figures("high")["attempts"].get("ringing") == 1, "high is called")
    dialer.wait(
        lambda: dialer.figures("low")["why"] == "os operadores estão com campanhas de prioridade"
        " maior",
        "low waits",
    )  # fmt: skip
    assert dialer.figures("low")["attempts"] == {}

    async def look() -> dict[str, Any]:
        url = dialer.url.replace("http", "ws") + "/v1/live"
        first = await websocket_connect(HTTPRequest(url, headers=dialer.headers))
        by_header = json.loads(str(await first.read_message()))
        first.close()
        second = await websocket_connect(url)
        await second.write_message(json.dumps({"token": settings.secret("dialer_token")}))
        by_message = json.loads(str(await second.read_message()))
        second.close()
        assert {one["id"] for one in by_header["campaigns"]} == {"low", "high"}
        return dict(by_message)

    live = asyncio.run(look())
    high = next(one for one in live["campaigns"] if one["id"] == "high")
    assert (high["priority"], high["lines"], high["abandoned_limit"]) == (8, 1, 0.03)
    # One in a call, five waiting; a contract of nobody counts nothing.
    contracts = [{"convenio": "banco_aurora", "contract": f"C{n}"} for n in (1, 2, 77)]
    body = {"reason": "pago", "contracts": contracts, "people": [dialing.cpf(3)]}
    user = {"X-Zanc-User": "ana"}
    answer = dialer.call("POST", "/v1/leads/withdraw", json=body)
    assert answer.json() == {"withdrawn": 5, "in_call": 1}
    assert dialer.call("POST", "/v1/leads/withdraw", json=body).json()["withdrawn"] == 0
    # The line that rings counts on its only operator, who leaves when it is over.
    paused = order(dialer, OPERATORS[0], "pause", reason="almoço")
    assert (paused["state"], paused["leaving"]) == ("idle", "paused")
    wrong = dialer.call("POST", f"/v1/operators/{OPERATORS[0]}/pause", json={"reason": "praia"})
    assert (wrong.status_code, "almoço" in wrong.json()["error"]) == (400, True)
    dialer.call("POST", "/v1/campaigns/high/stop", headers_more=user)
    dialer.wait_finished("high")
    dialer.wait(lambda: card(dialer, OPERATORS[0])["state"] == "paused", "the operator pauses")
    assert card(dialer, OPERATORS[0])["reason"] == "almoço"
    path = "/v1/campaigns/low/settings"
    assert dialer.call("PATCH", path, json={"modo": "turbo"}).status_code == 400
    changed = dialer.call("PATCH", path, json={"modo": "preditivo"}, headers_more=user)
    assert changed.json()["settings"]["modo"] == "preditivo"
    assert dialer.figures("low")["live"]["mode"] == "preditivo"
    entries = dialer.call("GET", "/v1/audit", params={"subject": "low"}).json()["entries"]
    assert [one["action"] for one in entries] == ["submit", "settings"]
    assert entries[1]["who"] == "ana"
    assert entries[1]["detail"] == {
        "before": {"modo": "progressivo"},
        "after": {"modo": "preditivo"},
    }
    dialer.call("POST", "/v1/campaigns/low/stop")
    dialer.wait_finished("low")
    order(dialer, OPERATORS[0], "logout")
    assert "Traceback" not in dialer.log.read_text()
