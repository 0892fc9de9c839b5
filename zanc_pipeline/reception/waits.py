"""Deliveries that wait for another file longer than their convênio said (``espera_horas``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import ledger
from zanc_pipeline.reception.joining import place_of
from zanc_pipeline.reception.layout_models import SetLayout
from zanc_pipeline.reception.ledger import Delivery

USUAL_HOURS: int = SetLayout.model_fields["wait_hours"].default
"""Of a delivery that waits for its turn, or whose layout can't be read any more."""


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """A delivery that has waited for more than ``hours``."""

    delivery: Delivery
    hours: int


def overdue(settings: Settings, *, now: datetime) -> list[Overdue]:
    """All deliveries whose wait is over, the oldest first."""
    with transaction(settings, "zanc", application="reception") as cursor:
        cursor.execute("SELECT * FROM reception.delivery WHERE status = 'held' ORDER BY id")
        waiting = [ledger.as_delivery(row) for row in cursor.fetchall()]
    found = (Overdue(delivery=one, hours=_patience(settings, one)) for one in waiting)
    return [one for one in found if one.delivery.received_at + timedelta(hours=one.hours) < now]


def _patience(settings: Settings, delivery: Delivery) -> int:
    try:
        place = place_of(settings, delivery)
    except (ConfigError, DataError):
        return USUAL_HOURS
    return place.layout.wait_hours if place else USUAL_HOURS
