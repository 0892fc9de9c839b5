"""``zanc world``: the simulated debtors, creditors, telephone network and operators of the demo."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from zanc_pipeline.common.logging import configure_logging
from zanc_pipeline.common.settings import settings


@click.group()
def world() -> None:
    """The simulated world of the demo: nobody in it exists."""


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


def _note(line: str) -> None:
    click.echo(line, err=True)


@world.command()
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Reference date of day 1; today unless it is given.",
)
@click.option("--force", is_flag=True, help="Replace the world that is there.")
@_as_json
def generate(day: datetime | None, force: bool, as_json: bool) -> None:
    """Make the people, their past and the files of day 1; nothing when they are there."""
    from zanc_pipeline.world import generation

    state = generation.generate(
        settings(), day=day.date() if day else None, force=force, progress=_note
    )
    _show(state, as_json)


@world.command("next-day")
@_as_json
def next_day(as_json: bool) -> None:
    """Advance a day: some pay, some are new, some amounts change; the files go to the outbox."""
    from zanc_pipeline.world import generation

    _show(generation.next_day(settings(), progress=_note), as_json)


def _show(state: object, as_json: bool) -> None:
    from zanc_pipeline.world.generation import State

    assert isinstance(state, State)
    if as_json:
        click.echo(json.dumps(asdict(state)))
        return
    click.echo(
        f"day {state.day} ({state.reference_date}): {state.people:,} people, {state.phones:,} "
        f"phones, {state.open_contracts:,} open contracts; past: {state.calls:,} calls "
        f"({state.answer_rate:.1%} answered, the law's AUC {state.answer_auc:.3f}), "
        f"{state.snapshots:,} contracts followed ({state.payment_rate:.1%} paid, "
        f"AUC {state.payment_auc:.3f})"
    )


@world.command()
@click.option("--with-faults", is_flag=True, help="Also send files that must be quarantined.")
@click.option(
    "--slow",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Write each file in parts under its final name during so long.",
)
@_as_json
def upload(with_faults: bool, slow: float | None, as_json: bool) -> None:
    """Send by FTP every file of the outbox, each to its convênio's folder."""
    from zanc_pipeline.world import upload as ftp

    sent = ftp.upload(settings(), with_faults=with_faults, slow_seconds=slow or 0.0)
    if as_json:
        click.echo(json.dumps([asdict(item) for item in sent]))
        return
    for item in sent:
        fault = f"  (fault: {item.fault})" if item.fault else ""
        click.echo(f"{item.folder}/{item.name}  {item.size:,} bytes{fault}")


@world.command()
@_as_json
def files(as_json: bool) -> None:
    """List every file made so far with the good and bad rows in it."""
    from zanc_pipeline.world import outbox

    made = outbox.files_of(settings())
    if as_json:
        click.echo(json.dumps(made))
        return
    for item in made:
        fault = f"  (fault: {item['fault']})" if item["fault"] else ""
        click.echo(
            f"day {item['day']}  {item['convenio']}/{item['name']}  {item['rows_good']:,} good, "
            f"{item['rows_bad']:,} bad rows{fault}"
        )


@world.command()
def carrier() -> None:
    """Serve the simulated telephone network's decisions to its Asterisk (FastAGI)."""
    from zanc_pipeline.world.carrier import serve
    from zanc_pipeline.world.carrier_law import JOURNAL, carrier_law
    from zanc_pipeline.world.truth import world_folder

    configure_logging()
    ours = settings()
    decide = carrier_law(ours).decide
    journal = world_folder(ours) / JOURNAL

    async def run() -> None:
        # On loopback, like the Asterisk that asks.
        served = asyncio.ensure_future(serve(decide, port=ours.world.agi_port, journal=journal))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, served.cancel)
        try:
            await served
        except asyncio.CancelledError:
            return

    asyncio.run(run())


@world.command()
@click.option(
    "--output",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to make.",
)
@click.option("--each", default=800, show_default=True, help="Of people, and of machines.")
def answers(folder: Path, each: int) -> None:
    """Speak recordings of answered calls: in train/, and a quarter as many in held/.

    The voices, words and noises of held/ are in no recording of train/.
    """
    from zanc_pipeline.world import answers as spoken
    from zanc_pipeline.world import speech

    espeak = speech.install(settings().var / "cache" / "espeak", _note)
    train = spoken.write(folder / "train", spoken.recordings("train", espeak, each=each))
    held = spoken.write(folder / "held", spoken.recordings("held", espeak, each=max(1, each // 4)))
    click.echo(f"{folder}: {train} recordings to learn from, {held} to measure by")


@world.command("answer-imports")
def answer_imports() -> None:
    """Be the CRM that takes import files: take those that wait and write its return files."""
    from zanc_pipeline.world import import_crm

    for delivery, refused in import_crm.answer_imports(settings()).items():
        click.echo(f"delivery {delivery}: answered, {refused} clients refused")


@world.command()
def operators() -> None:
    """Sit the simulated operators at the dialer until SIGTERM."""
    from zanc_pipeline.world.operators import serve

    configure_logging()
    asyncio.run(serve(settings()))
