"""Spoken test audio: how people and machines answer a telephone, for the model of ``models/alo``.

Every recording is what the line brings from the moment of the answer: silence or noise, a phrase in
one of many voices, a codec. Phrases and voices of the set "held" are in no other set, nor are its
foreign accent, its speeds and pitches, its wind, crackles, echoes, people behind and its codec:
what is measured on it was never heard in training. Nobody real speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from zanc_pipeline.world.greetings import HELD, TRAIN, Part
from zanc_pipeline.world.speech import RATE, Samples, speak, telephone, write_wav

SECONDS = 4.0
SEED = 20261124

Set = Literal["train", "held"]
Kind = Literal["human", "machine"]
Random = np.random.Generator

SPEEDS: dict[Set, tuple[int, int]] = {"train": (115, 210), "held": (105, 230)}
PITCHES: dict[Set, tuple[int, int]] = {"train": (15, 85), "held": (5, 99)}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One answered call: what it is, and the sound from the answer on, at 8 kHz, in -1 … 1.

    ``begins`` is the second at which the first word, tone or music begins.
    """

    name: str
    kind: Kind
    sound: Samples
    begins: float


def recordings(which: Set, espeak: Path, *, each: int, seed: int = SEED) -> Iterator[Recording]:
    """``each`` recordings of people and as many of machines; the same seed, the same sounds.

    Those to learn from come in the order of the parts of ``greetings.TRAIN``: the last fifth has
    other voices and other words than the rest. ``espeak`` is the folder of ``speech.install``.
    Raises StackError when espeak-ng does not run.
    """
    random = np.random.default_rng([seed, which == "held"])
    parts = TRAIN if which == "train" else (HELD,)
    plans = [
        _plan(which, kind, number, parts[number * len(parts) // each], random)
        for number in range(each)
        for kind in _KINDS
    ]
    behind = np.zeros(1)  # what a television says: the words of the call before
    with ThreadPoolExecutor(2) as workers:
        for plan, words in zip(plans, workers.map(partial(_speak, espeak), plans), strict=True):
            sound, begins = _line(plan.kind, words, behind, which, random)
            yield Recording(name=plan.name, kind=plan.kind, sound=sound, begins=begins)
            behind = words[-1]


_KINDS: tuple[Kind, ...] = ("human", "machine")


@dataclass(frozen=True, kw_only=True)
class _Plan:
    name: str
    kind: Kind
    texts: tuple[str, ...]
    voice: str
    speed: int
    pitch: int


def _plan(which: Set, kind: Kind, number: int, part: Part, random: Random) -> _Plan:
    columns = part.people if kind == "human" else part.machines
    words = [column[int(random.integers(len(column)))] for column in columns]
    words = [word.rstrip(",") for word in words if word]
    mark = str(random.choice(["?", ".", "!"]))
    texts = [", ".join(words) + mark]
    if len(words) > 1 and random.random() < 0.3:  # breath is taken
        texts = [words[0] + mark, ", ".join(words[1:]) + "."]
    return _Plan(
        name=f"{which}-{kind}-{number:04d}",
        kind=kind,
        texts=tuple(texts),
        voice=f"{random.choice(part.accents)}+{random.choice(part.voices)}",
        speed=int(random.integers(*SPEEDS[which])),
        pitch=int(random.integers(*PITCHES[which])),
    )


def write(folder: Path, found: Iterable[Recording]) -> int:
    """Write recordings as ``human/*.wav`` and ``machine/*.wav``; how many."""
    count = 0
    for one in found:
        path = folder / one.kind / f"{one.name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, one.sound)
        count += 1
    return count


def _speak(root: Path, plan: _Plan) -> list[Samples]:
    return [
        speak(root, text, voice=plan.voice, speed=plan.speed, pitch=plan.pitch)
        for text in plan.texts
    ]


def _line(
    kind: Kind, words: list[Samples], behind: Samples, which: Set, random: Random
) -> tuple[Samples, float]:
    """The call from its answer on, and when the first word or tone begins."""
    loud = float(random.uniform(0.25, 2.0))
    speech = [telephone(clip, random) * loud for clip in words]
    wait = float(random.uniform(0.02, 0.25))
    if kind == "human":
        # From the ear to the mouth: most speak at once, some only after a moment.
        wait += min(1.4, float(random.exponential(0.28)))
        sounds = _joined(speech, random, (0.25, 0.9))
        if random.random() < 0.35:  # nobody answers: again
            sounds += [_silence(float(random.uniform(0.7, 1.6))), speech[0]]
    else:
        wait += min(1.6, float(random.exponential(0.45)))
        sounds, opening = _joined(speech, random, (0.2, 0.6)), random.random()
        if opening < 0.12:
            sounds = [_tones(random), _silence(0.15), *sounds]
        elif opening < 0.2:
            sounds = [_music(5, random), _silence(0.1), *sounds]
        if random.random() < 0.5:
            sounds += [_silence(0.3), _tone(float(random.uniform(400, 1400)), 0.4)]
    # Until the called end is through, the network sends no sound at all, not even noise; and who
    # listens may be late.
    through = float(random.uniform(-0.25, 0.6)) if which == "train" else random.uniform(0.0, 0.6)
    sound = _long(np.concatenate([_silence(wait), *sounds]))
    sound = _surroundings(sound, kind, behind, which, random)
    late = max(0, round(-through * RATE))
    sound = _long(np.concatenate([_silence(max(0.0, through)), sound[late:]]))
    return _codec(sound, which, random), max(0.0, wait + through)


def _joined(clips: list[Samples], random: Random, pause: tuple[float, float]) -> list[Samples]:
    found = [clips[0]]
    for clip in clips[1:]:
        found += [_silence(float(random.uniform(*pause))), clip]
    return found


def _silence(seconds: float) -> Samples:
    return np.zeros(round(RATE * seconds))


def _long(sound: Samples) -> Samples:
    """As long as every recording."""
    count = round(RATE * SECONDS)
    return np.concatenate([sound[:count], np.zeros(max(0, count - len(sound)))])


def _tone(frequency: float, seconds: float) -> Samples:
    moments = np.arange(round(RATE * seconds)) / RATE
    sound: Samples = 0.3 * np.sin(2 * np.pi * frequency * moments)
    return sound


def _tones(random: Random) -> Samples:
    """The three rising tones before a network's announcement, or one beep."""
    if random.random() < 0.5:
        return _tone(float(random.uniform(400, 1200)), float(random.uniform(0.2, 0.6)))
    return np.concatenate([_tone(hertz, 0.33) for hertz in (950.0, 1400.0, 1800.0)])


def _music(notes: int, random: Random) -> Samples:
    played = random.choice([262.0, 330.0, 392.0, 440.0, 523.0, 659.0], notes)
    return np.concatenate(
        [_tone(note, 0.22) + 0.4 * _tone(2 * note, 0.22) for note in played.tolist()]
    )


def _surroundings(
    sound: Samples, kind: Kind, behind: Samples, which: Set, random: Random
) -> Samples:
    """What else is heard where the telephone is: noise, a television, a knock, a room."""
    count, person, quiet = len(sound), kind == "human", float(random.uniform(0.01, 0.06))
    if which == "train":
        if person and random.random() < 0.2:  # a television or a radio
            heard = np.resize(behind, count) if random.random() < 0.6 else _music(20, random)
            sound = sound + heard[:count] * quiet
        if random.random() < 0.2:  # the handset is lifted, a door, a dog
            until, longest = (0.4, 0.06) if random.random() < 0.5 else (3.0, 0.2)
            sound = sound + _knock(count, until, (0.02, longest), random)
        if random.random() < 0.25:  # a hard room, spoken into from afar
            tail = round(RATE * float(random.uniform(0.1, 0.45)))
            echo = random.normal(0.0, 1.0, tail) * np.exp(-6 * np.arange(tail) / tail)
            echo *= float(random.uniform(0.15, 0.5)) / np.linalg.norm(echo)
            sound = sound + np.convolve(sound, echo)[:count]
    else:
        if person and random.random() < 0.15:  # three who talk at once
            talk = np.resize(behind, count)
            sound = sound + quiet * (talk + np.roll(talk, 2900) + np.roll(talk[::-1], 700)) / 2
        if random.random() < 0.2:  # a bad contact crackles
            cracks = random.random(count) < float(random.uniform(2, 20)) / RATE
            sound = sound + cracks * random.normal(0.0, 0.1, count)
        if random.random() < 0.25:  # the far end of the line gives it back
            late = round(RATE * float(random.uniform(0.06, 0.25)))
            back = np.concatenate([_silence(late / RATE), sound])[:count]
            sound = sound + back * float(random.uniform(0.1, 0.4))
    return sound + _noise(count, which, random) if random.random() < 0.85 else sound


def _knock(count: int, until: float, lasting: tuple[float, float], random: Random) -> Samples:
    length = round(RATE * float(random.uniform(*lasting)))
    start = round(RATE * float(random.uniform(0.0, until)))
    knock = random.normal(0.0, 1.0, length) * np.exp(-4 * np.arange(length) / length)
    sound = np.zeros(count)
    sound[start : start + length] = knock * float(random.uniform(0.02, 0.2))
    return sound


def _noise(count: int, which: Set, random: Random) -> Samples:
    """Line noise; in a third of the calls a street, a fan, a hum or people far away as well."""
    noise: Samples = random.normal(0.0, 1.0, count) * float(random.uniform(5, 40)) / 32768
    if random.random() < 0.35:
        hertz = np.fft.rfftfreq(count, 1 / RATE)
        spectrum = np.fft.rfft(random.normal(0.0, 1.0, count))
        if which == "held":  # the wind: most of it below the voice, in gusts
            spectrum /= 1 + (hertz / float(random.uniform(150, 400))) ** 2
        elif random.random() < 0.7:  # a street is brown, a fan is pink
            spectrum /= np.maximum(hertz, 60.0) ** float(random.uniform(0.4, 1.3))
        else:  # a motor: its turns and their multiples
            turns = float(random.uniform(80, 180))
            spectrum *= 1 / (1 + (((hertz + turns / 2) % turns - turns / 2) / 6) ** 2)
            spectrum /= np.maximum(hertz, 60.0) ** 0.7
        coloured = np.fft.irfft(spectrum, count)
        coloured /= coloured.std()
        if random.random() < 0.4:
            rate = float(random.uniform(2, 6))
            coloured *= 0.5 + 0.5 * np.sin(2 * np.pi * rate * np.arange(count) / RATE) ** 2
        noise = noise + coloured * float(random.uniform(40, 350)) / 32768
    return noise


def _codec(sound: Samples, which: Set, random: Random) -> Samples:
    """G.711 always; often a mobile's codec too, now and then lost packets."""
    if random.random() < 0.5:
        if which == "held":
            sound = _few_bits(sound, int(random.integers(3, 6)))
        elif random.random() < 0.5:
            sound = _strongest(sound, int(random.integers(10, 30)))
        else:  # narrow: fewer levels, a duller top
            spectrum = np.fft.rfft(sound)
            spectrum[np.fft.rfftfreq(len(sound), 1 / RATE) > random.uniform(2600, 3300)] = 0
            sound = np.round(np.fft.irfft(spectrum, len(sound)) * 512) / 512
    if random.random() < 0.15:
        frames = sound[: len(sound) // 160 * 160].reshape(-1, 160).copy()
        lost = random.random(len(frames)) < random.uniform(0.01, 0.05)
        for start in np.flatnonzero(lost).tolist():
            burst = slice(start, start + int(random.integers(1, 4)))
            frames[burst] = 0 if random.random() < 0.5 else 0.7 * frames[max(0, start - 1)]
        sound = frames.ravel()
    if random.random() < 0.15:  # a network that sends no silence
        frames = sound[: len(sound) // 160 * 160].reshape(-1, 160).copy()
        level = np.sqrt((frames * frames).mean(axis=1))
        frames[level < 0.03 * level.max()] = 0
        sound = frames.ravel()
    sound = np.clip(sound, -1, 1)
    return _squeezed(sound, _A_LAW if random.random() < 0.7 else _MU_LAW)


def _strongest(sound: Samples, lines: int) -> Samples:
    """A codec that keeps the strongest lines of the spectrum, of 20 ms windows that overlap."""
    window = np.sin(np.pi * (np.arange(160) + 0.5) / 160)
    padded = np.concatenate([np.zeros(80), sound, np.zeros(160)])
    starts = np.arange(0, len(padded) - 160, 80)
    spectra = np.fft.rfft(padded[starts[:, None] + np.arange(160)] * window, axis=1)
    size = np.abs(spectra)
    least = np.partition(size, -lines, axis=1)[:, -lines]
    spectra[size < least[:, np.newaxis]] = 0
    frames, made = np.fft.irfft(spectra, 160, axis=1) * window, np.zeros(len(padded))
    for offset in (0, 1):  # every other window touches its neighbour and does not overlap it
        one = frames[offset::2].ravel()
        made[80 * offset : 80 * offset + len(one)] += one
    return made[80 : 80 + len(sound)]


def _few_bits(sound: Samples, bits: int) -> Samples:
    """A codec of so many bits a sample, as coarse as each 5 ms are loud."""
    blocks = sound[: len(sound) // 40 * 40].reshape(-1, 40)
    step = np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-4) / 2 ** (bits - 1)
    coarse: Samples = (np.round(blocks / step) * step).ravel()
    return coarse


_MU_LAW = np.log1p(255 * np.linspace(0, 1, 4097)) / np.log(256)
_A_LAW = np.where(
    np.linspace(0, 1, 4097) < 1 / 87.6,
    87.6 * np.linspace(0, 1, 4097),
    1 + np.log(np.maximum(87.6 * np.linspace(0, 1, 4097), 1.0)),
) / (1 + np.log(87.6))
"""The curves of G.711, by the sound's size from 0 to 1."""


def _squeezed(sound: Samples, curve: Samples) -> Samples:
    """The sound through 7 bits of a curve and back."""
    size = np.linspace(0, 1, len(curve))
    codes = np.round(np.interp(np.abs(sound), size, curve) * 127) / 127
    heard: Samples = np.sign(sound) * np.interp(codes, curve, size)
    return heard
