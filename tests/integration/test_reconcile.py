"""The dialer's attempts beside call records, over the time for which those are kept."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from dialer.comparing import compare_all
from dialer.policy import load_policy
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings

pytestmark = pytest.mark.integration

ROW = (
    '"","1140028900","s","zanc-answered","","PJSIP/carrier-1","","Dial","","{0}","","{0}",30,0,'
    '"BUSY","DOCUMENTATION","{1}",""\n'
)


def attempt(settings: Settings, *, age_days: float) -> str:
    """A call that was busy so long ago; its id."""
    made, at = uuid.uuid4().hex, datetime.now(UTC) - timedelta(days=age_days)
    with transaction(settings, "dialer") as cursor:
        cursor.execute(
            "INSERT INTO campaign (id, name, settings, mailing, sha256)"
            " VALUES ('c1', 'geral', '{}', '', '') ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "INSERT INTO lead (campaign_id, rank, cpf, name, crm, convenio, contract, amount,"
            " phones) VALUES ('c1', 1, %s, '', '', '', '', 1, '{}') RETURNING id",
            (made[:11],),
        )
        [lead] = cursor.fetchall()
        cursor.execute(
            "INSERT INTO attempt (id, campaign_id, lead_id, number, cpf, phone, pbx, state,"
            " created_at, ended_at, outcome, closed_number) VALUES (%s, 'c1', %s, 1, '', '',"
            " 'central', 'ended', %s, %s, 'busy', nextval('attempt_closed'))",
            (made, lead["id"], at, at),
        )
    return made


def test_what_is_older_than_call_records_is_left_out_and_no_stranger(settings: Settings) -> None:
    kept = load_policy(settings.config).guarda.registros_dias
    old, lost, fresh, aside = (
        attempt(settings, age_days=days) for days in (kept + 1, kept + 1, 1, kept - 1)
    )
    missing, stranger = attempt(settings, age_days=2), uuid.uuid4().hex
    folder = settings.var / "asterisk" / "central" / "log" / "cdr-csv"
    folder.mkdir(parents=True)
    # An old row stays in a file that was never long enough to be put aside.
    rows = [ROW.format("2026-11-23 13:00:00", one) for one in (old, fresh, stranger)]
    (folder / "Master.csv").write_text("".join(rows))
    (folder / "Master.csv.20260101T000000Z").write_text(ROW.format("2026-11-01 13:00:00", aside))

    found = compare_all(settings)
    assert lost not in {one.attempt for one in found.differences}
    told = {(one.attempt, one.what, one.theirs) for one in found.differences}
    assert told == {(missing, "registro", "nenhum"), (stranger, "ligação", "um registro")}
    assert (found.attempts, found.records, found.left_out) == (3, 2, 2)

    of_the_campaign = compare_all(settings, "geral")
    assert {one.attempt for one in of_the_campaign.differences} == {missing}
    with pytest.raises(DataError, match="no campaign nada"):
        compare_all(settings, "nada")
