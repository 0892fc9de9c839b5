"""Random kills and cuts under a campaign: what the short test and ``make kill`` share.

Two PBXs, a PostgreSQL and a dialer, each a process that is killed with SIGKILL and started again,
and proxies between them that are cut or stand still. The carrier is the witness: nothing hurts it.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from tests.conftest import NO_WAIT
from tests.integration import dialing, fake_localization, pbx, tcp_proxy, witness
from tests.integration.dialing import DialerProcess, crew, write_mailing
from tests.integration.fake_localization import FakeLocalization
from tests.integration.tcp_proxy import TcpProxy
from tests.patience import wait_until
from tests.ports import port_offset
from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import asterisk, postgres
from zanc_pipeline.world.carrier import CallPlan

OPERATORS = asterisk.operator_names(6)
PLANS = {
    "0": CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.4, talk_seconds=3, voice="alo_01"),
    "1": CallPlan(outcome=Outcome.HUMAN, ring_seconds=2.0, talk_seconds=2, voice="alo_02"),
    "3": CallPlan(outcome=Outcome.BUSY, ring_seconds=0.3),
    "4": CallPlan(outcome=Outcome.NO_ANSWER, ring_seconds=1.5),
    "5": CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=0.2),
    "6": CallPlan(outcome=Outcome.NETWORK_FAILURE, ring_seconds=0.2),
}
TRUTH = {digit: plan.outcome.value for digit, plan in PLANS.items()}
PAUSE_SECONDS = 3.0
"""Before a person is called again whose call was lost."""
BATCH = 24
"""People of one mailing; the next one comes while there is more to be killed."""


def decide(number: str, _now: datetime) -> CallPlan:
    """By the last digit."""
    return PLANS[number[-1]]


@dataclass
class Part:
    """A process that is killed and started again."""

    name: str
    command: list[str]
    answers: Callable[[], bool]
    log: Path
    before: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again if it has to clean up first, until it answers."""

        def runs() -> bool:
            if self.process is None or self.process.poll() is not None:
                self.before()
                with self.log.open("ab") as log:
                    self.process = subprocess.Popen(
                        self.command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
            return self.answers()

        wait_until(runs, lambda: f"{self.name}: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Battlefield:
    """Everything that runs, and what was done to it."""

    settings: Settings
    world: pbx.World
    localization: FakeLocalization
    dialer: DialerProcess
    parts: dict[str, Part]
    networks: dict[str, TcpProxy]
    random: random.Random
    long_freezes: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    campaigns: list[str] = field(default_factory=list)

    def submit(self) -> None:
        """One more mailing."""
        number = len(self.campaigns)
        people = [
            [f"119{number:03d}{n:04d}{self.random.choice(list(PLANS))}"] for n in range(BATCH)
        ]
        name = f"kill-{number}"
        body = write_mailing(self.settings, name, people)
        waits = {**body["settings"]["nova_tentativa_minutos"], "unknown": PAUSE_SECONDS / 60}
        body["settings"] = {
            **body["settings"],
            "modo": "power",
            "linhas_por_operador": 1.5,
            "nova_tentativa_minutos": waits,
        }
        self.insist(lambda: self.dialer.call("PUT", f"/v1/campaigns/{name}", json=body))
        self.campaigns.append(name)

    def insist(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask until the dialer answers as it should."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            with suppress(httpx.HTTPError):
                answers.append(ask())
            return bool(answers) and answers[-1].is_success

        self.dialer.wait(answered, "it answers as it should")
        return answers[-1]

    def figures(self, campaign: str) -> dict[str, Any]:
        """A campaign's figures, when the dialer can tell them."""
        path = f"/v1/campaigns/{campaign}"
        return dict(self.insist(lambda: self.dialer.call("GET", path)).json())

    def nearly_done(self) -> bool:
        """Whether few people are left to be called, by the database: the dialer may be dead."""
        query = "SELECT count(*) FROM lead WHERE status <> 'ended'"
        with suppress(psycopg2.Error):
            link = psycopg2.connect(**self.settings.postgres.target("dialer"))
            with link, link.cursor() as cursor:
                cursor.execute(query)
                [left] = cursor.fetchone() or (0,)
                return int(left) < len(OPERATORS)
        return False

    def hit(self) -> None:
        """One random blow; what was hurt comes back after a while."""
        blow, target = self.random.choice(
            [
                ("kill", "dialer"),
                ("kill", "dialer"),
                ("kill", "central"),
                ("kill", "central2"),
                ("kill", "postgres"),
                ("cut", "central"),
                ("cut", "central2"),
                ("cut", "postgres"),
                ("freeze", "central"),
                ("freeze", "central2"),
                ("freeze", "postgres"),
                ("cut", "localization"),
            ]
        )
        seconds = self.random.choice([0.2, 0.6, 1.4])
        if blow == "freeze" and self.random.random() < self.long_freezes:
            seconds = 18.0  # the manager connection is given up meanwhile
        self.hits[f"{blow} {target}"] += 1
        if target == "localization":
            self.localization.down = True
            time.sleep(seconds)
            self.localization.down = False
        elif target == "dialer":
            self.dialer.kill()
            time.sleep(seconds)
            self.dialer.spawn()
        elif blow == "kill":
            self.parts[target].kill()
            time.sleep(seconds)
            self.parts[target].start()
        else:
            network = self.networks[target]
            network.cut() if blow == "cut" else network.freeze()
            time.sleep(seconds)
            network.mend()


@contextmanager
def battlefield(empty_stack: Path, folder: Path, seed: int) -> Iterator[Battlefield]:
    """All of it running; everything is dead when the block ends."""
    var = folder / "var"
    var.mkdir()
    subprocess.run(["cp", "-a", f"{empty_stack}/.", str(var)], check=True)
    with ExitStack() as stack:
        settings = load_settings(var=var, port_offset=stack.enter_context(port_offset()))
        database = Part(
            name="postgres",
            command=[*postgres.command(settings), *NO_WAIT],
            answers=lambda: postgres.answers(settings),
            log=folder / "postgres.log",
            before=lambda: postgres.initialise(settings),
        )
        stack.callback(database.kill)
        database.start()
        (var / "asterisk").mkdir(exist_ok=True)
        world = stack.enter_context(
            dialing.telephony(var / "asterisk", decide, 22, second=16, run_centrais=False)
        )
        parts = {"postgres": database}
        for instance in (world.central, world.second):
            assert instance is not None
            part = parts[instance.name] = Part(
                name=instance.name,
                command=asterisk.command(instance),
                answers=lambda instance=instance: _booted(instance),  # type: ignore[misc]
                log=instance.run_dir / "log" / "console",
            )
            stack.callback(asterisk.remove_short_folder, instance)
            stack.callback(part.kill)
            part.start()
        for instance in (world.central, world.second):
            assert instance is not None
            pbx.wait_for_phones(instance, 10)
        assert world.second is not None
        networks = {
            name: stack.enter_context(tcp_proxy.running(port))
            for name, port in (
                ("central", world.central.ami_port),
                ("central2", world.second.ami_port),
                ("postgres", settings.postgres.port),
            )
        }
        localization = stack.enter_context(fake_localization.running())
        environment = dialing.environment(settings, world, localization.port)
        for name, variable in (
            ("central", "CENTRAIS__CENTRAL__AMI_PORT"),
            ("central2", "CENTRAIS__CENTRAL2__AMI_PORT"),
            ("postgres", "POSTGRES__PORT"),
        ):
            environment[f"ZANC_{variable}"] = str(networks[name].port - settings.port_offset)
        dialer = DialerProcess(
            settings=settings, environment=environment, log=folder / "dialer.log"
        )
        dialer.start()
        stack.callback(dialer.kill)
        yield Battlefield(
            settings=settings,
            world=world,
            localization=localization,
            dialer=dialer,
            parts=parts,
            networks=networks,
            random=random.Random(seed),
        )


def fight(field: Battlefield, blows: int, say: Callable[[str], None] = lambda _line: None) -> None:
    """Run campaigns, deal ``blows`` while they run, let them end, and look at everything."""
    began = time.monotonic()
    with crew(field.dialer, OPERATORS):
        field.submit()
        while field.hits.total() < blows:
            time.sleep(field.random.uniform(0.1, 0.6))
            field.hit()
            say(f"{time.monotonic() - began:4.0f} s  {field.hits.total()} blows")
            if field.nearly_done():
                field.submit()
        for campaign in field.campaigns:
            field.dialer.wait(
                lambda campaign=campaign: field.figures(campaign)["status"] == "finished",  # type: ignore[misc]
                f"{campaign} ends",
            )
    attempts = [one for campaign in field.campaigns for one in field.dialer.attempts(campaign)]
    say(f"{dict(field.hits)}")
    say(f"outcomes {dict(Counter(one['outcome'] for one in attempts))}")
    examine(field, attempts)
    say(f"{len(attempts)} attempts of {len(field.campaigns) * BATCH} people agree with the carrier")


def examine(field: Battlefield, attempts: Sequence[dict[str, Any]]) -> None:
    """No attempt twice, no lead lost, no outcome untrue, nothing untold to localization."""
    with psycopg2.connect(**field.settings.postgres.target("dialer")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM lead WHERE status = 'ended' AND end_reason <> ''")
        [ended] = cursor.fetchone() or (0,)
        cursor.execute("SELECT count(*) FROM attempt WHERE closed_number IS NULL")
        [left_open] = cursor.fetchone() or (0,)
        cursor.execute("SELECT count(*) FROM attempt")
        [recorded] = cursor.fetchone() or (0,)
    assert ended == len(field.campaigns) * BATCH, "a lead was lost"
    assert (left_open, recorded) == (0, len(attempts))
    assert any(one["outcome"] == "human" for one in attempts), "nobody talked"
    witness.check(field.world, attempts, TRUTH)
    # The PBXs' own records say the same of every call that one of them lived to record.
    told = json.loads(field.dialer.command("reconcile", "--json").stdout)
    assert told["attempts"] == len(attempts)
    wrong = [one for one in told["differences"] if one["what"] in ("resultado", "operador")]
    assert not wrong, wrong
    _pauses(attempts)
    placed = {one["id"] for one in attempts if one["placed"]}
    field.dialer.wait(lambda: set(field.localization.calls) >= placed, "localization has them all")
    assert set(field.localization.calls) == placed


def _pauses(attempts: Sequence[dict[str, Any]]) -> None:
    """Nobody is called twice at once, nor soon after a call that was lost."""
    calls: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(attempts, key=lambda one: one["created_at"]):
        calls.setdefault(one["phone"], []).append(one)
    for mine in calls.values():
        for first, second in pairwise(mine):
            ended, began = (
                datetime.fromisoformat(text) for text in (first["ended_at"], second["created_at"])
            )
            pause = PAUSE_SECONDS if first["outcome"] == "unknown" else 0.0
            # The PBX tells the ends in its records in whole seconds.
            assert (began - ended).total_seconds() >= pause - 1.0, (first, second)


def _booted(instance: asterisk.AsteriskInstance) -> bool:
    with suppress(StackError):
        asterisk.healthcheck(instance, 1.0)
        return True
    return False
