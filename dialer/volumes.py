"""How many calls left, and how many of them were short: told at the alarm, held at the brake. Pure.

Anatel counts the calls of a company by day and month: Despachos Decisórios 160/2022 and
250/2022/COGE/SCO, 22/2024/RCTS/SRC (short: not completed, to a machine, or up to 6 s; 85 % of
100,000 calls in a day block the company for 15 days) and 787/2025/COGE/SCO (500,000 calls in a
month: all must be authenticated). Calls that still go on count as calls already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from dialer.attempt import Attempt
from dialer.figures import percent
from dialer.permission import Check
from dialer.policy import Limit, Policy
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome


def is_short(attempt: Attempt, seconds: float) -> bool:
    """Whether an ended call counts as short: anything but ``seconds`` with a person and more."""
    if attempt.outcome not in (Outcome.HUMAN, Outcome.ABANDONED):
        return True
    if attempt.answered_at is None or attempt.ended_at is None:
        return True
    return (attempt.ended_at - attempt.answered_at).total_seconds() <= seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """A figure near or at its limit; with ``brake`` no call leaves."""

    rule: str
    told: str
    brake: bool
    caller_id: str | None = None
    """Whose calls are held; None: everybody's."""


class Volumes:
    """The calls of this month by local day and caller id."""

    def __init__(self) -> None:
        self._days: dict[date, dict[str, list[int]]] = {}

    def load(
        self,
        rows: Iterable[tuple[date, str, int, int]],
        open_calls: Iterable[tuple[str, datetime]],
    ) -> None:
        """Begin with what is recorded: day, caller id, calls, short; and the calls under way."""
        self._days = {}
        for day, caller_id, calls, short in rows:
            self._days.setdefault(day, {})[caller_id] = [calls, short]
        for caller_id, at in open_calls:
            self.placed(caller_id, at)

    def placed(self, caller_id: str, at: datetime) -> None:
        """A call leaves."""
        self._of(caller_id, at)[0] += 1

    def not_placed(self, caller_id: str, at: datetime) -> None:
        """It did not leave after all."""
        counts = self._of(caller_id, at)
        counts[0] = max(0, counts[0] - 1)

    def ended(self, caller_id: str, at: datetime, *, short: bool) -> None:
        """A call that was placed at ``at`` ended."""
        self._of(caller_id, at)[1] += short

    def alarms(self, policy: Policy, now: datetime) -> list[Alarm]:
        """Every figure that is near its limit, the brakes first."""
        today = self._days.get(now.astimezone(LOCAL).date(), {})
        found: list[Alarm] = []
        if policy.volume.ligado:
            for caller_id, (calls, _) in sorted(today.items()):
                alarm = _over(
                    "volume_dia",
                    f"ligações do número {caller_id} hoje",
                    calls,
                    policy.volume.por_identificador_dia,
                    caller_id,
                )
                found += alarm
            found += _over("volume_mes", "ligações no mês", self._month(now), policy.volume.mes)
        rule = policy.chamadas_curtas
        calls, short = self.of_day(now)
        share = short / calls if calls else 0.0
        if rule.ligado and calls >= rule.minimo_alarme and share >= rule.alarme:
            brake = calls >= rule.minimo_freio and share >= rule.freio
            found.append(Alarm(rule="chamadas_curtas", told=_short_told(calls, short), brake=brake))
        return sorted(found, key=lambda alarm: not alarm.brake)

    def checks(self, policy: Policy, caller_id: str, now: datetime) -> list[Check]:
        """The figures by which a call of ``caller_id`` is allowed now."""
        calls, short = self.of_day(now)
        mine = self._days.get(now.astimezone(LOCAL).date(), {}).get(caller_id, [0, 0])[0]
        curt, volume = policy.chamadas_curtas, policy.volume
        return [
            Check(
                rule="chamadas_curtas",
                told=f"{_short_told(calls, short)}; freio em {percent(curt.freio)} a partir de "
                f"{curt.minimo_freio} ligações"
                if curt.ligado
                else "regra desligada",
            ),
            Check(
                rule="volume_dia",
                told=_told(mine, volume.por_identificador_dia.freio, volume.ligado),
            ),
            Check(rule="volume_mes", told=_told(self._month(now), volume.mes.freio, volume.ligado)),
        ]

    def of_day(self, now: datetime) -> tuple[int, int]:
        """Calls of the local day, and how many of them were short."""
        counts = self._days.get(now.astimezone(LOCAL).date(), {}).values()
        return sum(one[0] for one in counts), sum(one[1] for one in counts)

    def _of(self, caller_id: str, at: datetime) -> list[int]:
        day = self._days.setdefault(at.astimezone(LOCAL).date(), {})
        return day.setdefault(caller_id, [0, 0])

    def _month(self, now: datetime) -> int:
        local = now.astimezone(LOCAL)
        return sum(
            one[0]
            for day, counts in self._days.items()
            if (day.year, day.month) == (local.year, local.month)
            for one in counts.values()
        )


def _over(
    rule: str, what: str, count: int, limit: Limit, caller_id: str | None = None
) -> list[Alarm]:
    if limit.freio is not None and count >= limit.freio:
        told = f"{count} {what}: o freio é {limit.freio}"
        return [Alarm(rule=rule, told=told, brake=True, caller_id=caller_id)]
    if limit.alarme is not None and count >= limit.alarme:
        told = f"{count} {what}: o alarme é {limit.alarme}"
        return [Alarm(rule=rule, told=told, brake=False, caller_id=caller_id)]
    return []


def _short_told(calls: int, short: int) -> str:
    share = percent(short / calls) if calls else "0 %"
    return f"{short} de {calls} ligações de hoje foram curtas ({share})"


def _told(count: int, brake: int | None, on: bool) -> str:
    if not on:
        return "regra desligada"
    return f"{count} até agora, " + ("sem freio" if brake is None else f"freio em {brake}")
