"""When a task updates its asset, is skipped, is retried or is red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

from tests.unit.airflow.fake_dialer import FakeDialer
from zanc_pipeline.airflow import operators
from zanc_pipeline.airflow.operators import (
    BuildMailingOperator,
    InspectReceptionOperator,
    ReceiveOperator,
    RunCampaignOperator,
)
from zanc_pipeline.airflow.steps import Reception
from zanc_pipeline.common.settings import Settings

LOADED = {"delivery": 7, "file": "a.csv", "reason": None, "folder": None}


class Task:
    """The part of Airflow's context that the operators use."""

    def __init__(self, *, try_number: int = 1, pulled: Any = None, **extra: Any) -> None:
        self.pushed: dict[str, Any] = {}
        self.added: list[tuple[str, Any]] = []
        outlet = SimpleNamespace(add=self._add)
        event = SimpleNamespace(extra=extra)
        self.context: Any = {
            "ti": SimpleNamespace(
                try_number=try_number,
                xcom_pull=lambda **keys: pulled,
                xcom_push=lambda key, value: self.pushed.update({key: value}),
            ),
            "dag_run": SimpleNamespace(run_after=datetime(2026, 11, 23, tzinfo=UTC)),
            "triggering_asset_events": {"asset": [event] if extra else []},
            "outlet_events": _Outlets(outlet),
        }

    def _add(self, asset: Asset, extra: Any) -> None:
        self.added.append((asset.name, extra))


class _Outlets:
    def __init__(self, outlet: Any) -> None:
        self._outlet = outlet

    def __getitem__(self, key: Any) -> Any:
        return self._outlet


@pytest.fixture
def found(place: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Reception], None]:
    """Say what the reception finds."""

    def say(result: Reception) -> None:
        monkeypatch.setattr(operators, "receive_convenio", lambda *arguments: result)
        monkeypatch.setattr(operators, "loaded_since", lambda *arguments: [7])

    return say


def receive() -> ReceiveOperator:
    return ReceiveOperator(task_id="receber", convenio="aurora")


def test_a_load_updates_the_portfolio(found: Callable[[Reception], None]) -> None:
    found(Reception(loaded=[LOADED]))
    task = Task()
    assert receive().execute(task.context)["loaded"] == [LOADED]
    assert task.added == [("portfolio", {"convenio": "aurora", "loaded": [7]})]


def test_a_duplicate_or_a_quarantined_file_does_not(found: Callable[[Reception], None]) -> None:
    found(Reception(duplicates=[LOADED], quarantined=[LOADED]))
    task = Task()
    receive().execute(task.context)
    assert task.added == []


def test_nothing_to_do_is_skipped(found: Callable[[Reception], None]) -> None:
    found(Reception())
    with pytest.raises(AirflowSkipException):
        receive().execute(Task().context)


def test_a_retry_says_what_the_try_before_loaded(found: Callable[[Reception], None]) -> None:
    found(Reception())
    task = Task(try_number=2)
    receive().execute(task.context)
    assert task.added == [("portfolio", {"convenio": "aurora", "loaded": [7]})]


def test_a_surprise_is_tried_again_and_then_left_to_a_person(
    found: Callable[[Reception], None],
) -> None:
    result = Reception(loaded=[LOADED], unexpected=["b.csv: KeyError: 'x'"])
    found(result)
    with pytest.raises(AirflowException, match=r"b\.csv"):
        receive().execute(Task(try_number=1).context)
    task = Task(try_number=3)
    receive().execute(task.context)
    assert task.added, "what was loaded goes on"
    with pytest.raises(AirflowFailException, match=r"b\.csv"):
        InspectReceptionOperator(task_id="c", convenio="banco", received_by="r").execute(
            Task(pulled=asdict(result)).context
        )


def test_the_inspection_is_green_with_a_quarantined_file_and_skipped_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting: list[tuple[int, str]] = []
    monkeypatch.setattr(operators.decisions, "open_questions", lambda settings, convenio: waiting)
    inspect = InspectReceptionOperator(task_id="c", convenio="banco", received_by="r")
    quarantined = {**LOADED, "reason": "rodapé errado", "folder": "deliveries/7"}
    assert inspect.execute(Task(pulled=asdict(Reception(quarantined=[quarantined]))).context) == []
    with pytest.raises(AirflowSkipException):
        inspect.execute(Task(pulled=asdict(Reception(loaded=[LOADED]))).context)
    waiting.append((7, "0a"))  # left by a run that died before it could ask
    assert inspect.execute(Task(pulled=asdict(Reception(loaded=[LOADED]))).context) == [
        {
            "trigger_run_id": "entrega-7-0a",
            "conf": {"delivery": 7, "convenio": "banco", "question": "0a"},
        }
    ]


@pytest.mark.parametrize(
    ("leads", "new", "in_dialer", "announced"),
    [(60, True, False, True), (60, False, True, False), (60, False, False, True), (0, True, 0, 0)],
)
def test_a_mailing_is_announced_until_the_dialer_has_it(
    dialer: FakeDialer,
    monkeypatch: pytest.MonkeyPatch,
    leads: int,
    new: bool,
    in_dialer: bool,
    announced: bool,
) -> None:
    if in_dialer:
        dialer.campaigns["geral-1"] = {"id": "geral-1", "status": "finished"}
    mailing = SimpleNamespace(id="geral-1", day=date(2026, 11, 23), leads=leads, waterfall=[])
    monkeypatch.setattr(operators, "wait_until_quiet", lambda settings: True)
    monkeypatch.setattr(operators, "build_mailing", lambda settings, campaign: (mailing, new))
    task = Task()
    build = BuildMailingOperator(task_id="montar", campaign="geral")
    if announced:
        build.execute(task.context)
        assert task.added == [("mailing_geral", {"mailing_id": "geral-1"})]
    else:
        with pytest.raises(AirflowSkipException):
            build.execute(task.context)
        assert task.added == []


def test_an_event_that_a_person_made_in_the_ui_is_only_a_wake_up() -> None:
    for extra in ({"from_rest_api": True}, {"mailing_id": 7}, {"mailing_id": "geral-1"}):
        expected = {"geral-1"} if extra.get("mailing_id") == "geral-1" else set()
        assert operators._mailings(Task(**extra).context) == expected


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunCampaignOperator:
    monkeypatch.setattr(operators, "campaigns_to_run", lambda *arguments: ["geral-1"])
    return RunCampaignOperator(task_id="discar", campaign="geral")


def test_a_campaign_is_found_again_and_waited_for_without_a_slot(
    dialer: FakeDialer, run: RunCampaignOperator
) -> None:
    dialer.campaigns["geral-1"] = {"id": "geral-1", "status": "running"}
    task = Task(mailing_id="geral-1")
    with pytest.raises(TaskDeferred) as deferred:
        run.execute(task.context)
    assert deferred.value.trigger.serialize()[1]["campaign_ids"] == ["geral-1"]
    assert task.pushed == {"campaign_ids": ["geral-1"]}
    assert not any(request.startswith("PUT") for request in dialer.requests)


def test_a_campaign_that_failed_is_red_with_the_dialers_reason(
    dialer: FakeDialer, run: RunCampaignOperator
) -> None:
    dialer.campaigns["geral-1"] = {"id": "geral-1", "status": "failed", "reason": "sem troncos"}
    with pytest.raises(AirflowFailException, match="sem troncos"):
        run.ended(Task().context, {"problem": None}, ["geral-1"])


def test_a_dialer_that_stayed_away_is_retried(dialer: FakeDialer, run: RunCampaignOperator) -> None:
    with pytest.raises(AirflowException, match="does not answer") as raised:
        run.ended(Task().context, {"problem": "The dialer at x does not answer"}, ["geral-1"])
    assert not isinstance(raised.value, AirflowFailException)
