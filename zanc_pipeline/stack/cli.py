"""``zanc up``, ``zanc down``, ``zanc migrate``, ``zanc status``."""

from __future__ import annotations

import json
import signal
import sys
import time

import click

from zanc_pipeline.common.settings import settings
from zanc_pipeline.stack import lifecycle


class Steps:
    """Prints each step with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        click.echo(f"[{time.monotonic() - self._began:5.0f} s] {line}", err=True)


def stop_on_sigterm() -> None:
    """Have SIGTERM end this command in order, as Ctrl-C does."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@click.command()
def up() -> None:
    """Start the local stack and wait until every part answers. Safe to run again."""
    stop_on_sigterm()
    lifecycle.up(settings(), Steps())
    _print_addresses()


@click.command()
def down() -> None:
    """Stop every process of the local stack."""
    lifecycle.down(settings(), Steps())
    click.echo("the stack is down")


@click.command()
@click.option("--sql", "as_sql", is_flag=True, help="Execute nothing: print the SQL, for psql.")
def migrate(as_sql: bool) -> None:
    """Bring the schemas of our databases to this version. 'zanc up' does it by itself."""
    from zanc_pipeline.common import migrations

    if as_sql:
        click.echo(migrations.script(settings()), nl=False)
        return
    for line in migrations.migrate(settings()) or ["every schema is at this version already"]:
        click.echo(line)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def status(as_json: bool) -> None:
    """Show each part of the local stack; exit status 1 unless all of them answer."""
    rows = lifecycle.status(settings())
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            sign = "ok" if row["healthy"] else "--"
            ports = ", ".join(str(port) for port in row["ports"]) if row["ports"] else ""  # type: ignore[attr-defined]
            click.echo(f"{sign}  {row['title']!s:28} {row['state']!s:9} {ports:7} {row['log']}")
    sys.exit(0 if all(row["healthy"] for row in rows) else 1)


def _print_addresses() -> None:
    stack = settings()
    click.echo(
        f"Airflow  {stack.web_url(stack.airflow)}  user {stack.airflow.username}  "
        f"password {stack.airflow.password}"
    )
    click.echo(
        f"MLflow   {stack.mlflow_page()}  user {stack.mlflow.username}  "
        f"password {stack.mlflow.password}"
    )
