"""The DAGs that load the calls that the CRMs made themselves, a day's file at a time."""

from __future__ import annotations

import logging
from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException

from zanc_pipeline.airflow import notices
from zanc_pipeline.airflow.errors import plain_errors
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import load_settings

log = logging.getLogger(__name__)

_EVERY_DAY = "30 2 * * *"


def load_calls(crm: str) -> dict[str, int]:
    """Load the files of calls that wait in ``var/calls/<crm>``: ``files``, ``accepted``,
    ``duplicates``.

    Fails, and names them, when some are wrong; the others are loaded all the same.
    """
    from zanc_pipeline.localization import landing

    done, wrong = {"files": 0, "accepted": 0, "duplicates": 0}, []
    with plain_errors():
        for one in landing.load_waiting(load_settings(), crm):
            if one.counts is None:
                wrong.append(mask_text(one.refused or one.name))
                log.error("%s", wrong[-1])
                continue
            done["files"] += 1
            done["accepted"] += one.counts.accepted
            done["duplicates"] += one.counts.duplicates
            log.info(
                "%s: %d calls, %d known already",
                one.name,
                one.counts.rows,
                one.counts.duplicates,
            )
    if wrong:
        raise AirflowFailException("; ".join(wrong))
    return done


def calls_dags(doc: str) -> list[DAG]:
    """``calls__<crm>`` for every CRM."""
    return [_calls(crm, doc) for crm in load_settings().crms]


def _calls(crm: str, doc: str) -> DAG:
    with DAG(
        f"calls__{crm}",
        dag_display_name=f"Chamadas · CRM {crm}",
        description=doc.strip().splitlines()[0],
        doc_md=doc,
        schedule=CronTriggerTimetable(
            _EVERY_DAY, timezone="America/Sao_Paulo", run_immediately=timedelta()
        ),
        start_date=None,
        catchup=False,
        max_active_runs=1,
        default_args=notices.NIGHTLY,
        tags=["localização", crm],
    ) as dag:
        PythonOperator(
            task_id="carregar",
            task_display_name="Carregar as chamadas",
            python_callable=load_calls,
            op_kwargs={"crm": crm},
        )
    return dag
