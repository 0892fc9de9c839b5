from pathlib import Path

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings, read_yaml


def test_the_offset_moves_every_port_of_ours(tmp_path: Path) -> None:
    plain = load_settings(var=tmp_path)
    moved = load_settings(var=tmp_path, port_offset=100)
    assert moved.postgres.port == plain.postgres.port + 100
    assert moved.ftp.first_passive_port == plain.ftp.first_passive_port + 100
    assert moved.centrais["central"].rtp_end == plain.centrais["central"].rtp_end + 100
    assert moved.world.agi_port == plain.world.agi_port + 100
    assert moved.ftp.passive_ports == plain.ftp.passive_ports
    assert moved.centrais["central"].version == plain.centrais["central"].version


def test_the_address_of_another_server_replaces_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZANC_POSTGRES__URL", "postgresql://ana:s%40fe@db.example:6432")
    monkeypatch.setenv("ZANC_FTP__URL", "ftp://files:pw@ftp.example")
    settings = load_settings(var=tmp_path, port_offset=100)
    assert not settings.postgres.embedded
    assert settings.postgres.target("zanc") == {
        "host": "db.example",
        "port": 6432,
        "user": "ana",
        "password": "s@fe",
        "dbname": "zanc",
    }
    assert "s%40fe" in settings.postgres.sqlalchemy_url("zanc")
    assert (settings.ftp.host, settings.ftp.port, settings.ftp.username) == (
        "ftp.example",
        21,
        "files",
    )


def test_a_wrong_value_is_one_line_that_names_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZANC_MLFLOW__PORT", "many")
    with pytest.raises(ConfigError, match=r"mlflow\.port") as caught:
        load_settings(var=tmp_path)
    assert "\n" not in str(caught.value)


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    assert settings.postgres.password
    assert settings.postgres.password not in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1\nb: 2\n", r":2: not valid YAML"), ("- 1\n", "top level"), ("", "top level")],
)
def test_a_broken_yaml_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_yaml(tmp_path / "none.yaml")
