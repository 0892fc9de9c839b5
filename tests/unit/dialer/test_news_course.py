"""People who answer wait for nothing that a disk does; what happened is stored together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialer import attempt as events
from dialer import course, placing
from dialer.attempt import Attempt, State
from dialer.engine import Engine
from dialer.live import Agent, Call, utc_now
from dialer.rows import Lead, OperatorChange
from zanc_pipeline.common.outcomes import Tabulation

LEAD = Lead(
    id=1, campaign_id="c", cpf="52998224725", name="Ana", crm="norma", convenio="x",
    contract="C1", amount=Decimal(1), phones=("11912345678",),
)  # fmt: skip


class Steps:
    """A store and a PBX that remember what was done, in order."""

    address, name, connected = "nowhere", "central", True

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.broken = False
        self.poison = ""
        self.closed, self.back, self.free = (asyncio.Event() for _ in range(3))
        self.back.set()
        self.free.set()
        self.meanwhile: Callable[[], None] = lambda: None

    def connect(self, attempt_id: str, operator: str) -> None:
        self.done.append(("connect", attempt_id[-1], operator))

    def hang_up(self, attempt_id: str) -> None:
        self.done.append(("hang up", attempt_id[-1]))

    async def save_together(self, attempts: list[Attempt], operators: list[OperatorChange]) -> None:
        await self.back.wait()
        await self.free.wait()  # another connection's close would be done by now
        self.meanwhile()
        if self.poison in [one.id[-1] for one in attempts]:
            raise ValueError("value out of int32 range")
        told = {one.id[-1]: one.state.value for one in attempts}
        self.done.append(("store", told, [(one.id, one.state) for one in operators]))

    async def close_attempt(self, attempt: Attempt, **_more: Any) -> None:
        await self.back.wait()
        if self.broken:
            raise RuntimeError("an error of ours")
        self.done.append(("close", attempt.id[-1]))
        self.closed.set()

    async def history(self, _lead: int) -> list[object]:
        return []

    async def ended_of(self, _attempts: list[str]) -> list[str]:
        return []


class World:
    """An engine with two free operators and some calls that ring."""

    def __init__(self, calls: int) -> None:
        self.steps = Steps()
        self.engine = Engine(cast(Any, self.steps), cast(Any, None))
        self.engine.pbxs["central"] = cast(Any, self.steps)
        for name in ("op01", "op02"):
            self.engine.floor.agents[name] = Agent(id=name, state="idle", since=utc_now())
        for number in range(1, calls + 1):
            made = Attempt(
                id=f"{number:032x}", created_at=utc_now(), state=State.RINGING, ringing_at=utc_now()
            )
            self.engine.floor.calls[made.id] = Call(
                attempt=made, lead=replace(LEAD, id=number), phone="11912345678", pbx="central",
                sent_at=made.created_at, operator=None,
            )  # fmt: skip

    async def follow(self) -> None:
        """Store what is new, and close one call that ended."""
        await self.engine.course.store()
        await self.engine.course.close_one()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """As the engine does it."""
        following = asyncio.create_task(self.engine.course.run(asyncio.Lock()))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            following.cancel()

    async def idle(self) -> None:
        """Until everything is stored and closed."""
        async with asyncio.timeout(30):
            while not self.engine.course.idle:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0)

    def told(self, number: int, event: type[Any], **more: Any) -> None:
        self.engine.notice(f"{number:032x}", event(at=datetime.now(UTC), **more))


async def test_who_answered_is_connected_before_anything_is_stored_and_all_is_stored_at_once() -> (
    None
):
    world = World(3)
    world.told(3, events.HungUp, cause=17)
    for number in (1, 2):
        world.told(number, events.Answered)
        world.told(number, events.Detected, machine=False)
    await world.follow()
    assert world.steps.done == [
        ("connect", "1", "op01"),
        ("connect", "2", "op02"),
        (
            "store",
            {"1": "waiting", "2": "waiting"},
            [("op01", "reserved"), ("op02", "reserved")],
        ),
        ("close", "3"),
    ]


async def test_calls_are_closed_one_at_a_time_between_the_news() -> None:
    world = World(3)
    world.told(1, events.HungUp, cause=17)
    world.told(2, events.HungUp, cause=19)
    await world.follow()
    world.told(3, events.Detected, machine=False)
    assert not world.engine.course.idle
    await world.follow()
    assert [step[0] for step in world.steps.done] == ["close", "connect", "store", "close"]
    assert world.engine.course.idle
    assert list(world.engine.floor.calls) == [f"{3:032x}"]


async def test_a_talk_that_ends_is_stored_with_its_wrap_up_and_closed_by_its_tabulation() -> None:
    world = World(1)
    world.told(1, events.Connected, operator="op01")
    world.told(1, events.HungUp, cause=16)
    await world.follow()
    moves = [("op01", "talking"), ("op01", "wrapup")]
    assert world.steps.done == [("store", {"1": "ended"}, moves)]
    assert world.engine.floor.agents["op01"].state == "wrapup"


async def test_what_is_closed_meanwhile_is_not_closed_again_and_an_error_holds_nobody_back() -> (
    None
):
    world = World(3)
    for number in (1, 2, 3):
        world.told(number, events.HungUp, cause=17)
    await world.follow()
    del world.engine.floor.calls[f"{2:032x}"]
    await world.follow()
    world.steps.broken = True
    await world.follow()
    assert world.steps.done == [("close", "1")]


async def test_one_that_can_not_be_stored_holds_none_of_the_others_back() -> None:
    world = World(3)
    world.steps.poison = "2"
    for number in (1, 2, 3):
        world.told(number, events.Answered)
    world.told(2, events.CancelWanted)
    world.told(3, events.Detected, machine=False)
    await world.follow()
    assert world.steps.done == [
        ("connect", "3", "op01"),
        ("store", {"1": "answered"}, []),
        ("store", {"3": "waiting"}, []),
        ("store", {}, [("op01", "reserved")]),
    ]
    assert world.engine.course.idle


async def test_who_answers_while_it_is_stored_that_we_hang_up_is_not_hung_up_on() -> None:
    world = World(3)
    for number in (1, 2, 3):
        world.told(number, events.CancelWanted)
    world.told(2, events.Detected, machine=False)
    world.steps.meanwhile = lambda: world.told(3, events.Answered)
    await world.follow()
    ringing = {"1": "ringing", "2": "waiting", "3": "ringing"}
    assert world.steps.done == [
        ("connect", "2", "op01"),
        ("store", ringing, [("op01", "reserved")]),
        ("hang up", "1"),
    ]


async def test_an_error_in_the_figures_loses_nothing_of_the_call() -> None:
    world = World(1)

    def broken(*_told: object) -> None:
        raise ValueError("an error of ours")

    pace = SimpleNamespace(changed=broken)
    world.engine.campaigns["c"] = cast(Any, SimpleNamespace(pace=pace))
    world.told(1, events.Connected, operator="op01")
    await world.follow()
    assert world.steps.done == [("store", {"1": "talking"}, [("op01", "talking")])]


@pytest.mark.parametrize("first", [events.Answered, events.HungUp])
async def test_while_the_database_is_away_who_answers_gets_an_operator_all_the_same(
    first: type[Any],
) -> None:
    world = World(2)
    world.steps.back.clear()
    async with world.followed():
        if first is events.HungUp:
            world.told(1, first, cause=17)  # closing it waits for the database
        else:
            world.told(1, first)  # storing it does
        await asyncio.sleep(0)
        world.told(2, events.Detected, machine=False)
        assert world.steps.done == [("connect", "2", "op01")]
        assert not world.engine.course.idle
        world.steps.back.set()
        await world.idle()
    assert ("store", {"2": "waiting"}, [("op01", "reserved")]) in world.steps.done
    assert len(world.steps.done) == 3


async def test_an_operator_who_comes_free_while_the_database_is_away_takes_who_waits() -> None:
    world = World(2)
    del world.engine.floor.agents["op02"]
    world.steps.back.clear()
    async with world.followed():
        for number in (1, 2):
            world.told(number, events.Detected, machine=False)
        world.told(1, events.HungUp, cause=16)  # before the operator's phone rang
        world.engine.switchboard.review()
        assert world.steps.done == [("connect", "1", "op01"), ("connect", "2", "op01")]
        world.steps.back.set()
        await world.idle()
    stored = [change for step in world.steps.done if step[0] == "store" for change in step[2]]
    assert stored == [("op01", "reserved"), ("op01", "idle"), ("op01", "reserved")]


async def test_what_is_said_while_a_call_ends_is_stored_and_the_call_closed() -> None:
    world = World(1)
    world.told(1, events.Connected, operator="op01")
    await world.follow()
    [call] = world.engine.floor.calls.values()
    world.steps.back.clear()
    async with world.followed():
        world.engine.course.say(call, replace(call.attempt, tabulation=Tabulation.REFUSAL))
        await asyncio.sleep(0)
        world.told(1, events.HungUp, cause=16)
        assert world.engine.floor.agents["op01"].state == "idle"
        world.steps.back.set()
        await world.idle()
    assert (call.attempt.tabulation, call.attempt.ended) == (Tabulation.REFUSAL, True)
    assert world.steps.done[1:] == [
        ("store", {"1": "talking"}, []),
        ("store", {}, [("op01", "idle")]),
        ("close", "1"),
    ]


async def test_a_call_is_closed_after_what_is_known_of_it_is_stored() -> None:
    world = World(1)
    world.steps.free.clear()
    async with world.followed():
        world.told(1, events.Answered)
        world.told(1, events.HungUp, cause=16)
        for _ in range(9):
            await asyncio.sleep(0)
        assert world.steps.done == []
        world.steps.free.set()
        await world.idle()
    assert world.steps.done == [("store", {"1": "answered"}, []), ("close", "1")]


async def test_a_call_that_could_not_be_closed_is_tried_again_though_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "AGAIN_SECONDS", 0.01)
    world = World(1)
    world.steps.broken = True
    async with world.followed():
        world.told(1, events.HungUp, cause=17)
        await asyncio.sleep(0.02)
        world.steps.broken = False
        async with asyncio.timeout(30):
            await world.steps.closed.wait()
    assert world.steps.done == [("close", "1")]


async def test_while_the_database_is_behind_no_line_is_opened() -> None:
    world = World(placing.MOST_BEHIND + 3)
    for number in range(1, placing.MOST_BEHIND + 4):
        world.told(number, events.HungUp, cause=17)
    await world.follow()
    placer = world.engine.placer
    assert "banco de dados está lento" in placer._obstacle(utc_now())
    await world.follow()
    await world.follow()
    assert "banco de dados" not in placer._obstacle(utc_now())
