"""The demo: one simulated day on the real stack, from upload to calls, then reconciled."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, StackError
from zanc_pipeline.common.locks import only_one
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import lifecycle
from zanc_pipeline.world import desk, generation, past, report
from zanc_pipeline.world.airflow_api import AirflowApi

Progress = Callable[[str], None]

TRAININGS = ("training__answer", "training__payment", "training__right_party")
CAMPAIGN = "cobranca_geral"
FILES_SECONDS = 600
MAILING_SECONDS = 600
CAMPAIGN_SECONDS = 900
EXPORT_SECONDS = 300


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Play one day and return the report's facts; the stack stays up.

    The first demo of a folder makes the world and its past; each later one sends the last day's
    files again (they are duplicates) and then a fresh day's. One that was interrupted may be run
    again: a day whose files did not all go up is gone on with.
    """
    running = StackError("another demo of this folder is running: wait for its end, or stop it")
    with only_one(settings.var / "run" / "demo.lock", running):
        return _play(settings, progress)


def _play(settings: Settings, progress: Progress) -> dict[str, Any]:
    began = datetime.now(UTC)
    lifecycle.up(settings, progress)
    desk.add_accounts(settings)
    loaded = settings.var / "world" / "loaded"
    airflow, told = AirflowApi(settings), set[int]()

    def look_for_failures() -> None:
        _stop_at_a_failed_run(settings, airflow, began)

    is_first = not loaded.exists()
    if is_first:
        _make_world(settings, progress)
    airflow.wait_for_dags(_dags(settings))
    if is_first:
        progress(f"loading {settings.world.past_calls:,} past calls into the localization base")
        _run_dags(airflow, _calls_dags(settings), progress)
        look_for_failures()
        loaded.touch()
    progress("training the models on the past calls and payments")
    _run_dags(airflow, TRAININGS, progress)
    look_for_failures()
    if _present(settings)[0] <= _last_day_sent(settings):
        progress("uploading the files of the last day again: they are duplicates")
        _zanc(settings, "world", "upload")
        _wait_for_files(settings, began, told, progress, look_for_failures)
        progress("a fresh day")
        _zanc(settings, "world", "next-day")
    number, day = _present(settings)
    _zanc(settings, "world", "upload", *(["--with-faults"] if number == 1 else []))
    _sent_file(settings).write_text(f"{number}\n", encoding="ascii")
    uploaded = datetime.now(UTC)
    progress("files uploaded by FTP")
    _wait_for_files(settings, began, told, progress, look_for_failures)
    _answer_imports(settings, progress)
    progress("scoring and building the mailing")
    mailing = None
    # Files that come apart, after an interruption, make a second mailing: the report is of the
    # last one, when nothing is under way any more.
    while (latest := _wait_for_mailing(settings, day, progress, look_for_failures)) != mailing:
        mailing = latest
        _wait_for_campaign(settings, mailing, progress, look_for_failures)
        _wait_for_quiet(airflow, began)
    _wait_for_exports(settings)
    return report.gather(settings, airflow, began=began, uploaded=uploaded, mailing=latest)


def _present(settings: Settings) -> tuple[int, date]:
    """The number and the reference date of the last day whose files were made."""
    state = generation.read_state(settings)
    if state is None:
        raise ConfigError(
            f"{settings.var / 'world'}: the world is incomplete; run 'zanc world generate'"
        )
    return state.day, date.fromisoformat(state.reference_date)


def _sent_file(settings: Settings) -> Path:
    return settings.var / "world" / "sent_day"


def _last_day_sent(settings: Settings) -> int:
    """The last day whose files all went up, 0 for none."""
    try:
        return int(_sent_file(settings).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):  # never written, or killed while it was
        return 0


def _dags(settings: Settings) -> set[str]:
    names = {f"reception__{convenio}" for convenio in settings.convenios}
    for campaign in settings.campaigns:
        names |= {f"mailing__{campaign}", f"campaign__{campaign}"}
    return names | set(TRAININGS) | set(_calls_dags(settings))


def _calls_dags(settings: Settings) -> list[str]:
    return [f"calls__{crm}" for crm in settings.crms]


def _make_world(settings: Settings, progress: Progress) -> None:
    folder = settings.var / "world"
    progress(f"making a world of {settings.world.debtors:,} debtors")
    _zanc(settings, "world", "generate")
    past.leave_calls(settings)
    _zanc(settings, "models", "history", str(folder / "history" / "portfolio.csv"))


def _run_dags(airflow: AirflowApi, dags: Sequence[str], progress: Progress) -> None:
    """Start the DAGs and wait until all have ended."""
    moment = datetime.now(UTC)
    runs = {dag: airflow.trigger(dag, f"demo__{moment:%Y-%m-%dT%H:%M:%S}") for dag in dags}
    deadline = time.monotonic() + FILES_SECONDS
    for dag, run_id in runs.items():
        while (state := airflow.state(dag, run_id)) not in {"success", "failed"}:
            _give_up_after(deadline, f"{dag} is still {state}")
            time.sleep(1)
        progress(f"{dag}: {state}")


def _wait_for_files(
    settings: Settings,
    began: datetime,
    told: set[int],
    progress: Progress,
    look_for_failures: Callable[[], None],
) -> None:
    """Wait until every file on the server has a verdict; those in ``told`` were shown already."""
    expected = _files_on_server(settings)
    deadline = time.monotonic() + FILES_SECONDS
    while True:
        with transaction(settings, "zanc") as cursor:
            cursor.execute(
                "SELECT id, convenio, file_name, remote_path, size_bytes, remote_modified, status,"
                " rows_accepted, rows_rejected, reason, received_at"
                " FROM reception.delivery ORDER BY id"
            )
            rows = cursor.fetchall()
        for row in rows:
            final = row["status"] in {"loaded", "quarantined", "duplicate"}
            if final and row["id"] not in told and row["received_at"] >= began:
                told.add(row["id"])
                progress(_delivery_line(row))
        done = {
            (row["remote_path"], row["size_bytes"], row["remote_modified"])
            for row in rows
            if row["status"] in {"loaded", "quarantined", "duplicate"}
        }
        waiting = expected - done
        if not waiting:
            return
        names = ", ".join(sorted(path for path, _, _ in waiting))
        _give_up_after(deadline, f"no verdict yet on {names}")
        look_for_failures()
        time.sleep(1)


def _delivery_line(row: dict[str, Any]) -> str:
    if row["status"] == "loaded":
        return (
            f"{row['file_name']} ({row['convenio']}): {row['rows_accepted']:,} rows loaded, "
            f"{row['rows_rejected']:,} rejected"
        )
    return f"{row['file_name']} ({row['convenio']}): {row['status']}: {row['reason']}"


def _files_on_server(settings: Settings) -> set[tuple[str, int, str]]:
    from zanc_pipeline.reception import arrivals

    return {(found.path, found.size, found.modified) for found in arrivals.scan(settings)}


def _wait_for_mailing(
    settings: Settings, day: date, progress: Progress, look_for_failures: Callable[[], None]
) -> str:
    """The latest mailing of ``day``."""
    deadline = time.monotonic() + MAILING_SECONDS
    while True:
        with transaction(settings, "zanc") as cursor:
            cursor.execute(
                "SELECT id, leads FROM mailing.mailing WHERE campaign = %s AND day = %s"
                " AND leads > 0 ORDER BY built_at DESC LIMIT 1",
                (CAMPAIGN, day),
            )
            row = cursor.fetchone()
        if row:
            progress(f"mailing {row['id']}: {row['leads']} people to call")
            return str(row["id"])
        _give_up_after(deadline, f"no mailing for {CAMPAIGN} yet")
        look_for_failures()
        time.sleep(1)


def _wait_for_campaign(
    settings: Settings, mailing: str, progress: Progress, look_for_failures: Callable[[], None]
) -> None:
    deadline = time.monotonic() + CAMPAIGN_SECONDS
    last = ""
    while True:
        figures = report.campaign_figures(settings, mailing)
        if figures is not None:
            line = (
                f"campaign: {figures['leads_ended']} of {figures['leads']} people ended, "
                f"{figures['attempts']} calls, {figures['humans']} said alô, "
                f"{figures['live']} lines open"
            )
            if line != last:
                progress(line)
                last = line
            if figures["status"] in {"finished", "failed"}:
                return
        _give_up_after(deadline, f"the campaign {mailing} has not ended")
        look_for_failures()
        time.sleep(5)


def _wait_for_quiet(airflow: AirflowApi, began: datetime) -> None:
    """Wait until no run that this demo caused is queued or running."""
    deadline = time.monotonic() + MAILING_SECONDS
    while any(
        run["state"] in {"queued", "running"} for run in airflow.runs(since=began.isoformat())
    ):
        _give_up_after(deadline, "DAG runs still go on")
        time.sleep(2)


def _wait_for_exports(settings: Settings) -> None:
    """Give the last calls the moment that they need to localization; the report counts them."""
    deadline = time.monotonic() + EXPORT_SECONDS
    while time.monotonic() < deadline:
        with transaction(settings, "dialer") as cursor:
            cursor.execute(
                "SELECT count(*) AS n FROM attempt"
                " WHERE placed AND exported_at IS NULL AND export_error IS NULL"
            )
            if not cursor.fetchone()["n"]:
                return
        time.sleep(1)


def _stop_at_a_failed_run(settings: Settings, airflow: AirflowApi, began: datetime) -> None:
    """Waiting on is pointless when a run has failed: say which and where to look."""
    for run in airflow.runs(since=began.isoformat()):
        if run["state"] == "failed":
            dag, run_id = run["dag_id"], run["dag_run_id"]
            address = settings.web_url(settings.airflow)
            raise StackError(f"the DAG run {dag} failed: see {address}/dags/{dag}/runs/{run_id}")


def _give_up_after(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise StackError(f"{what}: see the Airflow UI and var/log, then run the demo again")


def _answer_imports(settings: Settings, progress: Progress) -> None:
    progress("the CRM of import files answers")
    _zanc(settings, "world", "answer-imports")
    _zanc(settings, "crm", "returns")


def _zanc(settings: Settings, *arguments: str) -> None:
    """Run a ``zanc`` command as a person would; its error becomes ours."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("zanc")), *arguments],
        cwd=settings.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise StackError(f"zanc {' '.join(arguments)}: {lines[-1].removeprefix('zanc: ')}")
