"""The ``zanc`` command: one group a room, loaded when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from zanc_pipeline import __version__
from zanc_pipeline.common.errors import ZancError

_COMMANDS = {
    "up": "zanc_pipeline.stack.cli:up",
    "down": "zanc_pipeline.stack.cli:down",
    "status": "zanc_pipeline.stack.cli:status",
    "demo": "zanc_pipeline.world.cli:demo",
    "world": "zanc_pipeline.world.cli:world",
    "reception": "zanc_pipeline.reception.cli:reception",
    "crm": "zanc_pipeline.crm.cli:crm",
    "localization": "zanc_pipeline.localization.cli:localization",
    "models": "zanc_pipeline.scoring.cli:models",
    "mailing": "zanc_pipeline.mailing.cli:mailing",
    "dialer": "dialer.cli:dialer",
}


class _Rooms(click.Group):
    """Imports a room only when one of its commands is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zanc")
def cli() -> None:
    """The data platform of a debt-collection call centre, from file to headset and back."""


def main() -> None:
    """Run the command; an error of ours is one plain line on stderr and exit status 1."""
    try:
        cli(prog_name="zanc")
    except ZancError as error:
        click.echo(f"zanc: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
