"""``zanc mailing``: build a mailing and say why somebody is in it or not."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

import click

from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.logging import configure_logging
from zanc_pipeline.common.settings import settings
from zanc_pipeline.mailing.explain import decimal, explanation, reais


@click.group()
def mailing() -> None:
    """Build the ranked list of people to call; explain who is in it and who is not."""
    configure_logging("WARNING")


@mailing.command()
@click.option("--campaign", required=True, help="A file of config/campaigns, without .yaml.")
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="The latest delivery's day without it."
)
@click.option("--explain", is_flag=True, help="Say who was left out and why (in Portuguese).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def build(campaign: str, day: datetime | None, explain: bool, as_json: bool) -> None:
    """Build the mailing of a campaign for a day; the same inputs give the same mailing."""
    from zanc_pipeline.mailing import service

    stack = settings()
    made = service.build(stack, campaign, day.date() if day else service.latest_day(stack))
    if as_json:
        click.echo(json.dumps(made.to_json(), ensure_ascii=False))
        return
    click.echo(f"{made.id}: {made.leads} pessoas{'' if made.created else ' (já existia)'}")
    if explain:
        before = service.before(stack, made)
        click.echo(explanation(made, before))
        click.echo(f"\nRelatório com gráficos: {service.write_page(stack, made, before)}")


@mailing.command()
@click.argument("cpf")
@click.option("--campaign", required=True, help="A file of config/campaigns, without .yaml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def why(cpf: str, campaign: str, as_json: bool) -> None:
    """Say why the person with this CPF is in the campaign's latest mailing, or why not."""
    from zanc_pipeline.mailing import service

    number = parse_cpf(cpf)
    if number is None:
        raise DataError("o CPF informado não é válido: confira os dígitos")
    reason = service.why(settings(), campaign, number)
    if as_json:
        click.echo(json.dumps(asdict(reason) | {"day": reason.day.isoformat()}, ensure_ascii=False))
        return
    place = f"{reason.rank}º da fila" if reason.rank is not None else "ficou de fora"
    profit = "" if reason.profit is None else f"; lucro esperado {reais(reason.profit)}"
    click.echo(f"{reason.mailing_id}: {place}: {reason.texto}{profit}")
    for text in reason.also:
        click.echo(f"  também: {text}")
    if reason.contract is not None:
        chance = ""
        if reason.payment is not None and reason.gain is not None:
            chance = (
                f": chance de pagar {decimal(100 * reason.payment)} %, e a conversa acrescenta "
                f"{decimal(100 * reason.gain)} %"
            )
        click.echo(f"  contrato {reason.contract} ({reason.convenio}){chance}")
    if reason.hour is not None:
        click.echo(f"  ligar às {reason.hour}h; chance de entrar {100 * reason.propensity:.0f} %")
