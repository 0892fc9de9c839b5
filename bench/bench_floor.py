"""A floor of operators in predictive mode on a real Asterisk, beside the simulator's forecast.

`zanc dialer serve` as a process, a call centre's Asterisk, a carrier's Asterisk and an Asterisk of
SIP phones, all media included; the operators work through the API and take their time to wrap up.
The forecast is the simulator's (dialer.replay) for shifts of the same length, settings and
measured times of ring, talk and wrap-up, and the same answer rate. Asked: the carrier's own records
and the dialer's attempts are the same calls with the same ends; no more people abandoned than the
limit and the chance of so many answers allow; occupied no more than MARGIN under the forecast.

Conversations are short (a mean of some 25 s, not 180) and any line rings by one law, so that ten
minutes hold some 2,000 of them: short talks are harder, for a line then rings for a third of one.
Three minutes by default; `--full` are the ten minutes of 50 operators.

    python bench/bench_floor.py [--full] [--minutes 3] [--operators 50] [--asterisk 22|16]
        [--model zanc_alo.json]        # who answers is told by models/alo, not by app_amd
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from own_postgres import server
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[1]))

from dialer import replay
from dialer.alo.attach import MODEL_FILE
from dialer.attempt import State
from dialer.simulator import simulate
from tests.integration import dialing, fake_localization
from tests.integration import pbx as asterisks
from tests.integration.dialing import DialerProcess
from tests.ports import free_ports
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk, postgres
from zanc_pipeline.world import speech
from zanc_pipeline.world.carrier import CallPlan

SEED = 20261123
MIX = {
    Outcome.HUMAN: 0.25,
    Outcome.MACHINE: 0.15,
    Outcome.NO_ANSWER: 0.35,
    Outcome.BUSY: 0.10,
    Outcome.INVALID_NUMBER: 0.10,
    Outcome.NETWORK_FAILURE: 0.05,
}
"""What the network does with a call."""
RING_MEAN, RING_SHAPE, LONGEST_RING = 7.0, 4.0, 14.0
TALK_MEAN, TALK_SHAPE, SHORTEST_TALK = 24.0, 3.0, 5.0
MACHINE_TALK = 8.0
WRAPUP_MEAN, WRAPUP_SIGMA = 5.0, 0.6
CAMPAIGN = "floor"
LINES = 400
"""Room for calls at once on the PBX and its trunk."""
LIMIT = 0.03
CHANCE = 0.01
"""More abandoned people than this share of floors at the limit would have is too many."""
MARGIN = 0.05
"""A person needs some 0.4 s to be put through to a phone, which the simulator does not know."""
SHIFTS = 40
PROBE_SECONDS = 0.2
SETTINGS: dict[str, Any] = {
    "modo": "preditivo",
    "abandono_maximo": LIMIT,
    "tentativas_por_telefone": 1,
    "nova_tentativa_minutos": {"abandoned": 60},  # after the end of the bench
    "toque_maximo_segundos": 15,
    "pos_atendimento_segundos": 60,
}
AGREED = {
    Outcome.HUMAN: {Outcome.HUMAN, Outcome.ABANDONED, Outcome.MACHINE},
    Outcome.MACHINE: {Outcome.HUMAN, Outcome.ABANDONED, Outcome.MACHINE},
}
"""What the dialer may say of a call that the carrier knows better: who answered it must hear."""


def plans(count: int) -> list[CallPlan]:
    """The fate of each number, drawn once."""
    random = np.random.default_rng(SEED)
    fates = random.choice(list(MIX), count, p=list(MIX.values()))
    rings = random.gamma(RING_SHAPE, RING_MEAN / RING_SHAPE, count).clip(0.5, LONGEST_RING)
    talks = random.gamma(TALK_SHAPE, TALK_MEAN / TALK_SHAPE, count).clip(SHORTEST_TALK)
    voices = random.integers(0, 1 << 16, count)
    made = []
    for fate, ring, talk, voice in zip(fates, rings, talks, voices, strict=True):
        machine = fate == Outcome.MACHINE
        said = speech.GREETINGS if machine else speech.HELLOS
        made.append(
            CallPlan(
                outcome=Outcome(fate),
                ring_seconds=float(ring),
                talk_seconds=MACHINE_TALK if machine else float(talk),
                voice=said[int(voice) % len(said)],
            )
        )
    return made


def number_of(place: int) -> str:
    """The phone of the person at a place of the mailing."""
    return f"119{place:08d}"


def spent(process: psutil.Process) -> float:
    """Seconds of processor that it and those it started have had; of the bench only its own."""
    times = process.cpu_times()
    total = times.user + times.system
    if process.pid == os.getpid():
        return float(total)
    total += times.children_user + times.children_system
    for child in process.children(recursive=True):
        try:
            own = child.cpu_times()
        except psutil.Error:
            continue  # it has ended: its parent has its time
        total += own.user + own.system
    return float(total)


@dataclass
class Lag:
    """How long the service takes to answer the simplest question, asked all the time."""

    url: str
    seconds: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Ask while the block runs."""
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._stop.wait(PROBE_SECONDS):
                began = time.perf_counter()
                client.get(f"{self.url}/healthz").raise_for_status()
                self.seconds.append(time.perf_counter() - began)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What was measured between the first call and the end of the minutes.

    ``abandoned`` of those who ``answered`` had no operator within two seconds: some of them still
    got one while they heard the safe message.
    """

    began: datetime
    ended: datetime
    processor: dict[str, float]
    machine: float
    lag: list[float]
    answered: int
    abandoned: int
    reconciled: bool


def work_a_shift(
    dialer: DialerProcess, settings: Settings, world: asterisks.World, people: int, arguments: Any
) -> Floor:
    """Log in, dial for the minutes, let the last calls end."""
    random = np.random.default_rng(SEED + 1)
    middle = np.log(WRAPUP_MEAN) - WRAPUP_SIGMA**2 / 2
    operators = asterisk.operator_names(arguments.operators)
    parts = {
        "dialer": psutil.Process(dialer.process.pid if dialer.process else None),
        "central Asterisk": asterisks.process_of(world.central),
        "PostgreSQL": _postmaster(settings),
        "carrier Asterisk": asterisks.process_of(world.carrier),
        "phones' Asterisk": asterisks.process_of(world.phones),
        "this bench": psutil.Process(),
    }
    body = dialing.write_mailing(settings, CAMPAIGN, [[number_of(n)] for n in range(people)])
    body["settings"] = {**body["settings"], **SETTINGS}
    with dialing.crew(
        dialer, operators, wrapup=lambda: float(random.lognormal(middle, WRAPUP_SIGMA))
    ):
        dialer.wait(
            lambda: (
                dialer.call("GET", "/v1/figures").json()["operators"].get("idle", 0)
                == len(operators)
            ),
            "all operators are free",
        )
        answer = dialer.call("PUT", f"/v1/campaigns/{CAMPAIGN}", json=body)
        assert answer.status_code == 201, answer.text
        lag = Lag(dialer.url)
        psutil.cpu_percent()
        before = {name: spent(process) for name, process in parts.items()}
        began = datetime.now(UTC)
        with lag.measured():
            time.sleep(arguments.minutes * 60)
        ended = datetime.now(UTC)
        processor = {name: spent(process) - before[name] for name, process in parts.items()}
        machine = psutil.cpu_percent() / 100
        live: dict[str, Any] = {}
        print(f"at the end: {dialer.figures(CAMPAIGN)['why']}")
        for order in ("pause", "stop"):  # told to stop, it would end what still rings
            answer = dialer.call("POST", f"/v1/campaigns/{CAMPAIGN}/{order}")
            assert answer.status_code == 200, answer.text
            dialer.wait(lambda: _all_over(dialer), "the last calls end")
            live = live or dialer.figures(CAMPAIGN)["live"]
        dialer.wait_finished(CAMPAIGN)
    time.sleep(2)  # the Asterisks write their last records
    reconciled = dialer.command("reconcile", "--campaign", CAMPAIGN)
    if reconciled.returncode != 0:
        print(reconciled.stdout[-2000:], reconciled.stderr[-2000:])
    return Floor(
        began=began,
        ended=ended,
        processor=processor,
        machine=machine,
        lag=lag.seconds,
        answered=live["answered"],
        abandoned=live["abandoned"],
        reconciled=reconciled.returncode == 0,
    )


def _all_over(dialer: DialerProcess) -> bool:
    attempts = dialer.figures(CAMPAIGN)["attempts"]
    return not {state.value for state in State if state is not State.ENDED} & attempts.keys()


def _postmaster(settings: Settings) -> psutil.Process:
    lines = (postgres.data_folder(settings) / "postmaster.pid").read_text().splitlines()
    return psutil.Process(int(lines[0]))


def rows(settings: Settings, query: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
    """What the dialer's database answers."""
    from zanc_pipeline.common.database import transaction

    with transaction(settings, "dialer") as cursor:
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]


ATTEMPTS = "SELECT * FROM attempt WHERE campaign_id = %s ORDER BY created_at"
OCCUPANCY = """
WITH inside AS (
    SELECT state, extract(epoch FROM least(ended_at, %(until)s) - greatest(started_at, %(since)s))
           AS seconds
    FROM operator_time WHERE started_at < %(until)s AND ended_at > %(since)s)
SELECT (sum(seconds) FILTER (WHERE state IN ('talking', 'wrapup')) / sum(seconds))::float8
       AS occupancy,
       (sum(seconds) FILTER (WHERE state = 'reserved') / sum(seconds))::float8 AS reserved
FROM inside WHERE state NOT IN ('paused', 'offline')
"""


def same_calls(world: asterisks.World, attempts: list[dict[str, Any]]) -> Counter[str]:
    """Where the dialer's attempts and the carrier's records are not the same calls."""
    placed = {one["phone"]: one for one in attempts if one["placed"]}
    carried: dict[str, list[str]] = {}
    for row in asterisk.read_cdr(world.carrier.cdr_path):
        carried.setdefault(row.destination, []).append(row.userfield)
    wrong = Counter[str]()
    for phone in placed.keys() | carried.keys():
        if phone not in placed:
            wrong["a call without an attempt"] += 1
        elif len(carried.get(phone, [])) != 1:
            wrong[f"an attempt with {len(carried.get(phone, []))} calls"] += 1
        else:
            [theirs], ours = map(Outcome, carried[phone]), Outcome(placed[phone]["outcome"])
            if ours not in AGREED.get(theirs, {theirs}):
                wrong[f"{theirs.value} told as {ours.value}"] += 1
    wrong["attempts of one phone"] = len(attempts) - len({one["phone"] for one in attempts})
    return +wrong


def show(title: str, seconds: list[float]) -> None:
    """Middle, 99 % and largest of some times."""
    if seconds:
        print(
            f"  {title:<34} median {statistics.median(seconds) * 1000:6.0f} ms   99 % "
            f"{np.quantile(seconds, 0.99) * 1000:6.0f} ms   largest {max(seconds) * 1000:6.0f} ms"
        )


def judge(
    settings: Settings, world: asterisks.World, floor: Floor, fates: list[CallPlan], minutes: float
) -> bool:
    """Print the table; True when nothing is missed."""
    attempts = rows(settings, ATTEMPTS, (CAMPAIGN,))
    outcomes = Counter(one["outcome"] for one in attempts)
    law = {number_of(place): plan.outcome for place, plan in enumerate(fates)}
    since = min(one["created_at"] for one in attempts)
    until = since + timedelta(minutes=minutes)
    [found] = rows(settings, OCCUPANCY, {"since": since, "until": until})
    occupancy = found["occupancy"]
    people, abandoned = floor.answered, floor.abandoned
    talked = [one for one in attempts if one["connected_at"] is not None]
    scenario = replay.scenario_of(settings, CAMPAIGN).model_copy(update={"hours": minutes / 60})
    shifts = [simulate(scenario.model_copy(update={"seed": seed})) for seed in range(SHIFTS)]
    forecast = statistics.mean(shift.occupancy for shift in shifts)
    spread = statistics.stdev(shift.occupancy for shift in shifts)
    lost = sum(shift.abandoned for shift in shifts) / max(1, sum(s.answered for s in shifts))

    print(f"{len(attempts)} calls placed, {len(attempts) / minutes:.0f} a minute: {dict(outcomes)}")
    heard = Counter(
        (law[one["phone"]], one["outcome"] == "machine")
        for one in attempts
        if law[one["phone"]] in AGREED and one["detected_at"] is not None
    )
    print(
        f"  of {heard[Outcome.HUMAN, True] + heard[Outcome.HUMAN, False]} people "
        f"{heard[Outcome.HUMAN, True]} were taken for machines, of "
        f"{heard[Outcome.MACHINE, True] + heard[Outcome.MACHINE, False]} machines "
        f"{heard[Outcome.MACHINE, False]} for people"
    )
    print(f"{'':<12}{'occupied':>10}{'abandoned':>11}{'calls':>8}{'answered':>10}")
    print(
        f"{'measured':<12}{occupancy:>10.1%}{abandoned / max(1, people):>11.2%}"
        f"{len(attempts):>8}{people:>10}"
    )
    print(
        f"{'forecast':<12}{forecast:>10.1%}{lost:>11.2%}"
        f"{statistics.mean(shift.calls for shift in shifts):>8.0f}"
        f"{statistics.mean(shift.answered for shift in shifts):>10.0f}"
        f"   (one shift: ± {spread:.1%})"
    )
    ring, talk, wrapup = scenario.ring.values, scenario.talk.values, scenario.wrapup.values
    print(
        f"  a line until it is known who answers {statistics.mean(ring):.1f} s, conversation "
        f"{statistics.mean(talk):.1f} s, wrap-up {statistics.mean(wrapup):.1f} s; "
        f"{scenario.answer[0][1]:.1%} of the lines answered; operators {found['reserved'] or 0:.1%}"
        " of the time being put through"
    )

    calls = sum(one["created_at"] <= floor.ended for one in attempts)
    length = (floor.ended - floor.began).total_seconds()
    print(f"processor over {length:.0f} s, {calls} calls")
    for name, seconds in floor.processor.items():
        print(
            f"  {name:<18} {1000 * seconds / calls:7.1f} ms a call   {seconds / length:5.1%} of a"
            " core"
        )
    print(f"  the whole machine was {floor.machine:.0%} busy ({os.cpu_count()} cores)")
    print("lag")
    show("the service answers", floor.lag)
    show("answered to who it is", _between(attempts, "answered_at", "detected_at"))
    show("who it is to the operator's ear", _between(talked, "detected_at", "connected_at"))

    wrong = same_calls(world, attempts)
    most = int(binom.isf(CHANCE, people, LIMIT))
    verdicts = {
        f"carrier's records: {dict(wrong) or 'the same calls, the same ends'}": not wrong,
        f"the PBX's own records: {'no' if floor.reconciled else 'SOME'} difference":
            floor.reconciled,
        f"abandoned: {abandoned} of {people} (at {LIMIT:.0%} up to {most} by chance)":
            abandoned <= most,
        f"occupied: {occupancy:.1%}, asked {forecast - MARGIN:.1%}": occupancy >= forecast - MARGIN,
    }  # fmt: skip
    for told, good in verdicts.items():
        print(f"{'ok     ' if good else 'MISSED '} {told}")
    return all(verdicts.values())


def _between(attempts: list[dict[str, Any]], first: str, last: str) -> list[float]:
    return [
        (one[last] - one[first]).total_seconds() for one in attempts if one[first] and one[last]
    ]


def main() -> int:
    """Print the table; 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="ten minutes")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--operators", type=int, default=50)
    parser.add_argument("--asterisk", type=int, choices=(16, 22), default=22)
    parser.add_argument("--model", type=Path, help="the exported model that tells who answered")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.minutes = 10.0
    fates = plans(round(20 * arguments.operators * (arguments.minutes + 1)))

    def decide(number: str, _now: datetime) -> CallPlan:
        return fates[int(number[3:])]

    work = Path(tempfile.mkdtemp(prefix="zanc-floor-"))
    print(
        f"{arguments.operators} operators, {arguments.minutes:g} minutes, predictive, Asterisk "
        f"{arguments.asterisk}, who answers by {'models/alo' if arguments.model else 'app_amd'}"
    )
    try:
        with ExitStack() as stack:
            settings = stack.enter_context(server(work))
            folder = work / "asterisk"
            folder.mkdir()
            world = stack.enter_context(
                dialing.telephony(
                    folder, decide, arguments.asterisk, talk=(900, 1000),
                    operators=arguments.operators, machines=None,
                    calls=LINES,
                )
            )  # fmt: skip
            localization = stack.enter_context(fake_localization.running())
            [settings.dialer.port] = free_ports(1)
            dialer = DialerProcess(
                settings=settings,
                environment=dialing.environment(settings, world, localization.port)
                | _more(settings, arguments.model),
                log=work / "dialer.log",
            )
            dialer.start()
            try:
                floor = work_a_shift(dialer, settings, world, len(fates), arguments)
                good = judge(settings, world, floor, fates, arguments.minutes)
            finally:
                dialer.kill()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0 if good else 1


def _more(settings: Settings, model: Path | None) -> dict[str, str]:
    """What the dialer of the bench must know beside what that of a test does."""
    values = {
        "POSTGRES__PORT": str(settings.postgres.port - settings.port_offset),
        "DIALER__PORT": str(settings.dialer.port - settings.port_offset),
        "CENTRAIS__CENTRAL__LINES": str(LINES),
        "CENTRAIS__CENTRAL__CALLS_PER_SECOND": "50",
        "CENTRAIS__CENTRAL__TRUNKS__CARRIER__LINES": str(LINES),
        "CENTRAIS__CENTRAL__TRUNKS__CARRIER__CALLS_PER_SECOND": "50",
    }
    if model is not None:
        folder = settings.var / "models"
        folder.mkdir(exist_ok=True)
        shutil.copy(model, folder / MODEL_FILE)
        values["DIALER__WHO_ANSWERS"] = "model"
    return {f"ZANC_{name}": value for name, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
