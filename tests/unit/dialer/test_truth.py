"""What became of a call whose end nobody saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dialer.attempt import Attempt, Judged, State, advance
from dialer.truth import Record, judge, read_causes, read_records
from zanc_pipeline.common.outcomes import Outcome

CREATED = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
NOW = CREATED + timedelta(minutes=2)
LONG_BEFORE = CREATED - timedelta(hours=1)
ID = "0123456789abcdef" * 2


def attempt(**values: object) -> Attempt:
    return Attempt(id=ID, created_at=CREATED, **values)  # type: ignore[arg-type]


def record(
    disposition: str,
    *,
    to: str = "",
    userfield: str = "",
    answered: bool = False,
    cause: int | None = None,
) -> Record:
    return Record(
        attempt=ID,
        to_channel=to,
        answered_at=CREATED + timedelta(seconds=5) if answered else None,
        ended_at=CREATED + timedelta(seconds=30),
        disposition=disposition,
        userfield=userfield,
        cause=cause,
    )


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        ([record("BUSY")], Outcome.BUSY),
        ([record("NO ANSWER")], Outcome.NO_ANSWER),
        ([record("NO ANSWER", cause=1)], Outcome.INVALID_NUMBER),
        ([record("NO ANSWER", cause=16)], Outcome.NO_ANSWER),
        ([record("NO ANSWER", cause=34)], Outcome.NETWORK_FAILURE),
        ([record("BUSY", cause=17)], Outcome.BUSY),
        ([record("CONGESTION")], Outcome.NETWORK_FAILURE),
        ([record("FAILED")], Outcome.NETWORK_FAILURE),
        ([record("ANSWERED", answered=True, userfield="machine")], Outcome.MACHINE),
        ([record("ANSWERED", answered=True, userfield="abandoned")], Outcome.ABANDONED),
        ([record("ANSWERED", answered=True, userfield="human")], Outcome.ABANDONED),
        ([record("ANSWERED", answered=True)], Outcome.ABANDONED),
        ([record("ANSWERED", answered=True, to="PJSIP/op03-0000001f")], Outcome.HUMAN),
    ],
)
def test_the_record_of_the_pbx_decides(records: list[Record], outcome: Outcome) -> None:
    verdict = judge(attempt(), records, pbx_started_at=None, now=NOW)
    assert (verdict.outcome, verdict.placed) == (outcome, True)
    assert verdict.at == CREATED + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("known", "told", "outcome"),
    [
        ({"cancel_wanted": True}, record("NO ANSWER", cause=16), Outcome.CANCELLED),
        ({"cancel_wanted": True}, record("NO ANSWER", cause=1), Outcome.INVALID_NUMBER),
        (
            {"cancel_wanted": True},
            record("ANSWERED", answered=True, cause=16),
            Outcome.ABANDONED,
        ),
        # Asterisk 16, of one that rang until its time was over; 22 says 19.
        ({"ringing_at": CREATED}, record("FAILED", cause=0), Outcome.NO_ANSWER),
        ({}, record("FAILED", cause=0), Outcome.NO_ANSWER),
        ({"state": State.ENDED}, record("FAILED", cause=0), Outcome.NETWORK_FAILURE),
        # Either, of one that rang when it was told to stop.
        ({"ringing_at": CREATED}, record("NO ANSWER", cause=0), Outcome.UNKNOWN),
    ],
)
def test_what_we_know_ourselves_explains_a_record_without_a_cause(
    known: dict[str, object], told: Record, outcome: Outcome
) -> None:
    assert judge(attempt(**known), [told], pbx_started_at=None, now=NOW).outcome is outcome


def test_the_cause_of_the_hangup_is_kept() -> None:
    verdict = judge(attempt(), [record("NO ANSWER", cause=1)], pbx_started_at=None, now=NOW)
    assert advance(attempt(), verdict).attempt.hangup_cause == 1


def test_causes_are_found_by_the_attempt_and_a_torn_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "hangups.csv"
    other = "f" * 32
    path.write_text(
        f'{ID},{{"hangupcause":1,"hangupsource":"","dialstatus":""}}\n'
        f'1700000000.7,{{"hangupcause":16}}\n{other},{{"hangupca'
    )
    assert read_causes(path, [ID, other]) == {ID: 1}
    assert read_causes(tmp_path / "absent.csv", [ID]) == {}


def test_the_operator_who_talked_is_read_from_the_record() -> None:
    rows = [
        record("NO ANSWER", to="PJSIP/op01-00000001", answered=True),
        record("ANSWERED", to="PJSIP/op07-00000002", answered=True),
    ]
    assert judge(attempt(), rows, pbx_started_at=None, now=NOW).operator == "op07"


def test_a_talk_that_nobody_saw_begins_when_the_operator_answered(tmp_path: Path) -> None:
    account = f"{CREATED.timestamp() + 5:.3f}-{CREATED.timestamp() + 8.25:.3f}"
    path = tmp_path / "Master.csv"
    path.write_text(
        f'"{account}","1140028900","op01","zanc-operator","","PJSIP/carrier-1","PJSIP/op01-2",'
        '"Dial","","2026-11-23 13:00:00","2026-11-23 13:00:05","2026-11-23 13:00:30",30,25,'
        f'"ANSWERED","DOCUMENTATION","{ID}","human"\n'
    )
    verdict = judge(attempt(), read_records(path, [ID])[ID], pbx_started_at=None, now=NOW)
    ended = advance(attempt(), verdict).attempt
    assert ended.connected_at == CREATED + timedelta(seconds=8.25)
    assert ended.ended_at == CREATED + timedelta(seconds=30)


def test_without_a_record_a_call_that_the_pbx_could_have_recorded_was_never_placed() -> None:
    verdict = judge(attempt(), [], pbx_started_at=LONG_BEFORE, now=NOW)
    assert verdict == Judged(at=NOW, outcome=Outcome.CANCELLED, placed=False)


@pytest.mark.parametrize(
    ("records", "started_at", "seen"),
    [
        (None, LONG_BEFORE, False),
        ([], None, False),
        ([], CREATED + timedelta(minutes=1), False),
        ([], CREATED - timedelta(seconds=1), False),
        ([], LONG_BEFORE, True),
    ],
    ids=["no records", "out of reach", "restarted since", "restarted just then", "seen leaving"],
)
def test_where_nothing_is_proved_the_outcome_is_unknown(
    records: list[Record] | None, started_at: datetime | None, seen: bool
) -> None:
    verdict = judge(attempt(channel_seen=seen), records, pbx_started_at=started_at, now=NOW)
    assert verdict == Judged(at=NOW, outcome=Outcome.UNKNOWN, placed=True)


def test_records_are_found_by_the_attempt_and_a_torn_row_is_skipped(tmp_path: Path) -> None:
    line = (
        '"","1140028900","s","zanc-answered","","PJSIP/carrier-1","PJSIP/op01-2","Dial","",'
        '"2026-11-23 13:00:00","2026-11-23 13:00:05","2026-11-23 13:00:30",30,25,"ANSWERED",'
        '"DOCUMENTATION","{}","human"\n'
    )
    path = tmp_path / "Master.csv"
    path.write_text(line.format(ID) + line.format("f" * 32) + '"","1140')
    found = read_records(path, [ID])
    assert [one.to_channel for one in found[ID]] == ["PJSIP/op01-2"]
    assert found[ID][0].answered_at == CREATED + timedelta(seconds=5)
    assert read_records(path, ["e" * 32]) == {}
    assert read_records(tmp_path / "absent.csv", [ID]) == {}
