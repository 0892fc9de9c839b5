"""The promotion gate: whether a new version may take the champion's place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zanc_pipeline.scoring.spec import Promotion

Segments = dict[str, dict[str, dict[str, float]]]


MIN_CLASS = 10
"""With fewer positives (or negatives) in the holdout no figure of it says anything."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one model scored on the rows of the comparison."""

    metrics: dict[str, float]
    segments: Segments


def decide(
    reported_auc: float,
    fewest: int,
    mine: Measured | None,
    theirs: Measured | None,
    *,
    rule: Promotion,
    champion: int | None,
    known_after: list[str],
    why_not: str = "",
) -> tuple[bool, str]:
    """(promoted, why).

    ``fewest`` are the holdout's rows of the rarer class; ``mine`` and ``theirs`` are of the same
    rows of the holdout, or None when there is no champion that can be asked (``why_not``);
    ``champion`` is its version.
    """
    if known_after:
        return False, f"it needs what is known only after the call: {', '.join(known_after)}"
    if fewest < MIN_CLASS:
        return False, (
            f"its holdout has {fewest} rows of the rarer class, at least {MIN_CLASS} are needed to "
            f"judge it (AUC {reported_auc:.4f} may be chance)"
        )
    if reported_auc < rule.min_auc:
        return False, f"AUC {reported_auc:.4f} is under the minimum of {rule.min_auc}"
    if champion is None:
        return True, f"first champion: AUC {reported_auc:.4f} reaches {rule.min_auc}"
    if mine is None or theirs is None:
        return True, f"AUC {reported_auc:.4f}; not compared with version {champion}: {why_not}"
    a, b = mine.metrics, theirs.metrics
    compared = (
        f"AUC {a['auc']:.4f} against {b['auc']:.4f}, Brier {a['brier']:.4f} against "
        f"{b['brier']:.4f}, calibration error {a['calibration_error']:.4f} against "
        f"{b['calibration_error']:.4f} of version {champion} on the same holdout"
    )
    if a["auc"] <= b["auc"] + rule.min_auc_gain:
        return False, f"not better: {compared}"
    if a["brier"] > b["brier"] + rule.max_brier_rise:
        return False, f"its Brier score is worse: {compared}"
    if a["calibration_error"] > b["calibration_error"] + rule.max_calibration_rise:
        return False, f"its calibration is worse: {compared}"
    for name, values in mine.segments.items():
        for value, measured in values.items():
            other = theirs.segments.get(name, {}).get(value)
            if other and measured["auc"] < other["auc"] - rule.max_segment_drop:
                return False, (
                    f"{name} {value} collapses: AUC {measured['auc']:.4f} against "
                    f"{other['auc']:.4f}; over all {compared}"
                )
    return True, f"better: {compared}"
