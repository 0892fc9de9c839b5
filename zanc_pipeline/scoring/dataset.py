"""Reads calls, phones and contracts from PostgreSQL and makes the tables that models learn from."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL_ZONE
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.frames import read_frame
from zanc_pipeline.common.outcomes import PERSON_ANSWERED
from zanc_pipeline.scoring.features import (
    LOOKBACK_DAYS,
    UNINFORMATIVE,
    AnswerHistory,
    PaymentHistory,
    local_hour_and_weekday,
)

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings
    from zanc_pipeline.scoring.spec import Spec

RAW_CALL_COLUMNS = ("crm", "call_id", "cpf", "phone", "started_at", "outcome")
"""A file with these columns is a list of calls: the features are made from it."""

_CALLS = """
    SELECT crm, call_id, cpf, phone, extract(epoch FROM started_at)::float8 AS started,
           ring_seconds, talk_seconds, outcome, tabulation
    FROM localization.call WHERE started_at >= %(since)s AND started_at < %(until)s
    ORDER BY started_at, crm, call_id
"""
_FIRST_SEEN = """
    SELECT phone,
           extract(epoch FROM min(first_seen)::timestamp AT TIME ZONE %(zone)s)::float8
               AS first_seen
    FROM localization.person_phone GROUP BY phone
"""
_PORTFOLIO = """
    SELECT convenio, contract, cpf, snapshot_on, amount::float8 AS amount, due_date, paid,
           product, birth_date
    FROM scoring.portfolio_history ORDER BY snapshot_on, convenio, contract
"""
_OPEN_CONTRACTS = """
    SELECT c.convenio, c.contract, c.cpf, c.amount::float8 AS amount, c.due_date, c.product,
           p.birth_date
    FROM crm.contract c JOIN crm.person p USING (cpf)
    WHERE c.status = 'open' ORDER BY c.convenio, c.contract
"""
_OPEN_PHONES = """
    SELECT pp.cpf, pp.phone,
           extract(epoch FROM pp.first_seen::timestamp AT TIME ZONE %(zone)s)::float8 AS first_seen
    FROM localization.person_phone pp
    WHERE pp.suppressed IS NULL
      AND EXISTS (SELECT 1 FROM crm.contract c WHERE c.cpf = pp.cpf AND c.status = 'open')
    ORDER BY pp.cpf, pp.phone
"""
NUMBERS = ("started", "ring_seconds", "talk_seconds", "first_seen", "amount")


def query(
    settings: Settings, sql: str, parameters: dict[str, object], *, dates: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The rows of one of the SELECTs above."""
    with transaction(settings, "zanc", application="zanc-scoring") as cursor:
        return read_frame(cursor, sql, parameters, numbers=NUMBERS, dates=dates)


def recorded_calls(settings: Settings, since: datetime, until: datetime) -> pd.DataFrame:
    """The calls that started in ``[since, until)``, in order of time."""
    return query(settings, _CALLS, {"since": since, "until": until})


def training_table(settings: Settings, spec: Spec, now: datetime) -> pd.DataFrame:
    """The table of ``spec.source``, made from the databases; DataError when there is nothing."""
    since = now - timedelta(days=(spec.window.days or 3650) + LOOKBACK_DAYS)
    calls = recorded_calls(settings, since, now)
    if spec.source == "answer":
        if not len(calls):
            raise DataError(
                "localization.call is empty: load the history with 'zanc localization load FILE'"
            )
        phones = query(settings, _FIRST_SEEN, {"zone": LOCAL_ZONE})
        return answer_table(calls, phones.set_index("phone")["first_seen"])
    portfolio = query(settings, _PORTFOLIO, {}, dates=("snapshot_on", "due_date", "birth_date"))
    if not len(portfolio):
        raise DataError(
            "scoring.portfolio_history is empty: load it with 'zanc models history FILE.csv'"
        )
    return payment_table(portfolio, calls)


def answer_table(calls: pd.DataFrame, first_seen: pd.Series[float]) -> pd.DataFrame:
    """One row a call whose outcome shows whether a person answered, with what was known before it.

    ``calls`` has crm, call_id and ``features.CALL_COLUMNS``; ``first_seen`` (epoch) is by phone.
    """
    import pandas as pd

    informative = ~calls["outcome"].isin([str(outcome) for outcome in UNINFORMATIVE])
    shown = calls[informative].reset_index(drop=True)
    hour, weekday = local_hour_and_weekday(shown["started"])
    moments = pd.DataFrame(
        {
            "phone": shown["phone"],
            "at": shown["started"],
            "hour": hour,
            "weekday": weekday,
            "first_seen": shown["phone"].map(first_seen).astype("float64"),
        }
    )
    table = AnswerHistory(calls).features(moments)
    table["answered"] = shown["outcome"].isin([str(value) for value in PERSON_ANSWERED])
    table["started_at"] = pd.to_datetime(shown["started"], unit="s", utc=True)
    return table.join(shown[["crm", "call_id"]])


def payment_table(portfolio: pd.DataFrame, calls: pd.DataFrame) -> pd.DataFrame:
    """One row a contract and snapshot, with the calls known when that day began (local time)."""
    contracts = portfolio.reset_index(drop=True)
    midnight = contracts["snapshot_on"].dt.tz_localize(LOCAL_ZONE)
    table = PaymentHistory(calls).features(contracts.assign(at=_epoch(midnight)))
    table["paid"] = contracts["paid"].isin(["t", "true", "True", "1"])
    table["snapshot_on"] = contracts["snapshot_on"]
    return table.join(contracts[["convenio", "contract"]])


def calls_of_file(table: pd.DataFrame) -> pd.DataFrame:
    """A file of calls (columns of localization.call) in the form of ``recorded_calls``.

    DataError names the first row whose ``started_at`` is not a date.
    """
    import pandas as pd

    started = pd.to_datetime(table["started_at"], errors="coerce", utc=True)
    if started.isna().any():
        row = int(started.isna().to_numpy().argmax()) + 1
        raise DataError(f"started_at in row {row} is not a date")
    calls = table.reindex(
        columns=["crm", "call_id", "cpf", "phone", "outcome", "tabulation"]
    ).astype("str")
    calls = calls.where(table.reindex(columns=calls.columns).notna())
    calls["started"] = _epoch(started)
    for name in ("ring_seconds", "talk_seconds"):
        values = table[name] if name in table.columns else pd.Series(0.0, index=table.index)
        calls[name] = pd.to_numeric(values, errors="coerce").astype("float64")
    return calls.sort_values(["started", "crm", "call_id"], kind="stable", ignore_index=True)


def open_contracts(settings: Settings, day: date, at: datetime) -> pd.DataFrame:
    """The open portfolio in the form that ``PaymentHistory.features`` describes."""
    import pandas as pd

    contracts = query(settings, _OPEN_CONTRACTS, {}, dates=("due_date", "birth_date"))
    contracts["snapshot_on"] = pd.Timestamp(day)
    contracts["at"] = at.timestamp()
    return contracts


def open_phones(settings: Settings) -> pd.DataFrame:
    """``cpf``, ``phone``, ``first_seen`` of the phones that may be dialled for an open contract."""
    return query(settings, _OPEN_PHONES, {"zone": LOCAL_ZONE})


def _epoch(moments: pd.Series[Any]) -> pd.Series[float]:
    import pandas as pd

    return (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


def looks_like_calls(table: pd.DataFrame) -> bool:
    """Whether a file is a list of calls rather than a table of features."""
    return set(RAW_CALL_COLUMNS) <= set(table.columns)
