"""``zanc demo`` and ``zanc world``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from zanc_pipeline.common.settings import settings
from zanc_pipeline.world.commands import world

__all__ = ["demo", "world"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the report as JSON to this file.",
)
def demo(as_json: bool, output: Path | None) -> None:
    """Run the whole line on real parts with simulated people, and report on it.

    Exit status 1 when a DAG run failed or a count does not reconcile. The stack stays up.
    """
    from zanc_pipeline.stack.cli import Steps, stop_on_sigterm
    from zanc_pipeline.world import report
    from zanc_pipeline.world.demo import run

    stop_on_sigterm()
    facts = run(settings(), Steps())
    if output:
        output.touch(mode=0o600)
        output.chmod(0o600)  # the report holds passwords
        output.write_text(json.dumps(facts, indent=2, default=str), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(facts, indent=2, default=str))
    else:
        report.show(facts)
    sys.exit(1 if facts["problems"] else 0)
