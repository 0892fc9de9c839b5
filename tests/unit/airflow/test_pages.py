"""The pages inside the Airflow UI: closed without a login, escaped, plain about what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from zanc_pipeline.airflow.pages import access, campaign_view, campaigns, reception
from zanc_pipeline.airflow.pages.app import pages
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError
from zanc_pipeline.reception import inbox, service
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.drift.store import Proposal
from zanc_pipeline.reception.inbox import Case, Inbox
from zanc_pipeline.reception.ledger import Delivery

HOSTILE = "<script>alert(1)</script>.csv"
CPF = "123.456.789-09"
NOON = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
OWN = {"X-Zanc-Page": "1", "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
AURORA = "/recepcao/reception__banco_aurora/7"
RUN = "/campanhas/campaign__geral/geral-20261123-0a1b2c3d"


@dataclass(frozen=True, kw_only=True)
class FakeReader(access.Reader):
    """A person with or without permission to change; Airflow is not asked."""

    changes: bool = True

    def may_change(self, dag_id: str) -> bool:
        return self.changes


def delivery(**changed: Any) -> Delivery:
    one = Delivery(
        id=7,
        convenio="banco_aurora",
        file_name=HOSTILE,
        sha256="0" * 64,
        size_bytes=1,
        remote_path=None,
        remote_modified=None,
        received_at=NOON,
        uploaded_at=None,
        status="quarantined",
        duplicate_of=None,
        layout_version=None,
        reference_date=None,
        rows_total=12345,
        rows_accepted=12000,
        rows_rejected=345,
        reason=f"o rodapé diz outro total; CPF {CPF}",
        folder="deliveries/7",
        finished_at=None,
        rules=("volume",),
    )
    return replace(one, **changed)


def proposal() -> Proposal:
    return Proposal(
        delivery_id=7,
        status="proposed",
        layout="versao: '2'",
        summary="a coluna mudou",
        evidence={
            "arquivo": [],
            "linhas": 10,
            "linhas_rejeitadas": 0,
            "duvidas": [],
            "campos": [
                {"campo": "cpf", "antes": "coluna CPF", "agora": "coluna <b>", "mudou": True,
                 "exemplo": f"{CPF} | <i>", "exemplo_antes": CPF},
            ],
        },
        layout_file=None,
        decided_by=None,
        decided_at=None,
        note=None,
        made_at=NOON,
    )  # fmt: skip


def opened_for(reader: FakeReader) -> TestClient:
    app = pages()
    for route in app.routes:
        if isinstance(route, APIRoute):
            for one in route.dependencies:
                if one.dependency is not access.own_page:
                    app.dependency_overrides[one.dependency] = lambda: None
    app.dependency_overrides[access.reader] = lambda: reader
    return TestClient(app)


@pytest.fixture
def opened() -> TestClient:
    reception._before.cache_clear()
    dags = {"reception__banco_aurora", "campaign__geral", "mailing__geral"}
    return opened_for(FakeReader(name="ana", dags=frozenset(dags), user=None))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[int, Delivery]:
    found = {7: delivery()}

    def get(settings: object, number: int) -> Delivery:
        if number not in found:
            raise DataError("não há")
        return found[number]

    monkeypatch.setattr(service, "get_delivery", get)
    monkeypatch.setattr(
        inbox,
        "case",
        lambda settings, number: Case(
            delivery=get(settings, number),
            proposal=proposal(),
            decisions=[],
            rejected=[
                inbox.RejectedField(line=3, field="cpf", found=CPF, problem="o CPF não confere")
            ],
            correction=None,
        ),
    )
    return found


def _filled(path: str) -> str:
    return (
        path.replace("{dag_id}", "reception__banco_aurora")
        .replace("{delivery_id}", "7")
        .replace("{campaign_id}", "x-1")
        .replace("{mailing_id}", "x-1")
        .replace("{name}", "zanc.css")
    )


def _routes(app: FastAPI) -> list[tuple[str, str]]:
    found = []
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} is behind no login of ours"
        found += [(method, _filled(route.path)) for method in route.methods]
    return found


def test_no_address_answers_without_a_login() -> None:
    app = pages()
    routes = _routes(app)
    assert len(routes) >= 14
    client = TestClient(app)
    for method, path in routes:
        assert client.request(method, path, headers=OWN).status_code == 401, path


def test_no_change_is_taken_from_another_site(opened: TestClient) -> None:
    changes = [path for method, path in _routes(pages()) if method != "GET"]
    assert len(changes) >= 5
    for path in changes:
        form = {"decisao": "aprovar", "ordem": "stop", "limite": "3", "cpf": CPF}
        for strange in ({}, OWN | {"Origin": "http://evil.example"}, {"Origin": OWN["Origin"]}):
            assert opened.post(path, data=form, headers=strange).status_code in {400, 403}, path
            answer = opened.post(path, data=form, files={"arquivo": b"x"}, headers=strange)
            assert answer.status_code == 403, path


def test_a_day_shows_what_a_creditor_wrote_as_text_and_masks_people(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(inbox, "arrivals", lambda settings, day: {})

    def read(settings: object, choice: inbox.Choice, **more: Any) -> Inbox:
        asked.append(choice)
        return Inbox(deliveries=[delivery()], more=True, standings=[], proposed=frozenset({7}))

    monkeypatch.setattr(inbox, "read", read)
    page = opened.get("/recepcao?situacao=abertas&procurar=aurora")
    assert page.status_code == 200
    assert HOSTILE not in page.text
    assert "&lt;script&gt;" in page.text
    assert CPF not in page.text
    assert "12.000" in page.text
    assert ">12:00<" in page.text
    assert "antes=7" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    (choice,) = asked
    assert choice.among == {"banco_aurora"}
    assert choice.statuses == ("quarantined", "held")


def test_a_page_that_did_not_change_is_not_sent_again(
    opened: TestClient, known: dict[int, Delivery]
) -> None:
    first = opened.get(AURORA)
    again = opened.get(AURORA, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    known[7] = delivery(status="loaded")
    assert opened.get(AURORA, headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_a_database_that_is_away_is_said_in_one_sentence(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> Inbox:
        raise UnavailableError("PostgreSQL", "127.0.0.1:5442/zanc", "refused")

    monkeypatch.setattr(inbox, "arrivals", away)
    page = opened.get("/recepcao")
    assert page.status_code == 200
    assert "O banco de dados não responde (127.0.0.1:5442/zanc)." in page.text
    monkeypatch.setattr(inbox, "case", away)
    page = opened.get(AURORA, headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert "O banco de dados não responde" in page.text


def test_a_delivery_shows_before_beside_after_and_what_can_be_done(
    opened: TestClient, known: dict[int, Delivery]
) -> None:
    page = opened.get(AURORA).text
    assert "coluna &lt;b&gt;" in page
    assert CPF not in page
    for choice in ("aprovar", "recusar", "aceitar", "reprocessar"):
        assert f'value="{choice}"' in page
    assert 'type="file"' in page
    known[7] = delivery(status="loaded", rows_rejected=0)
    page = opened.get(AURORA).text
    assert 'name="decisao"' not in page
    assert 'type="file"' not in page


def test_who_may_only_read_sees_no_buttons(known: dict[int, Delivery]) -> None:
    viewer = FakeReader(
        name="leitor", dags=frozenset({"reception__banco_aurora"}), user=None, changes=False
    )
    page = opened_for(viewer).get(AURORA).text
    assert "<form" not in page
    assert "rejeitadas.csv" not in page
    assert "permissão" in page


def test_a_delivery_is_found_only_under_the_dag_that_was_checked(
    opened: TestClient, known: dict[int, Delivery]
) -> None:
    assert opened.get("/recepcao/reception__energia_sul/7").status_code == 404
    assert opened.get("/recepcao/reception__banco_aurora/8").status_code == 404
    answer = opened.post(
        "/recepcao/reception__energia_sul/7/decidir", data={"decisao": "reprocessar"}, headers=OWN
    )
    assert answer.status_code == 404


def test_a_decision_carries_the_name_of_who_took_it_and_wakes_the_reception(
    opened: TestClient, known: dict[int, Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    def approve(settings: object, number: int, *, by: str, note: str) -> Delivery:
        done.append((number, by, note))
        return delivery(status="accepted")

    monkeypatch.setattr(proposals, "approve", approve)
    monkeypatch.setattr(reception, "wake", lambda dag_id, by: done.append((dag_id, by)) or True)
    answer = opened.post(
        f"{AURORA}/decidir",
        data={"decisao": "aprovar", "motivo": " o credor \n disse"},
        headers=OWN,
    )
    assert answer.status_code == 200
    assert "carregada" in answer.json()["message"]
    assert done == [(7, "ana", "o credor disse"), ("reception__banco_aurora", "ana")]


def test_what_was_decided_already_or_lacks_its_reason_is_refused_in_words(
    opened: TestClient, known: dict[int, Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> Delivery:
        raise ConflictError("a entrega 7 já foi decidida")

    monkeypatch.setattr(service, "replay", late)
    answer = opened.post(f"{AURORA}/decidir", data={"decisao": "reprocessar"}, headers=OWN)
    assert (answer.status_code, answer.json()) == (409, {"error": "a entrega 7 já foi decidida"})
    answer = opened.post(f"{AURORA}/decidir", data={"decisao": "aceitar"}, headers=OWN)
    assert answer.status_code == 400
    assert "motivo" in answer.json()["error"]


def test_corrected_rows_are_received_under_their_own_name_and_nowhere_else(
    opened: TestClient, known: dict[int, Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bytes]] = []

    def resubmit(settings: object, number: int, path: Path) -> Delivery:
        seen.append((path.name, path.read_bytes()))
        return delivery(id=8, status="accepted")

    monkeypatch.setattr(service, "resubmit", resubmit)
    monkeypatch.setattr(reception, "wake", lambda dag_id, by: True)
    answer = opened.post(
        f"{AURORA}/corrigir", files={"arquivo": ("../../corrigidas.csv", b"linha\n")}, headers=OWN
    )
    assert answer.json()["goto"] == "/zanc/recepcao/reception__banco_aurora/8"
    for name in ("..", "é" * 200 + ".csv"):
        answer = opened.post(
            f"{AURORA}/corrigir", files={"arquivo": (name, b"linha\n")}, headers=OWN
        )
        assert answer.status_code == 200
    assert [name for name, _ in seen] == ["corrigidas.csv", "rejeitadas.csv", "é" * 56 + ".csv"]
    empty = opened.post(f"{AURORA}/corrigir", files={"arquivo": ("a.csv", b"")}, headers=OWN)
    assert empty.status_code == 400


def test_a_report_and_its_rejected_rows_are_served(
    opened: TestClient, known: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = tmp_path / "relatorio.html"
    report.write_text("<p>Relatório</p>")
    (tmp_path / "rejeitadas.csv").write_text("linha\n7\n")
    monkeypatch.setattr(service, "report_path", lambda settings, found, kind: report)
    assert "Relatório" in opened.get(f"{AURORA}/relatorio").text
    assert opened.get(f"{AURORA}/rejeitadas.csv").text == "linha\n7\n"


class FakeDialer:
    """The dialer's client: one campaign, and the orders it was given."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, ...]] = []
        self.away, self.month = False, cast("float | None", 0.01)

    def _row(self) -> dict[str, Any]:
        if self.away:
            raise UnavailableError("The dialer", "http://127.0.0.1:8780", "refused")
        row = {"id": "geral-20261123-0a1b2c3d", "name": "geral", "status": "running"}
        times = {"submitted_at": NOON.isoformat(), "finished_at": None}
        return row | times | {"reason": None, "leads_left": 41}

    def _live(self) -> dict[str, Any]:
        return {
            "id": "geral-20261123-0a1b2c3d", "name": "geral", "status": "running",
            "mode": "preditivo", "priority": 5, "operators": {"idle": 2, "talking": 1},
            "lines": 3, "kept_lines": 0, "waiting": 0, "talking": 1, "answered": 40,
            "abandoned": 1, "abandoned_share": 0.0244, "abandoned_share_30_days": self.month,
            "abandoned_limit": 0.03, "why": "abre 2 linhas: <b>",
        }  # fmt: skip

    def campaigns(self) -> list[dict[str, Any]]:
        return [self._row(), self._row() | {"id": "outra-1", "name": "outra"}]

    def figures(self) -> dict[str, Any]:
        return {"pbxs": {"central": False}, "operators": {"idle": 2}, "campaigns": [self._live()]}

    def campaign(self, campaign_id: str) -> dict[str, Any]:
        return self._row() | {
            "leads": {"waiting": 41, "active": 3, "ended": 16}, "live": self._live(),
            "attempts": {"human": 4, "ringing": 1}, "tabulations": {"promise": 1},
            "abandoned_share": 0.02, "mean_wait_seconds": 0.4, "mean_talk_seconds": 80.0,
            "occupancy": 0.7, "why": "abre 2 linhas: <b>", "operators": {"idle": 2},
        }  # fmt: skip

    def section(self, campaign_id: str) -> dict[str, Any]:
        return {"modo": "preditivo", "abandono_maximo": 0.03, "horario": ["08:00", "20:00"]}

    def audit(self, campaign_id: str) -> list[dict[str, Any]]:
        detail = {"before": {"abandono_maximo": 0.05}, "after": {"abandono_maximo": 0.03}}
        return [{"at": NOON.isoformat(), "who": "ana", "action": "settings", "detail": detail}]

    def order(self, campaign_id: str, order: str, *, who: str) -> None:
        self.orders.append((campaign_id, order, who))

    def change(self, campaign_id: str, changes: dict[str, Any], *, who: str) -> None:
        self.orders.append((campaign_id, changes, who))


@pytest.fixture
def dialer(monkeypatch: pytest.MonkeyPatch) -> FakeDialer:
    fake = FakeDialer()
    monkeypatch.setattr(campaigns, "_dialer", lambda: fake)
    monkeypatch.setattr(campaigns, "_answers", {})
    return fake


@pytest.mark.parametrize(
    ("connected", "more", "kind", "word"),
    [
        (True, {"state": "ok"}, "ok", "no ar"),
        (True, {"state": "cheia"}, "wait", "cheia"),
        (True, {"state": "esvaziando", "drained": True}, "wait", "esvaziando"),
        (True, {"state": "vazia", "drained": True}, "wait", "vazia"),
        (False, {"state": "fora", "drained": True}, "bad", "fora do ar"),
        (False, None, "bad", "fora do ar"),
    ],
)
def test_a_pbx_is_called_what_it_is(
    connected: bool, more: dict[str, Any] | None, kind: str, word: str
) -> None:
    told = [] if more is None else [{"name": "central", "lines": 2, "capacity": 9, **more}]
    [shown] = campaign_view.pbxs({"pbxs": {"central": connected}, "centrais": told})
    assert (shown["kind"], shown["word"]) == (kind, word)
    assert ("nenhuma ligação nova" in shown["why"]) == bool(more and more.get("drained"))


def test_campaigns_are_shown_live_to_who_may_read_them(
    opened: TestClient, dialer: FakeDialer
) -> None:
    page = opened.get("/campanhas").text
    assert "geral" in page
    assert "outra" not in page
    assert "central fora do ar" in page
    assert "abre 2 linhas: &lt;b&gt;" in page
    page = opened.get(RUN).text
    assert "41" in page
    assert "de 5,0 % para 3,0 %" in page
    assert "token" not in page


def test_a_campaign_that_nobody_answered_yet_is_shown(
    opened: TestClient, dialer: FakeDialer
) -> None:
    dialer.month = None
    assert "Abandono hoje 2,4 %; limite 3,0 %" in opened.get("/campanhas").text
    assert "Em 30 dias: ninguém atendeu ainda" in opened.get(RUN).text


def test_a_dialer_that_is_away_is_said_in_one_sentence(
    opened: TestClient, dialer: FakeDialer
) -> None:
    dialer.away = True
    for path in ("/campanhas", RUN):
        page = opened.get(path)
        assert page.status_code == 200
        assert "O discador não responde (http://127.0.0.1:8780)." in page.text
        assert "Traceback" not in page.text
    answer = opened.post(f"{RUN}/ordem", data={"ordem": "pause"}, headers=OWN)
    assert answer.status_code == 503
    assert "O discador não responde" in answer.json()["error"]


def test_orders_carry_the_name_of_who_gave_them(opened: TestClient, dialer: FakeDialer) -> None:
    assert opened.post(f"{RUN}/ordem", data={"ordem": "pause"}, headers=OWN).status_code == 200
    assert opened.post(f"{RUN}/limite", data={"limite": "2,5"}, headers=OWN).status_code == 200
    assert dialer.orders == [
        ("geral-20261123-0a1b2c3d", "pause", "ana"),
        ("geral-20261123-0a1b2c3d", {"abandono_maximo": 0.025}, "ana"),
    ]
    for wrong in ("0", "21", "três", "-1", "1e1", ""):
        answer = opened.post(f"{RUN}/limite", data={"limite": wrong}, headers=OWN)
        assert answer.status_code == 400, wrong
    elsewhere = RUN.replace("campaign__geral", "campaign__outra")
    assert opened.post(f"{elsewhere}/ordem", data={"ordem": "stop"}, headers=OWN).status_code == 404
    assert len(dialer.orders) == 2
