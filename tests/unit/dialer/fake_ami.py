"""A manager interface of Asterisk that follows a script: for tests of ``dialer.ami`` only."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Message = dict[str, str]


@dataclass
class FakeAmi:
    """Answers logins and pings; other actions are kept in ``actions`` and given to ``react``."""

    secret: str = "right"
    port: int = 0
    silent: bool = False
    version: str = "22.10.0~dfsg"
    contexts: tuple[str, ...] = ("zanc-answered", "zanc-operator")
    ahead: float = 0.0
    """By how many seconds its clock is before ours."""
    greeting: bytes = b"Asterisk Call Manager/9.0.0\r\n"
    logins: int = 0
    actions: list[Message] = field(default_factory=list)
    react: Callable[[FakeAmi, Message], Awaitable[None]] | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(self.greeting)
        message: Message = {}
        while line := (await reader.readline()).decode(errors="replace"):
            if line.strip():
                name, _, value = line.strip().partition(": ")
                message[name] = value
                continue
            if not self.silent:
                await self._answer(message)
            message = {}

    async def _answer(self, message: Message) -> None:
        action_id = message["ActionID"]
        match message["Action"]:
            case "Login" if message["Secret"] == self.secret:
                self.logins += 1
                await self.send(Response="Success", ActionID=action_id)
                await self.send(Event="FullyBooted", Uptime="100")
            case "Login":
                await self.send(
                    Response="Error", ActionID=action_id, Message="Authentication failed"
                )
            case "Ping":
                now = f"{time.time() + self.ahead:.6f}"
                await self.send(Response="Success", ActionID=action_id, Ping="Pong", Timestamp=now)
            case "CoreSettings":
                await self.send(
                    Response="Success", ActionID=action_id, AsteriskVersion=self.version
                )
            case "ShowDialPlan" if message["Context"] in self.contexts:
                await self.send(Response="Success", ActionID=action_id, EventList="start")
                await self.send(Event="Done", ActionID=action_id, EventList="Complete")
            case "ShowDialPlan":
                await self.send(Response="Error", ActionID=action_id, Message="Did not find it")
            case _:
                self.actions.append(message)
                if self.react is not None:
                    await self.react(self, message)

    async def send(self, *lines: str, **headers: str) -> None:
        """A message to whoever is connected; ``lines`` are written as they are."""
        text = "".join(f"{line}\r\n" for line in lines)
        text += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.raw(f"{text}\r\n")

    async def raw(self, text: str) -> None:
        self._writers[-1].write(text.encode())
        await self._writers[-1].drain()

    def drop(self) -> None:
        """Cut the connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeAmi]:
    """Serve on a free port of loopback while the block runs."""
    fake = FakeAmi()
    server = await asyncio.start_server(fake.handle, "127.0.0.1", 0, ssl=tls)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.drop()
