"""What the demo shows at its end, and the checks that every count reconciles."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from dialer import replay
from dialer.settings import parse_campaign
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.masking import mask
from zanc_pipeline.common.outcomes import PERSON_ANSWERED
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.drift.put_aside import REMEDY
from zanc_pipeline.stack import asterisk, parts
from zanc_pipeline.world import desk, outbox
from zanc_pipeline.world.airflow_api import AirflowApi

_MOST_REJECTIONS = 6
_ASIDE_SHARE = 0.005
"""Good rows that may be put aside because they look odd: they wait for a person's word."""


def gather(
    settings: Settings, airflow: AirflowApi, *, began: datetime, uploaded: datetime, mailing: str
) -> dict[str, Any]:
    """Collect every figure from the parts themselves; ``problems`` lists what does not add up."""
    facts: dict[str, Any] = {
        "began": began,
        "seconds": round((datetime.now(UTC) - began).total_seconds()),
        "deliveries": _deliveries(settings, began),
        "not_loaded": _not_loaded(settings),
        "crms": _crms(settings),
        "localization": _localization(settings),
        "models": _models(settings),
        "mailing": _mailing(settings, mailing),
        "campaign": campaign_figures(settings, mailing),
        "forecast": forecast_of(settings, mailing),
        "lines": _lines(settings),
        "runs": _runs(airflow, began),
        "addresses": _addresses(settings),
    }
    first_ring = (facts["campaign"] or {}).get("first_ring_at")
    # A demo that goes on with the day of an interrupted one may find its calls begun.
    facts["seconds_to_first_ring"] = (
        round((first_ring - uploaded).total_seconds())
        if first_ring and first_ring >= uploaded
        else None
    )
    facts["problems"] = problems(facts)
    return facts


def problems(facts: dict[str, Any]) -> list[str]:
    """Every failed run and every pair of counts that should agree and does not."""
    found = [
        f"DAG run {run['dag']} {run['run']} ended as {run['state']}"
        for run in facts["runs"]
        if run["state"] != "success"
    ]
    for row in facts["deliveries"]:
        found += _delivery_problems(row)
    found += [f"{name}: its creditor sent it and it is not loaded" for name in facts["not_loaded"]]
    for crm, counts in facts["crms"].items():
        if counts["rows"] != counts["expected"]:
            found.append(f"CRM {crm} holds {counts['rows']} rows, {counts['expected']} were loaded")
    base = facts["localization"]
    if base["calls_from_dialer"] != base["attempts_to_export"]:
        found.append(
            f"localization holds {base['calls_from_dialer']} of the dialer's "
            f"{base['attempts_to_export']} calls"
        )
    found += facts["lines"]["differences"]
    campaign = facts["campaign"]
    if campaign is None:
        found.append("the dialer does not know the campaign")
    elif campaign["status"] != "finished" or campaign["leads_ended"] != campaign["leads"]:
        found.append(
            f"campaign {campaign['status']}: {campaign['leads_ended']} of {campaign['leads']} ended"
        )
    for step in facts["mailing"]["unbalanced"]:
        found.append(f"mailing: {step}")
    return found


def campaign_figures(settings: Settings, campaign: str) -> dict[str, Any] | None:
    """The campaign as the dialer's database holds it, or None before it was submitted."""
    with transaction(settings, "dialer") as cursor:
        cursor.execute(
            "SELECT status, why, settings || changes AS section FROM campaign WHERE id = %s",
            (campaign,),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        figures: dict[str, Any] = {
            "id": campaign,
            "status": row["status"],
            "mode": row["section"]["modo"],
            "limit": parse_campaign(row["section"], campaign).abandono_maximo,
            "why": row["why"],
        }
        cursor.execute(
            "SELECT count(*) AS leads, count(*) FILTER (WHERE status = 'ended') AS leads_ended"
            " FROM lead WHERE campaign_id = %s",
            (campaign,),
        )
        figures |= cursor.fetchone()
        cursor.execute(
            "SELECT count(*) FILTER (WHERE state <> 'ended') AS live,"
            " count(*) FILTER (WHERE placed) AS attempts,"
            " count(*) FILTER (WHERE outcome = ANY(%s)) AS humans,"
            " count(*) FILTER (WHERE connected_at IS NOT NULL) AS connected,"
            " count(*) FILTER (WHERE outcome = 'abandoned') AS abandoned,"
            " avg(extract(epoch FROM connected_at - detected_at)) AS mean_wait_seconds,"
            " avg(extract(epoch FROM ended_at - connected_at)) AS mean_talk_seconds,"
            " min(ringing_at) AS first_ring_at, min(created_at) AS first_call_at,"
            " max(ended_at) AS last_call_at"
            " FROM attempt WHERE campaign_id = %s",
            (sorted(PERSON_ANSWERED), campaign),
        )
        figures |= cursor.fetchone()
        cursor.execute(
            "SELECT outcome, count(*) AS n FROM attempt WHERE campaign_id = %s AND placed"
            " AND outcome IS NOT NULL GROUP BY outcome ORDER BY n DESC",
            (campaign,),
        )
        figures["outcomes"] = {row["outcome"]: row["n"] for row in cursor.fetchall()}
        cursor.execute(
            "SELECT tabulation, count(*) AS n FROM attempt WHERE campaign_id = %s"
            " AND tabulation IS NOT NULL GROUP BY tabulation ORDER BY n DESC",
            (campaign,),
        )
        figures["tabulations"] = {row["tabulation"]: row["n"] for row in cursor.fetchall()}
        cursor.execute(
            "SELECT state, sum(extract(epoch FROM ended_at - started_at)) AS seconds"
            " FROM operator_time WHERE campaign_id = %s GROUP BY state",
            (campaign,),
        )
        seconds = {row["state"]: float(row["seconds"]) for row in cursor.fetchall()}
    worked = seconds.get("talking", 0.0) + seconds.get("wrapup", 0.0)
    total = worked + seconds.get("idle", 0.0) + seconds.get("reserved", 0.0)
    figures["occupancy"] = worked / total if total else None
    figures["abandoned_share"] = (
        figures["abandoned"] / figures["humans"] if figures["humans"] else None
    )
    return figures


def forecast_of(settings: Settings, campaign: str) -> replay.Expected | None:
    """What the simulator makes of the campaign's own times; None when it had too few calls."""
    try:
        return replay.expected(replay.scenario_of(settings, campaign))
    except DataError:
        return None


def _delivery_problems(row: dict[str, Any]) -> list[str]:
    """What became of one file against what the world knows of it (``sent``, None if not ours)."""
    name, sent = row["file_name"], row["sent"]
    found = []
    if row["status"] == "loaded":
        counted = (row["rows_accepted"] or 0) + (row["rows_rejected"] or 0)
        if counted != row["rows_total"]:
            found.append(f"{name}: {row['rows_total']} rows came, {counted} accounted for")
        if row["rows_in_crm"] != row["rows_accepted"]:
            found.append(
                f"{name}: {row['rows_accepted']} rows accepted, the CRM took {row['rows_in_crm']}"
            )
    if sent is None:
        return found
    if sent["fault"]:
        if row["status"] not in {"quarantined", "duplicate"}:
            found.append(f"{name}: {row['status']}, although its fault is {sent['fault']}")
        return found
    if row["status"] not in {"loaded", "duplicate"}:
        found.append(f"{name}: {row['status']}, although nothing is wrong with the file")
    if row["status"] == "loaded":
        aside = row["put_aside"]
        if aside > max(1, _ASIDE_SHARE * (row["rows_total"] or 0)):
            found.append(f"{name}: {aside} good rows were put aside")
        for kind, count in (
            ("rows_accepted", sent["rows_good"] - aside),
            ("rows_rejected", sent["rows_bad"] + aside),
        ):
            if row[kind] != count:
                found.append(f"{name}: {kind} is {row[kind]}, the creditor sent {count}")
    return found


def _deliveries(settings: Settings, began: datetime) -> list[dict[str, Any]]:
    sent = {made["sha256"]: made for made in outbox.files_of(settings)}
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT d.id, d.convenio, d.file_name, d.sha256, d.status, d.rows_total,"
            " d.rows_accepted, d.rows_rejected, d.reason, l.rows_loaded AS rows_in_crm"
            " FROM reception.delivery d LEFT JOIN crm.load l ON l.delivery_id = d.id"
            " WHERE d.received_at >= %s ORDER BY d.id",
            (began,),
        )
        rows = [dict(row) for row in cursor.fetchall()]
        for row in rows:
            row["sent"] = sent.get(row["sha256"])
            cursor.execute(
                "SELECT field, problem, count(*) AS n, min(line) AS line"
                " FROM reception.rejected_row WHERE delivery_id = %s"
                " GROUP BY field, problem ORDER BY n DESC, line",
                (row["id"],),
            )
            row["rejections"] = [dict(kind) for kind in cursor.fetchall()]
            cursor.execute(
                "SELECT count(*) AS n FROM (SELECT FROM reception.rejected_row"
                " WHERE delivery_id = %s GROUP BY line"
                " HAVING bool_and(right(problem, length(%s)) = %s)) rows",
                (row["id"], REMEDY, REMEDY),
            )
            row["put_aside"] = cursor.fetchall()[0]["n"]
    return rows


def _not_loaded(settings: Settings) -> list[str]:
    """The good files of the world's present day that no delivery loaded."""
    files = outbox.files_of(settings)
    today = max(made["day"] for made in files)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT sha256 FROM reception.delivery WHERE status = 'loaded'")
        loaded = {row["sha256"] for row in cursor.fetchall()}
    return [
        made["name"]
        for made in files
        if made["day"] == today and not made["fault"] and made["sha256"] not in loaded
    ]


def _crms(settings: Settings) -> dict[str, dict[str, int]]:
    from zanc_pipeline.crm import service

    held = {crm: {"rows": 0, "expected": 0} for crm in settings.crms}
    for line in service.reconcile(settings):
        held[line.crm]["rows"] += line.found
        held[line.crm]["expected"] += line.expected
    return held


def _localization(settings: Settings) -> dict[str, int]:
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT id FROM attempt WHERE state = 'ended' AND placed")
        attempts = [row["id"] for row in cursor.fetchall()]
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT count(*) AS n FROM localization.call")
        calls = cursor.fetchone()["n"]
        cursor.execute("SELECT count(DISTINCT phone) AS n FROM localization.person_phone")
        phones = cursor.fetchone()["n"]
        cursor.execute(
            "SELECT count(*) AS n FROM localization.call WHERE call_id = ANY(%s)", (attempts,)
        )
        ours = cursor.fetchone()["n"]
    return {
        "calls": calls,
        "phones": phones,
        "attempts_to_export": len(attempts),
        "calls_from_dialer": ours,
    }


def _models(settings: Settings) -> list[dict[str, Any]]:
    from zanc_pipeline.scoring import registry
    from zanc_pipeline.scoring.service import ANSWER, PAYMENT, RIGHT_PARTY
    from zanc_pipeline.world.ceiling import answer_ceiling, payment_ceiling, right_party_ceiling

    ceilings = {
        ANSWER: answer_ceiling,
        PAYMENT: payment_ceiling,
        RIGHT_PARTY: right_party_ceiling,
    }
    found = []
    with registry.connected(settings) as models:
        for name, ceiling in ceilings.items():
            for version in models.versions(name):
                if registry.CHAMPION in version.aliases:
                    holdout = settings.var / "models" / version.run_id / "holdout.parquet"
                    found.append(
                        {
                            "name": name,
                            "version": version.version,
                            "kind": version.kind,
                            "auc": version.metrics["auc"],
                            "ceiling": ceiling(settings, holdout),
                        }
                    )
    return found


def _mailing(settings: Settings, mailing: str) -> dict[str, Any]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT * FROM mailing.mailing WHERE id = %s", (mailing,))
        row = dict(cursor.fetchone())
        cursor.execute(
            "SELECT count(*) AS n, count(rank) AS kept FROM mailing.candidate"
            " WHERE mailing_id = %s",
            (mailing,),
        )
        counted = cursor.fetchone()
    unbalanced = []
    if counted["kept"] != row["leads"]:
        unbalanced.append(f"{row['leads']} leads, but {counted['kept']} candidates kept")
    if row["waterfall"][0]["people"] != counted["n"]:
        unbalanced.append("the waterfall does not start with all candidates")
    return {**row, "unbalanced": unbalanced}


def _lines(settings: Settings) -> dict[str, Any]:
    """The dialer's attempts against the carrier's own records, number by number."""
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT phone, count(*) AS n FROM attempt WHERE placed GROUP BY phone")
        dialled = Counter({row["phone"]: row["n"] for row in cursor.fetchall()})
    carrier = parts.instances(settings)["carrier"]
    carried = Counter(row.destination for row in asterisk.read_cdr(carrier.cdr_path))
    different = sorted(number for number in dialled | carried if dialled[number] != carried[number])
    return {
        "attempts": dialled.total(),
        "carrier_calls": carried.total(),
        "numbers": len(dialled | carried),
        "differences": [
            f"number {mask(number)}: dialled {dialled[number]} times, "
            f"the carrier saw {carried[number]}"
            for number in different
        ],
    }


def _runs(airflow: AirflowApi, began: datetime) -> list[dict[str, str]]:
    return [
        {"dag": run["dag_id"], "run": run["dag_run_id"], "state": run["state"]}
        for run in airflow.runs(since=began.isoformat())
    ]


def _addresses(settings: Settings) -> list[dict[str, str]]:
    parts = (("Airflow", settings.airflow), ("MLflow", settings.mlflow))
    ours = [
        {
            "what": what,
            "url": settings.web_url(part),
            "user": part.username,
            "password": part.password,
        }
        for what, part in parts
    ]
    return [*ours, *desk.addresses(settings)]


def show(facts: dict[str, Any]) -> None:
    """Print the report as one screen."""
    console = Console(width=100, highlight=False, soft_wrap=True)
    console.rule(f"[bold]Zanc Pipeline: one day, in {facts['seconds']} s")
    _show_deliveries(console, facts)
    _show_base(console, facts)
    _show_mailing(console, facts["mailing"])
    _show_campaign(console, facts)
    _show_runs(console, facts["runs"])
    for address in facts["addresses"]:
        console.print(
            f"{address['what']:8} {address['url']}   user [bold]{address['user']}[/]   "
            f"password [bold]{address['password']}[/]"
        )
    console.print("The stack stays up: look around, then 'make down'.")
    if facts["problems"]:
        console.print("[bold red]What does not reconcile:")
        for problem in facts["problems"]:
            console.print(f"  - {problem}", markup=False)
    else:
        console.print("[bold green]Every run succeeded and every count reconciles.")


def _show_deliveries(console: Console, facts: dict[str, Any]) -> None:
    table = Table("file", "convênio", "status", "rows", "accepted", "rejected", box=None)
    for row in facts["deliveries"]:
        counts = (row["rows_total"], row["rows_accepted"], row["rows_rejected"])
        table.add_row(
            row["file_name"], row["convenio"], row["status"], *(_number(count) for count in counts)
        )
    console.print(table)
    for row in facts["deliveries"]:
        if row["status"] != "loaded":
            console.print(f"  {row['file_name']}: {row['reason']}", markup=False)
        for kind in row["rejections"][:_MOST_REJECTIONS]:
            console.print(
                f"  {row['file_name']}: {kind['n']} × {kind['field']}: {kind['problem']} "
                f"(first: line {kind['line']})",
                markup=False,
            )
        more = sum(kind["n"] for kind in row["rejections"][_MOST_REJECTIONS:])
        if more:
            console.print(f"  {row['file_name']}: {more} × other reasons", markup=False)


def _show_base(console: Console, facts: dict[str, Any]) -> None:
    rows = ", ".join(f"{crm} {counts['rows']:,}" for crm, counts in facts["crms"].items())
    base = facts["localization"]
    console.print(f"\nCRMs          {rows} rows")
    console.print(
        f"Localization  {base['calls']:,} calls to {base['phones']:,} phones, "
        f"{base['calls_from_dialer']:,} of them by this dialer"
    )
    for model in facts["models"]:
        console.print(
            f"Model {model['name']:12} version {model['version']} ({model['kind']}): "
            f"AUC {model['auc']:.3f} "
            f"on the holdout; the law itself {model['ceiling']:.3f}"
        )


def _show_mailing(console: Console, mailing: dict[str, Any]) -> None:
    console.print(f"\nMailing {mailing['id']}")
    last = len(mailing["waterfall"]) - 1
    for place, step in enumerate(mailing["waterfall"]):
        sign = " " if place == 0 else "=" if place == last else "−"
        console.print(f"  {sign}{step['people']:>8,}  {step['texto']}", markup=False)
    expected = ", ".join(f"{key} {value:,.1f}" for key, value in mailing["expected"].items())
    console.print(f"  expected: {expected}")


def _show_campaign(console: Console, facts: dict[str, Any]) -> None:
    campaign, lines = facts["campaign"], facts["lines"]
    if campaign is None:
        return
    outcomes = ", ".join(f"{name} {count}" for name, count in campaign["outcomes"].items())
    tabulations = ", ".join(f"{name} {count}" for name, count in campaign["tabulations"].items())
    console.print(f"\nCampaign {campaign['id']}: {campaign['status']}")
    console.print(f"  attempts     {campaign['attempts']}: {outcomes}")
    console.print(f"  tabulated    {tabulations or 'nothing'}")
    forecast = facts["forecast"]
    console.print(
        f"  mode         {campaign['mode']}, at most {_share(campaign['limit'])} abandoned"
        + (f"; its last decision: {campaign['why']}" if campaign["why"] else "")
    )
    console.print(
        f"  simulator    with these times and people without end: occupied "
        f"{_share(forecast and forecast.occupancy)}, abandoned "
        f"{_share(forecast and forecast.abandoned_share)}"
    )
    console.print(
        f"  operators    occupied {_share(campaign['occupancy'])} of the time; abandoned "
        f"{_share(campaign['abandoned_share'])} of those who answered; a person waited "
        f"{_seconds(campaign['mean_wait_seconds'])} for an operator"
    )
    console.print(f"  first ring   {_seconds(facts['seconds_to_first_ring'])} after the upload")
    console.print(
        f"  carrier      {lines['carrier_calls']} calls in its own records, "
        f"{lines['attempts']} in the dialer's, {lines['numbers']} numbers, "
        f"{len(lines['differences'])} differences"
    )


def _show_runs(console: Console, runs: list[dict[str, str]]) -> None:
    by_dag: dict[str, Counter[str]] = {}
    for run in runs:
        by_dag.setdefault(run["dag"], Counter())[run["state"]] += 1
    text = ", ".join(
        f"{dag} {'/'.join(f'{count} {state}' for state, count in states.items())}"
        for dag, states in sorted(by_dag.items())
    )
    console.print(f"\nDAG runs      {text}\n")


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}"


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{float(value):.1f} s"
