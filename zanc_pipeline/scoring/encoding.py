"""From a table of features to the float32 matrix that the models see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zanc_pipeline.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.spec import Feature

Matrix = np.ndarray[Any, np.dtype[np.float32]]

MAX_CATEGORIES = 40
"""Of a categorical feature, the most frequent values; the others share one column."""

OTHER = "(other)"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Numbers and booleans as they are (missing is NaN), one column for each known category.

    A value that was not seen in training counts as ``(other)``; a missing one as no category.
    """

    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, table: pd.DataFrame, features: dict[str, Feature]) -> Self:
        """Learn the categories from the training part of a typed table."""
        categories: dict[str, tuple[str, ...]] = {}
        for name, feature in features.items():
            if feature.type == "categorical":
                frequent = table[name].dropna().value_counts().index[:MAX_CATEGORIES]
                categories[name] = (*sorted(str(value) for value in frequent), OTHER)
        return cls(features=tuple(features), categories=categories)

    @property
    def columns(self) -> list[str]:
        """The matrix's columns: the feature's name, or ``feature=category``."""
        names: list[str] = []
        for name in self.features:
            known = self.categories.get(name)
            names.extend([name] if known is None else [f"{name}={value}" for value in known])
        return names

    def source_of_columns(self) -> list[str]:
        """For each column of the matrix, the feature it comes from."""
        return [
            name for name in self.features for _ in range(len(self.categories.get(name, ("",))))
        ]

    def encode(self, table: pd.DataFrame) -> Matrix:
        """The matrix of ``table``; DataError names the columns that it lacks."""
        import pandas as pd

        missing = [name for name in self.features if name not in table.columns]
        if missing:
            raise DataError(f"the data lacks the model's columns: {', '.join(missing)}")
        matrix = np.zeros((len(table), len(self.columns)), dtype=np.float32)
        column = 0
        for name in self.features:
            known = self.categories.get(name)
            if known is None:
                matrix[:, column] = table[name].to_numpy(dtype=np.float32, na_value=np.nan)
                column += 1
                continue
            values = table[name].astype("str").where(table[name].notna())
            codes = pd.Index(known).get_indexer(pd.Index(values))
            codes[(codes < 0) & values.notna().to_numpy(bool)] = len(known) - 1
            present = np.flatnonzero(codes >= 0)
            matrix[present, column + codes[present]] = 1.0
            column += len(known)
        return matrix

    def to_json(self) -> dict[str, Any]:
        """For the model's metadata."""
        return {
            "features": list(self.features),
            "categories": {name: list(known) for name, known in self.categories.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The reverse of ``to_json``."""
        return cls(
            features=tuple(content["features"]),
            categories={name: tuple(known) for name, known in content["categories"].items()},
        )
