"""The model card of a run: what its folder says of the model, and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zanc_pipeline.scoring.train import BASELINE

if TYPE_CHECKING:
    from pathlib import Path

    from zanc_pipeline.scoring.gate import Segments
    from zanc_pipeline.scoring.spec import Spec
    from zanc_pipeline.scoring.train import Training

_COLUMNS = ("auc", "average_precision", "brier", "calibration_error", "lift_at_10")


def write_card(
    path: Path, readme: Path, spec: Spec, training: Training, segments: Segments
) -> Path:
    """Write the card as Markdown: ``readme`` (may be absent), then figures, data and exclusions."""
    about = readme.read_text(encoding="utf-8") if readme.is_file() else f"# {spec.name}\n"
    lines = [about.rstrip(), "", "## This training", ""]
    lines += [f"Chosen on the validation rows: **{training.chosen}**.", ""]
    lines += ["| on the holdout | " + " | ".join(_COLUMNS) + " |"]
    lines += ["|---|" + "---|" * len(_COLUMNS)]
    for kind, metrics in training.metrics.items():
        shown = "last period's rate" if kind == BASELINE else kind
        lines.append(f"| {shown} | " + " | ".join(f"{metrics[c]:.4f}" for c in _COLUMNS) + " |")
    if training.simpler_wins:
        lines += ["", f"On the holdout the simpler **{training.simpler_wins}** ranks better."]
    lines += ["", f"Trained on {len(training.train):,} rows, judged on {len(training.holdout):,}"]
    lines[-1] += (
        f" later ones, trained {training.fits} times over them."
        if training.fits > 1
        else " later ones."
    )
    if spec.embargo_days:
        lines[-1] += f" Embargo: {spec.embargo_days} days."
    for name, values in segments.items():
        lines += ["", f"| {name} | rows | AUC | calibration error |", "|---|---|---|---|"]
        lines += [
            f"| {value} | {one['rows']:.0f} | {one['auc']:.4f} | {one['calibration_error']:.4f} |"
            for value, one in values.items()
        ]
    lines += ["", "**Never a feature:**", ""]
    lines += [f"- `{column}`: {reason}" for column, reason in spec.exclusions.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
