"""What happened, by day and by hour: read from the dialer's database for the wall's charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dialer.live import utc_now
from dialer.store import Store
from dialer.web.alerts import SHORT_SECONDS, Short
from zanc_pipeline.common.days import LOCAL, local_midnight

LONGEST_SECONDS = 60.0
"""Three months of a big floor are millions of rows."""

_SHORT = """
SELECT campaign_id, count(*) AS conversations,
       count(*) FILTER (WHERE ended_at - connected_at < make_interval(secs => $2)) AS short
FROM attempt WHERE connected_at > $1 AND ended_at IS NOT NULL AND outcome = 'human' GROUP BY 1
"""
_DAYS = """
WITH day AS (SELECT generate_series($1::date, $2::date, '1 day')::date AS day),
lines AS (
    SELECT day, sum(lines) AS lines, sum(answered) AS answered, sum(abandoned) AS abandoned
    FROM calling_hour WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR name = $3) GROUP BY day),
talks AS (
    SELECT (connected_at AT TIME ZONE $6)::date AS day, count(*) AS talks,
           count(*) FILTER (WHERE tabulation = 'promise') AS promises,
           sum(promise_amount) AS promised,
           count(*) FILTER (WHERE tabulation IN
               ('promise', 'refusal', 'callback', 'already_paid', 'do_not_call')) AS right_party,
           avg(extract(epoch FROM ended_at - connected_at))::float8 AS talk_seconds
    FROM attempt JOIN campaign ON campaign.id = attempt.campaign_id
    WHERE connected_at >= $4 AND connected_at < $5 AND outcome = 'human'
      AND ($3::text IS NULL OR campaign.name = $3)
    GROUP BY 1),
spent AS (
    SELECT (started_at AT TIME ZONE $6)::date AS day,
           sum(extract(epoch FROM ended_at - started_at))
               FILTER (WHERE state IN ('talking', 'wrapup')) AS busy,
           sum(extract(epoch FROM ended_at - started_at)) FILTER (WHERE state <> 'paused') AS there
    FROM operator_time LEFT JOIN campaign ON campaign.id = operator_time.campaign_id
    WHERE started_at >= $4 AND started_at < $5 AND ($3::text IS NULL OR campaign.name = $3)
    GROUP BY 1)
SELECT day.day, coalesce(lines, 0)::int AS lines, coalesce(answered, 0)::int AS answered,
       coalesce(abandoned, 0)::int AS abandoned, coalesce(talks, 0)::int AS talks,
       coalesce(right_party, 0)::int AS right_party, coalesce(promises, 0)::int AS promises,
       coalesce(promised, 0) AS promised, talk_seconds,
       (busy / nullif(there, 0))::float8 AS occupancy
FROM day LEFT JOIN lines USING (day) LEFT JOIN talks USING (day) LEFT JOIN spent USING (day)
ORDER BY day.day
"""
"""Of days $1 to $2 (moments $4 to $5 in the zone $6), of the campaigns named $3 or of all."""
_HOURS = """
SELECT hour, sum(lines)::int AS lines, sum(answered)::int AS answered FROM calling_hour
WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR name = $3) GROUP BY hour ORDER BY hour
"""
_NAMES = "SELECT DISTINCT name FROM campaign ORDER BY name"
_LIMIT = """
SELECT max(coalesce((changes ->> 'abandono_maximo')::float8,
                    (settings ->> 'abandono_maximo')::float8, 0.03)) FROM campaign
WHERE submitted_at >= $1 AND ($2::text IS NULL OR name = $2)
"""
_AUDIT = "SELECT * FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2"


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day: ``occupancy`` and ``abandoned_share`` between 0 and 1, None for nothing."""

    day: date
    lines: int
    answered: int
    abandoned: int
    talks: int
    right_party: int
    promises: int
    promised: Any
    talk_seconds: float | None
    occupancy: float | None

    @property
    def abandoned_share(self) -> float | None:
        """Of the people who answered."""
        return self.abandoned / self.answered if self.answered else None


@dataclass(frozen=True, kw_only=True)
class Hour:
    """An hour of the day over the whole period."""

    hour: int
    lines: int
    answered: int

    @property
    def share(self) -> float | None:
        """How many of the lines a person answered."""
        return self.answered / self.lines if self.lines else None


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the history page shows; ``limit`` is the abandoned share that was allowed."""

    days: list[Day]
    hours: list[Hour]
    names: list[str]
    limit: float


async def past(store: Store, days: int, name: str | None) -> Past:
    """The last ``days`` days, of the campaigns ``name`` or of all."""
    today = utc_now().astimezone(LOCAL).date()
    first = today - timedelta(days=days - 1)
    since, until = local_midnight(first), local_midnight(today + timedelta(days=1))
    async with store.transaction() as connection:
        rows = await connection.fetch(
            _DAYS, first, today, name, since, until, LOCAL.key, timeout=LONGEST_SECONDS
        )
        hours = await connection.fetch(_HOURS, first, today, name)
        names = [row["name"] for row in await connection.fetch(_NAMES)]
        limit = await connection.fetchval(_LIMIT, since, name)
    return Past(
        days=[Day(**dict(row)) for row in rows],
        hours=[Hour(**dict(row)) for row in hours],
        names=names,
        limit=limit or 0.03,
    )


async def short_calls(store: Store) -> dict[str, Short]:
    """Conversations of the last half hour by campaign, and how many were short."""
    since: datetime = utc_now() - timedelta(minutes=30)
    async with store.transaction() as connection:
        rows = await connection.fetch(_SHORT, since, float(SHORT_SECONDS))
    return {
        row["campaign_id"]: Short(conversations=row["conversations"], short=row["short"])
        for row in rows
    }


async def audit(store: Store, before: int, limit: int) -> list[dict[str, Any]]:
    """Who changed what, newest first, of the entries before ``before``."""
    async with store.transaction() as connection:
        return [dict(row) for row in await connection.fetch(_AUDIT, before, limit)]
