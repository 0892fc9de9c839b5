"""Builds mailings from the databases and stores them for ever."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import latest_day, local_midnight
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.frames import copy_frame, read_frame
from zanc_pipeline.common.migrations import require
from zanc_pipeline.mailing.builder import Built, Inputs
from zanc_pipeline.mailing.builder import build as rank
from zanc_pipeline.mailing.economics import TALK_SECONDS
from zanc_pipeline.mailing.rules import rules
from zanc_pipeline.mailing.strategy import Strategy, load_strategy

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

__all__ = ["Mailing", "Why", "build", "latest_day", "why"]

_CONTRACTS = """
    SELECT c.convenio, c.contract, c.crm, c.cpf, p.name, c.amount, c.due_date, s.payment
    FROM crm.contract c JOIN crm.person p USING (cpf)
    LEFT JOIN scoring.contract_score s ON s.convenio = c.convenio AND s.contract = c.contract
    WHERE c.status = 'open' AND (%(convenios)s::text[] IS NULL OR c.convenio = ANY (%(convenios)s))
    ORDER BY c.convenio, c.contract
"""
_PHONES = """
    SELECT pp.cpf, pp.phone, pp.answers, pp.right_parties, s.answer
    FROM localization.person_phone pp
    LEFT JOIN (
        SELECT cpf, phone, avg(answer) AS answer FROM scoring.phone_score
        WHERE day = %(day)s AND hour = ANY (%(hours)s) GROUP BY cpf, phone
    ) s ON s.cpf = pp.cpf AND s.phone = pp.phone
    WHERE pp.suppressed IS NULL
      AND EXISTS (SELECT 1 FROM crm.contract c WHERE c.cpf = pp.cpf AND c.status = 'open')
    ORDER BY pp.cpf, pp.phone
"""
_DECEASED = """
    SELECT cpf FROM crm.person WHERE deceased
    UNION SELECT cpf FROM crm.outcome WHERE tabulation = 'deceased'
    UNION SELECT cpf FROM localization.person_phone WHERE deceased
"""
_PROMISED = """
    SELECT DISTINCT cpf FROM crm.outcome
    WHERE tabulation = 'promise' AND promise_date >= %(day)s
"""
_TALKED = """
    SELECT cpf FROM localization.person_phone WHERE last_right_party_at >= %(since)s
    UNION SELECT cpf FROM crm.outcome
    WHERE started_at >= %(since)s
      AND tabulation IN ('promise', 'refusal', 'callback', 'already_paid')
"""
_IN_OTHER_MAILING = """
    SELECT DISTINCT c.cpf FROM mailing.candidate c JOIN mailing.mailing m ON m.id = c.mailing_id
    WHERE m.day = %(day)s AND c.rank IS NOT NULL
"""
_TALK_SECONDS = """
    SELECT avg(talk_seconds) AS seconds FROM localization.call
    WHERE outcome = 'human' AND talk_seconds > 0
      AND started_at >= %(since)s AND started_at < %(until)s
"""
_MAILING = """
    SELECT id, campaign, day, inputs_hash, built_at, leads, path, sha256, waterfall, expected
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
    created: bool = False

    def to_json(self) -> dict[str, Any]:
        """As ``zanc mailing build --json`` prints it."""
        return asdict(self) | {"day": self.day.isoformat(), "built_at": self.built_at.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a person is in a mailing (``rank``) or not (``left_out`` and ``texto``)."""

    mailing_id: str
    day: date
    rank: int | None
    left_out: str | None
    texto: str
    profit: float | None


def build(settings: Settings, campaign: str, day: date) -> Mailing:
    """The mailing of ``campaign`` for ``day``: made once for the same strategy and portfolio.

    Scores decide the ranking but do not name the mailing: the campaign's own calls change them all
    day long, and must not make a second mailing of the same people. When the portfolio or the
    strategy changes after a mailing was made, another is, without the people of those before it
    on that day. Raises ConfigError for a wrong strategy, ConflictError when the scores are not of
    ``day``, DataError when there is no open contract.
    """
    strategy = load_strategy(settings, campaign)
    require(settings, "reception", "crm", "localization", "scoring", "mailing")
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        # One at a time: two mailings of a day must not hold the same person.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('mailing.build'))")
        contracts = _contracts(cursor, strategy)
        if not len(contracts):
            raise DataError(f"campanha '{campaign}': não há contrato em aberto nos seus convênios")
        inputs_hash = _inputs_hash(strategy, contracts)
        mailing_id = f"{campaign}-{day:%Y%m%d}-{inputs_hash[:8]}"
        known = _find(cursor, mailing_id)
        if known is not None:
            return known
        built = rank(strategy, day, _inputs(cursor, strategy, day, contracts))
        return _store(cursor, settings, campaign, day, mailing_id, inputs_hash, built)


def why(settings: Settings, campaign: str, cpf: str) -> Why:
    """What the latest mailing of ``campaign`` did with a person.

    Raises ConflictError when there is no mailing yet, DataError when the person was no candidate.
    """
    strategy = load_strategy(settings, campaign)
    require(settings, "reception", "crm", "localization", "scoring", "mailing")
    with transaction(settings, "zanc", application="zanc-mailing") as cursor:
        cursor.execute(
            "SELECT id, day FROM mailing.mailing WHERE campaign = %s "
            "ORDER BY day DESC, built_at DESC LIMIT 1",
            (campaign,),
        )
        mailing = cursor.fetchone()
        if mailing is None:
            raise ConflictError(f"a campanha '{campaign}' ainda não tem mailing")
        cursor.execute(
            "SELECT rank, left_out, profit FROM mailing.candidate "
            "WHERE mailing_id = %s AND cpf = %s",
            (mailing["id"], cpf),
        )
        row = cursor.fetchone()
    if row is None:
        raise DataError(
            f"mailing {mailing['id']}: esta pessoa não tinha contrato em aberto nos convênios da "
            "campanha"
        )
    rule = rules(strategy).get(row["left_out"] or "")
    return Why(
        mailing_id=mailing["id"],
        day=mailing["day"],
        rank=row["rank"],
        left_out=row["left_out"],
        texto=rule.texto if rule else "está no mailing",
        profit=row["profit"],
    )


def calling_hours(strategy: Strategy) -> list[int]:
    """The local hours in which the campaign dials, as far as its ``horario`` can be read."""
    try:
        first, end = (str(limit) for limit in strategy.discador["horario"])
        start_hour, (end_hour, minutes) = int(first[:2]), (int(part) for part in end.split(":"))
    except (KeyError, TypeError, ValueError):
        return list(range(24))
    return list(range(start_hour, end_hour + (minutes > 0))) or list(range(24))


def _contracts(cursor: Any, strategy: Strategy) -> pd.DataFrame:
    convenios = None if strategy.convenios == "todos" else list(strategy.convenios)
    return read_frame(
        cursor,
        _CONTRACTS,
        {"convenios": convenios},
        numbers=("payment",),
        dates=("due_date",),
    )


def _inputs(cursor: Any, strategy: Strategy, day: date, contracts: pd.DataFrame) -> Inputs:
    _require_scores(cursor, day)
    since = local_midnight(day)
    talked_since = since - timedelta(days=strategy.nunca_chamar.conversou_nos_ultimos_dias)
    phones = read_frame(
        cursor,
        _PHONES,
        {"day": day, "hours": calling_hours(strategy)},
        numbers=("answers", "right_parties", "answer"),
    )
    cursor.execute(
        _TALK_SECONDS, {"since": since - timedelta(days=30), "until": since + timedelta(days=1)}
    )
    seconds = cursor.fetchone()["seconds"]
    talked = frozenset[str]()
    if strategy.nunca_chamar.conversou_nos_ultimos_dias:
        talked = _people(cursor, _TALKED, {"since": talked_since})
    return Inputs(
        contracts=contracts,
        phones=phones,
        deceased=_people(cursor, _DECEASED, {}),
        promised=_people(cursor, _PROMISED, {"day": day}),
        talked=talked,
        in_other_mailing=_people(cursor, _IN_OTHER_MAILING, {"day": day}),
        talk_seconds=TALK_SECONDS if seconds is None else float(seconds),
    )


def _require_scores(cursor: Any, day: date) -> None:
    cursor.execute("SELECT min(day) AS first, max(day) AS last FROM scoring.phone_score")
    scored = cursor.fetchone()
    if scored["last"] is None:
        raise ConflictError(f"ainda não há notas: rode 'zanc models score --day {day}'")
    if not scored["first"] <= day <= scored["last"]:
        raise ConflictError(
            f"as notas são do dia {scored['last']}: rode 'zanc models score --day {day}'"
        )


def _people(cursor: Any, select: str, parameters: dict[str, object]) -> frozenset[str]:
    cursor.execute(select, parameters)
    return frozenset(row["cpf"] for row in cursor.fetchall())


def _inputs_hash(strategy: Strategy, contracts: pd.DataFrame) -> str:
    portfolio = contracts[["convenio", "contract", "cpf", "amount", "due_date"]].to_csv(index=False)
    digest = hashlib.sha256(strategy.fingerprint().encode())
    digest.update(portfolio.encode())
    return digest.hexdigest()


def _find(cursor: Any, mailing_id: str) -> Mailing | None:
    cursor.execute(f"{_MAILING} WHERE id = %s", (mailing_id,))
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
    sha256 = _write(path, built.leads)
    cursor.execute(
        "INSERT INTO mailing.mailing "
        "(id, campaign, day, inputs_hash, leads, path, sha256, waterfall, expected) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING built_at",
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
        ),
    )
    built_at = cursor.fetchone()["built_at"]
    candidates = built.candidates.assign(
        mailing_id=mailing_id, rank=built.candidates["rank"].astype("Int64")
    )
    copy_frame(cursor, "mailing.candidate", candidates)
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
        created=True,
    )


def _write(path: Path, leads: pd.DataFrame) -> str:
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
