"""The log over years: months, archives, rebuilding, late tabulations, who asked for whom."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crm_world import cpf

from zanc_pipeline.common.database import connect, transaction
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import archive, base, bulk, rebuild, tokens
from zanc_pipeline.localization.calls import Call

pytestmark = pytest.mark.integration

PHONE = "11987654321"
MARCH = datetime(2026, 3, 10, 18, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "TRUNCATE localization.call, localization.person_phone, localization.archive"
        )


@pytest.fixture
def connection(settings: Settings) -> Iterator[Any]:
    opened = connect(settings, "zanc")
    yield opened
    opened.close()


def call(number: int, **changed: Any) -> Call:
    made = Call(
        call_id=f"c{number}",
        cpf=cpf(1),
        phone=PHONE,
        started_at=MARCH + timedelta(minutes=number),
        talk_seconds=0.0,
        outcome=Outcome.NO_ANSWER,
    )
    return replace(made, **changed)


def record(connection: Any, *calls: Call, crm: str = "norma") -> tuple[int, int]:
    with connection:
        return base.record_calls(connection, crm, calls)


def random_calls(count: int, seed: int, months: int) -> list[Call]:
    chosen = random.Random(seed)
    return [
        call(
            number,
            cpf=cpf(1 + chosen.randrange(4)),
            phone=f"1198765432{chosen.randrange(4)}",
            started_at=MARCH - timedelta(minutes=chosen.randrange(months * 43_000)),
            outcome=chosen.choice(list(Outcome)),
            tabulation=chosen.choice([None, None, *Tabulation]),
        )
        for number in range(count)
    ]


def table_of(calls: list[Call], crm: str = "norma") -> pa.Table:
    from zanc_pipeline.localization.logbook import call_schema

    rows = [
        {
            "crm": crm,
            **{name: getattr(one, name) for name in call_schema().names if name != "crm"},
        }
        for one in calls
    ]
    return pa.Table.from_pylist(rows, call_schema())


def partitions(settings: Settings) -> set[str]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'localization.call'::regclass"
        )
        return {row["relname"] for row in cursor.fetchall()}


def test_the_same_call_id_is_one_call_whatever_else_it_says(connection: Any) -> None:
    assert record(connection, call(1)) == (1, 0)
    other = call(1, phone="11987654322", started_at=MARCH - timedelta(days=70))
    assert record(connection, other) == (0, 1)
    assert record(connection, other, crm="larga") == (1, 0)


@pytest.mark.parametrize("seed", range(3))
def test_bulk_and_single_reports_keep_the_same_summaries(
    settings: Settings, connection: Any, seed: int
) -> None:
    calls = random_calls(400, seed, months=3)
    chosen = random.Random(seed)
    bulk.load(settings, [table_of(calls[:150])])
    while len(calls) > 150:
        size = chosen.choice([1, 3, 40])
        record(connection, *calls[150 : 150 + size])
        del calls[150 : 150 + size]
    assert bulk.load(settings, [table_of(random_calls(400, seed, months=3))]) == 0
    found = rebuild.verify(settings)
    assert (found.calls, found.differing, found.right) == (400, 0, True)


def test_rebuilding_puts_every_summary_right(settings: Settings) -> None:
    bulk.load(settings, [table_of(random_calls(300, 8, months=2))])
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM localization.person_phone ORDER BY cpf, phone")
        before = cursor.fetchall()
        cursor.execute(
            "UPDATE localization.person_phone SET answers = answers + 1 WHERE cpf = %s", (cpf(1),)
        )
        cursor.execute("DELETE FROM localization.person_phone WHERE cpf = %s", (cpf(2),))
        cursor.execute(
            "INSERT INTO localization.person_phone (cpf, phone, mobile, source, first_seen, "
            "last_seen, attempts) VALUES (%s, '1133334444', false, 'x', now(), now(), 3)",
            (cpf(9),),
        )
        cursor.execute("UPDATE localization.phone SET answer_hours = '\\x00', invalids = 99")
        cursor.execute(
            "DELETE FROM localization.call_key WHERE key IN "
            "(SELECT key FROM localization.call_key LIMIT 7)"
        )
    assert not rebuild.verify(settings).right
    assert rebuild.rebuild(settings).differing > 8
    assert rebuild.verify(settings).right
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT * FROM localization.person_phone WHERE cpf <> %s ORDER BY cpf, phone", (cpf(9),)
        )
        assert cursor.fetchall() == before


def test_old_months_move_to_files_and_are_still_known(settings: Settings, connection: Any) -> None:
    calls = random_calls(600, 4, months=5)
    bulk.load(settings, [table_of(calls)])
    late = call(9000, started_at=MARCH - timedelta(days=300))  # in call_rest
    record(connection, late)
    whole = archive.calls_of_phone(settings, PHONE)
    before = rebuild.verify(settings)
    assert before.right

    done = list(archive.archive_before(settings, date(2026, 2, 15)))
    assert [month.month for month in done] == sorted(month.month for month in done)
    assert sum(month.calls for month in done) == sum(
        one.started_at < datetime(2026, 2, 1, 3, tzinfo=UTC) for one in [*calls, late]
    )
    assert not any(name <= "call_2026_01" for name in partitions(settings))

    assert archive.calls_of_phone(settings, PHONE) == whole
    assert rebuild.verify(settings) == before
    old = min(calls, key=lambda one: one.started_at)
    assert record(connection, old, late) == (0, 2)
    with pytest.raises(DataError, match="call 1: started_at: its month is archived"):
        record(connection, call(9001), call(9002, started_at=old.started_at))
    connection.rollback()
    with pytest.raises(DataError, match="archived"):
        bulk.load(settings, [table_of([call(9003, started_at=old.started_at)])])
    assert bulk.load(settings, [table_of(calls)]) == 0
    assert record(connection, call(9001)) == (1, 0)
    connection.commit()
    assert list(archive.archive_before(settings, date(2026, 2, 15))) == []
    # Their identities are kept in little, and known whatever else a repeated report says.
    assert rebuild.verify(settings).right
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT count(*) AS keys FROM localization.call_key")
        assert cursor.fetchone()["keys"] == before.keys + 1 - sum(month.calls for month in done)
    assert record(connection, replace(old, started_at=MARCH)) == (0, 1)
    assert bulk.load(settings, [table_of([replace(late, started_at=MARCH), call(9004)])]) == 1


def test_a_file_that_is_not_what_the_table_holds_drops_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk.load(settings, [table_of(random_calls(200, 4, months=1))])
    write = archive._write

    def damaged(cursor: Any, name: str, path: Any) -> int:
        calls = write(cursor, name, path)
        table = pq.read_table(path)
        pq.write_table(
            table.set_column(5, "ring_seconds", pa.array([1.0] * calls, pa.float32())), path
        )
        return calls

    monkeypatch.setattr(archive, "_write", damaged)
    with pytest.raises(ConflictError, match="nothing was dropped"):
        list(archive.archive_before(settings, date(2026, 3, 1)))
    monkeypatch.undo()
    assert rebuild.verify(settings).calls == 200
    # archived after all by the next attempt
    assert next(archive.archive_before(settings, date(2026, 3, 1))).calls > 0
    assert rebuild.verify(settings).right


def test_a_month_that_is_not_over_is_not_archived(settings: Settings) -> None:
    with pytest.raises(DataError, match="future"):
        list(archive.archive_before(settings, (datetime.now(UTC) + timedelta(days=40)).date()))


def test_calls_that_waited_for_their_month_move_into_it(
    settings: Settings, connection: Any
) -> None:
    long_ago = datetime(2019, 7, 9, 12, tzinfo=UTC)
    record(connection, call(1, started_at=long_ago))
    assert "call_2019_07" not in partitions(settings)
    bulk.load(settings, [table_of([call(2, started_at=long_ago)])])
    assert "call_2019_07" in partitions(settings)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT count(*) AS n FROM localization.call_2019_07")
        assert cursor.fetchone()["n"] == 2


def test_a_tabulation_that_comes_later_completes_its_call(
    settings: Settings, connection: Any
) -> None:
    human = {"outcome": Outcome.HUMAN}
    record(connection, call(1, tabulation=Tabulation.NO_TABULATION, **human))
    assert record(connection, call(1, tabulation=Tabulation.WRONG_PERSON, **human)) == (0, 1)
    assert base.rank(settings, cpf(1))[0].suppressed == "wrong_person"
    # only the missing one: what an operator said is not changed
    assert record(connection, call(1, tabulation=Tabulation.PROMISE, **human)) == (0, 1)
    assert base.rank(settings, cpf(1))[0].suppressed == "wrong_person"
    assert rebuild.verify(settings).right


def test_a_number_that_is_answered_again_is_back_in_service(
    settings: Settings, connection: Any
) -> None:
    invalid = {"outcome": Outcome.INVALID_NUMBER}
    record(connection, call(1, **invalid), call(2, cpf=cpf(2), **invalid))
    assert base.rank(settings, cpf(1))[0].suppressed == "invalid_number"
    record(connection, call(3, cpf=cpf(2), outcome=Outcome.HUMAN), crm="larga")
    [found] = base.rank(settings, cpf(1), now=MARCH + timedelta(hours=1))
    assert found.suppressed is None
    assert (found.facts["people"], found.facts["attempts_1"]) == (2, 3)
    assert "o mesmo número consta de 2 pessoas" in found.evidence


def test_weeks_limit_too(settings: Settings, connection: Any) -> None:
    days = [call(n, started_at=MARCH - timedelta(days=1 + n % 5, minutes=n)) for n in range(10)]
    record(connection, *days)
    [verdict] = base.dial_check(settings, cpf(2), [PHONE], now=MARCH)
    assert (verdict.dial, verdict.reason) == (False, "phone_week_limit")
    assert base.dial_check(settings, cpf(2), [PHONE], now=MARCH + timedelta(days=6))[0].dial


def test_days_and_weeks_end_at_midnight_in_sao_paulo(settings: Settings, connection: Any) -> None:
    midnight, second = datetime(2026, 3, 9, 3, tzinfo=UTC), timedelta(seconds=1)
    day = timedelta(days=1)

    def reason(now: datetime) -> str | None:
        [verdict] = base.dial_check(settings, cpf(2), [PHONE], now=now)
        return verdict.reason

    def placed(first: int, count: int, at: datetime) -> None:
        record(connection, *(call(first + n, started_at=at) for n in range(count)))

    placed(0, 3, midnight - second)
    assert reason(midnight - second / 2) == "phone_limit"
    assert reason(midnight) is None
    placed(3, 3, midnight + second)
    assert reason(midnight + 2 * second) == "phone_limit"
    assert reason(midnight + day - second) == "phone_limit"
    assert reason(midnight + day) is None
    placed(6, 3, midnight + day)
    placed(9, 1, midnight + 2 * day)
    # of the ten, three lie one second before the week that begins on the sixth day before
    assert reason(midnight + 6 * day - second) == "phone_week_limit"
    assert reason(midnight + 6 * day) is None


def test_a_token_is_shown_once_and_can_be_revoked(settings: Settings) -> None:
    token = tokens.create(settings, "larga", may=["phones"], days=30)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM localization.token")
        rows = cursor.fetchall()
    assert token not in str(rows)
    own = tokens.own_grants(settings)
    grants = tokens.with_table(own, rows, settings.crms)
    assert grants[tokens.fingerprint(token)].may == {"phones"}
    tokens.revoke(settings, tokens.listing(settings)[-1]["name"])
    tokens.revoke(settings, "norma")
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM localization.token")
        rows = cursor.fetchall()
    left = tokens.with_table(own, rows, settings.crms)
    assert tokens.fingerprint(token) not in left
    assert {grant.crm for grant in left.values()} == set(settings.crms) - {"norma"}
    with pytest.raises(DataError, match="no token"):
        tokens.revoke(settings, "ffffffff")
    with pytest.raises(DataError, match="no CRM"):
        tokens.create(settings, "outro")
