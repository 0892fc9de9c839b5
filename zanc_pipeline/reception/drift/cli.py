"""``zanc reception proposal|approve|reject``: layouts that drift proposes."""

from __future__ import annotations

import getpass
import json

import click

from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.common.settings import settings

_DELIVERY = click.argument("delivery_id", type=click.IntRange(1, 2**63 - 1))
_BY = click.option("--by", default=getpass.getuser, help="Quem decide (sem dizer, o seu usuário).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Escreve JSON, para um programa ler.")


@click.command()
@_DELIVERY
@_JSON
def proposal(delivery_id: int, as_json: bool) -> None:
    """Show the layout proposed for a delivery, before and after side by side."""
    from zanc_pipeline.reception.drift import proposals

    found = proposals.get(settings(), delivery_id)
    if found is None:
        raise ConflictError(f"a entrega {delivery_id} não tem layout proposto")
    if as_json:
        record = {
            "delivery_id": found.delivery_id,
            "status": found.status,
            "summary": found.summary,
            "layout": found.layout,
            "layout_file": found.layout_file,
            "decided_by": found.decided_by,
            "note": found.note,
            "evidence": found.evidence,
        }
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    click.echo(f"Entrega {delivery_id}: {_STATUS[found.status]}\n{found.summary}\n")
    click.echo(found.evidence_text())
    click.echo(f"\n{found.layout}")
    if found.status == "proposed":
        click.echo(
            f"Para aprovar: zanc reception approve {delivery_id}\n"
            f"Para recusar: zanc reception reject {delivery_id} --reason MOTIVO"
        )
    elif found.status == "adapted":
        click.echo(f"Para valer sempre: zanc reception approve {delivery_id}")


@click.command()
@_DELIVERY
@_BY
@click.option("--note", default="", help="O motivo, que fica registrado.")
@_JSON
def approve(delivery_id: int, by: str, note: str, as_json: bool) -> None:
    """Make the proposed layout a new version and judge the delivery by it."""
    from zanc_pipeline.reception.cli import conclude
    from zanc_pipeline.reception.drift import proposals

    delivery = proposals.approve(settings(), delivery_id, by=by, note=note)
    found = proposals.get(settings(), delivery_id)
    if not as_json and found is not None:
        click.echo(f"{found.layout_file}: versão gravada")
    conclude(delivery, as_json=as_json)


@click.command()
@_DELIVERY
@_BY
@click.option("--reason", required=True, help="O motivo, que fica registrado.")
def reject(delivery_id: int, by: str, reason: str) -> None:
    """Record that the proposed layout is wrong; the delivery stays in quarantine."""
    from zanc_pipeline.reception.drift import proposals

    proposals.reject(settings(), delivery_id, by=by, reason=reason)
    click.echo(f"entrega {delivery_id}: proposta recusada; o arquivo segue em quarentena")


_STATUS = {
    "proposed": "layout proposto, à espera de decisão",
    "adapted": "lida por este layout, que foi provado",
    "approved": "layout aprovado",
    "rejected": "layout recusado",
}
