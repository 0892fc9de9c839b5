"""What ``config/monitoring`` asks for is what the services' pages for Prometheus really say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import promql_parser
import pytest
import yaml
from airflow.jobs.job import Job
from airflow.models import import_all_models
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.tasklog import LogTemplate
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dialer.metrics import families as of_dialer
from dialer.pbx import Pbx
from dialer.trunks import PbxLimits
from dialer.volumes import Alarm
from tests.unit.dialer.test_floor_and_shares import World
from zanc_pipeline.airflow import figures
from zanc_pipeline.airflow.pages import access
from zanc_pipeline.airflow.pages.app import pages
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.exposition import Family, render
from zanc_pipeline.common.settings import Settings, load_settings, project_root
from zanc_pipeline.localization.metrics import Board, Metrics

FOLDER = project_root() / "config" / "monitoring"
NOW = datetime.now(UTC)
PROMETHEUS = {"up": {"job", "instance"}}
"""What Prometheus itself says of every target."""

Exposed = dict[str, set[str]]


class Central:
    """A PBX that is there."""

    name, connected, version, problem = "central", True, "22.10.0", ""


def exposed(page: str) -> Exposed:
    """The names of a page with those of their labels; a series with others is an error."""
    found: Exposed = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        assert match, line
        float(match[3])
        labels = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', match[2] or ""))
        assert found.setdefault(match[1], labels) == labels, line
    return found


@contextmanager
def airflow_database() -> Iterator[Session]:
    """The tables of Airflow that are read, in memory, with something in each."""
    cast(Any, import_all_models)()  # tables name each other
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    for table in (LogTemplate, DagRun, TaskInstance, Job):
        table.__table__.create(engine)
    with Session(engine) as session:
        run = {"run_type": "manual", "run_after": NOW, "logical_date": None}
        for number, state in enumerate(("failed", "success", "running")):
            ended = None if state == "running" else NOW
            session.execute(
                insert(DagRun).values(
                    dag_id="d", run_id=f"r{number}", state=state, end_date=ended, **run
                )
            )
        session.execute(
            insert(DagRun).values(
                dag_id="d", run_id="old", state="failed", end_date=NOW - timedelta(days=2), **run
            )
        )
        session.execute(
            insert(TaskInstance).values(
                task_id="t", dag_id="d", run_id="r0", state="failed", end_date=NOW, pool="p"
            )
        )
        session.execute(insert(Job).values(job_type="SchedulerJob", latest_heartbeat=NOW))
        session.commit()
        yield session


@pytest.fixture
def line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The pages over a real PostgreSQL with a row of each kind."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "DELETE FROM reception.delivery; DELETE FROM scoring.monitor;"
            " DELETE FROM mailing.mailing;"
            " INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, status,"
            "   received_at) VALUES"
            " ('banco_aurora', 'a.csv', 'x', 1, 'quarantined', now() - interval '2 hours'),"
            " ('banco_aurora', 'b.csv', 'y', 1, 'loaded', now()),"
            " ('banco_aurora', 'c.csv', 'z', 1, 'held', now() - interval '25 hours'),"
            " ('banco_aurora', 'd.csv', 'w', 1, 'held', now() - interval '1 hour');"
            " INSERT INTO scoring.monitor (model, version, rows, matured, reference_auc,"
            "   score_psi, breach, why) VALUES ('zanc_answer', 1, 1, 1, 0.7, 0.5, true, 'x');"
            " INSERT INTO mailing.mailing (id, campaign, day, inputs_hash, leads, path, sha256,"
            "   waterfall, expected) VALUES ('m', 'cobranca_geral',"
            "   timezone('America/Sao_Paulo', now())::date, 'h', 321, 'p', 's', '[]', '{}')"
        )
    with airflow_database() as session:

        @contextmanager
        def create_session() -> Iterator[Session]:
            yield session

        monkeypatch.setattr("airflow.utils.session.create_session", create_session)
        monkeypatch.setattr(access, "_settings", lambda span: settings)
        yield TestClient(pages())


def scraped(line: TestClient, settings: Settings) -> str:
    token = settings.secret("metrics_token")
    answer = line.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return str(answer.text)


def dialer_page() -> str:
    world = World(2)
    del world.engine.pbxs["central"]
    world.engine.add_pbx(cast(Pbx, Central()), PbxLimits())
    campaign = world.campaign("a")
    campaign.pace.past = replace(campaign.pace.past, month_answered=9)
    for agent in world.floor.agents.values():
        agent.share = "a"
    world.engine.ended["human"] = 1
    alarm = Alarm(rule="chamadas_curtas", told="x", brake=True)
    world.engine.book.alarms = lambda now: [alarm]  # type: ignore[method-assign]
    return render(of_dialer(world.engine, {"pending": 0, "refused": 0}, NOW))


def localization_page() -> str:
    metrics = Metrics(Board(processes=1, routes=["/v1/calls"], crms=["norma"]))
    metrics.request("/v1/calls", 200, 0.01)
    return metrics.render()


def expressions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, expression and what is told, of every alert and every chart."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"], rule["annotations"]
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], {"legend": target["legendFormat"]}


def check(expr: Any, known: Exposed) -> set[str] | None:
    """Assert that all that ``expr`` names exists; the labels of its result, None of a number."""
    if isinstance(expr, promql_parser.VectorSelector):
        assert expr.name in known, f"{expr.name} is not exposed"
        for matcher in expr.matchers.matchers:
            assert matcher.name in known[expr.name], f"{expr.name} has no label {matcher.name}"
        return known[expr.name]
    if isinstance(expr, promql_parser.MatrixSelector):
        return check(expr.vector_selector, known)
    if isinstance(expr, promql_parser.AggregateExpr):
        inner = check(expr.expr, known) or set()
        assert expr.modifier is None or "By" in str(expr.modifier.type), "by() only"
        labels = set(expr.modifier.labels) if expr.modifier else set()
        assert labels <= inner, f"{labels - inner} of {expr}"
        return labels
    if isinstance(expr, promql_parser.BinaryExpr):
        left, right = check(expr.lhs, known), check(expr.rhs, known)
        if left is None or right is None:
            return right if left is None else left
        assert left == right or (expr.modifier and expr.modifier.matching), f"no match: {expr}"
        return left
    if isinstance(expr, promql_parser.Call):
        inner = set().union(*(check(one, known) or () for one in expr.args))
        return inner - {"le"} if expr.func.name == "histogram_quantile" else inner
    if isinstance(expr, promql_parser.ParenExpr):
        return check(expr.expr, known)
    assert isinstance(expr, promql_parser.NumberLiteral), type(expr)
    return None


@pytest.mark.integration
def test_every_alert_and_chart_asks_for_what_is_exposed(
    line: TestClient, settings: Settings
) -> None:
    known = dict(PROMETHEUS)
    for page in (scraped(line, settings), dialer_page(), localization_page()):
        known |= exposed(page)
    asked = list(expressions())
    assert len(asked) > 40
    for name, text, told in asked:
        labels = check(promql_parser.parse(text), known) or set()
        for words in told.values():
            shown = set(re.findall(r"\$labels\.(\w+)", words))
            shown |= set(re.findall(r"\{\{(\w+)\}\}", words))
            assert shown <= labels, f"{name}: {words}: {labels}"
    documented = set(re.findall(r"`(\w+)[`{]", (project_root() / "docs/monitoring.md").read_text()))
    ours = {re.sub(r"_(bucket|sum|count)$", "", one) for one in known} - set(PROMETHEUS)
    assert ours <= documented, sorted(ours - documented)


@pytest.mark.integration
def test_the_lines_figures_are_those_of_the_databases(line: TestClient, settings: Settings) -> None:
    page = scraped(line, settings).splitlines()
    for expected in (
        'zanc_airflow_dag_runs{dag="d",state="failed"} 1',
        'zanc_airflow_dag_runs{dag="d",state="running"} 1',
        'zanc_airflow_failed_tasks{dag="d"} 1',
        'zanc_reception_quarantines{convenio="banco_aurora"} 1',
        'zanc_reception_overdue_waits{convenio="banco_aurora"} 1',
        'zanc_model_breach{model="zanc_answer"} 1',
        'zanc_mailing_leads_today{campaign="cobranca_geral"} 321',
        'zanc_part_up{part="reception"} 1',
    ):
        assert expected in page


def test_a_part_that_is_away_takes_no_other_away(place: Settings) -> None:
    def well(settings: Settings, now: datetime) -> Iterator[Family]:
        yield Family(name="fine", about="x", samples=[({"a": 'b"\\\n'}, 0.5)])

    parts = {"models": figures.PARTS["models"], "other": well}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "PARTS", parts)
        page = render(figures.families(place, NOW))
    assert 'zanc_part_up{part="models"} 0' in page
    assert 'fine{a="b\\"\\\\\\n"} 0.5' in page
    assert exposed(page)["fine"] == {"a"}


def test_a_wrong_token_is_refused(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_settings", lambda span: place)
    client = TestClient(pages())
    for told in ("", "Bearer ", "Bearer wrong", "Basic eA==", "Bearer é"):
        headers = {"Authorization": told.encode()} if told else {}
        answer = client.get("/metrics", headers=cast(Any, headers))
        assert answer.status_code == 401


def test_prometheus_is_pointed_at_where_the_services_listen() -> None:
    wanted = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    stack = load_settings(port_offset=0)
    ports = {name: getattr(stack, name).port for name in ("dialer", "localization", "airflow")}
    jobs = {one["job_name"]: one for one in wanted["scrape_configs"]}
    assert {name: [f"127.0.0.1:{port}"] for name, port in ports.items()} == {
        name: job["static_configs"][0]["targets"] for name, job in jobs.items()
    }
    assert jobs["airflow"]["metrics_path"] == "/zanc/metrics"
    for name, secret in (("dialer", "dialer_token"), ("airflow", "metrics_token")):
        told = FOLDER / jobs[name]["authorization"]["credentials_file"]
        assert told.resolve() == stack.root / "var" / "secrets" / secret
    assert [(FOLDER / one).is_file() for one in wanted["rule_files"]] == [True]
