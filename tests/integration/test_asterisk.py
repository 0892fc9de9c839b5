"""The telephony on real Asterisks: central 22 and 16, carrier 16, ten phones, a raw AMI socket."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialer import attempt as events
from dialer.alo.attach import attach
from dialer.alo.listening import FEATURES
from dialer.pbx import AsteriskPbx
from tests.integration import pbx
from tests.patience import PATIENCE, wait_until
from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world import carrier, speech
from zanc_pipeline.world.carrier import CallPlan

pytestmark = pytest.mark.integration

PLANS = {
    "0": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=4, voice="alo_01"),
    "1": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=20, voice="alo_02"),
    "2": CallPlan(outcome=Outcome.MACHINE, ring_seconds=0.3, voice="greeting_02"),
    "3": CallPlan(outcome=Outcome.BUSY, ring_seconds=0.2),
    "4": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=1.0),
    "5": CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=0.1),
    "6": CallPlan(outcome=Outcome.NETWORK_FAILURE, ring_seconds=0.1),
    "7": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=60.0),
}


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit; 7777 before the last two digits chooses a voice by them."""
    index = int(number[-2:])
    if number[-6:-2] == "7771":
        return CallPlan(
            outcome=Outcome.HUMAN, ring_seconds=0.2, talk_seconds=4, voice=speech.HELLOS[index]
        )
    if number[-6:-2] == "7772":
        return CallPlan(
            outcome=Outcome.MACHINE, ring_seconds=0.2, talk_seconds=6, voice=speech.GREETINGS[index]
        )
    return PLANS[number[-1]]


def network(world: pbx.World):  # type: ignore[no-untyped-def]
    return carrier.running(decide, port=world.agi_port)


STALL_SECONDS = 4.0
"""A loaded machine may stand still for so long."""
TRIES = 8
"""Of what a machine that stands still at the wrong moment spoils."""


def happened(event: pbx.Event) -> float:
    """When Asterisk says that it happened, in seconds."""
    return float(event["Timestamp"])


def attempt_id() -> str:
    return f"a{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module", params=[22, 16], ids=["central22", "central16"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pbx.World]:
    version = request.param
    folder = tmp_path_factory.mktemp(f"pbx{version}")
    made = pbx.build_world(folder, central_version=version, phones_version=version)
    with pbx.run(made.central, made.carrier, made.phones):
        pbx.wait_for_phones(made.central, 10)
        yield made


async def carrier_rows(world: pbx.World, numbers: list[str]) -> dict[str, list[asterisk.CdrRow]]:
    """The carrier's rows of the numbers, once each has one (it writes just after the hangup)."""

    def found() -> dict[str, list[asterisk.CdrRow]]:
        rows = list(asterisk.read_cdr(world.carrier.cdr_path))
        return {number: [row for row in rows if row.destination == number] for number in numbers}

    await asyncio.to_thread(wait_until, lambda: all(found().values()), "the carrier's rows")
    return found()


async def central_rows(world: pbx.World, attempt: str) -> int:
    """How many rows the central wrote of the attempt, once it has written one."""

    def count() -> int:
        return sum(row.uniqueid == attempt for row in asterisk.read_cdr(world.central.cdr_path))

    await asyncio.to_thread(wait_until, count, "the central's row")
    return count()


async def test_a_call_that_nobody_answers_ends_with_its_cause(world: pbx.World) -> None:
    expected = {
        "3": ("17", "BUSY", "busy"),
        "4": ("19", "NO ANSWER", "no_answer"),
        "5": ("1", "NO ANSWER", "invalid_number"),
        "6": ("34", "CONGESTION", "network_failure"),
    }
    run = attempt_id()
    numbers = {digit: f"5511{uuid.uuid4().int % 10**7:07d}{digit}" for digit in expected}
    async with network(world), pbx.connected(world.central) as ami:
        for digit, number in numbers.items():
            await ami.originate(f"{run}-{digit}", number)
        for digit, (cause, _, _) in expected.items():
            hangup = await ami.hangup(f"{run}-{digit}")
            assert hangup["Cause"] == cause
            response = await ami.wait(
                lambda event, digit=digit: (
                    event.get("Event") == "OriginateResponse"  # type: ignore[misc]
                    and event.get("ActionID") == f"{run}-{digit}"
                )
            )
            assert response["Response"] == "Failure"
        rows = await carrier_rows(world, list(numbers.values()))
    for digit, (_, disposition, outcome) in expected.items():
        (row,) = rows[numbers[digit]]
        assert (row.disposition, row.userfield) == (disposition, outcome)
        assert await central_rows(world, f"{run}-{digit}") == 1


async def test_the_dialer_gives_up_ringing(world: pbx.World) -> None:
    for seconds in (4, 8, 16, 32):  # on a slow machine it takes a while until it rings
        attempt, number = attempt_id(), f"5521{uuid.uuid4().int % 10**7:07d}7"
        async with network(world), pbx.connected(world.central) as ami:
            await ami.originate(attempt, number, timeout_ms=1000 * seconds)
            hangup = await ami.hangup(attempt)
            (row,) = (await carrier_rows(world, [number]))[number]
        if hangup["ChannelStateDesc"] == "Ringing":
            break
    assert hangup["ChannelStateDesc"] == "Ringing"
    assert (row.disposition, row.userfield) == ("NO ANSWER", "no_answer")


async def test_a_person_is_connected_and_hangs_up_first(world: pbx.World) -> None:
    attempt, number = attempt_id(), f"5531{uuid.uuid4().int % 10**7:07d}0"
    async with network(world), pbx.connected(world.central) as ami:
        await ami.originate(attempt, number)
        detected = await ami.user_event("ZancDetected", attempt)
        assert detected["Status"] in ("HUMAN", "NOTSURE")  # who is waited for either way
        await ami.redirect(attempt, "op03")
        connected = await ami.user_event("ZancConnected", attempt)
        assert connected["Operator"] == "op03"
        hangup = await ami.hangup(attempt)
        (row,) = (await carrier_rows(world, [number]))[number]
        gone = [e for e in ami.of(attempt) if e.get("UserEvent") == "ZancOperatorGone"]
    assert hangup["Cause"] == "16"
    assert gone == []
    assert (row.disposition, row.userfield, row.source) == ("ANSWERED", "human", "551140001234")


async def test_the_operator_may_end_first(world: pbx.World) -> None:
    attempt, number = attempt_id(), f"5541{uuid.uuid4().int % 10**7:07d}1"
    async with network(world), pbx.connected(world.central) as ami:
        await ami.originate(attempt, number)
        await ami.user_event("ZancDetected", attempt)
        await ami.redirect(attempt, "op10")
        gone = await ami.user_event("ZancOperatorGone", attempt)
        assert (gone["Operator"], gone["Status"]) == ("op10", "ANSWER")
        await ami.hangup(attempt)
        assert len((await carrier_rows(world, [number]))[number]) == 1


async def test_a_phone_that_does_not_answer_gives_the_person_back(world: pbx.World) -> None:
    attempt, number = attempt_id(), f"5551{uuid.uuid4().int % 10**7:07d}1"
    async with network(world), pbx.connected(world.central) as ami:
        await ami.originate(attempt, number)
        await ami.user_event("ZancDetected", attempt)
        await ami.redirect(attempt, "op99")
        gone = await ami.user_event("ZancOperatorGone", attempt)
        assert (gone["Operator"], gone["Status"]) == ("op99", "CHANUNAVAIL")
        await ami.redirect(attempt, "op04")
        connected = await ami.user_event("ZancConnected", attempt)
        assert connected["Operator"] == "op04"
        await ami.hangup(attempt)


async def test_nobody_comes_and_the_person_hears_who_called(world: pbx.World) -> None:
    waited = []
    for _ in range(TRIES):
        attempt, number = attempt_id(), f"5561{uuid.uuid4().int % 10**7:07d}1"
        async with network(world), pbx.connected(world.central) as ami:
            await ami.originate(attempt, number)
            detected = await ami.user_event("ZancDetected", attempt)
            abandoned = await ami.user_event("ZancAbandoned", attempt)
            hangup = await ami.hangup(attempt)
        # The message lasts over five seconds.
        assert happened(hangup) - happened(abandoned) > 4.0
        waited.append(happened(abandoned) - happened(detected))
        if waited[-1] < 2.3 + STALL_SECONDS:
            break
    assert 1.7 < min(waited) < 2.3 + STALL_SECONDS


async def test_people_and_machines_are_told_apart_in_time(world: pbx.World) -> None:
    voices = [f"7771{n:02d}" for n in range(len(speech.HELLOS))]
    voices += [f"7772{n:02d}" for n in range(len(speech.GREETINGS))]
    wrong: dict[str, str] = dict.fromkeys(voices, "")
    for _ in range(TRIES):  # a machine that stands still tears the audio of a whole round
        wrong = await tell_apart(world, list(wrong))
        # One may be lost; a person taken for a machine is worse than the reverse.
        if len(wrong) <= 2 and not any(voice.startswith("7771") for voice in wrong):
            return
    raise AssertionError(wrong)


async def tell_apart(world: pbx.World, voices: list[str]) -> dict[str, str]:
    """Voices that were taken for the other kind, or too late, and what was said of them."""
    run = attempt_id()
    wrong = {}
    async with network(world), pbx.connected(world.central) as ami:
        for voice in voices:
            await ami.originate(f"{run}-{voice}", f"551199{voice}")
        for voice in voices:
            attempt = f"{run}-{voice}"
            detected = await ami.user_event("ZancDetected", attempt)
            answered = next(e for e in ami.of(attempt) if e.get("ChannelStateDesc") == "Up")
            seconds = happened(detected) - happened(answered)
            right = (detected["Status"] == "MACHINE") == voice.startswith("7772")
            if not right or seconds >= 2.5:
                wrong[voice] = f"{detected['Status']} {detected['Cause']} after {seconds:.2f} s"
        for voice in voices:
            await ami.hangup(f"{run}-{voice}")
    return wrong


class MuchVoice:
    """Takes whoever goes on speaking for a machine."""

    def machine(self, features: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        if features[FEATURES.index("voice")] > 0.9:
            return 1.0
        return 0.0 if features[FEATURES.index("silence_now")] > 0.6 else 0.5


async def test_the_dialer_hears_the_call_and_says_who_answered(
    world: pbx.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialer.alo.ears.DEAF_SECONDS", 3.0)
    told: dict[str, asyncio.Future[bool]] = {}

    def notice(attempt: str, event: events.Event) -> None:
        if isinstance(event, events.Detected):
            told[attempt].set_result(event.machine)

    central = world.central
    ours = AsteriskPbx(
        name="central", host="127.0.0.1", port=central.ami_port, user=central.ami_user,
        secret=central.ami_secret, log_folder=None, on_event=notice, on_change=lambda: None,
    )  # fmt: skip
    ears = attach(ours, MuchVoice(), "127.0.0.1")
    running = asyncio.create_task(ours.run())

    async def verdict(number: str, ami: pbx.Ami) -> bool:
        attempt = uuid.uuid4().hex
        told[attempt] = asyncio.get_running_loop().create_future()
        ours.originate(attempt, number, trunk="carrier", caller_id="1140001234", ring_seconds=20)
        machine = await told[attempt]
        ours.hang_up(attempt)
        await ami.hangup(attempt)
        return machine

    try:
        async with asyncio.timeout(PATIENCE), network(world), pbx.connected(central) as ami:
            while not ours.connected:  # noqa: ASYNC110 (it tells nobody else)
                await asyncio.sleep(0.05)
            for _ in range(TRIES):  # a machine that stands still tears the audio of a whole round
                right = [
                    not await verdict("11999777100", ami),
                    await verdict("11999777200", ami),
                ]
                if all(right):
                    break
            assert right == [True, True]
            # What copies the sound goes with the call.
            while "UnicastRTP" in pbx.cli(central, "core show channels"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await ears.close()


async def test_without_the_world_the_network_fails(world: pbx.World) -> None:
    attempt, number = attempt_id(), f"5571{uuid.uuid4().int % 10**7:07d}1"
    async with pbx.connected(world.central) as ami:
        await ami.originate(attempt, number)
        hangup = await ami.hangup(attempt)
        (row,) = (await carrier_rows(world, [number]))[number]
    assert hangup["Cause"] == "34"
    assert row.userfield == "network_failure"
    log = world.carrier.log_path  # it is written a moment later
    await asyncio.to_thread(wait_until, lambda: number in log.read_text(), log.read_text)


def test_it_starts_quietly_and_nothing_reads_its_secrets(world: pbx.World) -> None:
    for instance in (world.central, world.carrier, world.phones):
        complaints = [
            line
            for line in instance.log_path.read_text().splitlines()
            if ("WARNING" in line or "ERROR" in line)
            # What other tests provoke on purpose.
            and not any(word in line for word in ("op99", "nobody decides", "FastAGI", "agi"))
        ]
        assert complaints == []
        for path in (instance.run_dir / "etc").iterdir():
            assert path.stat().st_mode & 0o077 == 0


async def test_signalling_media_and_manager_are_on_loopback_only(world: pbx.World) -> None:
    attempt, number = attempt_id(), f"5581{uuid.uuid4().int % 10**7:07d}0"
    async with network(world), pbx.connected(world.central) as ami:
        await ami.originate(attempt, number)
        await ami.user_event("ZancDetected", attempt)
        await ami.redirect(attempt, "op05")
        await ami.user_event("ZancConnected", attempt)
        opened = {
            instance.name: pbx.process_of(instance).net_connections("inet")
            for instance in (world.central, world.carrier, world.phones)
        }
        await ami.hangup(attempt)
    for instance in (world.central, world.carrier, world.phones):
        connections = opened[instance.name]
        assert {c.laddr.port for c in connections} >= {instance.sip_port, instance.ami_port}
        elsewhere = [c for c in connections if c.laddr.ip != "127.0.0.1"]
        # PJSIP opens the two client sockets of its DNS resolver (pj_dns_resolver_create) on every
        # address and on a random port, and has no option against it; we resolve no names.
        assert sorted(c.laddr.ip for c in elsewhere) == ["0.0.0.0", "::"]
        assert {c.type for c in elsewhere} == {socket.SOCK_DGRAM}
        served = {instance.sip_port, instance.ami_port}
        served |= set(range(instance.rtp_start, instance.rtp_end + 1))
        assert not served & {c.laddr.port for c in elsewhere}


def test_a_folder_with_a_long_and_odd_name_works() -> None:
    folder = Path(tempfile.mkdtemp(prefix="zanc odd, "))
    deep = folder / ("a rather long folder's name " * 4).strip()
    world = pbx.build_world(deep)
    try:
        with pbx.run(world.carrier):
            assert "Asterisk 16" in pbx.cli(world.carrier, "core show version")
        with pytest.raises(StackError, match="does not answer"):
            asterisk.healthcheck(world.carrier)
    finally:
        for instance in (world.central, world.carrier, world.phones):
            asterisk.remove_short_folder(instance)
        shutil.rmtree(folder)
