"""Alô or machine on a real Asterisk: app_amd as we tuned it, and the model of models/alo.

The same calls twice, spoken by voices, in words and with noises that are in no recording that the
model learnt from. Asked: no more people cut off than by app_amd and no more than 2 %, fewer
machines passed on, and for 99 of 100 people the decision within 1.8 s of speech. Speech begins when
the carrier plays the first word: the recording's own beginning is known, and the carrier's PBX
tells when it starts to play. Some three minutes; --full has four times the recordings.

    python bench/bench_alo.py [--full] [--asterisk 22|16] [--export zanc_alo.json]
        [--model zanc_alo.json]        # one that was exported, instead of learning again
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from dialer import attempt as events
from dialer.alo.attach import MODEL_FILE, attach
from dialer.alo.decision import Trees
from dialer.alo.table import table
from dialer.pbx import AsteriskPbx
from tests.integration import pbx as asterisks
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.scoring.export import exported, write
from zanc_pipeline.scoring.spec import load_spec
from zanc_pipeline.scoring.tables import prepare
from zanc_pipeline.scoring.train import train_candidates
from zanc_pipeline.stack.asterisk import AsteriskInstance
from zanc_pipeline.world import answers, carrier, speech
from zanc_pipeline.world.carrier import CallPlan

ROOT = Path(__file__).parents[1]
AT_ONCE = 16
LEARNT, HELD = 800, 120
"""Recordings of people, and as many of machines."""
MOST_CUT = 0.02
LATEST = 1.8
"""Seconds of speech after which a person must not wait any longer for the decision."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One call: what it was, what it was taken for, and the moments of it (Unix time).

    ``spoke`` is when its first word began, by the carrier; ``told`` is when we told the PBX, None
    where it decided by itself; ``known`` is when it said so.
    """

    machine: bool
    taken_for_machine: bool
    answered: float
    spoke: float
    asked: float | None
    told: float | None
    known: float

    @property
    def seconds(self) -> float:
        """From the first word to the verdict; 0 when it fell before."""
        return max(0.0, self.known - self.spoke)


def learn(folder: Path, each: int) -> Trees:
    """Speak the recordings to learn from, train as ``zanc models train`` does, export."""
    espeak = speech.install(asterisks.cache_folder() / "espeak")
    answers.write(folder / "train", answers.recordings("train", espeak, each=each))
    spoken = time.monotonic()
    frame: pd.DataFrame = table([folder / "train"]).to_pandas()
    measured = time.monotonic()
    spec = load_spec(ROOT / "models" / "alo" / "model.yaml")
    prepared, spec = prepare(frame, spec, where="recordings")
    training = train_candidates(prepared, spec, where="recordings")
    figures = training.metrics[training.chosen]
    print(
        f"model: {training.chosen}, AUC {figures['auc']:.3f} on {len(training.holdout):,} rows of"
        f" other voices; measured in {measured - spoken:.0f} s,"
        f" learnt in {time.monotonic() - measured:.0f} s"
    )
    write(folder / MODEL_FILE, exported(training.model, name="zanc_alo"))
    return Trees(folder / MODEL_FILE)


async def call(
    world: asterisks.World, begins: dict[str, float], model: Trees | None
) -> dict[str, Heard]:
    """Place one call to each recording and hear what the PBX says of it."""
    names = list(begins)
    answered: dict[str, float] = {}
    asked: dict[str, float] = {}
    told: dict[str, float] = {}
    waiting: dict[str, asyncio.Future[tuple[float, bool]]] = {}

    def notice(attempt: str, event: events.Event) -> None:
        if isinstance(event, events.Answered):
            answered.setdefault(attempt, event.at.timestamp())
        elif isinstance(event, events.Detected) and not waiting[attempt].done():
            waiting[attempt].set_result((event.at.timestamp(), event.machine))

    central = world.central
    pbx = AsteriskPbx(
        name="central", host="127.0.0.1", port=central.ami_port, user=central.ami_user,
        secret=central.ami_secret, log_folder=None, on_event=notice, on_change=lambda: None,
    )  # fmt: skip
    if model is not None:
        _timed(pbx, "hear", asked)
        _timed(pbx, "answered_by", told)
    ears = None if model is None else attach(pbx, model, "127.0.0.1")
    running = asyncio.create_task(pbx.run())
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        attempt = f"{time.monotonic_ns():016x}{number:016x}"
        waiting[attempt] = asyncio.get_running_loop().create_future()
        async with turn:
            pbx.originate(
                attempt, _phone(number), trunk="carrier", caller_id="1140028900", ring_seconds=20
            )
            await asyncio.wait_for(waiting[attempt], 30)
            pbx.hang_up(attempt)
        return attempt

    try:
        async with asyncio.timeout(30):
            while not pbx.connected:  # noqa: ASYNC110 (its events are the other way round)
                await asyncio.sleep(0.1)
        async with asterisks.connected(world.carrier) as network:
            attempts = await asyncio.gather(*map(one, range(len(names))))
            played = _first_played(network.events)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if ears is not None:
            await ears.close()
    heard = {}
    for number, (name, attempt) in enumerate(zip(names, attempts, strict=True)):
        known, machine = waiting[attempt].result()
        heard[name] = Heard(
            machine="-machine-" in name,
            taken_for_machine=machine,
            answered=answered[attempt],
            spoke=played[_phone(number)] + begins[name],
            asked=asked.get(attempt),
            told=told.get(attempt),
            known=known,
        )
    return heard


def _phone(number: int) -> str:
    return f"11990{number:06d}"


def _timed(pbx: AsteriskPbx, method: str, moments: dict[str, float]) -> None:
    """Keep the moment of each first call of ``method`` for an attempt."""
    real: Any = getattr(pbx, method)

    def timed(attempt: str, *arguments: Any) -> None:
        moments.setdefault(attempt, datetime.now(UTC).timestamp())
        real(attempt, *arguments)

    setattr(pbx, method, timed)


def _first_played(told: list[asterisks.Event]) -> dict[str, float]:
    """By number, when the carrier began to play its recording."""
    played: dict[str, float] = {}
    for event in told:
        if event.get("Event") == "Newexten" and event.get("Application") == "Playback":
            played.setdefault(event["Exten"], float(event["Timestamp"]))
    return played


def show(title: str, heard: dict[str, Heard]) -> tuple[float, float, float]:
    """Print a line; (share of people cut off, of machines passed on, 99 % of decisions)."""
    people = [one for one in heard.values() if not one.machine]
    machines = [one for one in heard.values() if one.machine]
    cut = float(np.mean([one.taken_for_machine for one in people]))
    passed = float(np.mean([not one.taken_for_machine for one in machines]))
    middle, most, late = np.quantile([one.seconds for one in people], [0.5, 0.95, 0.99])
    print(
        f"{title:<18} people cut off {cut:6.1%}   machines passed on {passed:6.1%}   "
        f"speech until the verdict on a person: median {middle:.2f} s, 95 % {most:.2f} s, "
        f"99 % {late:.2f} s"
    )
    return cut, passed, float(late)


def show_stages(heard: dict[str, Heard]) -> None:
    """Print where the time of a call goes."""
    stages = {
        "answer until its sound is asked for": [
            one.asked - one.answered for one in heard.values() if one.asked is not None
        ],
        "answer until the first word": [one.spoke - one.answered for one in heard.values()],
        "first word until we told the PBX": [
            one.told - one.spoke for one in heard.values() if one.told is not None
        ],
        "told until the PBX knew": [
            one.known - one.told for one in heard.values() if one.told is not None
        ],
    }
    for what, seconds in stages.items():
        middle, late = np.quantile(seconds, [0.5, 0.99])
        print(f"  {what:<38} median {middle:6.3f} s, 99 % {late:6.3f} s")


def main() -> int:
    """Print the table; 1 when the model is no better than app_amd or decides too late."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--asterisk", type=int, choices=(16, 22), default=22)
    parser.add_argument("--export", type=Path, help="keep the model in this file")
    parser.add_argument("--model", type=Path, help="measure this model, learn none")
    arguments = parser.parse_args()
    times = 4 if arguments.full else 1
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="zanc-alo-"))
    try:
        if arguments.model is None:
            model = learn(work, LEARNT * times)
            print(f"spoken and learnt in {time.monotonic() - began:.0f} s")
            if arguments.export is not None:
                shutil.copy(work / MODEL_FILE, arguments.export)
        else:
            model = Trees(arguments.model)
        voices, begins = work / "voices", {}
        shutil.copytree(asterisks.spoken(), voices)
        espeak = asterisks.cache_folder() / "espeak"
        for one in answers.recordings("held", espeak, each=HELD * times):
            speech.write_wav(voices / f"{one.name}.wav", one.sound)
            begins[one.name] = one.begins
        names = list(begins)
        world = asterisks.build_world(
            work / "asterisks", central_version=arguments.asterisk, voices=voices, calls=4 * AT_ONCE
        )
        _let_it_tell(world.carrier)

        def decide(number: str, _now: datetime) -> CallPlan:
            voice = names[int(number[-6:])]
            kind = Outcome.MACHINE if "-machine-" in voice else Outcome.HUMAN
            return CallPlan(outcome=kind, ring_seconds=0.2, talk_seconds=8, voice=voice)

        async def both() -> tuple[dict[str, Heard], dict[str, Heard]]:
            async with carrier.running(decide, port=world.agi_port):
                return await call(world, begins, None), await call(world, begins, model)

        with asterisks.run(world.central, world.carrier):
            amd, ours = asyncio.run(both())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(names)} calls on Asterisk {world.central.version}, half people, half machines")
    amd_cut, amd_passed, _ = show("app_amd, as tuned", amd)
    cut, passed, late = show("models/alo", ours)
    show_stages(ours)
    print(f"{time.monotonic() - began:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    print(f"errors beside app_amd: {(cut + passed) / max(1e-9, amd_cut + amd_passed):.2f}")
    better = cut <= min(amd_cut, MOST_CUT) and passed < amd_passed and late <= LATEST
    print("the model is better" if better else "MISSED: the model is not better, or late")
    return 0 if better else 1


def _let_it_tell(instance: AsteriskInstance) -> None:
    """The carrier's PBX tells what its dialplan does, which nobody but this bench asks."""
    config = instance.run_dir / "etc" / "manager.conf"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("read = system", "read = system,dialplan"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
