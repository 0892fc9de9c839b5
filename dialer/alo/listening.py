"""What is heard of an answered call, 20 ms at a time, as figures that tell a person from a machine.

Pure: sound in, figures out. A person says a short word and waits; a machine goes on, or plays a
tone. The figures are timings of voice and silence, how steady and how tonal the sound is, all as
known at a moment: the same code makes the training table and hears the live call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
"""Samples of 20 ms."""
FRAME_SECONDS = FRAME / RATE

FEATURES = (
    "heard",
    "silence_before",
    "since_voice_began",
    "voice",
    "voice_share",
    "bursts",
    "first_burst",
    "longest_burst",
    "last_burst",
    "longest_pause",
    "silence_now",
    "talking",
    "first_pause",
    "second_burst",
    "syllables",
    "syllable_rate",
    "level_spread",
    "tonal",
    "steady_tone",
    "brightness",
    "brightness_spread",
    "crossings",
    "rhythm",
    *(f"loud_{tenth:02d}" for tenth in range(16)),
)
"""Names of the figures, in the order of ``Listener.features``. Times are in seconds.

``loud_NN`` is how loud that tenth of a second since the voice began was, in dB of the loudest
frame. How loud or how noisy a line is, is no figure: it says nothing of who answers.
"""

_SPECTRUM = np.fft.rfftfreq(FRAME, 1 / RATE)
_WINDOW = np.hanning(FRAME)
_QUIET = 40.0
"""RMS of 16-bit samples under which nothing is voice, however quiet the line is."""
_NO_SOUND = 8.5
"""RMS of the silence that a network makes itself: A-law has no 0, its codes are ±8 and more."""
_ABOVE_NOISE = 4.0
"""Voice is this many times louder than the noise floor (12 dB)."""
_AT_LEAST = 2.0
"""Sound whose loudest frame is not so many times louder than its quiet ones holds no voice."""
_SWELL = 0.12
"""A syllable is a swell of the sound by more than this (2.4 dB) in powers of ten."""
_TENTH = 5
"""Frames."""
_BRIDGED = 3
"""Pauses of up to so many frames (60 ms) are within a word: the closing of a consonant."""

Frames = NDArray[np.float64]


class Listener:
    """Hears one call. ``feed`` it with what arrives, ask ``features`` whenever wanted."""

    def __init__(self) -> None:
        self._rest = np.empty(0, dtype=np.int16)
        self._frames: list[tuple[float, float, float, float, float]] = []

    @property
    def heard(self) -> float:
        """Seconds heard since the call was answered."""
        return len(self._frames) * FRAME_SECONDS

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Take sound: 16-bit samples, 8,000 a second, any number of them."""
        block = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(block) // FRAME * FRAME
        self._rest = block[whole:].copy()
        if whole:
            self._frames.extend(_measure(block[:whole].reshape(-1, FRAME).astype(np.float64)))

    def voice_began(self) -> float | None:
        """Seconds from the answer to the first voice; None while there was none."""
        voiced = _voiced(np.array([frame[0] for frame in self._frames]))
        return float(voiced.argmax()) * FRAME_SECONDS if voiced.any() else None

    def features(self, silence: float = 0.0) -> NDArray[np.float32]:
        """The figures of ``FEATURES`` as known now, when ``silence`` seconds followed the sound."""
        frames = self._frames + [_NOTHING] * round(silence / FRAME_SECONDS)
        return _figures(np.array(frames, dtype=np.float64).reshape(-1, 5))


def _measure(blocks: Frames) -> list[tuple[float, float, float, float, float]]:
    """Of each frame: level (RMS), peak of the spectrum in Hz, its share, centroid, crossings."""
    level = np.maximum(np.sqrt((blocks * blocks).mean(axis=1)), _NO_SOUND)
    power = np.abs(np.fft.rfft(blocks * _WINDOW, axis=1)) ** 2 + 1e-9
    total = power.sum(axis=1)
    top = power.argmax(axis=1)
    rows = np.arange(len(blocks))
    around = power[rows, top].copy()
    around += power[rows, np.maximum(top - 1, 0)]
    around += power[rows, np.minimum(top + 1, power.shape[1] - 1)]
    centroid = (power * _SPECTRUM).sum(axis=1) / total
    crossings = (np.diff(np.signbit(blocks), axis=1) != 0).mean(axis=1)
    measured = (level, _SPECTRUM[top], around / total, centroid, crossings)
    return list(zip(*(column.tolist() for column in measured), strict=True))


_NOTHING = _measure(np.zeros((1, FRAME)))[0]


def _voiced(level: Frames) -> NDArray[np.bool_]:
    """Which frames are voice: well above the quietest tenth of what was heard so far."""
    if not len(level):
        return np.zeros(0, dtype=bool)
    # Before the called end is through, the network sends no sound at all: that is not its noise.
    line = level[int((level > _NO_SOUND).argmax()) :]
    floor = min(float(np.quantile(line, 0.1)), float(np.median(line[:5])) + _QUIET)
    loudest = float(level.max())
    if loudest < _AT_LEAST * floor:  # the same all the time: a line, however loud
        return np.zeros(len(level), dtype=bool)
    voiced = level > max(_QUIET, min(_ABOVE_NOISE * floor, 0.35 * loudest))
    starts, ends = _runs(~voiced)
    for start, end in zip(starts, ends, strict=True):
        if start > 0 and end < len(level) and end - start <= _BRIDGED:
            voiced[start:end] = True
    starts, ends = _runs(voiced)
    for start, end in zip(starts, ends, strict=True):
        if end - start <= 1 and end < len(level):  # a click
            voiced[start:end] = False
    return voiced


def _runs(flags: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()


def _figures(frames: Frames) -> NDArray[np.float32]:
    count = len(frames)
    level = frames[:, 0]
    voiced = _voiced(level)
    starts, ends = _runs(voiced)
    lengths = [(end - start) * FRAME_SECONDS for start, end in zip(starts, ends, strict=True)]
    pauses = [
        (start - end) * FRAME_SECONDS for start, end in zip(starts[1:], ends[:-1], strict=True)
    ]
    heard = count * FRAME_SECONDS
    figures = np.full(len(FEATURES), np.nan, dtype=np.float32)
    if not lengths:
        nothing = {"heard": heard, "silence_before": heard, "voice": 0, "voice_share": 0}
        nothing |= {"bursts": 0, "silence_now": heard, "talking": 0}
        for name, value in nothing.items():
            figures[FEATURES.index(name)] = value
        return figures
    loud = frames[voiced]
    peaks, shares, centroids = loud[:, 1], loud[:, 2], loud[:, 3]
    since = (count - starts[0]) * FRAME_SECONDS
    voice = float(voiced.sum()) * FRAME_SECONDS
    silent = (count - ends[-1]) * FRAME_SECONDS
    tone = shares > 0.8  # nearly all of the sound in one place of the spectrum
    steady = tone[1:] & (np.abs(np.diff(peaks)) <= 50) if len(peaks) > 1 else np.zeros(1, bool)
    syllables = _syllables(level[starts[0] :])
    known = [
        heard,
        heard - since,
        since,
        voice,
        voice / since,
        len(lengths),
        lengths[0],
        max(lengths),
        lengths[-1],
        max(pauses, default=0.0),
        silent,
        float(voiced[-1]),
        pauses[0] if pauses else silent,
        lengths[1] if len(lengths) > 1 else np.nan,
        syllables,
        syllables / voice,
        float(loud[:, 0].std() / (loud[:, 0].mean() + 1)),
        float(shares.mean()),
        float(steady.mean()),
        float(centroids.mean()),
        float(centroids.std()),
        float(loud[:, 4].mean()),
        len(lengths) / since,
    ]
    tenths = min(len(FEATURES) - len(known), (count - starts[0]) // _TENTH)
    course = level[starts[0] : starts[0] + _TENTH * tenths].reshape(tenths, _TENTH).mean(axis=1)
    figures[: len(known)] = known
    figures[len(known) : len(known) + tenths] = 20 * np.log10(course / level.max())
    return figures


def _syllables(level: Frames) -> int:
    """How often the sound swells and fades again."""
    curve = np.convolve(np.log10(level + _QUIET), np.full(3, 1 / 3), "same")
    found, rising, turn = 0, True, curve[0]
    for value in curve.tolist():
        if rising == (value > turn):
            turn = value
        elif abs(value - turn) > _SWELL:
            found += rising
            rising, turn = not rising, value
    return found
