"""When a campaign calls, whom next, and which numbers at all. Pure: the time is a parameter.

Whether a dial is allowed at its moment is judged by ``dialer.permission``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from zanc_pipeline.common.codecs import parse_phone
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

WEEKDAYS = ("seg", "ter", "qua", "qui", "sex", "sab", "dom")
"""Monday first, as ``datetime.weekday`` counts."""


class Phase(StrEnum):
    """Where a moment lies relative to the calling hours of its day."""

    BEFORE = "before"
    OPEN = "open"
    OVER = "over"


@dataclass(frozen=True, kw_only=True)
class CallingHours:
    """From ``start`` (included) to ``end`` (excluded) on ``weekdays`` (0 is Monday), local time.

    ``end`` before or at ``start`` is not allowed; ``time.max`` stands for midnight.
    """

    start: time
    end: time
    weekdays: frozenset[int]
    zone: ZoneInfo

    def phase(self, now: datetime) -> Phase:
        """Whether ``now`` (aware) is before, inside or after the calling hours of its local day.

        A day on which nobody is called is over from its beginning.
        """
        local = now.astimezone(self.zone)
        if local.weekday() not in self.weekdays:
            return Phase.OVER
        clock = local.time()
        if clock < self.start:
            return Phase.BEFORE
        return Phase.OPEN if clock < self.end or self.end == time.max else Phase.OVER


@dataclass(frozen=True, kw_only=True)
class RetryRules:
    """How often a phone is tried and how long after which outcome (busy sooner, no answer later).

    An outcome without a wait is not tried again on that phone. After an outcome in ``PERSON_WAITS``
    the wait holds for all phones of the person.
    """

    attempts_per_phone: int
    waits: Mapping[Outcome, timedelta] = field(default_factory=dict)


MOST_ABANDONED = 2
"""A person abandoned more often in one campaign is left in peace."""

PERSON_WAITS = frozenset({Outcome.ABANDONED, Outcome.UNKNOWN})
"""Somebody was or may have been disturbed: another of the person's phones would disturb again."""

PERSON_PAUSE = timedelta(minutes=10)
"""Then the pause of a campaign that names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAttempt:
    """What the retry rules know of an attempt that ended."""

    phone: str
    outcome: Outcome
    ended_at: datetime
    placed: bool = True
    tabulation: Tabulation | None = None
    callback_at: datetime | None = None
    operator: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreed:
    """A callback that the person asked for in an earlier campaign, given to this one at ``since``.

    ``at`` is the time that was agreed, ``operator`` who agreed it.
    """

    at: datetime
    phone: str
    operator: str | None
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CallNext:
    """Call the phone at ``index``, not before ``not_before``.

    ``kept``: only with an operator who waits for this very call, ``operator`` when that one is
    free. ``agreed``: the person asked for it. ``hours`` are the phone's best ones, best first, on
    the clock of ``common.days.LOCAL``.
    """

    index: int
    not_before: datetime
    kept: bool = False
    operator: str | None = None
    agreed: bool = False
    hours: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The person is not called again in this campaign; ``reason`` is a code of the database."""

    reason: str


def next_call(
    phones: Sequence[str],
    refused: Mapping[str, str],
    history: Sequence[PastAttempt],
    rules: RetryRules,
    now: datetime,
    *,
    closed: Mapping[str, datetime] | None = None,
    agreed: Agreed | None = None,
) -> CallNext | Finished:
    """What to do with a person whose ``phones`` (best first) were tried as ``history`` says.

    ``refused`` maps a phone that must not be dialled to the reason, ``closed`` one that must not
    be before a time. A callback that the person agreed to comes first (here, or before in the
    campaign from which ``agreed`` came), then the phone on which somebody was abandoned, after its
    pause; else the phone that is due soonest, the better one first when both are due.
    """
    closed = closed or {}
    if (
        agreed is not None
        and agreed.phone in phones
        and agreed.phone not in refused
        and all(past.ended_at <= agreed.since for past in history)
    ):
        return CallNext(
            index=phones.index(agreed.phone),
            not_before=max(agreed.at, closed.get(agreed.phone, agreed.at)),
            kept=True,
            operator=agreed.operator,
            agreed=True,
        )
    last = max(history, key=lambda past: past.ended_at, default=None)
    if last is not None and last.phone in phones and last.phone not in refused:
        index = phones.index(last.phone)
        if last.callback_at is not None:
            return CallNext(
                index=index,
                not_before=max(last.callback_at, closed.get(last.phone, last.callback_at)),
                kept=True,
                operator=last.operator,
                agreed=True,
            )
        again = _after_abandoning(last, history, rules, now)
        if again is not None:
            again = max(again, closed.get(last.phone, again))
            return CallNext(index=index, not_before=again, kept=True, operator=last.operator)
    for past in history:
        if past.callback_at is not None:
            continue  # the call that was agreed to came since
        reason = _conversation_ends(past)
        if reason is not None:
            return Finished(reason=reason)
    person_from = max(
        (
            past.ended_at + rules.waits.get(past.outcome, PERSON_PAUSE)
            for past in history
            if past.outcome in PERSON_WAITS
        ),
        default=now,
    )
    candidates: list[tuple[datetime, int]] = []
    for index, phone in enumerate(phones):
        due = None if phone in refused else _due(phone, history, rules, now)
        if due is not None:
            candidates.append((max(due, person_from, closed.get(phone, now)), index))
    if candidates:
        not_before, index = min(candidates)
        return CallNext(index=index, not_before=not_before)
    if refused and not history:
        return Finished(reason=f"refused: {next(iter(refused.values()))}")
    return Finished(reason="no_phones_left" if phones else "no_phones")


def _after_abandoning(
    last: PastAttempt, history: Sequence[PastAttempt], rules: RetryRules, now: datetime
) -> datetime | None:
    """When a person who was abandoned last is called back, or None.

    The call that nobody served is not counted as an attempt on the phone, but it happens once.
    """
    wait = rules.waits.get(Outcome.ABANDONED)
    if last.outcome is not Outcome.ABANDONED or wait is None:
        return None
    if sum(past.outcome is Outcome.ABANDONED for past in history) > MOST_ABANDONED:
        return None
    return max(now, last.ended_at + wait)


def _conversation_ends(past: PastAttempt) -> str | None:
    if past.tabulation is Tabulation.WRONG_PERSON:
        return None  # the person was never reached; the next phone may be the right one
    if past.tabulation is not None:
        return f"talked: {past.tabulation.value}"
    return "talked" if past.outcome is Outcome.HUMAN else None


def _due(
    phone: str, history: Sequence[PastAttempt], rules: RetryRules, now: datetime
) -> datetime | None:
    """When ``phone`` may be called, or None if never again."""
    tried = [
        past for past in history if past.phone == phone and past.outcome is not Outcome.CANCELLED
    ]
    if not tried:
        return now
    last = max(tried, key=lambda past: past.ended_at)
    if len(tried) >= rules.attempts_per_phone or last.outcome not in rules.waits:
        return None
    return max(now, last.ended_at + rules.waits[last.outcome])


_NATIONAL = re.compile(r"[1-9][0-9]{9,10}", re.ASCII)


def check_number(phone: str) -> str:
    """Return ``phone`` if it may be sent to a PBX: DDD and subscriber, digits only.

    Raises DataError with the reason, in Portuguese, otherwise: emergency and utility numbers (190,
    192, 193 and all of three digits, 10325), numbers too short or too long, shared-cost and premium
    ones (0300, 0303, 0500, 0800, 0900: Anatel Resolução 749/2022), foreign numbers, area codes that
    do not exist, and anything that is not a digit.
    """
    if not phone:
        raise DataError("o telefone está vazio")
    if not (phone.isascii() and phone.isdigit()):
        raise DataError("o telefone tem algo que não é dígito")
    if phone.startswith("00"):
        raise DataError("não se disca para telefone estrangeiro")
    if len(phone) <= 3 or (len(phone) == 5 and phone.startswith("10")):
        raise DataError("não se disca para emergência nem serviço de utilidade pública")
    if phone[:4] in ("0300", "0303", "0500", "0800", "0900"):
        raise DataError("não se disca para número de tarifa especial (0300, 0500, 0800, 0900)")
    if len(phone) < 10:
        raise DataError("o telefone é curto demais: DDD e número têm 10 ou 11 dígitos")
    if len(phone) > 11:
        raise DataError(
            "o telefone é longo demais ou estrangeiro: DDD e número têm 10 ou 11 dígitos"
        )
    parsed = parse_phone(phone) if _NATIONAL.fullmatch(phone) else None
    if parsed is None or parsed.number != phone:
        raise DataError("não é um telefone brasileiro com DDD (10 ou 11 dígitos)")
    return phone
