"""The dialer's attempts beside the PBX's own records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer.comparing import compare
from dialer.truth import Record

CREATED = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
ID = "0123456789abcdef" * 2


def attempt(outcome: str, **values: Any) -> dict[str, Any]:
    return {
        "id": ID, "pbx": "central", "placed": True, "outcome": outcome, "operator": None,
        "created_at": CREATED, "answered_at": None, "ended_at": CREATED + timedelta(seconds=20),
        "ringing_at": None, "cancel_wanted": False,
        **values,
    }  # fmt: skip


def record(disposition: str, *, to: str = "", seconds: int = 10, cause: int = 16) -> Record:
    answered = CREATED + timedelta(seconds=10) if disposition == "ANSWERED" else None
    return Record(
        attempt=ID, to_channel=to, extension="op02", answered_at=answered, userfield="",
        ended_at=CREATED + timedelta(seconds=10 + seconds), disposition=disposition, cause=cause,
    )  # fmt: skip


TALKED = {"operator": "op02", "answered_at": CREATED + timedelta(seconds=10)}


@pytest.mark.parametrize(
    ("row", "records"),
    [
        (attempt("busy"), [record("BUSY", cause=17)]),
        (attempt("human", **TALKED), [record("ANSWERED", to="PJSIP/op02-0001")]),
        (attempt("human", **TALKED), [record("ANSWERED", to="PJSIP/peer_central2-0001")]),
        (attempt("cancelled", placed=False), []),
        (attempt("cancelled"), [record("NO ANSWER")]),
        (attempt("unknown"), []),
    ],
    ids=["busy", "talked", "talked through the other PBX", "not placed", "cancelled", "unknown"],
)
def test_what_agrees(row: dict[str, Any], records: list[Record]) -> None:
    assert compare([row], {ID: records}, {}).differences == ()


@pytest.mark.parametrize(
    ("row", "records", "what"),
    [
        (attempt("busy"), [], "registro"),
        (attempt("cancelled", placed=False), [record("BUSY")], "registro"),
        (attempt("busy"), [record("NO ANSWER", cause=19)], "resultado"),
        (
            attempt("human", **{**TALKED, "operator": "op01"}),
            [record("ANSWERED", to="PJSIP/op02-0001")],
            "operador",
        ),
        (
            attempt("human", **TALKED),
            [record("ANSWERED", to="PJSIP/op02-0001", seconds=90)],
            "segundos atendidos",
        ),
    ],
)
def test_what_differs(row: dict[str, Any], records: list[Record], what: str) -> None:
    [found] = compare([row], {ID: records}, {}).differences
    assert (found.attempt, found.pbx, found.what) == (ID, "central", what)


def test_what_the_pbx_knew_of_a_lost_call_is_counted_and_a_strange_call_is_told() -> None:
    found = compare([attempt("unknown")], {ID: [record("BUSY")]}, {"central2": ["f" * 32]})
    assert found.known_later == 1
    [stranger] = found.differences
    assert (stranger.pbx, stranger.what) == ("central2", "ligação")
