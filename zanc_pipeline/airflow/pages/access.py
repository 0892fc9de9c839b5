"""Who may see and who may change: Airflow's own permissions, read for every request.

A page shows what belongs to the DAGs that its reader may read. A change needs permission to start
runs of the DAG that its address names, and must come from one of our own pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.api_fastapi.logging.decorators import action_logging
from fastapi import Depends, HTTPException, Request

from zanc_pipeline.common import web
from zanc_pipeline.common.settings import Settings, load_settings

SETTINGS_KEPT_SECONDS = 15
"""A convênio or a campaign added under ``config/`` is on the pages after so long."""

READ = Depends(requires_access_dag("GET"))


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who asks, and the DAGs that they may read."""

    name: str
    dags: frozenset[str]
    user: Any

    def names(self, prefix: str) -> list[str]:
        """What the readable DAGs ``<prefix>__<name>`` are named after."""
        start = f"{prefix}__"
        return sorted(dag.removeprefix(start) for dag in self.dags if dag.startswith(start))

    def may_change(self, dag_id: str) -> bool:
        """Whether they may start runs of this DAG, and so decide what belongs to it."""
        return get_auth_manager().is_authorized_dag(
            method="POST",
            access_entity=DagAccessEntity.RUN,
            details=DagDetails(id=dag_id),
            user=self.user,
        )


def reader(user: GetUserDep) -> Reader:
    """The dependency of pages."""
    dags = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return Reader(name=user.get_name(), dags=frozenset(dags), user=user)


def own_page(request: Request) -> None:
    """Refuse a change that another site made the browser send."""
    if not web.is_own_page(request.headers):
        raise HTTPException(403, "Esta mudança não veio de uma página nossa.")


ReaderDep = Annotated[Reader, Depends(reader)]

MAY_CHANGE = Depends(requires_access_dag("POST", DagAccessEntity.RUN))


def change(event: str) -> list[Any]:
    """What guards a change; ``event`` is its name in Airflow's audit log."""
    return [MAY_CHANGE, Depends(own_page), Depends(action_logging(event=event))]


def settings() -> Settings:
    """The settings, read again every few seconds: a page must not read all of ``config/``."""
    return _settings(int(monotonic() / SETTINGS_KEPT_SECONDS))


@lru_cache(maxsize=1)
def _settings(_span: int) -> Settings:
    return load_settings()
