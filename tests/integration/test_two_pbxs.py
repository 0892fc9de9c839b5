"""One campaign over two real PBXs at once, an Asterisk 22 and an Asterisk 16."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration import dialing, fake_localization, pbx, witness
from tests.integration.dialing import DialerProcess, crew, write_mailing
from tests.integration.fake_localization import FakeLocalization
from tests.integration.test_dialer import phone, rows
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

PLANS = {
    "0": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.4, talk_seconds=2, voice="alo_01"),
    "1": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.4, talk_seconds=25, voice="alo_02"),
    "2": CallPlan(outcome=Outcome.HUMAN, ring_seconds=11, talk_seconds=2, voice="alo_03"),
}
HOMES = {"op01": "central", "op02": "central2"}
"""Whose phone is registered at one PBX only; the others' at both."""
PAUSE_SECONDS = 6.0


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit."""
    return PLANS[number[-1]]


@pytest.fixture(scope="module")
def telephony(settings: Settings) -> Iterator[pbx.World]:
    folder = settings.var / "asterisk"
    folder.mkdir(exist_ok=True)
    with dialing.telephony(folder, decide, 22, second=16, homes=HOMES) as world:
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


def central(dialer: DialerProcess, name: str) -> dict[str, Any]:
    """One PBX in the live figures."""
    [found] = [
        one for one in dialer.call("GET", "/v1/figures").json()["centrais"] if one["name"] == name
    ]
    return found


def by_pbx(settings: Settings, campaign: str) -> Counter[str]:
    found = rows(settings, "SELECT pbx FROM attempt WHERE campaign_id = %s", campaign)
    return Counter(str(name) for [name] in found)


def test_calls_are_spread_and_every_operator_is_reached_from_both(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess
) -> None:
    dialer.wait(
        lambda: all(central(dialer, name)["connected"] for name in ("central", "central2")),
        "both are connected",
    )
    versions = [central(dialer, name)["version"].split(".")[0] for name in ("central", "central2")]
    assert versions == ["22", "16"]
    attempts = []
    for operator in HOMES:
        people = [[phone(1000 + int(operator[2:]) * 10 + n, 0)] for n in range(2)]
        body = write_mailing(settings, operator, people)
        dialer.call("PUT", f"/v1/campaigns/{operator}", json=body)
        with crew(dialer, [operator]):
            dialer.wait_finished(operator)
        assert set(by_pbx(settings, operator)) == {"central", "central2"}
        attempts += dialer.attempts(operator)
    talks = [one for one in attempts if one["outcome"] == "human"]
    assert {one["operator"] for one in talks} == set(HOMES)
    away = [one for one in talks if HOMES[one["operator"]] != one["pbx"]]
    assert away, "nobody was reached through the other PBX"
    # What the PBXs recorded by themselves names the same operators, wherever their phones are.
    told = dialer.command("reconcile", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    compared = json.loads(told.stdout)
    assert (compared["attempts"], compared["differences"]) == (len(attempts), [])


def test_one_is_emptied_at_runtime_gets_no_calls_over_a_restart_and_is_used_again(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess
) -> None:
    absent = dialer.call("POST", "/v1/pbxs/central3/drain")
    assert (absent.status_code, "there is no PBX 'central3'" in absent.text) == (404, True)
    people = [[phone(4000 + n, 1)] for n in range(2)]
    dialer.call("PUT", "/v1/campaigns/emptied", json=write_mailing(settings, "emptied", people))
    placed = "SELECT id FROM attempt WHERE campaign_id = 'emptied' AND pbx = 'central2'"
    with crew(dialer, ["op03", "op04"]):
        dialer.wait(lambda: bool(rows(settings, placed)), "a phone rings")
        told = dialer.command("drain", "central2")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("central2 gets no new calls and is ")
        dialer.kill()
        had = {str(one) for [one] in rows(settings, placed)}
        dialer.start()
        dialer.wait(lambda: central(dialer, "central2")["connected"], "it connects again")
        assert central(dialer, "central2")["drained"]
        dialer.wait_finished("emptied")
        assert {str(one) for [one] in rows(settings, placed)} == had, "no new call through it"
        ended = [one for one in dialer.attempts("emptied") if one["id"] in had and one["placed"]]
        assert {one["outcome"] for one in ended} <= {"human", "abandoned"}, "nobody was cut off"
        people = [[phone(4010 + n, 0)] for n in range(2)]
        dialer.call("PUT", "/v1/campaigns/rest", json=write_mailing(settings, "rest", people))
        dialer.wait_finished("rest")
        assert set(by_pbx(settings, "rest")) == {"central"}
    assert central(dialer, "central2")["state"] == "vazia"
    told = dialer.command("drain", "central2", "--end")
    assert told.returncode == 0
    assert told.stdout.startswith("central2 gets calls again:")


def test_one_dies_in_mid_campaign_the_other_goes_on_and_it_rejoins(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess
) -> None:
    assert telephony.second is not None
    people = [[phone(2000 + n, (1, 1, 2, 2)[n] if n < 4 else 0)] for n in range(12)]
    body = write_mailing(settings, "loss", people)
    waits = {**body["settings"]["nova_tentativa_minutos"], "unknown": PAUSE_SECONDS / 60}
    body["settings"] = {**body["settings"], "nova_tentativa_minutos": waits}
    dialer.call("PUT", "/v1/campaigns/loss", json=body)
    ringing = (
        "SELECT pbx FROM attempt WHERE campaign_id = 'loss' AND state = 'ringing'"
        " AND right(phone, 1) = '2'"
    )
    with crew(dialer, ["op03", "op04", "op05", "op06"]):
        dialer.wait(lambda: len(rows(settings, ringing)) >= 1, "somebody's phone rings")
        [[name], *_] = rows(settings, ringing)
        victim = telephony.second if name == "central2" else telephony.central
        os.kill(int((victim.run_dir / "run" / "asterisk.pid").read_text()), signal.SIGKILL)
        dialer.wait(
            lambda: "unknown" in {one["outcome"] for one in dialer.attempts("loss")},
            "the lost calls end",
        )
        figures = central(dialer, victim.name)
        assert (figures["state"], figures["why"]) == ("fora", "não responde")
        ended = len(dialer.attempts("loss"))
        dialer.wait(
            lambda: len(dialer.attempts("loss")) >= ended + 3, "the campaign goes on without it"
        )
        with pbx.run(victim):
            dialer.wait(lambda: central(dialer, victim.name)["connected"], "it rejoins")
            rejoined = datetime.now().astimezone()
            dialer.wait_finished("loss")
            again = [[phone(3000 + n, 0)] for n in range(6)]
            dialer.call("PUT", "/v1/campaigns/again", json=write_mailing(settings, "again", again))
            dialer.wait_finished("again")
    assert by_pbx(settings, "again")[victim.name] > 0
    attempts = dialer.attempts("loss")
    lost = [one for one in attempts if one["outcome"] == "unknown"]
    assert {one["pbx"] for one in lost} == {victim.name}
    unanswered = [one for one in lost if one["tabulation"] is None]
    assert unanswered, "the phone that rang"
    for one in unanswered:
        ended_at = datetime.fromisoformat(one["ended_at"])
        assert ended_at < rejoined
        later = [
            datetime.fromisoformat(other["created_at"])
            for other in attempts
            if other["phone"] == one["phone"]
            and datetime.fromisoformat(other["created_at"]) > ended_at
        ]
        assert later, "called again"
        assert min(later) - ended_at >= timedelta(seconds=PAUSE_SECONDS)
    witness.check(telephony, attempts)
    assert "Traceback" not in dialer.log.read_text()
