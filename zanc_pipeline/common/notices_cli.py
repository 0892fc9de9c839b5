"""``zanc avisos``: do the notices of ``config/avisos.yaml`` arrive?"""

from __future__ import annotations

import click

from zanc_pipeline.common import notices
from zanc_pipeline.common.settings import settings


@click.group()
def avisos() -> None:
    """Notices to people, by e-mail and webhook (config/avisos.yaml)."""


@avisos.command()
def testar() -> None:
    """Send a test message by every way that is set up."""
    for way in notices.send_test(settings()):
        click.echo(f"{way}: mensagem de teste entregue ao servidor")
