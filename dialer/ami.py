"""A manager (AMI) connection of Asterisk over pyst2, made fit for a dialer.

pyst2's manager and message are used; what breaks in them (0.5.1) is replaced here:

- its ``connect`` reads byte by byte, can't time out and can't be used twice: every connection is a
  fresh ``_Link`` (see ``dialer.wire``), and whoever does not greet as Asterisk is left out;
- its receive loop looks for the words of a console's answer in every line: a caller's name such as
  "status will follow" would stall it for ever;
- its ``send_action`` waits for each response, without a time limit and without looking at the
  ActionID, and writes whatever it is given: here actions are pipelined by one writer thread,
  responses are matched by ActionID, and a value with a line break or another control character
  is refused;
- its parser fails on ``ChanVariable`` headers, and an error in a callback ends its dispatch: here
  nothing that arrives can stop the reading;
- nothing notices a silent death: here a watchdog sends Ping and closes a connection that is silent.

Events and responses reach the asyncio side through a queue without locks, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from asterisk import manager

from dialer.wire import LeftOut, Wire
from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

Headers = dict[str, str]
"""A message: header names as Asterisk writes them. Of a repeated header the last value stays."""

CONNECT_SECONDS = 5.0
STABLE_SECONDS = 10.0
"""A connection that lasted so long counts as one that worked: the next is tried at once."""
PING_SECONDS = 5.0
SILENCE_SECONDS = 15.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 15.0
LEFT_OUT_SECONDS = 30.0
"""What only a person can mend (a password, a version) is tried again so seldom."""
LONGEST_MESSAGE = 1_000_000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def encode_action(headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of one action.

    Raises DataError for a header name that is not letters, digits and ``-`` or a value with a
    control character: a line break would let a value add headers of its own.
    """
    lines = []
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            raise DataError(f"AMI: {name!r} is not a header name")
        if _CONTROL.search(value):
            raise DataError(f"AMI: the value of {name} holds a control character")
        lines.append(f"{name}: {value}\r\n")
    return ("".join(lines) + "\r\n").encode()


class _Message(manager.ManagerMsg):  # type: ignore[misc]
    """A message parsed without pyst2's error on ``ChanVariable``."""

    def parse(self, response: list[str]) -> None:
        for line in response:
            name, colon, value = line.partition(":")
            if colon:
                self.headers[name.strip()] = value.strip()


class _Link(manager.Manager):  # type: ignore[misc]
    """One connection, used once: a reading thread and a writing thread."""

    def __init__(self, deliver: Callable[[Headers | None], None]) -> None:
        # Not pyst2's constructor: it makes two more threads, which have no part here.
        self._running = threading.Event()
        self._deliver = deliver
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last_heard = time.monotonic()
        self._wire: Wire | None = None

    def __del__(self) -> None:
        """Nothing: pyst2 would log off here and wait for the answer for ever."""

    def open(self, host: str, port: int, *, tls: bool, ca: Path | None) -> None:
        """Connect and start both threads; raises OSError, or LeftOut when no Asterisk greets."""
        self._wire = Wire(host, port, tls=tls, ca=ca, timeout_seconds=CONNECT_SECONDS)
        self._last_heard = time.monotonic()
        self._running.set()
        for target in (self._read, self._write):
            threading.Thread(target=target, name=f"ami-{target.__name__}", daemon=True).start()

    def send(self, data: bytes) -> None:
        """Queue the bytes of an action; returns at once."""
        self._outgoing.put(data)

    def shut(self) -> None:
        """Close; both threads end. May be called twice and from any thread."""
        self._running.clear()
        self._outgoing.put(None)
        if self._wire is not None:
            self._wire.shut()

    def _read(self) -> None:
        assert self._wire is not None
        try:
            self._receive_data()
        except OSError:
            pass  # cut off: what is told is that it ended
        except Exception:
            log.exception("AMI: reading failed")
        finally:
            self.shut()
            self._wire.close()
            self._deliver(None)

    def _receive_data(self) -> None:
        assert self._wire is not None
        buffer = b""
        while data := self._wire.read():
            self._last_heard = time.monotonic()
            *messages, buffer = (buffer + data).split(b"\r\n\r\n")
            for message in messages:
                self._received(message)
            if len(buffer) > LONGEST_MESSAGE:
                log.warning("AMI: a message without an end, the connection is closed")
                return

    def _received(self, message: bytes) -> None:
        try:
            headers = _Message(message.decode(errors="replace").split("\r\n")).headers
            if headers:
                self._deliver(headers)
        except Exception:
            log.exception("AMI: a message could not be read")

    def _write(self) -> None:
        assert self._wire is not None
        ping = encode_action([("Action", "Ping"), ("ActionID", "ping")])
        while self._running.is_set():
            try:
                data = self._outgoing.get(timeout=PING_SECONDS)
            except queue.Empty:
                data = ping
            if time.monotonic() - self._last_heard > SILENCE_SECONDS:
                log.warning("AMI: silent for %.0f s, the connection is closed", SILENCE_SECONDS)
                self.shut()
                return
            if data is None:
                return
            try:
                self._wire.send(data)
            except OSError:
                self.shut()
                return


@dataclass
class _Asked:
    """An action that waits for its response, or (``events`` not None) for its list of events."""

    answer: asyncio.Future[list[Headers]]
    events: list[Headers] | None = None


async def _nothing() -> None:
    """No more to be checked."""


@dataclass
class Ami:
    """The connection of one PBX, kept up by ``run``; everything else is called from its loop.

    ``on_event`` gets every event and every error that belongs to no question of ours,
    ``on_connected`` is called after each login and ``on_lost`` when the connection ends. Between
    login and ``on_connected`` ``prepare`` may ask; what it raises ends the connection.
    ``problem`` says in Portuguese why there is none; ``refusing``: nobody listens at the address.
    """

    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    on_event: Callable[[Headers], None]
    on_connected: Callable[[], None]
    on_lost: Callable[[], None]
    prepare: Callable[[], Awaitable[None]] = _nothing
    tls: bool = False
    ca: Path | None = None
    connected: bool = field(default=False, init=False)
    problem: str = field(default="ainda não respondeu", init=False)
    refusing: bool = field(default=False, init=False)
    _link: _Link | None = field(default=None, init=False, repr=False)
    _asked: dict[str, _Asked] = field(default_factory=dict, init=False, repr=False)
    _sequence: int = field(default=0, init=False, repr=False)

    @property
    def address(self) -> str:
        """``host:port``, for messages."""
        return f"{self.host}:{self.port}"

    async def run(self) -> None:
        """Connect, log in and stay connected, for ever; waits longer after each failure."""
        wait = FIRST_RETRY_SECONDS
        reported = ""
        while True:
            try:
                gone = await self._connect()
            except (OSError, UnavailableError) as error:
                self.refusing = isinstance(error, ConnectionRefusedError)
                left_out = isinstance(error, LeftOut) and not error.silent
                self.problem = error.told if isinstance(error, LeftOut) else "não responde"
                problem = "nobody listens there" if self.refusing else str(error)
                if problem != reported:
                    end = "it gets no calls" if isinstance(error, LeftOut) else "trying again"
                    log.warning("PBX at %s: %s; %s", self.address, problem, end)
                    reported = problem
                if left_out:
                    wait = LEFT_OUT_SECONDS
            else:
                log.info("PBX at %s: connected", self.address)
                reported, began = "", time.monotonic()
                self.connected, self.problem, self.refusing = True, "", False
                try:
                    self.on_connected()
                    await gone.wait()
                finally:
                    self.problem = "a conexão caiu"
                    self._drop()
                    self.on_lost()
                log.warning("PBX at %s: the connection is lost", self.address)
                if time.monotonic() - began >= STABLE_SECONDS:
                    wait = FIRST_RETRY_SECONDS
            await asyncio.sleep(wait)
            wait = min(wait * 2, LAST_RETRY_SECONDS)

    def close(self) -> None:
        """Close the connection (``run`` would open another: cancel it first)."""
        self._drop()

    def tell(self, action: str, action_id: str, headers: Iterable[tuple[str, str]]) -> None:
        """Send an action without waiting: events speak for it, an error goes to ``on_event``.

        Raises UnavailableError without a connection and DataError for an unsafe value.
        """
        data = encode_action([("Action", action), ("ActionID", action_id), *headers])
        self._require_link().send(data)

    async def ask(
        self,
        action: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        listing: bool = False,
        timeout_seconds: float = 5.0,
    ) -> list[Headers]:
        """Send an action and wait: the response, followed by its events when it is a ``listing``.

        Raises UnavailableError when there is no connection or no answer in time.
        """
        link = self._require_link()
        self._sequence += 1
        action_id = f"ask-{self._sequence}"
        answer: asyncio.Future[list[Headers]] = asyncio.get_running_loop().create_future()
        self._asked[action_id] = _Asked(answer=answer, events=[] if listing else None)
        try:
            link.send(encode_action([("Action", action), ("ActionID", action_id), *headers]))
            async with asyncio.timeout(timeout_seconds):
                return await answer
        except TimeoutError:
            raise UnavailableError("Asterisk", self.address, f"no answer to {action}") from None
        finally:
            self._asked.pop(action_id, None)

    def _require_link(self) -> _Link:
        if self._link is None:
            raise UnavailableError("Asterisk", self.address)
        return self._link

    async def _connect(self) -> asyncio.Event:
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        arrived: deque[Headers | None] = deque()
        scheduled = threading.Event()

        def drain() -> None:
            scheduled.clear()
            while arrived:
                headers = arrived.popleft()
                if self._link is not link:
                    return  # the past of a connection that is no longer ours
                if headers is None:
                    gone.set()
                else:
                    self._received(headers)

        def deliver(headers: Headers | None) -> None:
            arrived.append(headers)
            if not scheduled.is_set():
                scheduled.set()
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(drain)

        link = _Link(deliver)
        opening = partial(link.open, self.host, self.port, tls=self.tls, ca=self.ca)
        await loop.run_in_executor(None, opening)
        self._link = link
        try:
            answers = await self.ask(
                "Login",
                [("Username", self.user), ("Secret", self.secret)],
                timeout_seconds=CONNECT_SECONDS,
            )
            if answers[0].get("Response") != "Success":
                raise LeftOut(
                    f"it refuses the user '{self.user}' or its password",
                    told="recusa o usuário ou a senha",
                )
            await self.prepare()
        except BaseException:
            self._drop()
            raise
        return gone

    def _drop(self) -> None:
        self.connected = False
        link, self._link = self._link, None
        if link is not None:
            link.shut()
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(UnavailableError("Asterisk", self.address))
        self._asked.clear()

    def _received(self, headers: Headers) -> None:
        asked = self._asked.get(headers.get("ActionID", ""))
        if asked is None:
            if "Event" in headers or headers.get("Response") == "Error":
                try:
                    self.on_event(headers)
                except Exception:
                    log.exception("AMI: the handler of %s failed", headers.get("Event"))
            return
        self._answered(asked, headers)

    @staticmethod
    def _answered(asked: _Asked, headers: Headers) -> None:
        if asked.answer.done():
            return
        if "Response" in headers:
            if asked.events is None or headers["Response"] != "Success":
                asked.answer.set_result([headers])
            else:
                asked.events.append(headers)
        elif asked.events is not None:
            asked.events.append(headers)
            if headers.get("EventList") in ("Complete", "Cancelled"):
                asked.answer.set_result(asked.events)


def number_of(headers: Headers, name: str, default: int = 0) -> int:
    """A header as a whole number; ``default`` when it is absent or something else."""
    value: Any = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else default
