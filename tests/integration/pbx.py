"""Real Asterisks for tests: PBXs and phones on loopback, and a raw AMI client."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.patience import PATIENCE, wait_until
from tests.ports import free_ports
from zanc_pipeline.common.errors import StackError
from zanc_pipeline.stack import asterisk
from zanc_pipeline.stack.asterisk import AsteriskInstance, Version
from zanc_pipeline.world import speech

Event = dict[str, str]

REPOSITORY = Path(__file__).parents[2]
RTP_PORTS = 400
BENCH_RTP = 24_000


def cache_folder() -> Path:
    """Where downloads stay between test runs: the same place as the stack's."""
    return Path(os.environ.get("ZANC_CACHE") or REPOSITORY / "var" / "cache")


@dataclass(frozen=True, kw_only=True)
class World:
    """Running Asterisks; ``second`` is another PBX of the call centre, if there is one."""

    central: AsteriskInstance
    second: AsteriskInstance | None = None
    carrier: AsteriskInstance
    phones: AsteriskInstance
    agi_port: int


def installed(version: Version) -> Path:
    return asterisk.install(version, cache_folder() / f"asterisk-{version}")


def spoken() -> Path:
    cache = cache_folder()
    return speech.ensure_speech(cache / "speech", speech.install(cache / "espeak"))


def build_world(
    folder: Path,
    *,
    central_version: Version = 22,
    phones_version: Version = 22,
    talk: tuple[int, int] = (3, 5),
    agi_port: int | None = None,
    second_version: Version | None = None,
    homes: dict[str, str] | None = None,
    voices: Path | None = None,
    operators: int = 10,
    calls: int | None = None,
) -> World:
    """Describe and render the instances under ``folder``; nothing runs yet.

    With ``second_version`` there are two PBXs, ``central`` and ``central2``; phones register at
    both, but those in ``homes`` at the one named there only. A bench that runs alone
    has room for ``calls`` at once; others for some fifty, on ports apart from each other's.
    """
    voices = voices or spoken()
    central_sip, carrier_sip, phones_sip, second_sip = free_ports(4)
    central_ami, carrier_ami, phones_ami, free_agi, second_ami = free_ports(5)
    agi = agi_port or free_agi
    # Below the ephemeral range, apart for each process that runs tests at the same time.
    rtp = 12000 + (os.getpid() + central_sip) % 12 * 4 * RTP_PORTS // 2
    ports = RTP_PORTS // 2
    if calls is not None:
        rtp, ports = BENCH_RTP, 4 * calls  # two ports for each side of a call
    names = asterisk.operator_names(operators)
    secrets = {name: f"{name}-{os.urandom(6).hex()}" for name in names}
    trunk = os.urandom(8).hex()

    def instance(
        name: str, version: Version, sip: int, ami: int, nth: int, extra: dict[str, Any]
    ) -> AsteriskInstance:
        made = AsteriskInstance(
            name=name,
            version=version,
            install_root=installed(version),
            run_dir=folder / name,
            sip_port=sip,
            ami_port=ami,
            rtp_start=rtp + nth * ports,
            rtp_end=rtp + (nth + 1) * ports - 1,
            ami_user="zanc",
            ami_secret=os.urandom(8).hex(),
            extra={"speech_dir": voices, **extra},
        )
        asterisk.render(made)
        return made

    people = {"operators": operators, "operator_secrets": secrets}
    to_carrier = {"carrier_port": carrier_sip, "trunk_secret": trunk, **people}
    centrais = {"central": central_sip}
    peers: dict[str, dict[str, Any]] = {"central": {}, "central2": {}}
    if second_version is not None:
        centrais["central2"] = second_sip
        peer_secret = os.urandom(8).hex()
        peers = {
            name: {
                "peers": {other: f"127.0.0.1:{port}"},
                "peer_secret": peer_secret,
            }
            for name, other, port in (
                ("central", "central2", second_sip),
                ("central2", "central", central_sip),
            )
        }
    return World(
        central=instance(
            "central", central_version, central_sip, central_ami, 0,
            to_carrier | peers["central"],
        ),
        second=None if second_version is None else instance(
            "central2", second_version, second_sip, second_ami, 3,
            to_carrier | peers["central2"],
        ),
        carrier=instance(
            "carrier", 16, carrier_sip, carrier_ami, 1, {"agi_port": agi, "trunk_secret": trunk}
        ),
        phones=instance(
            "phones", phones_version, phones_sip, phones_ami, 2,
            {
                "central_ports": centrais, "homes": homes or {},
                "talk_min": talk[0], "talk_max": talk[1], **people,
            },
        ),
        agi_port=agi,
    )  # fmt: skip


@contextmanager
def run(*instances: AsteriskInstance) -> Iterator[None]:
    """Run the instances while the block runs; every one is dead afterwards."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for instance in instances:
            with (instance.run_dir / "log" / "console").open("ab") as console:
                processes.append(
                    subprocess.Popen(
                        asterisk.command(instance),
                        stdin=subprocess.DEVNULL,
                        stdout=console,
                        stderr=console,
                        start_new_session=True,
                        umask=0o077,  # as the stack starts it
                    )
                )
        for instance, process in zip(instances, processes, strict=True):
            wait_until(lambda i=instance, p=process: _answers(i, p), f"{instance.name} answers")  # type: ignore[misc]
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process, instance in zip(processes, instances, strict=True):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            asterisk.remove_short_folder(instance)


def _answers(instance: AsteriskInstance, process: subprocess.Popen[bytes]) -> bool:
    try:
        asterisk.healthcheck(instance)
    except StackError:
        if process.poll() is not None:
            raise
        return False
    return True


def cli(instance: AsteriskInstance, line: str) -> str:
    """What the instance's console says to ``line``."""
    return subprocess.run(
        asterisk.cli_command(instance, line),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout


def process_of(instance: AsteriskInstance) -> psutil.Process:
    """The running process of the instance."""
    wanted = asterisk.command(instance)
    for process in psutil.process_iter():
        # Others' processes come and go, or can't be read.
        with suppress(psutil.Error):
            if process.cmdline() == wanted:
                return process
    raise AssertionError(f"{instance.name} does not run")


def wait_for_phones(central: AsteriskInstance, count: int) -> None:
    """Until ``count`` operators' phones have registered."""
    wait_until(
        lambda: cli(central, "pjsip show contacts").count("Contact:  op") >= count,
        lambda: cli(central, "pjsip show contacts"),
    )


class Ami:
    """A manager connection without any library: what Asterisk itself says, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.events: list[Event] = []
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        await self._reader.readline()
        message: Event = {}
        while line := (await self._reader.readline()).decode(errors="replace"):
            if line.strip():
                key, _, value = line.strip().partition(":")
                message[key] = value.strip()
                continue
            message["at"] = str(time.monotonic())
            async with self._news:
                self.events.append(message)
                self._news.notify_all()
            message = {}

    async def send(self, **headers: str) -> None:
        lines = [f"{key}: {value}" for key, value in headers.items()]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self._writer.drain()

    async def wait(
        self, found: Callable[[Event], bool], timeout_seconds: float = PATIENCE
    ) -> Event:
        """The first message, past or to come, for which ``found`` holds."""
        seen = 0
        async with asyncio.timeout(timeout_seconds), self._news:
            while True:
                for event in self.events[seen:]:
                    if found(event):
                        return event
                seen = len(self.events)
                await self._news.wait()

    async def user_event(self, name: str, attempt: str) -> Event:
        return await self.wait(
            lambda event: event.get("UserEvent") == name and event.get("Attempt") == attempt
        )

    async def hangup(self, attempt: str) -> Event:
        return await self.wait(
            lambda event: event.get("Event") == "Hangup" and event.get("Uniqueid") == attempt
        )

    async def originate(self, attempt: str, number: str, timeout_ms: int = 30000) -> None:
        await self.send(
            Action="Originate",
            ActionID=attempt,
            Channel=f"PJSIP/{number}@carrier",
            ChannelId=attempt,
            Context="zanc-answered",
            Exten="s",
            Priority="1",
            Timeout=str(timeout_ms),
            CallerID="551140001234",
            Variable=f"ZANC_ATTEMPT={attempt}",
            Async="true",
        )

    async def redirect(self, attempt: str, operator: str) -> None:
        await self.send(
            Action="Redirect",
            ActionID=f"redirect-{attempt}",
            Channel=attempt,
            Context="zanc-operator",
            Exten=operator,
            Priority="1",
        )

    def of(self, attempt: str) -> list[Event]:
        """Everything that names the attempt."""
        return [event for event in self.events if attempt in event.values()]

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()


@asynccontextmanager
async def connected(instance: AsteriskInstance) -> AsyncIterator[Ami]:
    """A logged-in manager connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", instance.ami_port)
    ami = Ami(reader, writer)
    try:
        await ami.send(
            Action="Login", Username=instance.ami_user, Secret=instance.ami_secret, ActionID="login"
        )
        await ami.wait(lambda event: event.get("ActionID") == "login")
        yield ami
    finally:
        await ami.close()
