"""docker-compose.yml without an engine: every command, path, variable and setting in it exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from zanc_pipeline.cli import cli
from zanc_pipeline.common.settings import load_settings, project_root

ROOT = project_root()
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if "=" in line and not line.startswith("#")
)
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "db"}


def filled(value: str) -> str:
    """``value`` with a port or a word for each ``${VARIABLE:?}``."""
    return re.sub(
        r"\$\{(\w+):\?\}",
        lambda found: (
            "5060" if found[1].endswith("PORT") else "ftp://u:p@h" if "URL" in found[1] else "x1"
        ),
        value,
    )


def commands() -> list[tuple[str, list[str]]]:
    found = [(name, one["command"]) for name, one in OURS.items()]
    checks = [(name, one["healthcheck"]["test"]) for name, one in OURS.items() if name != "prepare"]
    return found + [(name, test[1:]) for name, test in checks if test[0] == "CMD"]


def test_it_holds_every_process_of_production() -> None:
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "prepare",
        "mlflow",
        "airflow-api",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "airflow-worker",
        "localization",
        "central",
        "dialer",
    }


@pytest.mark.parametrize(("service", "command"), commands())
def test_every_command_exists(service: str, command: list[str]) -> None:
    program, *arguments = command
    match program:
        case "zanc":
            _zanc(arguments)
        case "airflow" if arguments[:2] == ["celery", "worker"]:
            assert "apache-airflow-providers-celery==" in (ROOT / "docker/celery.lock").read_text()
        case "airflow":
            _airflow(arguments)
        case "mlflow":
            from mlflow.cli import server
            from mlflow.server import app  # noqa: F401

            known = {option for parameter in server.params for option in parameter.opts}
            assert arguments[0] == "server"
            assert {argument.partition("=")[0] for argument in arguments[1:]} <= known
        case "python":
            assert (ROOT / arguments[0]).is_file()
            compile((ROOT / arguments[0]).read_text(), arguments[0], "exec")
        case _:
            assert program in {"curl", "bash"}
            assert program == "bash" or " curl " in DOCKERFILE


def _zanc(arguments: list[str]) -> None:
    group: click.Command = cli
    for word in arguments:
        assert isinstance(group, click.Group)
        command = group.get_command(click.Context(group), word)
        assert command is not None, word
        group = command


def _airflow(arguments: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    options = [argument for argument in arguments if not argument.startswith("--log")]
    get_parser().parse_args(options)


def test_what_the_images_copy_exists() -> None:
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY"):
            *sources, _ = line.split()[2:]
            for source in sources:
                assert (ROOT / source).exists(), source
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "var", ".env"} <= set(ignored)


def test_folders_and_build_targets_exist() -> None:
    for service in OURS.values():
        build = service["build"]
        assert (ROOT / build["dockerfile"]).is_file()
        assert f"AS {build['target']}" in DOCKERFILE
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            assert (
                (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            )
            assert target.startswith(("/var/lib/zanc", "/opt/zanc"))


def test_every_service_that_stays_is_watched() -> None:
    for name, service in SERVICES.items():
        assert name == "prepare" or service["healthcheck"]["test"], name
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            expected = "completed_successfully" if needed == "prepare" else "healthy"
            assert how["condition"] == f"service_{expected}"


def test_every_variable_is_in_the_example_and_no_secret_is() -> None:
    assert set(re.findall(r"\$\{(\w+):\?\}", TEXT)) == set(EXAMPLE)
    assert "${" not in re.sub(r"\$?\$\{\w+(:\?)?\}", "", TEXT), "a missing variable must be refused"
    for name, value in EXAMPLE.items():
        if any(word in name for word in ("PASSWORD", "SECRET", "KEY")):
            assert value == "", name


def test_airflows_parts_share_one_jwt_secret() -> None:
    parts = [service for name, service in OURS.items() if name.startswith("airflow")]
    secrets = {part["environment"]["AIRFLOW__API_AUTH__JWT_SECRET"] for part in parts}
    assert secrets == {"${AIRFLOW_JWT_SECRET:?}"}
    assert {part["environment"]["AIRFLOW__CORE__EXECUTOR"] for part in parts} == {"CeleryExecutor"}


@pytest.mark.parametrize("name", [name for name, one in OURS.items() if name != "mlflow"])
def test_our_settings_accept_what_each_service_is_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in OURS[name]["environment"].items():
        if key.startswith("ZANC_") and key != "ZANC_SIP_HOST":
            monkeypatch.setenv(key, filled(value))
    settings = load_settings(var=tmp_path)
    assert not settings.world.enabled
    assert settings.centrais["central"].ami_secret


def test_every_airflow_setting_exists() -> None:
    from airflow.configuration import conf

    for service in OURS.values():
        for key in service["environment"]:
            if key.startswith("AIRFLOW__"):
                _, section, option = key.lower().split("__")
                if section != "celery":  # its provider is only in the image
                    assert option in conf.configuration_description[section]["options"], key


def test_the_client_accepts_it(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("no docker compose client on this machine")
    env = tmp_path / "env"
    env.write_text("".join(f"{name}={value or 'x'}\n" for name, value in EXAMPLE.items()))
    done = subprocess.run(
        [docker, "compose", "--env-file", str(env), "config", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
