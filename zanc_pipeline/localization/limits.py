"""Whether a phone of a person may be dialled now (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.localization.rules import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class DialVerdict:
    """Whether to dial ``phone``; when not, ``reason`` is a code and ``texto`` says it in words."""

    phone: str
    dial: bool
    reason: str | None = None
    texto: str | None = None


def start_of_day(now: datetime) -> datetime:
    """Midnight, in São Paulo, of the day of ``now``: limits count by the local day."""
    return now.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)


def decide(
    facts: Iterable[Mapping[str, Any]], *, now: datetime, limits: Limits
) -> list[DialVerdict]:
    """One verdict for each row of ``queries.DIAL_FACTS``, in order."""
    return [_verdict(row, now, limits) for row in facts]


def _verdict(row: Mapping[str, Any], now: datetime, limits: Limits) -> DialVerdict:
    found = _objection(row, now, limits)
    if found is None:
        return DialVerdict(phone=row["phone"], dial=True)
    return DialVerdict(phone=row["phone"], dial=False, reason=found[0], texto=found[1])


def _objection(row: Mapping[str, Any], now: datetime, limits: Limits) -> tuple[str, str] | None:
    if row["deceased"]:
        return "deceased", "informaram que o titular faleceu"
    if row["suppressed"] == "wrong_person":
        return "wrong_person", "o número é de outra pessoa"
    if row["suppressed"] == "invalid_number" or row["invalid"]:
        return "invalid_number", "o número não existe"
    quiet = timedelta(days=limits.quiet_days_after_talk)
    if row["talked_at"] is not None and now - row["talked_at"] < quiet:
        return "talked_recently", (
            f"o titular já falou conosco há menos de {limits.quiet_days_after_talk} dias"
        )
    if row["phone_attempts"] >= limits.attempts_per_phone_day:
        return "phone_limit", f"o telefone já teve {row['phone_attempts']} tentativas hoje"
    if row["person_attempts"] >= limits.attempts_per_person_day:
        return "person_limit", f"a pessoa já teve {row['person_attempts']} tentativas hoje"
    return None
