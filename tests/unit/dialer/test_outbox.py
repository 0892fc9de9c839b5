"""Calls go to localization at least once, and a bad one holds back nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dialer.outbox import Outbox, call_of
from zanc_pipeline.common.errors import DataError, UnavailableError

START = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)


def row(call_id: str, crm: str = "norma", **values: Any) -> dict[str, Any]:
    return {
        "id": call_id,
        "closed_number": 1,
        "cpf": "12345678909",
        "phone": "11912345678",
        "crm": crm,
        "convenio": "banco_aurora",
        "created_at": START,
        "ringing_at": None,
        "answered_at": None,
        "connected_at": None,
        "ended_at": START + timedelta(seconds=70),
        "outcome": "no_answer",
        "tabulation": None,
        **values,
    }


class FakeCalls:
    """The store's outbox in memory."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.refused: dict[str, str] = {}

    async def outbox(self, limit: int, without: list[str]) -> list[dict[str, Any]]:
        return [one for one in self.rows if one["crm"] not in without][:limit]

    async def mark_exported(self, attempts: list[tuple[str, int]]) -> None:
        self.rows = [one for one in self.rows if (one["id"], one["closed_number"]) not in attempts]

    async def mark_refused(self, attempt_id: str, closed_number: int, reason: str) -> None:
        self.refused[attempt_id] = reason
        await self.mark_exported([(attempt_id, closed_number)])


class FakeLocalization:
    """Takes everything but the calls in ``bad``; CRMs in ``down`` are not served."""

    def __init__(self, *, bad: Sequence[str] = (), down: Sequence[str] = ()) -> None:
        self.bad, self.down = bad, down
        self.taken: list[str] = []

    async def record_calls(self, crm: str, calls: Sequence[Mapping[str, Any]]) -> None:
        if crm in self.down:
            raise UnavailableError("localization", "here")
        if any(call["call_id"] in self.bad for call in calls):
            raise DataError("localization refuses it")
        self.taken += [call["call_id"] for call in calls]


async def test_all_calls_are_sent_and_confirmed() -> None:
    calls, service = FakeCalls(*(row(f"a{n}") for n in range(5))), FakeLocalization()
    assert await Outbox(calls, service).flush() == (5, "")  # type: ignore[arg-type]
    assert (service.taken, calls.rows) == ([f"a{n}" for n in range(5)], [])


async def test_a_call_that_is_tabulated_while_it_is_being_sent_is_sent_once_more() -> None:
    calls, service = FakeCalls(row("a")), FakeLocalization()

    async def record(crm: str, sent: Sequence[Mapping[str, Any]]) -> None:
        service.taken.append(str(sent[0]["tabulation"]))
        if len(service.taken) == 1:
            calls.rows = [row("a", tabulation="promise", closed_number=2)]

    service.record_calls = record  # type: ignore[method-assign]
    await Outbox(calls, service).flush()  # type: ignore[arg-type]
    assert (service.taken, calls.rows) == (["None", "promise"], [])


async def test_one_call_that_is_refused_for_good_holds_back_no_other() -> None:
    calls = FakeCalls(*(row(f"a{n}") for n in range(7)))
    service = FakeLocalization(bad=["a4"])
    await Outbox(calls, service).flush()  # type: ignore[arg-type]
    assert sorted(service.taken) == ["a0", "a1", "a2", "a3", "a5", "a6"]
    assert list(calls.refused) == ["a4"]


async def test_a_crm_that_is_not_served_holds_back_only_itself() -> None:
    calls = FakeCalls(row("a", "norma"), row("b", "larga"), row("c", "norma"))
    service = FakeLocalization(down=["norma"])
    sent, problem = await Outbox(calls, service).flush()  # type: ignore[arg-type]
    assert (sent, service.taken) == (1, ["b"])
    assert "does not answer" in problem
    assert [one["id"] for one in calls.rows] == ["a", "c"]


def test_ring_and_talk_are_measured_from_the_events() -> None:
    call = call_of(
        row(
            "a",
            ringing_at=START + timedelta(seconds=2),
            answered_at=START + timedelta(seconds=8),
            connected_at=START + timedelta(seconds=10),
            outcome="human",
            tabulation="promise",
        )
    )
    assert (call["ring_seconds"], call["talk_seconds"]) == (6.0, 60.0)
    assert call["started_at"] == "2026-11-23T13:00:00+00:00"
    silent = call_of(row("a"))
    assert (silent["ring_seconds"], silent["talk_seconds"]) == (None, 0.0)
