"""``zanc reception``: read, onboard, check, receive and replay creditors' files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zanc_pipeline.common.errors import DataError, UnknownConvenio
from zanc_pipeline.common.settings import settings
from zanc_pipeline.reception.drift.cli import approve, proposal, reject

if TYPE_CHECKING:
    from zanc_pipeline.reception.ledger import Delivery

_FILE = click.Path(path_type=Path, dir_okay=False)
_DELIVERY = click.argument("delivery_id", type=click.IntRange(1, 2**63 - 1))
_BY = click.option("--by", required=True, help="Quem decide.")
_REASON = click.option("--reason", required=True, help="O motivo, que fica registrado.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Escreve JSON, para um programa ler.")


@click.group()
def reception() -> None:
    """Creditors' files: read, onboard, check, receive, replay."""


@reception.command()
@click.argument("file", type=_FILE)
@click.option("--layout", type=_FILE, help="Lê por este layout, sem detectar nada.")
@click.option("--output", type=_FILE, help="Grava aqui, em vez de mostrar na tela.")
def read(file: Path, layout: Path | None, output: Path | None) -> None:
    """Write FILE as a clean UTF-8 CSV: header first, every cell as text.

    What was detected, and every line that does not fit, is said on the standard error.
    """
    from zanc_pipeline.reception.archive import write_atomically
    from zanc_pipeline.reception.read import read_detected, read_with_layout, to_csv

    table = read_with_layout(file, layout) if layout is not None else read_detected(file)
    if output is None:
        to_csv(table, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        write_atomically(output, lambda target: to_csv(table, target))
    for note in table.notes:
        click.echo(f"{file.name}: {note}", err=True)
    if table.lost:
        raise DataError(f"{file}: {table.lost} linha(s) fora do layout: veja acima")


@reception.command()
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
@click.option("--output", type=_FILE, required=True, help="Onde gravar o rascunho do layout.")
@click.option("--crm", help="De um convênio novo: o CRM (config/crms) em que ele carrega.")
@click.option("--force", is_flag=True, help="Grava por cima do que já existe.")
def infer(files: tuple[Path, ...], output: Path, crm: str | None, force: bool) -> None:
    """Draft a layout from the sample FILE, with a comment in Portuguese on every field.

    Several FILEs are a set that makes one portfolio: contracts, people, phones.
    In the folder of a new convênio, --crm writes its convenio.yaml too.
    """
    from zanc_pipeline.reception.onboarding import onboard

    for line in onboard(settings(), files, output, crm=crm, force=force):
        click.echo(line)


@reception.command()
def schema() -> None:
    """Print the JSON Schema of a layout: an editor that has it completes and explains the keys."""
    from zanc_pipeline.reception.layout_schema import layout_schema

    click.echo(json.dumps(layout_schema(), ensure_ascii=False, indent=2))


@reception.command()
@click.argument("file", type=_FILE)
@click.option("--convenio", required=True, help="De qual convênio é o arquivo.")
@_JSON
def check(file: Path, convenio: str, as_json: bool) -> None:
    """Say what would become of FILE, without receiving it. Exit status 1 unless accepted.

    The layout, the last files of the convênio and the CRM are asked as when it is received.
    """
    from zanc_pipeline.reception import report
    from zanc_pipeline.reception.checking import check_file
    from zanc_pipeline.reception.outputs import REJECTED

    _require_convenio(convenio)
    delivery, result, notes = check_file(settings(), file, convenio, datetime.now(tz=UTC))
    if as_json:
        verdict = result.verdict
        click.echo(
            json.dumps(
                {
                    "status": verdict.status,
                    "reason": verdict.reason,
                    "layout_version": verdict.layout_version,
                    "reference_date": str(verdict.reference_date),
                    "rows_total": verdict.rows_total,
                    "rows_accepted": verdict.rows_accepted,
                    "rows_rejected": verdict.rows_rejected,
                    "notes": notes,
                },
                ensure_ascii=False,
            )
        )
    else:
        click.echo(report.text(report.facts(settings(), delivery, result, rejected_file=REJECTED)))
        for note in notes:
            click.echo(f"atenção: {note}")
    if result.verdict.status != "accepted":
        sys.exit(1)


@reception.command()
@click.argument("file", type=_FILE)
@click.option("--convenio", required=True, help="De qual convênio é o arquivo.")
@_JSON
def receive(file: Path, convenio: str, as_json: bool) -> None:
    """Receive FILE into the ledger. Exit status 1 when it is quarantined or must wait."""
    from zanc_pipeline.reception import service

    conclude(service.receive(settings(), file, convenio), as_json=as_json)


@reception.command()
@_DELIVERY
@_JSON
def replay(delivery_id: int, as_json: bool) -> None:
    """Judge a quarantined delivery again, by the layouts and decisions as they are now."""
    from zanc_pipeline.reception import service

    conclude(service.replay(settings(), delivery_id), as_json=as_json)


@reception.command()
@_DELIVERY
@click.option(
    "--rule", "rules", multiple=True, required=True, help="A regra que o retém (pode repetir)."
)
@_BY
@_REASON
@_JSON
def accept(delivery_id: int, rules: tuple[str, ...], by: str, reason: str, as_json: bool) -> None:
    """Overrule the RULEs that hold a delivery, with who and why on record, and judge it again."""
    from zanc_pipeline.reception import service

    delivery = service.accept(settings(), delivery_id, rules, by=by, reason=reason)
    conclude(delivery, as_json=as_json)


@reception.command()
@_DELIVERY
@_BY
@_REASON
@_JSON
def release(delivery_id: int, by: str, reason: str, as_json: bool) -> None:
    """Let a delivery that waits for others go on without them, with who and why on record."""
    from zanc_pipeline.reception import service

    delivery = service.release(settings(), delivery_id, by=by, reason=reason)
    conclude(delivery, as_json=as_json)


@reception.command()
@_DELIVERY
@click.argument("file", type=_FILE)
@_JSON
def resubmit(delivery_id: int, file: Path, as_json: bool) -> None:
    """Receive FILE, the corrected rejeitadas.csv of a delivery: only its lines are replaced."""
    from zanc_pipeline.reception import service

    if not file.is_file():
        raise DataError(f"{file}: o arquivo não existe")
    conclude(service.resubmit(settings(), delivery_id, file), as_json=as_json)


@reception.command()
@click.argument("file", type=_FILE)
@click.option("--convenio", required=True, help="O tratamento de qual convênio.")
@click.option(
    "--rows",
    type=click.IntRange(1, 200_000),
    default=1000,
    show_default=True,
    help="Quantas linhas provar.",
)
def treat(file: Path, convenio: str, rows: int) -> None:
    """Try the convênio's treatment on the first ROWS of FILE and show what it changes."""
    from zanc_pipeline.reception.trial import try_treatment

    _require_convenio(convenio)
    for line in try_treatment(settings(), file, convenio, rows=rows):
        click.echo(line)


@reception.command()
@click.option("--convenio", help="Só deste convênio.")
@_JSON
def deliveries(convenio: str | None, as_json: bool) -> None:
    """List what was received, the newest first."""
    from zanc_pipeline.reception import service

    if convenio is not None and convenio != service.UNKNOWN_CONVENIO:
        _require_convenio(convenio)
    found = service.list_deliveries(settings(), convenio)
    if as_json:
        click.echo(json.dumps([_record(one) for one in found], ensure_ascii=False))
        return
    for one in found:
        click.echo(_line(one))


def _require_convenio(convenio: str) -> None:
    if convenio not in settings().convenios:
        known = ", ".join(settings().convenios)
        raise UnknownConvenio(f"não há convênio '{convenio}': use um destes: {known}")


def conclude(delivery: Delivery, *, as_json: bool) -> None:
    """Print a delivery that has its verdict. Exit status 1 when it is quarantined or waits."""
    from zanc_pipeline.reception.findings import RULES

    if as_json:
        click.echo(json.dumps(_record(delivery), ensure_ascii=False))
    else:
        click.echo(_line(delivery))
        if delivery.folder:
            click.echo(f"      relatório: {settings().var / delivery.folder / 'relatorio.txt'}")
        if delivery.status == "quarantined" and delivery.rules:
            named = ", ".join(f"{rule} ({RULES[rule]})" for rule in delivery.rules)
            options = " ".join(f"--rule {rule}" for rule in delivery.rules)
            click.echo(f"      regras que o retêm: {named}")
            click.echo(
                f"      se está certo assim: zanc reception accept {delivery.id} {options} "
                "--by NOME --reason MOTIVO"
            )
    if delivery.status in {"quarantined", "held"}:
        sys.exit(1)


def _record(delivery: Delivery) -> dict[str, object]:
    return {
        name: value if value is None or isinstance(value, int | list) else str(value)
        for name, value in asdict(delivery).items()
    }


def _line(delivery: Delivery) -> str:
    from zanc_pipeline.common.days import LOCAL
    from zanc_pipeline.reception.ledger import STATUS_WORDS

    rows = ""
    if delivery.rows_total is not None:
        rows = f" · {delivery.rows_accepted} de {delivery.rows_total} linhas aceitas"
    reason = f" · {delivery.reason}" if delivery.reason else ""
    return (
        f"{delivery.id:>5} {delivery.received_at.astimezone(LOCAL):%d/%m/%Y %H:%M} "
        f"{delivery.convenio} {delivery.file_name} · {STATUS_WORDS[delivery.status]}{rows}{reason}"
    )


for _command in (proposal, approve, reject):
    reception.add_command(_command)
