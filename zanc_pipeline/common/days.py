"""Business days: local dates, and the day that the portfolio speaks of."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError

if TYPE_CHECKING:
    from zanc_pipeline.common.settings import Settings

LOCAL_ZONE = "America/Sao_Paulo"
LOCAL = ZoneInfo(LOCAL_ZONE)


def local_midnight(day: date) -> datetime:
    """The moment at which ``day`` begins where the calls are made."""
    return datetime.combine(day, time(), LOCAL)


def latest_day(settings: Settings) -> date:
    """The latest reference date of a loaded portfolio; ConflictError when none is loaded yet."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT to_regclass('reception.delivery') IS NOT NULL AS known")
        latest: date | None = None
        if cursor.fetchone()["known"]:
            cursor.execute(
                "SELECT max(reference_date) AS day FROM reception.delivery "
                "WHERE status = 'loaded' AND content = 'carteira'"
            )
            latest = cursor.fetchone()["day"]
    if latest is None:
        raise ConflictError("no delivery is loaded yet: name the day, or load one first")
    return latest
