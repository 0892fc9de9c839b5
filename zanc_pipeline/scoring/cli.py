"""``zanc models``: train, score, compare, promote, roll back, watch."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from zanc_pipeline.common.logging import configure_logging
from zanc_pipeline.common.settings import settings


@click.group()
def models() -> None:
    """Train, compare and promote the models; score the portfolio with the champions."""
    configure_logging("WARNING")


@models.command()
@click.option("--spec", required=True, type=click.Path(path_type=Path), help="models/X/model.yaml.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A CSV or Parquet to learn from; without it, the databases named by the spec's source.",
)
def train(spec: Path, data: Path | None) -> None:
    """Train a model, log it to MLflow and promote it by its rule; print one JSON object."""
    from zanc_pipeline.scoring import service

    with redirect_stdout(sys.stderr):  # libraries may talk; stdout is the JSON object alone
        result = service.train(settings(), spec, data)
    click.echo(json.dumps(result.to_json(), ensure_ascii=False))


@models.command()
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day whose hours are scored; the latest delivery's without it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def score(day: datetime | None, as_json: bool) -> None:
    """Score every phone and contract of the open portfolio with the champions."""
    from zanc_pipeline.common.days import latest_day
    from zanc_pipeline.scoring import service

    result = service.score(settings(), day.date() if day else latest_day(settings()))
    if as_json:
        click.echo(json.dumps(result.to_json()))
        return
    click.echo(
        f"{result.phones} phones for the hours of {result.day} by {result.answer_version}, "
        f"{result.contracts} contracts by {result.payment_version}"
    )


@models.command()
@click.argument("name")
@click.argument("version", type=int)
def promote(name: str, version: int) -> None:
    """Make VERSION of model NAME the champion, whatever the rule says."""
    from zanc_pipeline.scoring import registry

    with registry.connected(settings()) as known:
        known.promote(name, version)
    click.echo(f"{name} version {version} is the champion")


@models.command()
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of var/models/NAME.json, where the dialer looks for zanc_alo.",
)
def export(name: str, output: Path | None) -> None:
    """Write the trees of model NAME's champion as one JSON file, for the dialer."""
    from zanc_pipeline.scoring import registry
    from zanc_pipeline.scoring.export import exported, write

    with registry.connected(settings()) as known:
        kept, number = known.require_champion(name, f"models/{name.removeprefix('zanc_')}")
    path = output or settings().var / "models" / f"{name}.json"
    write(path, exported(kept.model, name=name))
    click.echo(f"{path}: version {number} of {name}")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def compare(name: str, as_json: bool) -> None:
    """List the versions of model NAME with what each measured on its holdout."""
    from zanc_pipeline.scoring import registry

    with registry.connected(settings()) as known:
        versions = known.versions(name)
    if as_json:
        click.echo(json.dumps([asdict(version) for version in versions], ensure_ascii=False))
        return
    shown = ("auc", "average_precision", "brier", "calibration_error", "lift_at_10", "profit")
    titles = ("AUC", "AP", "Brier", "ECE", "lift10", "profit")
    click.echo(
        f"{'version':>7}  {'alias':<10} {'kind':<8} {'data':<8} "
        + " ".join(f"{title:>8}" for title in titles)
        + "  run, why"
    )
    for one in versions:
        values = (one.metrics.get(key) for key in shown)
        cells = " ".join(
            f"{'–':>8}" if value is None else f"{value:8.{0 if abs(value) >= 100 else 4}f}"
            for value in values
        )
        click.echo(
            f"{one.version:>7}  {','.join(one.aliases):<10} {one.kind:<8} {one.data:<8} {cells}  "
            f"{one.run_name}: {one.why}"
        )


@models.command()
@click.argument("name")
def rollback(name: str) -> None:
    """Give the champion alias of model NAME back to the champion before."""
    from zanc_pipeline.scoring import registry

    with registry.connected(settings()) as known:
        number = known.rollback(name)
    click.echo(f"{name} version {number} is the champion again")


@models.command()
@click.option(
    "--spec",
    "specs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Only this models/X/model.yaml; without it, every model that learns from the databases.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def monitor(specs: tuple[Path, ...], as_json: bool) -> None:
    """Compare the last days with each champion's training: drift, and how well it still does.

    A breach is said and recorded (scoring.monitor), and is no error of the command.
    """
    from zanc_pipeline.scoring import monitoring

    checks = monitoring.check_all(settings(), list(specs) or None)
    if as_json:
        click.echo(json.dumps([check.to_json() for check in checks], ensure_ascii=False))
        return
    for check in checks:
        click.echo(check.line())


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def history(file: Path, as_json: bool) -> None:
    """Load what became of past contracts (CSV or Parquet) into scoring.portfolio_history."""
    from zanc_pipeline.scoring.history import load

    rows, changed = load(settings(), file)
    if as_json:
        click.echo(json.dumps({"rows": rows, "changed": changed}))
        return
    click.echo(f"{rows} rows read, {changed} new or changed")
