"""Which mirror is Debian's, and how a fetch behaves around failures; no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.stack import debian
from zanc_pipeline.stack.debian import AptSource

AT = "http://"
DEB822 = f"""\
Types: deb deb-src
# a comment inside
URIs: {AT}mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {AT}mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: {AT}old.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: {AT}other.example/repo
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINB
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = f"""\
# deb {AT}commented.example/debian bookworm main
deb-src {AT}mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg check-valid-until=no] \
{AT}mirror.example/debian bookworm main contrib # tail
deb {AT}mirror.example/debian-security bookworm-security main
deb {AT}pg.example/apt bookworm-pgdg main
deb {AT}flat.example ./
"""


def test_deb822_sources() -> None:
    sources = debian.parse_deb822(DEB822)
    assert [source.suite for source in sources] == [
        "bookworm", "bookworm-updates", "bookworm-security", "bookworm",
    ]  # fmt: skip
    assert sources[0].components == ("main", "contrib")
    assert sources[3].signed_by.splitlines()[0] == "-----BEGIN PGP PUBLIC KEY BLOCK-----"
    assert sources[3].signed_by.splitlines()[1] == ""


def test_one_line_sources() -> None:
    sources = debian.parse_one_line(ONE_LINE)
    assert [source.uri.rsplit("/", 1)[1] for source in sources] == [
        "debian", "debian-security", "apt",
    ]  # fmt: skip
    assert sources[0].signed_by == "/k/debian-archive-keyring.gpg"
    assert sources[0].options == ("check-valid-until=no",)


@pytest.mark.parametrize("text", [DEB822, ONE_LINE])
def test_debians_own_archive_is_chosen_among_all(tmp_path: Path, text: str) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    name = "debian.sources" if text is DEB822 else "debian.list"
    (parts / name).write_text(text)
    (parts / "ignored.list.disabled").write_text("deb http://x.example/debian sid main\n")
    chosen = debian.debian_archive(debian.machine_sources(tmp_path))
    assert (chosen.uri, chosen.suite) == ("http://mirror.example/debian", "bookworm")


@pytest.mark.parametrize(
    "sources",
    [
        [],
        [AptSource(uri="http://a.example/ubuntu", suite="noble", components=("main",))],
        [AptSource(uri="cdrom:[x]/", suite="bookworm", components=("main",))],
        [AptSource(uri="http://a.example/debian", suite="bookworm", components=("contrib",))],
    ],
)
def test_a_machine_without_a_debian_archive_is_told_what_to_do(
    sources: Sequence[AptSource],
) -> None:
    with pytest.raises(StackError, match="add a Debian 'main' source"):
        debian.debian_archive(sources)


def test_a_finished_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / debian.MARKER).write_text(json.dumps({"suite": "sid", "requested": ["asterisk"]}))

    def never(*_arguments: object) -> list[Path]:
        raise AssertionError

    monkeypatch.setattr(debian, "_download", never)
    assert debian.fetch(["asterisk"], "sid", tmp_path) == tmp_path


def test_a_failed_unpack_leaves_neither_the_folder_nor_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.deb"
    broken.write_bytes(b"no archive")
    monkeypatch.setattr(debian, "_download", lambda *_arguments: [broken])
    root = tmp_path / "cache" / "tool"
    stale = tmp_path / "cache" / ".tool.partial-old"
    stale.mkdir(parents=True)
    with pytest.raises(StackError, match=r"broken\.deb could not be unpacked"):
        debian.fetch(["tool"], "sid", root)
    assert [path.name for path in root.parent.iterdir()] == [".tool.lock"]


def test_an_unreachable_mirror_is_one_line_that_names_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = AptSource(
        uri="http://user:hidden@127.0.0.1:9/debian", suite="bookworm", components=("main",)
    )
    monkeypatch.setattr(debian, "machine_sources", lambda: [source])
    monkeypatch.setattr(debian, "_RETRY_SECONDS", 0.0)
    said: list[str] = []
    with pytest.raises(StackError, match="suite sid could not be downloaded") as caught:
        debian.fetch(
            ["asterisk"],
            "sid",
            tmp_path / "x",
            progress=said.append,
            attempts=2,
            timeout_seconds=60,
        )
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert any("trying again" in line for line in said)
