"""A model's spec and data: whatever is wrong is one clear line, never a silent model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.scoring.spec import Spec, load_spec
from zanc_pipeline.scoring.tables import LABEL, TIME, prepare, read_table, target_rate

CONTENT = {
    "name": "zanc_test",
    "target": {"column": "paid"},
    "time_column": "on",
    "id_columns": ["id"],
    "features": {"amount": "numeric", "kind": "categorical", "late": "boolean"},
    "exclusions": {"paid_on": "known only after the payment"},
    "promotion": {"min_auc": 0.6},
}


def spec(**changes: object) -> Spec:
    return Spec.model_validate(CONTENT | changes)


def table(rows: int = 300, **columns: object) -> pd.DataFrame:
    random = np.random.default_rng(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "on": [start + timedelta(hours=hour) for hour in range(rows)],
            "amount": random.random(rows),
            "kind": random.choice(["a", "b"], rows),
            "late": random.choice(["sim", "não"], rows),
            "paid": random.choice([0, 1], rows),
        }
        | columns
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"features": {"amount": "number"}}, r"features\.amount\.type"),
        ({"features": {"paid": "numeric"}}, "the target 'paid' is also a feature"),
        ({"exclusions": {"amount": "leaks"}}, "'amount' is a feature and an exclusion"),
        ({"exclusions": {"x": " "}}, r"exclusions\.x has no reason"),
        ({"name": "../x"}, "name: String should match"),
        ({"promotion": {}}, r"promotion\.min_auc: Field required"),
        ({"treshold": 1}, "treshold: Extra inputs are not permitted"),
        ({"features": {"k": {"type": "categorical", "monotone": 1}}}, "has no order"),
        ({"time_column": None, "window": {"days": 3}}, "window.days needs a time_column"),
        ({"time_column": None, "embargo_days": 3}, "embargo_days needs a time_column"),
        ({"features": {"duration": "numeric"}}, "features.duration is known only after the call"),
        ({"retraining": {}}, "give either every_days or every_rows"),
        ({"profit": {"cost": 1}}, "give either gain or gain_column"),
    ],
)
def test_a_wrong_spec_names_file_and_key(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(CONTENT | changes), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"model\.yaml: .*{problem}"):
        load_spec(path)


def test_the_models_of_the_project_are_valid() -> None:
    names = {load_spec(path).name for path in Path("models").glob("*/model.yaml")}
    assert names >= {
        "zanc_answer",
        "bank_marketing",
        "zanc_payment",
        "zanc_right_party",
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (table().drop(columns="amount"), "missing column amount"),
        (table().drop(columns=["paid", "id"]), "missing columns paid, id"),
        (table(paid=0), "the target 'paid' has only negatives"),
        (table(paid=1), "the target 'paid' has only positives"),
        (table(paid=[2] * 300), "holds '2' in row 1: say in target.positive"),
        (table(paid=[None, *[0, 1] * 149, 1]), "the target 'paid' is empty in row 1"),
        (table(amount=None), "column 'amount' is empty in every row"),
        (table(amount=["x", *["1"] * 299]), "'x' in row 1 of column 'amount' is not a number"),
        (table(amount=[np.inf, *[1.0] * 299]), "'amount' is infinite in row 1"),
        (table(late=["talvez"] * 300), "'talvez' in row 1 of column 'late' is not yes or no"),
        (table(on=["2026-01-01"] * 299 + ["soon"]), "'soon' in row 300 of the time column"),
        (table(on=["2026-01-01"] * 299 + ["2090-01-01"]), "2090-01-01 in row 300 .* in the future"),
        (table(on=["2026-01-01"] * 299 + ["01/13/2026"]), "'01/13/2026' in row 300 .* not a date"),
        (table(on="2026-01-01"), "every row of the time column 'on' says 2026-01-01"),
        (table(100), "100 rows; a model needs at least"),
        (table(0), "there are no rows"),
    ],
)
def test_bad_data_is_one_clear_line(data: pd.DataFrame, problem: str) -> None:
    with pytest.raises(DataError, match=rf"data\.csv: .*{problem}"):
        prepare(data, spec(), where="data.csv")


def test_rows_are_put_in_order_of_time_and_labelled() -> None:
    typed, kept = prepare(table().iloc[::-1], spec(), where="x")
    assert typed[TIME].is_monotonic_increasing
    assert set(typed[LABEL]) == {0.0, 1.0}
    assert list(kept.features) == ["amount", "kind", "late"]


def test_a_feature_that_is_not_required_may_be_absent() -> None:
    features = CONTENT["features"] | {"age": {"type": "numeric", "required": False}}  # type: ignore[operator]
    _, kept = prepare(table(), spec(features=features), where="x")
    assert "age" not in kept.features


def test_a_column_known_after_the_call_may_be_declared() -> None:
    model = spec(features={"duration": {"type": "numeric", "known_after": True}})
    assert model.known_after == ["duration"]


def test_values_that_stand_for_nothing_are_missing() -> None:
    features = {"amount": {"type": "numeric", "missing": [999]}}
    typed, _ = prepare(
        table(amount=[999, "999.0", *[1.5] * 298]), spec(features=features), where="x"
    )
    assert typed["amount"].isna().sum() == 2


def test_a_target_rate_sees_the_rows_before_alone() -> None:
    label = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    changed = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(target_rate(label, 2)[:4], target_rate(changed, 2)[:4])
    assert target_rate(label, 2)[3] > target_rate(label, 2)[1]


def test_the_window_keeps_the_most_recent_rows() -> None:
    typed, _ = prepare(table(), spec(window={"days": 10}), where="x")
    assert len(typed) == 241
    typed, _ = prepare(table(), spec(window={"rows": 250}), where="x")
    assert typed["id"].min() == 50


@pytest.mark.parametrize("mark", [";", ",", "\t", "|"])
def test_the_delimiter_is_detected(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"a{mark}b\n1{mark}x\n", encoding="utf-8")
    assert list(read_table(path).columns) == ["a", "b"]


def test_latin_1_and_decimal_commas_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = "".join(
        f"{n};2026-01-{n % 28 + 1:02d};1.234,5{n % 10};ação;sim;{n % 2}\n" for n in range(300)
    )
    path.write_bytes(("id;on;amount;kind;late;paid\n" + rows).encode("latin-1"))
    typed, _ = prepare(read_table(path), spec(), where="x")
    assert typed["amount"].between(1234.5, 1234.6).all()
    assert typed["kind"].iloc[0] == "ação"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.csv", None, "does not exist"),
        ("empty.csv", b"", "the file is empty"),
        ("x.parquet", b"PAR0", "not a table"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_table(path)


@pytest.mark.parametrize(
    "write",
    [
        "%Y-%m-%dT%H:%M:%S-03:00",
        "%Y-%m-%d %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%d.%m.%Y",
        "%Y%m%d",
        "%s",
    ],
)
def test_dates_are_read_as_brazilians_and_machines_write_them(write: str) -> None:
    days = [datetime(2024, 1, 3, tzinfo=UTC) + timedelta(days=day) for day in range(300)]
    shown = [str(int(day.timestamp())) if write == "%s" else day.strftime(write) for day in days]
    typed, _ = prepare(table(on=shown), spec(), where="x")
    assert [typed[TIME].iloc[row].strftime("%Y-%m-%d") for row in (0, 31, 299)] == [
        "2024-01-03",
        "2024-02-03",
        "2024-10-28",
    ]


def test_rows_may_be_in_the_order_of_plain_numbers() -> None:
    typed, _ = prepare(table(on=range(300, 0, -1)), spec(), where="x")
    assert typed[TIME].tolist() == [float(number) for number in range(1, 301)]


def test_columns_that_an_earlier_version_may_know_stay_when_the_table_is_our_own() -> None:
    own = spec(source="answer", features={"amount": "numeric"})
    typed, _ = prepare(table(), own, where="x")
    assert {"kind", "late"} <= set(typed.columns)
    assert "kind" not in prepare(table(), own.model_copy(update={"source": None}), where="x")[0]


def test_a_point_among_decimal_commas_marks_thousands() -> None:
    amounts = ["1.234", "2,5", "1.234,5", "nan", *["3"] * 296]
    typed, _ = prepare(table(amount=amounts), spec(), where="x")
    assert sorted(typed["amount"].dropna().unique()) == [2.5, 3, 1234, 1234.5]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a,b,a\n1,2,3\n", "two columns are called 'a'"), ("a,b\n1,2,3\n", "more fields than")],
)
def test_a_header_that_does_not_fit_the_rows_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        read_table(path)
