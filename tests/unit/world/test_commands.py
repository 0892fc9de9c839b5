"""``zanc world`` from the outside."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import commands
from zanc_pipeline.world.commands import world as group


@pytest.mark.parametrize("name", sorted(group.commands))
def test_every_command_and_option_is_documented(name: str) -> None:
    command = group.commands[name]
    assert command.help
    assert all(getattr(option, "help", None) for option in command.params)
    assert CliRunner().invoke(group, [name, "--help"]).exit_code == 0


def test_the_commands_are_those_of_the_demo() -> None:
    wanted = {
        "generate",
        "next-day",
        "upload",
        "files",
        "answers",
        "answer-imports",
        "carrier",
        "operators",
    }
    assert set(group.commands) == wanted


def test_generate_and_next_day_print_one_json_object(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "settings", lambda: fresh)
    made = CliRunner().invoke(group, ["generate", "--day", "2026-11-23", "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["reference_date"] == "2026-11-23"
    following = CliRunner().invoke(group, ["next-day", "--json"])
    assert json.loads(following.stdout)["day"] == 2
    listed = CliRunner().invoke(group, ["files", "--json"])
    assert len(json.loads(listed.stdout)) == 8


def test_people_read_plain_lines(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "settings", lambda: fresh)
    made = CliRunner().invoke(group, ["generate", "--day", "2026-11-23"])
    assert "day 1 (2026-11-23)" in made.stdout
    assert "AURORA_20261123.csv" in CliRunner().invoke(group, ["files"]).stdout
