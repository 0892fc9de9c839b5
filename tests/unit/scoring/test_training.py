"""Training: honest in time, calibrated, promoted by a stated rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.scoring import model_files
from zanc_pipeline.scoring.calibration import Calibration, choose_calibration, fit_calibration
from zanc_pipeline.scoring.encoding import OTHER, Encoder
from zanc_pipeline.scoring.gate import Measured, decide
from zanc_pipeline.scoring.leaks import refuse_leaks
from zanc_pipeline.scoring.metrics import calibration_error, evaluate, lift
from zanc_pipeline.scoring.model_files import Kept
from zanc_pipeline.scoring.reference import Reference
from zanc_pipeline.scoring.spec import Feature, Promotion, Spec, load_spec
from zanc_pipeline.scoring.splits import known_rows, split, split_point
from zanc_pipeline.scoring.tables import LABEL, TIME, prepare, read_table
from zanc_pipeline.scoring.train import BASELINE, train_candidates

RULE = Promotion(min_auc=0.6, max_brier_rise=0.01, max_segment_drop=0.03)
BANK = Path(__file__).parents[4] / "shared" / "data" / "bank-additional-full.csv"


def spec(**features: str) -> Spec:
    return Spec.model_validate(
        {
            "name": "zanc_test",
            "target": {"column": "y"},
            "time_column": None,
            "features": features,
            "promotion": {"min_auc": 0.6},
        }
    )


def learnable(rows: int = 3000) -> pd.DataFrame:
    random = np.random.default_rng(5)
    x, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    p = 1 / (1 + np.exp(-(1.5 * x + (kind == "a") - 1)))
    return pd.DataFrame({"x": x, "kind": kind, "y": (random.random(rows) < p).astype(int)})


def test_both_candidates_learn_and_are_calibrated() -> None:
    model = spec(x="numeric", kind="categorical")
    # 15,000 rows: the bins of a small holdout differ from any true probability by chance alone.
    table, model = prepare(learnable(15_000), model, where="t")
    training = train_candidates(table, model, where="t")
    assert len(training.holdout) == 3000
    assert training.metrics.pop(BASELINE)["auc"] == 0.5
    for measured in training.metrics.values():
        assert measured["auc"] > 0.8
        assert measured["calibration_error"] < 0.03
    assert training.chosen == "logistic"  # the truth is linear: the simpler kind is enough


def test_training_is_reproducible() -> None:
    table, model = prepare(learnable(), spec(x="numeric", kind="categorical"), where="t")
    first, second = (train_candidates(table, model, where="t") for _ in range(2))
    np.testing.assert_array_equal(first.scores["xgboost"], second.scores["xgboost"])


def test_a_holdout_of_one_class_is_refused() -> None:
    data = learnable().assign(y=[0, 1] * 1200 + [0] * 600)
    table, model = prepare(data, spec(x="numeric"), where="t")
    with pytest.raises(DataError, match="the holdout part of 600 rows has 0 positives"):
        train_candidates(table, model, where="t")


def test_no_moment_is_on_both_sides_of_the_split() -> None:
    times = pd.Series([1] * 30 + [2] * 45 + [3] * 25)
    assert split_point(times, 0.8) == 75
    assert split_point(pd.Series([1] * 100), 0.8) == 80


def test_an_unseen_category_counts_as_other_and_a_missing_one_as_none() -> None:
    seen = pd.DataFrame({"k": ["a", "b", None]})
    encoder = Encoder.fit(seen, {"k": Feature(type="categorical")})
    assert encoder.columns == ["k=a", "k=b", f"k={OTHER}"]
    matrix = encoder.encode(pd.DataFrame({"k": ["b", "new", None]}))
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert Encoder.from_json(encoder.to_json()) == encoder


def test_an_encoder_names_the_columns_that_are_missing() -> None:
    encoder = Encoder(features=("x", "z"), categories={})
    with pytest.raises(DataError, match="lacks the model's columns: z"):
        encoder.encode(pd.DataFrame({"x": [1.0]}))


def test_calibration_corrects_overconfidence() -> None:
    random = np.random.default_rng(2)
    truth = random.random(20_000)
    label = (random.random(20_000) < truth).astype(float)
    overconfident = np.clip((truth - 0.5) * 3 + 0.5, 0.01, 0.99)
    fitted = choose_calibration(overconfident, label)
    assert fitted.kind != "none"
    assert calibration_error(label, fitted.apply(overconfident)) < 0.03
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_good_probabilities_are_left_alone() -> None:
    random = np.random.default_rng(2)
    truth = random.random(20_000)
    assert choose_calibration(truth, (random.random(20_000) < truth).astype(float)).kind == "none"


_RANDOM = np.random.default_rng(0)
_SCORE = _RANDOM.random(500)
_LABEL = (_RANDOM.random(500) < _SCORE**2).astype(float)
CALIBRATIONS = [fit_calibration(_SCORE, _LABEL, kind) for kind in ("platt", "isotonic")]


@hypothesis_settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_calibrations_keep_the_order_and_stay_probabilities(values: list[float]) -> None:
    scores = np.sort(np.array(values))
    for calibration in CALIBRATIONS:
        applied = calibration.apply(scores)
        assert (np.diff(applied) >= -1e-12).all()
        assert ((applied >= 0) & (applied <= 1)).all()


def test_lift_and_metrics_of_a_perfect_score() -> None:
    label = np.array([1.0] * 10 + [0.0] * 90)
    assert lift(label, label, share=0.1) == 10
    measured = evaluate(label, label)
    assert (measured["auc"], measured["brier"]) == (1.0, 0.0)


def measured(auc: float, brier: float = 0.2, error: float = 0.01, norma: float = 0.7) -> Measured:
    metrics = {"auc": auc, "brier": brier, "calibration_error": error}
    return Measured(metrics=metrics, segments={"crm": {"norma": {"auc": norma}}})


@pytest.mark.parametrize(
    ("mine", "theirs", "promoted", "why"),
    [
        (measured(0.59), None, False, "under the minimum of 0.6"),
        (measured(0.70), None, True, "first champion"),
        (measured(0.70), measured(0.72), False, "not better"),
        (measured(0.70), measured(0.70), False, "not better"),
        (measured(0.72, brier=0.25), measured(0.70), False, "Brier score is worse"),
        (measured(0.72, error=0.05), measured(0.70), False, "calibration is worse"),
        (measured(0.72, norma=0.6), measured(0.70), False, "crm norma collapses"),
        (measured(0.72), measured(0.70), True, "better: AUC 0.7200 against 0.7000"),
    ],
)
def test_the_promotion_gate(
    mine: Measured, theirs: Measured | None, promoted: bool, why: str
) -> None:
    champion = 3 if theirs else None
    decision = decide(
        mine.metrics["auc"], 50, mine, theirs, rule=RULE, champion=champion, known_after=[]
    )
    assert decision[0] is promoted
    assert why in decision[1]


def test_a_model_that_needs_what_comes_after_the_call_is_never_champion() -> None:
    promoted, why = decide(0.9, 50, None, None, rule=RULE, champion=None, known_after=["duration"])
    assert not promoted
    assert "duration" in why


def test_a_model_judged_on_a_handful_of_positives_is_never_champion() -> None:
    promoted, why = decide(0.9, 6, None, None, rule=RULE, champion=None, known_after=[])
    assert not promoted
    assert "its holdout has 6 rows of the rarer class" in why


def dated(rows: int = 3000, **changes: object) -> tuple[pd.DataFrame, Spec]:
    days = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) // 30, unit="D")
    content = spec(x="numeric", kind="categorical").model_dump() | {"time_column": "on"} | changes
    return prepare(learnable(rows).assign(on=days), Spec.model_validate(content), where="t")


def test_the_embargo_keeps_labels_that_were_not_known_yet_out_of_the_training() -> None:
    table, model = dated(embargo_days=10)
    parts = split(table, model, where="t")
    for period in (*parts.validation, *parts.holdout):
        gap = table[TIME].iloc[period.start] - table[TIME].iloc[period.until - 1]
        assert gap >= pd.Timedelta(days=10)
    assert known_rows(table[TIME], 3000 - 1, model) == 30 * 90


def test_an_embargo_that_leaves_nothing_is_said() -> None:
    table, model = dated(600, embargo_days=15)
    with pytest.raises(DataError, match=r"part has \d+ rows after an embargo of 15 days"):
        split(table, model, where="t")


def test_with_retraining_each_row_is_scored_by_a_model_of_its_past_alone() -> None:
    table, model = dated(retraining={"every_days": 5}, window={"days": 40})
    parts = split(table, model, where="t")
    assert len(parts.holdout) == 4
    for period in parts.holdout:
        assert period.until <= period.start
        seen = table[TIME].iloc[period.since : period.until]
        assert seen.iloc[-1] - seen.iloc[0] <= pd.Timedelta(days=40)
    assert [one.end for one in parts.holdout[:-1]] == [one.start for one in parts.holdout[1:]]
    changed = table.copy()
    late = changed[TIME] >= table[TIME].iloc[parts.holdout[2].start]
    changed.loc[late, LABEL] = 1 - changed.loc[late, LABEL]
    first, second = (train_candidates(rows, model, where="t") for rows in (table, changed))
    before = parts.holdout[2].start - parts.holdout[0].start
    np.testing.assert_array_equal(
        first.scores["logistic"][:before], second.scores["logistic"][:before]
    )


def test_the_holdout_chooses_nothing() -> None:
    table, model = dated()
    changed = table.copy()
    changed.loc[changed.index[-600:], LABEL] = np.tile([0.0, 1.0], 300)
    first, second = (train_candidates(rows, model, where="t") for rows in (table, changed))
    assert first.chosen == second.chosen
    assert first.validation_auc == second.validation_auc
    other = "logistic" if first.chosen != "logistic" else "xgboost"
    asked = train_candidates(table, model.model_copy(update={"kind": other}), where="t")
    assert asked.chosen == other  # who reads the model may know no other kind


def test_a_blend_is_kept_and_read_back_as_it_was(tmp_path: Path) -> None:
    table, model = dated()
    training = train_candidates(table, model, where="t")
    blended = training.models["blend"]
    reference = Reference.of(training.holdout, training.once, blended.encoder, {"auc": 0.5})
    kept = Kept(model=blended, reference=reference, trained_until=None)
    read = model_files.read(model_files.write(tmp_path / "m", kept))
    np.testing.assert_array_equal(
        read.model.predict(training.holdout), blended.predict(training.holdout)
    )
    assert read.reference == reference


BANK_SPEC = Path("models/bank_marketing/model.yaml")


@pytest.mark.skipif(not BANK.is_file(), reason="the real data set is not beside the repository")
def test_the_real_data_set_without_duration() -> None:
    content = load_spec(BANK_SPEC).model_dump() | {"retraining": {"every_rows": 4200}}
    table, model = prepare(read_table(BANK), Spec.model_validate(content), where="bank")
    training = train_candidates(table, model, where="bank")
    assert len(training.holdout) == 8238
    assert training.holdout[TIME].min() > training.train[TIME].max()
    assert 0.70 < training.metrics[training.chosen]["auc"] < 0.80
    assert training.holdout[LABEL].mean() > 2 * training.train[LABEL].mean()
    refuse_leaks(training.train, model, where="bank")


@pytest.mark.skipif(not BANK.is_file(), reason="the real data set is not beside the repository")
def test_duration_is_caught_under_another_name() -> None:
    content = load_spec(BANK_SPEC).model_dump()
    content["features"]["seconds"] = {"type": "numeric"}
    renamed = read_table(BANK).rename(columns={"duration": "seconds"})
    table, model = prepare(renamed, Spec.model_validate(content), where="bank")
    with pytest.raises(DataError, match=r"'seconds' alone separates the target with AUC 0\.8"):
        refuse_leaks(table, model, where="bank")
