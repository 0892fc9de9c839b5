"""Campaigns on a real Asterisk, a real PostgreSQL and the dialer's own process."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.integration import dialing, fake_localization, pbx, witness
from tests.integration.dialing import DialerProcess, crew, write_mailing
from tests.integration.fake_localization import FakeLocalization
from tests.patience import wait_until
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

OPERATORS = asterisk.operator_names(4)

PLANS = {
    "0": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.5, talk_seconds=4, voice="alo_01"),
    "1": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=30, voice="alo_02"),
    "2": CallPlan(outcome=Outcome.MACHINE, ring_seconds=0.3, voice="greeting_02"),
    "3": CallPlan(outcome=Outcome.BUSY, ring_seconds=0.2),
    "4": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=1.0),
    "5": CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=0.1),
    "6": CallPlan(outcome=Outcome.NETWORK_FAILURE, ring_seconds=0.1),
    "7": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=60.0),
    "8": CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=2.0),
    "9": CallPlan(outcome=Outcome.HUMAN, ring_seconds=1.5, talk_seconds=60, voice="alo_01"),
}
MOST_LOST = 3
"""People whom a machine that stands still for seconds may keep waiting too long."""
OUTCOMES = {digit: plan.outcome.value for digit, plan in PLANS.items()}


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit."""
    return PLANS[number[-1]]


def phone(number: int, digit: int) -> str:
    """A phone that the network treats by its last digit."""
    return f"119{number:07d}{digit}"


@pytest.fixture(scope="module", params=[22, 16], ids=["central22", "central16"])
def telephony(request: pytest.FixtureRequest, settings: Settings) -> Iterator[pbx.World]:
    """A central, a carrier that decides by the last digit, and phones."""
    folder = settings.var / "asterisk"
    folder.mkdir(exist_ok=True)
    for name in ("central", "carrier", "phones"):
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}-before-{request.param}")
    with dialing.telephony(folder, decide, request.param, machines="2") as world:
        yield world


@pytest.fixture
def localization() -> Iterator[FakeLocalization]:
    with fake_localization.running() as fake:
        yield fake


@pytest.fixture
def dialer(
    settings: Settings, telephony: pbx.World, localization: FakeLocalization, tmp_path: Path
) -> Iterator[DialerProcess]:
    with dialing.dialer(settings, telephony, localization.port, tmp_path / "dialer.log") as made:
        yield made


def carried(world: pbx.World, numbers: set[str], least: int) -> Counter[str]:
    """How often the carrier, by its own records, was asked for each of the numbers."""
    wait_until(lambda: witness.carried(world, numbers).total() >= least, "the carrier's records")
    return witness.carried(world, numbers)


def rows(settings: Settings, query: str, *values: object) -> list[tuple[object, ...]]:
    with (
        psycopg2.connect(**settings.postgres.target("dialer")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(query, values)
        return cursor.fetchall()


def record_mailing(settings: Settings, name: str, campaign: str, body: dict[str, Any]) -> None:
    """Record the file of ``write_mailing`` as the campaign's latest mailing."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO mailing.mailing (id, campaign, day, inputs_hash, leads, path, sha256,"
            " waterfall, expected) VALUES (%s, %s, '2030-01-01', %s, 3, %s, %s, '[]', '{}')",
            (name, campaign, name, body["mailing"], body["sha256"]),
        )


def campaign_id(telephony: pbx.World, name: str) -> str:
    return f"{name}-{telephony.central.version}"


def test_a_campaign_ends_with_the_true_outcome_of_every_call(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    people = [[phone(1000 + n, n % 7)] for n in range(14)]
    people += [["not a phone", phone(1100, 0)], ["190"], [phone(1101, 0), phone(1102, 0)]]
    people += [[phone(1103, 0)]]
    localization.wrong_people.add(dialing.cpf(18))
    localization.refused[phone(1101, 0)] = "wrong person"
    name = campaign_id(telephony, "outcomes")
    body = write_mailing(settings, name, people)
    assert dialer.call("PUT", f"/v1/campaigns/{name}", json=body).status_code == 201
    assert dialer.call("PUT", f"/v1/campaigns/{name}", json=body).status_code == 200
    with crew(dialer, OPERATORS, {dialing.cpf(1): "promise"}):
        figures = dialer.wait_finished(name)
    attempts = dialer.attempts(name)
    by_phone = {attempt["phone"]: attempt for attempt in attempts}
    for n in range(14):
        digit = str(n % 7)
        assert by_phone[phone(1000 + n, n % 7)]["outcome"] == OUTCOMES[digit]
    retried = Counter(attempt["phone"] for attempt in attempts)
    assert retried[phone(1003, 3)] == 2
    assert retried[phone(1004, 4)] == 2
    assert retried[phone(1005, 5)] == 1
    assert phone(1101, 0) not in retried
    assert by_phone[phone(1000, 0)]["tabulation"] == "promise"
    assert by_phone[phone(1000, 0)]["promise_amount"] == "100.00"
    assert {a["hangup_cause"] for a in attempts if a["outcome"] == "busy"} == {17}
    assert figures["leads"] == {"waiting": 0, "active": 0, "ended": 18}
    assert figures["attempts"]["human"] == 6
    lost = figures["attempts"].get("abandoned", 0)
    assert figures["abandoned_share"] == pytest.approx(lost / (6 + lost))
    assert lost <= MOST_LOST
    assert figures["first_ring_at"] is not None
    assert carried(telephony, set(retried), len(attempts)) == retried
    dialer.wait(lambda: len(localization.calls) >= len(attempts), "localization has every call")
    assert set(localization.calls) >= {attempt["id"] for attempt in attempts}
    reasons = dict(rows(settings, "SELECT rank, end_reason FROM lead WHERE campaign_id = %s", name))
    assert reasons[1] == "talked: promise"
    assert str(reasons[16]).startswith("refused: não se disca para emergência")
    assert reasons[18] == "refused: a base de localização não aceita a pergunta"
    assert "Traceback" not in dialer.log.read_text()


def test_killed_in_the_middle_and_started_again_no_call_is_repeated_and_every_lead_ends(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    people = [[phone(2000 + n, (0, 1, 2, 3, 4, 5)[n % 6])] for n in range(24)]
    name = campaign_id(telephony, "killed")
    body = write_mailing(settings, name, people)
    # More lines than operators: some people wait for an operator when the dialer dies.
    body["settings"] = {**body["settings"], "modo": "power", "linhas_por_operador": 2}
    dialer.call("PUT", f"/v1/campaigns/{name}", json=body)
    with crew(dialer, OPERATORS):
        for fraction in (3, 9, 15):
            count = "SELECT count(*) FROM attempt WHERE campaign_id = %s"
            dialer.wait(lambda: rows(settings, count, name)[0][0] >= fraction, "calls are placed")  # noqa: B023
            dialer.kill()
            dialer.start()
        figures = dialer.wait_finished(name)
    assert figures["leads"] == {"waiting": 0, "active": 0, "ended": 24}
    attempts = dialer.attempts(name)
    assert len({attempt["id"] for attempt in attempts}) == len(attempts)
    placed = Counter(attempt["phone"] for attempt in attempts if attempt["placed"])
    assert carried(telephony, {one for [one] in people}, placed.total()) == placed
    for attempt in attempts:
        if attempt["outcome"] not in ("unknown", "abandoned", "cancelled"):
            assert attempt["outcome"] == OUTCOMES[attempt["phone"][-1]], attempt
    dialer.wait(
        lambda: set(localization.calls) >= {one["id"] for one in attempts if one["placed"]},
        "localization has every call",
    )


def test_a_number_that_proved_invalid_while_the_dialer_was_dead_is_not_called_again(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    name = campaign_id(telephony, "invalid-unseen")
    number = phone(8000, 8)
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, [[number]]))
    with crew(dialer, OPERATORS[:1]):
        dialer.wait(lambda: pbx.cli(telephony.central, "core show channels").find("carrier-") >= 0,
                    "the call is on its way")  # fmt: skip
        dialer.kill()
        carried(telephony, {number}, 1)
        dialer.start()
        dialer.wait_finished(name)
    [attempt] = dialer.attempts(name)
    assert (attempt["outcome"], attempt["hangup_cause"]) == ("invalid_number", 1)
    assert "ended unseen" in dialer.log.read_text()


def test_a_person_who_answered_while_the_dialer_was_dead_is_not_taken_for_no_answer(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    name = campaign_id(telephony, "answered-unseen")
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, [[phone(1, 9)]]))
    channels = "core show channels concise"
    with crew(dialer, OPERATORS[:1]):
        ringing = "SELECT 1 FROM attempt WHERE campaign_id = %s AND ringing_at IS NOT NULL"
        dialer.wait(lambda: bool(rows(settings, ringing, name)), "the phone rings")
        dialer.kill()
        dialer.wait(lambda: "!Up!" in pbx.cli(telephony.central, channels), "somebody answers")
        central = pbx.process_of(telephony.central)
        central.suspend()
        try:
            dialer.start()
        finally:
            central.resume()
        live = "/v1/figures"
        dialer.wait(lambda: all(dialer.call("GET", live).json()["pbxs"].values()), "it connects")
        # It hears of the end before it could ask which calls are still there.
        pbx.cli(telephony.carrier, "channel request hangup all")
        dialer.wait(lambda: dialer.figures(name)["leads"]["active"] == 0, "the call ends")
    assert {one["outcome"] for one in dialer.attempts(name)[:1]} <= {"abandoned", "human"}


def test_the_command_runs_the_latest_mailing_and_follows_it_to_the_end(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
    tmp_path: Path,
) -> None:
    config = tmp_path / "config"
    shutil.copytree(pbx.REPOSITORY / "config", config)
    campaign = config / "campaigns" / "cobranca_geral.yaml"
    campaign.write_text(campaign.read_text().replace("abandoned: 10", "abandoned: 0.05"))
    dialer.environment["ZANC_CONFIG"] = str(config)
    name = campaign_id(telephony, "cobranca_geral")
    phones = [phone(9000 + n, (0, 2, 5)[n]) for n in range(3)]
    body = write_mailing(settings, name, [[one] for one in phones])
    record_mailing(settings, name, "cobranca_geral", body)
    with crew(dialer, OPERATORS):
        ran = dialer.command("run", "--campaign", "cobranca_geral", "--json")
    # More operators than leads: those who find nobody to call do not keep the end back.
    assert (ran.returncode, ran.stderr) == (0, "")
    figures = json.loads(ran.stdout)
    assert (figures["id"], figures["status"], figures["reason"]) == (name, "finished", "completed")
    lost = figures["attempts"].pop("abandoned", 0)
    assert figures["attempts"] == {"human": 1, "machine": 1, "invalid_number": 1}
    assert lost <= MOST_LOST
    again = dialer.command("run", "--campaign", "cobranca_geral")
    assert again.returncode == 0
    assert f"{name}: finished (completed)" in again.stdout
    report = dialer.command("report", "--campaign", "cobranca_geral", "--json")
    reported = json.loads(report.stdout)["attempts"]
    assert reported == figures["attempts"] | ({"abandoned": lost} if lost else {})
    assert carried(telephony, set(phones), 3 + lost) == {
        one: 1 + (lost if one.endswith("0") else 0) for one in phones
    }


def test_an_outage_of_localization_stops_new_calls_and_loses_no_outcome(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    localization.down = True
    name = campaign_id(telephony, "no-localization")
    people = [[phone(4000 + n, 3)] for n in range(3)]
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, people))
    with crew(dialer, OPERATORS):
        dialer.wait(
            lambda: dialer.figures(name)["why"] == "a base de localização não responde",
            "it says why",
        )
        assert dialer.figures(name)["attempts"] == {}
        localization.down = False
        figures = dialer.wait_finished(name)
    assert figures["attempts"] == {"busy": 6}
    dialer.wait(
        lambda: set(localization.calls) >= {one["id"] for one in dialer.attempts(name)},
        "localization has every call",
    )
    assert dialer.log.read_text().count("no new calls meanwhile") == 1


def test_stopped_it_hangs_up_what_rings_and_ends_every_lead_even_when_killed_meanwhile(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    name = campaign_id(telephony, "stopped")
    people = [[phone(5000 + n, 7)] for n in range(8)]
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, people))
    ringing = "SELECT count(*) FROM attempt WHERE campaign_id = %s AND state = 'ringing'"
    with crew(dialer, OPERATORS):
        dialer.wait(lambda: rows(settings, ringing, name)[0][0] == 4, "four phones ring")
        dialer.call("POST", f"/v1/campaigns/{name}/stop")
        wanted = f"{ringing} AND NOT cancel_wanted"
        dialer.wait(lambda: rows(settings, wanted, name)[0][0] == 0, "all are to be hung up")
        dialer.kill()
        dialer.start()
        figures = dialer.wait_finished(name)
    assert figures["attempts"] == {"cancelled": 4}
    assert figures["leads"]["ended"] == 8
    assert figures["reason"] == "stopped"
    reasons = rows(settings, "SELECT DISTINCT end_reason FROM lead WHERE campaign_id = %s", name)
    assert reasons == [("stopped",)]


def test_told_to_end_it_leaves_conversations_to_the_pbx_and_the_next_start_takes_them_up(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    name = campaign_id(telephony, "graceful")
    people = [[phone(6000, 1)]]
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, people))
    talking = "SELECT count(*) FROM attempt WHERE campaign_id = %s AND state = 'talking'"
    with crew(dialer, OPERATORS[:1]):
        dialer.wait(lambda: rows(settings, talking, name)[0][0] == 1, "somebody talks")
        assert dialer.terminate() == 0
        dialer.start()
        figures = dialer.wait_finished(name)
    *lost, attempt = dialer.attempts(name)
    assert (attempt["outcome"], attempt["tabulation"]) == ("human", "refusal"), attempt
    assert [one["outcome"] for one in lost] == ["abandoned"] * len(lost)
    assert (figures["attempts"]["human"], len(lost) <= MOST_LOST) == (1, True)


def test_cut_off_from_the_database_again_and_again_it_forgets_nothing(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    name = campaign_id(telephony, "cut-off")
    people = [[phone(7000 + n, (0, 3, 4)[n % 3])] for n in range(12)]
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, people))
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name LIKE 'zanc dialer%%'"
    )

    def figures() -> dict[str, Any]:
        """None are told while the database is away, which a connection notices late."""
        answer = dialer.call("GET", f"/v1/campaigns/{name}")
        assert answer.status_code in (200, 503), answer.text
        return answer.json() if answer.is_success else {"attempts": {}, "status": "?"}

    with crew(dialer, OPERATORS):
        for least in (2, 5, 8):
            dialer.wait(
                lambda least=least: sum(figures()["attempts"].values()) >= least,
                "calls are placed",
            )
            rows(settings, cut)
        dialer.wait(lambda: figures()["status"] == "finished", "it ends")
    assert figures()["leads"] == {"waiting": 0, "active": 0, "ended": 12}
    attempts = dialer.attempts(name)
    placed = Counter(attempt["phone"] for attempt in attempts if attempt["placed"])
    assert carried(telephony, {one for [one] in people}, placed.total()) == placed
    lost = [attempt for attempt in attempts if attempt["outcome"] == "abandoned"]
    for attempt in attempts:
        if attempt["placed"] and attempt not in lost:
            assert attempt["outcome"] == OUTCOMES[attempt["phone"][-1]], attempt
    assert all(OUTCOMES[attempt["phone"][-1]] == "human" for attempt in lost)


# Last: the PBX that the others use is dead afterwards.
def test_a_pbx_that_dies_ends_its_calls_as_unknown_and_the_campaign_goes_on_when_it_is_back(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    dialer: DialerProcess,
) -> None:
    people = [[phone(3000 + n, 1)] for n in range(7)]
    name = campaign_id(telephony, "pbx-lost")
    dialer.call("PUT", f"/v1/campaigns/{name}", json=write_mailing(settings, name, people))
    talking = "SELECT count(*) FROM attempt WHERE campaign_id = %s AND state = 'talking'"
    with crew(dialer, OPERATORS):
        dialer.wait(lambda: rows(settings, talking, name)[0][0] >= 2, "people talk")
        pid = int((telephony.central.run_dir / "run" / "asterisk.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        with pbx.run(telephony.central):
            pbx.wait_for_phones(telephony.central, 10)
            dialer.wait(lambda: len(dialer.attempts(name)) >= 2, "the lost calls are judged")
            assert {one["outcome"] for one in dialer.attempts(name)[:2]} == {"unknown"}
            figures = dialer.wait_finished(name)
    assert figures["leads"]["ended"] == 7
    attempts = dialer.attempts(name)
    assert [one["outcome"] for one in attempts].count("human") >= 3
    placed = Counter(attempt["phone"] for attempt in attempts if attempt["placed"])
    assert carried(telephony, {one for [one] in people}, placed.total()) == placed
