"""A campaign that was dialled, as a scenario of the simulator: what would other settings have done?

Ring, conversation and wrap-up times and the answer rate are those that were measured. The simulated
shift has people to call until its end, a real mailing runs dry: its occupancy is the higher one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dialer.scenario import Law, Scenario
from dialer.settings import ANSWER_WAIT_SECONDS, parse_campaign
from dialer.simulator import simulate
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings

SEEDS = 5
LEAST_LINES = 20
SHORTEST_HOURS = 0.25
"""A shift of fewer says little."""

CAMPAIGN = """
SELECT id, name, settings || changes AS section FROM campaign WHERE %(asked)s IN (id, name)
ORDER BY (id = %(asked)s) DESC, submitted_at DESC LIMIT 1
"""
LINES = """
SELECT extract(epoch FROM coalesce(detected_at, ended_at) - created_at)::float8 AS ring,
       extract(epoch FROM ended_at - connected_at)::float8 AS talk,
       outcome IN ('human', 'abandoned') AS person
FROM attempt WHERE campaign_id = %s AND placed AND state = 'ended'
  AND outcome NOT IN ('cancelled', 'unknown')
"""
WRAPUPS = """
SELECT operator_id, extract(epoch FROM ended_at - started_at)::float8 AS seconds, state
FROM operator_time WHERE campaign_id = %s
"""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Means over some simulated shifts: shares of the operators' time and of those who answered."""

    mode: str
    occupancy: float
    abandoned_share: float


def scenario_of(settings: Settings, campaign_id: str) -> Scenario:
    """The campaign as it went, in its own mode: by its id, or the latest run of a name.

    Raises DataError when the dialer has no such campaign, or one of too few calls.
    """
    with transaction(settings, "dialer") as cursor:
        cursor.execute(CAMPAIGN, {"asked": campaign_id})
        campaign = cursor.fetchone()
        if campaign is None:
            raise DataError(f"the dialer has no campaign {campaign_id}")
        campaign_id = campaign["id"]
        cursor.execute(LINES, (campaign_id,))
        lines = cursor.fetchall()
        cursor.execute(WRAPUPS, (campaign_id,))
        spans = cursor.fetchall()
    people = sum(line["person"] for line in lines)
    talk = _times(line["talk"] for line in lines)
    operators = len({span["operator_id"] for span in spans})
    if len(lines) < LEAST_LINES or not people or not talk or not operators:
        raise DataError(
            f"campaign {campaign_id} has too few calls to replay: {len(lines)} lines (it takes"
            f" {LEAST_LINES}), {people} people who answered, {len(talk)} conversations"
        )
    present = sum(span["seconds"] for span in spans if span["state"] not in ("paused", "offline"))
    pacing = parse_campaign(campaign["section"], f"campanha {campaign['name']}").pacing
    return Scenario(
        operators=operators,
        answer=((0.0, people / len(lines)),),
        ring=_law(_times(line["ring"] for line in lines)),
        talk=_law(talk),
        wrapup=_law(_times(span["seconds"] for span in spans if span["state"] == "wrapup")),
        hours=min(24.0, max(SHORTEST_HOURS, present / operators / 3600)),
        wait=ANSWER_WAIT_SECONDS,
        mode=pacing.mode,
        max_abandon=pacing.max_abandon,
        lines_per_agent=pacing.lines_per_agent,
    )


def expected(scenario: Scenario, mode: str | None = None) -> Expected:
    """What the simulator makes of it, in its own mode or in another."""
    chosen = scenario if mode is None else scenario.model_copy(update={"mode": mode})
    shifts = [simulate(chosen.model_copy(update={"seed": seed})) for seed in range(1, SEEDS + 1)]
    return Expected(
        mode=chosen.mode,
        occupancy=sum(shift.occupancy for shift in shifts) / SEEDS,
        abandoned_share=sum(shift.abandoned for shift in shifts)
        / max(1, sum(shift.answered for shift in shifts)),
    )


def _times(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values if value is not None and value > 0)


def _law(values: Sequence[float]) -> Law:
    if not values:
        return Law(law="constant", mean=0.0)
    return Law(law="empirical", values=tuple(min(value, 86_400.0) for value in values))
