"""``zanc dialer``: the service, a campaign from the command line, its report, a simulation."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx

from dialer.web.commands import operator
from zanc_pipeline.common.errors import (
    ConfigError,
    ConflictError,
    DataError,
    UnavailableError,
    ZancError,
)
from zanc_pipeline.common.settings import Settings, settings

MOST_REASONS = 12
"""Of why leads ended, in a report; all of them are in the JSON."""
PAGE = 500
"""Attempts asked of the service at once."""


@click.group()
def dialer() -> None:
    """Place the calls of campaigns and hand the people who answer to operators."""


@dialer.command()
def serve() -> None:
    """Run the dialer's service until it is told to stop."""
    import asyncio

    import uvloop

    from dialer import service
    from zanc_pipeline.common.logging import configure_logging

    configure_logging()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request otherwise
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service.serve(settings()))


@dialer.command()
@click.option(
    "--campaign", required=True, help="A name of config/campaigns/, such as cobranca_geral."
)
@click.option("--json", "as_json", is_flag=True, help="Print the final figures as JSON.")
def run(campaign: str, as_json: bool) -> None:
    """Run the campaign's latest mailing and follow it until it ends.

    Interrupting this command does not stop the campaign; the same command follows it again.
    """
    client = _Client(settings())
    section = _dialling_section(settings(), campaign)
    mailing = _latest_mailing(settings(), campaign)
    body = {
        "name": campaign,
        "settings": section,
        "mailing": mailing["path"],
        "sha256": mailing["sha256"],
    }
    client.call("PUT", f"/v1/campaigns/{mailing['id']}", json=body)
    figures = _follow(client, mailing["id"], quiet=as_json)
    _print(figures, as_json)
    if figures["status"] != "finished":
        raise ZancError(f"campaign {mailing['id']} {figures['status']}: {figures['reason']}")


@dialer.command()
@click.option("--campaign", required=True, help="A campaign's name (its latest run) or id.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def report(campaign: str, as_json: bool) -> None:
    """Print the figures of a campaign: leads, attempts, occupancy, abandoned share."""
    client = _Client(settings())
    _print(client.call("GET", f"/v1/campaigns/{client.runs(campaign)[-1]}"), as_json)


@dialer.command()
@click.option("--campaign", required=True, help="A campaign's name (all its runs) or id.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="The CSV file to write."
)
def audit(campaign: str, output: Path) -> None:
    """Write why each attempt was allowed: the rules asked right before dialling, their figures."""
    from dialer import audit_export

    client = _Client(settings())
    matching = client.runs(campaign)
    count = audit_export.write(
        output, (attempt for one in matching for attempt in client.evidence(one))
    )
    click.echo(f"{output}: {count} attempts of {len(matching)} runs")


@dialer.command()
@click.option("--campaign", help="A campaign's name (all its runs) or id; all of them by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def reconcile(campaign: str | None, as_json: bool) -> None:
    """Hold the attempts against the call records of the PBXs; exit status 1 if they differ.

    Without a campaign it also looks for calls at the PBXs that are no attempt of ours.
    """
    from dataclasses import asdict

    from dialer.comparing import compare_all

    found = compare_all(settings(), campaign)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        for one in found.differences:
            click.echo(f"{one.pbx} {one.attempt} {one.what}: {one.ours} here, {one.theirs} there")
        click.echo(
            f"{found.attempts} attempts held against {found.records} call records of the PBXs:"
            f" {len(found.differences)} differences"
        )
        if found.known_later:
            click.echo(f"  {found.known_later} that ended unknown to us have a record")
        if found.left_out:
            click.echo(f"  {found.left_out} are older than call records are kept: left out")
    if found.differences:
        raise ZancError(f"{len(found.differences)} attempts differ from the call records")


@dialer.command()
@click.argument("central")
@click.option("--end", is_flag=True, help="Use it for calls again.")
def drain(central: str, end: bool) -> None:
    """Empty the PBX CENTRAL before work on it: no new calls, those it has end by themselves.

    It stays so, over restarts too, until the same command is given with --end.
    """
    order = "use" if end else "drain"
    headers = {"X-Zanc-User": os.environ.get("USER", "console")}
    told = _Client(settings()).call(
        "POST", f"/v1/pbxs/{quote(central, safe='')}/{order}", headers=headers
    )
    in_use = f"{told['lines']} of {told['capacity']} lines in use"
    if not told["drained"]:
        click.echo(f"{told['name']} gets calls again: {in_use}")
    elif told["lines"]:
        click.echo(f"{told['name']} gets no new calls and is not empty yet: {in_use}")
    else:
        click.echo(f"{told['name']} gets no new calls and is empty")


@dialer.command()
def clean() -> None:
    """Remove recordings and call records that are older than config/regras.yaml keeps them.

    The service does it every hour by itself.
    """
    from datetime import UTC, datetime

    from dialer import recordings
    from dialer.policy import load_policy
    from zanc_pipeline.common.database import transaction

    kept, now = load_policy(settings().config).guarda, datetime.now(UTC)
    for name, central in settings().used_centrais.items():
        if not central.embedded:
            click.echo(f"{name}: its files are not in reach; they are cleaned where it runs")
            continue
        done = recordings.clean(settings().var / "asterisk" / name / "log", kept, now)
        ids = [recording.removesuffix(".wav") for recording in done.recordings]
        with transaction(settings(), "dialer") as cursor:
            cursor.execute("UPDATE attempt SET recording = NULL WHERE id = ANY (%s)", (ids,))
        click.echo(
            f"{name}: {len(done.recordings)} recordings and {done.removed} files of records"
            f" removed, {done.set_aside} put aside"
        )


@dialer.command("alo-table")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="The Parquet to write."
)
def alo_table(folders: tuple[Path, ...], output: Path) -> None:
    """Turn recordings (FOLDER/human/*.wav, FOLDER/machine/*.wav) into models/alo's table.

    The last fifth of the recordings, in the order of the FOLDERs, judges the model.
    """
    import pyarrow.parquet as pq

    from dialer.alo.table import table

    made = table(folders)
    pq.write_table(made, output)
    click.echo(f"{output}: {made.num_rows} rows")


@dialer.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def simulate(scenario: Path, as_json: bool) -> None:
    """Simulate a shift described in a YAML file, to choose settings before a campaign.

    Its keys: operators, answer (a share, or [hour, share] points), ring, talk, wrapup (a mean in
    seconds, or a law), hours, wait, patience, machine, leaving, mode (progressive, power,
    predictive), max_abandon, lines_per_agent, seed.
    """
    from dialer.scenario import read_scenario
    from dialer.simulator import simulate as run_shift

    result = run_shift(read_scenario(scenario))
    content = {
        "calls": result.calls,
        "answered": result.answered,
        "abandoned": result.abandoned,
        "abandoned_share": round(result.abandoned_share, 5),
        "worst_hour_abandoned_share": round(result.worst_hour(), 5),
        "occupancy": round(result.occupancy, 5),
        "why": result.why,
    }
    if as_json:
        click.echo(json.dumps(content))
        return
    click.echo(
        f"{result.calls} calls, {result.answered} people answered,"
        f" {result.abandoned_share:.1%} of them abandoned (worst hour {result.worst_hour():.1%}),"
        f" operators busy {result.occupancy:.1%} of the time"
    )
    click.echo(f"at the end: {result.why}")


@dialer.command()
@click.option("--campaign", required=True, help="A campaign's name (its latest run) or id.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def replay(campaign: str, as_json: bool) -> None:
    """Simulate in every mode a campaign that was dialled, with its own times and answer rate.

    The simulated shift never runs out of people, so operators are busier in it than they were.
    """
    from dataclasses import asdict

    from dialer.pacing import MODES
    from dialer.replay import expected, scenario_of

    scenario = scenario_of(settings(), campaign)
    results = [expected(scenario, mode) for mode in MODES]
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results]))
        return
    click.echo(
        f"{scenario.operators} operators for {scenario.hours:.1f} h,"
        f" {scenario.answer[0][1]:.1%} of the lines answered by people, dialled {scenario.mode};"
        " the same in each mode, simulated:"
    )
    for result in results:
        click.echo(
            f"  {result.mode:12} operators busy {result.occupancy:.1%} of the time,"
            f" {result.abandoned_share:.1%} of those who answered abandoned"
        )


dialer.add_command(operator)


class _Client:
    """The dialer's service, with its own token."""

    def __init__(self, settings: Settings) -> None:
        self._address = settings.web_url(settings.dialer)
        self._http = httpx.Client(
            base_url=self._address,
            timeout=30,
            trust_env=False,
            headers={"Authorization": f"Bearer {settings.secret('dialer_token')}"},
        )

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The JSON answer; errors of the service as errors of ours."""
        try:
            response = self._http.request(method, path, **options)
        except httpx.ConnectError:
            reason = "nobody listens there; 'zanc up' or 'zanc dialer serve' starts it"
            raise UnavailableError("dialer", self._address, reason) from None
        except httpx.HTTPError as error:
            raise UnavailableError("dialer", self._address, str(error)) from None
        content: dict[str, Any] = {}
        if response.headers.get("Content-Type", "").startswith("application/json"):
            content = response.json()
        if response.is_success:
            return content
        problem = content.get("error", f"HTTP {response.status_code}")
        if response.status_code == 503:
            raise UnavailableError("dialer", self._address, problem)
        kind = ConflictError if response.status_code == 409 else DataError
        raise kind(f"dialer: {problem}")

    def runs(self, campaign: str) -> list[str]:
        """The ids of the runs of a campaign's name, oldest first, or the id that it is itself."""
        known = self.call("GET", "/v1/campaigns")["campaigns"]
        matching = [one["id"] for one in known if campaign in (one["id"], one["name"])]
        if not matching:
            names = ", ".join(sorted({one["name"] for one in known})) or "none"
            raise DataError(f"the dialer has no campaign {campaign}; there are: {names}")
        return matching

    def evidence(self, campaign_id: str) -> Iterator[dict[str, Any]]:
        """Every attempt of a campaign with its evidence, by pages."""
        params: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self.call("GET", f"/v1/campaigns/{campaign_id}/evidence", params=params)
            yield from page["attempts"]
            if len(page["attempts"]) < PAGE:
                return
            params["after"] = page["attempts"][-1]["id"]


def _dialling_section(settings: Settings, campaign: str) -> dict[str, Any]:
    from dialer.settings import parse_campaign

    definition = settings.campaigns.get(campaign)
    if definition is None:
        names = ", ".join(settings.campaigns) or "none"
        raise ConfigError(f"config/campaigns/{campaign}.yaml does not exist; there are: {names}")
    section = definition.get("discador")
    parse_campaign(section, f"config/campaigns/{campaign}.yaml")
    return dict(section or {})


def _latest_mailing(settings: Settings, campaign: str) -> dict[str, Any]:
    from zanc_pipeline.common.database import transaction

    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT to_regclass('mailing.mailing') IS NOT NULL AS there")
        there = cursor.fetchone()
        if there is not None and there["there"]:
            cursor.execute(
                "SELECT id, path, sha256 FROM mailing.mailing WHERE campaign = %s "
                "ORDER BY day DESC, built_at DESC LIMIT 1",
                (campaign,),
            )
            found = cursor.fetchone()
            if found is not None:
                return dict(found)
    raise DataError(
        f"campaign {campaign} has no mailing: run 'zanc mailing build --campaign {campaign}'"
    )


def _follow(client: _Client, campaign_id: str, *, quiet: bool) -> dict[str, Any]:
    from rich.console import Console

    away = 0
    with Console(stderr=True, quiet=quiet).status(campaign_id) as line:
        while True:
            try:
                figures = client.call("GET", f"/v1/campaigns/{campaign_id}")
                away = 0
            except UnavailableError:
                away += 1
                if away > 60:
                    raise
                line.update(f"{campaign_id}: the dialer does not answer, waiting")
                time.sleep(1)
                continue
            if figures["status"] in ("finished", "failed"):
                return figures
            leads, attempts = figures["leads"], figures["attempts"]
            line.update(
                f"{campaign_id}: {leads['ended']}/{sum(leads.values())} leads, "
                f"{sum(attempts.values())} attempts, {attempts.get('human', 0)} conversations"
                + (f" ({figures['why']})" if figures["why"] else "")
            )
            time.sleep(1)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures, ensure_ascii=False))
        return

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"

    def number(value: float | None, pattern: str) -> str:
        return "-" if value is None else pattern.format(value)

    state = figures["status"] + (f" ({figures['reason']})" if figures["reason"] else "")
    click.echo(f"{figures['id']}: {state}")
    click.echo(f"  leads         {listed(figures['leads'])}")
    for why, count in list(figures["ended_because"].items())[:MOST_REASONS]:
        click.echo(f"    {count:7} ended: {why}")
    click.echo(f"  attempts      {listed(figures['attempts'])}")
    click.echo(f"  tabulations   {listed(figures['tabulations'])}")
    click.echo(f"  occupancy     {number(figures['occupancy'], '{:.1%}')}")
    click.echo(f"  abandoned     {figures['abandoned_share']:.1%} of the people who answered")
    click.echo(f"  mode          {figures['mode']}")
    click.echo(f"  mean wait     {number(figures['mean_wait_seconds'], '{:.2f} s')}")
    click.echo(f"  mean talk     {number(figures['mean_talk_seconds'], '{:.1f} s')}")
    if figures["why"]:
        click.echo(f"  last decision {figures['why']}")
