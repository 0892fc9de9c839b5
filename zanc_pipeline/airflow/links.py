"""Buttons on a task in the Airflow UI that lead to what it made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class MlflowModelLink(BaseOperatorLink):
    """The model version that a training registered in MLflow, with the run that made it."""

    name = "MLflow"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, asked by the worker as the task ends; empty when no version was made."""
        return str(getattr(operator, "model_url", ""))


class ReceptionLink(BaseOperatorLink):
    """The deliveries of the task's convênio, each with its report."""

    name = "Entregas e relatórios"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page, in the Airflow UI itself."""
        return f"/zanc/recepcao?convenio={getattr(operator, 'convenio', '')}"
