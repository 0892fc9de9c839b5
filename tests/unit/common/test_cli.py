"""Whatever is wrong with a command, its user reads one plain line."""

import sys
from pathlib import Path

import pytest

from zanc_pipeline import cli
from zanc_pipeline.common.settings import settings


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["zanc", *arguments])
    settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    settings.cache_clear()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("reception", "read", "none.csv"), 1, "none.csv"),
        (("reception", "read", "."), 2, "directory"),
        (("reception", "read", "a.csv", "--layout", "broken.yaml"), 1, "broken.yaml:2"),
        (("reception", "read", "a.csv", "--output", "a.csv/x.csv"), 1, "a.csv"),
        (("reception", "check", "a.csv", "--convenio", "outro"), 1, "outro"),
        (("reception", "receive", "a.csv", "--convenio", "../x"), 1, "../x"),
        (("reception", "replay", "abc"), 2, "abc"),
        (("reception", "replay", "99999999999999999999"), 2, "range"),
        (("crm", "load", "99999999999999999999"), 2, "range"),
        (("crm", "rollback", "0"), 2, "range"),
        (("localization", "phones", "123"), 1, "cpf"),
        (("localization", "load", "none.csv"), 2, "none.csv"),
        (("reception", "deliveries", "--convenio", "outro"), 1, "outro"),
        (("reception", "deliveries"), 1, "PostgreSQL at 127.0.0.1:1/zanc"),
        (("reception", "nothing"), 2, "nothing"),
        (("nothing",), 2, "nothing"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZANC_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("ZANC_POSTGRES__URL", "postgresql://127.0.0.1:1")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    code, line = run(monkeypatch, capsys, *arguments)
    assert code == status
    assert said in line
    assert line.startswith("zanc") and line.count("\n") == 1


@pytest.mark.parametrize(
    ("stack", "environment", "said"),
    [
        ("port: [\n", {}, "stack.yaml:2"),
        ("- 1\n", {}, "stack.yaml"),
        ("host: 127.0.0.1\n", {"ZANC_POSTGRES": "none"}, "postgres"),
        ("host: 127.0.0.1\n", {"ZANC_PORT_OFFSET": "abc"}, "port_offset"),
    ],
)
def test_broken_settings_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stack: str,
    environment: dict[str, str],
    said: str,
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "stack.yaml").write_text(stack)
    monkeypatch.setenv("ZANC_ROOT", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, line = run(monkeypatch, capsys, "crm", "counts")
    assert (code, line.count("\n")) == (1, 1)
    assert said in line


def test_no_command_is_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = run(monkeypatch, capsys, "reception")
    assert code == 2
    assert "Commands:" in page
