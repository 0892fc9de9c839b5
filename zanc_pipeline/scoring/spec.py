"""``models/<name>/model.yaml``: what a model learns, from what, and when it is promoted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import read_yaml

HOLDOUT_SHARE = 0.2
"""Share of the rows, the last in time, that no model is fitted on or chosen by."""

KNOWN_AFTER_THE_CALL = frozenset(
    {
        *("duration", "billsec", "talk_seconds", "ring_seconds", "wrapup_seconds", "ended_at"),
        *("recorded_at", "outcome", "disposition", "tabulation", "hangup_cause", "paid_on"),
        *("promise_date", "promise_amount", "duracao", "tabulacao", "resultado"),
    }
)
"""Columns that by their name are known only when the call is over: refused as a feature unless
the spec declares it (``known_after: true``)."""

Source = Literal["answer", "payment", "right_party"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Part):
    """A column that the model may see.

    ``monotone`` is 1 when more of it may only raise the probability, -1 when it may only lower
    it. A feature that is not ``required`` is left out, with a warning, when it is absent or empty.
    ``missing`` are values that stand for "not there". ``known_after`` declares a column that is
    known only when the call is over: such a model is measured but never becomes champion.
    With ``target_rate: N`` it is no column of the data: it is the log-odds of the target in the
    N rows before.
    """

    type: Literal["numeric", "categorical", "boolean"]
    monotone: Literal[-1, 0, 1] = 0
    required: bool = True
    missing: tuple[str, ...] = ()
    known_after: bool = False
    target_rate: int | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"type": value}
        if isinstance(value, dict) and isinstance(value.get("missing"), list):
            return value | {"missing": [str(one) for one in value["missing"]]}
        return value

    @model_validator(mode="after")
    def _monotone_needs_order(self) -> Self:
        if self.monotone and self.type == "categorical":
            raise ValueError("a categorical feature has no order, so it can't be monotone")
        if self.target_rate is not None and self.type != "numeric":
            raise ValueError("a target_rate is numeric")
        return self


class Target(_Part):
    """The column to predict; ``positive`` is the value that counts as 1 (default: true or 1)."""

    column: str
    positive: str | None = None


class Window(_Part):
    """The most recent part of the data (with ``retraining``: of each training's past) in use."""

    days: int | None = Field(default=None, gt=0)
    rows: int | None = Field(default=None, gt=0)


class Retraining(_Part):
    """How often the model is trained again in use: so it is judged, too (rolling origin)."""

    every_days: int | None = Field(default=None, gt=0)
    every_rows: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.every_days is None) == (self.every_rows is None):
            raise ValueError("give either every_days or every_rows")
        return self


class Boosting(_Part):
    """What may be tuned of the boosted trees; the defaults suit some 100,000 rows."""

    learning_rate: float = Field(default=0.05, gt=0, le=1)
    max_depth: int = Field(default=5, ge=1, le=12)
    min_child_weight: float = Field(default=20, ge=0)
    subsample: float = Field(default=0.8, gt=0, le=1)
    colsample_bytree: float = Field(default=0.8, gt=0, le=1)
    min_trees: int = Field(default=150, ge=1)
    max_trees: int = Field(default=600, ge=1)


class LeakGuard(_Part):
    """No honest feature separates the target alone better than ``single_feature_auc``."""

    single_feature_auc: float = Field(default=0.80, gt=0.5, le=1)


class Profit(_Part):
    """What acting on a row costs, and what a positive brings, in reais: for the profit curve.

    The gain is ``gain``, or ``gain_share`` of the row's ``gain_column``.
    """

    cost: float = Field(ge=0)
    gain: float | None = Field(default=None, gt=0)
    gain_column: str | None = None
    gain_share: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.gain is None) == (self.gain_column is None):
            raise ValueError("give either gain or gain_column")
        return self


class Promotion(_Part):
    """When a new version becomes champion.

    The first needs ``min_auc``. A later one is compared with the champion on the same rows of the
    holdout: its AUC must be better by ``min_auc_gain``, its Brier score and its calibration error
    may be higher by ``max_brier_rise`` and ``max_calibration_rise`` at most, and the AUC of no
    segment may be lower by more than ``max_segment_drop``.
    """

    min_auc: float = Field(ge=0.5, lt=1)
    min_auc_gain: float = Field(default=0.0, ge=0)
    max_brier_rise: float = Field(default=0.001, ge=0)
    max_calibration_rise: float = Field(default=0.005, ge=0)
    max_segment_drop: float = Field(default=0.03, ge=0)


class Monitoring(_Part):
    """When the champion is taken to have aged, on the last ``days``.

    ``max_psi`` limits the drift of a feature or of the score against the training;
    ``max_auc_drop`` and ``max_calibration_rise`` what may be lost against the holdout.
    """

    days: int = Field(default=7, gt=0)
    max_psi: float = Field(default=0.25, gt=0)
    max_auc_drop: float = Field(default=0.03, gt=0)
    max_calibration_rise: float = Field(default=0.03, gt=0)


class Spec(_Part):
    """One model. Read it with ``load_spec``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,60}$")
    source: Source | None = None
    target: Target
    time_column: str | None
    id_columns: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    features: dict[str, Feature] = Field(min_length=1)
    exclusions: dict[str, str] = {}
    window: Window = Window()
    embargo_days: int = Field(default=0, ge=0)
    retraining: Retraining | None = None
    boosting: Boosting = Boosting()
    kind: Literal["logistic", "xgboost", "blend"] | None = None
    """What is used whatever does best on the validation rows: who reads it may know no other."""
    leak_guard: LeakGuard = LeakGuard()
    profit: Profit | None = None
    promotion: Promotion
    monitoring: Monitoring = Monitoring()

    @property
    def known_after(self) -> list[str]:
        """The features that are declared to be known only after the call."""
        return [name for name, feature in self.features.items() if feature.known_after]

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        for column, reason in self.exclusions.items():
            if not reason.strip():
                raise ValueError(f"exclusions.{column} has no reason")
            if column in self.features:
                raise ValueError(f"'{column}' is a feature and an exclusion")
        if self.target.column in self.features:
            raise ValueError(f"the target '{self.target.column}' is also a feature")
        for name, feature in self.features.items():
            if name.lower() in KNOWN_AFTER_THE_CALL and not feature.known_after:
                raise ValueError(
                    f"features.{name} is known only after the call: move it to exclusions, or "
                    "declare it with known_after: true (the model then never becomes champion)"
                )
        return self

    @model_validator(mode="after")
    def _days_need_a_time(self) -> Self:
        retrained = self.retraining is not None and self.retraining.every_days is not None
        if self.time_column is None:
            for key, used in (
                ("window.days", self.window.days is not None),
                ("embargo_days", self.embargo_days > 0),
                ("retraining.every_days", retrained),
            ):
                if used:
                    raise ValueError(f"{key} needs a time_column")
        return self


def load_spec(path: Path) -> Spec:
    """Read and check a ``model.yaml``; ConfigError names the file and the key."""
    content = read_yaml(path)
    try:
        return Spec.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in problem['loc']) or 'model'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {problems}") from None
