"""The desk and the wall: real PostgreSQL, real Asterisk, the dialer's process, a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tornado.websocket import websocket_connect

from tests import browser as browsers
from tests.integration import dialing, fake_localization, pbx
from tests.integration.dialing import DialerProcess, write_mailing
from tests.integration.fake_localization import FakeLocalization
from tests.patience import PATIENCE
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

PASSWORD = "correta-bateria-grampo"
TALK = CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=3600, voice="alo_01")
"""Until the operator ends it, however slowly the browser works."""
TODAY = datetime.now(LOCAL).date()
NAME = "Maria <b>da</b> Silva"
SCRIPT = [{"Abertura": "{saudacao}, falo com {primeiro_nome}? Aqui é {operador}."}]

SHOWN = """
new MutationObserver(() => {
  const card = document.querySelector("#card [data-connected=sim]");
  if (card && !window.shownAt) window.shownAt = Date.now();
}).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pbx.World]:
    folder = tmp_path_factory.mktemp("telephony")
    with dialing.telephony(folder, lambda _number, _now: TALK, 22, talk=(3600, 3600)) as made:
        yield made


@pytest.fixture(scope="module")
def localization() -> Iterator[FakeLocalization]:
    with fake_localization.running() as fake:
        yield fake


@pytest.fixture(scope="module")
def dialer(
    settings: Settings,
    world: pbx.World,
    localization: FakeLocalization,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DialerProcess]:
    log = tmp_path_factory.mktemp("dialer") / "dialer.log"
    with dialing.dialer(settings, world, localization.port, log) as made:
        for login, role, phone in (
            ("ana", "operator", "op01"),
            ("bruno", "negotiator", "op02"),
            ("clara", "supervisor", "op10"),
        ):
            done = made.command(
                "operator", "add", login, "--name", login.title(), "--phone", phone,
                "--role", role, "--password-stdin", typed=f"{PASSWORD}\n",
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.chromium() as made:
        yield made


class Visitor:
    """A person's browser without a screen: cookies, the token of the page, plain requests."""

    def __init__(self, dialer: DialerProcess) -> None:
        self.url = dialer.url
        self.http = httpx.Client(base_url=dialer.url, trust_env=False, timeout=PATIENCE)
        self.csrf = ""

    def post(
        self, path: str, headers: dict[str, str] | None = None, **fields: str
    ) -> httpx.Response:
        own = {"X-Zanc-Page": "1", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        body = {"_csrf": self.csrf, **fields}
        return self.http.post(path, data=body, headers=own if headers is None else headers)

    def enter(self, login: str, password: str = PASSWORD) -> httpx.Response:
        answer = self.post("/entrar", login=login, password=password)
        if answer.status_code == 200:
            page = self.http.get("/", follow_redirects=True).text
            self.csrf = re.search(r'data-csrf="([^"]+)"', page)[1]  # type: ignore[index]
        return answer


def test_who_has_no_session_sees_the_door_and_nothing_else(dialer: DialerProcess) -> None:
    visitor = Visitor(dialer)
    for path in ("/", "/mesa", "/painel", "/painel/historico", "/painel/auditoria"):
        answer = visitor.http.get(path)
        assert (answer.status_code, answer.headers["Location"][:15]) == (302, "/entrar?depois=")
    changes = ("/mesa/ordem", "/mesa/tabular", "/painel/ordem", "/painel/escuta", "/painel/central")
    for path in (*changes, "/sair"):
        assert visitor.post(path).status_code == 401
    page = visitor.http.get("/entrar")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert visitor.post("/sair").headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in policy  # no address from outside
    assert not re.search(r"(src|href)=.https?:", page.text)


def test_a_session_is_guarded_and_a_change_needs_its_page(dialer: DialerProcess) -> None:
    visitor = Visitor(dialer)
    assert visitor.post("/entrar", headers={}, login="ana", password=PASSWORD).status_code == 403
    answer = visitor.enter("bruno")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert answer.json()["goto"] == "/"
    token, visitor.csrf = visitor.csrf, "another"
    assert visitor.post("/mesa/ordem", order="enter").status_code == 403
    visitor.csrf = token
    from_elsewhere = {"X-Zanc-Page": "1", "Origin": "https://elsewhere.example"}
    assert visitor.post("/mesa/ordem", from_elsewhere, order="enter").status_code == 403
    assert visitor.http.get("/painel").status_code == 403
    assert visitor.post("/painel/escuta", operator="op01").status_code == 403
    assert visitor.post("/painel/central", central="central", order="drain").status_code == 403
    assert visitor.post("/mesa/ordem", order="pause", reason="x").status_code == 409
    assert visitor.post("/sair").status_code == 200
    assert visitor.http.get("/mesa").status_code == 302


def test_after_a_login_one_goes_only_to_pages_of_ours(dialer: DialerProcess) -> None:
    for asked, gone in (
        ("/painel/historico", "/painel/historico"),
        ("//elsewhere.example", "/"),
        ("https://elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
    ):
        answer = Visitor(dialer).post("/entrar", login="clara", password=PASSWORD, depois=asked)
        assert answer.json()["goto"] == gone


def test_too_many_wrong_passwords_must_wait_even_for_the_right_one(dialer: DialerProcess) -> None:
    visitor = Visitor(dialer)
    for number in range(5):
        # No proxy is trusted: an address that the visitor invents makes nobody another one.
        visitor.http.headers["X-Forwarded-For"] = f"198.51.100.{number}"
        assert visitor.enter("dora", "wrong").status_code == 400
    answer = visitor.enter("dora", "wrong")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert visitor.enter("clara").status_code == 200


async def test_the_live_figures_are_for_supervisors(dialer: DialerProcess) -> None:
    from tornado.httpclient import HTTPRequest

    async def first(login: str) -> Any:
        visitor = Visitor(dialer)
        visitor.enter(login)
        cookie = f"zanc_session={visitor.http.cookies['zanc_session']}"
        address = dialer.url.replace("http", "ws") + "/v1/live"
        socket = await websocket_connect(HTTPRequest(address, headers={"Cookie": cookie}))
        try:
            return await socket.read_message()
        finally:
            socket.close()

    assert "centrais" in json.loads(await first("clara"))
    assert await first("bruno") is None


def enter(page: Page, login: str) -> None:
    page.get_by_label("Usuário").fill(login)
    page.get_by_label("Senha").fill(PASSWORD)
    page.keyboard.press("Enter")


def talk_to_one(dialer: DialerProcess, campaign: str) -> None:
    """A campaign of one person, who answers and talks."""
    body = write_mailing(dialer.settings, campaign, [["11912345671"]])
    body["settings"] = {**body["settings"], "pos_atendimento_segundos": 60, "roteiro": SCRIPT}
    assert dialer.call("PUT", f"/v1/campaigns/{campaign}", json=body).status_code == 201
    with transaction(dialer.settings, "dialer") as cursor:
        cursor.execute("UPDATE lead SET name = %s WHERE campaign_id = %s", (NAME, campaign))


def the_past(settings: Settings) -> None:
    """What the business knows of the person."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute("INSERT INTO crm.person (cpf, name) VALUES (%s, 'Maria')", (dialing.cpf(1),))
        for convenio, contract in (("banco_aurora", "C1"), ("energia_sul", "SECRETO")):
            cursor.execute(
                "INSERT INTO crm.contract (convenio, contract, crm, cpf, product, amount, due_date,"
                " delivery_id) VALUES (%s, %s, 'norma', %s, 'CARTÃO', 150.25, '2026-08-01', 1)",
                (convenio, contract, dialing.cpf(1)),
            )


def attempt_of(settings: Settings, campaign: str) -> dict[str, Any]:
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT * FROM attempt WHERE campaign_id = %s", (campaign,))
        return dict(cursor.fetchone())


def test_an_operator_takes_a_real_call_and_nothing_is_lost(
    dialer: DialerProcess,
    world: pbx.World,
    localization: FakeLocalization,
    browser: Browser,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = dialer.settings
    the_past(settings)
    with (
        browsers.opened(browser, dialer.url) as desk,
        browsers.opened(browser, dialer.url) as wall,
    ):
        desk.add_init_script(SHOWN)
        enter(desk, "ana")
        enter(wall, "clara")
        expect(desk.locator("#conexao")).to_have_text("conectado")
        dark = desk.evaluate("getComputedStyle(document.documentElement).colorScheme")
        desk.get_by_label("Trocar entre claro e escuro").click()
        assert dark != desk.evaluate("getComputedStyle(document.documentElement).colorScheme")

        talk_to_one(dialer, "desk1")
        desk.keyboard.press("e")
        card = desk.locator("#card [data-connected=sim]")
        expect(card.locator("h2")).to_have_text(NAME)  # HTML in a name is text
        shown = datetime.fromtimestamp(desk.evaluate("window.shownAt") / 1000).astimezone()
        seconds = (shown - attempt_of(settings, "desk1")["connected_at"]).total_seconds()
        with capsys.disabled():
            print(f"\nthe card was on the screen {seconds:.2f} s after the connection")
        assert dialing.cpf(1) not in desk.content()
        assert "11912345671" not in desk.content()
        expect(desk.locator("#script")).to_contain_text("falo com Maria")
        expect(desk.locator("#past")).to_contain_text("CARTÃO")
        assert "SECRETO" not in desk.content()  # another creditor's contract

        # The supervisor hears it.
        wall.get_by_role("button", name="Ouvir Ana").click()
        wall.get_by_role("dialog").get_by_role("button", name="Ouvir").click()
        expect(wall.locator(".toasts")).to_contain_text("Seu ramal op10 está tocando")
        dialer.wait(
            lambda: "ChanSpy" in pbx.cli(world.central, "core show channels"), "it is listened to"
        )

        # A form that was opened by mistake leaves the keys as they were.
        desk.keyboard.press("2")
        expect(desk.locator("#retorno")).to_be_visible()
        desk.keyboard.press("Escape")
        expect(desk.locator("#retorno")).to_be_hidden()

        # The page and then the dialer die in the middle of the call.
        desk.keyboard.press("6")
        desk.get_by_role("dialog").get_by_role("button", name="Cancelar").click()
        desk.reload()
        expect(card.locator("h2")).to_have_text(NAME)
        dialer.kill()
        expect(desk.locator("#conexao")).to_contain_text("reconectando")
        desk.keyboard.press("1")
        day = TODAY + timedelta(days=3)
        desk.get_by_label("Data do pagamento").fill(day.isoformat())
        desk.get_by_label("Valor").fill("100,50")
        desk.keyboard.press("Enter")
        expect(desk.locator("#naoenviadas")).to_contain_text("guardada")
        kept = desk.evaluate("JSON.stringify({...localStorage})")
        assert "Maria" not in kept
        assert dialing.cpf(1) not in kept
        dialer.start()
        expect(desk.locator("#tabulation")).to_contain_text("registrada: Promessa de pagamento")
        expect(desk.locator("#naoenviadas")).to_be_hidden()

        found = attempt_of(settings, "desk1")
        assert (found["tabulation"], found["promise_date"]) == ("promise", day)
        assert str(found["promise_amount"]) == "100.50"
        desk.keyboard.press("d")
        desk.get_by_role("dialog").get_by_role("button", name="Encerrar").click()
        expect(desk.locator("#state h2")).to_have_text("Livre")
        dialer.wait_finished("desk1")
        emptied = wall.locator("#centrais li")
        emptied.get_by_role("button", name="Esvaziar").click()
        confirm = wall.get_by_role("dialog")
        expect(confirm).to_contain_text("É a única em uso")
        confirm.get_by_role("button", name="Esvaziar").click()
        expect(emptied).to_contain_text("vazia")
        emptied.get_by_role("button", name="Reativar").click()
        wall.get_by_role("dialog").get_by_role("button", name="Reativar").click()
        expect(emptied).to_contain_text("no ar")

        wall.goto(f"{dialer.url}/painel/historico")
        expect(wall.locator("table")).to_contain_text("R$ 100,50")
        wall.goto(f"{dialer.url}/painel/auditoria")
        expect(wall.locator("table")).to_contain_text("escuta")
        expect(wall.locator("table")).to_contain_text("central reativada")

    told_everywhere(dialer, localization, day)


def told_everywhere(dialer: DialerProcess, localization: FakeLocalization, day: date) -> None:
    """Localization, the CRM and the report know the promise."""
    from zanc_pipeline.airflow.hooks import DialerClient
    from zanc_pipeline.airflow.steps import return_outcomes
    from zanc_pipeline.crm import service

    settings = dialer.settings
    attempt = attempt_of(settings, "desk1")["id"]
    dialer.wait(lambda: attempt in localization.calls, "localization has the call")
    assert localization.calls[attempt]["tabulation"] == "promise"
    service.ensure(settings)
    assert return_outcomes(settings, DialerClient(settings), ["desk1"]) == {"desk1": 1}
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM crm.outcome WHERE call_id = %s", (attempt,))
        row = cursor.fetchone()
    assert (row["tabulation"], row["promise_date"], row["returned_at"] is not None) == (
        "promise", day, True,
    )  # fmt: skip
    report = dialer.command("report", "--campaign", "desk1", "--json")
    assert json.loads(report.stdout)["tabulations"] == {"promise": 1}


def test_a_tabulation_sent_twice_is_one_and_a_wrong_one_is_told(
    dialer: DialerProcess, tmp_path: Path
) -> None:
    visitor = Visitor(dialer)
    visitor.enter("ana")
    attempt = attempt_of(dialer.settings, "desk1")["id"]
    body = {
        "key": "0" * 32, "attempt": attempt, "tabulation": "promise",
        "promise_date": (TODAY + timedelta(days=3)).isoformat(), "promise_amount": "100,50",
    }  # fmt: skip
    for _ in range(2):  # the same words under a key that was never noted, then noted
        assert visitor.post("/mesa/tabular", **body).status_code == 200
    for changed, said in (
        ({"promise_amount": "150,26"}, "passa da dívida, que é de R$ 150,25"),
        ({"promise_date": "2020-01-01"}, "já passou"),
        ({"promise_amount": "1e3"}, "como 1.234,56"),
        ({"tabulation": "no_tabulation"}, "da lista"),
        ({"key": "x"}, "incompleta"),
    ):
        answer = visitor.post("/mesa/tabular", **{**body, "key": "1" * 32, **changed})
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
    answer = visitor.post("/mesa/tabular", **{**body, "key": "2" * 32, "tabulation": "refusal"})
    assert answer.status_code == 409
    other = Visitor(dialer)
    other.enter("bruno")
    assert other.post("/mesa/tabular", **{**body, "key": "3" * 32}).status_code == 409
    assert attempt_of(dialer.settings, "desk1")["tabulation"] == "promise"
