"""What the campaigns' pages say, from what the dialer answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dialer.web import words
from zanc_pipeline.airflow.pages import places
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.web import decimal, number, percent

ENDED_SHOWN = 30
AUDIT_SHOWN = 30
MAX_LIMIT = 0.2
"""As the dialer has it (``abandono_maximo``)."""

_STATES = ("idle", "preview", "reserved", "talking", "wrapup", "paused")
"""In the order of a call."""

_REASONS = {
    "completed": "todas as pessoas foram chamadas",
    "empty_mailing": "o mailing não tinha ninguém a chamar",
    "stopped": "encerrada por ordem",
    "hours_over": "o horário de ligação terminou",
    "unreadable_settings": "o discador não entende os ajustes com que ela foi enviada",
}
_DRAINED = "nenhuma ligação nova por ela até ser reativada (no painel do supervisor)"
_OPTIONS = {
    "abandono_maximo": "o limite de abandono",
    "modo": "o modo",
    "prioridade": "a prioridade",
    "linhas_por_operador": "as linhas por operador",
    "horario": "o horário",
}


def all_of_them(
    known: Sequence[Mapping[str, Any]], live: Mapping[str, Any], *, allowed: Collection[str]
) -> dict[str, Any]:
    """The page of all campaigns: live ones first, then the last that ended."""
    figures = {one["id"]: one for one in live["campaigns"]}
    mine = [row for row in known if row["name"] in allowed]
    running = [
        _card(row, figures.get(row["id"]))
        for row in mine
        if row["status"] not in {"finished", "failed"}
    ]
    ended = [row for row in mine if row["status"] in {"finished", "failed"}]
    return {
        "running": sorted(running, key=lambda one: (one["kind"] == "ok", one["name"])),
        "ended": [_card(row, None) for row in reversed(ended)][:ENDED_SHOWN],
        "ended_count": len(ended),
        "operators": operators(live["operators"]),
        "pbxs": pbxs(live),
    }


def one(
    found: Mapping[str, Any],
    live: Mapping[str, Any],
    section: Mapping[str, Any],
    audit: Sequence[Mapping[str, Any]],
    *,
    may_change: bool,
) -> dict[str, Any]:
    """The page of one campaign."""
    leads, now = found["leads"], found["live"]
    everybody = sum(leads.values())
    attempts = _counted(found["attempts"], _outcome)
    return {
        **_card(found, now),
        "open": now is not None and found["status"] != "stopping",
        "paused": found["status"] == "paused",
        "may_change": may_change,
        "why": found["why"] or "",
        "reason": reason(found.get("reason")),
        "submitted": found["submitted_at"],
        "finished": found["finished_at"],
        "leads": leads,
        "people": everybody,
        "done_share": leads["ended"] / everybody if everybody else 0.0,
        "operators": operators(now["operators"]) if now else [],
        "mean_wait": found["mean_wait_seconds"],
        "mean_talk": found["mean_talk_seconds"],
        "occupancy": found["occupancy"],
        "share_of_run": found["abandoned_share"],
        "attempts": attempts,
        "most_attempts": max((count for _, count in attempts), default=1),
        "tabulations": _counted(found["tabulations"], words.tabulation),
        "pbxs": pbxs(live),
        "limit": section.get("abandono_maximo", 0.03),
        "options": _options(section),
        "audit": [_entry(entry) for entry in reversed(audit[-AUDIT_SHOWN:])],
        "order": places.campaign(found["name"], found["id"], "ordem"),
        "set_limit": places.campaign(found["name"], found["id"], "limite"),
        "mailing": places.mailing(found["name"], found["id"]),
        "dag": places.dag(f"{places.CAMPAIGN}__{found['name']}"),
    }


def share_of(text: str) -> float:
    """``3``, ``2,5`` or ``2.5 %`` as a share. Raises DataError."""
    match = re.fullmatch(r"\s*(\d{1,2}(?:[.,]\d{1,3})?)\s*%?\s*", text, re.ASCII)
    share = round(float(match[1].replace(",", ".")) / 100, 6) if match else 0.0
    if not 0 < share <= MAX_LIMIT:
        raise DataError(f"O limite é uma porcentagem acima de 0 e até {percent(MAX_LIMIT, 0)}.")
    return share


def operators(states: Mapping[str, int]) -> list[tuple[str, int]]:
    """How many operators are in each state, in the order of a call."""
    return [(words.STATES[state].lower(), states[state]) for state in _STATES if states.get(state)]


def pbxs(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The PBXs and how each fares."""
    told = {one["name"]: one for one in live.get("centrais", ())}
    found = []
    for name, connected in live["pbxs"].items():
        more = told.get(name, {})
        state = more.get("state", "ok") if connected else "fora"
        lines = f"{more['lines']} de {more['capacity']} linhas" if "capacity" in more else ""
        found.append(
            {
                "name": name,
                "kind": {"ok": "ok", "fora": "bad"}.get(state, "wait"),
                "word": words.PBX_STATES[state],
                "lines": lines,
                "why": more.get("why") or (_DRAINED if more.get("drained") else ""),
            }
        )
    return found


def reason(text: str | None) -> str:
    """Why a campaign ended."""
    return _REASONS.get(text or "", text or "")


def _card(row: Mapping[str, Any], live: Mapping[str, Any] | None) -> dict[str, Any]:
    kind = words.STATUS_KINDS[row["status"]]
    card = {
        "id": row["id"],
        "name": row["name"],
        "address": places.campaign(row["name"], row["id"]),
        "kind": kind,
        "word": words.STATUS[row["status"]],
        "submitted": row["submitted_at"],
        "finished": row["finished_at"],
        "left": row.get("leads_left"),
        "reason": reason(row.get("reason")),
        "live": None,
    }
    if live is None:
        return card
    limit = live["abandoned_limit"]
    worst = max(live["abandoned_share"], live["abandoned_share_30_days"] or 0.0)
    if kind == "ok" and worst >= limit:
        card["kind"] = "bad"
    card["live"] = {
        "lines": live["lines"],
        "talking": live["talking"],
        "waiting": live["waiting"],
        "operators": operators(live["operators"]),
        "operator_count": sum(n for state, n in live["operators"].items() if state != "offline"),
        "mode": words.MODES[live["mode"]],
        "priority": live["priority"],
        "answered": live["answered"],
        "abandoned": live["abandoned"],
        "share": live["abandoned_share"],
        "share_30": live["abandoned_share_30_days"],
        "limit": limit,
        "near": worst >= 0.8 * limit,
        "why": live["why"] or "",
    }
    return card


def _outcome(code: str) -> str:
    """An attempt's outcome; of one that goes on the dialer tells the state."""
    return words.outcome(code if code in set(Outcome) else None)


def _counted(counts: Mapping[str, int], word: Callable[[str], str]) -> list[tuple[str, int]]:
    named = [(word(name).lower(), count) for name, count in counts.items() if count]
    return sorted(named, key=lambda one: -one[1])


def _options(section: Mapping[str, Any]) -> list[tuple[str, str]]:
    hours = section.get("horario") or ()
    return [
        (name, text)
        for name, text in (
            ("Modo", words.MODES.get(str(section.get("modo")), "")),
            ("Horário", " às ".join(map(str, hours))),
            ("Dias", ", ".join(map(str, section.get("dias") or ()))),
            ("Prioridade", str(section.get("prioridade", ""))),
            ("Tentativas por telefone", str(section.get("tentativas_por_telefone", ""))),
            ("Toque máximo", f"{section.get('toque_maximo_segundos', '')} s"),
            ("Identificador", str(section.get("identificador", ""))),
        )
        if text
    ]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    detail = entry.get("detail") or {}
    what = words.action(entry["action"])
    if entry["action"] == "settings":
        changes = detail.get("after") or {}
        before = detail.get("before") or {}
        what += ": " + "; ".join(
            f"{_OPTIONS.get(key, key)} de {_value(key, before.get(key))} para {_value(key, value)}"
            for key, value in changes.items()
        )
    elif "leads" in detail:
        what += f": {number(detail['leads'])} pessoas"
    return {"at": entry["at"], "who": entry["who"], "what": what}


def _value(key: str, value: Any) -> str:
    if value is None:
        return "o de costume"
    if key == "abandono_maximo" and isinstance(value, int | float):
        return percent(value)
    return decimal(value) if isinstance(value, float) else str(value)
