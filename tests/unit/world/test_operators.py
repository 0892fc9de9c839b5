"""The robots at an operator's API: they work, tabulate by the law, and outlive the dialer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.unit.world.fake_dialer import FakeDialer
from tests.unit.world.small_world import DAY
from zanc_pipeline.common.outcomes import Tabulation
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import operators, truth
from zanc_pipeline.world.operators import Robot, robots, tabulate

Card = dict[str, str]


def cards(path: Path, where: str, limit: int = 200) -> list[Card]:
    """Call cards of people of the truth."""
    with truth.reading(path) as connection:
        rows = connection.execute(
            "SELECT cpf, p.number AS phone, convenio, contract, cents FROM phone p"
            f" JOIN contract c USING (cpf) JOIN person USING (cpf) WHERE {where} LIMIT {limit}"
        ).fetchall()
    return [
        {
            "attempt": f"a-{n}",
            "cpf": row["cpf"],
            "phone": row["phone"],
            "convenio": row["convenio"],
            "contract": row["contract"],
            "amount": f"{row['cents'] / 100:.2f}",
        }
        for n, row in enumerate(rows)
    ]


def test_an_owner_mostly_is_the_right_party(world: Settings) -> None:
    path = truth.truth_path(world)
    said = [
        tabulate(path, 1, card, DAY) for card in cards(path, "owner AND mobile AND NOT deceased")
    ]
    right = sum(Tabulation(one.tabulation).right_party for one in said)
    assert right > 0.7 * len(said)
    assert len({one.tabulation for one in said}) >= 5


def test_somebody_elses_phone_is_a_wrong_person(world: Settings) -> None:
    path = truth.truth_path(world)
    said = Counter(tabulate(path, 1, card, DAY).tabulation for card in cards(path, "NOT owner"))
    assert said.most_common(1)[0][0] == Tabulation.WRONG_PERSON
    assert not said[Tabulation.PROMISE]


def test_of_a_dead_debtor_one_is_told_so(world: Settings) -> None:
    path = truth.truth_path(world)
    found = cards(path, "owner AND deceased")
    assert found
    said = Counter(tabulate(path, 1, card, DAY).tabulation for card in found)
    assert said[Tabulation.DECEASED]
    assert not said[Tabulation.PROMISE]


def test_a_pair_that_nobody_knows_is_a_wrong_person(world: Settings) -> None:
    card = {"attempt": "x", "cpf": "00000000191", "phone": "11900000000"}
    said = tabulate(truth.truth_path(world), 1, card, DAY)
    assert said.tabulation == Tabulation.WRONG_PERSON


def test_a_promise_and_nothing_else_has_a_date_and_an_amount(world: Settings) -> None:
    path = truth.truth_path(world)
    for card in cards(path, "owner"):
        said = tabulate(path, 1, card, DAY)
        assert said == tabulate(path, 1, card, DAY)
        if said.tabulation == Tabulation.PROMISE:
            assert said.promise_date is not None
            assert DAY < said.promise_date <= DAY + timedelta(days=7)
            assert said.promise_amount == card["amount"]
        else:
            assert said.promise_date is None
            assert said.promise_amount is None


@asynccontextmanager
async def working(dialer: FakeDialer, world: Settings) -> AsyncIterator[Robot]:
    """One robot at ``dialer`` while the block runs."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{dialer.port}", trust_env=False, timeout=PATIENCE
    ) as client:
        path = truth.truth_path(world)
        robot = Robot(client, "op01", token="token", path=path, seed=1, time_scale=400)
        task = asyncio.create_task(robot.run())
        try:
            yield robot
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def a_call(world: Settings, attempt: str) -> Card:
    return {**cards(truth.truth_path(world), "owner", 1)[0], "attempt": attempt}


async def test_a_robot_logs_in_waits_and_tabulates_each_call_once(world: Settings) -> None:
    dialer = FakeDialer()
    async with dialer.listening(), working(dialer, world):
        await dialer.until("login")
        for number in (1, 2):
            dialer.become("talking", a_call(world, f"call-{number}"))
            dialer.become("wrapup", a_call(world, f"call-{number}"))
            await dialer.until("tabulate", number)
    assert [body["attempt"] for body in dialer.said("tabulate")] == ["call-1", "call-2"]
    path, today = truth.truth_path(world), date.today()  # noqa: DTZ011 - only a fallback
    expected = tabulate(path, 1, a_call(world, "call-1"), today)
    assert dialer.said("tabulate")[0]["tabulation"] == expected.tabulation
    assert len(dialer.said("login")) == 1


async def test_a_refused_tabulation_is_not_repeated(world: Settings) -> None:
    dialer = FakeDialer(refuse_tabulation=True)
    async with dialer.listening(), working(dialer, world):
        await dialer.until("login")
        dialer.become("wrapup", a_call(world, "late"))
        await dialer.until("tabulate")
        dialer.become("wrapup", a_call(world, "next"))
        await dialer.until("tabulate", 2)
    assert [body["attempt"] for body in dialer.said("tabulate")] == ["late", "next"]


async def test_a_robot_logged_out_by_the_dialer_logs_in_again(world: Settings) -> None:
    dialer = FakeDialer()
    async with dialer.listening(), working(dialer, world):
        await dialer.until("login")
        dialer.become("offline")
        await dialer.until("login", 2)
        assert dialer.state == "idle"


async def test_a_pause_that_somebody_made_lasts(world: Settings) -> None:
    dialer = FakeDialer()
    async with dialer.listening(), working(dialer, world):
        await dialer.until("login")
        dialer.become("paused")
        dialer.become("wrapup", a_call(world, "one"))
        await dialer.until("tabulate")
    assert {name for _, name, _ in dialer.heard} == {"login", "tabulate"}


async def test_a_robot_outlives_the_dialer(
    world: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(operators, "_RETRY_SECONDS", 0.01)
    dialer = FakeDialer()
    async with dialer.listening(), working(dialer, world):
        dialer.become("wrapup", a_call(world, "before"))
        await dialer.until("tabulate")
        dialer.down = True
        dialer.become("idle")
        await dialer.until("refused", 3)
        dialer.down = False
        await dialer.until("login", 2)
        dialer.become("wrapup", a_call(world, "after"))
        await dialer.until("tabulate", 2)
    complaints = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(complaints) == 1, "one line however long it was away"
    assert str(dialer.port) in complaints[0].getMessage()


async def test_a_robot_that_comes_before_the_dialer_waits_for_it(
    world: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "_RETRY_SECONDS", 0.01)
    dialer = FakeDialer()
    async with dialer.listening():
        pass
    async with working(dialer, world):
        await asyncio.sleep(0)
        async with dialer.listening():
            await dialer.until("login")


async def test_leaving_logs_out_and_forgives_a_dead_dialer(world: Settings) -> None:
    dialer = FakeDialer()
    async with dialer.listening(), working(dialer, world) as robot:
        await dialer.until("login")
        await robot.leave()
        assert dialer.said("logout")
    async with working(dialer, world) as robot:
        await robot.leave()


def test_there_are_as_many_operators_as_the_settings_say(world: Settings) -> None:
    crew = robots(world, httpx.AsyncClient())
    assert [robot.name for robot in crew] == [f"op{n:02d}" for n in range(1, 11)]
