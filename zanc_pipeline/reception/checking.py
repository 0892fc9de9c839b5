"""What ``receive`` would do with a file, without receiving it: nothing stays behind."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import joining, ledger
from zanc_pipeline.reception.aside import aside
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.process import Processed, process, unreceived
from zanc_pipeline.reception.verdicts import APPLICATION, duplicate, judge_chain

_LOG = logging.getLogger(__name__)

ALONE = (
    "conferido só pelo layout: o banco de dados não responde, e o histórico, o CRM e as mudanças "
    "de layout não foram consultados (ligue tudo com 'zanc up' e confira de novo)"
)


def check_file(
    settings: Settings, path: Path, convenio: str, now: datetime
) -> tuple[Delivery, Processed, list[str]]:
    """The file as a delivery without number, its verdict, and what the verdict does not know.

    Drift, the convênio's history and the CRM count as when it is received; a proposed layout is
    told in the reason. Without PostgreSQL only the layout speaks, which the notes say. A file of a
    set is judged by its own layout: the set is joined when all of it was received. Raises
    DataError when there is no such file, ConfigError when a layout is wrong.
    """
    delivery = unreceived(path, convenio, now)
    try:
        return delivery, *_checked(settings, path, delivery)
    except UnavailableError as error:
        _LOG.info("checked without the database: %s", error)
        return delivery, process(settings, delivery, path), [ALONE]


def _checked(settings: Settings, path: Path, delivery: Delivery) -> tuple[Processed, list[str]]:
    with transaction(settings, "zanc", application=APPLICATION) as cursor:
        twin = ledger.same_content(cursor, delivery) if delivery.size_bytes else None
        standing = ledger.standing(cursor, delivery)
    place = joining.place_of(settings, delivery)
    with aside(settings.var) as files:
        if place is not None:
            result, _ = joining.read_member(settings, place, delivery, path, files)
            note = f"'{place.member.name}' é um arquivo de um conjunto: será juntado aos outros"
            return result, [note]
        if twin is not None:
            return Processed(verdict=duplicate(twin, "mesmo conteúdo")), []
        result = judge_chain(settings, [delivery], files, frozenset(), standing, content=path)
    return result, []
