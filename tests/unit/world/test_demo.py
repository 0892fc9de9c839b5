"""What a demo does on its first run, on a later one, and after one that was interrupted."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.world.small_world import DAY
from zanc_pipeline.common.errors import StackError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import demo, generation

UPLOAD = ("world", "upload")
FAULTY = (*UPLOAD, "--with-faults")
MAKE = [("world", "generate"), ("models", "history")]


class Interrupted(Exception):
    """Ctrl-C at some command."""


@pytest.fixture
def commands(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The ``zanc`` commands that the demo runs; the world is real, the stack is not there."""
    ran: list[tuple[str, ...]] = []

    def zanc(settings: Settings, *arguments: str) -> None:
        ran.append(arguments)
        if arguments == ("world", "generate"):
            generation.generate(settings, day=DAY)
        if arguments == ("world", "next-day"):
            generation.next_day(settings)

    def nothing(*arguments: Any, **named: Any) -> None:
        return None

    class Airflow:
        def __init__(self, settings: Settings) -> None:
            """Nobody asks it."""

        wait_for_dags = nothing

    monkeypatch.setattr(demo.lifecycle, "up", nothing)
    monkeypatch.setattr(demo.desk, "add_accounts", nothing)
    monkeypatch.setattr(demo, "AirflowApi", Airflow)
    monkeypatch.setattr(demo, "_zanc", zanc)
    for step in (
        *("_run_dags", "_stop_at_a_failed_run", "_wait_for_files", "_wait_for_campaign"),
        *("_wait_for_quiet", "_wait_for_exports", "_answer_imports"),
    ):
        monkeypatch.setattr(demo, step, nothing)
    monkeypatch.setattr(demo, "_wait_for_mailing", lambda settings, day, *rest: f"m-{day}")
    monkeypatch.setattr(demo.report, "gather", lambda *arguments, **facts: facts)
    return ran


def play(settings: Settings, ran: list[tuple[str, ...]]) -> tuple[Any, list[tuple[str, ...]]]:
    ran.clear()
    return demo.run(settings, lambda line: None)["mailing"], list(ran)


def test_the_first_makes_the_world_and_later_ones_a_fresh_day(
    fresh: Settings, commands: list[tuple[str, ...]]
) -> None:
    mailing, ran = play(fresh, commands)
    assert mailing == "m-2026-11-23"
    assert [command[:2] for command in ran[:2]] == MAKE
    assert ran[2:] == [FAULTY]
    assert {path.parent.name for path in (fresh.var / "calls").glob("*/past.parquet")} == set(
        fresh.crms
    )
    for day in ("m-2026-11-24", "m-2026-11-25"):
        assert play(fresh, commands) == (day, [UPLOAD, ("world", "next-day"), UPLOAD])


@pytest.mark.parametrize("day", [1, 2])
def test_a_day_whose_files_did_not_all_go_up_is_gone_on_with(
    fresh: Settings,
    commands: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    day: int,
) -> None:
    if day == 2:
        play(fresh, commands)
    uploads = iter(range(day))
    zanc: Callable[..., None] = demo._zanc

    def interrupt(settings: Settings, *arguments: str) -> None:
        if arguments[:2] == UPLOAD and next(uploads) == day - 1:
            raise Interrupted
        zanc(settings, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(demo, "_zanc", interrupt)
        with pytest.raises(Interrupted):
            play(fresh, commands)
    mailing, ran = play(fresh, commands)
    assert mailing == f"m-2026-11-{22 + day}"
    assert ran == [FAULTY if day == 1 else UPLOAD]


def test_two_demos_of_one_folder_do_not_mix(
    fresh: Settings, commands: list[tuple[str, ...]]
) -> None:
    (fresh.var / "run").mkdir(parents=True)
    with (fresh.var / "run" / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StackError, match="another demo"):
            play(fresh, commands)
    play(fresh, commands)


def test_a_mark_that_was_half_written_counts_as_none(fresh: Settings) -> None:
    (fresh.var / "world").mkdir(parents=True)
    demo._sent_file(fresh).write_text("")
    assert demo._last_day_sent(fresh) == 0
