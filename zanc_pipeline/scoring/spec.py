"""``models/<name>/model.yaml``: what a model learns, from what, and when it is promoted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import read_yaml

HOLDOUT_SHARE = 0.2
"""Share of the rows, the last in time, that no model is fitted on."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Part):
    """A column that the model may see.

    ``monotone`` is 1 when more of it may only raise the probability, -1 when it may only lower
    it. A feature that is not ``required`` is left out, with a warning, when it is absent or empty.
    """

    type: Literal["numeric", "categorical", "boolean"]
    monotone: Literal[-1, 0, 1] = 0
    required: bool = True

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _monotone_needs_order(self) -> Self:
        if self.monotone and self.type == "categorical":
            raise ValueError("a categorical feature has no order, so it can't be monotone")
        return self


class Target(_Part):
    """The column to predict; ``positive`` is the value that counts as 1 (default: true or 1)."""

    column: str
    positive: str | None = None


class Window(_Part):
    """The most recent part of the data that training uses."""

    days: int | None = Field(default=None, gt=0)
    rows: int | None = Field(default=None, gt=0)


class Promotion(_Part):
    """When a new version becomes champion.

    The first needs ``min_auc`` on its holdout; a later one is compared with the champion on the
    same holdout: its AUC may be ``max_auc_drop`` lower and its Brier score ``max_brier_rise``
    higher at most.
    """

    min_auc: float = Field(ge=0.5, lt=1)
    max_auc_drop: float = Field(default=0.0, ge=0)
    max_brier_rise: float = Field(default=0.0, ge=0)


class Spec(_Part):
    """One model. Read it with ``load_spec``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,60}$")
    source: Literal["answer", "payment"] | None = None
    target: Target
    time_column: str | None
    id_columns: tuple[str, ...] = ()
    features: dict[str, Feature] = Field(min_length=1)
    exclusions: dict[str, str] = {}
    window: Window = Window()
    promotion: Promotion

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        for column, reason in self.exclusions.items():
            if not reason.strip():
                raise ValueError(f"exclusions.{column} has no reason")
            if column in self.features:
                raise ValueError(f"'{column}' is a feature and an exclusion")
        if self.target.column in self.features:
            raise ValueError(f"the target '{self.target.column}' is also a feature")
        if self.window.days is not None and self.time_column is None:
            raise ValueError("window.days needs a time_column")
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
