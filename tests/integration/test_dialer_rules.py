"""Rules, audit, opt-outs, callbacks and recordings on a real Asterisk and PostgreSQL."""

from __future__ import annotations

import asyncio
import csv
import shutil
import stat
import uuid
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from dialer import rule_queries
from dialer.attempt import Attempt, State
from dialer.audit_export import RULES
from dialer.desk import Desk
from dialer.engine import Engine
from dialer.mailing import MailingLead
from dialer.rules import CallNext, Finished
from dialer.store import Store
from dialer.truth import read_causes, read_records
from tests.integration import dialing, fake_localization, pbx
from tests.integration.dialing import DialerProcess, write_mailing
from tests.integration.fake_localization import FakeLocalization
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.mailing.reading import read_opted_out
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

HUMAN = CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=4, voice="alo_01")


def decide(number: str, _now: datetime) -> CallPlan:
    return HUMAN


def phone(number: int) -> str:
    return f"119{number:08d}"


@pytest.fixture(scope="module")
def telephony(settings: Settings) -> Iterator[pbx.World]:
    folder = settings.var / "asterisk"
    folder.mkdir(exist_ok=True)
    with dialing.telephony(folder, decide, 22) as world:
        yield world


@pytest.fixture(scope="module")
def localization() -> Iterator[FakeLocalization]:
    with fake_localization.running() as fake:
        yield fake


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("rules") / "config"
    shutil.copytree(pbx.REPOSITORY / "config", copy)
    (copy / "nao_ligar").mkdir(exist_ok=True)
    return copy


@pytest.fixture(scope="module")
def dialer(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    config: Path,
) -> Iterator[DialerProcess]:
    real = dialing.environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dialing, "environment", lambda *parts: real(*parts) | {"ZANC_CONFIG": str(config)}
        )
        log = config.parent / "dialer.log"
        with dialing.dialer(settings, telephony, localization.port, log) as made:
            yield made


def lead(rank: int, number: str, *hours: int) -> MailingLead:
    return MailingLead(
        rank=rank, cpf=dialing.cpf(700 + rank), name="Ana", crm="norma", convenio="banco_aurora",
        contract=f"C{rank}", amount=Decimal("10.00"), phones=(number,), refused={},
        hours=(hours,),
    )  # fmt: skip


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The database alone, before any dialer runs on it."""
    made = Store(settings)
    yield made
    for campaign in await made.campaigns():
        await made.set_campaign_status(campaign.id, "finished", "over")
    await made.close()


async def add(store: Store, name: str, *leads: MailingLead) -> None:
    added = await store.add_campaign(
        name, name=name, settings=dialing.SECTION, mailing="", sha256="", leads=leads
    )
    assert added


async def test_each_hour_calls_first_whose_best_hour_it_is_and_last_whose_hour_is_to_come(
    store: Store,
) -> None:
    ten = datetime(2030, 11, 25, 10, 30, tzinfo=LOCAL)
    known = [lead(1, phone(901), 18, 9), lead(2, phone(902)), lead(3, phone(903), 9, 8)]
    known += [lead(4, phone(904), 10, 18), lead(5, phone(905), 15, 10), lead(6, phone(906), 10)]
    known.append(replace(lead(7, phone(907), 18, 10), phones=("190", phone(907)),
                         refused={"190": "emergency"}, hours=((10,), (18,))))  # fmt: skip
    await add(store, "hours", *known)
    assert await store.held_leads("hours", 10) == (2, 18)
    claimed = []
    while (found := await store.claim_lead("hours", ten)) is not None:
        claimed.append(found[0].cpf)
    assert claimed == [dialing.cpf(700 + rank) for rank in (4, 6, 2, 3, 5, 1, 7)]


async def test_who_wants_to_leave_after_the_call_leaves_though_the_dialer_is_restarted(
    store: Store,
) -> None:
    before = Engine(store, cast(Any, None))
    before.ready, desk = True, Desk(before, store)
    following = asyncio.create_task(before.course.run(asyncio.Lock()))
    for operator in ("op97", "op98", "op99"):
        await desk.login(operator)
        agent = before.floor.agents[operator]
        before.course.record([before.floor.move(agent, "talking", "f" * 32, None)])
    await desk.leave("op97", "paused", "almoço")
    await desk.leave("op98", "offline")
    await desk.leave("op99", "paused")
    await desk.make_ready("op99")
    following.cancel()
    after = Engine(store, cast(Any, None))
    await after._restore()
    agents = [after.floor.agents[operator] for operator in ("op97", "op98", "op99")]
    assert [(one.state, one.reason) for one in agents] == [
        ("paused", "almoço"), ("offline", None), ("idle", None),
    ]  # fmt: skip
    assert [one.leaving for one in agents] == [None] * 3
    after.course.record([after.floor.move(one, "offline", None, None) for one in agents])
    await after.course.store()
    told = {one.id: (one.state, one.leaving) for one in await store.operators()}
    assert {told[one.id] for one in agents} == {("offline", None)}


async def test_the_leads_of_a_stopped_campaign_end_some_at_a_time(store: Store) -> None:
    await add(store, "stopped", *(lead(number, phone(940 + number)) for number in range(1, 6)))
    ten = datetime(2020, 11, 25, 10, 30, tzinfo=LOCAL)  # our clock is behind the database's
    claimed = await store.claim_lead("stopped", ten)
    assert claimed is not None
    assert [await store.end_waiting("stopped", "stopped", 3) for _ in range(3)] == [3, 1, 0]
    assert await store.leads_left("stopped") == (True, True)
    # Who was on the way to a line comes back among the waiting, and ends the next time.
    await store.update_lead(claimed[0].id, CallNext(index=0, not_before=ten))
    assert await store.end_waiting("stopped", "stopped", 3) == 1
    assert await store.leads_left("stopped") == (False, True)
    assert await store.leads_left("nobody") == (False, False)


async def called(store: Store, campaign: str, number: str, at: datetime, **said: Any) -> str:
    """A conversation of the campaign's next lead, closed with what was said."""
    found = await store.claim_lead(campaign, at + timedelta(days=4000))
    assert found is not None
    attempt = Attempt(id=uuid.uuid4().hex, created_at=at, operator="op01")
    began = await store.begin_attempt(
        attempt, lead_id=found[0].id, phone=number, pbx="central", trunk="carrier", operator=None,
        caller_id="1140028900", evidence={}, record=False,
    )  # fmt: skip
    assert began
    ended = replace(
        attempt, state=State.ENDED, outcome=Outcome.HUMAN, answered_at=at, connected_at=at,
        ended_at=at + timedelta(seconds=60), **said,
    )  # fmt: skip
    await store.close_attempt(
        ended, lead_id=found[0].id, lead=Finished(reason="talked"), short=True
    )
    return attempt.id


async def test_an_agreed_call_ends_when_it_is_old_needless_or_withdrawn(store: Store) -> None:
    agreed = datetime(2030, 11, 25, 13, tzinfo=UTC)
    before = agreed - timedelta(days=1)
    callback = {"tabulation": Tabulation.CALLBACK, "callback_at": agreed}
    people = [replace(lead(10 + n, phone(910 + n)), rank=n) for n in range(4)]
    await add(store, "past", *people)
    ids = [await called(store, "past", phone(910 + n), before, **callback) for n in range(4)]
    await add(store, "later", *people[:2])
    await called(store, "later", phone(910), agreed + timedelta(minutes=1))
    refused = {"tabulation": Tabulation.REFUSAL}
    await called(store, "later", phone(911), before + timedelta(hours=1), **refused)
    await store.withdraw([("banco_aurora", people[2].contract)], [], reason="pago", who="x")
    async with store.transaction() as connection:
        for moment in (agreed, agreed + timedelta(seconds=1)):
            await connection.fetch(rule_queries.SETTLE_CALLBACKS, moment)
        rows = await connection.fetch(rule_queries.CALLBACKS, None, 100)
    known = {row["attempt_id"]: (row["status"], row["reason"]) for row in rows}
    assert [known[one] for one in ids] == [
        ("done", None),
        ("dropped", "conversou depois"),
        ("dropped", "pago"),
        ("expired", None),
    ]
    days = await store.calling_days(before.date())
    assert sum(calls for _, _, calls, _ in days) == sum(short for _, _, _, short in days) == 6


def submit(dialer: DialerProcess, name: str, people: list[list[str]], **options: Any) -> None:
    body = write_mailing(dialer.settings, name, people)
    body["settings"] = {**body["settings"], **options}
    answer = dialer.call("PUT", f"/v1/campaigns/{name}", json=body)
    assert answer.status_code == 201, answer.text


def order(dialer: DialerProcess, path: str, **body: Any) -> httpx.Response:
    return dialer.call("POST", f"/v1/{path}", json=body, headers_more={"X-Zanc-User": "ana"})


def talks(dialer: DialerProcess, operator: str) -> str:
    """The attempt of the operator's next conversation, once it is going on."""
    found: list[str] = []

    def going_on() -> bool:
        answer = dialer.call("GET", f"/v1/operators/{operator}/events", params={"timeout": "0"})
        call = answer.json()["call"]
        if call is not None and answer.json()["state"] in ("talking", "wrapup"):
            found.append(call["attempt"])
        return bool(found)

    dialer.wait(going_on, "a conversation goes on")
    return found[0]


def tabulate(dialer: DialerProcess, attempt: str, tabulation: str, **more: Any) -> None:
    answer = order(
        dialer, "operators/op01/tabulate", attempt=attempt, tabulation=tabulation, **more
    )
    assert answer.status_code == 200, answer.text


async def test_who_is_told_late_not_to_be_called_again_is_recorded_in_the_same_breath(
    store: Store,
) -> None:
    await add(store, "late", lead(30, phone(930)))
    at = datetime(2030, 11, 25, 12, tzinfo=UTC)
    attempt = await called(store, "late", phone(930), at, tabulation=Tabulation.NO_TABULATION)
    said = Attempt(id=attempt, created_at=at, operator="op01", tabulation=Tabulation.DO_NOT_CALL)
    assert await store.tabulate_late(said) is not None
    assert await store.opt_outs() == [(dialing.cpf(730), phone(930))]
    async with store.transaction() as connection:
        await connection.execute("DELETE FROM opt_out")


def test_who_asks_not_to_be_called_is_not_called_again_and_every_call_shows_why_it_was_allowed(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess, config: Path, tmp_path: Path
) -> None:
    order(dialer, "operators/op01/login")
    submit(dialer, "first", [[phone(1)], [phone(2)]], gravar=True)
    attempt = talks(dialer, "op01")
    asked = next(one for one in evidence(dialer, "first") if one["id"] == attempt)
    other = phone(1) if asked["phone"] == phone(2) else phone(2)
    submit(dialer, "second", [[phone(1)], [phone(2)]], prioridade=9)
    (config / "nao_ligar" / "procon.csv").write_text(f"cpf;telefone\n;{other}\n")
    dialer.wait(
        lambda: "were read again" in dialer.log.read_text() or refused(dialer, other),
        "the list is read again",
    )
    tabulate(dialer, attempt, "do_not_call")
    dialer.wait_finished("second")
    dialer.wait_finished("first")
    called = [one["phone"] for one in evidence(dialer, "second")]
    assert asked["phone"] not in called
    assert dialer.figures("second")["leads"]["ended"] == 2
    assert order(dialer, "opt-outs", phone=other, reason="Procon").json() == {
        "withdrawn": 0,
        "in_call": 0,
    }
    listed = dialer.call("GET", "/v1/opt-outs").json()["opt_outs"]
    assert {one["phone"] for one in listed} == {phone(1), phone(2)}
    # Nor is it in the next mailing, whoever told the dialer.
    assert read_opted_out(settings).phones == {phone(1), phone(2)}

    output = tmp_path / "auditoria.csv"
    said = dialer.command("audit", "--campaign", "first", "--output", str(output))
    assert (said.returncode, said.stderr) == (0, "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    with output.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    row = next(one for one in rows if one["tentativa"] == attempt)
    assert all(row[rule] for rule in RULES)
    assert row["numero"] == "DDD 11, SP, número nacional"
    assert row["volume_dia"].endswith("até agora, freio em 95000")
    assert (row["tabulacao"], row["gravacao"]) == ("do_not_call", f"{attempt}.wav")

    sound = telephony.central.run_dir / "spool" / "monitor" / row["gravacao"]
    dialer.wait(sound.is_file, "the conversation is recorded")
    assert stat.S_IMODE(sound.stat().st_mode) == 0o600
    path = f"/v1/attempts/{attempt}/recording"
    assert dialer.call("GET", path).status_code == 401
    key = {"Authorization": f"Bearer {settings.secret('recordings_token')}", "X-Zanc-User": "ana"}
    heard = dialer.call("GET", path, headers_more=key)
    (tmp_path / "heard.wav").write_bytes(heard.content)
    with wave.open(str(tmp_path / "heard.wav")) as opened:
        assert (opened.getframerate(), opened.getnframes() > 8000) == (8000, True)
    entries = dialer.call("GET", "/v1/audit", params={"subject": attempt}).json()["entries"]
    assert [(one["who"], one["action"]) for one in entries] == [("ana", "recording")]

    (config / "regras.yaml").write_text("volume: {por_identificador_dia: {freio: 1}}")
    dialer.wait(
        lambda: any(one["brake"] for one in dialer.call("GET", "/v1/figures").json()["alarms"]),
        "the brake is told",
    )
    submit(dialer, "braked", [["190"], ["190"], [phone(3)]])
    dialer.wait(
        lambda: "parado pelas regras: " in dialer.figures("braked")["why"], "nothing is dialled"
    )
    (config / "regras.yaml").write_text("volume: {ligado: sim, x: 1}")
    dialer.wait(
        lambda: "volume.x: esta opção não existe" in dialer.figures("braked")["why"],
        "a wrong file stops everything",
    )
    assert evidence(dialer, "braked") == []
    (config / "regras.yaml").unlink()
    tabulate(dialer, talks(dialer, "op01"), "refusal")
    dialer.wait_finished("braked")
    assert len(evidence(dialer, "braked")) == 1
    order(dialer, "operators/op01/logout")


def evidence(dialer: DialerProcess, campaign: str) -> list[dict[str, Any]]:
    return list(dialer.call("GET", f"/v1/campaigns/{campaign}/evidence").json()["attempts"])


def refused(dialer: DialerProcess, number: str) -> bool:
    return any(number in str(one) for one in dialer.call("GET", "/v1/figures").json()["alarms"])


def test_a_callback_outlives_its_campaign_and_records_that_were_put_aside_are_still_read(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess
) -> None:
    order(dialer, "operators/op01/login")
    submit(dialer, "agreed", [[phone(11)], [phone(12)], [phone(13)]])
    attempt = talks(dialer, "op01")
    agreed = datetime.now(UTC) + timedelta(seconds=8)
    tabulate(dialer, attempt, "callback", callback_at=agreed.isoformat())
    assert order(dialer, "campaigns/agreed/stop").status_code == 200
    dialer.wait_finished("agreed")
    records = asterisk.read_cdr(telephony.central.cdr_path)
    assert any(row.uniqueid == attempt for row in records)
    causes = telephony.central.run_dir / "log" / "cel-custom" / "hangups.csv"
    for path in (telephony.central.cdr_path, causes):
        path.rename(f"{path}.20260101T000000Z")
    queue = f"retornos-teste-{datetime.now(UTC).astimezone(LOCAL):%Y-%m-%d}"
    again = talks(dialer, "op01")
    [call] = [one for one in evidence(dialer, queue) if one["id"] == again]
    asked = next(one for one in evidence(dialer, "agreed") if one["id"] == attempt)
    assert (call["phone"], call["cpf"], call["operator"]) == (asked["phone"], asked["cpf"], "op01")
    assert datetime.fromisoformat(call["created_at"]) >= agreed
    assert call["evidence"]["checks"]["melhor_hora"] == "hora que a pessoa pediu"
    tabulate(dialer, again, "refusal")
    dialer.wait_finished(queue)
    dialer.wait(
        lambda: (attempt, "done") in {(one["attempt_id"], one["status"]) for one in made(dialer)},
        "the callback is done",
    )
    dialer.wait(
        lambda: set(read_records(telephony.central.cdr_path, [attempt, again])) == {attempt, again},
        "the PBX goes on in a new file, and both are read",
    )
    assert set(read_causes(causes, [attempt, again])) == {attempt, again}
    order(dialer, "operators/op01/logout")


def made(dialer: DialerProcess) -> list[dict[str, Any]]:
    return list(dialer.call("GET", "/v1/callbacks").json()["callbacks"])
