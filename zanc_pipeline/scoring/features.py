"""Point-in-time features: one code for training and for serving.

Training asks about past moments, serving about now; both give the calls that are recorded and the
moments to describe. A call counts from the second after its outcome was known (its start plus ring
plus talk), so no feature of a call can see the call itself or anything later.

Epoch times are seconds; hours and weekdays are local (America/Sao_Paulo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.days import LOCAL_ZONE
from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation
from zanc_pipeline.scoring.timeline import Ints, Timeline

if TYPE_CHECKING:
    import pandas as pd

LOOKBACK_DAYS = 180
"""No feature looks further back, so that a longer history does not shift what serving sees."""

ANSWER_PRIOR, ANSWER_PRIOR_WEIGHT = 0.25, 4.0
"""Rates of a phone with few calls lean to this one, as if so many calls had shown it."""

UNINFORMATIVE = frozenset({Outcome.CANCELLED, Outcome.UNKNOWN})
"""The call never showed whether a person would have answered."""

HOUR_BANDS = ((0, 11), (11, 14), (14, 17), (17, 24))

BAND_COLUMNS = tuple(f"_band_{first}" for first, _ in HOUR_BANDS)

LAST_OUTCOMES = ("none", *(str(value) for value in Outcome if value not in UNINFORMATIVE))

RIGHT_PRIOR = 0.6
"""Of a pair of person and phone with few talks, this share is taken to be the debtor."""

_RIGHT = [str(value) for value in Tabulation if value.right_party]

CALL_COLUMNS = ("phone", "cpf", "started", "ring_seconds", "talk_seconds", "outcome", "tabulation")


def known_at(calls: pd.DataFrame) -> Ints:
    """The epoch second, rounded up, at which the outcome of each call was known."""
    length = calls["ring_seconds"].fillna(0) + calls["talk_seconds"].fillna(0)
    known = np.ceil(calls["started"].to_numpy(np.float64) + length.to_numpy(np.float64))
    return np.asarray(known, dtype=np.int64)


def local_hour_and_weekday(epoch: pd.Series[float]) -> tuple[Ints, Ints]:
    """Local hour (0–23) and weekday (0 is Monday) of epoch seconds."""
    import pandas as pd

    local = pd.to_datetime(epoch, unit="s", utc=True).dt.tz_convert(LOCAL_ZONE)
    hour, weekday = local.dt.hour.to_numpy(), local.dt.day_of_week.to_numpy()
    return hour.astype(np.int64), weekday.astype(np.int64)


class AnswerHistory:
    """The calls recorded so far, by phone.

    ``calls`` has ``CALL_COLUMNS``: ``started`` in epoch seconds, the rest as in localization.call.
    """

    def __init__(self, calls: pd.DataFrame) -> None:
        import pandas as pd

        calls = calls[~calls["outcome"].isin([str(outcome) for outcome in UNINFORMATIVE])]
        outcome = calls["outcome"].astype("str")
        answered = outcome.isin([str(value) for value in PERSON_ANSWERED]).to_numpy(bool)
        self._timeline = Timeline(calls["phone"], known_at(calls))
        self._answered = self._timeline.marks(answered)
        self._right = self._timeline.marks(calls["tabulation"].isin(_RIGHT).to_numpy(bool))
        self._outcomes = {
            value: self._timeline.marks((outcome == str(value)).to_numpy(bool))
            for value in (Outcome.MACHINE, Outcome.BUSY, Outcome.INVALID_NUMBER)
        }
        self._all = self._timeline.marks(np.ones(len(calls), dtype=bool))
        hours, _ = local_hour_and_weekday(calls["started"])
        self._bands = []
        for first, end in HOUR_BANDS:
            inside = (hours >= first) & (hours < end)
            self._bands.append(
                (self._timeline.marks(inside), self._timeline.marks(inside & answered))
            )
        codes = pd.Index(LAST_OUTCOMES).get_indexer(pd.Index(outcome)).astype(np.int8)
        self._ordered_outcome = codes[self._timeline.order]

    def features(self, moments: pd.DataFrame) -> pd.DataFrame:
        """Describe calls that would start in a slot, knowing what was known at ``at``.

        ``moments``: ``phone``; ``at`` (epoch seconds: what is known); ``hour`` and ``weekday``
        (local, of the call); ``first_seen`` (epoch seconds or NaN: when the number appeared).
        The result has the same index and the columns named in ``models/answer/model.yaml``.
        """
        facts = self.facts(moments)
        hour = moments["hour"].to_numpy(np.int64)
        return facts.assign(**self.slot(facts, hour)).drop(columns=list(BAND_COLUMNS))

    def facts(self, moments: pd.DataFrame) -> pd.DataFrame:
        """What ``features`` says of each moment whatever its hour, with what ``slot`` needs."""
        import pandas as pd

        at = np.floor(moments["at"].to_numpy(np.float64)).astype(np.int64)
        asked = self._timeline.ask(moments["phone"], at)
        span = asked.span(days=LOOKBACK_DAYS)
        attempts, answers = span.size, self._answered.count(span)
        rate = _smooth(answers, attempts, ANSWER_PRIOR)
        last = np.zeros(len(at), dtype=np.int8)
        seen = span.end > span.start
        last[seen] = self._ordered_outcome[span.end[seen] - 1]
        age = (at - moments["first_seen"].to_numpy(np.float64)) / 86_400
        bands = {
            column: _smooth(met.count(span), tried.count(span), rate)
            for column, (tried, met) in zip(BAND_COLUMNS, self._bands, strict=True)
        }
        return pd.DataFrame(
            {
                "weekday": moments["weekday"].to_numpy(np.float64),
                "mobile": (moments["phone"].str.len() == 11).to_numpy(bool),
                "number_age_days": np.where(age >= 0, age, np.nan),
                "attempts": attempts,
                "answers": answers,
                "answer_rate": rate,
                "misses_in_a_row": self._answered.since(span),
                "attempts_1d": asked.span(days=1).size,
                "attempts_7d": asked.span(days=7).size,
                "attempts_30d": asked.span(days=30).size,
                "days_since_attempt": self._all.days_since(span, at),
                "days_since_answer": self._answered.days_since(span, at),
                "last_outcome": pd.Categorical.from_codes(last, pd.Index(LAST_OUTCOMES)),
                "machines": self._outcomes[Outcome.MACHINE].count(span),
                "busies": self._outcomes[Outcome.BUSY].count(span),
                "invalids": self._outcomes[Outcome.INVALID_NUMBER].count(span),
                "right_parties": self._right.count(span),
                **bands,
            },
            index=moments.index,
        )

    @staticmethod
    def slot(facts: pd.DataFrame, hour: Ints | int) -> dict[str, Any]:
        """The features that depend on the hour, for one hour or one of each row."""
        hours = np.broadcast_to(np.asarray(hour, dtype=np.int64), len(facts))
        band = np.searchsorted([end for _, end in HOUR_BANDS], hours, side="right")
        if np.ndim(hour):
            bands = facts[list(BAND_COLUMNS)].to_numpy(np.float64)
            rate = bands[np.arange(len(facts)), band]
        else:
            rate = facts[BAND_COLUMNS[int(band[0])]].to_numpy(np.float64) if len(facts) else hours
        return {"hour": hours.astype(np.float64), "band_answer_rate": rate}


class RightPartyHistory:
    """The conversations recorded so far, by person and phone. ``calls`` as in ``AnswerHistory``."""

    def __init__(self, calls: pd.DataFrame) -> None:
        talks = calls[calls["tabulation"].notna()]
        tabulation = talks["tabulation"].astype("str")
        known = known_at(talks)
        right = tabulation.isin(_RIGHT).to_numpy(bool)
        wrong = (tabulation == str(Tabulation.WRONG_PERSON)).to_numpy(bool)
        dead = (tabulation == str(Tabulation.DECEASED)).to_numpy(bool)
        self._pair = Timeline(_pair(talks), known)
        self._right, self._wrong = self._pair.marks(right), self._pair.marks(wrong)
        self._dead = self._pair.marks(dead)
        self._phone = Timeline(talks["phone"], known)
        self._phone_right = self._phone.marks(right)
        self._phone_wrong = self._phone.marks(wrong)

    def features(self, moments: pd.DataFrame) -> pd.DataFrame:
        """Describe who would answer: ``moments`` has ``cpf``, ``phone``, ``at``, ``first_seen``.

        The result has the same index and the columns named in ``models/right_party/model.yaml``.
        """
        import pandas as pd

        at = np.floor(moments["at"].to_numpy(np.float64)).astype(np.int64)
        span = self._pair.ask(_pair(moments), at).span(days=LOOKBACK_DAYS)
        others = self._phone.ask(moments["phone"], at).span(days=LOOKBACK_DAYS)
        right, wrong = self._right.count(span), self._wrong.count(span)
        age = (at - moments["first_seen"].to_numpy(np.float64)) / 86_400
        return pd.DataFrame(
            {
                "mobile": (moments["phone"].str.len() == 11).to_numpy(bool),
                "number_age_days": np.where(age >= 0, age, np.nan),
                "talks": span.size,
                "right_parties": right,
                "wrong_persons": wrong,
                "deceased_reports": self._dead.count(span),
                "right_rate": _smooth(right, right + wrong, RIGHT_PRIOR),
                "wrongs_in_a_row": self._right.since(span),
                "days_since_right_party": self._right.days_since(span, at),
                "days_since_wrong_person": self._wrong.days_since(span, at),
                "others_right_parties": self._phone_right.count(others) - right,
                "others_wrong_persons": self._phone_wrong.count(others) - wrong,
            },
            index=moments.index,
        )


def _pair(rows: pd.DataFrame) -> pd.Series[str]:
    return rows["cpf"].astype("str") + "|" + rows["phone"].astype("str")


class PaymentHistory:
    """The calls recorded so far, by person. ``calls`` as in ``AnswerHistory``."""

    def __init__(self, calls: pd.DataFrame) -> None:
        outcome = calls["outcome"].astype("str")
        self._timeline = Timeline(calls["cpf"], known_at(calls))
        answered = outcome.isin([str(value) for value in PERSON_ANSWERED]).to_numpy(bool)
        self._answered = self._timeline.marks(answered)
        self._right = self._timeline.marks(calls["tabulation"].isin(_RIGHT).to_numpy(bool))
        self._promise = self._timeline.marks(
            (calls["tabulation"] == str(Tabulation.PROMISE)).to_numpy(bool)
        )
        self._refusal = self._timeline.marks(
            (calls["tabulation"] == str(Tabulation.REFUSAL)).to_numpy(bool)
        )

    def features(self, contracts: pd.DataFrame) -> pd.DataFrame:
        """Describe contracts as they stand on a day, knowing the calls known at ``at``.

        ``contracts``: ``convenio``, ``cpf``, ``snapshot_on``, ``due_date`` (datetime64),
        ``amount`` (reais), ``product`` (text or null), ``birth_date`` (datetime64 or NaT), ``at``
        (epoch seconds). All the open contracts of a snapshot must be given together: a person's
        other debts count. The result has the same index and the columns among which
        ``models/payment/model.yaml`` chooses.
        """
        import pandas as pd

        at = np.floor(contracts["at"].to_numpy(np.float64)).astype(np.int64)
        cpf = contracts["cpf"]
        asked = self._timeline.ask(cpf, at)
        recent, span = asked.span(days=30), asked.span(days=LOOKBACK_DAYS)
        amount = contracts["amount"].astype("float64")
        owed = amount.groupby([contracts["snapshot_on"], cpf])
        age = (contracts["snapshot_on"] - contracts["birth_date"]).dt.days / 365.25
        delay = (contracts["snapshot_on"] - contracts["due_date"]).dt.days.to_numpy(np.float64)
        right_recent, promised_recent = self._right.count(recent), self._promise.count(recent)
        return pd.DataFrame(
            {
                "creditor": contracts["convenio"].to_numpy(object),
                "product": contracts["product"].to_numpy(object),
                "log_amount": np.log(np.maximum(amount.to_numpy(np.float64), 0.01)),
                "delay_days": delay,
                "log_delay": np.log1p(np.maximum(delay, 0.0)),
                "debtor_age": age.to_numpy(np.float64),
                "contracts": owed.transform("size").to_numpy(np.float64),
                "log_total_debt": np.log(
                    np.maximum(owed.transform("sum").to_numpy(np.float64), 0.01)
                ),
                "attempts_30d": recent.size,
                "answers_30d": self._answered.count(recent),
                "talked_30d": right_recent > 0,
                "right_parties_30d": right_recent,
                "right_parties": self._right.count(span),
                "promised_30d": promised_recent > 0,
                "promises_30d": promised_recent,
                "promises": self._promise.count(span),
                "refusals": self._refusal.count(span),
                "days_since_right_party": self._right.days_since(span, at),
                "days_since_promise": self._promise.days_since(span, at),
            },
            index=contracts.index,
        )


def _smooth(
    hits: np.ndarray[tuple[int], np.dtype[np.float64]],
    trials: np.ndarray[tuple[int], np.dtype[np.float64]],
    prior: float | np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    smoothed: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        hits + ANSWER_PRIOR_WEIGHT * prior
    ) / (trials + ANSWER_PRIOR_WEIGHT)
    return smoothed
