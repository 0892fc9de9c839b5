"""A manager (AMI) connection of Asterisk over pyst2, made fit for a dialer.

pyst2's message format and receive loop are used; what breaks in it (0.5.1) is replaced here:

- its ``connect`` reads byte by byte, can't time out and can't be used twice: every connection is a
  fresh ``_Link`` over a buffered socket;
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
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from asterisk import manager

from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

Headers = dict[str, str]
"""A message: header names as Asterisk writes them. Of a repeated header the last value stays."""

CONNECT_SECONDS = 5.0
PING_SECONDS = 5.0
SILENCE_SECONDS = 15.0
SEND_SECONDS = 5.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 15.0

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


class _Inlet:
    """Stands where pyst2 queues raw messages: parses and hands over in the reading thread."""

    def __init__(self, deliver: Callable[[Headers | None], None]) -> None:
        self._deliver = deliver

    def put(self, lines: list[str] | None) -> None:
        if lines is None:
            self._deliver(None)
            return
        try:
            self._deliver(_Message(lines).headers)
        except Exception:
            log.exception("AMI: a message could not be read")


class _Link(manager.Manager):  # type: ignore[misc]
    """One connection, used once: a reading thread (pyst2's loop) and a writing thread."""

    def __init__(self, deliver: Callable[[Headers | None], None]) -> None:
        # Not pyst2's constructor: it makes two more threads, which have no part here.
        self.title: str | None = None
        self.version: str | None = None
        self._connected = threading.Event()
        self._running = threading.Event()
        self._deliver = deliver
        self._message_queue = _Inlet(self._received)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last_heard = time.monotonic()
        self._socket: socket.socket | None = None

    def __del__(self) -> None:
        """Nothing: pyst2 would log off here and wait for the answer for ever."""

    def open(self, host: str, port: int) -> None:
        """Connect and start both threads; raises OSError."""
        link = socket.create_connection((host, port), CONNECT_SECONDS)
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = struct.pack("ll", int(SEND_SECONDS), 0)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket = link
        self._sock = link.makefile("rb")
        self._connected.set()
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
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _received(self, headers: Headers | None) -> None:
        self._last_heard = time.monotonic()
        if headers is not None:
            self._deliver(headers)

    def _read(self) -> None:
        try:
            self._receive_data()
        except Exception:
            log.exception("AMI: reading failed")
        finally:
            self._connected.clear()
            self.shut()
            assert self._socket is not None
            self._socket.close()
            self._deliver(None)

    def _write(self) -> None:
        assert self._socket is not None
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
                self._socket.sendall(data)
            except OSError:
                self.shut()
                return


@dataclass
class _Asked:
    """An action that waits for its response, or (``events`` not None) for its list of events."""

    answer: asyncio.Future[list[Headers]]
    events: list[Headers] | None = None


class LoginRefused(UnavailableError):
    """The PBX does not accept our user or password."""


@dataclass
class Ami:
    """The connection of one PBX, kept up by ``run``; everything else is called from its loop.

    ``on_event`` gets every event and every error that belongs to no question of ours,
    ``on_connected`` is called after each login and ``on_lost`` when the connection ends.
    """

    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    on_event: Callable[[Headers], None]
    on_connected: Callable[[], None]
    on_lost: Callable[[], None]
    connected: bool = field(default=False, init=False)
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
                problem = str(error)
                if problem != reported:
                    log.warning("PBX at %s: %s; trying again", self.address, problem)
                    reported = problem
            else:
                log.info("PBX at %s: connected", self.address)
                wait, reported = FIRST_RETRY_SECONDS, ""
                self.connected = True
                try:
                    self.on_connected()
                    await gone.wait()
                finally:
                    self._drop()
                    self.on_lost()
                log.warning("PBX at %s: the connection is lost", self.address)
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
        await loop.run_in_executor(None, link.open, self.host, self.port)
        self._link = link
        try:
            answers = await self.ask(
                "Login",
                [("Username", self.user), ("Secret", self.secret)],
                timeout_seconds=CONNECT_SECONDS,
            )
            if answers[0].get("Response") != "Success":
                raise LoginRefused(
                    "Asterisk", self.address, f"it refuses the user '{self.user}' or its password"
                )
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
