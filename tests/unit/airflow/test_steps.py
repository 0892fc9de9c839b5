"""What the tasks do: one file never blocks another, and every step may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.airflow.fake_dialer import FakeDialer
from zanc_pipeline.airflow import steps
from zanc_pipeline.airflow.hooks import DialerClient
from zanc_pipeline.airflow.triggers import upload
from zanc_pipeline.common.errors import ConfigError, DataError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import service as crm
from zanc_pipeline.crm import withdrawals
from zanc_pipeline.crm.withdrawals import Withdrawal
from zanc_pipeline.localization import base as localization
from zanc_pipeline.reception import arrivals, service
from zanc_pipeline.reception.arrivals import Arrival


@dataclass
class Delivery:
    """The columns of a delivery that the steps read."""

    id: int
    convenio: str
    file_name: str
    status: str
    reason: str | None = None
    folder: str | None = None
    reference_date: date | None = None


@dataclass
class Load:
    """What the CRM says of a load."""

    crm: str = "norma"
    rows: int = 3


class World:
    """An FTP server, a ledger and a CRM in memory; ``verdicts`` says how each file fares."""

    def __init__(self) -> None:
        self.files: list[Arrival] = []
        self.ledger: dict[int, Delivery] = {}
        self.uploads: set[tuple[str, str, int, str]] = set()
        self.verdicts: dict[str, str | Exception] = {}
        self.loads: dict[str, Exception] = {}
        self.order: list[str] = []
        self.taken_out: set[int] = set()

    def add(self, name: str, modified: str = "1", verdict: str | Exception = "accepted") -> Arrival:
        arrival = Arrival(convenio="aurora", path=f"/aurora/{name}", size=1, modified=modified)
        self.files.append(arrival)
        self.verdicts[name] = verdict
        return arrival

    def receive(self, settings: Settings, path: Path, convenio: str, *, remote: Any) -> Delivery:
        verdict = self.verdicts[path.name]
        if isinstance(verdict, Exception):
            raise verdict
        delivery = Delivery(len(self.ledger) + 1, convenio, path.name, verdict, reason="motivo")
        self.ledger[delivery.id] = delivery
        self.uploads.add((convenio, remote.path, remote.size, remote.modified))
        return delivery

    def load(self, settings: Settings, delivery_id: int) -> Load:
        delivery = self.ledger[delivery_id]
        if error := self.loads.get(delivery.file_name):
            raise error
        delivery.status = "loaded"
        self.order.append(delivery.file_name)
        return Load()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def patch(module: Any, name: str, function: Callable[..., Any]) -> None:
        monkeypatch.setattr(module, name, function)

    patch(arrivals, "scan", lambda settings: list(made.files))
    patch(arrivals, "fetch", lambda settings, one, into: into / Path(one.path).name)
    patch(service, "known_uploads", lambda settings: set(made.uploads))
    patch(service, "receive", made.receive)
    patch(service, "resume", lambda settings, convenio: [])
    patch(service, "get_delivery", lambda settings, number: made.ledger[number])
    patch(service, "list_deliveries", lambda settings, convenio: list(made.ledger.values()))
    patch(localization, "add_phones_of_delivery", lambda settings, number: 2)
    patch(crm, "load", made.load)
    patch(steps, "_taken_out", lambda settings: made.taken_out)
    patch(steps.time, "sleep", lambda seconds: None)
    return made


def no_wait(seconds: float) -> None:
    raise AssertionError(f"waited for {seconds} s")


def receive(
    place: Settings, *announced: Arrival, sleep: Callable[[float], None] = lambda seconds: None
) -> steps.Reception:
    uploads = [upload(one) for one in announced]
    return steps.receive_convenio(place, "aurora", uploads, sleep=sleep)


def test_every_file_is_received_in_order_of_its_time(place: Settings, world: World) -> None:
    world.add("b.csv", "2")
    world.add("a.csv", "3")
    world.add("c.csv", "1")
    assert [one["file"] for one in receive(place).loaded] == ["c.csv", "b.csv", "a.csv"]
    assert receive(place).empty


def test_one_file_in_trouble_does_not_block_the_others(place: Settings, world: World) -> None:
    world.add("1.csv", "1", ConfigError("layout.yaml:3: wrong"))
    world.add("2.csv", "2", "quarantined")
    world.add("3.csv", "3", "duplicate")
    world.add("4.csv", "4", RuntimeError("bug with 12345678909"))
    world.add("5.csv", "5")
    result = receive(place)
    assert [one["file"] for one in result.loaded] == ["5.csv"]
    assert [one["file"] for one in result.quarantined] == ["2.csv"]
    assert [one["file"] for one in result.duplicates] == ["3.csv"]
    assert result.problems == ["1.csv: layout.yaml:3: wrong"]
    assert result.unexpected == ["4.csv: RuntimeError: bug with *********09"]


def test_a_part_that_is_down_stops_the_try_and_the_next_one_does_the_rest(
    place: Settings, world: World
) -> None:
    world.add("1.csv", "1")
    world.add("2.csv", "2")
    world.loads["2.csv"] = UnavailableError("CRM norma", "h:5432")
    with pytest.raises(UnavailableError, match="CRM norma"):
        receive(place)
    world.loads.clear()
    assert [one["file"] for one in receive(place).loaded] == ["2.csv"]
    assert world.order == ["1.csv", "2.csv"], "each was loaded once"


def test_what_a_person_took_out_of_the_crm_stays_out(place: Settings, world: World) -> None:
    world.ledger[1] = Delivery(1, "aurora", "out.csv", "accepted")
    world.ledger[2] = Delivery(2, "aurora", "left.csv", "accepted")
    world.taken_out = {1}
    assert [one["file"] for one in receive(place).loaded] == ["left.csv"]


def test_an_outdated_file_is_reported_and_is_no_error(place: Settings, world: World) -> None:
    world.add("old.csv")
    world.loads["old.csv"] = DataError("older than what is loaded")
    result = receive(place)
    assert result.not_loaded[0]["reason"] == "older than what is loaded"
    assert not result.problems


def test_a_file_that_nobody_saw_stand_still_is_looked_at_twice(
    place: Settings, world: World
) -> None:
    complete, growing = world.add("whole.csv", "1"), world.add("half.csv", "2")
    grown = Arrival(convenio="aurora", path=growing.path, size=2, modified="3")

    def meanwhile(seconds: float) -> None:
        world.files[:] = [complete, grown]

    result = receive(place, complete, sleep=meanwhile)
    assert [one["file"] for one in result.loaded] == ["whole.csv"]


def test_announced_files_are_taken_at_once(place: Settings, world: World) -> None:
    assert receive(place, world.add("a.csv"), sleep=no_wait).loaded


def test_a_mailing_waits_for_files_on_their_way_but_not_for_ever(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [["a"], ["a"], []]
    monkeypatch.setattr(steps, "_on_their_way", lambda settings: states.pop(0))
    waits: list[float] = []
    assert steps.wait_until_quiet(place, sleep=waits.append, clock=lambda: 0.0)
    assert len(waits) == 2

    monkeypatch.setattr(steps, "_on_their_way", lambda settings: ["a"])
    times = iter([0.0, 100.0, 200.0])
    waits.clear()
    assert not steps.wait_until_quiet(place, sleep=waits.append, clock=lambda: next(times))
    assert len(waits) == 1


BUILT = ["geral-20261121-aa", "geral-20261122-bb", "geral-20261123-cc"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_mailing_ids", lambda settings, campaign: list(BUILT))


@pytest.mark.usefixtures("built")
def test_events_only_wake_the_dialer_says_what_is_still_to_end(
    place: Settings, dialer: FakeDialer
) -> None:
    client = DialerClient(place)
    dialer.campaigns["geral-20261121-aa"] = {"id": "geral-20261121-aa", "status": "finished"}
    dialer.campaigns["geral-20261122-bb"] = {"id": "geral-20261122-bb", "status": "paused"}
    dialer.campaigns["outra-1"] = {"id": "outra-1", "status": "running"}
    assert steps.campaigns_to_run(place, client, "geral", {BUILT[2]}) == BUILT[1:]
    assert steps.campaigns_to_run(place, client, "geral", set()) == [BUILT[1]]


@pytest.mark.usefixtures("built")
def test_a_run_that_a_person_started_takes_the_latest_mailing(
    place: Settings, dialer: FakeDialer
) -> None:
    assert steps.campaigns_to_run(place, DialerClient(place), "geral", set()) == [BUILT[2]]


def test_a_campaign_that_the_dialer_has_is_found_again_and_not_sent_again(
    place: Settings, dialer: FakeDialer
) -> None:
    dialer.campaigns["c1"] = {"id": "c1", "status": "running"}
    assert steps.submit_campaign(place, DialerClient(place), "c1") == "running"
    assert dialer.requests == ["GET /v1/campaigns/c1"]


ATTEMPT = {
    "id": "a1",
    "crm": "norma",
    "convenio": "banco_aurora",
    "contract": "77",
    "cpf": "52998224725",
    "phone": "11987654321",
    "created_at": "2026-11-23T12:00:00+00:00",
    "outcome": "human",
    "tabulation": "promise",
    "promise_date": "2026-11-30",
    "promise_amount": "120.50",
    "placed": True,
}


def test_outcomes_of_calls_that_never_left_are_not_returned(
    place: Settings, dialer: FakeDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    def take(settings: Settings, outcomes: Any) -> int:
        taken.extend(outcomes)
        return len(taken)

    monkeypatch.setattr(crm, "return_outcomes", take)
    dialer.campaigns["c1"] = {"id": "c1", "status": "finished"}
    dialer.attempts["c1"] = [ATTEMPT, {**ATTEMPT, "id": "a2", "placed": False}]
    returned = steps.return_outcomes(place, DialerClient(place), ["c1", "never-submitted"])
    assert returned == {"c1": 1}
    assert [one.call_id for one in taken] == ["a1"]
    assert taken[0].promise_date == date(2026, 11, 30)
    assert str(taken[0].promise_amount) == "120.50"


def test_while_a_campaign_runs_each_outcome_is_returned_once_and_a_crm_that_is_down_waits(
    place: Settings, dialer: FakeDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[str]] = []
    down = False

    def take(settings: Settings, outcomes: Any) -> int:
        taken.append([one.call_id for one in outcomes])
        if down:
            raise UnavailableError("CRM larga", "10.0.0.1")
        return 0

    read: list[bool] = []
    monkeypatch.setattr(crm, "return_outcomes", take)
    monkeypatch.setattr(crm, "read_returns", lambda settings: read.append(True))
    monkeypatch.setattr(withdrawals, "pending", lambda settings: iter(()))
    dialer.campaigns["c1"] = {"id": "c1", "status": "running"}
    dialer.attempts["c1"] = [ATTEMPT]
    client, returned = DialerClient(place), {"c1": "", "c9": ""}
    steps.keep_in_step(place, client, returned)
    dialer.attempts["c1"].append({**ATTEMPT, "id": "a2"})
    down = True
    steps.keep_in_step(place, client, returned)
    down = False
    steps.keep_in_step(place, client, returned)
    steps.keep_in_step(place, client, returned)
    assert taken == [["a1"], ["a2"], ["a2"], []]
    assert len(read) == 4


def test_the_dialer_is_told_once_who_must_not_be_called_any_more(
    place: Settings, dialer: FakeDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(("banco_aurora", str(number)) for number in range(501))
    waiting = [
        Withdrawal(delivery_id=7, paid=(many[0],), withdrawn=many, deceased=("52998224725",))
    ]
    monkeypatch.setattr(withdrawals, "pending", lambda settings: iter(list(waiting)))
    monkeypatch.setattr(
        withdrawals, "mark_told", lambda settings, delivery: waiting.pop(0).delivery_id == delivery
    )
    dialer.answer_with = (503, "away")
    with pytest.raises(UnavailableError):
        steps.tell_withdrawals(place, DialerClient(place))
    dialer.answer_with = None
    assert steps.tell_withdrawals(place, DialerClient(place)) == 1
    assert steps.tell_withdrawals(place, DialerClient(place)) == 0
    sizes = [(one["reason"], len(one["contracts"]), one["people"]) for one in dialer.withdrawn]
    assert sizes == [
        ("pago", 1, []),
        ("retirado pelo credor", 500, []),
        ("retirado pelo credor", 1, []),
        ("óbito", 0, ["52998224725"]),
    ]
