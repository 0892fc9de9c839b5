"""What is believed of calls that were out of sight for a while: the order of events decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialer import attempt as events
from dialer.attempt import Attempt, Event, State
from dialer.engine import Engine
from dialer.live import Call, utc_now
from dialer.pbx import LiveCalls
from dialer.reconcile import Reconciler
from dialer.rows import Lead
from dialer.truth import Record

LONG_AGO = utc_now() - timedelta(hours=1)
ID = "a" * 32
LEAD = Lead(
    id=1, campaign_id="c", cpf="52998224725", name="Ana", crm="norma", convenio="x", contract="1",
    amount=Decimal(1), phones=("11987654321",),
)  # fmt: skip


class FakePbx:
    """Channels and records are what a test says; ``before_answer`` happens while it is asked."""

    name, version, log_folder, dead, problem = "central", "22", None, False, ""

    def __init__(self) -> None:
        self.connected = True
        self.channels: dict[str, tuple[Event, ...]] = {}
        self.rows: dict[str, list[Record]] | None = {}
        self.before_answer: Callable[[], None] = lambda: None
        self.ended: list[str] = []

    async def live(self) -> LiveCalls:
        channels = dict(self.channels)
        self.before_answer()
        return LiveCalls(at=utc_now(), started_at=LONG_AGO, attempts=channels)

    async def records(self, _attempts: Collection[str]) -> dict[str, list[Record]] | None:
        return self.rows

    def hang_up(self, attempt_id: str) -> None:
        self.ended.append(attempt_id)


class FakeStore:
    """Remembers what was saved."""

    address = "fake"

    def __init__(self) -> None:
        self.saved: list[Attempt] = []

    async def close_attempt(self, attempt: Attempt, **_more: object) -> None:
        self.saved.append(attempt)

    async def save_together(self, attempts: list[Attempt], _operators: object) -> None:
        self.saved += attempts

    async def history(self, _lead: int) -> list[object]:
        return []

    async def ended_of(self, _attempts: list[str]) -> list[str]:
        return []


class World:
    """An engine with one call, whose phone rang when it was last seen."""

    def __init__(self, **known: Any) -> None:
        self.store, self.pbx = FakeStore(), FakePbx()
        self.engine = Engine(cast(Any, self.store), cast(Any, SimpleNamespace()))
        self.engine.pbxs["central"] = cast(Any, self.pbx)
        made = Attempt(id=ID, created_at=LONG_AGO, **known)
        self.call = Call(
            attempt=made, lead=LEAD, phone="11987654321", pbx="central", sent_at=LONG_AGO,
            operator=None, doubts=1,
        )  # fmt: skip
        self.engine.floor.calls[ID] = self.call
        self.reconciler = Reconciler(
            self.engine.floor,
            self.engine.pbxs,
            self.engine.notice,
            self.store.ended_of,
        )

    async def compare(self) -> None:
        await self.reconciler._compare(cast(Any, self.pbx))

    async def consume(self) -> None:
        while not self.engine.course.idle:
            await self.engine.course.store()
            await self.engine.course.close_one()

    @property
    def outcome(self) -> str | None:
        outcome = self.call.attempt.outcome
        return outcome and outcome.value


RINGING: dict[str, Any] = {"state": State.RINGING, "ringing_at": LONG_AGO}
SILENT_END = events.HungUp(at=LONG_AGO + timedelta(seconds=20), cause=16)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(cast(Any, work()))


def record(**values: Any) -> Record:
    return Record(
        attempt=ID, to_channel="", answered_at=LONG_AGO + timedelta(seconds=9),
        ended_at=LONG_AGO + timedelta(seconds=20), disposition="ANSWERED", userfield="human",
        **values,
    )  # fmt: skip


def test_an_end_that_came_before_the_proofs_is_not_believed() -> None:
    world = World(**RINGING)
    world.pbx.channels[ID] = (events.Answered(at=utc_now()),)
    # In the queue it stands before what the list of channels proved, though it happened after.
    world.pbx.before_answer = lambda: world.engine.notice(ID, SILENT_END)

    async def work() -> None:
        await world.compare()
        await world.consume()
        assert (world.outcome, world.call.unconfirmed) == (None, True)
        world.pbx.channels.clear()
        world.pbx.before_answer = lambda: None
        world.pbx.rows = {ID: [record(cause=16)]}
        for _ in range(2):
            await world.compare()
        await world.consume()

    run(work)
    assert world.outcome == "abandoned"


def test_once_its_pbx_has_shown_it_an_end_is_believed_again() -> None:
    world = World(**RINGING)
    world.pbx.channels[ID] = (events.Ringing(at=utc_now()),)

    async def work() -> None:
        await world.compare()
        world.engine.notice(ID, SILENT_END)
        await world.consume()

    run(work)
    assert world.outcome == "no_answer"


def test_a_connection_that_breaks_while_its_pbx_is_asked_leaves_the_doubt() -> None:
    world = World(**RINGING)
    world.pbx.channels[ID] = (events.Ringing(at=utc_now()),)
    world.pbx.before_answer = world.call.doubt

    async def work() -> None:
        await world.compare()
        await world.consume()

    run(work)
    assert world.call.unconfirmed


def test_without_a_gap_an_end_is_believed_though_the_channel_was_missed_before() -> None:
    world = World(**RINGING)
    world.call.settled = 1

    async def work() -> None:
        await world.compare()
        world.engine.notice(ID, SILENT_END)
        await world.consume()

    run(work)
    assert world.call.missing == 1
    assert world.outcome == "no_answer"


@pytest.mark.parametrize("rows", [{}, {ID: [record(cause=16)]}], ids=["no record yet", "record"])
def test_of_an_end_that_is_not_believed_it_is_kept_that_the_call_left(
    rows: dict[str, list[Record]],
) -> None:
    world = World()  # nothing was heard of it but that it was ordered
    world.pbx.rows = rows

    async def work() -> None:
        world.engine.notice(ID, SILENT_END)
        await world.consume()
        for _ in range(2):
            await world.compare()
        await world.consume()

    run(work)
    assert world.call.attempt.placed
    assert world.outcome == ("abandoned" if rows else "unknown")


def test_a_failed_order_after_a_gap_does_not_free_the_phone_to_be_dialled_again() -> None:
    world = World()
    world.pbx.rows = {ID: [Record(
        attempt=ID, to_channel="", answered_at=None, ended_at=LONG_AGO, disposition="BUSY",
        userfield="", cause=17,
    )]}  # fmt: skip

    async def work() -> None:
        world.engine.notice(ID, events.OriginateFailed(at=utc_now()))
        await world.consume()
        for _ in range(2):
            await world.compare()
        await world.consume()

    run(work)
    assert (world.outcome, world.call.attempt.placed) == ("busy", True)


def test_that_we_hang_up_is_stored_before_it_is_done() -> None:
    world = World()
    world.call.settled = 1
    order: list[str] = []
    world.pbx.hang_up = lambda _id: order.append("hung up")  # type: ignore[method-assign]
    save = world.store.save_together

    async def saving(attempts: list[Attempt], operators: object) -> None:
        order.extend("stored" if one.cancel_wanted else "?" for one in attempts)
        await save(attempts, operators)

    world.store.save_together = saving  # type: ignore[method-assign]

    async def work() -> None:
        # The phone began to ring in the same breath: what is stored last must be the cancel.
        world.engine.notice(ID, events.Ringing(at=utc_now()))
        world.engine.notice(ID, events.CancelWanted(at=utc_now()))
        await world.consume()

    run(work)
    assert order == ["stored", "hung up"]


def test_a_clock_that_was_set_back_keeps_no_pbx_from_being_compared() -> None:
    world = World(**RINGING)
    world.call.settled = 1
    later = utc_now() + timedelta(hours=1)
    world.reconciler._compared_at["central"] = world.reconciler._connected_at["central"] = later

    async def work() -> None:
        await world.compare()
        assert world.call.missing == 0
        world.reconciler.clock_set_back(utc_now() - timedelta(minutes=1))
        await world.compare()
        assert world.call.missing == 1

    run(work)


def test_only_the_calls_of_the_pbx_that_went_are_doubted() -> None:
    world = World(**RINGING)
    other = FakePbx()
    world.engine.pbxs["other"] = cast(Any, other)
    world.reconciler.pbx_changed()
    before = world.call.doubts
    other.connected = False
    world.reconciler.pbx_changed()
    assert world.call.doubts == before
    world.pbx.connected = False
    world.reconciler.pbx_changed()
    assert world.call.doubts == before + 1
