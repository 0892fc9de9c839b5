"""What the line tells people of: the words, the events' names, and the DAG that looks around."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronTriggerTimetable

from zanc_pipeline.airflow.errors import plain_errors
from zanc_pipeline.airflow.pages import places
from zanc_pipeline.common import notices
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.notices import Notice
from zanc_pipeline.common.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zanc_pipeline.reception.inbox import Standing
    from zanc_pipeline.reception.waits import Overdue
    from zanc_pipeline.scoring.monitoring import Check

log = logging.getLogger(__name__)

LOOKS_BACK = timedelta(days=3)
"""Older quarantines are on the page; nobody wants them all told when notices are switched on."""

_EVERY_QUARTER = "*/15 * * * *"


def quarantined(settings: Settings, convenio: str, found: Iterable[Mapping[str, Any]]) -> None:
    """Tell of deliveries in quarantine: ``delivery``, ``file`` and ``reason`` of each."""
    notices.tell(
        settings,
        *(
            Notice(
                kind="quarentena",
                key=str(one["delivery"]),
                subject=f"{convenio}: {one['file']} ficou em quarentena",
                text=str(one["reason"] or ""),
                link=_page(settings, places.delivery(convenio, int(one["delivery"]))),
            )
            for one in found
        ),
    )


def breached(settings: Settings, checks: Iterable[Check]) -> None:
    """Tell of champions that broke a limit; once a day and version."""
    today = datetime.now(LOCAL).date()
    notices.tell(
        settings,
        *(
            Notice(
                kind="mudanca_no_modelo",
                key=f"{one.model} {one.version} {today}",
                subject=f"O modelo {one.model} (versão {one.version}) passou de um limite",
                text=f"{one.why}\n\nO treino começa sozinho.",
                link=settings.mlflow_page(f"models/{one.model}"),
            )
            for one in checks
            if one.breach
        ),
    )


def run_failed(context: Context) -> None:
    """Airflow's callback of a task that failed for good; one notice a run."""
    ti = context["ti"]
    error = context.get("exception")
    settings = load_settings()
    notices.tell(
        settings,
        Notice(
            kind="execucao_falhou",
            key=f"{ti.dag_id} {ti.run_id}",
            subject=f"A execução de {ti.dag_id} falhou em {ti.task_id}",
            text=str(error).splitlines()[0] if error and str(error) else "",
            link=_address(settings, places.dag(ti.dag_id, ti.run_id)),
        ),
    )


NIGHTLY: dict[str, Any] = {
    "owner": "zanc",
    "on_failure_callback": run_failed,
    "retries": 8,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=2),
}
"""Defaults of the tasks of a nightly DAG: they wait for a part that is away for a while."""


def look_around() -> int:
    """Tell of what no run tells: missing files, waits that are over; send what is left over.

    Returns how many notices a server still does not take.
    """
    from zanc_pipeline.reception import inbox, waits

    now = datetime.now(UTC)
    with plain_errors():
        settings = load_settings()
        for convenio, found in _in_quarantine(settings, now).items():
            quarantined(settings, convenio, found)
        missing = inbox.missing(settings, now=now)
        late = waits.overdue(settings, now=now)
        notices.tell(
            settings,
            *(_missing(settings, one, now) for one in missing),
            *(_late(settings, one) for one in late),
        )
        left = notices.deliver(settings)
    log.info("%d missing files, %d waits that are over, %d to send", len(missing), len(late), left)
    return left


def notices_dag(doc: str) -> DAG:
    """``avisos``: every 15 minutes."""
    with DAG(
        "avisos",
        dag_display_name="Avisos",
        description=doc.strip().splitlines()[0],
        doc_md=doc,
        schedule=CronTriggerTimetable(
            _EVERY_QUARTER, timezone="America/Sao_Paulo", run_immediately=timedelta()
        ),
        start_date=None,
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": "zanc",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "on_failure_callback": run_failed,
        },
        tags=["avisos"],
    ) as dag:
        PythonOperator(
            task_id="avisar",
            task_display_name="Procurar e avisar",
            python_callable=look_around,
        )
    return dag


def _in_quarantine(settings: Settings, now: datetime) -> dict[str, list[dict[str, Any]]]:
    with transaction(settings, "zanc", application="airflow") as cursor:
        cursor.execute(
            "SELECT convenio, id AS delivery, file_name AS file, reason FROM reception.delivery"
            " WHERE status = 'quarantined' AND received_at >= %s ORDER BY id",
            (now - LOOKS_BACK,),
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for row in cursor.fetchall():
            found.setdefault(row["convenio"], []).append(row)
    return found


def _missing(settings: Settings, one: Standing, now: datetime) -> Notice:
    usual = one.expected
    by = f" até {usual.by.astimezone(LOCAL):%H:%M}" if usual else ""
    return Notice(
        kind="arquivo_faltando",
        key=f"{one.convenio} {now.astimezone(LOCAL).date()}",
        subject=f"{one.convenio}: o arquivo de hoje não chegou",
        text=f"Costuma chegar{by}. Confira com o credor.",
        link=_page(settings, places.inbox(convenio=one.convenio)),
    )


def _late(settings: Settings, one: Overdue) -> Notice:
    delivery = one.delivery
    return Notice(
        kind="espera_vencida",
        key=str(delivery.id),
        subject=f"{delivery.convenio}: {delivery.file_name} espera há mais de {one.hours} horas",
        text=delivery.reason or "",
        link=_page(settings, places.delivery(delivery.convenio, delivery.id)),
    )


def _page(settings: Settings, address: str) -> str:
    return _address(settings, places.framed(address))


def _address(settings: Settings, path: str) -> str:
    return f"{settings.web_url(settings.airflow)}{path}"
