"""Who works for which campaign, who may leave, and who gets a call: no PBX, no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from dialer.attempt import Attempt, Detected, State
from dialer.engine import Engine
from dialer.live import Agent, Call, Campaign, utc_now
from dialer.pace import Pace
from dialer.pacing import Past
from dialer.pbx import Pbx
from dialer.rows import CampaignRow, Lead, OperatorChange
from dialer.rules import CallNext, Finished, PastAttempt
from dialer.settings import ANY_HOUR, parse_campaign
from dialer.store import Store
from dialer.trunks import PbxLimits
from zanc_pipeline.common.outcomes import Outcome, Tabulation

SECTION: dict[str, Any] = {
    "modo": "preditivo",
    "horario": ["08:00", "20:00"],
    "dias": ["seg", "ter", "qua", "qui", "sex", "sab", "dom"],
    "fuso": "America/Sao_Paulo",
    "identificador": "1140028900",
    "tentativas_por_telefone": 2,
    "nova_tentativa_minutos": {"busy": 1, "abandoned": 10},
    "toque_maximo_segundos": 25,
    "pos_atendimento_segundos": 20,
}
PHONE = "11912345678"


class Records:
    """A store that only remembers the operators' changes."""

    address = "nowhere"

    def __init__(self) -> None:
        self.changes: list[OperatorChange] = []

    async def save_together(
        self, _attempts: list[Attempt], operators: list[OperatorChange]
    ) -> None:
        self.changes += operators

    async def ended_of(self, attempts: list[str]) -> list[str]:
        return []


class Switch:
    """A PBX that only remembers who was connected to whom."""

    name, connected = "central", True

    def __init__(self) -> None:
        self.connections: list[tuple[str, str]] = []

    def connect(self, attempt_id: str, operator: str) -> None:
        self.connections.append((attempt_id, operator))


def lead(number: int, campaign: str) -> Lead:
    return Lead(
        id=number, campaign_id=campaign, cpf="12345678909", name="Ana", crm="norma",
        convenio="banco_aurora", contract="C1", amount=Decimal("10.00"), phones=(PHONE,),
    )  # fmt: skip


class World:
    """An engine with operators op01, op02 … and campaigns."""

    def __init__(self, operators: int) -> None:
        self.records, self.switch = Records(), Switch()
        self.engine = Engine(cast(Store, self.records), cast(Any, None), hours=ANY_HOUR)
        self.engine.add_pbx(cast(Pbx, self.switch), PbxLimits())
        self.floor = self.engine.floor
        for number in range(1, operators + 1):
            since = utc_now() - timedelta(seconds=100 - number)
            agent = Agent(id=f"op{number:02d}", state="idle", since=since)
            self.floor.agents[agent.id] = agent

    def campaign(self, name: str, **options: Any) -> Campaign:
        settings = parse_campaign({**SECTION, **options}, name)
        row = CampaignRow(
            id=name, name=name, settings=SECTION, changes={}, mailing="", sha256="",
            status="running", reason=None, why=None, submitted_at=utc_now(), finished_at=None,
        )  # fmt: skip
        made = Campaign(
            row=row,
            settings=settings,
            hours=ANY_HOUR,
            retries=settings.retries(),
            pace=Pace(config=settings.pacing, zone=settings.fuso, past=Past(), rates={}),
            status="running",
        )
        self.engine.campaigns[name] = made
        return made

    def call(self, number: int, campaign: str, state: State = State.RINGING) -> Call:
        now = utc_now()
        made = Call(
            attempt=Attempt(id=f"{number:032x}", created_at=now, state=state),
            lead=lead(number, campaign),
            phone=PHONE,
            pbx="central",
            sent_at=now,
            operator=None,
            waiting_since=now if state is State.WAITING else None,
        )
        self.floor.calls[made.attempt.id] = made
        return made

    def shares(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for agent in self.floor.agents.values():
            found.setdefault(agent.share or "", []).append(agent.id)
        return found


def test_campaigns_of_one_priority_have_equal_shares_and_a_higher_one_has_all() -> None:
    world = World(5)
    world.campaign("a")
    world.campaign("b")
    free = world.engine.placer.share_out(utc_now())
    assert free == {"a": 3, "b": 2}
    high = world.campaign("high", prioridade=9)
    assert world.engine.placer.share_out(utc_now()) == {"high": 5}
    high.dry_until = utc_now() + timedelta(seconds=9)  # it has nobody to call now
    assert sorted(world.engine.placer.share_out(utc_now())) == ["a", "b"]
    high.status = "paused"
    assert "high" not in world.shares()


def test_lines_of_a_campaign_without_a_share_still_need_who_is_free() -> None:
    world = World(4)
    dry, low = world.campaign("dry", prioridade=9), world.campaign("low")
    dry.dry_until = utc_now() + timedelta(seconds=9)
    world.call(1, "dry")
    world.call(2, "dry", State.WAITING)
    assert world.engine.placer.share_out(utc_now()) == {low.id: 2}


def test_who_pauses_gets_no_new_line_but_stays_while_a_line_counts_on_them() -> None:
    world = World(2)
    careful = world.campaign("careful", modo="progressivo")
    first = world.floor.agents["op01"]
    world.call(1, "careful")
    assert world.engine.switchboard.spare(first)
    world.call(2, "careful")
    assert not world.engine.switchboard.spare(first)
    first.leaving = "paused"
    assert world.engine.placer.share_out(utc_now()) == {careful.id: 1}
    bold = World(2)
    bold.campaign("bold")
    bold.call(1, "bold")
    bold.call(2, "bold")
    assert bold.engine.switchboard.spare(bold.floor.agents["op01"])
    bold.call(3, "bold", State.WAITING)
    bold.call(4, "bold", State.WAITING)
    assert not bold.engine.switchboard.spare(bold.floor.agents["op01"])


def test_an_answered_call_goes_to_who_waited_longest_for_its_campaign() -> None:
    world = World(3)
    world.campaign("a")
    world.floor.agents["op02"].share = "a"
    call = world.call(1, "a", State.WAITING)
    [change] = world.engine.switchboard.find(call, None)
    assert (change.id, change.state, change.attempt_id) == ("op02", "reserved", call.attempt.id)
    other = world.call(2, "a", State.WAITING)
    world.engine.switchboard.find(other, None)  # nobody of the campaign: who is there helps
    assert world.switch.connections == [(call.attempt.id, "op02"), (other.attempt.id, "op01")]


async def test_people_who_wait_get_the_next_who_come_free_the_longest_wait_first() -> None:
    world = World(1)
    world.campaign("a")
    late, early, gone = (world.call(number, "a", State.WAITING) for number in (1, 2, 3))
    early.waiting_since = utc_now() - timedelta(seconds=1)
    gone.waiting_since = utc_now() - timedelta(seconds=5)  # hears the safe message by now
    world.engine.switchboard.hand_over()
    assert world.switch.connections == [(early.attempt.id, "op01")]
    assert world.floor.agents["op01"].state == "reserved"
    await world.engine.course.store()
    assert [change.attempt_id for change in world.records.changes] == [early.attempt.id]
    world.engine.switchboard.hand_over()
    assert late.operator is None


@pytest.mark.parametrize(("late", "connected"), [(0.5, 1), (2.5, 0)])
async def test_whom_we_hear_of_too_late_is_left_to_the_safe_message(
    late: float, connected: int
) -> None:
    world = World(1)
    world.campaign("a")
    call = world.call(1, "a")
    answered = Detected(at=utc_now() - timedelta(seconds=late), machine=False)
    world.engine.notice(call.attempt.id, answered)
    await world.engine.course.store()
    world.engine.switchboard.hand_over()
    assert len(world.switch.connections) == connected


def test_an_operator_whose_phone_is_silent_rests_and_another_gets_the_call() -> None:
    world = World(2)
    world.campaign("a")
    call = world.call(1, "a", State.WAITING)
    world.engine.switchboard.find(call, None)
    changes = world.engine.switchboard.find(call, "op01")
    assert [(one.id, one.state) for one in changes] == [("op01", "idle"), ("op02", "reserved")]
    assert [agent.id for agent in world.floor.idle()] == []


def test_an_operator_whose_phone_stays_silent_is_put_in_pause() -> None:
    world = World(1)
    world.campaign("a")
    agent = world.floor.agents["op01"]
    for number in (1, 2, 3):
        agent.rest_until = None
        call = world.call(number, "a", State.WAITING)
        world.engine.switchboard.find(call, None)
        [change] = world.engine.switchboard.find(call, "op01")
    assert (change.state, change.reason) == ("paused", "telefone não atende")
    assert (agent.state, agent.reason, agent.leaving) == ("paused", "telefone não atende", None)


def test_nothing_waits_for_a_moment_of_a_clock_that_was_set_back() -> None:
    world = World(1)
    campaign, agent, now = world.campaign("a"), world.floor.agents["op01"], utc_now()
    world.engine._heed_clock(now)
    campaign.dry_until = agent.rest_until = now + timedelta(seconds=5)
    world.engine._heed_clock(now + timedelta(seconds=1))
    assert world.floor.idle() == []
    early = now - timedelta(hours=1)
    world.engine._heed_clock(early)
    assert (campaign.dry_until < early, agent.rest_until, agent.since) == (True, None, early)


def past(**more: Any) -> PastAttempt:
    return PastAttempt(
        phone=PHONE, outcome=Outcome.HUMAN, ended_at=utc_now(), tabulation=Tabulation.CALLBACK,
        operator="op01", **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("agreed", "kept"),
    [("2026-11-23T18:00", True), ("2026-11-23T20:30", False), ("2026-11-24T10:00", False)],
    ids=["today", "after the hours", "tomorrow"],
)
def test_an_agreed_callback_is_made_on_its_day_in_the_calling_hours_only(
    agreed: str, kept: bool
) -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    campaign = World(0).campaign("a")
    campaign = replace(campaign, hours=campaign.settings.hours())
    at = datetime.fromisoformat(agreed).replace(tzinfo=zone).astimezone(UTC)
    now = datetime(2026, 11, 23, 15, 0, tzinfo=zone)
    update = campaign.plan(lead(1, "a"), {}, [past(callback_at=at)], now)
    if kept:
        assert isinstance(update, CallNext)
        assert (update.not_before, update.operator) == (at, "op01")
    else:
        assert update == Finished(reason="talked: callback")


def test_who_chose_a_campaign_works_for_that_one_only_whatever_its_priority() -> None:
    world = World(4)
    world.campaign("first", prioridade=9)
    world.campaign("second", prioridade=1)
    world.floor.agents["op03"].only = "second"
    free = world.engine.placer.share_out(utc_now())
    assert world.shares() == {"first": ["op01", "op02", "op04"], "second": ["op03"]}
    assert free == {"first": 3, "second": 1}


async def test_a_person_waits_for_who_serves_the_campaign() -> None:
    world = World(2)
    world.campaign("first")
    world.campaign("second")
    for agent in world.floor.agents.values():
        agent.only = "second"
    waiting, other = world.call(1, "first", State.WAITING), world.call(2, "second", State.WAITING)
    world.engine.switchboard.hand_over()
    assert waiting.operator is None
    assert other.operator == "op01"
