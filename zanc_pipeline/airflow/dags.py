"""Builds the DAGs from ``config/`` and ``models/``; the files under ``dags/`` only call it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule

from zanc_pipeline.airflow import assets, notices
from zanc_pipeline.airflow.monitoring import MODEL_NAMES, trained_models
from zanc_pipeline.airflow.operators import (
    ApplyDecisionOperator,
    BuildMailingOperator,
    DecideOperator,
    InspectReceptionOperator,
    ReceiveOperator,
    ReturnOutcomesOperator,
    RunCampaignOperator,
    TrainModelOperator,
)
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings, load_settings, read_yaml

TIMEZONE = "America/Sao_Paulo"
UNKNOWN_CONVENIO = "desconhecido"
DECISION_DAG = "decision__entregas"

_SUNDAYS = "0 5 * * 0"
_OWNER = "zanc"
_OPEN_DECISIONS = 1000
"""Runs that wait for a person hold no slot; each must be seen."""
_PATIENT: dict[str, Any] = {
    "retries": 8,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=2),
}
"""A part that is down is waited for about nine minutes; then a person clears the task."""


def reception_dags(doc: str) -> list[DAG]:
    """``reception__<convenio>`` for every convênio, and one for files of an unknown one."""
    settings = load_settings()
    names = _named(settings, "convenios/*/convenio.yaml", lambda path: path.parent.name)
    names[UNKNOWN_CONVENIO] = "Convênio desconhecido"
    return [_reception(convenio, name, doc) for convenio, name in names.items()]


def decision_dag(doc: str) -> DAG:
    """``decision__entregas``: one run for each delivery about which a person has a choice."""
    with _dag(
        DECISION_DAG,
        "Decisão · entregas em quarentena",
        doc,
        schedule=None,
        tags=["recepção", "decisão"],
        max_active_runs=_OPEN_DECISIONS,
    ) as dag:
        ask = DecideOperator(task_id="decidir", task_display_name="Decidir", **_PATIENT)
        apply = ApplyDecisionOperator(
            task_id="aplicar", task_display_name="Aplicar", asked_by=ask.task_id, **_PATIENT
        )
        load = TriggerDagRunOperator(
            task_id="carregar",
            task_display_name="Carregar",
            trigger_dag_id="reception__{{ dag_run.conf['convenio'] }}",
            **_PATIENT,
        )
        ask >> apply >> load
    return dag


def mailing_dags(doc: str) -> list[DAG]:
    """``mailing__<campaign>`` for every campaign."""
    return [_mailing(campaign, name, doc) for campaign, name in _campaigns().items()]


def campaign_dags(doc: str) -> list[DAG]:
    """``campaign__<campaign>`` for every campaign."""
    return [_campaign(campaign, name, doc) for campaign, name in _campaigns().items()]


def training_dags(doc: str) -> list[DAG]:
    """``training__<model>`` for every model of ``models/`` that learns from the databases."""
    models = trained_models(load_settings().root)
    return [_training(model, spec, doc) for model, spec in models.items()]


def _reception(convenio: str, name: str, doc: str) -> DAG:
    with _dag(
        f"reception__{convenio}",
        f"Recepção · {name}",
        doc,
        schedule=[assets.arrivals(convenio)],
        tags=["recepção", convenio],
    ) as dag:
        receive = ReceiveOperator(
            task_id="receber", task_display_name="Receber e carregar", convenio=convenio, **_PATIENT
        )
        inspect = InspectReceptionOperator(
            task_id="conferir",
            task_display_name="Conferir o que não entrou",
            convenio=convenio,
            received_by=receive.task_id,
        )
        TriggerDagRunOperator.partial(
            task_id="pedir_decisao",
            task_display_name="Pedir uma decisão",
            trigger_dag_id=DECISION_DAG,
            skip_when_already_exists=True,
            **_PATIENT,
        ).expand_kwargs(inspect.output)
        receive >> inspect
    return dag


def _mailing(campaign: str, name: str, doc: str) -> DAG:
    with _dag(
        f"mailing__{campaign}",
        f"Mailing · {name}",
        doc,
        schedule=[assets.PORTFOLIO],
        tags=["mailing", campaign],
    ) as dag:
        BuildMailingOperator(
            task_id="montar",
            task_display_name="Pontuar e montar o mailing",
            campaign=campaign,
            **_PATIENT,
        )
    return dag


def _campaign(campaign: str, name: str, doc: str) -> DAG:
    with _dag(
        f"campaign__{campaign}",
        f"Campanha · {name}",
        doc,
        schedule=[assets.mailing(campaign)],
        tags=["campanha", campaign],
    ) as dag:
        run = RunCampaignOperator(
            task_id="discar", task_display_name="Discar", campaign=campaign, **_PATIENT
        )
        outcomes = ReturnOutcomesOperator(
            task_id="devolver_resultados",
            task_display_name="Devolver os resultados aos CRMs",
            run_by=run.task_id,
            # Calls that were made count, whatever became of the campaign.
            trigger_rule=TriggerRule.ALL_DONE,
            **_PATIENT,
        )
        # A run ends as its last task does: this one fails with either of the two.
        ended = EmptyOperator(task_id="encerrar", task_display_name="Campanha encerrada")
        run >> outcomes >> ended
        run >> ended
    return dag


def _training(model: str, spec: str, doc: str) -> DAG:
    with _dag(
        f"training__{model}",
        f"Treino · {MODEL_NAMES.get(model, model)}",
        doc,
        schedule=CronTriggerTimetable(_SUNDAYS, timezone=TIMEZONE, run_immediately=timedelta()),
        tags=["treino", model],
    ) as dag:
        TrainModelOperator(
            task_id="treinar", task_display_name="Treinar e promover", spec=spec, **_PATIENT
        )
    return dag


def _dag(
    dag_id: str, name: str, doc: str, *, schedule: Any, tags: list[str], max_active_runs: int = 1
) -> DAG:
    return DAG(
        dag_id,
        dag_display_name=name,
        description=doc.strip().splitlines()[0],
        doc_md=doc,
        schedule=schedule,
        # No start date: with one, Airflow runs the training of last Sunday as soon as it is new.
        start_date=None,
        catchup=False,
        max_active_runs=max_active_runs,
        default_args={"owner": _OWNER, "on_failure_callback": notices.run_failed},
        tags=tags,
    )


def _campaigns() -> dict[str, str]:
    return _named(load_settings(), "campaigns/*.yaml", lambda path: path.stem)


def _named(settings: Settings, pattern: str, identify: Any) -> dict[str, str]:
    """The ``nome`` of each file by its id; a file that cannot be read keeps its id as name.

    One broken file must not take the DAGs of all others away; its own tasks say what is wrong.
    """
    names: dict[str, str] = {}
    for path in sorted(Path(settings.config).glob(pattern)):
        identity = identify(path)
        try:
            names[identity] = str(read_yaml(path).get("nome", identity))
        except ConfigError:
            names[identity] = identity
    return names
