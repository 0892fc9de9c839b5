"""Reads calls, phones and contracts from PostgreSQL and makes the tables that models learn from."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import LOCAL_ZONE
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.frames import read_frame
from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation
from zanc_pipeline.scoring.features import (
    LOOKBACK_DAYS,
    UNINFORMATIVE,
    AnswerHistory,
    PaymentHistory,
    RightPartyHistory,
    local_hour_and_weekday,
)
from zanc_pipeline.scoring.leaks import refuse_hindsight

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings
    from zanc_pipeline.scoring.spec import Spec

RAW_CALL_COLUMNS = ("crm", "call_id", "cpf", "phone", "started_at", "outcome")
"""A file with these columns is a list of calls: the features are made from it."""

_CALLS = """
    SELECT crm, call_id, cpf, phone, extract(epoch FROM started_at)::float8 AS started,
           ring_seconds, talk_seconds, outcome, tabulation, convenio
    FROM localization.call WHERE started_at >= %(since)s AND started_at < %(until)s
    ORDER BY started_at, crm, call_id
"""
_CALLS_TO = """
    SELECT c.crm, c.call_id, c.cpf, c.phone, extract(epoch FROM c.started_at)::float8 AS started,
           c.ring_seconds, c.talk_seconds, c.outcome, c.tabulation, c.convenio
    FROM localization.call c
    WHERE c.{key} = ANY (%(keys)s) AND c.started_at >= %(since)s AND c.started_at < %(until)s
    ORDER BY c.started_at, c.crm, c.call_id
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
    ORDER BY pp.phone, pp.cpf
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


def training_table(
    settings: Settings, spec: Spec, now: datetime, *, since: datetime | None = None
) -> pd.DataFrame:
    """The table of ``spec.source``, made from the databases; DataError when there is nothing.

    Calls are read from ``since``, by default from as far back as the spec's window looks.
    """
    since = since or now - timedelta(days=(spec.window.days or 3650) + LOOKBACK_DAYS)
    calls = recorded_calls(settings, since, now)
    if spec.source != "payment":
        if not len(calls):
            raise DataError(
                "localization.call is empty: load the history with 'zanc localization load FILE'"
            )
        phones = query(settings, _FIRST_SEEN, {"zone": LOCAL_ZONE})
        return table_of_calls(spec, calls, phones.set_index("phone")["first_seen"])
    portfolio = query(settings, _PORTFOLIO, {}, dates=("snapshot_on", "due_date", "birth_date"))
    if not len(portfolio):
        raise DataError(
            "scoring.portfolio_history is empty: load it with 'zanc models history FILE.csv'"
        )
    table = payment_table(portfolio, calls)
    refuse_hindsight(
        lambda past: payment_table(portfolio, past),
        calls,
        table,
        time_column="snapshot_on",
        keys=("convenio", "contract", "snapshot_on"),
        features=tuple(spec.features),
    )
    return table


def table_of_calls(spec: Spec, calls: pd.DataFrame, first_seen: pd.Series[float]) -> pd.DataFrame:
    """The table of a model that learns from calls; DataError when a feature knows the future."""
    make = right_party_table if spec.source == "right_party" else answer_table
    table = make(calls, first_seen)
    refuse_hindsight(
        lambda past: make(past, first_seen),
        calls,
        table,
        time_column="started_at",
        keys=("crm", "call_id"),
        features=tuple(spec.features),
    )
    return table


def answer_table(calls: pd.DataFrame, first_seen: pd.Series[float]) -> pd.DataFrame:
    """One row a call whose outcome shows whether a person answered, with what was known before it.

    ``calls`` has crm, call_id and ``features.CALL_COLUMNS``; ``first_seen`` (epoch) is by phone.
    """

    informative = ~calls["outcome"].isin([str(outcome) for outcome in UNINFORMATIVE])
    shown = calls[informative].reset_index(drop=True)
    table = AnswerHistory(calls).features(_moments(shown, first_seen))
    table["answered"] = shown["outcome"].isin([str(value) for value in PERSON_ANSWERED])
    return _with_keys(table, shown)


def right_party_table(calls: pd.DataFrame, first_seen: pd.Series[float]) -> pd.DataFrame:
    """One row a talk whose tabulation says who spoke; arguments as for ``answer_table``."""
    said = calls["tabulation"].notna() & (calls["tabulation"] != str(Tabulation.NO_TABULATION))
    shown = calls[said & (calls["outcome"] == str(Outcome.HUMAN))].reset_index(drop=True)
    table = RightPartyHistory(calls).features(_moments(shown, first_seen))
    right = [str(value) for value in Tabulation if value.right_party]
    table["right_party"] = shown["tabulation"].isin(right)
    return _with_keys(table, shown)


def _moments(shown: pd.DataFrame, first_seen: pd.Series[float]) -> pd.DataFrame:
    hour, weekday = local_hour_and_weekday(shown["started"])
    return shown[["cpf", "phone"]].assign(
        at=shown["started"],
        hour=hour,
        weekday=weekday,
        first_seen=shown["phone"].map(first_seen).astype("float64"),
    )


def _with_keys(table: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    table["started_at"] = pd.to_datetime(shown["started"], unit="s", utc=True)
    return table.join(shown.reindex(columns=["crm", "call_id", "convenio"]))


def payment_table(portfolio: pd.DataFrame, calls: pd.DataFrame) -> pd.DataFrame:
    """One row a contract and snapshot, with the calls known when that day began (local time)."""
    contracts = portfolio.reset_index(drop=True)
    midnight = contracts["snapshot_on"].dt.tz_localize(LOCAL_ZONE)
    table = PaymentHistory(calls).features(contracts.assign(at=_epoch(midnight)))
    table["paid"] = contracts["paid"].isin(["t", "true", "True", "1"])
    table["snapshot_on"] = contracts["snapshot_on"]
    return table.join(contracts[["convenio", "contract", "amount"]])


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
        columns=["crm", "call_id", "cpf", "phone", "outcome", "tabulation", "convenio"]
    ).astype("str")
    calls = calls.where(table.reindex(columns=calls.columns).notna())
    calls["started"] = _epoch(started)
    for name in ("ring_seconds", "talk_seconds"):
        values = table[name] if name in table.columns else pd.Series(0.0, index=table.index)
        calls[name] = pd.to_numeric(values, errors="coerce").astype("float64")
    return calls.sort_values(["started", "crm", "call_id"], kind="stable", ignore_index=True)


def calls_to(
    settings: Settings, key: Literal["phone", "cpf"], keys: list[str], at: datetime
) -> pd.DataFrame:
    """The calls to these phones or people that features may look back upon, in order of time."""
    since = at - timedelta(days=LOOKBACK_DAYS + 1)
    parameters: dict[str, object] = {"keys": keys, "since": since, "until": at}
    return query(settings, _CALLS_TO.format(key=key), parameters)


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
