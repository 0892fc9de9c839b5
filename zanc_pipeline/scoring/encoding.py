"""From a table of features to the float32 matrix that the models see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

        missing = [name for name in self.features if name not in table.columns]
        if missing:
            raise DataError(f"the data lacks the model's columns: {', '.join(missing)}")
        matrix = np.zeros((len(table), len(self.columns)), dtype=np.float32)
        self.fill(matrix, table, self.features)
        return matrix

    def fill(
        self, matrix: Matrix, table: Mapping[str, Any] | pd.DataFrame, features: Collection[str]
    ) -> None:
        """Write the columns of ``features`` into a matrix; ``table`` maps them to their values."""
        import pandas as pd

        column = 0
        for name in self.features:
            known = self.categories.get(name)
            width = 1 if known is None else len(known)
            if name in features:
                values = table[name]
                if known is None:
                    numbers = getattr(values, "to_numpy", None)
                    matrix[:, column] = (
                        values if numbers is None else numbers(dtype=np.float32, na_value=np.nan)
                    )
                else:
                    matrix[:, column : column + width] = 0.0
                    codes = places_of(pd.Series(values), known)
                    present = np.flatnonzero(codes >= 0)
                    matrix[present, column + codes[present]] = 1.0
            column += width

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


def places_of(
    values: pd.Series[Any], known: tuple[str, ...]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The place of each value in ``known``, the last for an unknown one, -1 for a missing one."""
    import pandas as pd

    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    names = pd.Index([str(name) for name in values.cat.categories])
    places = pd.Index(known).get_indexer(names)
    places = np.append(np.where(places < 0, len(known) - 1, places), -1)
    codes: np.ndarray[Any, np.dtype[np.int64]] = places[values.cat.codes.to_numpy()]
    return codes
