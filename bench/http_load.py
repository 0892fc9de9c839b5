"""A load generator for one loopback HTTP service: keep-alive connections, one request each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np


class Connection(asyncio.Protocol):
    """One connection; ``ask`` sends a whole request and waits for the whole answer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears of it."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the service closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._data.index(b"Content-Length: ") + 16
        size = int(self._data[at : self._data.index(b"\r", at)])
        if len(self._data) >= head + 4 + size and self._answer is not None:
            status, body = int(self._data[9:12]), bytes(self._data[head + 4 :])
            self._data.clear()
            self._answer.set_result((status, body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def connect(port: int, count: int) -> list[Connection]:
    """``count`` open connections."""
    loop, opened = asyncio.get_running_loop(), []
    for start in range(0, count, 200):
        some = [
            loop.create_connection(Connection, "127.0.0.1", port)
            for _ in range(min(200, count - start))
        ]
        opened += [protocol for _, protocol in await asyncio.gather(*some)]
    return opened


def get(path: str, token: str = "") -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def post(path: str, body: bytes, token: str) -> bytes:
    """A POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def closed_loop(
    connections: Sequence[Connection],
    request: Callable[[], bytes],
    *,
    seconds: float,
    in_flight: int,
) -> tuple[float, np.ndarray]:
    """Answers a second, and the latencies, with so many requests open, over all connections."""
    latencies: list[float] = []
    began = time.perf_counter()
    share = len(connections) // in_flight

    async def run(mine: Sequence[Connection]) -> None:
        turn = 0
        while time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            status, body = await mine[turn % len(mine)].ask(request())
            if status != 200:
                raise RuntimeError(f"status {status}: {body[:200]!r}")
            latencies.append(time.perf_counter() - sent)
            turn += 1

    await asyncio.gather(
        *(run(connections[one * share : (one + 1) * share]) for one in range(in_flight))
    )
    return len(latencies) / (time.perf_counter() - began), np.array(latencies)


async def open_loop(
    connections: Sequence[Connection],
    request: Callable[[], bytes],
    *,
    seconds: float,
    rate: float,
) -> np.ndarray:
    """Latencies of ``rate`` requests a second, each measured from when it was due."""
    latencies: list[float] = []
    free = list(connections)
    began = time.perf_counter()

    async def one(due: float) -> None:
        connection = free.pop()
        status, body = await connection.ask(request())
        if status != 200:
            raise RuntimeError(f"status {status}: {body[:200]!r}")
        latencies.append(time.perf_counter() - due)
        free.insert(0, connection)

    tasks = []
    for number in range(int(seconds * rate)):
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return np.array(latencies)
