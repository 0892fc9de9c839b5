"""The world is made once, advances by days, and survives a kill at any point."""

from __future__ import annotations

import pytest

from tests.unit.world.small_world import DAY
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation, outbox, truth

OPEN = "SELECT convenio, contract, cents FROM contract WHERE paid_on IS NULL"


def contracts(world: Settings) -> dict[tuple[str, str], int]:
    with truth.reading(truth.truth_path(world)) as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(OPEN)}


def tree(world: Settings) -> dict[str, bytes]:
    """The files that other rooms see."""
    folder = world.var / "world"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".sqlite3"
    }


def test_a_second_call_changes_nothing(fresh: Settings) -> None:
    first = generation.generate(fresh, day=DAY)
    before = tree(fresh)
    assert generation.generate(fresh) == first
    assert tree(fresh) == before


def test_another_size_is_refused_unless_forced(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    fresh.world.debtors = 300
    with pytest.raises(ConfigError, match="another seed or size"):
        generation.generate(fresh)
    assert generation.generate(fresh, day=DAY, force=True).debtors == 300


def test_a_killed_generation_starts_again(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    whole = tree(fresh)
    (fresh.var / "world" / "state.json").unlink()
    (fresh.var / "world" / "outbox" / "energia_sul" / "ESUL20261123.txt").unlink()
    (fresh.var / "world" / ".partial").mkdir()
    generation.generate(fresh, day=DAY)
    assert tree(fresh) == whole


def test_a_day_passes(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    before = contracts(fresh)
    sent = {path.name for path in outbox.paths(fresh)}
    state = generation.next_day(fresh)
    after = contracts(fresh)
    assert (state.day, state.reference_date) == (2, "2026-11-24")
    assert state.open_contracts == len(after)
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    assert len(gone) == round(0.02 * len(before))
    assert 0.01 * len(before) < len(new) < 0.03 * len(before)
    assert 0.04 * len(before) < len(changed) < 0.06 * len(before)
    names = {path.name for path in outbox.paths(fresh)}
    assert names == {
        "AURORA_20261124.csv",
        "ESUL20261124.txt",
        "LHZ_20261124_0002.rem",
        "brisa_20261124.zip",
    }
    kept = (fresh.var / "world" / "sent").glob("*/*")
    assert {path.name for path in kept} == sent


def test_a_killed_day_is_completed_and_not_doubled(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    state_file = fresh.var / "world" / "state.json"
    yesterday = state_file.read_bytes()
    generation.next_day(fresh)
    whole, after = tree(fresh), contracts(fresh)
    state_file.write_bytes(yesterday)
    (fresh.var / "world" / "outbox" / "telecom_brisa" / "brisa_20261124.zip").unlink()
    assert generation.next_day(fresh).day == 2
    assert tree(fresh) == whole
    assert contracts(fresh) == after


def test_days_of_one_seed_are_the_same(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    generation.next_day(fresh)
    first = tree(fresh)
    generation.generate(fresh, day=DAY, force=True)
    generation.next_day(fresh)
    assert tree(fresh) == first


def test_the_truth_of_every_file_is_kept(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    generation.next_day(fresh)
    made = outbox.files_of(fresh)
    assert len(made) == 8
    for day in (1, 2):
        good_and_bad = sum(one["rows_good"] + one["rows_bad"] for one in made if one["day"] == day)
        assert good_and_bad > 0
    assert sum(one["rows_good"] + one["rows_bad"] for one in made if one["day"] == 2) == len(
        contracts(fresh)
    )


def test_without_a_world_there_is_no_next_day(fresh: Settings) -> None:
    with pytest.raises(ConfigError, match="zanc world generate"):
        generation.next_day(fresh)


def test_a_world_needs_its_four_creditors(fresh: Settings) -> None:
    del fresh.convenios["energia_sul"]
    with pytest.raises(ConfigError, match="energia_sul"):
        generation.generate(fresh)


def test_a_world_of_an_earlier_version_goes_on(fresh: Settings) -> None:
    generation.generate(fresh, day=DAY)
    with truth.writing(truth.truth_path(fresh)) as connection:
        connection.execute("UPDATE contract SET product = 'CARNÊ' WHERE product = 'CARNE'")
    assert generation.next_day(fresh).day == 2
