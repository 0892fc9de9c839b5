"""The past follows the law, call after call and payment after payment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.unit.world.small_world import DAY, PAST_CALLS
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation, law
from zanc_pipeline.world.ceiling import answer_ceiling, payment_ceiling, right_party_ceiling

ANSWERED = ("human", "abandoned")


@pytest.fixture(scope="module")
def calls(world: Settings) -> pd.DataFrame:
    folder = world.var / "world"
    table = pd.read_parquet(folder / "history" / "calls.parquet")
    secret = pd.read_parquet(folder / "truth_calls.parquet")
    table = table.merge(secret, on="call_id", validate="one_to_one")
    table["local"] = table["started_at"].dt.tz_convert("America/Sao_Paulo")
    table["answered"] = table["outcome"].isin(ANSWERED)
    return table


@pytest.fixture(scope="module")
def portfolio(world: Settings) -> pd.DataFrame:
    path = world.var / "world" / "history" / "portfolio.csv"
    dates = ["snapshot_on", "due_date"]
    return pd.read_csv(path, dtype={"cpf": str, "contract": str}, parse_dates=dates)


def test_calls_have_the_columns_of_the_base(world: Settings) -> None:
    schema = pq.read_schema(world.var / "world" / "history" / "calls.parquet")
    assert schema.names == [
        "crm", "call_id", "cpf", "phone", "started_at", "ring_seconds", "talk_seconds", "outcome",
        "tabulation", "convenio",
    ]  # fmt: skip
    assert str(schema.field("started_at").type) == "timestamp[us, tz=UTC]"


def test_about_as_many_calls_as_wanted_in_120_days(calls: pd.DataFrame) -> None:
    assert abs(len(calls) - PAST_CALLS) < 0.08 * PAST_CALLS
    assert calls["call_id"].is_unique
    assert calls["started_at"].is_monotonic_increasing
    days = (pd.Timestamp(DAY) - calls["local"].dt.tz_localize(None).dt.normalize()).dt.days
    assert days.min() >= 1
    assert days.max() <= 120


def test_calls_are_made_in_calling_hours_and_never_on_sunday(calls: pd.DataFrame) -> None:
    hours, weekdays = calls["local"].dt.hour, calls["local"].dt.day_of_week
    assert hours.between(8, 19).all()
    assert (weekdays != 6).all()
    assert hours[weekdays == 5].max() <= 13


def test_every_crm_called_for_its_own_creditors(world: Settings, calls: pd.DataFrame) -> None:
    pairs = set(zip(calls["convenio"], calls["crm"], strict=True))
    assert pairs == {(name, config["crm"]) for name, config in world.convenios.items()}


def test_the_law_knows_about_as_much_as_intended(world: Settings) -> None:
    state = generation.read_state(world)
    assert state is not None
    assert 0.74 <= state.answer_auc <= 0.82
    assert 0.74 <= state.payment_auc <= 0.82
    assert 0.20 <= state.answer_rate <= 0.32
    assert 0.10 <= state.payment_rate <= 0.20


def test_probabilities_are_calibrated(calls: pd.DataFrame) -> None:
    assert calls["answered"].mean() == pytest.approx(calls["p_answer"].mean(), abs=0.02)


def test_a_dead_number_always_fails_and_is_given_up(calls: pd.DataFrame) -> None:
    invalid = calls[calls["outcome"] == "invalid_number"]
    of_those = calls[calls["phone"].isin(set(invalid["phone"]))]
    assert (of_those["outcome"] == "invalid_number").all()
    assert of_those.groupby("phone").size().max() <= 3


def test_each_probability_comes_from_the_calls_before(world: Settings, calls: pd.DataFrame) -> None:
    truth = pd.read_sql_query(
        "SELECT number AS phone, mobile, dead, quality, first_seen FROM phone",
        f"sqlite:///{world.var / 'world' / 'truth.sqlite3'}",
        dtype={"phone": str},
    ).set_index("phone")
    busiest = calls["phone"].value_counts().index[:20]
    for number in busiest:
        phone, misses, last = truth.loc[number], 0, law.NEVER
        for call in calls[calls["phone"] == number].itertuples():
            local = call.local
            expected = law.answer_probability(
                hour=local.hour,
                weekday=local.weekday(),
                mobile=phone.mobile,
                age_days=(
                    local.tz_localize(None).normalize() - pd.Timestamp(phone.first_seen)
                ).days,
                misses=misses,
                last=last,
                quality=phone.quality,
                dead=phone.dead,
            )
            assert call.p_answer == pytest.approx(float(expected))
            last = law.RESULTS.index(call.outcome)
            misses = int(law.misses_after(misses, last))


def test_only_conversations_have_talk_and_tabulation(calls: pd.DataFrame) -> None:
    human = calls["outcome"] == "human"
    assert (calls.loc[human, "talk_seconds"] > 0).all()
    assert (calls.loc[~human, "talk_seconds"] == 0).all()
    assert calls.loc[~human, "tabulation"].isna().all()
    assert calls.loc[human, "tabulation"].notna().all()


def test_the_portfolio_has_the_columns_of_the_table_and_no_hole(portfolio: pd.DataFrame) -> None:
    assert list(portfolio.columns) == [
        "convenio", "contract", "cpf", "snapshot_on", "amount", "due_date", "paid", "product",
        "birth_date",
    ]  # fmt: skip
    # A birth date that only people who still owe have would tell who paid.
    assert portfolio.notna().all().all()


def test_snapshots_are_matured_and_do_not_overlap(portfolio: pd.DataFrame) -> None:
    age = (pd.Timestamp(DAY) - portfolio["snapshot_on"]).dt.days
    assert age.min() == 31
    assert (portfolio["due_date"] < portfolio["snapshot_on"]).all()
    gaps = portfolio.sort_values("snapshot_on").groupby(["convenio", "contract"])["snapshot_on"]
    assert gaps.diff().dropna().dt.days.min() == 30
    assert not portfolio.duplicated(["convenio", "contract", "snapshot_on"]).any()


def test_what_was_paid_is_not_seen_again(portfolio: pd.DataFrame) -> None:
    last = portfolio.sort_values("snapshot_on").groupby(["convenio", "contract"])["paid"]
    assert last.apply(lambda paid: not paid.iloc[:-1].any()).all()


def test_nobody_is_called_who_has_paid_everything(world: Settings, calls: pd.DataFrame) -> None:
    debts = pd.read_sql_query(
        "SELECT cpf, max(coalesce(paid_on, '9999-12-31')) AS free FROM contract GROUP BY cpf",
        f"sqlite:///{world.var / 'world' / 'truth.sqlite3'}",
        dtype={"cpf": str},
    )
    joined = calls.merge(debts, on="cpf")
    assert len(joined) == len(calls)
    assert (joined["local"].dt.strftime("%Y-%m-%d") <= joined["free"]).all()


def test_the_ceilings_of_the_models(
    world: Settings, calls: pd.DataFrame, portfolio: pd.DataFrame, tmp_path: Path
) -> None:
    answer, payment = tmp_path / "answer.parquet", tmp_path / "payment.parquet"
    late = calls.tail(3_000)
    live = pd.DataFrame({"call_id": ["cobranca-1"], "label": [1]})
    rows = late[["call_id"]].assign(label=late["answered"].astype(int))
    pd.concat([rows, live]).to_parquet(answer)
    rows = portfolio.assign(label=portfolio["paid"].astype(int))
    rows.to_parquet(payment)
    assert answer_ceiling(world, answer) == pytest.approx(
        law.auc(late["answered"], late["p_answer"])
    )
    talks = calls[calls["tabulation"].isin(["promise", "refusal", "wrong_person"])]
    rows = talks[["call_id"]].assign(label=(talks["tabulation"] != "wrong_person").astype(int))
    rows.to_parquet(answer)
    assert 0.7 < right_party_ceiling(world, answer) < 0.95
    state = generation.read_state(world)
    assert state is not None
    assert payment_ceiling(world, payment) == pytest.approx(state.payment_auc, abs=1e-4)


def test_a_ceiling_needs_rows_of_this_world(world: Settings, tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    pd.DataFrame({"call_id": ["x"], "label": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"holdout\.parquet"):
        answer_ceiling(world, path)
    pd.DataFrame({"label": [1]}).to_parquet(path)
    with pytest.raises(DataError, match="no column call_id"):
        answer_ceiling(world, path)
    with pytest.raises(DataError, match="does not exist"):
        answer_ceiling(world, tmp_path / "absent.parquet")


def test_history_rows_are_numpy_free_of_nan(calls: pd.DataFrame) -> None:
    assert np.isfinite(calls["ring_seconds"]).all()
    assert (calls["ring_seconds"] <= 25).all()
