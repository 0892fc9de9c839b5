"""Spoken test audio: how people and machines answer a telephone, for the model of ``models/alo``.

Every recording is what the line brings from the moment of the answer: silence or noise, a phrase in
one of many voices, a codec. Phrases, voices and noises of the set "held" are in no other set, nor
are its accents, speeds and pitches, a television behind the person or packets lost in bursts, so
what is measured on it was never heard in training. Nobody real speaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from zanc_pipeline.world.speech import RATE, Samples, speak, telephone, write_wav

SECONDS = 4.0
SEED = 20261123

Set = Literal["train", "held"]
Kind = Literal["human", "machine"]

# What may follow what: a phrase is one of each column, an empty one says nothing. About half of the
# people say one word and wait.
PEOPLE: dict[Set, tuple[tuple[str, ...], ...]] = {
    "train": (
        ("Alô", "Alô", "Alô", "Oi", "Pronto", "Sim", "Opa", "Fala", "Diga", "Alô, alô", "Quem é",
         "Pode falar", "Quem está aí", "Sou eu mesmo", "Bom dia", "Eu, quem é", "Fala comigo",
         "Residência", "Alô, quem deseja"),
        (*[""] * 20, "quem fala", "às ordens", "bom dia", "boa noite", "é a Paula", "tudo bem",
         "pode falar", "casa da Maria", "quem gostaria", "tem alguém aí", "sou eu mesmo",
         "Padaria Central", "estou ouvindo", "um momento", "pode dizer o seu nome",
         "não conheço este número", "a ligação está ruim", "fala mais alto"),
    ),
    "held": (
        ("Alô", "Oi, oi", "Olá", "Pois não", "Hã", "Boa tarde", "Com quem", "Ô de casa", "É ele"),
        (*[""] * 10, "boa tarde", "é o João", "Oficina do Zé", "não estou ouvindo", "por favor",
         "quem está falando", "meu amigo", "sim, pode dizer"),
    ),
}  # fmt: skip
MACHINES: dict[Set, tuple[tuple[str, ...], ...]] = {
    "train": (
        ("", "Olá,", "Oi,", "Alô,", "Bom dia,", "Atenção,", "Mensagem gratuita,", "Bem-vindo,"),
        ("sua chamada está sendo encaminhada para a caixa postal", "este telefone está desligado",
         "o número que você ligou não pode atender agora", "você ligou para a família Souza",
         "aqui é a Paula, não posso atender", "no momento não posso falar",
         "você ligou para o escritório, o nosso horário é de segunda a sexta",
         "a pessoa chamada não está disponível", "caixa postal",
         "o assinante está em outra ligação", "esta é a caixa de mensagens de Carlos",
         "para falar com vendas, digite um", "se você está ouvindo isto é porque eu saí"),
        ("", "deixe o seu recado após o sinal", "tente mais tarde", "deixe o seu nome e telefone",
         "ligue novamente, por favor", "e estará sujeita a cobrança", "aguarde na linha"),
    ),
    "held": (
        ("", "Oi, tudo bem,", "Boa noite,", "Prezado cliente,", "Alô, pessoal,"),
        ("você está sendo direcionado para o correio de voz", "eu não estou disponível agora",
         "o celular chamado encontra-se fora de serviço", "a nossa central está fechada",
         "aqui quem fala é a secretária eletrônica da clínica",
         "todos os nossos atendentes estão ocupados", "este número não existe"),
        ("", "grave a sua mensagem após o tom", "retorne a partir das nove horas",
         "por gentileza, espere um pouco", "consulte o número e tente novamente"),
    ),
}  # fmt: skip
VOICES: dict[Set, tuple[str, ...]] = {
    "train": (
        "m1", "m2", "m3", "m4", "m5", "f1", "f2", "f3", "Alex", "Andrea", "Annie", "Denis",
        "Diogo", "Henrique", "Marcelo", "Mario", "Michael", "adam", "anika", "antonio", "aunty",
        "belinda", "grandma", "grandpa", "klatt2", "linda", "paul", "steph", "whisper",
    ),
    "held": (
        "m6", "m7", "m8", "f4", "f5", "Alicia", "Hugo", "Lee", "Marco", "Storm", "benjamin",
        "caleb", "david", "ed", "edward", "iven2", "john", "klatt4", "max", "miguel", "pablo",
        "pedro", "quincy", "rob", "shelby", "steph2", "travis", "victor", "zac",
    ),
}  # fmt: skip

ACCENTS: dict[Set, tuple[str, ...]] = {"train": ("pt-br",), "held": ("pt-br", "pt-br", "pt")}
SPEEDS: dict[Set, tuple[int, int]] = {"train": (115, 210), "held": (110, 225)}
PITCHES: dict[Set, tuple[int, int]] = {"train": (20, 80), "held": (10, 95)}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One answered call: what it is, and the sound from the answer on, at 8 kHz, in -1 … 1."""

    name: str
    kind: Kind
    sound: Samples


def recordings(which: Set, espeak: Path, *, each: int, seed: int = SEED) -> Iterator[Recording]:
    """``each`` recordings of people and as many of machines; the same seed, the same sounds.

    ``espeak`` is the folder of ``speech.install``. Raises StackError when espeak-ng does not run.
    """
    random = np.random.default_rng([seed, which == "held"])
    plans = [
        _Plan(
            name=f"{which}-{kind}-{number:04d}",
            kind=kind,
            text=_phrase(columns[which], random),
            voice=f"{random.choice(ACCENTS[which])}+{random.choice(VOICES[which])}",
            speed=int(random.integers(*SPEEDS[which])),
            pitch=int(random.integers(*PITCHES[which])),
        )
        for number in range(each)
        for kind, columns in _KINDS
    ]
    behind = np.zeros(1)  # what a television says: the words of the call before
    with ThreadPoolExecutor(2) as workers:
        for plan, words in zip(plans, workers.map(partial(_speak, espeak), plans), strict=True):
            sound = _line(plan.kind, words, behind, which, random)
            yield Recording(name=plan.name, kind=plan.kind, sound=sound)
            behind = words


_KINDS: tuple[tuple[Kind, dict[Set, tuple[tuple[str, ...], ...]]], ...] = (
    ("human", PEOPLE),
    ("machine", MACHINES),
)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    name: str
    kind: Kind
    text: str
    voice: str
    speed: int
    pitch: int


def _phrase(columns: tuple[tuple[str, ...], ...], random: np.random.Generator) -> str:
    words = [column[int(random.integers(len(column)))] for column in columns]
    text = " ".join(
        filter(None, (word if word.endswith(",") else f"{word}," for word in words if word))
    )
    return text.rstrip(",") + str(random.choice(["?", ".", "!"]))


def write(folder: Path, found: Sequence[Recording] | Iterator[Recording]) -> int:
    """Write recordings as ``human/*.wav`` and ``machine/*.wav``; how many."""
    count = 0
    for one in found:
        path = folder / one.kind / f"{one.name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, one.sound)
        count += 1
    return count


def _speak(root: Path, plan: _Plan) -> Samples:
    return speak(root, plan.text, voice=plan.voice, speed=plan.speed, pitch=plan.pitch)


def _line(
    kind: Kind, words: Samples, behind: Samples, which: Set, random: np.random.Generator
) -> Samples:
    """The call from its answer on: waiting, phrase, what follows it, noise, level and codec."""
    speech = telephone(words, random) * float(random.uniform(0.25, 2.0))
    parts = [np.zeros(round(RATE * float(random.uniform(0.02, 0.25))))]
    if kind == "human":
        # From the ear to the mouth: most speak at once, some only after a moment.
        parts.append(np.zeros(round(RATE * min(1.4, float(random.exponential(0.28))))))
        parts.append(speech)
        if random.random() < 0.35:  # nobody answers: again
            parts += [np.zeros(round(RATE * float(random.uniform(0.7, 1.6)))), speech]
    else:
        parts.append(np.zeros(round(RATE * min(1.6, float(random.exponential(0.45))))))
        opening = random.random()
        if opening < 0.12:
            parts += [_tones(random), np.zeros(round(RATE * 0.15))]
        elif opening < 0.2:
            parts += [_music(random), np.zeros(round(RATE * 0.1))]
        parts.append(speech)
        if random.random() < 0.5:
            parts += [np.zeros(round(RATE * 0.3)), _tone(float(random.uniform(400, 1400)), 0.4)]
    sound = np.concatenate(parts)[: round(RATE * SECONDS)]
    sound = np.concatenate([sound, np.zeros(max(0, round(RATE * SECONDS) - len(sound)))])
    if which == "held" and kind == "human" and random.random() < 0.15:
        sound = sound + np.resize(behind, len(sound)) * float(random.uniform(0.01, 0.05))
    if random.random() < 0.85:
        sound = sound + _noise(len(sound), which, random)
    # Until the called end is through, the network sends no sound at all, not even noise; and who
    # listens may be late.
    through = round(RATE * float(random.uniform(-0.25, 0.6)))
    before, late = np.zeros(max(0, through)), max(0, -through)
    sound = np.concatenate([before, sound[late:], np.zeros(late)])[: round(RATE * SECONDS)]
    return _codec(sound, which, random)


def _tone(frequency: float, seconds: float) -> Samples:
    moments = np.arange(round(RATE * seconds)) / RATE
    sound: Samples = 0.3 * np.sin(2 * np.pi * frequency * moments)
    return sound


def _tones(random: np.random.Generator) -> Samples:
    """The three rising tones before a network's announcement, or one beep."""
    if random.random() < 0.5:
        return _tone(float(random.uniform(400, 1200)), float(random.uniform(0.2, 0.6)))
    return np.concatenate([_tone(hertz, 0.33) for hertz in (950.0, 1400.0, 1800.0)])


def _music(random: np.random.Generator) -> Samples:
    notes = random.choice([262.0, 330.0, 392.0, 440.0, 523.0, 659.0], 5)
    return np.concatenate(
        [_tone(note, 0.22) + 0.4 * _tone(2 * note, 0.22) for note in notes.tolist()]
    )


def _noise(count: int, which: Set, random: np.random.Generator) -> Samples:
    """Line noise; in a third of the calls a street, a fan or people far away as well."""
    white = random.normal(0.0, 1.0, count)
    level = float(random.uniform(5, 40)) / 32768
    noise = white * level
    if random.random() < 0.35:
        spectrum = np.fft.rfft(random.normal(0.0, 1.0, count))
        hertz = np.fft.rfftfreq(count, 1 / RATE)
        # A street is brown, a fan is pink; people far away come in waves. Held-out: other slopes.
        slope = random.uniform(0.4, 0.9) if which == "train" else random.uniform(0.9, 1.3)
        coloured = np.fft.irfft(spectrum / np.maximum(hertz, 60.0) ** slope, count)
        coloured /= coloured.std()
        if random.random() < 0.4:
            rate = float(random.uniform(2, 6))
            coloured *= 0.5 + 0.5 * np.sin(2 * np.pi * rate * np.arange(count) / RATE) ** 2
        noise = noise + coloured * float(random.uniform(40, 350)) / 32768
    return noise


def _codec(sound: Samples, which: Set, random: np.random.Generator) -> Samples:
    """G.711 always; often a mobile's codec too, now and then lost packets.

    Held-out: A-law as well as µ-law, and packets lost in bursts that the last one fills.
    """
    if random.random() < 0.5:  # a narrow mobile codec: fewer levels, a duller top
        spectrum = np.fft.rfft(sound)
        spectrum[np.fft.rfftfreq(len(sound), 1 / RATE) > random.uniform(2600, 3300)] = 0
        sound = np.fft.irfft(spectrum, len(sound))
        sound = np.round(sound * 512) / 512
    if random.random() < 0.15:
        frames = sound[: len(sound) // 160 * 160].reshape(-1, 160).copy()
        if which == "train":
            frames[random.random(len(frames)) < random.uniform(0.01, 0.05)] = 0
        else:
            for start in np.flatnonzero(random.random(len(frames)) < random.uniform(0.01, 0.04)):
                burst = slice(start + 1, start + 1 + int(random.integers(1, 4)))
                frames[burst] = 0.7 * frames[start]
        sound = frames.ravel()
    sound = np.clip(sound, -1, 1)
    if which == "held" and random.random() < 0.5:
        return _squeezed(sound, _A_LAW)
    return _squeezed(sound, _MU_LAW)


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
