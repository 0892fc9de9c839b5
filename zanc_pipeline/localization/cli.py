"""``zanc localization``: the base of calls and phones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zanc_pipeline.common.settings import settings

if TYPE_CHECKING:
    from zanc_pipeline.localization.rebuild import Verification

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


@click.group()
def localization() -> None:
    """Every call of every CRM to every phone, and who answers where."""


@localization.command()
def serve() -> None:
    """Serve the HTTP API until stopped; what is being answered is finished first."""
    from zanc_pipeline.localization.server import serve as run

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
        click.echo(json.dumps([phone.as_json() for phone in ranked], ensure_ascii=False))
        return
    for phone in ranked:
        click.echo(f"{phone.rank:>3}  {phone.phone:<11}  {phone.score:.2f}")
        for line in phone.evidence:
            click.echo(f"     {line}")
    if not ranked:
        click.echo("nenhum telefone conhecido")


@localization.command("dial-check")
@click.argument("cpf")
@click.argument("phones", nargs=-1, required=True)
@_JSON
@click.pass_context
def dial_check(context: click.Context, cpf: str, phones: tuple[str, ...], as_json: bool) -> None:
    """Say for each of PHONES whether the person CPF may be called there now; reserves nothing.

    Exit status 1 when none of them may be dialled.
    """
    from zanc_pipeline.localization import base
    from zanc_pipeline.localization.calls import valid_cpf, valid_phone

    numbers = [valid_phone(phone) for phone in phones]
    verdicts = base.dial_check(settings(), valid_cpf(cpf), numbers)
    if as_json:
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], ensure_ascii=False))
    else:
        for verdict in verdicts:
            may = "pode discar" if verdict.dial else "não discar"
            click.echo(f"{verdict.phone:<11}  {may}  {verdict.texto or ''}".rstrip())
    if not any(verdict.dial for verdict in verdicts):
        context.exit(1)


@localization.command()
@click.argument("phone")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@_JSON
def calls(phone: str, limit: int, as_json: bool) -> None:
    """List the latest calls to PHONE, archived months included; CPFs are masked."""
    from zanc_pipeline.common.masking import mask
    from zanc_pipeline.localization.archive import calls_of_phone
    from zanc_pipeline.localization.calls import valid_phone

    found = calls_of_phone(settings(), valid_phone(phone), limit=limit)
    if as_json:
        click.echo(json.dumps([{**call, "cpf": mask(call["cpf"])} for call in found], default=_iso))
        return
    for call in found:
        click.echo(
            f"{call['started_at']:%d/%m/%Y %H:%M}  {call['crm']:<10} {mask(call['cpf'])}  "
            f"{call['outcome']:<15} {call['tabulation'] or '':<15} {call['talk_seconds']:.0f} s"
        )
    if not found:
        click.echo("nenhuma chamada conhecida")


@localization.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(file: Path, as_json: bool) -> None:
    """Load the calls in FILE (CSV or Parquet, columns of localization.call); repeatable."""
    from zanc_pipeline.localization import base

    with _bar("checking", "calls", disable=as_json) as bar:
        counts = base.load_file(
            settings(), file, started=lambda rows: bar.expect("loading", rows), progress=bar.advance
        )
    if as_json:
        click.echo(json.dumps(asdict(counts)))
    else:
        click.echo(
            f"{counts.rows} calls: {counts.accepted} accepted, {counts.duplicates} known already"
        )


@localization.command()
@_JSON
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Make every summary again from the log and compare; exit status 1 when one differs."""
    from zanc_pipeline.localization import rebuild as summaries

    with _bar("reading", "calls", disable=as_json) as bar:
        result = summaries.verify(settings(), progress=bar.advance)
    _tell(result, as_json)
    if not result.right:
        context.exit(1)


@localization.command()
@_JSON
def rebuild(as_json: bool) -> None:
    """Make every summary again from the log and replace those that differ."""
    from zanc_pipeline.localization import rebuild as summaries

    with _bar("reading", "calls", disable=as_json) as bar:
        result = summaries.rebuild(settings(), progress=bar.advance)
    _tell(result, as_json)


@localization.command()
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Months that end before the month of this day.",
)
@_JSON
def archive(before: datetime, as_json: bool) -> None:
    """Move old months of the log to Parquet under var/archive; each is verified before its drop."""
    from zanc_pipeline.localization.archive import archive_before

    for month in archive_before(settings(), before.date()):
        if as_json:
            click.echo(json.dumps({"month": f"{month.month:%Y-%m}", "calls": month.calls}))
        else:
            click.echo(f"{month.month:%Y-%m}: {month.calls} calls in {month.path or 'no file'}")


@localization.command()
@click.argument("cpf")
@_JSON
def audit(cpf: str, as_json: bool) -> None:
    """List who asked the service about the person CPF, latest first."""
    from zanc_pipeline.localization.audit import asked_about
    from zanc_pipeline.localization.calls import valid_cpf

    found = asked_about(settings(), valid_cpf(cpf))
    if as_json:
        click.echo(json.dumps(found, default=_iso))
        return
    for row in found:
        click.echo(f"{row['at']:%Y-%m-%d %H:%M:%S%z}  {row['crm']:<10} {row['action']}")


@localization.group()
def token() -> None:
    """The tokens with which CRMs use the service."""


@token.command("create")
@click.argument("crm")
@click.option(
    "--may",
    type=click.Choice(["calls", "phones", "dial"]),
    multiple=True,
    help="Allow only this; may be repeated. Everything by default.",
)
@click.option("--days", type=click.IntRange(1), help="Valid for so many days; for good by default.")
def create_token(crm: str, may: tuple[str, ...], days: int | None) -> None:
    """Print a new token of CRM: it is shown this once and kept as a hash only."""
    from zanc_pipeline.localization import tokens

    click.echo(tokens.create(settings(), crm, may=may or tokens.PERMISSIONS, days=days))


@token.command("list")
@_JSON
def list_tokens(as_json: bool) -> None:
    """List the tokens that were given out, by the first characters of their hashes."""
    from zanc_pipeline.localization import tokens

    found = tokens.listing(settings())
    if as_json:
        click.echo(json.dumps(found, default=_iso))
        return
    for one in found:
        state = "revoked" if one["revoked_at"] else f"until {one['expires_at'] or 'revoked'}"
        click.echo(f"{one['name']}  {one['crm']:<10} {','.join(one['may']):<18} {state}")


@token.command("revoke")
@click.argument("name")
def revoke_token(name: str) -> None:
    """End the token NAME (see list), or the stack's own token of a CRM, by the CRM's name."""
    from zanc_pipeline.localization import tokens

    tokens.revoke(settings(), name)


def _tell(result: Verification, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**asdict(result), "right": result.right}))
        return
    click.echo(
        f"{result.calls} calls, {result.pairs} person-phone pairs, {result.phones} phones: "
        f"{result.differing} summaries differ from the log"
    )
    if result.calls != result.keys:
        click.echo(f"{result.keys} identities of calls are kept, {result.calls} are expected")
    for text in result.examples:
        click.echo(f"  {text}")


class _Bar:
    """A progress bar on stderr whose total may become known later."""

    def __init__(self, expect: Callable[[str, int], None], advance: Callable[[int], None]) -> None:
        self.expect, self.advance = expect, advance


@contextmanager
def _bar(what: str, noun: str, *, disable: bool) -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn(f"{{task.description}} {noun}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, transient=True, disable=disable, console=Console(stderr=True)
    ) as progress:
        task = progress.add_task(what, total=None)
        yield _Bar(
            lambda now, total: progress.update(task, description=now, total=total),
            lambda rows: progress.advance(task, rows),
        )


def _iso(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
