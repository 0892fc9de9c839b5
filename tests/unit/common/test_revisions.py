"""The rooms' histories of revisions: one line each, and a first one that stays."""

from __future__ import annotations

import pytest
from alembic.script import ScriptDirectory

from zanc_pipeline.common.migrations import rooms
from zanc_pipeline.common.migrations.alembic_runner import configuration


@pytest.mark.parametrize("name", rooms())
def test_revisions_follow_each_other_by_number(name: str) -> None:
    room = rooms()[name]
    found = ScriptDirectory.from_config(configuration(room))
    revisions = [one.revision for one in found.walk_revisions()]
    assert revisions == [f"{number:04d}" for number in range(len(revisions), 0, -1)]
    assert found.get_heads() == [room.head]


@pytest.mark.parametrize("name", rooms())
def test_a_first_revision_that_has_followers_has_a_script_of_its_own(name: str) -> None:
    """While there is one revision it is ``schema.sql`` itself; later it must not change with it."""
    room = rooms()[name]
    if room.head > "0001":
        assert not (room.revisions / "r0001_initial.sql").is_symlink()
