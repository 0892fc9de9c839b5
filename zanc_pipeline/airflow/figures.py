"""What the line tells Prometheus: DAG runs, deliveries, models, mailings.

Each part is read by itself; docs/monitoring.md lists the names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL, local_midnight
from zanc_pipeline.common.errors import ZancError
from zanc_pipeline.common.exposition import Family, Sample
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings

log = logging.getLogger(__name__)

PAST = timedelta(hours=24)
_JOBS = ("SchedulerJob", "DagProcessorJob", "TriggererJob")

Part = Callable[[Settings, datetime], Iterator[Family]]


def families(settings: Settings, now: datetime) -> Iterator[Family]:
    """Every figure. A part that can't be read is left out, and ``zanc_part_up`` says so."""
    up: list[Sample] = []
    for name, part in PARTS.items():
        try:
            found = list(part(settings, now))
        except ZancError as error:
            log.warning("metrics of %s: %s", name, mask_text(str(error)))
            up.append(({"part": name}, 0))
            continue
        up.append(({"part": name}, 1))
        yield from found
    yield Family(name="zanc_part_up", about="1 when the part's figures could be read.", samples=up)


def _airflow(settings: Settings, now: datetime) -> Iterator[Family]:
    from airflow.jobs.job import Job
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import func, select
    from sqlalchemy.exc import SQLAlchemyError

    since = now - PAST
    try:
        with create_session() as session:
            runs = session.execute(
                select(DagRun.dag_id, DagRun.state, func.count())
                .where(func.coalesce(DagRun.end_date, now) >= since)
                .group_by(DagRun.dag_id, DagRun.state)
            ).all()
            failed = session.execute(
                select(TaskInstance.dag_id, func.count())
                .where(TaskInstance.state == "failed", TaskInstance.end_date >= since)
                .group_by(TaskInstance.dag_id)
            ).all()
            beats = session.execute(
                select(Job.job_type, func.max(Job.latest_heartbeat))
                .where(Job.job_type.in_(_JOBS))
                .group_by(Job.job_type)
            ).all()
    except SQLAlchemyError as error:
        raise ZancError(f"Airflow's database: {str(error).splitlines()[0]}") from None
    yield Family(
        name="zanc_airflow_dag_runs",
        about="Runs that go on or ended in the last 24 hours, by DAG and state.",
        samples=[({"dag": dag, "state": str(state)}, n) for dag, state, n in sorted(runs)],
    )
    yield Family(
        name="zanc_airflow_failed_tasks",
        about="Tasks that failed in the last 24 hours, by DAG.",
        samples=[({"dag": dag}, n) for dag, n in sorted(failed)],
    )
    yield Family(
        name="zanc_airflow_heartbeat_age_seconds",
        about="Seconds since the last heartbeat of Airflow's own processes.",
        samples=[
            ({"process": str(job)}, max(0.0, (now - beat).total_seconds()))
            for job, beat in sorted(beats)
            if beat is not None
        ],
    )


def _reception(settings: Settings, now: datetime) -> Iterator[Family]:
    from zanc_pipeline.reception import inbox, waits

    rows = _rows(
        settings,
        "SELECT convenio, status, count(*) AS n FROM reception.delivery"
        " WHERE received_at >= %(today)s GROUP BY convenio, status ORDER BY convenio, status",
        now,
    )
    yield Family(
        name="zanc_reception_deliveries",
        about="Deliveries of today (local day), by convênio and status.",
        samples=[
            ({"convenio": row["convenio"], "status": row["status"]}, row["n"]) for row in rows
        ],
    )
    rows = _rows(
        settings,
        "SELECT convenio, count(*) AS n, extract(epoch FROM %(now)s - min(received_at)) AS age"
        " FROM reception.delivery WHERE status = 'quarantined' AND received_at >= %(month)s"
        " GROUP BY convenio ORDER BY convenio",
        now,
    )
    yield Family(
        name="zanc_reception_quarantines",
        about="Deliveries of the last 30 days still in quarantine, by convênio.",
        samples=[({"convenio": row["convenio"]}, row["n"]) for row in rows],
    )
    yield Family(
        name="zanc_reception_oldest_quarantine_seconds",
        about="Age of the oldest of them, by convênio.",
        samples=[({"convenio": row["convenio"]}, max(0.0, float(row["age"]))) for row in rows],
    )
    missing = {one.convenio for one in inbox.missing(settings, now=now)}
    yield Family(
        name="zanc_reception_missing_file",
        about="1 when the convênio's file of today did not come by its usual hour.",
        samples=[({"convenio": name}, int(name in missing)) for name in settings.convenios],
    )
    waiting: dict[str, int] = {}
    for late in waits.overdue(settings, now=now):
        waiting[late.delivery.convenio] = waiting.get(late.delivery.convenio, 0) + 1
    yield Family(
        name="zanc_reception_overdue_waits",
        about="Deliveries that wait for another file longer than espera_horas, by convênio.",
        samples=[({"convenio": name}, waiting.get(name, 0)) for name in settings.convenios],
    )


def _models(settings: Settings, now: datetime) -> Iterator[Family]:
    rows = _rows(
        settings,
        "SELECT DISTINCT ON (model) model, breach, score_psi,"
        " extract(epoch FROM %(now)s - checked_at) AS age"
        " FROM scoring.monitor ORDER BY model, checked_at DESC, id DESC",
        now,
    )
    yield Family(
        name="zanc_model_breach",
        about="1 when the last check of the champion broke a limit.",
        samples=[({"model": row["model"]}, int(row["breach"])) for row in rows],
    )
    yield Family(
        name="zanc_model_score_psi",
        about="Population stability index of the champion's score at its last check.",
        samples=[({"model": row["model"]}, row["score_psi"]) for row in rows],
    )
    yield Family(
        name="zanc_model_check_age_seconds",
        about="Seconds since that check.",
        samples=[({"model": row["model"]}, max(0.0, float(row["age"]))) for row in rows],
    )


def _mailings(settings: Settings, now: datetime) -> Iterator[Family]:
    rows = _rows(
        settings,
        "SELECT campaign, count(*) AS n, sum(leads) AS leads FROM mailing.mailing"
        " WHERE day = %(day)s GROUP BY campaign ORDER BY campaign",
        now,
    )
    found = {row["campaign"]: row for row in rows}
    for name, column, about in (
        ("zanc_mailings_today", "n", "Mailings of today, by campaign."),
        ("zanc_mailing_leads_today", "leads", "Persons in the mailings of today, by campaign."),
    ):
        yield Family(
            name=name,
            about=about,
            samples=[
                ({"campaign": one}, int(found[one][column]) if one in found else 0)
                for one in sorted({*settings.campaigns, *found})
            ],
        )


PARTS: dict[str, Part] = {
    "airflow": _airflow,
    "reception": _reception,
    "models": _models,
    "mailings": _mailings,
}


def _rows(settings: Settings, query: str, now: datetime) -> list[dict[str, Any]]:
    day = now.astimezone(LOCAL).date()
    values = {
        "now": now,
        "day": day,
        "today": local_midnight(day),
        "month": now.astimezone(UTC) - timedelta(days=30),
    }
    with transaction(settings, "zanc", application="metrics") as cursor:
        cursor.execute(query, values)
        rows: list[dict[str, Any]] = cursor.fetchall()
    return rows
