"""Orders the phones of a person, best first, each with its evidence (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.localization.rules import Rules

_PRIOR_ANSWERS, _PRIOR_ATTEMPTS = 1.0, 4.0
_OTHERS_WEIGHT = 0.3
"""What a call to the same phone for another debtor says, beside one for this debtor."""
_ANSWER_HALF_LIFE_DAYS = 365.0
_MISS_FACTOR, _MOST_MISSES = 0.85, 12
_FATIGUE = (0.9, 0.97, 0.99)
"""For each attempt of today, of 7 and of 30 days: who was just called rarely answers again."""
_LAST_OUTCOME = {Outcome.HUMAN: 1.1, Outcome.MACHINE: 0.9, Outcome.INVALID_NUMBER: 0.3}
_RIGHT_PARTY_BONUS = 0.5
_LANDLINE_FACTOR = 0.9
_HEARSAY_FACTOR = 0.9
"""A number that no creditor's file brought, only a CRM's call."""
_OLD_NUMBER_FLOOR, _NUMBER_HALF_LIFE_DAYS = 0.7, 365.0
_HOUR_PRIOR, _HOUR_SHARE = 3.0, 0.25
"""Three of the twelve calling hours are a quarter: that many answers are expected around now."""
_WEEKDAYS = (
    "aos domingos",
    "às segundas",
    "às terças",
    "às quartas",
    "às quintas",
    "às sextas",
    "aos sábados",
)

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
FACTS = (
    "attempts",
    "attempts_1",
    "attempts_7",
    "attempts_30",
    "elsewhere_30",
    "elsewhere_answers_30",
    "answers",
    "right_parties",
    "misses_in_a_row",
    "last_outcome",
    "people",
)
"""What a program reads of a phone beside the texts: counts of days back from now, São Paulo's
midnight; ``elsewhere`` are the calls of other CRMs; ``people`` share the number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPhone:
    """A phone of a person: ``rank`` 1 is the best, ``score`` is 0 to 1, ``evidence`` says why.

    ``suppressed`` is why it must not be dialled for this person, or None. ``facts`` has the FACTS
    and the moments, in ISO 8601, of the last attempt, answer and talk with the debtor.
    """

    rank: int
    phone: str
    score: float
    mobile: bool
    suppressed: str | None
    evidence: tuple[str, ...]
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What the service and the command print."""
        return {
            "rank": self.rank,
            "phone": self.phone,
            "score": self.score,
            "mobile": self.mobile,
            "suppressed": self.suppressed,
            "evidence": self.evidence,
            "facts": self.facts,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who reads: the sources whose names it may see; all of them when ``sources`` is None.

    ``crms`` are the sources that are CRMs, not creditors.
    """

    crms: Collection[str]
    sources: Collection[str] | None = None


def rank_phones(
    rows: Iterable[Mapping[str, Any]], *, now: datetime, rules: Rules, viewer: Viewer
) -> list[RankedPhone]:
    """Rank rows of ``queries.PHONES_OF``; suppressed phones come last, with score 0."""
    local = now.astimezone(LOCAL)
    scored = sorted(
        ((_score(row, now, local, rules, viewer), row) for row in rows),
        key=lambda pair: (-pair[0], pair[1]["phone"]),
    )
    return [
        RankedPhone(
            rank=position,
            phone=row["phone"],
            score=round(score, 4),
            mobile=row["mobile"],
            suppressed=suppression(row),
            evidence=tuple(_evidence(row, now, rules, viewer)),
            facts=_facts(row),
        )
        for position, (score, row) in enumerate(scored, 1)
    ]


def suppression(row: Mapping[str, Any]) -> str | None:
    """Why the phone must not be dialled; a number out of service is so for everyone."""
    return row["suppressed"] or ("invalid_number" if row["out_of_service"] else None)


def _score(
    row: Mapping[str, Any], now: datetime, local: datetime, rules: Rules, viewer: Viewer
) -> float:
    if suppression(row):
        return 0.0
    others = max((row["phone_attempts"] or 0) - row["attempts"], 0)
    others_answers = max((row["phone_answers"] or 0) - row["answers"], 0)
    answers = row["answers"] + _OTHERS_WEIGHT * others_answers
    heard = row["last_answer_at"] or row["phone_last_attempt_at"]
    if answers and heard is not None:
        answers *= _halved(max((now - heard).days, 0), _ANSWER_HALF_LIFE_DAYS)
    attempts = row["attempts"] + _OTHERS_WEIGHT * others
    score: float = (answers + _PRIOR_ANSWERS) / (attempts + _PRIOR_ATTEMPTS)
    score *= _MISS_FACTOR ** min(row["misses_in_a_row"], _MOST_MISSES)
    score *= _LAST_OUTCOME.get(row["last_outcome"], 1.0)
    for factor, days in zip(_FATIGUE, ("attempts_1", "attempts_7", "attempts_30"), strict=True):
        score *= factor ** row[days]
    if not row["mobile"]:
        score *= _LANDLINE_FACTOR
    if row["source"] in viewer.crms:
        score *= _HEARSAY_FACTOR
    age = max((local.date() - row["last_seen"]).days, 0)
    score *= _OLD_NUMBER_FLOOR + (1 - _OLD_NUMBER_FLOOR) * _halved(age, _NUMBER_HALF_LIFE_DAYS)
    score *= _hour_lift(bytes(row["answer_hours"] or b""), local)
    score /= max(row["people"] or 1, 1) ** 0.5
    confirmed = _confirmed_days_ago(row, now, rules)
    if confirmed is not None:
        score += _RIGHT_PARTY_BONUS * (1 - confirmed / rules.right_party_valid_days)
    return min(score, 1.0)


def _halved(days: int, half_life: float) -> float:
    return float(0.5 ** (days / half_life))


def _hour_lift(hours: bytes, local: datetime) -> float:
    """How much more than by chance this phone was answered around this hour on such a day."""
    if not hours:
        return 1.0
    weekday = (local.weekday() + 1) % 7
    like = (weekday,) if weekday in (0, 6) else range(1, 6)
    near = sum(1 for hour in hours if hour // 24 in like and abs(hour % 24 - local.hour) <= 1)
    lift = (near / _HOUR_SHARE + _HOUR_PRIOR) / (len(hours) + _HOUR_PRIOR)
    return min(max(lift, 0.7), 1.4)


def _confirmed_days_ago(row: Mapping[str, Any], now: datetime, rules: Rules) -> int | None:
    """Days since the right party spoke there; None when never, expired, or a wrong one since."""
    spoke, wrong = row["last_right_party_at"], row["last_wrong_person_at"]
    if spoke is None or (wrong is not None and wrong > spoke):
        return None
    days = max((now - spoke).days, 0)
    return days if days < rules.right_party_valid_days else None


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: row[name] for name in FACTS}
    for name in ("last_attempt_at", "last_answer_at", "last_right_party_at"):
        facts[name] = None if row[name] is None else row[name].isoformat()
    return facts


def _evidence(row: Mapping[str, Any], now: datetime, rules: Rules, viewer: Viewer) -> Iterable[str]:
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
        yield f"última {ago}: {_OUTCOMES[row['last_outcome']]}"
    if row["misses_in_a_row"] > 1:
        yield f"{row['misses_in_a_row']} seguidas sem ninguém atender"
    if row["attempts_30"]:
        yield (
            f"tentativas para o número: {row['attempts_1']} hoje, {row['attempts_7']} em 7 dias, "
            f"{row['attempts_30']} em 30"
        )
    if row["elsewhere_30"]:
        yield (
            f"em outros CRMs, 30 dias: {_times(row['elsewhere_30'], 'chamada')}, "
            f"{_times(row['elsewhere_answers_30'], 'atendida')}"
        )
    usual = _usual_hour(bytes(row["answer_hours"] or b""))
    if usual is not None:
        yield f"costuma atender {_WEEKDAYS[usual // 24]} por volta das {usual % 24}h"
    if (row["people"] or 0) > 1:
        yield f"o mesmo número consta de {row['people']} pessoas"
    yield f"informado por {_source(row['source'], viewer)} desde {_day(row['first_seen'])}"


def _usual_hour(hours: bytes) -> int | None:
    """The hour of the week of at least two, and a quarter, of the answers."""
    if len(hours) < 2:
        return None
    hour, count = Counter(hours).most_common(1)[0]
    return hour if count >= 2 and count >= len(hours) / 4 else None


def _source(source: str, viewer: Viewer) -> str:
    if viewer.sources is None or source in viewer.sources:
        return source
    return "outro CRM" if source in viewer.crms else "outro credor"


def _day(day: date) -> str:
    return f"{day.day:02}/{day.month:02}/{day.year}"


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _days_ago(days: int) -> str:
    if days == 0:
        return "nas últimas 24 horas"
    return "há 1 dia" if days == 1 else f"há {days} dias"
