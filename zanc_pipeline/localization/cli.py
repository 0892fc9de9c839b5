"""``zanc localization``: the base of calls and phones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from zanc_pipeline.common.settings import settings


@click.group()
def localization() -> None:
    """Every call of every CRM to every phone, and who answers where."""


@localization.command()
def serve() -> None:
    """Serve the HTTP API until stopped; what is being answered is finished first."""
    from zanc_pipeline.common.logging import configure_logging
    from zanc_pipeline.localization.server import serve as run

    configure_logging()
    run(settings())


@localization.command()
@click.argument("cpf")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, best phone first.")
def phones(cpf: str, as_json: bool) -> None:
    """List the phones of the person CPF, best first, each with its evidence."""
    from zanc_pipeline.localization import base
    from zanc_pipeline.localization.calls import valid_cpf

    ranked = base.rank(settings(), valid_cpf(cpf))
    if as_json:
        click.echo(json.dumps([asdict(phone) for phone in ranked], ensure_ascii=False))
        return
    for phone in ranked:
        click.echo(f"{phone.rank:>3}  {phone.phone:<11}  {phone.score:.2f}")
        for line in phone.evidence:
            click.echo(f"     {line}")
    if not ranked:
        click.echo("nenhum telefone conhecido")


@localization.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(file: Path, as_json: bool) -> None:
    """Load the calls in FILE (CSV or Parquet, columns of localization.call); repeatable."""
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    from zanc_pipeline.localization import base

    columns = (SpinnerColumn(), TextColumn("loading calls"), MofNCompleteColumn())
    with Progress(*columns, transient=True, disable=as_json) as bar:
        task = bar.add_task("calls", total=None)
        counts = base.load_file(settings(), file, progress=lambda rows: bar.advance(task, rows))
    if as_json:
        click.echo(json.dumps(asdict(counts)))
    else:
        click.echo(
            f"{counts.rows} calls: {counts.accepted} accepted, {counts.duplicates} known already"
        )


@localization.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Recompute every summary from the log of calls; exit status 1 when one differs."""
    from zanc_pipeline.localization import base

    result = base.verify(settings())
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(
            f"{result.calls} calls, {result.pairs} person-phone pairs: "
            f"{result.differing} summaries differ from the log"
        )
        for cpf in result.examples:
            click.echo(f"  {cpf}")
    if result.differing:
        context.exit(1)
