"""Alô or machine: what is measured of the sound, when something is said, what the wire brings."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from dialer import attempt as events
from dialer.alo.attach import attach
from dialer.alo.decision import Patience, Trees, decide
from dialer.alo.ears import ALAW, Ear, Ears, Stream, packet
from dialer.alo.listening import FEATURES, RATE, Listener
from dialer.alo.table import MOMENTS, table
from tests.patience import PATIENCE
from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.scoring.calibration import Calibration

Sound = NDArray[np.int16]


def silence(seconds: float) -> Sound:
    return np.random.default_rng(7).normal(0, 10, round(RATE * seconds)).astype(np.int16)


def voice(seconds: float, level: float = 4000) -> Sound:
    """A buzz of many harmonics that swells and fades, as a vowel does."""
    at = np.arange(round(RATE * seconds)) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * at) / k for k in range(1, 20))
    return (level * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))).astype(np.int16)


def figures(*parts: Sound) -> dict[str, float]:
    listener = Listener()
    listener.feed(np.concatenate(parts))
    return dict(zip(FEATURES, listener.features().tolist(), strict=True))


class Says:
    """A model that always says the same probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def machine(self, features: NDArray[np.float32]) -> float:
        assert len(features) == len(FEATURES)
        return self.probability


def test_a_word_and_the_silence_after_it_are_measured() -> None:
    seen = figures(silence(0.4), voice(0.5), silence(0.8))
    assert seen["heard"] == pytest.approx(1.7)
    assert seen["silence_before"] == pytest.approx(0.4, abs=0.05)
    assert seen["voice"] == pytest.approx(0.5, abs=0.08)
    assert seen["silence_now"] == pytest.approx(0.8, abs=0.08)
    assert (seen["bursts"], seen["talking"]) == (1, 0)


def test_two_words_are_two_and_a_consonant_is_no_pause() -> None:
    assert figures(voice(0.3), silence(0.3), voice(0.4))["bursts"] == 2
    assert figures(voice(0.3), silence(0.04), voice(0.4))["bursts"] == 1


def test_a_tone_is_told_from_a_voice() -> None:
    at = np.arange(RATE) / RATE
    tone = (6000 * np.sin(2 * np.pi * 1000 * at)).astype(np.int16)
    assert figures(silence(0.2), tone)["steady_tone"] > 0.9
    assert figures(silence(0.2), voice(1.0))["steady_tone"] < 0.5


def test_a_loud_line_is_no_voice() -> None:
    noise = np.random.default_rng(1).normal(0, 200, RATE).astype(np.int16)
    assert figures(noise)["voice_share"] == 0
    assert figures(noise, voice(0.4, level=8000))["voice"] == pytest.approx(0.4, abs=0.1)


def test_in_pieces_it_hears_the_same() -> None:
    sound = np.concatenate([silence(0.3), voice(0.4), silence(0.33)])
    whole, pieces = Listener(), Listener()
    whole.feed(sound)
    for start in range(0, len(sound), 37):
        pieces.feed(sound[start : start + 37])
    assert np.array_equal(whole.features(), pieces.features(), equal_nan=True)


def heard(*parts: Sound) -> NDArray[np.float32]:
    listener = Listener()
    listener.feed(np.concatenate(parts))
    return listener.features()


@pytest.mark.parametrize(
    ("probability", "parts", "said"),
    [
        (0.99, (silence(0.3), voice(0.3)), None),  # too early for anything
        (0.99, (silence(0.3), voice(0.9)), None),  # who goes on speaking may still be a person
        (0.02, (silence(0.3), voice(0.3), silence(0.6)), "human"),
        (0.5, (silence(0.3), voice(0.3), silence(0.6)), None),
        (0.5, (silence(0.3), voice(1.8)), "human"),  # the doubt is for the person
        (0.96, (silence(0.3), voice(1.8)), "machine"),
        (0.5, (silence(3.4),), "human"),  # nobody speaks
    ],
)
def test_when_something_is_said(
    probability: float, parts: tuple[Sound, ...], said: str | None
) -> None:
    assert decide(Says(probability), heard(*parts), Patience()) == said


def test_alaw_is_that_of_the_recommendation() -> None:
    # G.711: 0x55 and 0xD5 are the smallest steps, 0x2A and 0xAA the greatest.
    assert [int(ALAW[code]) for code in (0xD5, 0x55, 0xAA, 0x2A)] == [8, -8, 32256, -32256]
    assert len(set(ALAW.tolist())) == 256


def test_lost_packets_are_silence_and_late_ones_are_left_out() -> None:
    stream, sound = Stream(), voice(0.02)
    first = stream.samples(packet(65534, sound))
    assert first is not None
    assert np.abs(first.astype(int) - sound).max() <= 512
    after = stream.samples(packet(1, sound))  # 65535 and 0 were lost
    assert after is not None
    assert len(after) == 3 * 160
    assert not after[:320].any()
    assert stream.samples(packet(0, sound)) is None
    assert stream.samples(packet(1, sound)) is None


@pytest.mark.parametrize(
    "junk", [b"", b"\x80", bytes(200), b"\x80\x08" + bytes(10), b"\x9f\x08" + bytes(20)]
)
def test_what_is_no_sound_is_left_out(junk: bytes) -> None:
    assert Stream().samples(junk) is None


def packets(sound: Sound, number: int = 0) -> list[bytes]:
    return [
        packet(number + nth, sound[nth * 160 : (nth + 1) * 160]) for nth in range(len(sound) // 160)
    ]


def seen_by(ear: Ear, now: float) -> dict[str, float]:
    return dict(zip(FEATURES, ear.features(now).tolist(), strict=True))


def test_a_network_that_sends_no_silence_is_silent() -> None:
    ear = Ear(asked_at=100.0)
    ear.hear(packets(voice(0.4)), 101.0)  # nothing came for 0.6 s, and nothing will
    seen = seen_by(ear, 101.8)
    assert seen["heard"] == pytest.approx(1.8, abs=0.05)
    assert seen["silence_before"] == pytest.approx(0.6, abs=0.05)
    assert seen["silence_now"] == pytest.approx(0.8, abs=0.08)
    ear.hear(packets(voice(0.2), number=20), 102.0)
    assert seen_by(ear, 102.0)["heard"] == pytest.approx(2.0, abs=0.05)
    assert seen_by(ear, 102.0)["bursts"] == 2


def test_what_a_pause_of_ours_kept_waiting_is_no_silence() -> None:
    ear = Ear(asked_at=100.0)
    sound = packets(voice(1.0))
    for nth in range(10):
        ear.hear(sound[2 * nth : 2 * nth + 2], 100.04 + 0.04 * nth)
    ear.hear(sound[20:], 101.0)
    assert seen_by(ear, 101.02)["heard"] == pytest.approx(1.0, abs=0.021)
    assert seen_by(ear, 101.02)["voice"] == pytest.approx(figures(voice(1.0))["voice"])


async def test_a_call_is_heard_and_told_once() -> None:
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    ears = Ears(Says(0.99), "127.0.0.1", lambda *one: told.put_nowait(one))
    ports: list[int] = []
    for _ in range(2):  # its answer is told by two events
        ears.listen("a1", lambda _, port: ports.append(port))
    assert len(ports) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        sound = voice(1.7)
        for one in packets(sound):
            wire.sendto(one, ("127.0.0.1", ports[0]))
        assert await asyncio.wait_for(told.get(), 10) == ("a1", "machine")
    await ears.close()
    assert told.empty()


async def test_a_call_that_is_not_heard_is_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.alo.ears.DEAF_SECONDS", 0.05)
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    ears = Ears(Says(0.99), "127.0.0.1", lambda *one: told.put_nowait(one))
    ears.listen("a1", lambda _address, _port: None)
    assert await asyncio.wait_for(told.get(), 10) == ("a1", "human")
    await ears.close()


async def test_a_call_that_cannot_be_judged_is_a_person() -> None:
    class Broken:
        def machine(self, features: NDArray[np.float32]) -> float:
            raise IndexError

    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    ears = Ears(Broken(), "127.0.0.1", lambda *one: told.put_nowait(one))
    ports: list[int] = []
    ears.listen("a1", lambda _, port: ports.append(port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        for one in packets(voice(1.2)):
            wire.sendto(one, ("127.0.0.1", ports[0]))
        assert await asyncio.wait_for(told.get(), 10) == ("a1", "human")
    await ears.close()


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration(kind="platt", x=(1.3,), y=(-0.4,)),
        Calibration(kind="isotonic", x=(0.0, 0.5, 1.0), y=(0.1, 0.2, 0.9)),
    ],
)
def test_the_exported_model_says_what_the_trained_one_does(
    calibration: Calibration, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    rows = random.random((80, len(FEATURES)), dtype=np.float32)
    data = xgboost.DMatrix(rows, label=rows[:, 0] > 0.5)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, 5)
    content = {
        "features": list(FEATURES),
        "trees": json.loads(booster.save_raw("json")),
        "calibration": calibration.to_json(),
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(content))
    said = [Trees(path).machine(row) for row in rows[:5]]
    assert said == pytest.approx(calibration.apply(booster.predict(data)[:5]), abs=1e-5)


def test_the_silence_before_the_line_is_through_is_not_its_noise() -> None:
    street = np.random.default_rng(1).normal(0, 300, 2 * RATE).astype(np.int16)
    listener = Listener()
    listener.feed(np.concatenate([np.zeros(RATE // 2, np.int16), street]))
    assert listener.voice_began() is None


def recorded(path: Path, sound: Sound, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.tobytes())


def test_recordings_become_rows_in_the_order_of_the_folders(tmp_path: Path) -> None:
    recorded(tmp_path / "held" / "machine" / "h-0000.wav", voice(4))
    recorded(tmp_path / "train" / "human" / "t-0000.wav", np.concatenate([voice(1), silence(3)]))
    made = table([tmp_path / "train", tmp_path / "held"])
    assert made.column_names == ["recording", "machine", *FEATURES]
    rows = [moment for moment in MOMENTS if moment <= 1.7]  # the voice begins at once
    assert made["recording"].to_pylist() == ["t-0000"] * len(rows) + ["h-0000"] * len(rows)
    assert made["machine"].to_pylist() == [False] * len(rows) + [True] * len(rows)
    assert made["heard"].to_pylist()[: len(rows)] == pytest.approx(rows, abs=0.021)


def test_a_recording_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    recorded(tmp_path / "human" / "x-0001.wav", voice(1), rate=44100)
    with pytest.raises(DataError, match=r"x-0001\.wav: must be mono, 16 bits, 8000 Hz"):
        table([tmp_path])
    with pytest.raises(DataError, match="no human"):
        table([tmp_path / "empty"])


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_call_of_a_central_that_is_gone_leaves_no_port_open() -> None:
    def gone(_address: str, _port: int) -> None:
        raise UnavailableError("Asterisk", "127.0.0.1:5038")

    ears = Ears(Says(0.99), "127.0.0.1", lambda *_: None)
    gc.collect()  # what others left open is not counted
    before = open_files()
    with pytest.raises(UnavailableError):
        ears.listen("a1", gone)
    await asyncio.sleep(0)
    assert open_files() == before


class Deaf:
    """A PBX that is told what ears tell it; no sound ever comes."""

    def __init__(self) -> None:
        self.on_event: Any = lambda *_: None
        self.told: list[str] = []
        self.asked = asyncio.Event()

    def hear(self, _attempt: str, _address: str, _port: int) -> None:
        self.told.append("hear")
        self.asked.set()

    def hear_no_more(self, _attempt: str) -> None:
        self.told.append("hear no more")

    def answered_by(self, _attempt: str, verdict: str) -> None:
        self.told.append(verdict)


async def test_no_verdict_comes_once_the_dialplan_waited_no_longer() -> None:
    pbx, at = Deaf(), datetime(2026, 11, 23, 13, tzinfo=UTC)
    ears = attach(cast(Any, pbx), Says(0.99), "127.0.0.1")
    pbx.on_event("a1", events.Answered(at=at))
    await asyncio.wait_for(pbx.asked.wait(), PATIENCE)
    [judging] = ears._listening.values()
    pbx.on_event("a1", events.Detected(at=at, machine=False))
    await asyncio.wait([judging], timeout=PATIENCE)
    assert (judging.cancelled(), pbx.told) == (True, ["hear", "hear no more"])
