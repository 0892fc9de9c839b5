"""The network's decision server, spoken to over a real socket as Asterisk would."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.ports import free_ports
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.world import carrier, speech
from zanc_pipeline.world.carrier import CallPlan

BUSY = CallPlan(outcome=Outcome.BUSY, ring_seconds=1.25, talk_seconds=7)


def always_busy(_number: str, _now: datetime) -> CallPlan:
    return BUSY


async def call(port: int, number: str, reply: bytes = b"200 result=1\n") -> dict[str, str]:
    """Ask like the carrier's dialplan; returns the variables that were set."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"agi_network: yes\nagi_uniqueid: 17.1\nagi_extension: {number}\n\n".encode())
    variables = {}
    while line := (await reader.readline()).decode():
        command, _, rest = line.partition("SET VARIABLE ")
        assert command == ""
        name, _, value = rest.strip().partition(" ")
        variables[name] = value.strip('"')
        writer.write(reply)
    writer.close()
    return variables


async def test_the_plan_becomes_channel_variables() -> None:
    asked: list[tuple[str, datetime]] = []

    def decide(number: str, now: datetime) -> CallPlan:
        asked.append((number, now))
        return CallPlan(
            outcome=Outcome.HUMAN, ring_seconds=3.5, talk_seconds=40, voice=speech.HELLOS[2]
        )

    async with carrier.running(decide) as port:
        variables = await call(port, "5511987654321")
    assert variables == {"RING": "3.500", "TALK": "40.000", "VOICE": "alo_03", "OUTCOME": "human"}
    assert list(variables)[-1] == "OUTCOME"
    assert asked[0][0] == "5511987654321"
    assert asked[0][1].tzinfo is UTC


async def test_a_person_without_a_voice_gets_one() -> None:
    plan = CallPlan(outcome=Outcome.HUMAN)
    async with carrier.running(lambda _number, _now: plan) as port:
        assert (await call(port, "11"))["VOICE"] in speech.HELLOS


async def test_a_faulty_law_costs_one_call_and_not_the_network() -> None:
    def decide(number: str, _now: datetime) -> CallPlan:
        if number == "13":
            raise ZeroDivisionError
        return BUSY

    async with carrier.running(decide) as port:
        assert (await call(port, "13"))["OUTCOME"] == "network_failure"
        assert (await call(port, "14"))["OUTCOME"] == "busy"


@pytest.mark.parametrize("number", ["", "abc", "1;drop", "9" * 40])
async def test_what_is_no_number_is_unallocated(number: str) -> None:
    async with carrier.running(always_busy) as port:
        assert (await call(port, number))["OUTCOME"] == "invalid_number"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"agi_extension: 1\n",
        b"no colon\n\n",
        b"x" * 100_000,
        b"a: b\n" * 1000,
        b"\xff\xfe: \xff\n\n",
    ],
)
async def test_malformed_input_ends_that_conversation_only(request_bytes: bytes) -> None:
    async with carrier.running(always_busy) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes)
        writer.write_eof()
        try:
            async with asyncio.timeout(PATIENCE):
                await reader.read()
        except ConnectionResetError:
            pass
        writer.close()
        assert (await call(port, "5511987654321"))["OUTCOME"] == "busy"


async def test_a_caller_that_hung_up_is_not_told_the_rest() -> None:
    async with carrier.running(always_busy) as port:
        variables = await call(port, "11", reply=b"511 Command Not Permitted on a dead channel\n")
    assert list(variables) == ["RING"]


async def test_the_journal_has_every_decision(tmp_path: Path) -> None:
    journal = tmp_path / "log" / "carrier.jsonl"
    async with carrier.running(always_busy, journal=journal) as port:
        await asyncio.gather(*(call(port, f"55119{n:08d}") for n in range(50)))
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({entry["number"] for entry in entries}) == 50
    assert entries[0]["outcome"] == "busy"
    assert entries[0]["uniqueid"] == "17.1"


async def test_serve_runs_until_cancelled() -> None:
    [free] = free_ports(1)
    task = asyncio.create_task(carrier.serve(always_busy, "127.0.0.1", free))
    said: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        while not said:
            with suppress(ConnectionRefusedError):
                said = await call(free, "11")
            await asyncio.sleep(0)
    assert said["OUTCOME"] == "busy"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": Outcome.ABANDONED},
        {"ring_seconds": -1},
        {"talk_seconds": 0},
        {"voice": "../x"},
    ],
)
def test_an_impossible_plan_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        CallPlan(**{"outcome": Outcome.HUMAN, **wrong})  # type: ignore[arg-type]
