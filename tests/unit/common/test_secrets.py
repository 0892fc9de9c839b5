from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.secrets import secret


def test_a_secret_is_generated_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    value = secret(folder, "dialer_token")
    assert len(value) >= 32
    assert secret(folder, "dialer_token") == value
    assert (folder / "dialer_token").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert secret(folder, "other") != value


def test_all_who_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        values = set(pool.map(lambda _: secret(tmp_path, "same"), range(64)))
    assert len(values) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["same"]


def test_an_empty_file_left_by_a_full_disk_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    assert secret(tmp_path, "token")


@pytest.mark.parametrize("name", ["../passwd", "a/b", "", "."])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        secret(tmp_path, name)
