"""What the page *Recepção* reads of the ledger, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pytest

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import inbox
from zanc_pipeline.reception.inbox import Choice

pytestmark = pytest.mark.integration

TODAY = date(2026, 11, 23)
NOON = datetime.combine(TODAY, time(12), LOCAL)
BOTH = frozenset({"banco_aurora", "energia_sul"})


@pytest.fixture(autouse=True)
def ledger(settings: Settings) -> Iterator[None]:
    """Four weeks of both at nine; today only Aurora's, quarantined, and one of them twice."""
    came = [
        (convenio, f"{convenio}_{back}.csv", "loaded", NOON - timedelta(days=back, hours=3))
        for back in range(1, 29)
        for convenio in sorted(BOTH)
    ]
    came += [
        ("banco_aurora", "Aurora_HOJE%.csv", "quarantined", NOON - timedelta(hours=3)),
        ("energia_sul", "sul.csv", "duplicate", NOON - timedelta(hours=2)),
        ("telecom_brisa", "brisa.csv", "held", NOON - timedelta(days=2)),
    ]
    with transaction(settings, "zanc") as cursor:
        for place, (convenio, name, status, at) in enumerate(came):
            cursor.execute(
                "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, status,"
                " received_at) VALUES (%s, %s, %s, 1, %s, %s)",
                (convenio, name, f"{place:064}", status, at),
            )
    yield
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery CASCADE")


def read(settings: Settings, choice: Choice, *, rows: int = 100) -> inbox.Inbox:
    before = inbox.arrivals(settings, choice.day or TODAY)
    return inbox.read(settings, choice, now=NOON, rows=rows, arrivals=before)


def test_a_day_names_what_came_and_what_is_missing(settings: Settings) -> None:
    seen = read(settings, Choice(day=TODAY, among=BOTH))
    assert [one.file_name for one in seen.deliveries] == ["sul.csv", "Aurora_HOJE%.csv"]
    standing = {one.convenio: one for one in seen.standings}
    assert set(standing) == BOTH
    assert standing["banco_aurora"].counts == {"quarantined": 1}
    assert not standing["banco_aurora"].missing
    # The same file again is no news: today's has not come.
    assert standing["energia_sul"].missing
    expected = standing["energia_sul"].expected
    assert expected is not None
    assert (expected.at.hour, expected.by.hour, expected.by.minute) == (9, 9, 30)
    assert [one.convenio for one in inbox.missing(settings, now=NOON)] == ["energia_sul"]
    assert inbox.missing(settings, now=NOON - timedelta(hours=2, minutes=45)) == []


def test_what_the_reader_may_not_see_is_not_told(settings: Settings) -> None:
    seen = read(settings, Choice(day=TODAY, among=BOTH))
    assert seen.open_days == {}
    seen = read(settings, Choice(day=TODAY, among=BOTH | {"telecom_brisa"}))
    assert seen.open_days == {TODAY - timedelta(days=2): 1}


def test_choices_narrow_and_pages_follow_one_another(settings: Settings) -> None:
    everything = Choice(day=None, among=BOTH, convenio="banco_aurora")
    first = read(settings, everything, rows=20)
    assert (len(first.deliveries), first.more) == (20, True)
    last = first.deliveries[-1].id
    rest = read(
        settings,
        Choice(day=None, among=BOTH, convenio="banco_aurora", before=last),
        rows=20,
    )
    assert (len(rest.deliveries), rest.more) == (9, False)
    found = read(settings, Choice(day=None, among=BOTH, text="hoje%"))
    assert [one.file_name for one in found.deliveries] == ["Aurora_HOJE%.csv"]
    held = read(settings, Choice(day=None, among=BOTH, statuses=("held", "quarantined")))
    assert len(held.deliveries) == 1


def test_a_case_holds_all_that_is_known(settings: Settings) -> None:
    (delivery,) = read(settings, Choice(day=TODAY, among=BOTH, text="hoje")).deliveries
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO reception.rejected_row VALUES (%s, 3, 'cpf', '***', 'não confere')",
            (delivery.id,),
        )
    found = inbox.case(settings, delivery.id)
    assert found.delivery == delivery
    assert [(row.line, row.field) for row in found.rejected] == [(3, "cpf")]
    assert (found.proposal, found.correction, found.decisions, found.loads) == (None, None, [], [])
    with pytest.raises(DataError):
        inbox.case(settings, 10**9)
