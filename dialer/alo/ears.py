"""The live sound of answered calls: RTP that a PBX sends us, one UDP port for each call.

The PBX copies what the called person says (ChanSpy into an UnicastRTP channel, the same in Asterisk
16 to 22); nobody on the call hears anything of it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dialer.alo.decision import Model, Patience, Verdict, decide
from dialer.alo.listening import FEATURES, FRAME, RATE, Listener

log = logging.getLogger(__name__)

LONGEST_GAP = 25
"""Lost packets that are taken as silence; a longer hole is left out."""
LATE_SECONDS = 0.08
"""Sound that is missing for longer by the clock is none: there is silence."""
LONGEST_PACKET = 2048
EVERY_SECONDS = 0.1
"""How often a call is judged."""
DEAF_SECONDS = 1.2
"""No sound for so long after it was asked for: it is taken for a person, who must not wait."""
_SPOKEN = FEATURES.index("since_voice_began")
_ALAW = 8
"""Payload type of G.711 A-law, which is what Brazilian networks speak."""


def _alaw_table() -> NDArray[np.int16]:
    """G.711 A-law to linear 16 bits, by the formula of the recommendation."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


ALAW = _alaw_table()


@dataclass
class Stream:
    """The packets of one call, put in order: each gives the samples that follow those before."""

    _next: int | None = None

    def samples(self, packet: bytes) -> NDArray[np.int16] | None:
        """Its sound, with silence for what was lost before it; None for what is of no use."""
        if len(packet) < 12 or packet[0] >> 6 != 2 or packet[1] & 0x7F != _ALAW:
            return None
        start = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            if len(packet) < start + 4:
                return None
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        body = packet[start:]
        if packet[0] & 0x20 and body:
            body = body[: -body[-1]] if 0 < body[-1] <= len(body) else b""
        if not body:
            return None
        number = int.from_bytes(packet[2:4], "big")
        lost = 0 if self._next is None else (number - self._next) & 0xFFFF
        if lost >= 0x8000:
            return None  # late or twice
        self._next = (number + 1) & 0xFFFF
        sound = ALAW[np.frombuffer(body, dtype=np.uint8)]
        if 0 < lost <= LONGEST_GAP:
            return np.concatenate([np.zeros(lost * FRAME, dtype=np.int16), sound])
        return sound


@dataclass(eq=False)
class Ear:
    """One call as it is heard by the clock: where no sound came there was silence.

    Pure: packets and the time in, figures out. Times are seconds of any one clock; ``asked_at`` is
    when the sound was asked for.
    """

    asked_at: float
    listener: Listener = field(default_factory=Listener)
    stream: Stream = field(default_factory=Stream)
    came: bool = False
    """Whether any sound came."""

    def hear(self, packets: Sequence[bytes], now: float) -> None:
        """Take what came since the last time."""
        sounds = [sound for one in packets if (sound := self.stream.samples(one)) is not None]
        if not sounds:
            return
        sound = np.concatenate(sounds)
        self.came = True
        missing = self._silent(now - len(sound) / RATE)
        if missing > LATE_SECONDS:  # a network may send nothing where nothing is said
            self.listener.feed(np.zeros(round(missing * RATE), dtype=np.int16))
        self.listener.feed(sound)
        self.asked_at = min(self.asked_at, now - self.listener.heard)

    def features(self, now: float) -> NDArray[np.float32]:
        """The figures of ``listening.FEATURES`` at this time."""
        missing = self._silent(now)
        return self.listener.features(missing if missing > LATE_SECONDS else 0.0)

    def _silent(self, now: float) -> float:
        return now - self.asked_at - self.listener.heard


class Ears:
    """Listens to calls and says once of each whether a person or a machine answered.

    ``address`` is where the PBXs reach us; ``told`` gets (attempt id, verdict).
    """

    def __init__(
        self,
        model: Model,
        address: str,
        told: Callable[[str, Verdict], None],
        patience: Patience | None = None,
    ) -> None:
        self.address = address
        self._model = model
        self._told = told
        self._patience = patience or Patience()
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._known: set[str] = set()

    def listen(self, attempt_id: str, ask: Callable[[str, int], None]) -> None:
        """Open a port for a call and ``ask`` (address, port) its PBX to send the sound there.

        A call is listened to once. Raises OSError when there is no port, and what ``ask`` raises.
        """
        if attempt_id in self._known:
            return
        self._known.add(attempt_id)
        wire = _open(self.address)
        try:
            ask(self.address, int(wire.getsockname()[1]))
        except BaseException:
            wire.close()
            raise
        task = asyncio.create_task(self._judge(attempt_id, wire))
        self._listening[attempt_id] = task

        def ended(_task: asyncio.Task[None]) -> None:
            self._listening.pop(attempt_id, None)
            wire.close()

        task.add_done_callback(ended)

    def stop(self, attempt_id: str) -> bool:
        """Say nothing more of a call; whether it was being listened to."""
        task = self._listening.get(attempt_id)
        return task is not None and task.cancel()

    def forget(self, attempt_id: str) -> None:
        """The call is over."""
        self._known.discard(attempt_id)
        self.stop(attempt_id)

    async def close(self) -> None:
        """Listen to nobody any more."""
        tasks = list(self._listening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge(self, attempt_id: str, wire: socket.socket) -> None:
        try:
            verdict = await self._verdict(wire)
            if verdict is None:
                log.warning("attempt %s: its sound does not come: taken for a person", attempt_id)
            self._told(attempt_id, verdict or "human")
        except Exception:
            log.exception("attempt %s: it can't be judged: taken for a person", attempt_id)
            self._told(attempt_id, "human")

    async def _verdict(self, wire: socket.socket) -> Verdict | None:
        """What the call is; None when no sound comes."""
        now = asyncio.get_running_loop().time
        deaf_at, ear, wait = now() + DEAF_SECONDS, Ear(asked_at=now()), EVERY_SECONDS
        while ear.came or now() < deaf_at:
            await asyncio.sleep(wait)
            ear.hear(_arrived(wire), now())
            if ear.came:
                features = ear.features(now())
                verdict = decide(self._model, features, self._patience)
                if verdict is not None:
                    return verdict
                left = self._patience.speech_seconds - features[_SPOKEN]
                wait = float(np.fmin(EVERY_SECONDS, left))  # no voice yet: left is not a number
        return None


def _open(address: str) -> socket.socket:
    """A UDP port; what arrives waits in it until it is asked for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wire = socket.socket(family, socket.SOCK_DGRAM)
    try:
        wire.setblocking(False)
        wire.bind((address, 0))
    except BaseException:
        wire.close()
        raise
    return wire


def _arrived(wire: socket.socket) -> list[bytes]:
    packets: list[bytes] = []
    with suppress(BlockingIOError):
        while True:
            packets.append(wire.recv(LONGEST_PACKET))
    return packets


def packet(number: int, samples: NDArray[np.int16]) -> bytes:
    """An RTP packet of A-law sound: what a PBX would send."""
    codes = np.abs(ALAW.astype(np.int32)[None, :] - samples.astype(np.int32)[:, None]).argmin(
        axis=1
    )
    header = bytes([0x80, _ALAW]) + (number & 0xFFFF).to_bytes(2, "big")
    stamp = (number * FRAME & 0xFFFFFFFF).to_bytes(4, "big")
    sound: bytes = codes.astype(np.uint8).tobytes()
    return header + stamp + b"zanc" + sound


assert RATE == 8000  # G.711
