"""Scores the open portfolio with the champions: every phone for each hour, and every contract.

Phones and people are scored in chunks, each with the calls that concern it alone, so that memory
does not grow with the portfolio times the hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.frames import copy_frame
from zanc_pipeline.scoring import dataset, registry
from zanc_pipeline.scoring.candidates import FittedModel, Floats
from zanc_pipeline.scoring.features import AnswerHistory, PaymentHistory, RightPartyHistory
from zanc_pipeline.scoring.uplift import gain_of_a_talk

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings

ANSWER, PAYMENT, RIGHT_PARTY = "zanc_answer", "zanc_payment", "zanc_right_party"
ANSWER_SPEC, PAYMENT_SPEC = "models/answer/model.yaml", "models/payment/model.yaml"
HOURS = range(8, 20)
"""Local hours in which a call may start (law and custom; a campaign may dial in fewer)."""

CHUNK_PHONES = 50_000
CHUNK_PEOPLE = 100_000


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """How much was scored, and by which versions. There may be no right-party model yet."""

    day: date
    phones: int
    contracts: int
    phone_scores: int
    answer_version: str
    payment_version: str
    right_party_version: str | None

    def to_json(self) -> dict[str, Any]:
        """As ``zanc models score`` prints it."""
        return asdict(self) | {"day": self.day.isoformat()}


def score(settings: Settings, day: date, *, now: datetime | None = None) -> ScoreResult:
    """Score the open portfolio for the hours of ``day`` with the champions, from what is known.

    Replaces scoring.phone_score and scoring.contract_score in one transaction. Raises
    ConflictError when a model has no champion, UnavailableError when a part does not answer.
    """
    from zanc_pipeline.scoring.service import ensure

    ensure(settings)
    with registry.connected(settings) as models:
        answer, answer_number = models.require_champion(ANSWER, ANSWER_SPEC)
        payment, payment_number = models.require_champion(PAYMENT, PAYMENT_SPEC)
        right = models.champion(RIGHT_PARTY)
    at = now or datetime.now(UTC)
    phones = dataset.open_phones(settings)
    contracts = dataset.open_contracts(settings, day, at)
    result = ScoreResult(
        day=day,
        phones=len(phones),
        contracts=len(contracts),
        phone_scores=len(phones) * len(HOURS),
        answer_version=f"{ANSWER}/{answer_number}",
        payment_version=f"{PAYMENT}/{payment_number}",
        right_party_version=f"{RIGHT_PARTY}/{right[1]}" if right else None,
    )
    contracts["payment"], contracts["gain"] = _payments(settings, payment.model, contracts, at)
    contracts["model_version"] = result.payment_version
    with transaction(settings, "zanc", application="zanc-scoring") as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('scoring.score'))")
        _begin_swap(cursor, "scoring.phone_score")
        for chunk in _chunks(phones, "phone", CHUNK_PHONES):
            calls = dataset.calls_to(settings, "phone", _distinct(chunk["phone"]), at)
            scores = slot_scores(answer.model, calls, chunk, day, at.timestamp())
            said = right_party_scores(right[0].model, calls, chunk, at) if right else None
            rows = _phone_rows(chunk, scores, said, day, result.answer_version)
            copy_frame(cursor, "scoring.phone_score_next", rows)
        _end_swap(cursor, "scoring.phone_score")
        _begin_swap(cursor, "scoring.contract_score")
        columns = ["convenio", "contract", "payment", "gain", "model_version"]
        copy_frame(cursor, "scoring.contract_score_next", contracts[columns])
        _end_swap(cursor, "scoring.contract_score")
    return result


def slot_scores(
    model: FittedModel, calls: pd.DataFrame, phones: pd.DataFrame, day: date, at: float
) -> Floats:
    """P(a person answers): a row a phone (``phone``, ``first_seen``), a column each of ``HOURS``.

    ``calls`` are those of these phones, ``at`` (epoch seconds) is what is known. What does not
    depend on the hour is made and encoded once; each hour then changes its own columns.
    """
    scores = np.zeros((len(phones), len(HOURS)))
    if not len(phones):
        return scores
    moments = phones[["phone", "first_seen"]].assign(at=at, weekday=day.weekday())
    facts = AnswerHistory(calls).facts(moments)
    first = AnswerHistory.slot(facts, HOURS[0])
    matrix = model.encoder.encode(facts.assign(**first))
    changing = [name for name in first if name in model.encoder.features]
    for column, hour in enumerate(HOURS):
        model.encoder.fill(matrix, AnswerHistory.slot(facts, hour), changing)
        scores[:, column] = model.predict_matrix(matrix)
    return scores


def right_party_scores(
    model: FittedModel, calls: pd.DataFrame, phones: pd.DataFrame, at: datetime
) -> Floats:
    """P(the person who answers is the debtor) of each pair of ``cpf`` and ``phone``."""
    if not len(phones):
        return np.zeros(0)
    moments = phones[["cpf", "phone", "first_seen"]].assign(at=at.timestamp())
    return model.predict(RightPartyHistory(calls).features(moments))


def _payments(
    settings: Settings, model: FittedModel, contracts: pd.DataFrame, at: datetime
) -> tuple[Floats, Floats]:
    """P(paid) of each contract and what a conversation would add to it.

    All contracts of a person are in one chunk, for they count together.
    """
    payment, gain = np.zeros(len(contracts)), np.zeros(len(contracts))
    contracts = contracts.reset_index(drop=True)
    for chunk in _chunks(contracts.sort_values("cpf", kind="stable"), "cpf", CHUNK_PEOPLE):
        calls = dataset.calls_to(settings, "cpf", _distinct(chunk["cpf"]), at)
        features = PaymentHistory(calls).features(chunk)
        said = model.predict(features)
        payment[chunk.index], gain[chunk.index] = said, gain_of_a_talk(model, features, said)
    return payment.round(6), gain.round(6)


def _chunks(rows: pd.DataFrame, key: str, size: int) -> Iterator[pd.DataFrame]:
    """``rows``, ordered by ``key``, in parts of about ``size`` that never part a key."""
    start = 0
    values = rows[key].to_numpy(object)
    while start < len(rows):
        end = min(start + size, len(rows))
        while end < len(rows) and values[end] == values[end - 1]:
            end += 1
        yield rows.iloc[start:end]
        start = end


def _distinct(keys: pd.Series[str]) -> list[str]:
    return [str(key) for key in keys.unique()]


def _phone_rows(
    phones: pd.DataFrame, scores: Floats, right: Floats | None, day: date, version: str
) -> pd.DataFrame:
    import pandas as pd

    hours = len(HOURS)
    return pd.DataFrame(
        {
            "cpf": phones["cpf"].repeat(hours).to_numpy(object),
            "phone": phones["phone"].repeat(hours).to_numpy(object),
            "hour": np.tile(np.array(HOURS), len(phones)),
            "answer": scores.ravel().round(6),
            "right_party": np.nan if right is None else np.repeat(right.round(6), hours),
            "day": day.isoformat(),
            "model_version": version,
        }
    )


def _begin_swap(cursor: Any, table: str) -> None:
    """Make an empty ``<table>_next`` beside ``table``."""
    cursor.execute(f"DROP TABLE IF EXISTS {table}_next")
    cursor.execute(f"CREATE TABLE {table}_next (LIKE {table} INCLUDING DEFAULTS)")


def _end_swap(cursor: Any, table: str) -> None:
    """Put ``<table>_next`` in the place of ``table``, with its key, when the transaction ends."""
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'p'",
        (table,),
    )
    cursor.execute(f"ALTER TABLE {table}_next ADD {cursor.fetchone()['key']}")
    cursor.execute(f"DROP TABLE {table}")
    cursor.execute(f"ALTER TABLE {table}_next RENAME TO {table.partition('.')[2]}")
