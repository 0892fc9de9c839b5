"""How many of a file's contracts the CRM already holds, and whether for the same person.

By SQL on the mirror that the CRM's room keeps: reception imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.drift.doubts import ENOUGH, Doubt, percent
from zanc_pipeline.reception.drift.sample import KEY, Sample

SAME_PERSON = 0.95
"""Share of the known contracts, at least, that must come with the CPF that the CRM has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """``asked`` contracts of a sample: ``found`` are in the CRM, ``same`` for the same CPF."""

    asked: int
    found: int
    same: int

    @property
    def doubts(self) -> list[Doubt]:
        """What the CRM has against the file."""
        if self.found < ENOUGH or self.same >= SAME_PERSON * self.found:
            return []
        text = f"só {percent(self.same / self.found)} dos contratos que o CRM conhece vêm com o "
        return [Doubt(field="cpf", kind="crm", text=text + "CPF que está no CRM")]


def known(settings: Settings, convenio: str, sample: Sample) -> Known | None:
    """Ask the CRM's mirror about the sampled contracts; None where there is no mirror yet."""
    if KEY not in sample.cells or "cpf" not in sample.cells:
        return None
    cpfs = dict(zip(sample.cells[KEY], sample.cells["cpf"], strict=True))
    try:
        with transaction(settings, "zanc", application="reception") as cursor:
            cursor.execute(
                "SELECT contract, cpf FROM crm.contract WHERE convenio = %s AND contract = ANY(%s)",
                (convenio, list(cpfs)),
            )
            held: Mapping[str, str] = {row["contract"]: row["cpf"] for row in cursor.fetchall()}
    except ConfigError:  # the CRM's room has no tables in this database
        return None
    same = sum(parse_cpf(cpfs[contract]) == cpf for contract, cpf in held.items())
    return Known(asked=len(cpfs), found=len(held), same=same)
