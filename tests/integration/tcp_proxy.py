"""A network of the tests' own: a TCP proxy on loopback that can be cut, or stand still."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.patience import PATIENCE

_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes connections on to ``target`` (a port of loopback) from a port of its own.

    What is under way when the sender's connection dies is lost, as it is in a network. ``cut`` and
    ``mend``, ``freeze`` and ``thaw`` may be called from any thread.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def cut(self) -> None:
        """Reset every connection and every new one."""
        self._call(self._reset_all)

    def freeze(self) -> None:
        """Nothing arrives any more; connections stay."""
        self._call(self._flowing.clear)

    def mend(self) -> None:
        """As if nothing had been."""
        self._call(self._mend)

    def stop(self) -> None:
        """End it."""
        self._call(self._reset_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _call(self, what: object) -> None:
        done = threading.Event()

        def act() -> None:
            what()  # type: ignore[operator]
            done.set()

        self._loop.call_soon_threadsafe(act)
        done.wait(PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0)
        )
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def _reset_all(self) -> None:
        self._cut = True
        for writer in list(self._writers):
            self._reset(writer)

    def _mend(self) -> None:
        self._cut = False
        self._flowing.set()

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> None:
        link = writer.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            self._reset(writer)
            return
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._reset(writer)
            return
        pair = {writer, to_there}
        self._writers |= pair
        try:
            await asyncio.gather(
                self._pump(reader, writer, to_there), self._pump(there, to_there, writer)
            )
        finally:
            self._writers -= pair
            for one in pair:
                self._reset(one)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        source: asyncio.StreamWriter,
        target: asyncio.StreamWriter,
    ) -> None:
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                if source.transport.is_closing():
                    break
                target.write(data)
                await target.drain()
            await self._flowing.wait()
        except OSError:
            pass
        finally:
            if not target.transport.is_closing():
                with contextlib.suppress(OSError):
                    target.close()


@contextmanager
def running(target: int) -> Iterator[TcpProxy]:
    """A proxy to ``target`` while the block runs."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.stop()
