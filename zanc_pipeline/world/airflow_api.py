"""The little of Airflow's REST API that the demo needs: trigger a run, see how runs ended."""

from __future__ import annotations

import time
from typing import Any

import httpx

from zanc_pipeline.common.errors import StackError, UnavailableError
from zanc_pipeline.common.settings import Settings

_TRIES = 4


class AirflowApi:
    """Airflow's API as the user of the stack."""

    def __init__(self, settings: Settings) -> None:
        self._address = settings.web_url(settings.airflow)
        self._user = settings.airflow.username
        self._password = settings.airflow.password
        self._client = httpx.Client(base_url=self._address, timeout=30)

    def trigger(self, dag_id: str, run_id: str) -> str:
        """Start the run ``run_id`` of the DAG unless it was started already; its id."""
        body = {"logical_date": None, "dag_run_id": run_id}
        try:
            self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        except StackError as error:
            if ": 409 " not in str(error):
                raise
        return run_id

    def state(self, dag_id: str, run_id: str) -> str:
        """The run's state: queued, running, success or failed."""
        return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def runs(self, *, since: str) -> list[dict[str, Any]]:
        """All runs of all DAGs that were queued at or after ``since`` (ISO 8601), oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call(
                "GET",
                "/api/v2/dags/~/dagRuns",
                params={
                    "run_after_gte": since,
                    "limit": 100,
                    "offset": len(found),
                    "order_by": "id",
                },
            )
            found += page["dag_runs"]
            if len(found) >= page["total_entries"] or not page["dag_runs"]:
                return found

    def dag_ids(self) -> set[str]:
        """The DAGs that Airflow has parsed."""
        dags = self._call("GET", "/api/v2/dags", params={"limit": 100})["dags"]
        return {dag["dag_id"] for dag in dags if not dag["is_paused"]}

    def wait_for_dags(self, wanted: set[str], *, seconds: float = 120) -> None:
        """Wait until every DAG in ``wanted`` is parsed and active; StackError names the others."""
        deadline = time.monotonic() + seconds
        while missing := wanted - self.dag_ids():
            if time.monotonic() > deadline:
                raise StackError(
                    f"Airflow does not show the DAGs {', '.join(sorted(missing))}: see its "
                    "Dag Import Errors page"
                )
            time.sleep(1)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        for attempt in range(1, _TRIES + 1):
            try:
                if "Authorization" not in self._client.headers:
                    self._log_in()
                answer = self._client.request(method, path, **options)
                if answer.status_code == 401:
                    del self._client.headers["Authorization"]
                answer.raise_for_status()
            except httpx.HTTPStatusError as error:
                retriable = error.response.status_code in {401, 500, 502, 503, 504}
                if not retriable or attempt == _TRIES:
                    raise StackError(
                        f"Airflow at {self._address} refused {method} {path}: "
                        f"{error.response.status_code} {error.response.text[:200]}"
                    ) from None
            except httpx.HTTPError as error:
                if attempt == _TRIES:
                    raise UnavailableError("Airflow", self._address, error) from None
            else:
                body: dict[str, Any] = answer.json()
                return body
            time.sleep(attempt)
        raise UnavailableError("Airflow", self._address)

    def _log_in(self) -> None:
        answer = self._client.post(
            "/auth/token", json={"username": self._user, "password": self._password}
        )
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
