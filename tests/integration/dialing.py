"""A dialer process on real parts for tests: mailings, the process, its API and simple operators."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration import pbx
from tests.patience import PATIENCE, wait_until
from tests.ports import free_ports
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world import carrier
from zanc_pipeline.world.carrier import CallPlan

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: to read the machine's certificates takes longer than most calls."""
PROGRAM = "from zanc_pipeline.cli import main; main()"

SECTION: dict[str, Any] = {
    "modo": "progressivo",
    "horario": ["08:00", "20:00"],
    "dias": ["seg", "ter", "qua", "qui", "sex"],
    "fuso": "America/Sao_Paulo",
    "identificador": "1140028900",
    "tentativas_por_telefone": 2,
    "nova_tentativa_minutos": {
        "busy": 0.02, "no_answer": 0.02, "network_failure": 0.02, "abandoned": 0.05, "unknown": 0.05
    },
    "toque_maximo_segundos": 15,
    "pos_atendimento_segundos": 10,
}  # fmt: skip


def cpf(number: int) -> str:
    base = f"{100_000_000 + number:09d}"
    return base + cpf_check_digits(base)


def write_mailing(settings: Settings, name: str, people: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A mailing whose n-th person has the phones ``people[n]``; the body that submits it."""
    rows = [
        {
            "rank": rank,
            "cpf": cpf(rank),
            "name": f"Pessoa {rank}",
            "crm": "norma",
            "convenio": "banco_aurora",
            "contract": f"C{rank}",
            "amount": Decimal("150.25"),
            "phones": list(phones),
            "profit": 1.0,
            "answer": 0.3,
        }
        for rank, phones in enumerate(people, start=1)
    ]
    schema = pa.schema(
        [
            ("rank", pa.int64()),
            ("cpf", pa.string()),
            ("name", pa.string()),
            ("crm", pa.string()),
            ("convenio", pa.string()),
            ("contract", pa.string()),
            ("amount", pa.decimal128(14, 2)),
            ("phones", pa.list_(pa.string())),
            ("profit", pa.float64()),
            ("answer", pa.float64()),
        ]
    )
    path = settings.var / "mailings" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return {
        "name": "teste",
        "settings": SECTION,
        "mailing": f"mailings/{name}.parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@contextmanager
def telephony(
    folder: Path,
    decide: Callable[[str, datetime], CallPlan],
    version: asterisk.Version,
    *,
    second: asterisk.Version | None = None,
    homes: dict[str, str] | None = None,
    run_centrais: bool = True,
    talk: tuple[int, int] = (3, 5),
    operators: int = 10,
    calls: int | None = None,
    journal: Path | None = None,
    machines: str | None = "",
) -> Iterator[pbx.World]:
    """One or two PBXs, a carrier whose calls go as ``decide`` says, and phones that registered.

    An operator's phone ends a call after a number of seconds between the two of ``talk``.
    Without ``run_centrais`` the PBXs are rendered only, and nobody waits for the phones.
    ``calls`` as for ``pbx.build_world``; ``journal`` gets what the carrier decided.
    Numbers that end in one of ``machines`` are machines; nobody listens, for a computer that stands
    still tears the sound. With None the PBX listens, as it does in ``test_asterisk``.
    """
    world = pbx.build_world(
        folder,
        central_version=version,
        phones_version=16,
        second_version=second,
        homes=homes,
        talk=talk,
        operators=operators,
        calls=calls,
    )
    centrais = [one for one in (world.central, world.second) if one is not None and run_centrais]
    if machines is not None:
        for central in filter(None, (world.central, world.second)):
            _judge(central, machines)
    stop = threading.Event()

    async def network() -> None:
        async with carrier.running(decide, port=world.agi_port, journal=journal):
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(network()))
    thread.start()
    try:
        with pbx.run(*centrais, world.carrier, world.phones):
            for central in centrais:
                strangers = [home for home in (homes or {}).values() if home != central.name]
                pbx.wait_for_phones(central, operators - len(strangers))
            yield world
    finally:
        stop.set()
        thread.join()


def _judge(central: asterisk.AsteriskInstance, machines: str) -> None:
    """The PBX takes numbers that end in these digits for machines, without listening."""
    plan = central.run_dir / "etc" / "extensions.conf"
    text, uri = plan.read_text(), "${CHANNEL(pjsip,remote_uri)}"
    listening = " same => n,AMD()\n"
    assert text.count(listening) == 1
    judging = (
        "Wait(0.3)",
        "Set(AMDSTATUS=MACHINE)",
        f'GotoIf($["{uri}" =~ "[{machines or "x"}]@"]?judged)',
        "Set(AMDSTATUS=HUMAN)",
    )
    lines = [*(f" same => n,{step}\n" for step in judging), " same => n(judged),NoOp()\n"]
    plan.write_text(text.replace(listening, "".join(lines)))


@dataclass
class DialerProcess:
    """``zanc dialer serve`` and its API."""

    settings: Settings
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    port: int | None = None

    @property
    def url(self) -> str:
        port = self.port or self.settings.dialer.port
        return f"http://{self.settings.host}:{port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings.secret('dialer_token')}"}

    def start(self) -> None:
        self.spawn()
        self.wait(self.healthy, "it answers")

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "dialer", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=pbx.REPOSITORY,
            )

    def healthy(self) -> bool:
        with suppress(httpx.HTTPError):
            return (
                httpx.get(f"{self.url}/healthz", trust_env=False, verify=NO_TLS).status_code == 200
            )
        return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def command(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``zanc dialer`` with these arguments beside the service."""
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, "dialer", *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=pbx.REPOSITORY,
            timeout=PATIENCE,
            check=False,
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        headers_more: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.url}{path}",
            headers=self.headers | (headers_more or {}),
            trust_env=False,
            verify=NO_TLS,
            timeout=PATIENCE,
            **options,
        )

    def told(self, path: str, **options: Any) -> dict[str, Any]:
        """What is at ``path``, asked again while the database of a slow machine is late."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(self.call("GET", path, **options))
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        self.wait(answered, f"{path} is told")
        assert answers[-1].status_code == httpx.codes.OK, answers[-1].text
        return dict(answers[-1].json())

    def figures(self, campaign: str) -> dict[str, Any]:
        return self.told(f"/v1/campaigns/{campaign}")

    def attempts(self, campaign: str) -> list[dict[str, Any]]:
        """All closed attempts, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            after = {"after": found[-1]["id"]} if found else {}
            path = f"/v1/campaigns/{campaign}/attempts"
            page = self.told(path, params={"limit": 5, **after})["attempts"]
            found += page
            if len(page) < 5:
                return found

    def wait(self, true: Callable[[], bool], what: str) -> None:
        wait_until(true, lambda: f"not: {what}\n{self.log.read_text()[-6000:]}")

    def wait_finished(self, campaign: str) -> dict[str, Any]:
        self.wait(lambda: self.figures(campaign)["status"] == "finished", f"{campaign} ends")
        return self.figures(campaign)


def environment(
    settings: Settings, world: pbx.World | None, localization_port: int
) -> dict[str, str]:
    """The environment in which a process of ours finds these parts."""
    values = {
        "VAR": str(settings.var),
        "PORT_OFFSET": str(settings.port_offset),
        "LOCALIZATION__URL": f"http://127.0.0.1:{localization_port}",
        "WORLD__TIME_SCALE": "1",
        "WORLD__ANY_HOUR": "true",
    }
    second = None if world is None else world.second
    values["CENTRAIS__CENTRAL2__ENABLED"] = str(second is not None).lower()
    for central in (None if world is None else world.central, second):
        if central is not None:
            part = f"CENTRAIS__{central.name.upper()}"
            values[f"{part}__AMI_PORT"] = str(central.ami_port - settings.port_offset)
            values[f"{part}__AMI_USER"] = central.ami_user
            values[f"{part}__AMI_SECRET"] = central.ami_secret
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZANC_")}
    return inherited | {f"ZANC_{name}": value for name, value in values.items()}


@contextmanager
def dialer(
    settings: Settings, world: pbx.World | None, localization_port: int, log: Path
) -> Iterator[DialerProcess]:
    """A dialer that is dead when the block ends."""
    made = DialerProcess(
        settings=settings, environment=environment(settings, world, localization_port), log=log
    )
    try:
        made.start()
        yield made
    finally:
        if made.process is not None:
            made.kill()


def beside(dialer: DialerProcess, log: Path) -> DialerProcess:
    """Another dialer on the same database, with a port of its own; not started yet."""
    [port] = free_ports(1)
    shifted = str(port - dialer.settings.port_offset)
    return DialerProcess(
        settings=dialer.settings,
        environment=dialer.environment | {"ZANC_DIALER__PORT": shifted},
        log=log,
        port=port,
    )


async def operate(
    dialer: DialerProcess,
    operator: str,
    tabulations: dict[str, str],
    wrapup: Callable[[], float] | None = None,
) -> None:
    """Work as one operator: log in, tabulate each conversation (a refusal, or by CPF), for ever.

    Each after the seconds that ``wrapup`` gives.
    """
    after = 0
    path = f"{dialer.url}/v1/operators/{operator}"
    async with httpx.AsyncClient(
        headers=dialer.headers, trust_env=False, verify=NO_TLS, timeout=PATIENCE
    ) as client:
        while True:
            try:
                answer = await client.get(f"{path}/events", params={"after": after, "timeout": 5})
                answer.raise_for_status()
                card = answer.json()
                after = card["sequence"]
                if card["state"] == "offline":
                    (await client.post(f"{path}/login")).raise_for_status()
                if card["state"] == "wrapup":
                    if wrapup is not None:
                        await asyncio.sleep(wrapup())
                    said = tabulations.get(card["call"]["cpf"], "refusal")
                    body = {"attempt": card["call"]["attempt"], "tabulation": said}
                    if said == "promise":
                        body |= {"promise_date": "2030-01-15", "promise_amount": "100.00"}
                    answer = await client.post(f"{path}/tabulate", json=body)
                    if answer.status_code != httpx.codes.CONFLICT:
                        answer.raise_for_status()
            except httpx.HTTPError:
                after = 0  # what was not done is looked at again
                await asyncio.sleep(0.3)


@contextmanager
def crew(
    dialer: DialerProcess,
    operators: Sequence[str],
    tabulations: dict[str, str] | None = None,
    wrapup: Callable[[], float] | None = None,
) -> Iterator[None]:
    """Operators at work in a thread while the block runs; they log out at its end.

    One who stayed logged in would be given calls that nobody tabulates.
    """
    stop = threading.Event()

    async def work() -> None:
        tasks = [
            asyncio.create_task(operate(dialer, operator, tabulations or {}, wrapup))
            for operator in operators
        ]
        await asyncio.to_thread(stop.wait)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        failed.extend(end for end in ends if not isinstance(end, asyncio.CancelledError))

    failed: list[object] = []
    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(httpx.HTTPError):  # it may be dead by now
            for operator in operators:
                dialer.call("POST", f"/v1/operators/{operator}/logout")
    assert not failed, f"an operator of the test gave up: {failed}"
