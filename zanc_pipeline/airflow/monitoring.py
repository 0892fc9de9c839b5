"""The DAG that watches the champions and starts a training when one has aged."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable

from zanc_pipeline.airflow import notices
from zanc_pipeline.airflow.errors import plain_errors
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings, read_yaml

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol as TaskInstance

log = logging.getLogger(__name__)

MODEL_NAMES = {"answer": "quem atende", "payment": "quem paga", "right_party": "quem é o devedor"}
_EVERY_DAY = "0 4 * * *"


def trained_models(root: Path) -> dict[str, str]:
    """The models that learn from the databases: folder name and spec, relative to ``root``.

    One whose spec can't be read stays: its own task says what is wrong.
    """
    found = {}
    for spec in sorted(root.glob("models/*/model.yaml")):
        try:
            learns = read_yaml(spec).get("source") is not None
        except ConfigError:
            learns = True
        if learns:
            found[spec.parent.name] = str(spec.relative_to(root))
    return found


def broke_a_limit(spec: str, ti: TaskInstance) -> bool:
    """Check the champion of ``spec`` and record it; True after a breach, so that what follows runs.

    The task's XCom ``check`` is what ``zanc models monitor --json`` prints of it.
    """
    from zanc_pipeline.scoring import monitoring

    with plain_errors():
        settings = load_settings()
        checks = monitoring.check_all(settings, [settings.root / Path(spec)])
    for check in checks:
        ti.xcom_push(key="check", value=check.to_json())
        log.log(logging.WARNING if check.breach else logging.INFO, check.line())
    notices.breached(settings, checks)
    return any(check.breach for check in checks)


def monitoring_dag(doc: str) -> DAG:
    """``monitoring``: for every model a check and, after a breach, the start of its training."""
    with DAG(
        "monitoring",
        dag_display_name="Vigilância dos modelos",
        description=doc.strip().splitlines()[0],
        doc_md=doc,
        schedule=CronTriggerTimetable(
            _EVERY_DAY, timezone="America/Sao_Paulo", run_immediately=timedelta()
        ),
        start_date=None,
        catchup=False,
        max_active_runs=1,
        default_args=notices.NIGHTLY,
        tags=["treino", "vigilância"],
    ) as dag:
        for model, spec in trained_models(load_settings().root).items():
            name = MODEL_NAMES.get(model, model)
            check = ShortCircuitOperator(
                task_id=f"vigiar_{model}",
                task_display_name=f"Vigiar · {name}",
                python_callable=broke_a_limit,
                op_kwargs={"spec": spec},
            )
            again = TriggerDagRunOperator(
                task_id=f"treinar_{model}",
                task_display_name=f"Treinar de novo · {name}",
                trigger_dag_id=f"training__{model}",
                conf={"reason": "monitoring"},
            )
            check >> again
    return dag
