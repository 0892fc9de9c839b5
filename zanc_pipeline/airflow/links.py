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

    @property
    def xcom_key(self) -> str:
        """Where the training leaves the address, and Airflow finds it."""
        return "mlflow_model_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task left; empty when it did not come so far."""
        from airflow.sdk.execution_time.xcom import XCom

        return str(XCom.get_value(key=self.xcom_key, ti_key=ti_key) or "")
