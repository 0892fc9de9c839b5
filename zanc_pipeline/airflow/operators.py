"""The tasks of our DAGs: thin shells that call a step and speak to Airflow."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from zanc_pipeline.airflow import assets, decisions, notices
from zanc_pipeline.airflow.errors import plain_errors
from zanc_pipeline.airflow.hooks import DialerClient
from zanc_pipeline.airflow.links import (
    CampaignLink,
    DeliveryLink,
    MailingLink,
    MlflowModelLink,
    MlflowRunLink,
    ReceptionLink,
)
from zanc_pipeline.airflow.steps import (
    Reception,
    build_mailing,
    campaigns_to_run,
    is_submitted,
    loaded_since,
    receive_convenio,
    return_outcomes,
    submit_campaign,
    wait_until_quiet,
)
from zanc_pipeline.airflow.triggers import CampaignTrigger, QuestionTrigger
from zanc_pipeline.common.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import JsonValue

_CAMPAIGN_IDS = "campaign_ids"
_TRIES_AT_THE_UNEXPECTED = 3
"""Most surprises pass; after so many tries the run goes on with what was loaded, and is red."""


class ReceiveOperator(BaseOperator):
    """Receives and loads every complete file of a convênio that the ledger does not know.

    Returns what became of the files (``steps.Reception``). Updates the asset ``portfolio`` only
    when something was loaded; a run that finds nothing to do is skipped.
    """

    template_fields = ("convenio",)
    operator_extra_links = (ReceptionLink(),)
    ui_color = "#e8f1fb"

    def __init__(self, *, convenio: str, **kwargs: Any) -> None:
        super().__init__(outlets=[assets.updates(assets.PORTFOLIO, by=convenio)], **kwargs)
        self.convenio = convenio

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the reception; a part that is down fails the try, and the next one does the rest."""
        with plain_errors():
            settings = load_settings()
            result = receive_convenio(settings, self.convenio, self._announced(context))
            deliveries: list[JsonValue] = [one["delivery"] for one in result.loaded]
            if context["ti"].try_number > 1:
                # An earlier try may have loaded and died before it could say so.
                since = context["dag_run"].run_after - timedelta(minutes=1)
                deliveries = [*loaded_since(settings, self.convenio, since)]
        if result.unexpected and context["ti"].try_number < _TRIES_AT_THE_UNEXPECTED:
            raise AirflowException("; ".join(result.unexpected))
        if deliveries:
            extra: dict[str, JsonValue] = {"convenio": self.convenio, "loaded": deliveries}
            context["outlet_events"][self.outlets[0]].add(assets.PORTFOLIO, extra=extra)
        elif result.empty:
            raise AirflowSkipException(f"{self.convenio}: nothing new arrived")
        return asdict(result)

    def _announced(self, context: Context) -> list[Any]:
        events = context["triggering_asset_events"].values()
        payloads = [(event.extra or {}).get("payload") for batch in events for event in batch]
        return [
            upload
            for payload in payloads
            if isinstance(payload, dict)
            for upload in payload.get("uploads", [])
        ]


class InspectReceptionOperator(BaseOperator):
    """Shows what did not go through: skipped when all did, failed when a person must act.

    Returns the runs of the decision DAG to ask for: one a delivery about which a person has a
    choice, whichever run left it. A quarantined file is the clerk's daily bread and stays green;
    what neither the file nor a retry explains (a wrong configuration, a bug) is red.
    """

    operator_extra_links = (ReceptionLink(),)
    ui_color = "#fdf3d8"

    def __init__(self, *, convenio: str, received_by: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convenio = convenio
        self.received_by = received_by

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Log one line a file that is not loaded; the result is what to ask persons."""
        result = Reception(**context["ti"].xcom_pull(task_ids=self.received_by))
        lines = [
            *(_line("em quarentena", one) for one in result.quarantined),
            *(_line("não carregado", one) for one in result.not_loaded),
            *(_line("repetido", one) for one in result.duplicates),
        ]
        for line in lines:
            self.log.warning(line)
        with plain_errors():
            notices.quarantined(load_settings(), self.convenio, result.quarantined)
        if errors := result.problems + result.unexpected:
            raise AirflowFailException("; ".join(errors))
        with plain_errors():
            asked = decisions.open_questions(load_settings(), self.convenio)
        if not lines and not asked:
            raise AirflowSkipException("every file was loaded")
        return [decisions.request(delivery, self.convenio, mark) for delivery, mark in asked]


class DecideOperator(HITLOperator):
    """Asks a person about the delivery of the run's ``conf``, with the choices it has.

    It ends by itself when somebody decided elsewhere: by command, or on a page. Airflow keeps the
    text of a question when its task is cleared, so another question is another run. Skipped when
    there is nothing to decide any more.
    """

    operator_extra_links = (DeliveryLink(),)
    ui_color = "#fdf3d8"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            subject="Entrega em quarentena",
            options=list(decisions.CHOICES),
            params={
                "motivo": Param(
                    None,
                    type=["null", "string"],
                    title="Motivo",
                    description="Fica registrado com a decisão",
                )
            },
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Ask, and wait without a slot."""
        with plain_errors():
            asked = decisions.question(load_settings(), _delivery(context))
        if asked is None:
            raise AirflowSkipException(f"entrega {_delivery(context)}: nada mais a decidir")
        if asked.mark != (context["dag_run"].conf or {}).get("question", asked.mark):
            raise AirflowSkipException(
                f"entrega {asked.delivery}: a pergunta mudou; a recepção do convênio a faz de novo"
            )
        self.subject, self.body, self.options = asked.subject, asked.body, list(asked.options)
        ti = context["ti"]
        upsert_hitl_detail(
            ti_id=ti.id,
            options=self.options,
            subject=self.subject,
            body=self.body,
            params=self.serialized_params,
        )
        self.log.info("waiting for an answer, here or elsewhere")
        self.defer(
            trigger=QuestionTrigger(asked.delivery, asked.mark, str(ti.id), self.options),
            method_name="answered",
            kwargs={"options": self.options},
        )

    def answered(self, context: Context, event: dict[str, Any], options: list[str]) -> Any:
        """A person answered here, or the question was closed elsewhere."""
        self.options = options
        return super().execute_complete(context, event)


class ApplyDecisionOperator(BaseOperator):
    """Carries out what a person chose in the task ``asked_by``; repeated, it changes nothing."""

    operator_extra_links = (DeliveryLink(),)
    ui_color = "#e8f1fb"

    def __init__(self, *, asked_by: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked_by = asked_by

    def execute(self, context: Context) -> str:
        """Approve, refuse, accept, release or replay; the result says what became of it."""
        answer = context["ti"].xcom_pull(task_ids=self.asked_by)
        person = answer.get("responded_by_user") or {}
        by = str(person.get("name") or person.get("id") or "Airflow")
        reason = str((answer.get("params_input") or {}).get("motivo") or "")
        (choice,) = answer["chosen_options"]
        with plain_errors():
            told = decisions.decide(
                load_settings(), _delivery(context), choice, by=by, reason=reason
            )
        self.log.info(told)
        return told


class BuildMailingOperator(BaseOperator):
    """Scores the portfolio and builds a campaign's mailing; skipped when the dialer has it."""

    operator_extra_links = (MailingLink(),)
    ui_color = "#e9f7e9"

    def __init__(self, *, campaign: str, **kwargs: Any) -> None:
        outlet = assets.updates(assets.mailing(campaign), by=campaign)
        super().__init__(outlets=[outlet], **kwargs)
        self.campaign = campaign
        self.mailing_id = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for files on their way, score, build, and announce a mailing that is new."""
        with plain_errors():
            settings = load_settings()
            wait_until_quiet(settings)
            mailing, new = build_mailing(settings, self.campaign)
            self.mailing_id = mailing.id
            # Also one that a person built on the command line, or whose announcement was lost.
            waits = new or not is_submitted(DialerClient(settings), mailing.id)
        summary = {
            "mailing_id": mailing.id,
            "day": mailing.day.isoformat(),
            "leads": mailing.leads,
            "waterfall": mailing.waterfall,
        }
        if not mailing.leads:
            raise AirflowSkipException(f"mailing {mailing.id} has nobody to call")
        if not waits:
            raise AirflowSkipException(f"nothing new: {mailing.id} is the mailing of these inputs")
        self.log.info("mailing %s: %d leads", mailing.id, mailing.leads)
        outlet = context["outlet_events"][self.outlets[0]]
        outlet.add(assets.mailing(self.campaign), extra={"mailing_id": mailing.id})
        return summary


class RunCampaignOperator(BaseOperator):
    """Has the dialer run the campaign's mailings and waits, without a slot, until they ended.

    A campaign's id is its mailing's, so a task that is retried, cleared or whose worker died
    finds its campaign again and places no call twice; no job id needs to be stored for that.
    Returns the ids of the campaigns.
    """

    operator_extra_links = (CampaignLink(),)
    ui_color = "#fbe8e6"

    def __init__(self, *, campaign: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.ran: list[str] = []

    def execute(self, context: Context) -> None:
        """Submit what is not in the dialer yet, then defer until all of it ended."""
        with plain_errors():
            settings = load_settings()
            client = DialerClient(settings)
            ids = campaigns_to_run(settings, client, self.campaign, _mailings(context))
            if not ids:
                raise AirflowSkipException(f"{self.campaign}: no mailing was ever built")
            for mailing_id in ids:
                submit_campaign(settings, client, mailing_id)
        context["ti"].xcom_push(key=_CAMPAIGN_IDS, value=ids)
        self.defer(
            trigger=CampaignTrigger(ids),
            method_name="ended",
            kwargs={"campaign_ids": ids},
        )

    def ended(self, context: Context, event: dict[str, Any], campaign_ids: list[str]) -> list[str]:
        """All campaigns ended, or the dialer stayed away: the result, or a failure in one line."""
        self.ran = campaign_ids
        if event["problem"]:
            raise AirflowException(event["problem"])
        with plain_errors():
            client = DialerClient(load_settings())
            states = {campaign_id: client.campaign(campaign_id) for campaign_id in campaign_ids}
        failed = []
        for campaign_id, state in states.items():
            if state is None:
                raise AirflowException(f"campaign {campaign_id}: the dialer lost it")
            self.log.info("campaign %s: %s", campaign_id, state)
            if state["status"] == "failed":
                failed.append(f"campaign {campaign_id} failed: {state.get('reason')}")
        if failed:
            raise AirflowFailException("; ".join(failed))
        return campaign_ids


class ReturnOutcomesOperator(BaseOperator):
    """Gives the CRMs the outcome of every call; also of a campaign that failed half way."""

    ui_color = "#e8f1fb"

    def __init__(self, *, run_by: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_by = run_by

    def execute(self, context: Context) -> dict[str, int]:
        """Return all ended attempts of the run's campaigns; repeated, it changes nothing."""
        ids = context["ti"].xcom_pull(task_ids=self.run_by, key=_CAMPAIGN_IDS)
        if not ids:
            raise AirflowSkipException("no campaign was submitted")
        with plain_errors():
            settings = load_settings()
            return return_outcomes(settings, DialerClient(settings), ids)


class TrainModelOperator(BaseOperator):
    """Trains the model of a ``models/*/model.yaml`` and promotes it by the rule stated there."""

    operator_extra_links = (MlflowModelLink(), MlflowRunLink())
    ui_color = "#efe8fb"

    def __init__(self, *, spec: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.model_url = ""
        self.run_url = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Train; the result is what ``zanc models train`` prints."""
        from zanc_pipeline.scoring import service

        with plain_errors():
            settings = load_settings()
            result = service.train(settings, settings.root / Path(self.spec)).to_json()
        self.log.info("%s", result)
        version = f"{result['name']}/versions/{result['model_version']}"
        self.model_url = settings.mlflow_page(f"models/{version}")
        self.run_url = settings.mlflow_page(f"runs/{result['run_id']}")
        return result


def _delivery(context: Context) -> int:
    conf = context["dag_run"].conf or {}
    try:
        return int(conf["delivery"])
    except (KeyError, TypeError, ValueError):
        raise AirflowFailException(
            'this run names no delivery: start it with {"delivery": number, "convenio": name}'
        ) from None


def _mailings(context: Context) -> set[str]:
    events = context["triggering_asset_events"].values()
    ids = {(event.extra or {}).get("mailing_id") for batch in events for event in batch}
    return {found for found in ids if isinstance(found, str)}  # a person's event may hold anything


def _line(what: str, entry: dict[str, Any]) -> str:
    where = f" (relatório em {entry['folder']})" if entry["folder"] else ""
    return f"{entry['file']}: {what}: {entry['reason'] or 'sem motivo registrado'}{where}"
