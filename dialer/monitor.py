"""The live figures: what a supervisor sees of the floor and of each campaign that runs."""

from __future__ import annotations

from typing import Any

from dialer.attempt import State
from dialer.engine import Engine
from dialer.live import Campaign, utc_now


def figures(engine: Engine) -> dict[str, Any]:
    """Everything that goes on now. Times are in seconds, shares between 0 and 1."""
    now, held = utc_now(), engine.book.problem
    return {
        "at": now,
        "pbxs": {name: pbx.connected for name, pbx in engine.pbxs.items()},
        "centrais": engine.pbxs.figures(now),
        "alarms": [
            *([{"rule": "arquivo", "told": held, "brake": True}] if held else []),
            *(
                {"rule": alarm.rule, "told": alarm.told, "brake": alarm.brake}
                for alarm in engine.book.alarms(now)
            ),
        ],
        "operators": engine.floor.by_state(),
        "campaigns": [campaign(engine, one) for one in engine.campaigns.values()],
        "floor": [
            {
                "operator": agent.id,
                "state": agent.state,
                "since": agent.since,
                "reason": agent.reason,
                "leaving": agent.leaving,
                "campaign": agent.share,
            }
            for agent in sorted(engine.floor.agents.values(), key=lambda agent: agent.id)
            if agent.state != "offline"
        ],
    }


def campaign(engine: Engine, one: Campaign) -> dict[str, Any]:
    """One campaign: its lines, its people, its abandoned share beside the limit, and why.

    ``answered`` and ``abandoned`` are people of today; the share over 30 days counts today too.
    """
    lines, waiting = one.lines(engine.floor)
    mine = [call for call in engine.floor.calls.values() if call.lead.campaign_id == one.id]
    pacer = one.pace.pacer
    return {
        "id": one.id,
        "name": one.row.name,
        "status": one.status,
        "mode": one.settings.modo,
        "priority": one.settings.prioridade,
        "operators": engine.floor.by_state(one.id),
        "lines": len(lines),
        "kept_lines": sum(call.kept and call.on_line for call in mine),
        "waiting": len(waiting),
        "talking": sum(call.attempt.state is State.TALKING for call in mine),
        "answered": pacer.answered,
        "abandoned": pacer.abandoned,
        "abandoned_share": round(pacer.abandoned_share, 5),
        "abandoned_share_30_days": one.pace.share_over_month(),
        "abandoned_limit": one.settings.abandono_maximo,
        "why": one.why,
    }
