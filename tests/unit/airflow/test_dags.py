"""Every DAG file, the DAGs it must produce, and what each of them owes to ops."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, TriggerRule

from zanc_pipeline.common.settings import project_root

EXPECTED = {
    "reception_dags.py": {
        "reception__banco_aurora",
        "reception__energia_sul",
        "reception__loja_horizonte",
        "reception__telecom_brisa",
        "reception__desconhecido",
    },
    "decision_dags.py": {"decision__entregas"},
    "mailing_dags.py": {"mailing__cobranca_geral"},
    "campaign_dags.py": {"campaign__cobranca_geral"},
    "training_dags.py": {"training__answer", "training__payment", "training__right_party"},
    "monitoring_dags.py": {"monitoring"},
    "notice_dags.py": {"avisos"},
    "localization_dags.py": {"calls__larga", "calls__leve", "calls__norma", "calls__remessa"},
}
FOLDER = project_root() / "dags"


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(FOLDER)


def dags() -> list[str]:
    return sorted(dag_id for ids in EXPECTED.values() for dag_id in ids)


def test_every_dag_file_is_listed_here() -> None:
    assert {path.name for path in FOLDER.rglob("*.py")} == set(EXPECTED)


def test_no_file_fails_to_import(bag: DagBag) -> None:
    assert bag.import_errors == {}


def test_each_file_produces_its_dags(bag: DagBag) -> None:
    produced: dict[str, set[str]] = {}
    for dag in bag.dags.values():
        produced.setdefault(Path(dag.fileloc).name, set()).add(dag.dag_id)
    assert produced == EXPECTED


@pytest.mark.parametrize("dag_id", dags())
def test_ops_know_it_by_name_and_find_a_runbook(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert dag.dag_display_name != dag_id
    assert dag.tags
    assert dag.doc_md is not None
    for chapter in ("When it runs.", "What it does.", "What to look at.", "When it is red."):
        assert chapter in dag.doc_md
    for task in dag.tasks:
        assert task.owner == "zanc"
        assert task.task_display_name != task.task_id


@pytest.mark.parametrize("dag_id", dags())
def test_one_run_at_a_time_and_none_for_the_past(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    # Each delivery that waits for a person is a run of its own; such a run holds no slot.
    assert dag.max_active_runs == (1000 if dag_id == "decision__entregas" else 1)
    assert dag.catchup is False
    dag.check_cycle()


def test_the_line_is_joined_by_assets(bag: DagBag) -> None:
    assert _wakes(bag.dags["reception__banco_aurora"]) == {"ftp_banco_aurora"}
    assert _updates(bag.dags["reception__banco_aurora"]) == {"portfolio_by_banco_aurora"}
    assert _wakes(bag.dags["mailing__cobranca_geral"]) == {"portfolio"}
    assert _updates(bag.dags["mailing__cobranca_geral"]) == {
        "mailing_cobranca_geral_by_cobranca_geral"
    }
    assert _wakes(bag.dags["campaign__cobranca_geral"]) == {"mailing_cobranca_geral"}


def test_no_two_tasks_update_an_asset_through_the_same_alias(bag: DagBag) -> None:
    outlets = [name for dag in bag.dags.values() for name in _updates(dag)]
    assert len(outlets) == len(set(outlets))


def test_calls_that_were_made_reach_the_crms_also_when_the_campaign_failed(bag: DagBag) -> None:
    outcomes = bag.dags["campaign__cobranca_geral"].get_task("devolver_resultados")
    assert outcomes.trigger_rule == TriggerRule.ALL_DONE


def test_a_campaign_that_failed_is_red_even_when_its_outcomes_came_back(bag: DagBag) -> None:
    dag = bag.dags["campaign__cobranca_geral"]
    tis = [Mock(task_id=task.task_id, state="success") for task in dag.tasks]
    deciding = {ti.task_id for ti in DagRun()._tis_for_dagrun_state(dag=dag, tis=tis)}
    assert deciding == {"encerrar"}
    ended = dag.get_task("encerrar")
    assert ended.trigger_rule == TriggerRule.ALL_SUCCESS
    assert ended.upstream_task_ids == {"discar", "devolver_resultados"}


def test_a_breach_starts_the_training_of_its_own_model(bag: DagBag) -> None:
    dag = bag.dags["monitoring"]
    for model in ("answer", "payment", "right_party"):
        again = dag.get_task(f"treinar_{model}")
        assert again.upstream_task_ids == {f"vigiar_{model}"}
        assert again.trigger_dag_id == f"training__{model}"


@pytest.mark.parametrize("breach", [True, False])
def test_the_training_follows_a_breach_only(breach: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from zanc_pipeline.airflow.monitoring import broke_a_limit
    from zanc_pipeline.scoring import monitoring

    check = Mock(breach=breach, line=lambda: "zanc_answer: checked", to_json=lambda: {"why": "x"})
    monkeypatch.setattr(monitoring, "check_all", lambda *_: [check])
    ti = Mock()
    assert broke_a_limit("models/answer/model.yaml", ti) is breach
    ti.xcom_push.assert_called_once_with(key="check", value={"why": "x"})


def test_a_parse_imports_nothing_heavy() -> None:
    script = (
        "import runpy, sys\n"
        f"for name in {sorted(EXPECTED)!r}:\n"
        f"    runpy.run_path({str(FOLDER)!r} + '/' + name)\n"
        "heavy = {'pandas', 'pyarrow', 'mlflow', 'xgboost', 'sklearn', 'numpy', 'openpyxl'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1:] in ([], [""])


def test_a_broken_convenio_does_not_take_the_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zanc_pipeline.airflow.dags import reception_dags

    for name, text in {"bom": "nome: Banco Bom", "ruim": "nome: [sem fim"}.items():
        folder = tmp_path / "convenios" / name
        folder.mkdir(parents=True)
        (folder / "convenio.yaml").write_text(text)
    monkeypatch.setenv("ZANC_CONFIG", str(tmp_path))
    names = {dag.dag_id: dag.dag_display_name for dag in reception_dags("doc")}
    assert names == {
        "reception__bom": "Recepção · Banco Bom",
        "reception__ruim": "Recepção · ruim",
        "reception__desconhecido": "Recepção · Convênio desconhecido",
    }


def test_the_unknown_convenio_has_the_name_that_reception_gives_it() -> None:
    from zanc_pipeline.airflow import dags
    from zanc_pipeline.reception import service

    assert dags.UNKNOWN_CONVENIO == service.UNKNOWN_CONVENIO


def test_airflow_runs_our_plugin_only() -> None:
    from airflow._shared.module_loading import find_path_from_directory

    folder = project_root() / "plugins"
    found = {
        Path(path).name for path in find_path_from_directory(str(folder), ".airflowignore", "glob")
    }
    assert {name for name in found if name.endswith(".py")} == {"zanc_pages.py"}


def _wakes(dag: DAG) -> set[str]:
    return {asset.name for asset in dag.schedule}


def _updates(dag: DAG) -> set[str]:
    return {outlet.name for task in dag.tasks for outlet in task.outlets}
