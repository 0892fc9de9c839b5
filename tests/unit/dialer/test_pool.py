"""Which PBX and trunk a call goes through, how fast, and when a broken one is left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import cast

import pytest

from dialer.attempt import Attempt, State
from dialer.live import Call, Floor
from dialer.pbx import Pbx
from dialer.pool import PbxPool, Route
from dialer.rows import Lead
from dialer.trunks import (
    FAILURES_IN_A_ROW,
    FIRST_REST,
    LONGEST_REST,
    Breaker,
    PbxLimits,
    TokenBucket,
    TrunkLimits,
    failure_of,
)
from zanc_pipeline.common.outcomes import Outcome

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
LEAD = Lead(
    id=1, campaign_id="c", cpf="1", name="x", crm="norma", convenio="a", contract="1",
    amount=Decimal(1), phones=("11912345678",),
)  # fmt: skip


class Central:
    """A PBX that is there, or not."""

    version, dead = "22.10.0", False

    def __init__(self, name: str) -> None:
        self.name, self.connected, self.problem = name, True, ""


class World:
    """A pool over a floor, with calls that are placed and end as told."""

    def __init__(self, **limits: PbxLimits) -> None:
        self.floor = Floor()
        self.pool = PbxPool(self.floor)
        self.centrais = {name: Central(name) for name in limits}
        self._number = count()
        for name, limit in limits.items():
            self.pool.add(cast(Pbx, self.centrais[name]), limit)

    def place(self, now: datetime = NOW) -> Call | None:
        """Place a call, if one may be placed."""
        with self.pool.taking(now) as route:
            if route is None:
                return None
            attempt = Attempt(id=f"{next(self._number):032x}", created_at=now)
            call = Call(
                attempt=attempt, lead=LEAD, phone="11912345678", pbx=route.pbx.name,
                trunk=route.trunk, sent_at=now, operator=None,
            )  # fmt: skip
            self.floor.calls[attempt.id] = call
        return call

    def end(self, call: Call, outcome: Outcome, cause: int = 0, now: datetime = NOW) -> None:
        """A call ended."""
        before = call.attempt
        call.attempt = replace(
            before, state=State.ENDED, outcome=outcome, hangup_cause=cause, ended_at=now
        )
        self.pool.went_on(call, before, now)
        del self.floor.calls[before.id]

    def fail(self, times: int, now: datetime = NOW) -> datetime:
        """So many calls one after the other fail with congestion; the time of the last."""
        for _ in range(times):
            now += timedelta(seconds=1)
            call = self.place(now)
            assert call is not None
            self.end(call, Outcome.NETWORK_FAILURE, 34, now)
        return now


def test_an_emptied_pbx_gets_no_new_calls_and_keeps_those_it_has() -> None:
    world = World(a=limits(), b=limits())
    first = world.place()
    assert first is not None
    world.pool.drain(first.pbx, wanted=True)
    others = [world.place(NOW + timedelta(seconds=n)) for n in range(1, 4)]
    assert {call.pbx for call in others if call is not None} == {"a", "b"} - {first.pbx}

    def state() -> str:
        [found] = [one for one in world.pool.figures(NOW) if one["name"] == first.pbx]
        return str(found["state"])

    assert state() == "esvaziando"
    world.end(first, Outcome.HUMAN)
    assert state() == "vazia"
    world.pool.drain(first.pbx, wanted=False)
    assert state() == "ok"


def test_when_every_pbx_is_emptied_it_is_said() -> None:
    world = World(a=limits())
    world.pool.drain("a", wanted=True)
    assert world.place() is None
    assert world.pool.why(NOW) == "a: sendo esvaziada"


def limits(lines: int = 1000, rate: float = 1000, **trunks: TrunkLimits) -> PbxLimits:
    wide = {"carrier": TrunkLimits(lines=1000, calls_per_second=1000)}
    return PbxLimits(lines=lines, calls_per_second=rate, trunks=trunks or wide)


def test_calls_are_spread_by_what_each_can_carry() -> None:
    world = World(small=limits(lines=10), large=limits(lines=30))
    for _ in range(20):
        assert world.place() is not None
    assert Counter(call.pbx for call in world.floor.calls.values()) == {"large": 15, "small": 5}


def test_one_call_at_a_time_goes_through_each_in_turn() -> None:
    world = World(one=limits(), two=limits())
    used = []
    for _ in range(4):
        call = world.place()
        assert call is not None
        used.append(call.pbx)
        world.end(call, Outcome.BUSY, 17)
    assert used == ["one", "two", "one", "two"]


def test_no_more_lines_are_opened_than_a_pbx_and_its_trunks_have() -> None:
    trunks = {"a": TrunkLimits(lines=2, calls_per_second=99), "b": TrunkLimits(lines=9)}
    world = World(one=limits(lines=5, **trunks))
    placed = [world.place(NOW + timedelta(seconds=n)) for n in range(9)]
    assert [call is not None for call in placed] == [True] * 5 + [False] * 4
    assert Counter(call.trunk for call in placed if call) == {"a": 2, "b": 3}
    later = NOW + timedelta(seconds=60)
    assert world.pool.room(later) == 0
    assert "one: todas as 5 linhas em uso" in world.pool.why(later)
    world.end(next(iter(world.floor.calls.values())), Outcome.BUSY, 17, later)
    assert world.pool.room(later) == 1
    assert world.pool.why(later) == ""


def test_a_full_trunk_is_told_and_nothing_goes_through_it() -> None:
    world = World(one=limits(carrier=TrunkLimits(lines=2, calls_per_second=99)))
    assert [world.place() is not None for _ in range(3)] == [True, True, False]
    assert "one/carrier: todas as 2 linhas em uso" in world.pool.why(NOW)


@pytest.mark.parametrize("rate", [0.5, 4, 10, 50])
def test_in_no_second_more_calls_go_out_than_the_rate_allows(rate: float) -> None:
    world = World(one=limits(carrier=TrunkLimits(lines=10_000, calls_per_second=rate)))
    times = [
        moment
        for moment in (NOW + timedelta(seconds=n / 100) for n in range(100 * 6))
        if world.place(moment) is not None
    ]
    assert len(times) <= 6 * rate + max(1, rate / 4)
    assert len(times) >= 6 * rate * 0.9
    for start in times:
        within = [one for one in times if start <= one < start + timedelta(seconds=1)]
        assert len(within) <= rate + max(1, rate / 4)


def test_the_rate_of_a_pbx_holds_over_all_its_trunks() -> None:
    fast = TrunkLimits(lines=1000, calls_per_second=1000)
    world = World(one=limits(rate=4, a=fast, b=fast))
    assert [world.place() is not None for _ in range(3)] == [True, False, False]
    assert world.pool.why(NOW) == "limite de chamadas por segundo"


def test_a_bucket_never_gives_more_for_a_long_silence() -> None:
    bucket = TokenBucket(8)
    assert bucket.available(1_000_000.0) == 2
    bucket.take(1_000_000.0)
    assert bucket.available(999_999.0) == 1  # a clock that goes back gives nothing


def test_a_clock_that_is_set_back_stops_neither_the_rate_nor_a_rest() -> None:
    bucket = TokenBucket(4.0)
    bucket.take(5000.0)
    assert (bucket.available(1400.0), bucket.available(1400.25)) == (0, 1)
    breaker = Breaker()
    breaker.failed(NOW, "x", refused=True)
    assert breaker.state(NOW - timedelta(seconds=1)) == "aberto"
    assert breaker.state(NOW - timedelta(hours=1)) == "testando"


def test_a_pbx_out_of_reach_gets_nothing_and_why_is_told() -> None:
    world = World(a=limits(), b=limits())
    world.centrais["a"].connected, world.centrais["a"].problem = False, "não responde"
    assert {call.pbx for call in (world.place(), world.place()) if call} == {"b"}
    world.centrais["b"].connected, world.centrais["b"].problem = False, "não fala TLS"
    assert world.place() is None
    why = world.pool.why(NOW)
    assert why == "nenhuma central ao alcance; a: não responde; b: não fala TLS"
    [a, _] = world.pool.figures(NOW)
    assert (a["state"], a["why"], a["capacity"]) == ("fora", "não responde", 1000)


def test_a_trunk_that_only_fails_is_left_alone_then_tried_with_one_call() -> None:
    world = World(one=limits())
    now = world.fail(FAILURES_IN_A_ROW)
    assert world.place(now) is None
    assert "one/carrier: congestionamento; sem ligações até" in world.pool.why(now)
    [trunk] = world.pool.figures(now)[0]["trunks"]
    assert trunk["state"] == "aberto"
    now += FIRST_REST
    probe = world.place(now)
    assert probe is not None
    assert world.place(now) is None, "one call at a time"
    assert world.pool.figures(now)[0]["trunks"][0]["state"] == "testando"
    world.end(probe, Outcome.NETWORK_FAILURE, 34, now)
    assert world.place(now + FIRST_REST) is None, "it rests twice as long"
    now += FIRST_REST * 2
    probe = world.place(now)
    assert probe is not None
    before = probe.attempt
    probe.attempt = replace(before, state=State.RINGING, ringing_at=now)
    world.pool.went_on(probe, before, now)
    assert world.place(now) is not None, "it rings: the network takes calls again"
    assert world.pool.why(now) == ""


def test_calls_go_through_another_trunk_meanwhile() -> None:
    world = World(one=limits(), two=limits())
    broken = world.centrais["one"].name
    now = NOW
    for _ in range(40):
        now += timedelta(seconds=0.1)
        call = world.place(now)
        assert call is not None
        bad = call.pbx == broken
        outcome, cause = (Outcome.NETWORK_FAILURE, 42) if bad else (Outcome.BUSY, 17)
        world.end(call, outcome, cause, now)
    last = world.place(now)
    assert last is not None
    assert last.pbx == "two"


def test_some_failures_among_calls_that_work_are_the_networks_usual() -> None:
    world = World(one=limits())
    now = NOW
    for number in range(60):
        now += timedelta(seconds=1)
        call = world.place(now)
        assert call is not None
        worked = number % FAILURES_IN_A_ROW == 0
        outcome, cause = (Outcome.NO_ANSWER, 19) if worked else (Outcome.NETWORK_FAILURE, 41)
        world.end(call, outcome, cause, now)


def test_a_probe_that_tells_nothing_lets_another_try() -> None:
    world = World(one=limits())
    now = world.fail(FAILURES_IN_A_ROW) + FIRST_REST
    probe = world.place(now)
    assert probe is not None
    world.end(probe, Outcome.CANCELLED, 0, now)
    second = world.place(now)
    assert second is not None
    route = Route(pbx=cast(Pbx, world.centrais["one"]), trunk="carrier")
    world.pool.unused(route)
    assert world.place(now) is not None


def test_a_pbx_that_refuses_orders_is_left_alone_at_once() -> None:
    world = World(one=limits())
    call = world.place()
    assert call is not None
    world.pool.refused(call, "Permission denied", NOW)
    assert world.place() is None
    assert "a central recusa a ordem: Permission denied" in world.pool.why(NOW)


def test_the_rest_has_a_limit_and_calls_on_their_way_do_not_prolong_it() -> None:
    breaker, now = Breaker(), NOW
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(now, "x")
    until = breaker.until
    breaker.failed(now, "x")
    assert breaker.until == until
    for _ in range(12):
        assert breaker.until is not None
        now = breaker.until
        breaker.placed(now)
        assert breaker.failed(now, "x")
    assert breaker.until == now + LONGEST_REST


def test_what_counts_as_a_failure_of_the_trunk() -> None:
    assert failure_of(Outcome.NETWORK_FAILURE, 34, placed=True) == "congestionamento"
    assert failure_of(Outcome.NETWORK_FAILURE, None, placed=False) is not None
    for outcome in (Outcome.BUSY, Outcome.INVALID_NUMBER, Outcome.NO_ANSWER, Outcome.HUMAN, None):
        assert failure_of(outcome, 34, placed=True) is None
