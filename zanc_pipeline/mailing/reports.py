"""Stored mailings as data, for pages and scripts: the list, one of them, what stands beside it.

``service.before`` finds the earlier mailing to compare with, ``service.why`` says what became of a
person. All texts are Portuguese, for the analyst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.migrations import require
from zanc_pipeline.mailing.explain import Line, comparison, notes, steps
from zanc_pipeline.mailing.service import SELECT_MAILING, Mailing

if TYPE_CHECKING:
    from zanc_pipeline.common.settings import Settings

__all__ = ["Line", "comparison", "mailing", "mailings", "notes", "steps"]


def mailings(settings: Settings, *, campaign: str | None = None, limit: int = 100) -> list[Mailing]:
    """The latest mailings, newest first; of one ``campaign`` when it is given."""
    require(settings, "mailing")
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        cursor.execute(
            f"{SELECT_MAILING} WHERE %(campaign)s::text IS NULL OR campaign = %(campaign)s "
            "ORDER BY day DESC, built_at DESC, id LIMIT %(limit)s",
            {"campaign": campaign, "limit": limit},
        )
        return [Mailing(**row) for row in cursor.fetchall()]


def mailing(settings: Settings, mailing_id: str) -> Mailing:
    """One mailing: ``waterfall``, ``expected`` and ``details`` as the builder wrote them.

    DataError when there is none of this id.
    """
    require(settings, "mailing")
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        cursor.execute(f"{SELECT_MAILING} WHERE id = %s", (mailing_id,))
        row = cursor.fetchone()
    if row is None:
        raise DataError(f"não há mailing '{mailing_id}'")
    return Mailing(**row)
