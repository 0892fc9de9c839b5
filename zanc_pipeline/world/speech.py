"""The voices of the simulated world, spoken by espeak-ng in Brazilian Portuguese.

All clips are 8 kHz mono 16-bit WAV, band-limited like a telephone line and with its faint noise, so
that the answering machine detection hears what it would hear on a real call.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.stack import debian

RATE = 8000
MARKER = ".zanc-speech.json"
_RECIPE = 3
"""Raise it when a phrase or the processing changes: folders of an older recipe are redone."""

Samples = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One phrase: the file's stem, the words, the voice and its speed in words a minute."""

    stem: str
    text: str
    voice: str
    speed: int


_VOICES = ("m1", "f2", "m3", "f1", "m5", "f3", "m2", "f4", "m7", "f5", "m4", "m6")
_HELLOS = (
    "Alô?", "Alô.", "Alô!", "Oi, alô?", "Alô?", "Pronto?", "Alô?", "Alô, quem fala?", "Oi?",
    "Alô? Alô?", "Bom dia.", "Alô?",
)  # fmt: skip
_GREETINGS = (
    "Sua chamada está sendo encaminhada para a caixa postal. Deixe o seu recado após o sinal.",
    "No momento não posso atender. Por favor, deixe a sua mensagem depois do bipe. Obrigada.",
    "Você ligou para o correio de voz do número desejado. Grave o seu recado após o sinal.",
    "Aqui é da casa da família. Não estamos agora, deixe recado que retornamos a ligação.",
    "A pessoa que você chamou não está disponível. Grave a sua mensagem após o sinal.",
    "O telefone chamado está desligado ou fora da área de cobertura. Tente mais tarde, por favor.",
    "Esta é a caixa de mensagens. Deixe o seu nome e o seu telefone depois do sinal sonoro.",
    "Olá, tudo bem, não posso falar agora, mande uma mensagem ou deixe o seu recado após o bipe.",
)
_TALK = (
    "Sim, sou eu mesmo. Do que se trata?",
    "Ah, eu sei, estou com essa conta atrasada.",
    "E tem algum desconto para pagar à vista?",
    "Esse mês está difícil, só consigo no dia dez.",
    "Pode mandar o boleto por mensagem, por favor.",
    "Está bem, eu vou pagar na semana que vem.",
)
_OPERATOR = (
    "Bom dia, aqui é da Zanc. Falo com o titular da linha?",
    "Consta uma parcela em aberto no seu contrato.",
    "Conseguimos um desconto especial para pagamento à vista.",
    "Posso enviar o boleto para o seu celular?",
    "Qual seria a melhor data para o senhor?",
    "Perfeito, fica combinado então. A Zanc agradece.",
)
_SAFE_MESSAGE = "Olá. Esta é uma ligação da Zanc. Retornaremos em outro momento. Obrigada."

HELLOS: tuple[str, ...] = tuple(f"alo_{n:02d}" for n in range(1, len(_HELLOS) + 1))
"""Voices of people who answer: values of ``CallPlan.voice`` for a human."""
GREETINGS: tuple[str, ...] = tuple(f"greeting_{n:02d}" for n in range(1, len(_GREETINGS) + 1))
"""Voices of answering machines."""
TALKS: tuple[str, ...] = tuple(f"talk_{n:02d}" for n in range(1, len(_TALK) + 1))
OPERATOR_LINES: tuple[str, ...] = tuple(f"operator_{n:02d}" for n in range(1, len(_OPERATOR) + 1))
SAFE_MESSAGE = "safe_message"
BEEP = "beep"


def clips() -> list[Clip]:
    """Every spoken clip; the beep is not spoken."""
    found: list[Clip] = []
    for stems, texts, speeds in (
        (HELLOS, _HELLOS, (150, 165, 140, 170)),
        (GREETINGS, _GREETINGS, (165, 175, 160)),
        (TALKS, _TALK, (165, 175)),
        (OPERATOR_LINES, _OPERATOR, (170, 180)),
        ((SAFE_MESSAGE,), (_SAFE_MESSAGE,), (165,)),
    ):
        found += [
            Clip(
                stem=stem,
                text=text,
                voice=f"pt-br+{_VOICES[number % len(_VOICES)]}",
                speed=speeds[number % len(speeds)],
            )
            for number, (stem, text) in enumerate(zip(stems, texts, strict=True))
        ]
    return found


def install(root: Path, progress: Callable[[str], None] = lambda _line: None) -> Path:
    """Fetch espeak-ng from the machine's own Debian suite under ``root``; raises StackError."""
    return debian.fetch(["espeak-ng"], debian.machine_suite(), root, progress=progress)


def ensure_speech(
    out_dir: Path, espeak_root: Path, progress: Callable[[str], None] = lambda _line: None
) -> Path:
    """Generate every clip in ``out_dir`` unless it is complete; returns ``out_dir``.

    ``espeak_root`` is the folder of ``install``.  Raises StackError when espeak-ng does not run.
    """
    if _recipe_of(out_dir) == _RECIPE:
        return out_dir
    progress("speech: generating the voices")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.partial-", dir=out_dir.parent))
    try:
        tree = work / "speech"
        tree.mkdir()
        noise = np.random.default_rng(20261123)
        for clip in clips():
            words = speak(espeak_root, clip.text, voice=clip.voice, speed=clip.speed)
            write_wav(tree / f"{clip.stem}.wav", telephone(words, noise))
        write_wav(tree / f"{BEEP}.wav", beep())
        (tree / MARKER).write_text(json.dumps({"recipe": _RECIPE}), encoding="utf-8")
        if out_dir.exists():
            out_dir.replace(work / "old")
        try:
            tree.replace(out_dir)
        except OSError:
            # Another process was as quick; what it made is the same.
            if _recipe_of(out_dir) != _RECIPE:
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out_dir


def _recipe_of(folder: Path) -> int | None:
    try:
        marker: Any = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker.get("recipe") if isinstance(marker, dict) else None


def speak(root: Path, text: str, *, voice: str, speed: int, pitch: int = 50) -> Samples:
    """The words at 8 kHz, in -1 … 1, silence at both ends cut.

    ``root`` is the folder of ``install``; ``speed`` is in words a minute, ``pitch`` from 0 to 99.
    Raises StackError when espeak-ng does not run or says nothing.
    """
    data = next(iter(sorted(root.glob("usr/lib/*/espeak-ng-data"))), None)
    if data is None:
        raise StackError(f"no espeak-ng under {root}; run the installation again")
    options = [f"--path={data.parent}", "-v", voice, "-s", str(speed), "-p", str(pitch)]
    try:
        result = subprocess.run(
            [*debian.relocated(root, "usr/bin/espeak-ng"), *options, "--stdout", text],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"espeak-ng does not run: {error}") from error
    if result.returncode != 0 or len(result.stdout) <= 44:
        words = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StackError(f"espeak-ng could not say {text!r} as {voice}: {' '.join(words)}")
    with wave.open(io.BytesIO(result.stdout)) as sound:
        rate = sound.getframerate()
        # On a pipe the header does not know the length; the data does.
        frames = np.frombuffer(
            result.stdout[44:], dtype="<i2", count=(len(result.stdout) - 44) // 2
        )
    return _trim(resample(frames.astype(np.float64) / 32768.0, rate, RATE))


def resample(samples: Samples, rate: int, target: int) -> Samples:
    """The same sound at another sampling rate (by its spectrum: fit for short clips)."""
    count = max(1, round(len(samples) * target / rate))
    spectrum = np.fft.rfft(samples)
    wanted = np.zeros(count // 2 + 1, dtype=np.complex128)
    shared = min(len(spectrum), len(wanted))
    wanted[:shared] = spectrum[:shared]
    result: Samples = np.fft.irfft(wanted, count) * (count / len(samples))
    return result


def telephone(samples: Samples, noise: np.random.Generator) -> Samples:
    """Band-limited to 300–3400 Hz, levelled at -8 dB of full scale, with a faint line noise."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    filtered = np.fft.irfft(spectrum, len(samples))
    levelled = filtered * (0.4 / max(1e-9, float(np.abs(filtered).max())))
    result: Samples = levelled + noise.normal(0.0, 12 / 32768, len(levelled))
    return result


def beep(seconds: float = 0.5, frequency: float = 1000.0) -> Samples:
    """The tone after which an answering machine records."""
    moments = np.arange(round(RATE * seconds)) / RATE
    result: Samples = 0.35 * np.sin(2 * np.pi * frequency * moments)
    return result


def _trim(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    if len(loud) == 0:
        return samples
    return samples[max(0, int(loud[0]) - 80) : int(loud[-1]) + 160]


def write_wav(path: Path, samples: Samples) -> None:
    """Write a sound at 8 kHz as mono WAV of 16 bits."""
    clipped = np.clip(samples * 32767, -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(clipped.tobytes())
