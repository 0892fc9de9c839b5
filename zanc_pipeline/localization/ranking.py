"""Orders the phones of a person, best first, each with its evidence (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.localization.rules import Rules

_PRIOR_ANSWERS, _PRIOR_ATTEMPTS = 1.0, 4.0
_MISS_FACTOR = 0.85
_RIGHT_PARTY_BONUS = 0.5
_LANDLINE_FACTOR = 0.9

_SUPPRESSED = {
    "deceased": "informaram que o titular faleceu: não discar",
    "wrong_person": "é de outra pessoa: não discar",
    "invalid_number": "número inexistente: não discar",
}
_OUTCOMES = {
    Outcome.HUMAN: "uma pessoa atendeu",
    Outcome.MACHINE: "caiu na caixa postal",
    Outcome.BUSY: "deu ocupado",
    Outcome.NO_ANSWER: "não atendeu",
    Outcome.INVALID_NUMBER: "número inexistente",
    Outcome.NETWORK_FAILURE: "falha da rede",
    Outcome.ABANDONED: "uma pessoa atendeu e não havia operador",
    Outcome.CANCELLED: "foi cancelada",
    Outcome.UNKNOWN: "terminou sem resultado conhecido",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPhone:
    """A phone of a person: ``rank`` 1 is the best, ``score`` is 0 to 1, ``evidence`` says why.

    ``suppressed`` is why it must not be dialled for this person, or None.
    """

    rank: int
    phone: str
    score: float
    mobile: bool
    suppressed: str | None
    evidence: tuple[str, ...]


def rank_phones(
    rows: Iterable[Mapping[str, Any]], *, now: datetime, rules: Rules
) -> list[RankedPhone]:
    """Rank rows of ``queries.PHONES_OF``; suppressed phones come last, with score 0."""
    scored = sorted(
        ((_score(row, now, rules), row) for row in rows),
        key=lambda pair: (-pair[0], pair[1]["phone"]),
    )
    return [
        RankedPhone(
            rank=position,
            phone=row["phone"],
            score=round(score, 4),
            mobile=row["mobile"],
            suppressed=suppression(row),
            evidence=tuple(_evidence(row, now, rules)),
        )
        for position, (score, row) in enumerate(scored, 1)
    ]


def suppression(row: Mapping[str, Any]) -> str | None:
    """Why the phone must not be dialled; a number out of service is so for everyone."""
    return row["suppressed"] or ("invalid_number" if row["invalid"] else None)


def _score(row: Mapping[str, Any], now: datetime, rules: Rules) -> float:
    if suppression(row):
        return 0.0
    score = (row["answers"] + _PRIOR_ANSWERS) / (row["attempts"] + _PRIOR_ATTEMPTS)
    score *= _MISS_FACTOR ** row["misses_in_a_row"]
    if not row["mobile"]:
        score *= _LANDLINE_FACTOR
    score /= max(row["people"], 1) ** 0.5
    confirmed = _confirmed_days_ago(row, now, rules)
    if confirmed is not None:
        score += _RIGHT_PARTY_BONUS * (1 - confirmed / rules.right_party_valid_days)
    return min(float(score), 1.0)


def _confirmed_days_ago(row: Mapping[str, Any], now: datetime, rules: Rules) -> int | None:
    """Days since the right party spoke there; None when never, expired, or a wrong one since."""
    spoke, wrong = row["last_right_party_at"], row["last_wrong_person_at"]
    if spoke is None or (wrong is not None and wrong > spoke):
        return None
    days = max((now - spoke).days, 0)
    return days if days < rules.right_party_valid_days else None


def _evidence(row: Mapping[str, Any], now: datetime, rules: Rules) -> Iterable[str]:
    reason = suppression(row)
    if reason:
        yield _SUPPRESSED[reason]
    confirmed = _confirmed_days_ago(row, now, rules)
    if confirmed is not None:
        yield f"o titular falou neste número {_days_ago(confirmed)}"
    if row["attempts"] == 0:
        yield "nunca foi chamado"
    else:
        yield f"{_times(row['attempts'], 'chamada')}, {_times(row['answers'], 'atendida')}"
        ago = _days_ago(max((now - row["last_attempt_at"]).days, 0))
        yield f"última {ago}: {_OUTCOMES[Outcome(row['last_outcome'])]}"
    if row["misses_in_a_row"] > 1:
        yield f"{row['misses_in_a_row']} seguidas sem ninguém atender"
    if row["people"] > 1:
        yield f"o mesmo número consta de {row['people']} pessoas"
    yield f"informado por {row['source']} desde {row['first_seen']:%d/%m/%Y}"


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _days_ago(days: int) -> str:
    if days == 0:
        return "nas últimas 24 horas"
    return "há 1 dia" if days == 1 else f"há {days} dias"
