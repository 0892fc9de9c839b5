"""Starts the DAG that goes on where a person's decision ends."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def wake(dag_id: str, *, by: str) -> bool:
    """Start a run of ``dag_id`` in the name of ``by``; False when Airflow has no such DAG now.

    One run more is harmless: each finds in the ledger what there is to do.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagNotFound, DagRunAlreadyExists
    from airflow.utils.types import DagRunTriggeredByType

    try:
        trigger_dag(dag_id, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=by)
    except (DagNotFound, DagRunAlreadyExists, ValueError) as error:
        log.warning("%s was not started: %s", dag_id, error)
        return False
    return True
