"""What the localization base knows of the phones of some clients, read from its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.choice import ANSWERED, CONFIRMED, MISSED, NEVER, SUPPRESSED, Contact


def contacts_of(settings: Settings, cpfs: Sequence[str]) -> Mapping[tuple[str, str], Contact]:
    """The state of each known phone of these CPFs, by (cpf, phone)."""
    with transaction(settings, "zanc", application="zanc crm load") as cursor:
        cursor.execute(
            "SELECT cpf, phone, last_attempt_at, CASE WHEN suppressed IS NOT NULL THEN %s "
            "WHEN right_parties > 0 THEN %s WHEN answers > 0 THEN %s WHEN attempts > 0 THEN %s "
            "ELSE %s END AS state FROM localization.person_phone WHERE cpf = ANY (%s)",
            (SUPPRESSED, CONFIRMED, ANSWERED, MISSED, NEVER, list(cpfs)),
        )
        return {
            (row["cpf"], row["phone"]): Contact(state=row["state"], last_at=row["last_attempt_at"])
            for row in cursor.fetchall()
        }
