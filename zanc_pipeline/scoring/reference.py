"""How the training's rows were spread: what later rows are compared with (drift)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.scoring.encoding import Encoder

Floats = np.ndarray[Any, np.dtype[np.float64]]

BINS = 10
FLOOR = 1e-4
"""An empty bin counts as this share, so that its logarithm exists."""

SCORE = "(score)"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The spread of each feature and of the score, and what the holdout measured.

    A number's spread has the inner ``edges`` of its bins and, last, the share that is missing; a
    category's has the shares of the encoder's categories and, last, of what is missing.
    """

    edges: dict[str, tuple[float, ...]]
    shares: dict[str, tuple[float, ...]]
    metrics: dict[str, float]

    def drift(self, table: pd.DataFrame, score: Floats, encoder: Encoder) -> dict[str, float]:
        """The population stability index of each feature and of the score, the greatest first.

        Under .1 nothing moved, over .25 much did. ``table`` holds the features.
        """
        found = {
            name: psi(np.array(self.shares[name]), self._spread(table[name], name, encoder))
            for name in encoder.features
            if name in self.shares and name in table.columns
        }
        found[SCORE] = psi(np.array(self.shares[SCORE]), _numbers(score, self.edges[SCORE]))
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _spread(self, column: pd.Series[Any], name: str, encoder: Encoder) -> Floats:
        if name in self.edges:
            values = column.to_numpy(np.float64, na_value=np.nan)
            return _numbers(values, self.edges[name])
        return _categories(column, encoder.categories[name])

    def to_json(self) -> dict[str, Any]:
        """For the model's files."""
        return {
            "edges": {name: list(edges) for name, edges in self.edges.items()},
            "shares": {name: list(shares) for name, shares in self.shares.items()},
            "metrics": self.metrics,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The reverse of ``to_json``."""
        return cls(
            edges={name: tuple(edges) for name, edges in content["edges"].items()},
            shares={name: tuple(shares) for name, shares in content["shares"].items()},
            metrics=content["metrics"],
        )

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame,
        score: Floats,
        encoder: Encoder,
        metrics: dict[str, float],
    ) -> Self:
        """The reference of the holdout's rows and their scores."""
        edges: dict[str, tuple[float, ...]] = {}
        shares: dict[str, tuple[float, ...]] = {}
        for name in encoder.features:
            if name in encoder.categories:
                shares[name] = tuple(_categories(rows[name], encoder.categories[name]).tolist())
                continue
            values = rows[name].to_numpy(np.float64, na_value=np.nan)
            edges[name] = _edges(values)
            shares[name] = tuple(_numbers(values, edges[name]).tolist())
        edges[SCORE] = _edges(score)
        shares[SCORE] = tuple(_numbers(score, edges[SCORE]).tolist())
        return cls(edges=edges, shares=shares, metrics=metrics)


def psi(expected: Floats, found: Floats) -> float:
    """Population stability index of two vectors of shares."""
    one, other = np.maximum(expected, FLOOR), np.maximum(found, FLOOR)
    return float(np.sum((other - one) * np.log(other / one)))


def expected_auc(score: Floats) -> float:
    """The AUC that these probabilities promise if they are calibrated, before any label is known.

    The expectation over labels drawn with the scores' own probabilities (confidence-based
    performance estimation).
    """
    order = np.sort(score)
    _, start, counts = np.unique(order, return_index=True, return_counts=True)
    positives = np.add.reduceat(order, start)
    negatives = counts - positives
    below = np.cumsum(negatives) - negatives / 2
    total = positives.sum() * negatives.sum()
    return float((positives * below).sum() / total) if total else 0.5


def expected_brier(score: Floats) -> float:
    """The Brier score that calibrated probabilities promise."""
    return float(np.mean(score * (1 - score)))


def _edges(values: Floats) -> tuple[float, ...]:
    there = values[~np.isnan(values)]
    if not len(there):
        return ()
    inner = np.quantile(there, np.arange(1, BINS) / BINS)
    return tuple(np.unique(inner).tolist())


def _numbers(values: Floats, edges: tuple[float, ...]) -> Floats:
    missing = np.isnan(values)
    places = np.searchsorted(np.array(edges), values[~missing], side="left")
    counts = np.bincount(places, minlength=len(edges) + 1).astype(np.float64)
    shares: Floats = np.append(counts, missing.sum()) / max(1, len(values))
    return shares


def _categories(column: pd.Series[Any], known: tuple[str, ...]) -> Floats:
    from zanc_pipeline.scoring.encoding import places_of

    places = places_of(column, known)
    counts = np.bincount(np.where(places < 0, len(known), places), minlength=len(known) + 1)
    shares: Floats = counts / max(1, len(column))
    return shares
