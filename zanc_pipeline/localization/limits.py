"""Whether a phone of a person may be dialled now (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from zanc_pipeline.common.days import LOCAL, local_midnight
from zanc_pipeline.localization.rules import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class DialVerdict:
    """Whether to dial ``phone``; when not, ``reason`` is a code.

    ``texto`` says in words why not, or by which counts it may be dialled.
    """

    phone: str
    dial: bool
    reason: str | None = None
    texto: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DialQuestion:
    """May ``crm`` dial one of ``phones``, best first, of the person ``cpf``?

    With ``lease_seconds`` the first phone that may be dialled is reserved for so long;
    ``reference`` is the caller's name for that attempt: asked again, it gets the same lease.
    ``agreed``: the debtor asked to be called at this time, which ends the pause after a talk.
    """

    cpf: str
    phones: tuple[str, ...]
    lease_seconds: int | None = None
    reference: str | None = None
    agreed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A phone of a person reserved until ``expires_at`` for whoever holds ``id``."""

    id: str
    phone: str
    expires_at: datetime


REASONS = {
    "deceased": "informaram que o titular faleceu",
    "wrong_person": "o número é de outra pessoa",
    "invalid_number": "o número não existe",
    "talked_recently": "o titular já falou conosco há menos de {quiet} dias",
    "phone_limit": "o telefone já teve {row[phone_day]} tentativas hoje",
    "person_limit": "a pessoa já teve {row[person_day]} tentativas hoje",
    "phone_week_limit": "o telefone já teve {row[phone_week]} tentativas em sete dias",
    "person_week_limit": "a pessoa já teve {row[person_week]} tentativas em sete dias",
    "reserved": "outra ligação para este telefone ou esta pessoa está em andamento",
    "other_phone_reserved": "a reserva ficou com outro telefone desta pessoa",
}
"""Why a phone is not to be dialled: code and text. ``reserved`` passes within minutes."""


def start_of_days(now: datetime, days: int) -> datetime:
    """Midnight, in São Paulo, of the first of the ``days`` local days that end with today."""
    return local_midnight(now.astimezone(LOCAL).date() - timedelta(days=days - 1))


def limit_days(now: datetime) -> dict[str, datetime]:
    """The moments from which ``queries.DIAL_FACTS`` counts."""
    return {"today": start_of_days(now, 1), "week": start_of_days(now, 7)}


def ranking_days(now: datetime) -> dict[str, datetime]:
    """The moments from which ``queries.PHONES_OF`` counts."""
    return {
        "day": start_of_days(now, 1),
        "week": start_of_days(now, 7),
        "month": start_of_days(now, 30),
    }


def objection(
    row: Mapping[str, Any], *, now: datetime, limits: Limits, agreed: bool = False
) -> str | None:
    """The first of REASONS that speaks against the phone of a row of ``queries.DIAL_FACTS``."""
    if row["deceased"]:
        return "deceased"
    if row["suppressed"] == "wrong_person":
        return "wrong_person"
    if row["suppressed"] == "invalid_number" or row["out_of_service"]:
        return "invalid_number"
    quiet = timedelta(days=limits.quiet_days_after_talk)
    if not agreed and row["talked_at"] is not None and now - row["talked_at"] < quiet:
        return "talked_recently"
    for reason, count, limit in (
        ("phone_limit", row["phone_day"], limits.attempts_per_phone_day),
        ("person_limit", row["person_day"], limits.attempts_per_person_day),
        ("phone_week_limit", row["phone_week"], limits.attempts_per_phone_week),
        ("person_week_limit", row["person_week"], limits.attempts_per_person_week),
    ):
        if count >= limit:
            return reason
    return "reserved" if row["lease_ids"] else None


def decide(
    facts: Iterable[Mapping[str, Any]], *, now: datetime, limits: Limits, agreed: bool = False
) -> list[DialVerdict]:
    """One verdict for each row of ``queries.DIAL_FACTS``, in order."""
    return [
        _verdict(row, objection(row, now=now, limits=limits, agreed=agreed), limits)
        for row in facts
    ]


def _verdict(row: Mapping[str, Any], reason: str | None, limits: Limits) -> DialVerdict:
    """The answer for one phone, in words."""
    if reason is None:
        return DialVerdict(phone=row["phone"], dial=True, texto=_counts(row, limits))
    text = REASONS[reason].format(row=row, quiet=limits.quiet_days_after_talk)
    return DialVerdict(phone=row["phone"], dial=False, reason=reason, texto=text)


def _counts(row: Mapping[str, Any], limits: Limits) -> str:
    """The attempts so far beside their limits, and the latest talk."""
    talked = row["talked_at"]
    last = "nenhuma" if talked is None else f"{talked.astimezone(LOCAL):%d/%m/%Y %H:%M}"
    return (
        f"telefone {row['phone_day']} de {limits.attempts_per_phone_day} hoje e "
        f"{row['phone_week']} de {limits.attempts_per_phone_week} em sete dias; "
        f"pessoa {row['person_day']} de {limits.attempts_per_person_day} hoje e "
        f"{row['person_week']} de {limits.attempts_per_person_week} em sete dias; "
        f"última conversa: {last} (pausa de {limits.quiet_days_after_talk} dias)"
    )


def held_lease(
    crm: str, question: DialQuestion, facts: Sequence[Mapping[str, Any]]
) -> Lease | None:
    """The live lease that an earlier asking of the same question got."""
    if question.reference is None:
        return None
    for row in facts:
        leases = zip(
            row["lease_ids"] or (),
            row["lease_crms"] or (),
            row["lease_phones"] or (),
            row["lease_references"] or (),
            row["lease_ends"] or (),
            strict=True,
        )
        for identity, holder, phone, reference, ends in leases:
            if (holder, reference) == (crm, question.reference) and phone in question.phones:
                return Lease(id=str(identity), phone=phone, expires_at=ends)
    return None


def only(verdicts: Sequence[DialVerdict], phone: str) -> list[DialVerdict]:
    """The verdicts when ``phone`` is the one reserved: no other may be dialled beside it."""
    return [_beside(one, phone) for one in verdicts]


def _beside(one: DialVerdict, phone: str) -> DialVerdict:
    if one.phone == phone:
        return one if one.dial else DialVerdict(phone=phone, dial=True)
    if one.dial or one.reason == "reserved":
        reason = "other_phone_reserved"
        return DialVerdict(phone=one.phone, dial=False, reason=reason, texto=REASONS[reason])
    return one
