"""What the simulated telephone network does with a call: a FastAGI server in asyncio.

The carrier's dialplan asks once for each call; the answer is a ``CallPlan``, set as channel
variables.  The law behind the plans is somebody else's: ``serve`` takes it as a function.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zanc_pipeline.common.outcomes import Outcome

log = logging.getLogger(__name__)

OUTCOMES = frozenset(
    {
        Outcome.HUMAN,
        Outcome.MACHINE,
        Outcome.BUSY,
        Outcome.NO_ANSWER,
        Outcome.INVALID_NUMBER,
        Outcome.NETWORK_FAILURE,
    }
)
"""What a network can do with a call."""

_NUMBER = re.compile(r"\+?[0-9]{1,20}")
_VOICE = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MAX_HEADERS = 64
_MAX_LINE = 4096


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """What happens to one call.

    ``ring_seconds`` pass before the outcome (before the answer, the busy signal, the failure);
    ``talk_seconds`` after the answer the called side hangs up, if the other has not; ``voice`` is
    the stem of a clip of ``zanc_pipeline.world.speech``.
    """

    outcome: Outcome
    ring_seconds: float = 2.0
    talk_seconds: float = 20.0
    voice: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"a network can't end a call as {self.outcome!r}")
        if not 0 <= self.ring_seconds <= 120:
            raise ValueError(f"ring_seconds {self.ring_seconds} is not between 0 and 120")
        if not 0 < self.talk_seconds <= 3600:
            raise ValueError(f"talk_seconds {self.talk_seconds} is not between 0 and 3600")
        if self.voice and _VOICE.fullmatch(self.voice) is None:
            raise ValueError(f"voice {self.voice!r} is not a file's stem")


Decide = Callable[[str, datetime], CallPlan]

FAILURE = CallPlan(outcome=Outcome.NETWORK_FAILURE, ring_seconds=0.0)
_DEFAULT_VOICES = {Outcome.HUMAN: "alo_01", Outcome.MACHINE: "greeting_01"}


class CarrierServer:
    """Answers the carrier's questions; open one with ``running`` or ``serve``."""

    def __init__(
        self, decide: Decide, *, journal: Path | None = None, timeout_seconds: float = 5.0
    ) -> None:
        self._decide = decide
        self._timeout = timeout_seconds
        self._journal = journal
        self._tasks: set[asyncio.Task[None]] = set()
        if journal is not None:
            journal.parent.mkdir(parents=True, exist_ok=True)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call: read its AGI environment, decide, set the variables, close."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(self._timeout):
                environment = await _read_environment(reader)
                plan = self._plan(environment)
                for name, value in (
                    ("RING", f"{plan.ring_seconds:.3f}"),
                    ("TALK", f"{plan.talk_seconds:.3f}"),
                    ("VOICE", plan.voice or _DEFAULT_VOICES.get(plan.outcome, "")),
                    # Last: without it the dialplan stays with a failure of the network.
                    ("OUTCOME", plan.outcome.value),
                ):
                    writer.write(f'SET VARIABLE {name} "{value}"\n'.encode())
                    await writer.drain()
                    reply = await reader.readline()
                    if not reply.startswith(b"200"):
                        # The caller has gone: there is nobody to play the outcome to.
                        break
        except (TimeoutError, ValueError, ConnectionError, asyncio.IncompleteReadError) as error:
            log.warning("carrier: a malformed or broken AGI request (%s)", error or "timeout")
        finally:
            writer.close()

    async def close(self) -> None:
        """End the conversations that are still open."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _plan(self, environment: dict[str, str]) -> CallPlan:
        now = datetime.now(UTC)
        number = environment.get("agi_extension", "")
        if _NUMBER.fullmatch(number) is None:
            log.warning("carrier: %.40r is not a number", number)
            plan = CallPlan(outcome=Outcome.INVALID_NUMBER, ring_seconds=0.0)
        else:
            try:
                plan = self._decide(number, now)
            except Exception:
                # The law is not ours; its fault must cost one call, not the network.
                log.exception("carrier: the law failed for a call")
                plan = FAILURE
        if self._journal is not None:
            entry = {
                "at": now.isoformat(),
                "number": number,
                "uniqueid": environment.get("agi_uniqueid", ""),
                "outcome": plan.outcome.value,
                "ring_seconds": plan.ring_seconds,
                "talk_seconds": plan.talk_seconds,
                "voice": plan.voice,
            }
            with self._journal.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return plan


@asynccontextmanager
async def running(
    decide: Decide, *, host: str = "127.0.0.1", port: int = 0, journal: Path | None = None
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port (a free one is taken for 0)."""
    carrier = CarrierServer(decide, journal=journal)
    server = await asyncio.start_server(carrier.handle, host, port, limit=_MAX_LINE, backlog=512)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await carrier.close()
        await server.wait_closed()


async def serve(
    decide: Decide, host: str = "127.0.0.1", port: int = 4573, *, journal: Path | None = None
) -> None:
    """Serve until cancelled.

    ``decide`` gets the dialled number (digits) and the time (aware, UTC) and runs in the event
    loop, so it must be quick.  ``journal`` gets each decision as a line of JSON.
    """
    async with running(decide, host=host, port=port, journal=journal):
        await asyncio.Event().wait()


async def _read_environment(reader: asyncio.StreamReader) -> dict[str, str]:
    environment: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        # A line over the reader's limit raises ValueError.
        line = (await reader.readline()).decode("utf-8", errors="replace")
        if not line.endswith("\n"):
            raise ValueError("the request ended early")
        if not line.strip():
            return environment
        key, colon, value = line.strip().partition(":")
        if not colon:
            raise ValueError("a line without a colon")
        environment[key.strip()] = value.strip()
    raise ValueError("too many headers")
