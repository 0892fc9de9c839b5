"""Alô or machine on a real Asterisk: app_amd as we tuned it, and the model of models/alo.

The same calls twice, spoken by voices, in words and with noises that are in no recording that the
model learnt from. Asked: fewer errors than app_amd makes, no more than one person in ten cut off,
and for 99 of 100 people the decision within 1.8 s of speech. Some three minutes; --full has four
times the recordings.

    python bench/bench_alo.py [--full] [--asterisk 22|16] [--export zanc_alo.json]
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
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from dialer import attempt as events
from dialer.alo.attach import MODEL_FILE, attach
from dialer.alo.decision import Trees
from dialer.alo.listening import RATE, Listener
from dialer.alo.table import read, table
from dialer.pbx import AsteriskPbx
from tests.integration import pbx as asterisks
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.scoring.export import exported, write
from zanc_pipeline.scoring.spec import load_spec
from zanc_pipeline.scoring.tables import prepare
from zanc_pipeline.scoring.train import train_candidates
from zanc_pipeline.world import answers, carrier, speech
from zanc_pipeline.world.carrier import CallPlan

ROOT = Path(__file__).parents[1]
AT_ONCE = 16
MOST_CUT = 0.10
LATEST = 1.8
"""Seconds of speech after which a person must not wait any longer for the decision."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One call: what it was, what it was taken for, seconds from the first voice to the verdict."""

    machine: bool
    taken_for_machine: bool
    seconds: float


def learn(folder: Path, each: int) -> tuple[Trees, Path]:
    """Speak the recordings, train as ``zanc models train`` does, export; also the held folder."""
    espeak = speech.install(asterisks.cache_folder() / "espeak")
    for which, count in (("train", each), ("held", each // 4)):
        answers.write(folder / which, answers.recordings(which, espeak, each=count))
    frame: pd.DataFrame = table([folder / "train", folder / "held"]).to_pandas()
    spec = load_spec(ROOT / "models" / "alo" / "model.yaml")
    prepared, spec = prepare(frame, spec, where="recordings")
    training = train_candidates(prepared, spec, where="recordings")
    figures = training.metrics[training.chosen]
    print(
        f"model: {training.chosen}, AUC {figures['auc']:.3f} on {len(training.holdout):,} held rows"
    )
    write(folder / MODEL_FILE, exported(training.model, name="zanc_alo"))
    return Trees(folder / MODEL_FILE), folder / "held"


async def call(world: asterisks.World, names: list[str], model: Trees | None) -> dict[str, Heard]:
    """Place one call to each recording and hear what the PBX says of it."""
    heard: dict[str, Heard] = {}
    answered: dict[str, datetime] = {}
    waiting: dict[str, asyncio.Future[tuple[datetime, bool]]] = {}

    def notice(attempt: str, event: events.Event) -> None:
        if isinstance(event, events.Answered):
            answered.setdefault(attempt, event.at)
        elif isinstance(event, events.Detected) and not waiting[attempt].done():
            waiting[attempt].set_result((event.at, event.machine))

    central = world.central
    pbx = AsteriskPbx(
        name="central", host="127.0.0.1", port=central.ami_port, user=central.ami_user,
        secret=central.ami_secret, log_folder=None, on_event=notice, on_change=lambda: None,
    )  # fmt: skip
    ears = None if model is None else attach(pbx, model, "127.0.0.1")
    running = asyncio.create_task(pbx.run())
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, name: str) -> None:
        attempt = f"{time.monotonic_ns():016x}{number:016x}"
        waiting[attempt] = asyncio.get_running_loop().create_future()
        async with turn:
            pbx.originate(
                attempt, f"11990{number:06d}", trunk="carrier", caller_id="1140028900",
                ring_seconds=20,
            )  # fmt: skip
            at, machine = await asyncio.wait_for(waiting[attempt], 30)
            pbx.hang_up(attempt)
        spoken = (at - answered[attempt]).total_seconds() - began[name]
        heard[name] = Heard(
            machine="-machine-" in name, taken_for_machine=machine, seconds=max(0.0, spoken)
        )

    began = {name: _first_voice(name, world) for name in names}
    try:
        async with asyncio.timeout(30):
            while not pbx.connected:  # noqa: ASYNC110 (its events are the other way round)
                await asyncio.sleep(0.1)
        await asyncio.gather(*(one(number, name) for number, name in enumerate(names)))
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if ears is not None:
            await ears.close()
    return heard


def _first_voice(name: str, world: asterisks.World) -> float:
    sounds = read(Path(str(world.carrier.extra["speech_dir"])) / f"{name}.wav")
    listener = Listener()
    listener.feed(sounds[: 4 * RATE])
    return listener.voice_began() or 0.0


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


def main() -> int:
    """Print the table; 1 when the model is no better than app_amd or decides too late."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--asterisk", type=int, choices=(16, 22), default=22)
    parser.add_argument("--export", type=Path, help="keep the model in this file")
    arguments = parser.parse_args()
    each = 1600 if arguments.full else 480
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="zanc-alo-"))
    try:
        model, held = learn(work, each)
        if arguments.export is not None:
            shutil.copy(work / MODEL_FILE, arguments.export)
        print(f"spoken and learnt in {time.monotonic() - began:.0f} s")
        voices = work / "voices"
        shutil.copytree(asterisks.spoken(), voices)
        for path in held.rglob("*.wav"):
            shutil.copy(path, voices / path.name)
        names = sorted(path.stem for path in held.rglob("*.wav"))
        world = asterisks.build_world(
            work / "asterisks", central_version=arguments.asterisk, voices=voices, calls=4 * AT_ONCE
        )

        def decide(number: str, _now: datetime) -> CallPlan:
            voice = names[int(number[-6:])]
            kind = Outcome.MACHINE if "-machine-" in voice else Outcome.HUMAN
            return CallPlan(outcome=kind, ring_seconds=0.2, talk_seconds=8, voice=voice)

        async def both() -> tuple[dict[str, Heard], dict[str, Heard]]:
            async with carrier.running(decide, port=world.agi_port):
                return await call(world, names, None), await call(world, names, model)

        with asterisks.run(world.central, world.carrier):
            amd, ours = asyncio.run(both())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(names)} calls on Asterisk {world.central.version}, half people, half machines")
    amd_cut, amd_passed, _ = show("app_amd, as tuned", amd)
    cut, passed, late = show("models/alo", ours)
    print(f"{time.monotonic() - began:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    print(f"errors beside app_amd: {(cut + passed) / max(1e-9, amd_cut + amd_passed):.2f}")
    better = cut + passed < amd_cut + amd_passed and cut <= MOST_CUT and late <= LATEST
    print("the model is better" if better else "MISSED: the model is not better, or late")
    return 0 if better else 1


if __name__ == "__main__":
    sys.exit(main())
