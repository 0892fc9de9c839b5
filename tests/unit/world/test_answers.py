"""The spoken test audio: what is in which set, and where its first word begins."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from zanc_pipeline.world import answers
from zanc_pipeline.world.greetings import HELD, TRAIN, Part
from zanc_pipeline.world.speech import RATE, Samples

GREETINGS = {"Alô", "Oi", "Olá", "Bom dia", "Boa tarde", "Boa noite"}
"""What people and machines may begin with."""


@pytest.fixture(autouse=True)
def spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buzz as long as the words."""

    def speak(_root: Path, text: str, **_voice: object) -> Samples:
        at = np.arange(round(RATE * 0.06 * len(text))) / RATE
        sound: Samples = np.sign(np.sin(2 * np.pi * 500 * at))
        return sound

    monkeypatch.setattr(answers, "speak", speak)


def words_of(part: Part) -> set[str]:
    return {word.rstrip(",") for column in part.people + part.machines for word in column} - {""}


def test_parts_share_no_voice_and_no_word_but_greetings() -> None:
    for one, other in combinations([*TRAIN, HELD], 2):
        assert not set(one.voices) & set(other.voices)
        assert words_of(one) & words_of(other) <= GREETINGS


def test_the_same_seed_is_the_same_sound() -> None:
    first, second = (list(answers.recordings("train", Path(), each=6)) for _ in range(2))
    assert [one.name for one in first] == [one.name for one in second]
    assert all(np.array_equal(a.sound, b.sound) for a, b in zip(first, second, strict=True))
    assert [one.kind for one in first].count("machine") == 6


@pytest.mark.parametrize("which", ["train", "held"])
def test_the_first_word_begins_where_it_is_said_to(which: answers.Set) -> None:
    for one in answers.recordings(which, Path(), each=12):
        assert len(one.sound) == pytest.approx(RATE * answers.SECONDS, abs=RATE * 0.02)
        assert np.abs(one.sound).max() <= 1
        begins = round(RATE * one.begins)
        word = np.abs(one.sound[begins : begins + RATE // 4])
        assert np.quantile(word, 0.9) > 0.05


def test_words_written_are_read_by_kind(tmp_path: Path) -> None:
    assert answers.write(tmp_path, answers.recordings("train", Path(), each=2)) == 4
    assert sorted(path.parent.name for path in tmp_path.rglob("*.wav")) == [
        "human", "human", "machine", "machine",
    ]  # fmt: skip
