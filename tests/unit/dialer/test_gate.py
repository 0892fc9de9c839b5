"""Leads whose phones may not all be called now, and calls that were agreed with somebody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialer import gate as module
from dialer import placing
from dialer.attempt import Attempt
from dialer.gate import Gate
from dialer.live import Agent, Call, Campaign, Floor
from dialer.localization import Reservation
from dialer.permission import Listed
from dialer.rows import Lead
from dialer.rulebook import Rulebook
from dialer.rules import Agreed, CallNext, Finished
from dialer.settings import ANY_HOUR, parse_campaign
from zanc_pipeline.common.outcomes import Outcome
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
    passage = await Gate(asked, Rulebook(), {}).reserve(campaign(), lead(ACRE, PAULISTA), [], "r")
    assert (asked.asked, passage.lease) == ([PAULISTA], "l1")
    assert cast(CallNext, passage.plan).index == 1
    checks = passage.evidence["checks"]
    assert checks["horario_estado"] == "SP ter 09:30 entre 08:00 e 20:00"
    assert checks["limites"] == "telefone 0 de 3 hoje"
    assert checks["melhor_hora"] == "sem preferência de hora"


async def test_who_can_be_called_later_only_waits_for_that_and_nobody_is_asked() -> None:
    asked, running = Localization(), campaign()
    passage = await Gate(asked, Rulebook(), {}).reserve(running, lead(ACRE), [], "r")
    assert (asked.asked, passage.lease) == ([], None)
    assert cast(CallNext, passage.plan).not_before == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert running.held_back.startswith(
        "fora do horário do estado do telefone: AC: ter 07:30 fora de"
    )


async def test_a_phone_on_a_list_is_kept_as_refused_with_the_reason() -> None:
    book = Rulebook()
    book.rules = replace(book.rules, listed=Listed(phones={PAULISTA}))
    passage = await Gate(Localization(), book, {}).reserve(campaign(), lead(PAULISTA), [], "r")
    assert passage.plan == Finished(reason="refused: não ligar: o telefone está em lista")
    assert passage.lead.refused == {PAULISTA: "não ligar: o telefone está em lista"}


@pytest.mark.parametrize(
    ("cpf", "phone"), [("52998224725", ACRE), ("11144477735", PAULISTA)], ids=["person", "phone"]
)
async def test_who_is_in_another_call_of_ours_is_not_called_beside_it(cpf: str, phone: str) -> None:
    other = replace(lead(phone), id=2, campaign_id="d", cpf=cpf)
    attempt = Attempt(id="a" * 32, created_at=MORNING)
    call = Call(
        attempt=attempt, lead=other, phone=phone, pbx="central", sent_at=MORNING, operator=None
    )
    asked = Localization()
    gate = Gate(asked, Rulebook(), {call.attempt.id: call})
    passage = await gate.reserve(campaign(), lead(PAULISTA), [], "r")
    assert (asked.asked, passage.lease) == ([], None)
    assert cast(CallNext, passage.plan).not_before == MORNING + timedelta(minutes=1)


async def test_a_call_before_its_hour_says_that_there_was_nobody_else() -> None:
    early = lead(PAULISTA, hours=((18, 11),))
    passage = await Gate(Localization(), Rulebook(), {}).reserve(campaign(), early, [], "r")
    told = passage.evidence["checks"]["melhor_hora"]
    assert told == (
        "melhores horas 18 h, 11 h; discado às 9 h porque não havia outra pessoa a chamar"
    )


class Pbxs:
    """A pool that counts the ways which were taken, and the calls that left."""

    def __init__(self) -> None:
        self.taken, self.name, self.dialled = 0, "central", list[str]()

    def choose(self, _now: datetime) -> Any:
        return self

    @contextmanager
    def taking(self, _now: datetime) -> Iterator[Any]:
        self.taken += 1
        yield None

    def originate(self, _attempt: str, phone: str, **_: Any) -> None:
        self.dialled.append(phone)


async def test_who_is_not_dialled_takes_no_way_and_a_brake_holds_who_was_looked_at() -> None:
    leads, pbxs, book = Leads(), Pbxs(), Rulebook()
    engine = SimpleNamespace(floor=Floor(), store=leads, book=book, pbxs=pbxs, draining=False)
    placer = placing.Placer(cast(Any, engine), Localization())
    await placer._dial(campaign(), lead(ACRE), [], None)  # its state sleeps
    assert pbxs.taken == 0
    book.problem = "config/regras.yaml: a linha 3 não se entende"
    await placer._dial(campaign(), lead(PAULISTA), [], None)
    assert pbxs.taken == 0
    book.problem = ""
    await placer._dial(campaign(), lead(PAULISTA), [], None)
    assert (pbxs.taken, len(leads.until)) == (1, 3)


def test_who_asks_while_the_call_is_being_prepared_is_not_dialled() -> None:
    pbxs, book, told = Pbxs(), Rulebook(), []
    engine = SimpleNamespace(
        floor=Floor(), store=Leads(), book=book, draining=False,
        notice=lambda _, event: told.append((event.outcome, event.placed)),
    )  # fmt: skip
    placer = placing.Placer(cast(Any, engine), Localization())
    book.opt_out(None, PAULISTA)
    route = cast(Any, SimpleNamespace(pbx=pbxs, trunk="carrier"))
    attempt = Attempt(id="a" * 32, created_at=MORNING)
    placer._originate(campaign(), lead(PAULISTA), attempt, PAULISTA, route, None)
    assert (pbxs.dialled, told) == ([], [(Outcome.CANCELLED, False)])


class Leads:
    """A store that remembers to when leads were put back."""

    def __init__(self) -> None:
        self.until: list[datetime] = []

    async def update_lead(self, lead_id: int, update: CallNext, _refused: object = None) -> None:
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
