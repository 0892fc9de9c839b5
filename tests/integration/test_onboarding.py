"""From a sample file to an accepted delivery, as a clerk does it: infer, check, receive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.unit.world.small_world import DAY, small_settings
from zanc_pipeline.cli import cli
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import service
from zanc_pipeline.world import generation

pytestmark = pytest.mark.integration

SAMPLES = {
    "energia_sul": "ESUL20261123.txt",
    "loja_horizonte": "LHZ_20261123_0001.rem",
}


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the demo's creditors send."""
    world = small_settings(tmp_path_factory.mktemp("world"))
    generation.generate(world, day=DAY)
    return world.var / "world" / "outbox"


@pytest.fixture
def clerk(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a configuration of its own, to which convênios may be added."""
    shutil.copytree(settings.config, tmp_path / "config")
    own = settings.model_copy(update={"config": tmp_path / "config"})
    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: own)
    return own


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["reception", *map(str, words)])


@pytest.mark.parametrize("known", SAMPLES)
def test_a_new_creditor_is_received_after_three_commands(
    clerk: Settings, outbox: Path, known: str
) -> None:
    sample = outbox / known / SAMPLES[known]
    name = f"novo_{known}"
    layout = clerk.config / "convenios" / name / "layout.yaml"

    drafted = run("infer", sample, "--output", layout, "--crm", "norma")
    assert drafted.exit_code == 0, drafted.exception
    assert f"zanc reception check {sample} --convenio {name}" in drafted.stdout

    if "a confirmar" in drafted.stdout:
        doubtful = run("check", sample, "--convenio", name)
        assert doubtful.exit_code == 1
        assert "campos a confirmar" in doubtful.stdout
        text = layout.read_text(encoding="utf-8")
        layout.write_text(text.replace(", confirmar: sim", ""), encoding="utf-8")
    checked = run("check", sample, "--convenio", name)
    assert checked.exit_code == 0, checked.stdout
    received = run("receive", sample, "--convenio", name)
    assert received.exit_code == 0, received.stdout

    (delivery,) = service.list_deliveries(clerk, name)
    table = pq.read_table(clerk.var / str(delivery.folder) / "accepted.parquet")
    by_hand = service.receive(clerk, sample, known)
    expected = pq.read_table(clerk.var / str(by_hand.folder) / "accepted.parquet")
    for column in ("cpf", "name", "contract", "amount", "due_date", "phone_1", "state"):
        rows = dict(zip(table["line"].to_pylist(), table[column].to_pylist(), strict=True))
        for line, value in zip(
            expected["line"].to_pylist(), expected[column].to_pylist(), strict=True
        ):
            assert rows.get(line, value) == value
    assert table.num_rows >= expected.num_rows * 0.98
