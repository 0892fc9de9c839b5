"""``zanc crm``: deliveries into the CRMs, and out again."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from zanc_pipeline.common.settings import settings

_DELIVERY = click.IntRange(1, 2**63 - 1)


@click.group()
def crm() -> None:
    """Load deliveries into the CRMs, take them out again, count what is there."""


@crm.command()
@click.argument("delivery_id", type=_DELIVERY)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(delivery_id: int, as_json: bool) -> None:
    """Load the accepted delivery DELIVERY_ID into its CRM; repeated, it changes nothing."""
    from zanc_pipeline.crm import service

    result = service.load(settings(), delivery_id)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(
            f"delivery {result.delivery_id} is in {result.crm}: "
            f"{result.rows} contracts, {result.changed} rows written"
            + ("" if result.refused is None else f", {result.refused} refused by the CRM")
        )


@crm.command()
@click.argument("delivery_id", type=_DELIVERY)
def rollback(delivery_id: int) -> None:
    """Take the delivery DELIVERY_ID out of its CRM, restoring what it overwrote."""
    from zanc_pipeline.crm import service

    service.rollback(settings(), delivery_id)
    click.echo(f"delivery {delivery_id} is out of its CRM")


@crm.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a file.")
def returns(as_json: bool) -> None:
    """Read the return files in which CRMs say which rows of an import they accepted."""
    from zanc_pipeline.crm import service

    answers = service.read_returns(settings())
    if as_json:
        click.echo(json.dumps([asdict(answer) for answer in answers]))
        return
    for answer in answers:
        click.echo(
            f"delivery {answer.delivery_id}: {answer.crm} accepted {answer.accepted} rows, "
            f"refused {answer.refused}"
        )


@crm.command()
@click.argument("delivery_id", type=_DELIVERY)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a row.")
def refused(delivery_id: int, as_json: bool) -> None:
    """List the rows of DELIVERY_ID that its CRM refused, with the CRM's reason; CPFs masked."""
    from zanc_pipeline.common.masking import mask
    from zanc_pipeline.crm import service

    rows = [
        {**row, "cpf": mask(row["cpf"])} for row in service.refused_rows(settings(), delivery_id)
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['row']:>8}  {row['cpf']}  {row['contract']:<20}  {row['reason']}")


@crm.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: CRM → rows.")
def counts(as_json: bool) -> None:
    """Count the open rows that each CRM holds."""
    from zanc_pipeline.crm import service

    found = service.counts(settings())
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, rows in found.items():
        click.echo(f"{name:<12}{rows:>10}")


@crm.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a convênio.")
@click.pass_context
def reconcile(context: click.Context, as_json: bool) -> None:
    """Compare what each CRM holds with what it should hold; exit status 1 when they differ."""
    from zanc_pipeline.crm import service

    lines = service.reconcile(settings())
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines]))
    else:
        for line in lines:
            verdict = "ok" if line.expected == line.found else "DIFFERS"
            click.echo(
                f"{line.crm:<12}{line.convenio:<20}{line.unit:<10}"
                f"expected {line.expected:>8}  found {line.found:>8}  {verdict}"
            )
    if any(line.expected != line.found for line in lines):
        context.exit(1)
