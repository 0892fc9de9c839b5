"""A call as CRMs and dialers report it, checked before it reaches the base."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from zanc_pipeline.common.codecs import parse_cpf, parse_phone
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(minutes=10)
"""How far in the future a caller's clock may be."""

LONGEST_SECONDS = 86_400.0

_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_TABULATIONS = {str(tabulation): tabulation for tabulation in Tabulation}
CALL_ID = re.compile(r"[\w.:@/+-]{1,80}", re.ASCII)
CALL_ID_FORM = "1 to 80 letters, digits or . : @ / + - _"
CONVENIO = re.compile(r"[a-z0-9_]{1,60}", re.ASCII)
CONVENIO_FORM = "a convênio's folder name"

CALL_COLUMNS = (
    "call_id",
    "cpf",
    "phone",
    "started_at",
    "ring_seconds",
    "talk_seconds",
    "outcome",
    "tabulation",
    "convenio",
)

AMEND_COLUMNS = ("crm", "call_id", "phone", "started_at", "tabulation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call to one phone of one person. ``phone`` is DDD + subscriber, digits only."""

    call_id: str
    cpf: str
    phone: str
    started_at: datetime
    talk_seconds: float
    outcome: Outcome
    ring_seconds: float | None = None
    tabulation: Tabulation | None = None
    convenio: str | None = None


def parse_call(entry: object, *, now: datetime) -> Call:
    """The call in a decoded JSON object; fields that we do not know are left alone.

    Raises DataError that names the field and what is expected, without the personal value.
    """
    if not isinstance(entry, Mapping):
        raise DataError("expected an object with call_id, cpf, phone, started_at, …")
    return Call(
        call_id=_matching(entry, "call_id", CALL_ID, CALL_ID_FORM),
        cpf=valid_cpf(entry.get("cpf")),
        phone=valid_phone(entry.get("phone")),
        started_at=_started_at(entry.get("started_at"), now),
        ring_seconds=_seconds(entry, "ring_seconds")
        if entry.get("ring_seconds") is not None
        else None,
        talk_seconds=_seconds(entry, "talk_seconds"),
        outcome=_outcome(entry.get("outcome")),
        tabulation=_tabulation(entry.get("tabulation")),
        convenio=(
            _matching(entry, "convenio", CONVENIO, CONVENIO_FORM)
            if entry.get("convenio") is not None
            else None
        ),
    )


def amendments(calls: Sequence[Call], accepted: Collection[int]) -> list[int]:
    """Positions of the calls, known already, that may bring the tabulation that was missing.

    An operator tabulates after the call was reported with NO_TABULATION: the true one is sent
    under the same call_id.
    """
    if len(accepted) == len(calls):
        return []
    new = frozenset(accepted)
    return [
        place
        for place, call in enumerate(calls)
        if place not in new and call.tabulation not in (None, Tabulation.NO_TABULATION)
    ]


def archived_month(position: int) -> DataError:
    """The error for the new call at ``position`` of a request, whose month is archived."""
    return DataError(
        f"call {position}: started_at: its month is archived and takes no new calls; none was "
        "recorded"
    )


def valid_cpf(value: object) -> str:
    """Eleven digits; DataError when it is not a CPF."""
    cpf = _known_cpf(value) if isinstance(value, str) and len(value) <= 20 else None
    if cpf is None:
        raise DataError("cpf: not a valid CPF (text of 11 digits with its check digits)")
    return cpf


def valid_reference(value: object) -> str:
    """A caller's name for an attempt: in the form of a call_id, which it usually is."""
    return _matching({"reference": value}, "reference", CALL_ID, CALL_ID_FORM)


def valid_phone(value: object) -> str:
    """DDD and subscriber; DataError when it is not a Brazilian phone."""
    phone = _known_phone(value) if isinstance(value, str) and len(value) <= 30 else None
    if phone is None:
        raise DataError("phone: not a Brazilian phone (text of DDD + 8 or 9 digits)")
    return phone.number


_known_cpf = lru_cache(50_000)(parse_cpf)
_known_phone = lru_cache(50_000)(parse_phone)


def _matching(entry: Mapping[str, Any], field: str, pattern: re.Pattern[str], expected: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise DataError(f"{field}: expected {expected}")
    return value


def _started_at(value: object, now: datetime) -> datetime:
    try:
        started = datetime.fromisoformat(value) if isinstance(value, str) else None
        if started is None or started.tzinfo is None:
            raise ValueError
        started = started.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError(
            "started_at: expected ISO 8601 with its UTC offset, as in 2026-11-23T14:05:00-03:00"
        ) from None
    if not EARLIEST <= started <= now + CLOCK_SKEW:
        raise DataError("started_at: before the year 2000 or in the future")
    return started


def _seconds(entry: Mapping[str, Any], field: str) -> float:
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{field}: expected a number of seconds")
    if not 0 <= value <= LONGEST_SECONDS:  # nor is NaN
        raise DataError(f"{field}: expected 0 to {LONGEST_SECONDS:.0f} seconds")
    return float(value)


def _outcome(value: object) -> Outcome:
    found = _OUTCOMES.get(value) if isinstance(value, str) else None
    if found is None:
        raise DataError(f"outcome: expected one of {', '.join(Outcome)}")
    return found


def _tabulation(value: object) -> Tabulation | None:
    if value is None:
        return None
    found = _TABULATIONS.get(value) if isinstance(value, str) else None
    if found is None:
        raise DataError(f"tabulation: expected one of {', '.join(Tabulation)}, or null")
    return found
