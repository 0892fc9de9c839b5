"""The localization base on a real PostgreSQL."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crm_world import contract, cpf, deliver

from zanc_pipeline.airflow import calls as airflow_calls
from zanc_pipeline.common.database import connect, transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import base, bulk, landing, rebuild
from zanc_pipeline.localization.calls import Call

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 10, 18, 0, tzinfo=UTC)
PHONE = "11987654321"


@pytest.fixture(autouse=True)
def empty(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")


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
        started_at=NOW - timedelta(days=30) + timedelta(minutes=number),
        talk_seconds=0.0,
        outcome=Outcome.NO_ANSWER,
    )
    return replace(made, **changed)


def record(connection: Any, calls: list[Call], crm: str = "norma") -> tuple[int, int]:
    with connection:
        return base.record_calls(connection, crm, calls)


def summary(settings: Settings, phone: str = PHONE) -> dict[str, Any]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM localization.person_phone WHERE phone = %s", (phone,))
        row = cursor.fetchone()
    assert row is not None
    return dict(row)


def random_calls(count: int, seed: int) -> list[Call]:
    chosen = random.Random(seed)
    return [
        call(
            number,
            cpf=cpf(1 + chosen.randrange(4)),
            phone=f"1198765432{chosen.randrange(4)}",
            started_at=NOW - timedelta(minutes=chosen.randrange(3000)),
            outcome=chosen.choice(list(Outcome)),
            tabulation=chosen.choice([None, None, None, *Tabulation]),
        )
        for number in range(count)
    ]


def test_a_repeated_call_is_a_duplicate_and_changes_nothing(
    settings: Settings, connection: Any
) -> None:
    calls = [call(1), call(2, outcome=Outcome.HUMAN, tabulation=Tabulation.PROMISE), call(2)]
    assert record(connection, calls) == (2, 1)
    before = summary(settings)
    assert record(connection, calls) == (0, 3)
    assert summary(settings) == before
    # another CRM may use the same id
    assert record(connection, calls[:1], crm="larga") == (1, 0)


def test_the_summary_of_a_pair_follows_its_calls(settings: Settings, connection: Any) -> None:
    record(connection, [call(1), call(2, outcome=Outcome.HUMAN, tabulation=Tabulation.REFUSAL)])
    record(connection, [call(3), call(4, outcome=Outcome.NETWORK_FAILURE)])
    record(connection, [call(5, outcome=Outcome.BUSY)])
    found = summary(settings)
    assert (found["attempts"], found["answers"], found["right_parties"]) == (5, 1, 1)
    assert found["misses_in_a_row"] == 2  # the network's failure is nobody's miss
    assert found["last_outcome"] == "busy"
    assert found["last_answer_at"] == call(2).started_at
    assert (found["mobile"], found["source"], found["suppressed"]) == (True, "norma", None)


@pytest.mark.parametrize("seed", range(6))
def test_summaries_do_not_depend_on_the_order_of_arrival(
    settings: Settings, connection: Any, seed: int
) -> None:
    calls = random_calls(150, seed)
    chosen = random.Random(seed)
    while calls:
        size = chosen.choice([1, 1, 2, 7, 30])
        record(connection, calls[:size], crm=chosen.choice(["norma", "larga"]))
        calls = calls[size:]
    result = rebuild.verify(settings)
    assert (result.calls, result.differing) == (150, 0)


def test_concurrent_recorders_keep_log_and_summaries_equal(settings: Settings) -> None:
    calls = random_calls(1200, 99)
    failures: list[Exception] = []

    def run(mine: list[Call]) -> None:
        opened = connect(settings, "zanc")
        try:
            for start in range(0, len(mine), 25):
                record(opened, mine[start : start + 25])
        except Exception as error:
            failures.append(error)
        finally:
            opened.close()

    # every call is sent by two of the threads
    halves = [calls[:600], calls[600:], calls[::-1][:600], calls[::-1][600:]]
    threads = [threading.Thread(target=run, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    result = rebuild.verify(settings)
    assert (result.calls, result.differing) == (1200, 0)


def test_verify_finds_a_summary_that_is_not_what_the_log_says(
    settings: Settings, connection: Any
) -> None:
    record(connection, [call(1), call(2)])
    with transaction(settings, "zanc") as cursor:
        cursor.execute("UPDATE localization.person_phone SET attempts = 7")
    result = rebuild.verify(settings)
    assert result.differing == 1
    assert result.examples == ("*********" + cpf(1)[-2:],)


def test_a_wrong_person_is_suppressed_until_the_right_one_speaks(
    settings: Settings, connection: Any
) -> None:
    human = {"outcome": Outcome.HUMAN}
    record(connection, [call(1, tabulation=Tabulation.WRONG_PERSON, **human)])
    assert summary(settings)["suppressed"] == "wrong_person"
    record(connection, [call(2, tabulation=Tabulation.CALLBACK, **human)])
    assert summary(settings)["suppressed"] is None


def test_a_number_invalid_twice_is_suppressed_for_everyone(
    settings: Settings, connection: Any
) -> None:
    record(connection, [call(1, outcome=Outcome.INVALID_NUMBER)])
    assert summary(settings)["suppressed"] is None
    record(connection, [call(2, outcome=Outcome.INVALID_NUMBER)], crm="larga")
    assert summary(settings)["suppressed"] == "invalid_number"
    [verdict] = base.dial_check(settings, cpf(2), [PHONE], now=NOW)
    assert (verdict.dial, verdict.reason) == (False, "invalid_number")


def test_phones_of_a_delivery_become_known_once(settings: Settings) -> None:
    contracts = [contract(1, phone_2="1133334444"), contract(2), contract(3, owner=1)]
    first = deliver(settings, "banco_aurora", date(2026, 11, 23), contracts)
    assert base.add_phones_of_delivery(settings, first) == 3
    assert base.add_phones_of_delivery(settings, first) == 0
    second = deliver(settings, "energia_sul", date(2026, 11, 24), contracts)
    assert base.add_phones_of_delivery(settings, second) == 0
    found = summary(settings, "1133334444")
    assert (found["source"], found["mobile"]) == ("banco_aurora", False)
    assert (found["first_seen"], found["last_seen"]) == (date(2026, 11, 23), date(2026, 11, 24))


def test_limits_count_the_calls_of_all_crms_today(settings: Settings, connection: Any) -> None:
    today = [call(n, started_at=NOW - timedelta(minutes=n)) for n in range(1, 4)]
    record(connection, today[:2])
    assert base.dial_check(settings, cpf(1), [PHONE], now=NOW)[0].dial
    record(connection, today[2:], crm="larga")
    other = "11987654322"
    verdicts = base.dial_check(settings, cpf(1), [other, PHONE], now=NOW)
    assert [(v.phone, v.dial, v.reason) for v in verdicts] == [
        (other, True, None),
        (PHONE, False, "phone_limit"),
    ]
    more = [call(10 + n, phone=other, started_at=NOW - timedelta(hours=1)) for n in range(3)]
    record(connection, more)
    verdict = base.dial_check(settings, cpf(1), ["11987654323"], now=NOW)[0]
    assert (verdict.dial, verdict.reason) == (False, "person_limit")
    # tomorrow is another day
    assert base.dial_check(settings, cpf(1), [PHONE], now=NOW + timedelta(days=1))[0].dial


def test_after_a_talk_with_the_debtor_no_crm_calls_for_two_days(
    settings: Settings, connection: Any
) -> None:
    talk = call(
        1,
        started_at=NOW - timedelta(hours=30),
        outcome=Outcome.HUMAN,
        tabulation=Tabulation.PROMISE,
    )
    record(connection, [talk])
    [verdict] = base.dial_check(settings, cpf(1), ["11987654329"], now=NOW)
    assert (verdict.dial, verdict.reason) == (False, "talked_recently")
    assert base.dial_check(settings, cpf(1), [PHONE], now=NOW + timedelta(hours=20))[0].dial


def test_phones_are_ranked_with_their_evidence(settings: Settings, connection: Any) -> None:
    good, bad, wrong = "11987650001", "11987650002", "11987650003"
    record(
        connection,
        [
            call(1, phone=good, outcome=Outcome.HUMAN, tabulation=Tabulation.PROMISE),
            call(2, phone=bad),
            call(3, phone=bad),
            call(4, phone=wrong, outcome=Outcome.HUMAN, tabulation=Tabulation.WRONG_PERSON),
        ],
    )
    ranked = base.rank(settings, cpf(1), now=NOW)
    assert [phone.phone for phone in ranked] == [good, bad, wrong]
    assert "o titular falou neste número há 29 dias" in ranked[0].evidence
    assert "2 seguidas sem ninguém atender" in ranked[1].evidence
    assert (ranked[2].suppressed, ranked[2].score) == ("wrong_person", 0.0)


CSV = f"""crm,call_id,cpf,phone,started_at,ring_seconds,talk_seconds,outcome,tabulation,convenio
norma,h1,{cpf(1)},{PHONE},2026-03-05T10:00:00-03:00,12.5,0,no_answer,,banco_aurora
larga,h2,{cpf(2)},1133334444,2026-03-05T11:00:00-03:00,4,33.5,human,promise,energia_sul
"""


def test_a_file_of_calls_is_loaded_once(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(CSV)
    assert base.load_file(settings, path) == base.LoadCounts(rows=2, accepted=2, duplicates=0)
    assert base.load_file(settings, path) == base.LoadCounts(rows=2, accepted=0, duplicates=2)
    assert summary(settings)["last_attempt_at"] == datetime(2026, 3, 5, 13, tzinfo=UTC)
    assert rebuild.verify(settings).differing == 0


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (cpf(2), "12345678901", "line 3, column cpf"),
        ("1133334444", "113333444", "line 3, column phone"),
        ("no_answer", "noanswer", "line 2, column outcome"),
        ("promise", "promised", "line 3, column tabulation"),
        ("norma,h1", "outro,h1", "line 2, column crm"),
        ("2026-03-05T11", "2036-03-05T11", "line 3, column started_at"),
        ("33.5", "-1", "line 3, column talk_seconds"),
        ("talk_seconds", "talk", "lacks the columns talk_seconds"),
        ("h2,", ",", "line 3, column call_id"),
        ("h2,", "h 2,", "line 3, column call_id"),
        ("energia_sul", "Energia Sul", "line 3, column convenio"),
        ("11:00:00-03:00", "eleven", "line 3, column started_at"),
        ("11:00:00-03:00", "11:00:00", "line 3, column started_at"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_loaded(
    settings: Settings, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(CSV.replace(right, wrong, 1))
    with pytest.raises(DataError, match=message):
        base.load_file(settings, path)
    assert rebuild.verify(settings).calls == 0


def test_files_that_a_crm_left_are_loaded_by_its_dag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.setattr(airflow_calls, "load_settings", lambda: settings)
    folder = landing.folder_of(settings, "norma")
    right, others = CSV.replace("larga", "norma"), CSV
    for name, text in {"a.csv": right, "b.csv": others, "c.csv": right, "d.part": "x"}.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (1, 1))
    (folder / "e.csv").write_text("crm,call_id\nnorma")  # somebody writes it
    with pytest.raises(AirflowFailException, match=r"b\.csv, line 3, column crm: expected"):
        airflow_calls.load_calls("norma")
    assert rebuild.verify(settings).calls == 2
    (folder / "b.csv").unlink()
    assert airflow_calls.load_calls("norma") == {"files": 0, "accepted": 0, "duplicates": 0}
    (folder / "a.csv").write_text(right)
    os.utime(folder / "a.csv", (1, 1))
    assert airflow_calls.load_calls("norma") == {"files": 1, "accepted": 0, "duplicates": 2}
    assert {path.name for path in folder.iterdir()} == {"d.part", "e.csv", "loaded"}
    kept = {path.name for path in (folder / "loaded").iterdir()}
    assert kept == {"a.csv", "a.1.csv", "c.csv"}


def test_many_calls_load_in_chunks_with_their_summaries(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 1000)
    chosen = random.Random(5)
    calls = random_calls(3500, 5)
    path = tmp_path / "calls.parquet"
    rows = [
        {
            "crm": chosen.choice(["norma", "larga", "leve"]),
            "call_id": f"h{number}",
            "cpf": one.cpf,
            "phone": one.phone,
            "started_at": one.started_at,
            "talk_seconds": one.talk_seconds,
            "outcome": str(one.outcome),
            "tabulation": one.tabulation and str(one.tabulation),
        }
        for number, one in enumerate(calls)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    seen: list[int] = []
    assert base.load_file(settings, path, progress=seen.append).accepted == 3500
    assert sum(seen) == 3500
    assert max(seen) <= 1000
    result = rebuild.verify(settings)
    assert (result.calls, result.differing) == (3500, 0)
