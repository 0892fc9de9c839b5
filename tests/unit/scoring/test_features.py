"""Features know only what was known strictly before the call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring import dataset
from zanc_pipeline.scoring.dataset import (
    answer_table,
    calls_of_file,
    payment_table,
    right_party_table,
    table_of_calls,
)
from zanc_pipeline.scoring.features import AnswerHistory, PaymentHistory, RightPartyHistory
from zanc_pipeline.scoring.spec import Spec, load_spec

MONDAY_9H = 1_795_435_200.0  # 2026-11-23 09:00 in São Paulo
HOUR, DAY = 3600.0, 86_400.0
PHONE, CPF = "11912345678", "52998224725"


def calls(
    *rows: tuple[float, str], talk: float = 0.0, tabulation: str | None = None
) -> pd.DataFrame:
    """Calls to PHONE: (hours from Monday 9 h, outcome)."""
    return pd.DataFrame(
        {
            "crm": "norma",
            "call_id": [f"c{number}" for number in range(len(rows))],
            "cpf": CPF,
            "phone": PHONE,
            "started": [MONDAY_9H + hours * HOUR for hours, _ in rows],
            "ring_seconds": np.nan,
            "talk_seconds": talk,
            "outcome": [outcome for _, outcome in rows],
            "tabulation": pd.Series([tabulation] * len(rows), dtype="object"),
        }
    )


def describe(history: pd.DataFrame, *, at: float = MONDAY_9H, hour: int = 9) -> pd.Series:
    moment = pd.DataFrame(
        {
            "phone": [PHONE],
            "at": [at],
            "hour": [hour],
            "weekday": [0],
            "first_seen": [MONDAY_9H - 30 * DAY],
        }
    )
    return AnswerHistory(history).features(moment).iloc[0]


def random_calls(rows: int, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    outcomes = ["human", "machine", "busy", "no_answer", "invalid_number", "abandoned"]
    return pd.DataFrame(
        {
            "crm": "norma",
            "call_id": [f"c{number}" for number in range(rows)],
            "cpf": random.choice(["a", "b", "c"], rows),
            "phone": random.choice([f"1191234567{n}" for n in range(8)], rows),
            "started": np.sort(MONDAY_9H + random.integers(0, 90 * 86_400, rows)).astype(float),
            "ring_seconds": random.integers(0, 30, rows).astype(float),
            "talk_seconds": random.integers(0, 100, rows).astype(float),
            "outcome": random.choice(outcomes, rows),
            "tabulation": random.choice(["promise", "refusal", "wrong_person"], rows),
        }
    )


def test_a_phone_never_called_has_no_history() -> None:
    features = describe(calls((1, "human")))
    assert features["attempts"] == 0
    assert features["last_outcome"] == "none"
    assert np.isnan(features["days_since_attempt"])
    assert features["number_age_days"] == 30


def test_it_counts_attempts_answers_and_misses_in_a_row() -> None:
    features = describe(calls((-72, "human"), (-48, "busy"), (-2, "no_answer")))
    assert (features["attempts"], features["answers"], features["misses_in_a_row"]) == (3, 1, 2)
    assert (features["attempts_1d"], features["attempts_7d"]) == (1, 3)
    assert features["last_outcome"] == "no_answer"
    assert features["days_since_answer"] == pytest.approx(3)
    assert features["busies"] == 1


def test_misses_in_a_row_of_a_phone_that_never_answered_are_all_its_attempts() -> None:
    assert describe(calls((-3, "machine"), (-2, "busy")))["misses_in_a_row"] == 2


def test_a_call_that_showed_nothing_is_no_history() -> None:
    assert describe(calls((-3, "cancelled"), (-2, "unknown")))["attempts"] == 0


def test_a_call_still_going_on_is_not_known_yet() -> None:
    history = calls((-0.01, "human"), talk=60.0)  # started 36 s before and lasts a minute
    assert describe(history)["attempts"] == 0
    assert describe(history, at=MONDAY_9H + 60)["attempts"] == 1


def test_a_call_of_the_same_second_is_not_known_yet() -> None:
    assert describe(calls((0, "human")))["attempts"] == 0


def test_answers_in_the_hours_asked_about_weigh_more() -> None:
    history = calls((-24, "human"), (-48, "human"), (-43, "no_answer"), (-19, "no_answer"))
    morning, afternoon = describe(history, hour=9), describe(history, hour=14)
    assert morning["band_answer_rate"] > morning["answer_rate"] > afternoon["band_answer_rate"]


def test_nothing_older_than_the_lookback_counts() -> None:
    assert describe(calls((-24 * 200, "human")))["attempts"] == 0


def test_features_of_a_call_do_not_change_when_later_calls_do() -> None:
    """The planted leak: everything from some moment on is replaced, and nothing before it moves."""
    past = random_calls(600)
    cut = 400
    changed = past.copy()
    changed.loc[cut:, "outcome"] = "human"
    changed.loc[cut:, "tabulation"] = "promise"
    changed.loc[cut:, "talk_seconds"] = 999.0
    none = pd.Series(dtype="float64")
    before, after = answer_table(past, none), answer_table(changed, none)
    leak_free = [name for name in before.columns if name != "answered"]
    pd.testing.assert_frame_equal(before.loc[:cut, leak_free], after.loc[:cut, leak_free])


def test_the_same_check_catches_a_column_that_looks_ahead() -> None:
    past = random_calls(600)
    changed = past.copy()
    changed.loc[400:, "outcome"] = "human"

    def leaky(frame: pd.DataFrame) -> pd.Series:
        return frame.groupby("phone")["outcome"].transform(lambda all_: (all_ == "human").mean())

    assert not leaky(past)[:400].equals(leaky(changed)[:400])


ANSWER = load_spec(Path("models/answer/model.yaml"))
RIGHT_PARTY = load_spec(Path("models/right_party/model.yaml"))


@pytest.mark.parametrize("model", [ANSWER, RIGHT_PARTY])
def test_the_features_of_the_models_pass_the_guard(model: Spec) -> None:
    table = table_of_calls(model, random_calls(600), pd.Series(dtype="float64"))
    wanted = {name for name, feature in model.features.items() if feature.required}
    assert wanted <= set(table.columns)


def test_a_planted_leak_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(calls: pd.DataFrame, first_seen: pd.Series) -> pd.DataFrame:
        table = answer_table(calls, first_seen)
        human = (calls["outcome"] == "human").groupby(calls["phone"]).mean()
        return table.assign(answer_rate=calls["phone"].map(human).to_numpy())

    monkeypatch.setattr(dataset, "answer_table", leaky)
    with pytest.raises(DataError, match="feature 'answer_rate' knows the future"):
        table_of_calls(ANSWER, random_calls(600), pd.Series(dtype="float64"))


def test_scoring_by_hour_gives_what_training_would() -> None:
    past = random_calls(400)
    history = AnswerHistory(past)
    moments = pd.DataFrame({"phone": past["phone"].unique(), "at": MONDAY_9H + 80 * DAY})
    moments = moments.assign(weekday=0, first_seen=np.nan)
    facts = history.facts(moments)
    for hour in range(8, 20):
        whole = history.features(moments.assign(hour=hour))
        slot = AnswerHistory.slot(facts, hour)
        np.testing.assert_array_equal(slot["hour"], whole["hour"])
        np.testing.assert_array_equal(slot["band_answer_rate"], whole["band_answer_rate"])


def test_the_right_party_is_remembered_for_the_person_and_not_for_others() -> None:
    history = calls((-72, "human"), tabulation="promise")
    history = pd.concat([history, history.assign(call_id="x", cpf="other")], ignore_index=True)
    moment = pd.DataFrame(
        {"cpf": [CPF, "new"], "phone": PHONE, "at": MONDAY_9H, "first_seen": np.nan}
    )
    mine, new = RightPartyHistory(history).features(moment).to_dict("records")
    assert (mine["right_parties"], mine["others_right_parties"]) == (1, 1)
    assert mine["right_rate"] > new["right_rate"]
    assert (new["talks"], new["others_right_parties"]) == (0, 2)


def test_talks_that_tell_nothing_are_no_rows_of_the_right_party_model() -> None:
    history = calls((-3, "human"), (-2, "human"), (-1, "no_answer"), tabulation="refusal")
    history.loc[0, "tabulation"] = "no_tabulation"
    history.loc[2, "tabulation"] = None
    table = right_party_table(history, pd.Series(dtype="float64"))
    assert list(table["call_id"]) == ["c1"]


def test_features_agree_with_a_count_one_call_at_a_time() -> None:
    past = random_calls(300)
    table = answer_table(past, pd.Series(dtype="float64"))
    known = np.ceil(past["started"] + past["ring_seconds"] + past["talk_seconds"])
    for row in range(0, 300, 17):
        mine = past[(past["phone"] == past["phone"][row]) & (known < past["started"][row])]
        answered = mine["outcome"].isin(["human", "abandoned"])
        assert table["attempts"][row] == len(mine)
        assert table["answers"][row] == answered.sum()
        order = known[mine.index].sort_values(kind="stable").index
        misses = answered[order][::-1].cumsum().eq(0).sum()
        assert table["misses_in_a_row"][row] == misses


def test_training_and_serving_give_the_same_features() -> None:
    past = random_calls(300)
    trained = answer_table(past, pd.Series(dtype="float64"))
    row = 250
    local = pd.Timestamp(past["started"][row], unit="s", tz="UTC").tz_convert("America/Sao_Paulo")
    served = AnswerHistory(past[past["started"] < past["started"][row]]).features(
        pd.DataFrame(
            {
                "phone": [past["phone"][row]],
                "at": [past["started"][row]],
                "hour": [local.hour],
                "weekday": [local.weekday()],
                "first_seen": [np.nan],
            }
        )
    )
    pd.testing.assert_series_equal(
        served.iloc[0], trained.loc[row, served.columns], check_names=False, check_dtype=False
    )


def test_payment_features_see_other_debts_and_talks_before_the_day() -> None:
    portfolio = pd.DataFrame(
        {
            "convenio": ["banco", "loja", "banco"],
            "contract": ["1", "2", "1"],
            "cpf": CPF,
            "snapshot_on": pd.to_datetime(["2026-11-23", "2026-11-23", "2026-10-01"]),
            "amount": [100.0, 300.0, 100.0],
            "due_date": pd.to_datetime(["2026-11-13", "2026-10-24", "2026-09-01"]),
            "paid": ["t", "f", "f"],
            "product": None,
            "birth_date": pd.to_datetime(["1986-11-23", None, None]),
        }
    )
    history = calls((-48, "human"), (1, "human"), tabulation="promise")
    table = payment_table(portfolio, history)
    assert list(table["contracts"]) == [2, 2, 1]
    assert list(table["promises"]) == [1, 1, 0]  # the promise of that same day is not known yet
    assert list(table["delay_days"]) == [10, 30, 30]
    assert table["debtor_age"][0] == pytest.approx(40, abs=0.1)
    assert np.exp(table["log_total_debt"][0]) == pytest.approx(400)
    assert list(table["paid"]) == [True, False, False]


def test_payment_features_do_not_change_when_later_calls_do() -> None:
    past = random_calls(500)
    day = pd.Timestamp("2026-12-20")
    contracts = pd.DataFrame(
        {
            "convenio": "banco",
            "cpf": ["a", "b", "c"],
            "snapshot_on": day,
            "amount": 100.0,
            "due_date": day - pd.Timedelta(days=30),
            "product": None,
            "birth_date": pd.NaT,
            "at": day.tz_localize("America/Sao_Paulo").timestamp(),
        }
    )
    contracts["birth_date"] = pd.to_datetime(contracts["birth_date"])
    changed = past.copy()
    later = changed["started"] >= contracts["at"][0]
    changed.loc[later, ["outcome", "tabulation"]] = ["human", "promise"]
    pd.testing.assert_frame_equal(
        PaymentHistory(past).features(contracts), PaymentHistory(changed).features(contracts)
    )


def test_a_file_of_calls_is_read_as_the_base_is() -> None:
    table = pd.DataFrame(
        {
            "crm": ["norma"],
            "call_id": ["1"],
            "cpf": [CPF],
            "phone": [PHONE],
            "started_at": ["2026-11-23T09:00:00-03:00"],
            "outcome": ["human"],
            "talk_seconds": ["12.5"],
        }
    )
    read = calls_of_file(table).iloc[0]
    assert read["started"] == 1_795_435_200.0
    assert read["talk_seconds"] == 12.5
