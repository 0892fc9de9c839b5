"""The pages inside the Airflow UI: closed without a login, escaped, plain about what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from zanc_pipeline.airflow.pages import app as pages_app
from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.reception import service
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.ledger import Delivery

HOSTILE = "<script>alert(1)</script>.csv"


def delivery(number: int, *, status: str = "quarantined", folder: str | None = None) -> Delivery:
    return Delivery(
        id=number,
        convenio="banco_aurora",
        file_name=HOSTILE,
        sha256="0" * 64,
        size_bytes=1,
        remote_path=None,
        remote_modified=None,
        received_at=datetime(2026, 11, 23, 15, 0, tzinfo=UTC),
        uploaded_at=None,
        status=status,
        duplicate_of=None,
        layout_version=None,
        reference_date=None,
        rows_total=12345,
        rows_accepted=12000,
        rows_rejected=345,
        reason="o rodapé diz outro total; CPF 123.456.789-09",
        folder=folder,
        finished_at=None,
    )


@pytest.fixture
def closed() -> TestClient:
    return TestClient(pages_app.pages())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(proposals, "list_open", lambda settings: [])
    app = pages_app.pages()
    app.dependency_overrides[pages_app._READ.dependency] = lambda: None
    return TestClient(app)


@pytest.mark.parametrize(
    "path",
    [
        "/recepcao",
        "/recepcao/reception__banco_aurora/1",
        "/recepcao/reception__banco_aurora/1/rejeitadas.csv",
    ],
)
def test_nobody_reads_without_a_login(closed: TestClient, path: str) -> None:
    assert closed.get(path).status_code == 401


def test_what_a_creditor_wrote_is_text_and_personal_data_is_masked(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "list_deliveries", lambda settings, convenio: [delivery(7)])
    page = opened.get("/recepcao")
    assert page.status_code == 200
    assert HOSTILE not in page.text
    assert "&lt;script&gt;" in page.text
    assert "123.456.789-09" not in page.text
    assert "12.000" in page.text
    assert "23/11/2026 12:00" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_long_list_comes_in_pages(opened: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [delivery(number) for number in range(250, 0, -1)]
    monkeypatch.setattr(service, "list_deliveries", lambda settings, convenio: everything)
    first = opened.get("/recepcao").text
    assert first.count('data-name="Entrega"') == pages_app.PAGE_ROWS
    assert "?before=151" in first
    assert opened.get("/recepcao?before=51").text.count('data-name="Entrega"') == 50


def test_a_database_that_is_away_is_said(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(settings: object, convenio: object) -> list[Delivery]:
        raise UnavailableError("PostgreSQL", "127.0.0.1:5442/zanc", "refused")

    monkeypatch.setattr(service, "list_deliveries", away)
    page = opened.get("/recepcao")
    assert page.status_code == 200
    assert "127.0.0.1:5442" in page.text


def test_a_report_is_served_to_who_may_read_its_convenio(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = tmp_path / "relatorio.html"
    report.write_text("<p>Relatório</p>")
    (tmp_path / "rejeitadas.csv").write_text("linha\n7\n")
    known = {7: delivery(7, folder="deliveries/7")}

    def get(settings: object, number: int) -> Delivery:
        if number not in known:
            raise DataError("não há")
        return known[number]

    monkeypatch.setattr(service, "get_delivery", get)
    monkeypatch.setattr(service, "report_path", lambda settings, found, kind: report)
    base = "/recepcao/reception__banco_aurora/7"
    assert "Relatório" in opened.get(base).text
    assert opened.get(f"{base}/rejeitadas.csv").text == "linha\n7\n"
    assert opened.get("/recepcao/reception__energia_sul/7").status_code == 404
    assert opened.get("/recepcao/reception__banco_aurora/8").status_code == 404
