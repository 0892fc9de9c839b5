"""The ``zanc`` command: one group a room, loaded when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click

from zanc_pipeline import __version__
from zanc_pipeline.common.errors import ZancError

_COMMANDS = {
    "up": "zanc_pipeline.stack.cli:up",
    "down": "zanc_pipeline.stack.cli:down",
    "migrate": "zanc_pipeline.stack.cli:migrate",
    "status": "zanc_pipeline.stack.cli:status",
    "demo": "zanc_pipeline.world.cli:demo",
    "world": "zanc_pipeline.world.cli:world",
    "reception": "zanc_pipeline.reception.cli:reception",
    "crm": "zanc_pipeline.crm.cli:crm",
    "localization": "zanc_pipeline.localization.cli:localization",
    "models": "zanc_pipeline.scoring.cli:models",
    "mailing": "zanc_pipeline.mailing.cli:mailing",
    "dialer": "dialer.cli:dialer",
    "avisos": "zanc_pipeline.common.notices_cli:avisos",
    "curso": "zanc_pipeline.course.cli:curso",
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
    """Run the command; an error is one plain line on stderr, exit status 1, or 2 for bad usage."""
    try:
        status = cli.main(prog_name="zanc", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_page:
        help_page.show()
        sys.exit(help_page.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "zanc"
        _fail(f"{where}: {error.format_message()}", error.exit_code)
    except click.Abort:
        _fail("zanc: interrupted", 130)
    except ZancError as error:
        _fail(f"zanc: {error}", 1)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        # A file, folder or disk that the machine refuses; what does not answer is a ZancError.
        named = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"zanc: {named}{error.strerror or error}", 1)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _fail(line: str, status: int) -> NoReturn:
    click.echo(" ".join(line.split()), err=True)
    sys.exit(status)
