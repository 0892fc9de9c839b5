"""From a DAG, or a run of it, to the page of what it does: the tab that each DAG has."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from zanc_pipeline.airflow.pages import answers, places
from zanc_pipeline.airflow.pages.access import READ, settings
from zanc_pipeline.common.settings import read_yaml
from zanc_pipeline.reception import service

router = APIRouter()


@router.get("/dag/{dag_id}", dependencies=[READ])
def of_dag(
    request: Request, dag_id: str, run: Annotated[str, Query(max_length=250)] = ""
) -> Response:
    """Where the DAG's page is; of a decision's run, the delivery; of a training, its model."""
    stack = settings()
    asked = re.fullmatch(r"entrega-(\d{1,18})\b.*", run, re.ASCII)
    if dag_id == places.DECISIONS and asked:
        found = service.get_delivery(stack, int(asked[1]))
        return RedirectResponse(places.delivery(found.convenio, found.id), 303)
    address = places.of_dag(dag_id)
    if not address.startswith(f"{places.PREFIX}/dag/"):
        return RedirectResponse(address, 303)
    kind, _, model = dag_id.partition("__")
    links = [("Todos os modelos no MLflow", stack.mlflow_page("models"))]
    if kind == places.TRAINING:
        spec = read_yaml(stack.root / "models" / model / "model.yaml")
        name = str(spec.get("name", f"zanc_{model}"))
        links.insert(0, (f"O modelo {name} no MLflow", stack.mlflow_page(f"models/{name}")))
    return answers.page(request, "dag.html.j2", dag_id=dag_id, links=links)
