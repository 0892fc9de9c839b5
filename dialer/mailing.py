"""Reads a mailing's Parquet file into leads, checked line by line."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from dialer.rules import check_number
from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.errors import DataError

COLUMNS = ("rank", "cpf", "name", "crm", "convenio", "contract", "amount", "phones")

SEGMENTS = (-0.5, -0.35, -0.2, -0.1)
"""People who answer with at least this probability (negated, so that it grows): A, B, C, D; E."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class MailingLead:
    """One person to call; ``refused`` maps phones that may not be dialled to the reason.

    ``segment`` groups people of like expected answer, empty when the mailing has no forecast.
    """

    rank: int
    cpf: str
    name: str
    crm: str
    convenio: str
    contract: str
    amount: Decimal
    phones: tuple[str, ...]
    refused: dict[str, str]
    segment: str = ""
    hours: tuple[tuple[int, ...], ...] = ()
    """Of each phone the best hours, best first, on the clock of ``common.days.LOCAL``."""


def locate(var: Path, relative: str) -> Path:
    """The file ``relative`` below ``var``; raises DataError when it lies elsewhere or is absent."""
    path = (var / relative).resolve()
    if not path.is_relative_to(var.resolve()) or not relative:
        raise DataError(f"mailing {relative!r}: name a file below var/, such as mailings/x.parquet")
    if not path.is_file():
        raise DataError(f"mailing {relative}: the file does not exist; build the mailing again")
    return path


def read_mailing(path: Path, sha256: str) -> list[MailingLead]:
    """The leads of a mailing, best first.

    Raises DataError when the file is not the one of ``sha256``, is no Parquet file, lacks a column,
    or names a person twice. A phone that may not be dialled does not stop the rest: it is kept in
    ``refused`` with the reason.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"mailing {path.name}: the file changed since it was built; build it again")
    leads = [_lead(path.name, row) for row in _rows(path.name, content)]
    seen: set[str] = set()
    for lead in leads:
        if lead.cpf in seen:
            raise DataError(f"mailing {path.name}: the person of rank {lead.rank} is in it twice")
        seen.add(lead.cpf)
    return sorted(leads, key=lambda lead: lead.rank)


def _rows(name: str, content: bytes) -> Sequence[dict[str, object]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        wanted = [name for name in (*COLUMNS, "answer", "hours") if name in file.schema_arrow.names]
        table = file.read(columns=wanted)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"mailing {name}: not a mailing in Parquet: {reason}") from None
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise DataError(f"mailing {name}: the column {missing[0]} is missing; build it again")
    rows: Sequence[dict[str, object]] = table.to_pylist()
    return rows


def _lead(name: str, row: dict[str, object]) -> MailingLead:
    rank, phones, amount = row["rank"], row["phones"], row["amount"]
    cpf = parse_cpf(str(row["cpf"]))
    keys = str(row["crm"]), str(row["convenio"]), str(row["contract"])
    wrong = amount is None or _CONTROL.search("".join(keys)) is not None
    if not isinstance(rank, int) or not isinstance(phones, list) or cpf is None or wrong:
        raise DataError(f"mailing {name}: the row of rank {rank} is not valid; build it again")
    refused: dict[str, str] = {}
    phones = [_CONTROL.sub(" ", str(phone)) for phone in phones]  # it is shown, and refused below
    distinct = tuple(dict.fromkeys(phones))
    hours = row.get("hours")
    told = hours if isinstance(hours, list) and len(hours) == len(phones) else [None] * len(phones)
    best = {phone: _hours(listed) for phone, listed in zip(phones, told, strict=True)}
    for phone in distinct:
        try:
            check_number(phone)
        except DataError as error:
            refused[phone] = str(error)
    return MailingLead(
        rank=rank,
        cpf=cpf,
        name=_CONTROL.sub(" ", str(row["name"])),
        crm=keys[0],
        convenio=keys[1],
        contract=keys[2],
        amount=Decimal(str(amount)).quantize(Decimal("0.01")),
        phones=distinct,
        refused=refused,
        segment=_segment(row.get("answer")),
        hours=tuple(best[phone] for phone in distinct),
    )


def _hours(listed: object) -> tuple[int, ...]:
    """Hours of a clock, each once; none when they are not that."""
    if not isinstance(listed, list):
        return ()
    return tuple(dict.fromkeys(hour for hour in listed if isinstance(hour, int) and 0 <= hour < 24))


def _segment(answer: object) -> str:
    """The segment of an expected answer (a probability)."""
    if not isinstance(answer, float) or not 0 <= answer <= 1:
        return ""
    return "ABCDE"[bisect(SEGMENTS, -answer)]
