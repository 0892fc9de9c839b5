"""What the clerk's page shows of the ledger: a day by convênio, what is missing, one delivery."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL, local_midnight
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger
from zanc_pipeline.reception.drift import store
from zanc_pipeline.reception.drift.store import Proposal
from zanc_pipeline.reception.ledger import Decision, Delivery
from zanc_pipeline.reception.usual_hours import LEARNED_FROM_DAYS, Usual, usual

_APPLICATION = "reception"

REJECTED_SHOWN = 50
"""Rejected rows that are shown of a delivery."""

_SELECTED = """
    FROM reception.delivery
    WHERE (%(since)s::timestamptz IS NULL OR received_at >= %(since)s AND received_at < %(until)s)
      AND convenio = ANY (%(among)s)
"""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which deliveries are looked at: those of ``day``, or of all days when it is None."""

    day: date | None
    among: Collection[str]
    """The convênios that the reader may see."""
    convenio: str | None = None
    statuses: Sequence[str] | None = None
    text: str | None = None
    """In the file's name, whatever its case."""
    before: int | None = None
    """Only those with a smaller number: the next page."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A convênio on the day: how many deliveries of each status, and whether one is missing."""

    convenio: str
    counts: Mapping[str, int] = field(default_factory=dict)
    last_at: datetime | None = None
    expected: Usual | None = None
    missing: bool = False
    """Nothing came although its usual hour is over."""


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """A page of deliveries, newest first, and the day of every convênio."""

    deliveries: Sequence[Delivery]
    more: bool
    standings: Sequence[Standing]
    proposed: frozenset[int]
    """Deliveries with a proposed layout that waits for a person."""
    open_days: Mapping[date, int] = field(default_factory=dict)
    """Deliveries of other days that are still in quarantine or wait, by day."""


@dataclass(frozen=True, kw_only=True)
class RejectedField:
    """One problem of a rejected row; ``found`` is masked."""

    line: int
    field: str
    found: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """All that is to be known about one delivery."""

    delivery: Delivery
    proposal: Proposal | None
    decisions: Sequence[Decision]
    rejected: Sequence[RejectedField]
    correction: Delivery | None
    """The accepted delivery that replaces it."""
    loads: Sequence[Mapping[str, Any]] = ()
    """What the CRM made of it: ``crm``, ``status``, ``rows_loaded``, ``rows_refused``."""


def read(
    settings: Settings,
    choice: Choice,
    *,
    now: datetime,
    rows: int,
    arrivals: Mapping[str, Sequence[datetime]],
) -> Inbox:
    """The deliveries of a day and what is missing; at most ``rows`` of them a page.

    ``arrivals`` are those before the day (function ``arrivals``).
    """
    day = choice.day or now.astimezone(LOCAL).date()
    span = {
        "since": local_midnight(day),
        "until": local_midnight(day + timedelta(days=1)),
        "among": list(choice.among),
        "zone": LOCAL.key,
    }
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            f"SELECT convenio, status, count(*) AS n, max(received_at) AS last {_SELECTED}"
            " GROUP BY convenio, status",
            span,
        )
        counted = cursor.fetchall()
        everything = {"since": None} if choice.day is None else {}
        cursor.execute(
            f"SELECT * {_SELECTED}"
            " AND (%(convenio)s::text IS NULL OR convenio = %(convenio)s)"
            " AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))"
            " AND (%(text)s::text IS NULL OR strpos(lower(file_name), lower(%(text)s)) > 0)"
            " AND (%(before)s::bigint IS NULL OR id < %(before)s)"
            " ORDER BY id DESC LIMIT %(rows)s",
            span
            | everything
            | {
                "convenio": choice.convenio,
                "statuses": None if choice.statuses is None else list(choice.statuses),
                "text": choice.text,
                "before": choice.before,
                "rows": rows + 1,
            },
        )
        deliveries = [ledger.as_delivery(row) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT delivery_id FROM reception.proposal WHERE status = 'proposed'"
            " AND delivery_id = ANY (%s)",
            ([one.id for one in deliveries],),
        )
        proposed = frozenset(row["delivery_id"] for row in cursor.fetchall())
        cursor.execute(
            "SELECT timezone(%(zone)s, received_at)::date AS day, count(*) AS n"
            " FROM reception.delivery WHERE status IN ('quarantined', 'held')"
            " AND NOT (received_at >= %(since)s AND received_at < %(until)s)"
            " AND convenio = ANY (%(among)s) GROUP BY 1 ORDER BY 1 DESC",
            span,
        )
        open_days = {row["day"]: row["n"] for row in cursor.fetchall()}
    return Inbox(
        deliveries=deliveries[:rows],
        more=len(deliveries) > rows,
        standings=[
            one
            for one in _standings(settings, counted, arrivals, day, now)
            if one.convenio in choice.among
        ],
        proposed=proposed,
        open_days=open_days,
    )


def missing(settings: Settings, *, now: datetime) -> list[Standing]:
    """The convênios whose file of today did not come by its usual hour."""
    day = now.astimezone(LOCAL).date()
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            "SELECT convenio, status, count(*) AS n, max(received_at) AS last"
            " FROM reception.delivery WHERE received_at >= %s GROUP BY convenio, status",
            (local_midnight(day),),
        )
        counted = cursor.fetchall()
    before = arrivals(settings, day)
    return [one for one in _standings(settings, counted, before, day, now) if one.missing]


def case(settings: Settings, delivery_id: int) -> Case:
    """One delivery with all that was found and decided. Raises DataError when there is none."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        delivery = ledger.select(cursor, delivery_id)
        if delivery is None:
            raise DataError(f"não há entrega {delivery_id}")
        proposal = store.select(cursor, delivery_id)
        decided = ledger.decisions(cursor, delivery_id)
        correction = ledger.correction_of(cursor, delivery_id)
        cursor.execute(
            "SELECT line, field, found, problem FROM reception.rejected_row"
            " WHERE delivery_id = %s ORDER BY line, field LIMIT %s",
            (delivery_id, REJECTED_SHOWN),
        )
        rejected = [RejectedField(**row) for row in cursor.fetchall()]
        cursor.execute("SELECT to_regclass('crm.load') IS NOT NULL AS known")
        loads = []
        if cursor.fetchone()["known"]:
            cursor.execute(
                "SELECT crm, status, rows_loaded, rows_refused, finished_at FROM crm.load"
                " WHERE delivery_id = %s",
                (delivery_id,),
            )
            loads = cursor.fetchall()
    return Case(
        delivery=delivery,
        proposal=proposal,
        decisions=decided,
        rejected=rejected,
        correction=correction,
        loads=loads,
    )


def arrivals(settings: Settings, day: date) -> dict[str, list[datetime]]:
    """When the files of the weeks before ``day`` came, by convênio; repeated ones do not count."""
    with transaction(settings, "zanc", application=_APPLICATION) as cursor:
        cursor.execute(
            "SELECT convenio, min(coalesce(uploaded_at, received_at)) AS at"
            " FROM reception.delivery WHERE received_at >= %(since)s AND received_at < %(until)s"
            " AND status <> 'duplicate' AND corrects IS NULL"
            " GROUP BY convenio, timezone(%(zone)s, coalesce(uploaded_at, received_at))::date",
            {
                "since": local_midnight(day - timedelta(days=LEARNED_FROM_DAYS)),
                "until": local_midnight(day),
                "zone": LOCAL.key,
            },
        )
        found: dict[str, list[datetime]] = {}
        for row in cursor.fetchall():
            found.setdefault(row["convenio"], []).append(row["at"])
    return found


def _standings(
    settings: Settings,
    counted: Sequence[Mapping[str, Any]],
    arrivals: Mapping[str, Sequence[datetime]],
    day: date,
    now: datetime,
) -> list[Standing]:
    counts: dict[str, dict[str, int]] = {}
    last: dict[str, datetime] = {}
    for row in counted:
        convenio = row["convenio"]
        counts.setdefault(convenio, {})[row["status"]] = row["n"]
        last[convenio] = max(last.get(convenio, row["last"]), row["last"])
    found = []
    for convenio in [*settings.convenios, *sorted(set(counts) - set(settings.convenios))]:
        expected = usual(arrivals.get(convenio, ()), day)
        came = sum(n for status, n in counts.get(convenio, {}).items() if status != "duplicate")
        found.append(
            Standing(
                convenio=convenio,
                counts=counts.get(convenio, {}),
                last_at=last.get(convenio),
                expected=expected,
                missing=expected is not None and not came and now > expected.by,
            )
        )
    return found
