"""What a supervisor must look at now (pure): from the live figures to short sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zanc_pipeline.common.web import percent

NEAR_LIMIT = 0.8
FEWEST_PEOPLE = 20
"""Below so many answered people a share says little."""
SHORT_SECONDS = 10
SHORT_SHARE = 0.2
FEWEST_CONVERSATIONS = 10
IDLE_SECONDS = 120.0
PAUSED_SECONDS = 1800.0
_MOST_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class Alert:
    """``kind`` is ``bad`` (now) or ``wait`` (soon)."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Short:
    """Conversations of a campaign in the last half hour, and how many were short."""

    conversations: int
    short: int


def alerts(
    figures: Mapping[str, Any], short: Mapping[str, Short], names: Mapping[str, str], now: datetime
) -> list[Alert]:
    """Everything worth a look in the figures of ``monitor``, the gravest first.

    ``short`` is by campaign, ``names`` are those of people by their phone.
    """
    found = [*_pbxs(figures), *_alarms(figures)]
    for one in figures["campaigns"]:
        found += _campaign(one, short.get(one["id"]))
    if figures["campaigns"] and not figures["floor"]:
        found.append(Alert(kind="bad", text="Há campanha em curso e nenhum operador na fila."))
    found += _floor(figures, names, now)
    return sorted(found, key=lambda alert: alert.kind != "bad")


def _pbxs(figures: Mapping[str, Any]) -> list[Alert]:
    found = []
    for one in figures["centrais"]:
        if not one["connected"]:
            why = f": {one['why']}" if one["why"] else ""
            kind = "wait" if one["drained"] else "bad"  # it was emptied before
            found.append(Alert(kind=kind, text=f"Central {one['name']} fora do ar{why}."))
        elif one["drained"]:
            left = f": ainda {one['lines']} em curso" if one["lines"] else ""
            text = f"Central {one['name']} {one['state']}{left}; nenhuma ligação nova por ela."
            found.append(Alert(kind="wait", text=text))
        for trunk in one["trunks"]:
            if trunk["state"] != "ok":
                where = f"Tronco {one['name']}/{trunk['name']}"
                found.append(Alert(kind="wait", text=f"{where}: {trunk['why']}"))
    return found


def _alarms(figures: Mapping[str, Any]) -> list[Alert]:
    return [
        Alert(kind="bad" if one["brake"] else "wait", text=one["told"])
        for one in figures.get("alarms", ())
    ]


def _campaign(one: Mapping[str, Any], short: Short | None) -> list[Alert]:
    found = []
    share, limit = one["abandoned_share"], one["abandoned_limit"]
    people = one["answered"] + one["abandoned"]
    if people >= FEWEST_PEOPLE and share >= NEAR_LIMIT * limit:
        over = share > limit
        text = (
            f"{one['name']}: abandono de {percent(share)}"
            f" {'acima do' if over else 'perto do'} limite de {percent(limit)}."
        )
        found.append(Alert(kind="bad" if over else "wait", text=text))
    if (
        short is not None
        and short.conversations >= FEWEST_CONVERSATIONS
        and short.short >= SHORT_SHARE * short.conversations
    ):
        text = (
            f"{one['name']}: {short.short} de {short.conversations} conversas da última meia hora"
            f" tiveram menos de {SHORT_SECONDS} s."
        )
        found.append(Alert(kind="wait", text=text))
    return found


def _floor(figures: Mapping[str, Any], names: Mapping[str, str], now: datetime) -> list[Alert]:
    def lasting(state: str, seconds: float) -> list[str]:
        return [
            names.get(one["operator"], one["operator"])
            for one in figures["floor"]
            if one["state"] == state and (now - one["since"]).total_seconds() >= seconds
        ]

    found = []
    running = any(one["status"] == "running" for one in figures["campaigns"])
    idle = lasting("idle", IDLE_SECONDS)
    if running and idle:
        text = f"Livre há mais de {IDLE_SECONDS / 60:.0f} min: {_listed(idle)}."
        found.append(Alert(kind="wait", text=text))
    paused = lasting("paused", PAUSED_SECONDS)
    if paused:
        text = f"Em pausa há mais de {PAUSED_SECONDS / 60:.0f} min: {_listed(paused)}."
        found.append(Alert(kind="wait", text=text))
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" e mais {more}" if more > 0 else "")
