"""Recordings of answered calls as the table that ``models/alo`` learns from."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dialer.alo.listening import FEATURES, RATE, Listener
from zanc_pipeline.common.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

MOMENTS = tuple(round(0.5 + 0.1 * step, 1) for step in range(29))
"""Seconds after the answer at which a live call is judged: 0.5 to 3.3."""
SPOKEN = (0.4, 1.75)
SILENT = 1.0
"""What is learnt from: so many seconds of voice and what follows it, or of silence before it."""


def table(folders: Sequence[Path]) -> pa.Table:
    """One row a recording and moment: ``recording``, ``machine``, then ``FEATURES``.

    Only the moments at which something might be said are rows.
    Each folder holds ``human/*.wav`` and ``machine/*.wav``, from the answer on, 16-bit mono at
    8 kHz. The order is that of the folders: what is in the last fifth is never trained on. Raises
    DataError, which names the file.
    """
    import pyarrow as pa

    names: list[str] = []
    machines: list[bool] = []
    rows: list[NDArray[np.float32]] = []
    for path in _files(folders):
        listener, done, sound = Listener(), 0, read(path)
        for moment in MOMENTS:
            until = round(moment * RATE)
            if until > len(sound):
                break
            listener.feed(sound[done:until])
            done = until
            features = listener.features()
            if not _matters(features):
                continue
            names.append(path.stem)
            machines.append(path.parent.name == "machine")
            rows.append(features)
    columns = np.array(rows, dtype=np.float32).T
    return pa.table(
        {"recording": names, "machine": machines, **dict(zip(FEATURES, columns, strict=True))}
    )


def _matters(features: NDArray[np.float32]) -> bool:
    spoken = features[FEATURES.index("since_voice_began")]
    if np.isnan(spoken):
        return bool(features[FEATURES.index("heard")] >= SILENT)
    return bool(SPOKEN[0] <= spoken <= SPOKEN[1])


def read(path: Path) -> NDArray[np.int16]:
    """The samples of a WAV file; DataError when it is of another kind."""
    try:
        with wave.open(str(path)) as sound:
            form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            frames = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{path}: not a WAV file: {error}") from None
    if form != (1, 2, RATE):
        raise DataError(f"{path}: must be mono, 16 bits, {RATE} Hz; found {form}")
    return np.frombuffer(frames, dtype="<i2")


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        found = sorted(
            (path for kind in ("human", "machine") for path in (folder / kind).glob("*.wav")),
            key=lambda path: (path.stem.rpartition("-")[2], path.parent.name),
        )
        if not found:
            raise DataError(f"{folder}: no human/*.wav and no machine/*.wav in it")
        yield from found
