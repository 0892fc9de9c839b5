"""One statement for the questions of many connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from zanc_pipeline.common.errors import UnavailableError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Gathers items while ``flights`` batches are under way, then sends them together.

    The first item of a batch waits at most ``linger`` seconds for others; with 0, a lone item goes
    at once. ``weight`` counts towards ``most``, the size of a batch. An error of ours in one item
    fails only that item: the batch is sent again, one by one.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        flights: int,
        linger: float = 0.0,
        weight: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        self._run, self._most, self._flights = run, most, flights
        self._linger, self._weight = linger, weight
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._flying = 0
        self._timer: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, item: Item) -> Answer:
        """The answer to ``item``; raises what the batch, or this item alone, raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        if self._timer is None and self._flying < self._flights:
            self._timer = loop.call_later(self._linger, self._send)
        return await future

    def _send(self) -> None:
        self._timer = None
        while self._waiting and self._flying < self._flights:
            batch: list[tuple[Item, asyncio.Future[Answer]]] = []
            size = 0
            while self._waiting:
                weight = self._weight(self._waiting[0][0])
                if batch and size + weight > self._most:
                    break
                batch.append(self._waiting.popleft())
                size += weight
            self._flying += 1
            task = asyncio.create_task(self._fly(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self._linger:
                return  # what is left gathers a little more

    async def _fly(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            await self._answer(batch)
        finally:
            self._flying -= 1
            if self._waiting and self._timer is None:
                self._send()

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._run([item for item, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, UnavailableError):
                for one in batch:
                    await self._answer([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
