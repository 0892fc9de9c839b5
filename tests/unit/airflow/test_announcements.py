"""A pending upload is announced at once, then ever more rarely, and in the end never."""

from itertools import pairwise

from zanc_pipeline.airflow.announcements import (
    FIRST_REPEAT_SECONDS,
    MAX_ANNOUNCEMENTS,
    Announcements,
    Upload,
)

FILE: Upload = {"path": "/banco_aurora/A.csv", "size": 10, "modified": "20261123120000"}
GROWN: Upload = {**FILE, "size": 11}


def test_a_new_upload_is_announced_once() -> None:
    announcements = Announcements()
    assert announcements.due([FILE], 0) == [FILE]
    assert announcements.due([FILE], 1) == []


def test_a_changed_file_is_another_upload() -> None:
    announcements = Announcements()
    announcements.due([FILE], 0)
    assert announcements.due([GROWN], 1) == [GROWN]


def test_what_the_ledger_never_took_is_announced_ever_more_rarely_and_then_no_more() -> None:
    announcements = Announcements()
    at = [now for now in range(0, 200_000, 10) if announcements.due([FILE], float(now))]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == [FIRST_REPEAT_SECONDS * 2**n for n in range(MAX_ANNOUNCEMENTS - 1)]


def test_memory_survives_the_triggerer() -> None:
    before = Announcements()
    before.due([FILE], 0)
    assert Announcements(before.state()).due([FILE], 1) == []


def test_what_is_no_longer_pending_is_forgotten() -> None:
    announcements = Announcements()
    announcements.due([FILE], 0)
    announcements.due([], 1)
    assert announcements.state() == {}


def test_a_damaged_memory_is_an_empty_one() -> None:
    for stored in (None, "x", [], {"k": 1}, {"k": ["a", "b"]}):
        assert Announcements(stored).due([FILE], 0) == [FILE]


def test_memory_stays_within_what_airflow_stores() -> None:
    many: list[Upload] = [{**FILE, "path": f"/banco_aurora/{n:0100}.csv"} for n in range(2000)]
    announcements = Announcements()
    announcements.due(many, 0)
    assert len(str(announcements.state())) < 65_000
