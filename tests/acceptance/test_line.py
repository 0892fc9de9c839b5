"""The whole line on real parts, small: two days, the second with processes killed on the way."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.acceptance import airflow_pages
from tests.patience import PATIENCE, wait_until
from tests.ports import port_offset
from zanc_pipeline.airflow.hooks import DialerClient
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.stack import asterisk, parts
from zanc_pipeline.stack.supervisor import left_behind

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
ZANC = Path(sys.executable).with_name("zanc")
PEOPLE = 16


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack of the tests' own: its settings and the environment its commands run in."""

    settings: Settings
    environment: dict[str, str]

    def zanc(
        self, *arguments: str, timeout: float = 3 * PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ZANC), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )

    def demo(self) -> dict[str, Any]:
        output = self.settings.var / "report.json"
        output.unlink(missing_ok=True)
        done = self.zanc("demo", "--output", str(output))
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        report: dict[str, Any] = json.loads(output.read_text())
        return report


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("line")
    config = folder / "config"
    shutil.copytree(ROOT / "config", config)
    campaign = config / "campaigns" / "cobranca_geral.yaml"
    strategy = yaml.safe_load(campaign.read_text())
    strategy["capacidade"]["pessoas"] = PEOPLE
    campaign.write_text(yaml.safe_dump(strategy, allow_unicode=True))
    with port_offset() as offset, pytest.MonkeyPatch.context() as patch:
        chosen = {
            "ZANC_VAR": str(folder / "var"),
            "ZANC_CONFIG": str(config),
            "ZANC_PORT_OFFSET": str(offset),
            "ZANC_CACHE": os.environ.get("ZANC_CACHE", str(ROOT / "var" / "cache")),
            "ZANC_WORLD__DEBTORS": "1500",
            "ZANC_WORLD__PAST_CALLS": "20000",
            "ZANC_WORLD__OPERATORS": "4",
            "ZANC_WORLD__TIME_SCALE": "6",
        }
        for key, value in chosen.items():
            patch.setenv(key, value)
        settings = load_settings()
        running = Stack(settings=settings, environment=dict(os.environ))
        try:
            yield running
        finally:
            done = running.zanc("down")
            left = [" ".join(process.cmdline()) for process in left_behind(settings)]
    assert done.returncode == 0
    assert left == []


def test_a_day_runs_from_upload_to_outcome(stack: Stack) -> None:
    report = stack.demo()

    by_status = Counter(row["status"] for row in report["deliveries"])
    assert by_status["loaded"] == 4
    assert by_status["quarantined"] == 4
    quarantined = [row for row in report["deliveries"] if row["status"] == "quarantined"]
    assert all(row["reason"] for row in quarantined)
    loaded = [row for row in report["deliveries"] if row["status"] == "loaded"]
    assert {row["convenio"] for row in loaded} == set(stack.settings.convenios)
    assert all(row["rows_rejected"] > 0 for row in loaded)
    assert all(crm["rows"] == crm["expected"] > 0 for crm in report["crms"].values())
    assert 0 < report["campaign"]["leads"] <= PEOPLE
    assert report["campaign"]["connected"] > 0
    assert report["lines"]["attempts"] == report["lines"]["carrier_calls"] > 0
    models = {model["name"]: model for model in report["models"]}
    assert set(models) == {"zanc_answer", "zanc_payment", "zanc_right_party"}
    for name in (
        "zanc_answer",
        "zanc_payment",
    ):  # the third has too few answers in so small a world
        assert 0.5 < models[name]["auc"] <= models[name]["ceiling"] + 0.05


def test_a_second_day_survives_kills_and_calls_nobody_twice(stack: Stack) -> None:
    before = _loads(stack.settings)
    demo = subprocess.Popen(
        [str(ZANC), "demo", "--output", str(stack.settings.var / "second.json")],
        cwd=ROOT,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with airflow_pages.airflow(stack.settings) as page:
            _wait_for_live_calls(stack.settings, demo)
            # Paused, or with operators who do nothing, it does not end while the browser works.
            DialerClient(stack.settings).order(campaign := _running(stack.settings), "pause")
            operators = _process(stack.settings, "world", "operators")
            operators.suspend()
            try:
                airflow_pages.resume_pause_and_resume(
                    page, stack.settings, "cobranca_geral", campaign
                )
            finally:
                operators.resume()
        _kill(stack.settings, "dialer", "serve")
        time.sleep(8)
        _kill(stack.settings, "airflow", "scheduler")
        _kill(stack.settings, "airflow", "triggerer")
        time.sleep(8)
        _kill(stack.settings, "dialer", "serve")
        output, _ = demo.communicate(timeout=3 * PATIENCE)
    finally:
        demo.kill()
    assert demo.returncode == 0, output[-6000:]

    report = json.loads((stack.settings.var / "second.json").read_text())
    by_status = Counter(row["status"] for row in report["deliveries"])
    assert by_status["duplicate"] >= 4
    assert by_status["loaded"] == 4
    assert len(_loads(stack.settings)) == len(before) + 4
    _assert_every_lead_ended_and_no_attempt_was_placed_twice(stack.settings)


def test_down_leaves_nothing_and_up_again_finds_everything(stack: Stack) -> None:
    assert stack.zanc("down").returncode == 0
    assert left_behind(stack.settings) == []
    assert stack.zanc("down").returncode == 0
    up = stack.zanc("up")
    assert up.returncode == 0, up.stderr
    status = stack.zanc("status", "--json")
    assert status.returncode == 0
    assert all(part["healthy"] for part in json.loads(status.stdout))


def test_a_clerk_approves_what_a_creditor_changed_on_the_page(stack: Stack) -> None:
    file = _changed(stack.settings)
    done = stack.zanc("reception", "receive", str(file), "--convenio", "banco_aurora", "--json")
    delivery = json.loads(done.stdout)
    assert delivery["status"] == "quarantined", delivery
    with airflow_pages.airflow(stack.settings) as page:
        airflow_pages.approve(page, stack.settings, delivery["id"])


def _changed(settings: Settings) -> Path:
    """The creditor's next file: the name under another title, and no e-mail."""
    last = max((settings.var / "ftp" / "banco_aurora").glob("AURORA_*.csv"))
    with last.open(encoding="cp1252", newline="") as file:
        header, *rows = csv.reader(file, delimiter=";")
    gone = header.index("EMAIL")
    header[header.index("NOME")] = "CLIENTE"
    day = date.fromisoformat(last.stem.removeprefix("AURORA_")) + timedelta(days=1)
    path = settings.var / f"AURORA_{day:%Y%m%d}.csv"
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([*row[:gone], *row[gone + 1 :]] for row in (header, *rows))
    return path


def _running(settings: Settings) -> str:
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT id FROM campaign WHERE status = 'running'")
        return str(cursor.fetchone()["id"])


def _loads(settings: Settings) -> list[int]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT delivery_id FROM crm.load WHERE status = 'loaded' ORDER BY 1")
        return [row["delivery_id"] for row in cursor.fetchall()]


def _wait_for_live_calls(settings: Settings, demo: subprocess.Popen[str]) -> None:
    def live() -> bool:
        assert demo.poll() is None, "the demo ended before its calls were seen"
        with transaction(settings, "dialer") as cursor:
            cursor.execute("SELECT count(*) AS live FROM attempt WHERE state <> 'ended'")
            return cursor.fetchone()["live"] >= 2

    wait_until(live, "calls come")


def _process(settings: Settings, *words: str) -> psutil.Process:
    """The process of the stack that runs this command."""
    found: list[psutil.Process] = []

    def runs() -> bool:
        for process in left_behind(settings):
            with suppress(psutil.Error):  # Airflow's workers come and go
                line = " ".join(Path(word).name for word in process.cmdline())
                if f" {' '.join(words)}" in line:
                    found.append(process)
        return bool(found)

    wait_until(runs, f"{' '.join(words)} runs")
    return found[0]


def _kill(settings: Settings, *words: str) -> None:
    """kill -9 the process of the stack that runs this command."""
    process = _process(settings, *words)
    process.kill()
    process.wait(PATIENCE)


def _assert_every_lead_ended_and_no_attempt_was_placed_twice(settings: Settings) -> None:
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT count(*) AS n FROM lead WHERE status <> 'ended'")
        assert cursor.fetchone()["n"] == 0
        cursor.execute("SELECT count(*) AS n FROM attempt WHERE state <> 'ended'")
        assert cursor.fetchone()["n"] == 0
        cursor.execute("SELECT phone, count(*) AS n FROM attempt WHERE placed GROUP BY phone")
        dialled = {row["phone"]: row["n"] for row in cursor.fetchall()}
    carrier = parts.instances(settings)["carrier"]
    carried = Counter(row.destination for row in asterisk.read_cdr(carrier.cdr_path))
    assert dict(carried) == dialled
