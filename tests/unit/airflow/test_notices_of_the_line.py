"""What the line tells: in whose words, with which link, and of which event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from zanc_pipeline.airflow import notices as line
from zanc_pipeline.airflow.dags import reception_dags, training_dags
from zanc_pipeline.airflow.operators import InspectReceptionOperator
from zanc_pipeline.airflow.steps import Reception
from zanc_pipeline.common import notices
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.notices import Notice
from zanc_pipeline.common.settings import Settings


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    found: list[Notice] = []
    monkeypatch.setattr(notices, "tell", lambda settings, *news: found.extend(news))
    return found


def test_a_quarantine_is_told_also_when_the_task_fails(place: Settings, told: list[Notice]) -> None:
    bad = {"delivery": 7, "file": "a.csv", "reason": "o rodapé diz outro total", "folder": "x"}
    result = Reception(quarantined=[bad], problems=["x: a configuração está errada"])
    context = cast(Any, {"ti": Mock(xcom_pull=lambda task_ids: vars(result))})
    inspect = InspectReceptionOperator(task_id="c", convenio="banco", received_by="r")
    with pytest.raises(Exception, match="a configuração está errada"):
        inspect.execute(context)
    (one,) = told
    assert (one.kind, one.key, one.text) == ("quarentena", "7", bad["reason"])
    assert one.link.endswith("/plugin/recepcao/zanc/recepcao/reception__banco/7")


def test_a_failed_run_is_one_event(place: Settings, told: list[Notice]) -> None:
    for task in ("a", "b"):
        ti = SimpleNamespace(dag_id="mailing__x", run_id="manual__1+0:0", task_id=task)
        line.run_failed(cast(Any, {"ti": ti, "exception": ValueError("first\nsecond")}))
    first, second = told
    assert first.key == second.key
    assert first.text == "first"
    assert first.link.endswith("/dags/mailing__x/runs/manual__1%2B0%3A0")


def test_every_task_of_ours_tells_of_its_failure() -> None:
    made = [*reception_dags("doc"), *training_dags("doc"), line.notices_dag("doc")]
    tasks = [task for dag in made for task in dag.tasks]
    assert len(tasks) > 10
    for task in tasks:
        assert list(cast(Any, task.on_failure_callback)) == [line.run_failed], task


def test_a_breach_is_told_and_a_model_within_its_limits_is_not(
    place: Settings, told: list[Notice]
) -> None:
    checks = [
        Mock(model=name, version=3, breach=breach, why="PSI 0,4")
        for name, breach in (("zanc_answer", True), ("zanc_payment", False))
    ]
    line.breached(place, checks)
    (one,) = told
    assert "zanc_answer (versão 3)" in one.subject
    assert one.link.endswith("/#/models/zanc_answer?workflowType=machine_learning")


@pytest.mark.integration
def test_looking_around_finds_what_no_run_tells(
    settings: Settings, told: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "load_settings", lambda: settings)
    now = datetime.now(UTC)
    rows = [
        ("quarantined", "q.csv", now - timedelta(hours=1)),
        ("quarantined", "old.csv", now - timedelta(days=4)),
        ("held", "late.csv", now - timedelta(hours=25)),
        ("held", "patient.csv", now - timedelta(hours=1)),
    ]
    with transaction(settings, "zanc") as cursor:
        for status, name, at in rows:
            cursor.execute(
                "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, status,"
                " received_at) VALUES ('banco_aurora', %s, 'x', 1, %s, %s)",
                (name, status, at),
            )
    assert line.look_around() == 0
    assert [one.kind for one in told] == ["quarentena", "espera_vencida"]
    assert "q.csv" in told[0].subject
    assert "late.csv espera há mais de 24 horas" in told[1].subject
