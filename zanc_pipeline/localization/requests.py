"""What callers of the service send, checked: DataError names the field, never the value."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.localization.calls import (
    Call,
    parse_call,
    valid_cpf,
    valid_phone,
    valid_reference,
)
from zanc_pipeline.localization.limits import DialQuestion

MAX_CALLS = 5000
MAX_PHONES = 50
MAX_PEOPLE = 500
MAX_LEASE_SECONDS = 3600
DEFAULT_LEASE_SECONDS = 120


def decoded(body: bytes) -> Any:
    """The value of a JSON body.

    DataError names the place where it is none, or the name that an object has twice: which of the
    two values is meant, nobody knows.
    """
    try:
        return json.loads(body, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DataError(
            f"the body is not valid JSON: line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise DataError("the body is not valid JSON") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DataError("the body is not valid JSON: an object has the same name twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise DataError(f"the body is not valid JSON: {name} is no number there")


def calls_of(body: object, *, now: datetime) -> list[Call]:
    """The body of ``POST /v1/calls``."""
    if not isinstance(body, list):
        raise DataError("expected a JSON list of calls")
    if len(body) > MAX_CALLS:
        raise DataError(f"at most {MAX_CALLS} calls at a time")
    calls = []
    for position, entry in enumerate(body):
        try:
            calls.append(parse_call(entry, now=now))
        except DataError as error:
            raise DataError(f"call {position}: {error}; none was recorded") from None
    return calls


def people_of(body: object) -> list[str]:
    """The body of ``POST /v1/people/phones``: the CPFs, each once, in order."""
    return list(dict.fromkeys(_each(body, "cpfs", valid_cpf, "a JSON object with cpfs")))


def leases_of(body: object) -> list[UUID]:
    """The body of ``POST /v1/leases/release``."""
    return _each(body, "ids", valid_lease, "a JSON object with ids")


def valid_lease(value: object) -> UUID:
    """The id of a lease; DataError when it cannot be one."""
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise DataError("the lease's id is not one: a UUID as dial-check answered") from None


def questions_of(body: object) -> list[DialQuestion]:
    """The body of ``POST /v1/dial-checks``."""
    return _each(body, "checks", question_of, "a JSON object with checks")


def question_of(body: object) -> DialQuestion:
    """The body of ``POST /v1/dial-check``."""
    phones = body.get("phones") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(phones, list):
        raise DataError("expected a JSON object with cpf and phones")
    if not 1 <= len(phones) <= MAX_PHONES:
        raise DataError(f"phones: expected 1 to {MAX_PHONES}")
    cpf, numbers = valid_cpf(body.get("cpf")), tuple(valid_phone(phone) for phone in phones)
    reserve, agreed = body.get("reserve", False), body.get("agreed", False)
    if not isinstance(reserve, bool) or not isinstance(agreed, bool):
        raise DataError("reserve, agreed: expected true or false")
    if not reserve:
        return DialQuestion(cpf=cpf, phones=numbers, agreed=agreed)
    seconds = body.get("lease_seconds", DEFAULT_LEASE_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise DataError("lease_seconds: expected a whole number of seconds")
    if not 1 <= seconds <= MAX_LEASE_SECONDS:
        raise DataError(f"lease_seconds: expected 1 to {MAX_LEASE_SECONDS}")
    reference = body.get("reference")
    return DialQuestion(
        cpf=cpf,
        phones=numbers,
        agreed=agreed,
        lease_seconds=seconds,
        reference=None if reference is None else valid_reference(reference),
    )


def _each(body: object, field: str, parse: Any, expected: str) -> list[Any]:
    entries = body.get(field) if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"expected {expected}")
    if not 1 <= len(entries) <= MAX_PEOPLE:
        raise DataError(f"{field}: expected 1 to {MAX_PEOPLE}")
    found = []
    for position, entry in enumerate(entries):
        try:
            found.append(parse(entry))
        except DataError as error:
            raise DataError(f"{field} {position}: {error}") from None
    return found
