"""What the triggerer watches: one poll for all convênios, campaigns that outlive everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.airflow.fake_dialer import FakeDialer
from zanc_pipeline.airflow import triggers
from zanc_pipeline.airflow.triggers import (
    CampaignTrigger,
    FtpArrivalTrigger,
    PendingUploads,
    QuestionTrigger,
)
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import arrivals, service
from zanc_pipeline.reception.arrivals import Arrival, StabilityTracker

AURORA = Arrival(convenio="banco_aurora", path="/banco_aurora/A.csv", size=9, modified="1")
BRISA = Arrival(convenio="telecom_brisa", path="/telecom_brisa/b.zip", size=7, modified="2")
TASK = "019aaaaa-0000-7000-8000-000000000000"


async def stream(*batches: list[Arrival]) -> AsyncIterator[list[Arrival]]:
    for batch in batches:
        yield batch


async def events(trigger: FtpArrivalTrigger, *batches: list[Arrival]) -> list[Any]:
    return [event.payload async for event in trigger.filter_shared_stream(stream(*batches))]


class Memory:
    """The state that Airflow keeps for an asset."""

    def __init__(self) -> None:
        self.value: Any = None

    async def aget(self, key: str) -> Any:
        return self.value

    async def aset(self, key: str, value: Any) -> None:
        self.value = value


def test_all_convenios_share_one_poll() -> None:
    keys = {FtpArrivalTrigger(name).shared_stream_key() for name in ("banco_aurora", "outro")}
    assert len(keys) == 1


def test_a_trigger_is_rebuilt_from_what_it_serialises() -> None:
    for trigger in (
        FtpArrivalTrigger("banco_aurora"),
        CampaignTrigger(["c1"], 1.0, 2.0),
        QuestionTrigger(7, "0a", TASK, ["Reprocessar"], 1.0),
    ):
        path, arguments = trigger.serialize()
        rebuilt = getattr(triggers, path.rpartition(".")[2])(**arguments)
        assert path == f"zanc_pipeline.airflow.triggers.{type(trigger).__name__}"
        assert rebuilt.serialize() == trigger.serialize()


async def test_each_convenio_hears_of_its_own_uploads_only() -> None:
    fired = await events(FtpArrivalTrigger("banco_aurora"), [AURORA, BRISA])
    assert fired == [
        {
            "convenio": "banco_aurora",
            "uploads": [{"path": "/banco_aurora/A.csv", "size": 9, "modified": "1"}],
        }
    ]


async def test_a_pending_file_fires_once_however_long_it_stays_pending() -> None:
    assert len(await events(FtpArrivalTrigger("banco_aurora"), *[[AURORA]] * 50)) == 1


async def test_a_trigger_that_joins_late_misses_nothing() -> None:
    assert len(await events(FtpArrivalTrigger("telecom_brisa"), [AURORA, BRISA])) == 1


async def test_a_restarted_triggerer_does_not_announce_again() -> None:
    memory = Memory()
    for expected in (1, 0):
        trigger = FtpArrivalTrigger("banco_aurora")
        trigger.asset_state_store = memory  # type: ignore[assignment]
        assert len(await events(trigger, [AURORA], [AURORA])) == expected


async def test_a_lost_memory_does_not_end_the_watch() -> None:
    class Broken(Memory):
        async def aget(self, key: str) -> Any:
            raise RuntimeError("no api-server")

        async def aset(self, key: str, value: Any) -> None:
            raise RuntimeError("no api-server")

    trigger = FtpArrivalTrigger("banco_aurora")
    trigger.asset_state_store = Broken()  # type: ignore[assignment]
    assert len(await events(trigger, [AURORA], [AURORA, BRISA])) == 1


async def test_the_poll_survives_any_fault_and_says_so_once(
    place: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [
        UnavailableError("FTP", "127.0.0.1:2121"),
        UnavailableError("FTP", "127.0.0.1:2121"),
        RuntimeError("a bug"),
        [AURORA],
    ]

    def poll(self: PendingUploads) -> list[Arrival]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(PendingUploads, "poll", poll)
    monkeypatch.setattr(
        triggers, "asyncio", SimpleNamespace(to_thread=asyncio.to_thread, sleep=sleep)
    )
    shared = FtpArrivalTrigger.open_shared_stream({})
    with caplog.at_level("INFO"):
        assert await anext(shared) == [AURORA]
    await shared.aclose()  # type: ignore[attr-defined]
    assert waits == sorted(waits) and len(waits) == 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_the_poll_survives_a_server_that_is_away_for_days(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls, waits = iter(range(3000)), []

    def poll(self: PendingUploads) -> list[Arrival]:
        if next(polls) < 2500:
            raise UnavailableError("FTP", "127.0.0.1:2121")
        return [AURORA]

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def here(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(PendingUploads, "poll", poll)
    monkeypatch.setattr(triggers, "asyncio", SimpleNamespace(to_thread=here, sleep=sleep))
    shared = FtpArrivalTrigger.open_shared_stream({})
    assert await anext(shared) == [AURORA]
    await shared.aclose()  # type: ignore[attr-defined]
    assert len(waits) == 2500 and max(waits) == triggers.MAX_BACKOFF_SECONDS


def test_what_the_ledger_knows_is_not_pending(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ledger = {("banco_aurora", "/banco_aurora/A.csv", 9, "1")}
    monkeypatch.setattr(arrivals, "scan", lambda settings: [AURORA, BRISA])
    monkeypatch.setattr(service, "known_uploads", lambda settings: asked.append(1) or set(ledger))
    uploads = PendingUploads(place, StabilityTracker(0))
    assert uploads.poll() == [BRISA]
    ledger.add(("telecom_brisa", "/telecom_brisa/b.zip", 7, "2"))
    assert uploads.poll() == []
    uploads.poll()
    assert len(asked) == 2, "a ledger that knows all is not asked again"


async def first(trigger: CampaignTrigger) -> Any:
    return (await anext(trigger.run())).payload


async def test_outcomes_flow_back_while_it_waits_and_a_fault_there_ends_nothing(
    dialer: FakeDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_taken: list[dict[str, str]] = []

    def step(settings: Settings, client: object, returned: dict[str, str]) -> None:
        steps_taken.append(dict(returned))
        returned["c1"] = "a1"
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("zanc_pipeline.airflow.steps.keep_in_step", step)
    monkeypatch.setattr(CampaignTrigger, "STEP_SECONDS", 0.0)
    dialer.campaigns["c1"] = {"id": "c1", "status": "running"}
    dialer.after[2] = lambda: dialer.campaigns["c1"].update(status="finished")
    assert await first(CampaignTrigger(["c1"], poll_seconds=0.01)) == {"problem": None}
    assert steps_taken == [{"c1": ""}, {"c1": "a1"}]


async def test_it_fires_when_every_campaign_ended(dialer: FakeDialer) -> None:
    dialer.campaigns["c1"] = {"id": "c1", "status": "finished"}
    dialer.campaigns["c2"] = {"id": "c2", "status": "running"}
    dialer.after[4] = lambda: dialer.campaigns["c2"].update(status="failed")
    event = await first(CampaignTrigger(["c1", "c2"], poll_seconds=0.01))
    assert event == {"problem": None}
    assert len(dialer.requests) == 4


async def test_a_dialer_that_comes_back_is_waited_for(dialer: FakeDialer) -> None:
    dialer.campaigns["c1"] = {"id": "c1", "status": "finished"}
    dialer.answer_with = 503, {}
    dialer.after[3] = lambda: setattr(dialer, "answer_with", None)
    event = await first(CampaignTrigger(["c1"], poll_seconds=0.01))
    assert event == {"problem": None}
    assert len(dialer.requests) == 3


async def test_a_dialer_that_stays_away_is_reported_with_its_address(dialer: FakeDialer) -> None:
    dialer.answer_with = 503, {}
    event = await first(CampaignTrigger(["c1"], poll_seconds=0.01, patience_seconds=0))
    assert dialer.url in event["problem"]


@pytest.mark.parametrize(
    ("state", "stopped"), [("failed", True), ("success", True), (None, False), ("queued", False)]
)
async def test_only_a_task_that_a_person_ended_stops_its_campaign(
    dialer: FakeDialer, monkeypatch: pytest.MonkeyPatch, state: str | None, stopped: bool
) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    monkeypatch.setattr(
        RuntimeTaskInstance,
        "get_task_states",
        staticmethod(lambda **criteria: {"r": {"discar": state}}),
    )
    dialer.campaigns["c1"] = {"id": "c1", "status": "running"}
    trigger = CampaignTrigger(["c1"])
    trigger.task_instance = SimpleNamespace(dag_id="d", task_id="discar", run_id="r")  # type: ignore[assignment]
    await trigger.on_kill()
    assert (dialer.campaigns["c1"]["status"] == "stopping") is stopped


async def test_a_question_that_was_decided_elsewhere_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = ["0a", UnavailableError("PostgreSQL", "127.0.0.1:5432"), None]
    told: list[Any] = []

    def mark(settings: Settings, delivery: int) -> str | None:
        found = marks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(triggers, "load_settings", lambda: None)
    monkeypatch.setattr("zanc_pipeline.airflow.decisions.mark", mark)
    monkeypatch.setattr("zanc_pipeline.airflow.decisions.taken", lambda *_: "Aprovar")
    monkeypatch.setattr(
        "airflow.sdk.execution_time.hitl.update_hitl_detail_response",
        lambda *answer: told.append(answer),
    )
    trigger = QuestionTrigger(7, "0a", TASK, ["Aprovar", "Deixar"], poll_seconds=0)
    fired = [event.payload async for event in trigger.run()]
    assert [one["chosen_options"] for one in fired] == [["Aprovar"]]
    assert [str(answer[0]) for answer in told] == [TASK]
    assert not marks
