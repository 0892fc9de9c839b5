"""Builds mailings from the databases and stores them for ever."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import latest_day
from zanc_pipeline.common.do_not_call import read_lists
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.frames import copy_frame
from zanc_pipeline.common.migrations import require
from zanc_pipeline.mailing.builder import Built
from zanc_pipeline.mailing.builder import build as rank
from zanc_pipeline.mailing.explain import page
from zanc_pipeline.mailing.exploration import DRAWN
from zanc_pipeline.mailing.reading import read_contracts, read_inputs, read_opted_out
from zanc_pipeline.mailing.rules import rules
from zanc_pipeline.mailing.strategy import Strategy, load_strategy

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

__all__ = ["Mailing", "Why", "before", "build", "latest_day", "why", "write_page"]

SELECT_MAILING = """
    SELECT id, campaign, day, inputs_hash, built_at, leads, path, sha256, waterfall, expected,
        details
    FROM mailing.mailing
"""


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """A row of mailing.mailing; ``created`` says whether this call made it."""

    id: str
    campaign: str
    day: date
    inputs_hash: str
    built_at: datetime
    leads: int
    path: str
    sha256: str
    waterfall: list[dict[str, Any]]
    expected: dict[str, float]
    details: dict[str, Any]
    created: bool = False

    def to_json(self) -> dict[str, Any]:
        """As ``zanc mailing build --json`` prints it."""
        return asdict(self) | {"day": self.day.isoformat(), "built_at": self.built_at.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a person is in a mailing (``rank``) or not (``left_out`` and ``texto``).

    ``also`` are the other rules that would have left the person out.
    """

    mailing_id: str
    day: date
    rank: int | None
    left_out: str | None
    texto: str
    also: list[str]
    profit: float | None
    convenio: str | None
    contract: str | None
    payment: float | None
    gain: float | None
    arm: str | None
    propensity: float
    hour: int | None


def build(settings: Settings, campaign: str, day: date) -> Mailing:
    """The mailing of ``campaign`` for ``day``: made once for the same strategy and portfolio.

    Scores and lists of who must not be called decide who is in it but do not name the mailing: the
    campaign's own calls change the scores all day long, and a list that grows takes nobody out of
    a mailing that was handed over; neither must make a second one. When the portfolio or the
    strategy changes after a mailing was made, another is, without the people of those before it
    on that day. Raises ConfigError for a wrong strategy, ConflictError when the scores are not of
    ``day``, DataError when there is no open contract.
    """
    strategy = load_strategy(settings, campaign)
    listed = read_lists(settings.config / "nao_ligar", strategy.nunca_chamar.listas)
    require(settings, "reception", "crm", "localization", "scoring", "mailing", "dialer")
    asked = read_opted_out(settings)
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        # One at a time: two mailings of a day must not hold the same person.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('mailing.build'))")
        contracts = read_contracts(cursor, strategy)
        if not len(contracts):
            raise DataError(f"campanha '{campaign}': não há contrato em aberto nos seus convênios")
        inputs_hash = _inputs_hash(strategy, contracts)
        mailing_id = f"{campaign}-{day:%Y%m%d}-{inputs_hash[:8]}"
        known = _find(cursor, mailing_id)
        if known is not None:
            return known
        inputs = read_inputs(
            cursor, strategy, campaign=campaign, day=day, contracts=contracts, listed=listed,
            asked=asked,
        )  # fmt: skip
        built = rank(strategy, day, inputs)
        made = _store(cursor, settings, campaign, day, mailing_id, inputs_hash, built)
    write_page(settings, made, before(settings, made))
    return made


def before(settings: Settings, made: Mailing) -> Mailing | None:
    """The campaign's latest mailing of an earlier day."""
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        cursor.execute(
            f"{SELECT_MAILING} WHERE campaign = %s AND day < %s "
            "ORDER BY day DESC, built_at DESC LIMIT 1",
            (made.campaign, made.day),
        )
        row = cursor.fetchone()
    return None if row is None else Mailing(**row)


def write_page(settings: Settings, made: Mailing, earlier: Mailing | None) -> Path:
    """Write the report of a mailing beside its Parquet file, as an HTML page; its path."""
    path = settings.var / "mailings" / f"{made.id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.write_text(page(made, earlier), encoding="utf-8")
    aside.replace(path)
    return path


def why(settings: Settings, campaign: str, cpf: str, mailing_id: str | None = None) -> Why:
    """What a mailing of ``campaign``, without ``mailing_id`` its latest, did with a person.

    Raises ConflictError when there is no such mailing, DataError when the person was no candidate.
    """
    strategy = load_strategy(settings, campaign)
    require(settings, "reception", "crm", "localization", "scoring", "mailing")
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        cursor.execute(
            "SELECT id, day FROM mailing.mailing WHERE campaign = %(campaign)s "
            "AND (%(id)s::text IS NULL OR id = %(id)s) ORDER BY day DESC, built_at DESC LIMIT 1",
            {"campaign": campaign, "id": mailing_id},
        )
        mailing = cursor.fetchone()
        if mailing is None:
            what = "ainda não tem mailing" if mailing_id is None else f"não tem o {mailing_id}"
            raise ConflictError(f"a campanha '{campaign}' {what}")
        cursor.execute(
            "SELECT rank, left_out, reasons, profit, convenio, contract, payment, gain, arm, "
            "propensity, hour FROM mailing.candidate WHERE mailing_id = %s AND cpf = %s",
            (mailing["id"], cpf),
        )
        row = cursor.fetchone()
    if row is None:
        raise DataError(
            f"mailing {mailing['id']}: esta pessoa não tinha contrato em aberto nos convênios da "
            "campanha"
        )
    known = rules(strategy)
    texts = [known[code].texto for code in (row["reasons"] or "").split(",") if code in known]
    rule, drawn = known.get(row["left_out"] or ""), row["arm"] == DRAWN
    kept = "está no mailing" + (", por sorteio" if drawn else "")
    return Why(
        mailing_id=mailing["id"],
        day=mailing["day"],
        texto=rule.texto if rule else kept,
        also=[texto for texto in texts if rule is None or texto != rule.texto],
        **{name: value for name, value in row.items() if name != "reasons"},
    )


def _inputs_hash(strategy: Strategy, contracts: pd.DataFrame) -> str:
    portfolio = contracts[["convenio", "contract", "cpf", "amount", "due_date"]].to_csv(index=False)
    digest = hashlib.sha256(strategy.fingerprint().encode())
    digest.update(portfolio.encode())
    return digest.hexdigest()


def _find(cursor: Any, mailing_id: str) -> Mailing | None:
    cursor.execute(f"{SELECT_MAILING} WHERE id = %s", (mailing_id,))
    row = cursor.fetchone()
    return None if row is None else Mailing(**row)


def _store(
    cursor: Any,
    settings: Settings,
    campaign: str,
    day: date,
    mailing_id: str,
    inputs_hash: str,
    built: Built,
) -> Mailing:
    path = settings.var / "mailings" / f"{mailing_id}.parquet"
    sha256 = write_leads(path, built.leads)
    cursor.execute(
        "INSERT INTO mailing.mailing "
        "(id, campaign, day, inputs_hash, leads, path, sha256, waterfall, expected, details) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING built_at",
        (
            mailing_id,
            campaign,
            day,
            inputs_hash,
            len(built.leads),
            str(path.relative_to(settings.var)),
            sha256,
            json.dumps(built.waterfall, ensure_ascii=False),
            json.dumps(built.expected),
            json.dumps(built.details, ensure_ascii=False),
        ),
    )
    built_at = cursor.fetchone()["built_at"]
    copy_frame(cursor, "mailing.candidate", built.candidates.assign(mailing_id=mailing_id))
    return Mailing(
        id=mailing_id,
        campaign=campaign,
        day=day,
        inputs_hash=inputs_hash,
        built_at=built_at,
        leads=len(built.leads),
        path=str(path.relative_to(settings.var)),
        sha256=sha256,
        waterfall=built.waterfall,
        expected=built.expected,
        details=built.details,
        created=True,
    )


def write_leads(path: Path, leads: pd.DataFrame) -> str:
    """Write the Parquet whole or not at all and return its SHA-256.

    Killed before the row is committed, the file stays as an orphan that a retry replaces.
    """
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    fields: list[tuple[str, Any]] = [
        ("rank", pa.int64()),
        ("cpf", text),
        ("name", text),
        ("crm", text),
        ("convenio", text),
        ("contract", text),
        ("amount", pa.decimal128(14, 2)),
        ("phones", pa.list_(text)),
        ("hours", pa.list_(pa.list_(pa.int8()))),
        ("profit", pa.float64()),
        ("answer", pa.float64()),
    ]
    columns = [
        pa.array(
            [Decimal(value) for value in leads[name]] if name == "amount" else list(leads[name]),
            kind,
        )
        for name, kind in fields
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), aside)
        with aside.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return sha256
