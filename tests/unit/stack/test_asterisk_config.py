"""What is rendered for an Asterisk; nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.stack import asterisk
from zanc_pipeline.stack.asterisk import AsteriskInstance


@pytest.fixture
def install_root(tmp_path: Path) -> Path:
    """The few files of an installation that the code looks for."""
    root = tmp_path / "install"
    for path in (
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/asterisk/modules/pbx_config.so",
        "usr/sbin/asterisk",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def central(tmp_path: Path, install_root: Path, **changes: Any) -> AsteriskInstance:
    extra = {
        "speech_dir": tmp_path,
        "carrier_port": 5070,
        "trunk_secret": "trunk",
        "operator_secrets": {"op01": "s1", "op02": "s2", "op03": "s3"},
        **changes.pop("extra", {}),
    }
    values: dict[str, Any] = {
        "name": "central", "version": 22, "install_root": install_root,
        "run_dir": tmp_path / "run", "sip_port": 5060, "ami_port": 5038,
        "rtp_start": 10000, "rtp_end": 10100, "ami_user": "zanc", "ami_secret": "hush",
        "extra": extra, **changes,
    }  # fmt: skip
    return AsteriskInstance(**values)


def test_files_are_private_and_complete(tmp_path: Path, install_root: Path) -> None:
    instance = central(tmp_path, install_root, extra={"operators": 2})
    asterisk.render(instance)
    asterisk.render(instance)
    folder = instance.run_dir / "etc"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    pjsip = (folder / "pjsip.conf").read_text()
    assert "[op02](operator)" in pjsip
    assert "op03" not in pjsip
    assert "bind = 127.0.0.1:5060" in pjsip
    everything = "\n".join(path.read_text() for path in folder.iterdir())
    assert "{{" not in everything
    assert "channelvars" not in (folder / "manager.conf").read_text().replace("No channelvars", "")
    assert "hush" not in repr(instance)


@pytest.mark.parametrize(
    "changes",
    [
        {"ami_secret": "a\nwrite = all"},
        {"extra": {"trunk_secret": "a;b"}},
        {"extra": {"operator_secrets": {"op01": "x y"}}},
        {"extra": {"operator_secrets": {"op01]": "x"}}},
        {"extra": {"operators": 9}},
    ],
)
def test_a_value_that_would_change_the_configuration_is_refused(
    tmp_path: Path, install_root: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(StackError) as caught:
        asterisk.render(central(tmp_path, install_root, **changes))
    assert "write = all" not in str(caught.value)


def test_a_deep_folder_gets_a_short_stand_in(tmp_path: Path, install_root: Path) -> None:
    instance = central(tmp_path, install_root, run_dir=tmp_path / ("deep" * 30))
    asterisk.render(instance)
    config = Path(asterisk.command(instance)[-1])
    try:
        assert len(str(config)) < 100
        assert config.parent.parent.stat().st_mode & 0o777 == 0o700
        assert f"astrundir => {config.parent.parent}/run" in config.read_text()
    finally:
        asterisk.remove_short_folder(instance)
    assert not config.parent.parent.exists()


def test_without_an_installation_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="run the installation again"):
        asterisk.command(central(tmp_path, tmp_path / "nothing"))


def test_a_silent_port_is_one_line(tmp_path: Path, install_root: Path) -> None:
    with pytest.raises(StackError, match=r"Asterisk central \(127\.0\.0\.1:1\) does not answer"):
        asterisk.healthcheck(central(tmp_path, install_root, ami_port=1))


def test_records_are_read_as_far_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    assert list(asterisk.read_cdr(path)) == []
    path.write_text(
        '"","551140001234","5511987654321","network","x <1>","PJSIP/central-0","","Hangup","17",'
        '"2026-11-23 12:00:00",,"2026-11-23 12:00:02",2,0,"BUSY","DOCUMENTATION","c-1.2","busy"\n'
        '"","5511'
    )
    (row,) = asterisk.read_cdr(path)
    assert (row.destination, row.disposition, row.userfield) == ("5511987654321", "BUSY", "busy")
