"""Buttons on a task in the Airflow UI that lead to the page of what it does, or to MLflow.

Airflow asks for an address in the worker, as the task ends; the tab *Página* of a DAG and of its
runs leads to the same pages at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from zanc_pipeline.airflow.pages import places

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class MlflowModelLink(BaseOperatorLink):
    """The model version that a training registered in MLflow, with the run that made it."""

    name = "MLflow"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty when no version was made."""
        return str(getattr(operator, "model_url", ""))


class MlflowRunLink(BaseOperatorLink):
    """The run of a training in MLflow: its parameters, metrics and plots."""

    name = "Execução no MLflow"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty when no run was made."""
        return str(getattr(operator, "run_url", ""))


class ReceptionLink(BaseOperatorLink):
    """The deliveries of the task's convênio."""

    name = "Entregas e relatórios"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page *Recepção* of the convênio."""
        return places.framed(places.inbox(convenio=getattr(operator, "convenio", "")))


class DeliveryLink(BaseOperatorLink):
    """The delivery that a run of ``decision__entregas`` is about."""

    name = "A entrega"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The delivery's page, found by the run's name."""
        return places.framed(places.of_run(ti_key.dag_id, ti_key.run_id))


class MailingLink(BaseOperatorLink):
    """The mailing that a task built."""

    name = "O mailing"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The mailing's page; without one, those of the campaign."""
        campaign, made = getattr(operator, "campaign", ""), getattr(operator, "mailing_id", "")
        address = places.mailing(campaign, made) if made else places.mailings(campanha=campaign)
        return places.framed(address)


class CampaignLink(BaseOperatorLink):
    """The campaigns in the dialer, live; after its end, the one that the task ran."""

    name = "A campanha"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page of the last campaign that the task ran; without one, of all."""
        ran = getattr(operator, "ran", ())
        name = getattr(operator, "campaign", "")
        return places.framed(places.campaign(name, ran[-1]) if ran else places.campaigns())
