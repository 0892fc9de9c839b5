"""Leads whose phones may not all be called now, and calls that were agreed with somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialer import gate as module
from dialer import placing
from dialer.gate import Gate
from dialer.live import Agent, Campaign, Floor
from dialer.localization import Reservation
from dialer.permission import Listed
from dialer.rulebook import Rulebook
from dialer.rules import Agreed, CallNext, Finished
from dialer.settings import ANY_HOUR, parse_campaign
from dialer.store import Lead
from zanc_pipeline.common.settings import project_root, read_yaml

SECTION = read_yaml(project_root() / "config" / "campaigns" / "cobranca_geral.yaml")["discador"]
ACRE, PAULISTA = "68912345678", "11912345678"
MORNING = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)  # 09:30 in São Paulo, 07:30 in Acre


class Localization:
    """Reserves whatever it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def reserve(self, crm: str, cpf: str, phones: Sequence[str], **_: Any) -> Reservation:
        self.asked += phones
        return Reservation(
            phone=phones[0], lease="l1", refused={}, busy=False, told="telefone 0 de 3 hoje"
        )

    async def release(self, crm: str, lease: str) -> None: ...


@pytest.fixture(autouse=True)
def at_half_past_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "utc_now", lambda: MORNING)


def campaign() -> Campaign:
    settings = parse_campaign(SECTION, "teste")
    return Campaign(row=cast(Any, None), settings=settings, hours=ANY_HOUR,
                    retries=settings.retries(), pace=cast(Any, None), status="running")  # fmt: skip


def lead(*phones: str, **more: Any) -> Lead:
    return Lead(
        id=1, campaign_id="c", cpf="52998224725", name="Ana", crm="norma", convenio="x",
        contract="C1", amount=Decimal(1), phones=phones, **more,
    )  # fmt: skip


async def test_while_one_state_sleeps_the_persons_phone_elsewhere_is_called() -> None:
    asked = Localization()
    passage = await Gate(asked, Rulebook()).reserve(campaign(), lead(ACRE, PAULISTA), [], "r")
    assert (asked.asked, passage.lease) == ([PAULISTA], "l1")
    assert cast(CallNext, passage.plan).index == 1
    checks = passage.evidence["checks"]
    assert checks["horario_estado"] == "SP ter 09:30 entre 08:00 e 20:00"
    assert checks["limites"] == "telefone 0 de 3 hoje"
    assert checks["melhor_hora"] == "sem preferência de hora"


async def test_who_can_be_called_later_only_waits_for_that_and_nobody_is_asked() -> None:
    asked, running = Localization(), campaign()
    passage = await Gate(asked, Rulebook()).reserve(running, lead(ACRE), [], "r")
    assert (asked.asked, passage.lease) == ([], None)
    assert cast(CallNext, passage.plan).not_before == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert running.held_back.startswith("outside the hours of its state: AC: ter 07:30 fora de")


async def test_a_phone_on_a_list_is_kept_as_refused_with_the_reason() -> None:
    book = Rulebook()
    book.rules = replace(book.rules, listed=Listed(phones={PAULISTA}))
    passage = await Gate(Localization(), book).reserve(campaign(), lead(PAULISTA), [], "r")
    assert passage.plan == Finished(reason="refused: do not call: o telefone está em lista")
    assert passage.lead.refused == {PAULISTA: "do not call: o telefone está em lista"}


async def test_a_call_before_its_hour_says_that_there_was_nobody_else() -> None:
    early = lead(PAULISTA, hours=((18, 11),))
    passage = await Gate(Localization(), Rulebook()).reserve(campaign(), early, [], "r")
    told = passage.evidence["checks"]["melhor_hora"]
    assert told == (
        "melhores horas 18 h, 11 h; discado às 9 h porque não havia outra pessoa a chamar"
    )


class Leads:
    """A store that remembers to when leads were put back."""

    def __init__(self) -> None:
        self.until: list[datetime] = []

    async def update_lead(self, lead_id: int, update: CallNext) -> None:
        self.until.append(update.not_before)


@pytest.mark.parametrize(
    ("state", "minutes_late", "waits"),
    [
        ("talking", 9, True),
        ("talking", 10, False),
        ("paused", 1, True),
        ("offline", 1, False),
        ("idle", 1, False),
    ],
)
async def test_an_agreed_call_waits_a_while_for_the_operator_who_agreed_it(
    monkeypatch: pytest.MonkeyPatch, state: Any, minutes_late: int, waits: bool
) -> None:
    monkeypatch.setattr(placing, "utc_now", lambda: MORNING)
    floor, leads = Floor(), Leads()
    engine = SimpleNamespace(floor=floor, store=leads, book=Rulebook())
    placer = placing.Placer(cast(Any, engine), Localization())
    for name, its in (("op01", state), ("op02", "idle")):
        floor.agents[name] = Agent(id=name, state=its, since=MORNING)
    at = MORNING - timedelta(minutes=minutes_late)
    agreed = Agreed(at=at, phone=PAULISTA, operator="op01", since=at)
    person = lead(PAULISTA, agreed=agreed)
    found = await placer._waits_for_another(campaign(), person, [], floor.agents["op02"])
    assert (found, leads.until) == (waits, [MORNING + timedelta(seconds=2)] if waits else [])
