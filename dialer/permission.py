"""Whether a phone may be dialled at this moment, and by which figures. Pure: time is a parameter.

Every rule that is asked leaves a ``Check``, so that afterwards anybody can see why a call was
allowed. What must be asked elsewhere (localization) is asked by the caller, after these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from dialer.days_off import DaysOff
from dialer.places import Place, place_of
from dialer.policy import Policy, Window
from dialer.rules import CallingHours, Phase, check_number
from zanc_pipeline.common.errors import DataError

WEEKDAYS = ("seg", "ter", "qua", "qui", "sex", "sáb", "dom")
LONGEST_CLOSED = 15
"""Days after today in which the next opening is looked for: longer than any run of days off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule that was asked: its code (a column of the audit) and what it was judged by."""

    rule: str
    told: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """This phone is not dialled now; ``until``: when it may be again, None: never."""

    reason: str
    until: datetime | None = None


class Blocked(Protocol):
    """Who must never be called."""

    def whom(self, cpf: str, phone: str) -> str | None:
        """Why the person or the phone is not called; None when nothing is known against it."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """People and phones that are not called; ``opted_out`` asked for it themselves."""

    cpfs: Collection[str] = field(default_factory=frozenset)
    phones: Collection[str] = field(default_factory=frozenset)

    def whom(self, cpf: str, phone: str) -> str | None:
        """Whether the person or the phone is among them."""
        if cpf in self.cpfs:
            return "a pessoa"
        return "o telefone" if phone in self.phones else None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What ``judge`` asks, as it stands at a moment."""

    policy: Policy = field(default_factory=Policy)
    days_off: DaysOff = field(default_factory=DaysOff)
    listed: Blocked = field(default_factory=Listed)
    opted_out: Blocked = field(default_factory=Listed)


def judge(
    rules: Rules, *, cpf: str, phone: str, hours: CallingHours, now: datetime
) -> tuple[list[Check], Refused | None]:
    """Ask every rule about a call to ``phone`` at ``now``; the campaign's own ``hours`` first.

    The checks that were passed, and the refusal that ended them, if any.
    """
    checks: list[Check] = []
    try:
        place = place_of(check_number(phone))
    except DataError as error:
        return checks, Refused(reason=str(error))
    checks.append(
        Check(rule="numero", told=f"DDD {place.ddd}, {'/'.join(place.states)}, número nacional")
    )
    for rule, blocked in (("descadastro", rules.opted_out), ("nao_ligar", rules.listed)):
        if rule == "nao_ligar" and not rules.policy.nao_ligar.ligado:
            checks.append(Check(rule=rule, told="regra desligada"))
            continue
        whom = blocked.whom(cpf, phone)
        if whom is not None:
            said = "pediu para não ser chamado" if rule == "descadastro" else "está em lista"
            return checks, Refused(reason=f"não ligar: {whom} {said}")
        checks.append(Check(rule=rule, told="nem a pessoa nem o telefone constam"))
    if hours.phase(now) is not Phase.OPEN:
        return checks, Refused(
            reason="fora do horário de ligação da campanha", until=now + timedelta(minutes=1)
        )
    local = now.astimezone(hours.zone)
    checks.append(
        Check(
            rule="horario_campanha",
            told=f"{_moment(local)} entre {_span((hours.start, hours.end))}",
        )
    )
    return _place_allows(rules, place, checks, now)


def _place_allows(
    rules: Rules, place: Place, checks: list[Check], now: datetime
) -> tuple[list[Check], Refused | None]:
    policy = rules.policy
    if not policy.horarios.ligado and not policy.feriados.ligado:
        checks += [
            Check(rule="horario_estado", told="regra desligada"),
            Check(rule="feriado", told="regra desligada"),
        ]
        return checks, None
    told = []
    for state, zone in _pairs(place):
        local = now.astimezone(zone)
        window, why = _window(rules, place, state, local)
        if window is None or not _inside(window, local.time()):
            reason = why or f"{state}: {_moment(local)} fora de {_span(window)}"
            return checks, Refused(
                reason=f"fora do horário do estado do telefone: {reason}",
                until=next_opening(rules, place, now),
            )
        told.append(f"{state} {_moment(local)} entre {_span(window)}")
    off = policy.horarios.ligado
    checks.append(Check(rule="horario_estado", told="; ".join(told) if off else "regra desligada"))
    checks.append(
        Check(
            rule="feriado",
            told=f"dia comum em {'/'.join(place.states)} e no DDD {place.ddd}"
            if policy.feriados.ligado
            else "regra desligada",
        )
    )
    return checks, None


def next_opening(rules: Rules, place: Place, after: datetime) -> datetime | None:
    """The first moment from ``after`` on at which every state and zone of ``place`` is open.

    None when there is none within ``LONGEST_CLOSED`` days.
    """
    candidate = after
    for _ in range(4 * LONGEST_CLOSED):
        latest = candidate
        for state, zone in _pairs(place):
            opening = _opening(rules, place, state, zone, candidate)
            if opening is None:
                return None
            latest = max(latest, opening)
        if latest == candidate:
            return candidate
        candidate = latest
    return None


def _opening(
    rules: Rules, place: Place, state: str, zone: ZoneInfo, after: datetime
) -> datetime | None:
    local = after.astimezone(zone)
    for days in range(LONGEST_CLOSED + 1):
        day = local.date() + timedelta(days=days)
        begin = datetime.combine(day, time(), zone)
        window, _ = _window(rules, place, state, begin)
        if window is None:
            continue
        opening = datetime.combine(day, window[0], zone)
        if days == 0 and local >= opening:
            if _inside(window, local.time()):
                return after
            continue
        return opening.astimezone(after.tzinfo)
    return None


def _pairs(place: Place) -> Sequence[tuple[str, ZoneInfo]]:
    return [(state, zone) for state in place.states for zone in place.zones]


def _window(rules: Rules, place: Place, state: str, local: datetime) -> tuple[Window | None, str]:
    """The hours of a state on the local day, and when nobody is called on it, why."""
    policy = rules.policy
    if policy.feriados.ligado:
        holiday = rules.days_off.name(place, local.date())
        if holiday is not None:
            return None, f"feriado: {holiday}"
    if not policy.horarios.ligado:
        return (time.min, time.max), ""
    window = policy.horarios.of(state).on(local.weekday())
    return window, "" if window else f"{state}: {WEEKDAYS[local.weekday()]} sem ligações"


def _inside(window: Window, clock: time) -> bool:
    return window[0] <= clock and (clock < window[1] or window[1] == time.max)


def _moment(local: datetime) -> str:
    return f"{WEEKDAYS[local.weekday()]} {local:%H:%M}"


def _span(window: Window | None) -> str:
    if window is None:
        return "nenhuma hora"
    end = "24:00" if window[1] == time.max else f"{window[1]:%H:%M}"
    return f"{window[0]:%H:%M} e {end}"
