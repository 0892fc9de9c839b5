"""The adapter on a real Asterisk: speed beside a bare AMI loop, calls at once, processor time.

The same calls (busy numbers of the simulated carrier) are originated by ``AsteriskPbx`` and by a
loop of sockets and bytes that only counts, in turns on one Asterisk; asked is 0.8 of its speed.
Then many calls at once, of which the carrier's own records tell what became. Under two minutes;
--full has four times the calls.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from dialer import attempt as events
from dialer.attempt import Attempt
from dialer.pbx import AsteriskPbx
from tests.integration import pbx as asterisks
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.stack import asterisk
from zanc_pipeline.stack.asterisk import AsteriskInstance
from zanc_pipeline.world import carrier
from zanc_pipeline.world.carrier import CallPlan

OPEN_AT_ONCE = 30
"""Calls that either side keeps open while its speed is measured."""
LEAST_RATIO = 0.8
CROWD = 300
CALLER = "1140028900"
PLANS = (
    CallPlan(outcome=Outcome.BUSY, ring_seconds=0.0),
    CallPlan(outcome=Outcome.HUMAN, ring_seconds=15.0, talk_seconds=20, voice="alo_01"),
    CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=15.0),
    CallPlan(outcome=Outcome.BUSY, ring_seconds=15.0),
    CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=15.0),
    CallPlan(outcome=Outcome.NETWORK_FAILURE, ring_seconds=15.0),
)
"""By the number's last digit; all but the first ring long enough to be open together."""
TOLD = {
    Outcome.HUMAN: {Outcome.ABANDONED, Outcome.MACHINE},  # without operators; app_amd may err
    **{plan.outcome: {plan.outcome} for plan in PLANS if plan.outcome is not Outcome.HUMAN},
}
_HUNG_UP = re.compile(rb"^Event: Hangup\r\n(?:.*\r\n)*?Uniqueid: (\w+)", re.MULTILINE)


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit."""
    return PLANS[int(number[-1])]


def network(port: int) -> None:
    """The carrier's decisions, in a process of their own: their time is nobody's here."""
    asyncio.run(carrier.serve(decide, port=port))


def number_of(place: int, digit: int) -> str:
    """A number whose fate is ``digit``'s."""
    return f"1199{place:06d}{digit}"


@dataclass
class Calls:
    """What the adapter told of our calls, folded by the dialer's own core."""

    open: dict[str, Attempt] = field(default_factory=dict)
    ended: dict[str, Attempt] = field(default_factory=dict)
    most: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    live: set[str] = field(default_factory=set)

    def notice(self, attempt_id: str, event: events.Event) -> None:
        """As the engine does with an event."""
        before = self.open.get(attempt_id)
        if before is None:
            return
        after = self.open[attempt_id] = events.advance(before, event).attempt
        if isinstance(event, events.Created):
            self.live.add(attempt_id)
            self.most = max(self.most, len(self.live))
        if after.ended:
            self.live.discard(attempt_id)
            self.ended[attempt_id] = self.open.pop(attempt_id)
            self.changed.set()


@asynccontextmanager
async def adapter(central: AsteriskInstance, calls: Calls) -> AsyncIterator[AsteriskPbx]:
    """Our adapter, connected."""
    pbx = AsteriskPbx(
        name="central", host="127.0.0.1", port=central.ami_port, user=central.ami_user,
        secret=central.ami_secret, log_folder=None, on_event=calls.notice, on_change=lambda: None,
    )  # fmt: skip
    running = asyncio.create_task(pbx.run())
    try:
        async with asyncio.timeout(30):
            while not pbx.connected:  # noqa: ASYNC110 (its events are the other way round)
                await asyncio.sleep(0.1)
        yield pbx
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def through_adapter(
    central: AsteriskInstance, names: dict[str, str], at_once: int
) -> tuple[float, Calls]:
    """Place the calls ``names`` (id → number); seconds until the last end, and what was told."""
    calls = Calls()
    async with adapter(central, calls) as pbx:
        began = time.perf_counter()
        async with asyncio.timeout(120):
            for attempt_id, number in names.items():
                while len(calls.open) >= at_once:
                    calls.changed.clear()
                    await calls.changed.wait()
                calls.open[attempt_id] = Attempt(id=attempt_id, created_at=datetime.now(UTC))
                pbx.originate(
                    attempt_id, number, trunk="carrier", caller_id=CALLER, ring_seconds=60
                )
            with suppress(TimeoutError):
                async with asyncio.timeout(90):
                    while calls.open:
                        calls.changed.clear()
                        await calls.changed.wait()
        return time.perf_counter() - began, calls


async def bare(central: AsteriskInstance, names: dict[str, str], at_once: int) -> float:
    """The same calls by a pipelined loop that parses nothing but ends; seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", central.ami_port)
    try:
        writer.write(
            f"Action: Login\r\nUsername: {central.ami_user}\r\n"
            f"Secret: {central.ami_secret}\r\n\r\n".encode()
        )
        rest, booted = b"", False
        while not booted:
            rest += await reader.read(65536)
            booted = b"FullyBooted" in rest
        waiting, running = list(names.items())[::-1], 0
        buffer, left = b"", len(names)
        began = time.perf_counter()
        async with asyncio.timeout(120):
            while left:
                batch = []
                while waiting and running < at_once:
                    attempt_id, number = waiting.pop()
                    running += 1
                    batch.append(
                        f"Action: Originate\r\nActionID: {attempt_id}\r\n"
                        f"Channel: PJSIP/{number}@carrier\r\nChannelId: {attempt_id}\r\n"
                        "Context: zanc-answered\r\nExten: s\r\nPriority: 1\r\nTimeout: 60000\r\n"
                        f"CallerID: {CALLER}\r\nVariable: ZANC_ATTEMPT={attempt_id}\r\n"
                        "Async: true\r\n\r\n"
                    )
                if batch:
                    writer.write("".join(batch).encode())
                *messages, buffer = (buffer + await reader.read(65536)).split(b"\r\n\r\n")
                for message in messages:
                    found = _HUNG_UP.search(message + b"\r\n")
                    if found is not None and found[1].decode() in names:
                        left -= 1
                        running -= 1
        return time.perf_counter() - began
    finally:
        writer.close()


def names_of(first: int, count: int, digit: Callable[[int], int]) -> dict[str, str]:
    """Attempt ids and the numbers that they call."""
    return {
        f"{time.monotonic_ns():016x}{place:016x}": number_of(place, digit(place))
        for place in range(first, first + count)
    }


def processor(process: psutil.Process) -> float:
    """Seconds of processor that it has had."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def speeds(world: asterisks.World, count: int, rounds: int) -> bool:
    """Rounds of both in turn; True when the adapter is fast enough."""
    central = asterisks.process_of(world.central)
    ours, theirs = list[float](), list[float]()
    spent = Counter[str]()
    first, own = 100_000, psutil.Process()
    for turn in range(-1, rounds):  # the first round only warms up
        for which in ("adapter", "bare"):
            names = names_of(first, count, lambda _place: 0)
            first += count
            before = processor(own), processor(central)
            if which == "adapter":
                seconds, calls = await through_adapter(world.central, names, OPEN_AT_ONCE)
                if calls.open:
                    print(f"MISSED: {len(calls.open)} calls of {count} never ended")
                    return False
            else:
                seconds = await bare(world.central, names, OPEN_AT_ONCE)
            if turn >= 0:
                (ours if which == "adapter" else theirs).append(count / seconds)
                spent[f"{which} program"] += processor(own) - before[0]  # type: ignore[assignment]
                spent[f"{which} asterisk"] += processor(central) - before[1]  # type: ignore[assignment]
    mine, peer = statistics.median(ours), statistics.median(theirs)
    each = count * rounds
    for name, speed in (("adapter", mine), ("bare", peer)):
        print(
            f"  {name:8} {speed:7.1f} calls a second   processor a call: program "
            f"{1000 * spent[f'{name} program'] / each:6.2f} ms, Asterisk "
            f"{1000 * spent[f'{name} asterisk'] / each:6.2f} ms"
        )
    good = mine >= LEAST_RATIO * peer
    print(f"  ratio {mine / peer:.2f} (asked {LEAST_RATIO}) {'ok' if good else 'MISSED'}")
    return good


async def crowd(world: asterisks.World, count: int) -> bool:
    """All at once: every call ends, as the carrier's records say."""
    names = names_of(900_000, count, lambda place: 1 + place % (len(PLANS) - 1))
    seconds, calls = await through_adapter(world.central, names, count)
    await asyncio.sleep(2)  # the carrier writes its last records
    numbers = set(names.values())
    records = {
        row.destination: row.userfield
        for row in asterisk.read_cdr(world.carrier.cdr_path)
        if row.destination in numbers
    }
    wrong = Counter[str]()
    for attempt_id, number in names.items():
        ended, record = calls.ended.get(attempt_id), records.get(number)
        if ended is None:
            wrong["never ended"] += 1
        elif record is None:
            wrong["not in the carrier's records"] += 1
        elif ended.outcome not in TOLD[Outcome(record)]:
            wrong[f"{ended.outcome}, by the carrier {record}"] += 1
    told = Counter(str(one.outcome) for one in calls.ended.values())
    print(f"  {count} calls, {calls.most} open at the same time, all over after {seconds:.0f} s")
    print(f"  told {dict(sorted(told.items()))}")
    print(f"  carrier {dict(sorted(Counter(records.values()).items()))}")
    good = not wrong and calls.most == count
    print(f"  {'every call agrees: ok' if good else f'MISSED: {dict(wrong)}'}")
    return good


def main() -> int:
    """Print the figures; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    work = Path(tempfile.mkdtemp(prefix="zanc-calls-"))
    try:
        world = asterisks.build_world(work, calls=CROWD)
        decisions = multiprocessing.Process(target=network, args=(world.agi_port,), daemon=True)
        decisions.start()
        try:
            with asterisks.run(world.central, world.carrier):
                print(f"Asterisk {world.central.version}, {OPEN_AT_ONCE} calls open, busy numbers")
                fast = asyncio.run(speeds(world, 800 if full else 200, 5 if full else 3))
                print(f"{CROWD} calls at once")
                whole = asyncio.run(crowd(world, CROWD))
        finally:
            decisions.terminate()
            decisions.join()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0 if fast and whole else 1


if __name__ == "__main__":
    sys.exit(main())
