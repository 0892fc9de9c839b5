"""``zanc dialer operator``: the accounts of who uses the desk and the wall."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import settings

_ROLES = ("operator", "negotiator", "supervisor")

_typed = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@click.group()
def operator() -> None:
    """Accounts of operators and supervisors, who log in at the dialer's own pages."""


@operator.command()
@click.argument("login")
@click.option("--name", help="As people see it; the login unless it is given.")
@click.option("--phone", help="The SIP endpoint of the PBX: op01, op02, … Operators need one.")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="operator",
    show_default=True,
    help="An operator sees CPFs and phones masked, a negotiator in full.",
)
@_typed
def add(login: str, name: str | None, phone: str | None, role: str, password_stdin: bool) -> None:
    """Add an account; its generated password is printed once, on standard output."""
    from dialer.web import accounts

    password = _password(password_stdin)
    added = accounts.add(
        settings(),
        login,
        name=name or login,
        role=accounts.Role(role),
        phone=phone,
        password=password,
    )
    if not added:
        click.echo(f"{login} is there already; its password stays", err=True)
    elif not password_stdin:
        click.echo(password)


@operator.command("password")
@click.argument("login")
@_typed
def new_password(login: str, password_stdin: bool) -> None:
    """Give an account a new password, end its sessions and enable it again."""
    from dialer.web import accounts

    new = _password(password_stdin)
    accounts.set_password(settings(), login, new)
    if not password_stdin:
        click.echo(new)


@operator.command()
@click.argument("login")
def disable(login: str) -> None:
    """Nobody can use this account any more; its sessions end at once."""
    from dialer.web import accounts

    accounts.disable(settings(), login)


@operator.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")
def list_accounts(as_json: bool) -> None:
    """List all accounts."""
    from dialer.web import accounts

    found = accounts.listing(settings())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, ensure_ascii=False))
        return
    for one in found:
        state = " disabled" if one.disabled_at else ""
        click.echo(f"{one.login:20} {one.role:10} {one.phone or '-':6} {one.name}{state}")


def _password(typed: bool) -> str:
    from dialer.web.passwords import generated

    if not typed:
        return generated()
    lines = sys.stdin.read().splitlines()
    if len(lines) != 1:
        raise DataError("write the password on standard input, in one line")
    return lines[0]
