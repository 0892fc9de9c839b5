"""A PBX that is away is told once, and so is its return; also over a restart of the dialer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dialer.outages import GRACE, Watch
from dialer.pbx import Pbx
from zanc_pipeline.common import notices
from zanc_pipeline.common.notices import Notice
from zanc_pipeline.common.settings import Settings, load_settings

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


@dataclass
class Central:
    connected: bool = True
    problem: str = ""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    found: list[Notice] = []
    monkeypatch.setattr(notices, "tell", lambda settings, *news: found.extend(news))
    return found


def watching(central: Central, var: object) -> Watch:
    settings: Settings = load_settings(var=var)
    return Watch(settings, cast("dict[str, Pbx]", {"central": central}))


async def test_a_loss_is_told_after_a_while_and_its_return(
    told: list[Notice], tmp_path: Any
) -> None:
    central = Central()
    watch = watching(central, tmp_path)
    await watch.look(NOW)
    central.connected, central.problem = False, "conexão recusada"
    await watch.look(NOW)
    await watch.look(NOW + GRACE / 2)
    assert told == []
    for seconds in (31, 36, 41):
        await watch.look(NOW + timedelta(seconds=seconds))
    (lost,) = told
    assert (lost.kind, lost.text) == ("central_caiu", "conexão recusada")
    assert lost.subject == "A central central está fora de alcance desde 12:00"
    assert lost.link.endswith("/painel")

    again = watching(central, tmp_path)  # the dialer was started again meanwhile
    await again.look(NOW + timedelta(minutes=2))
    await again.look(NOW + timedelta(minutes=4))
    assert told == [lost]
    central.connected = True
    await again.look(NOW + timedelta(minutes=5))
    await again.look(NOW + timedelta(minutes=6))
    assert [one.subject for one in told[1:]] == ["A central central voltou"]
    assert "5 min" in told[1].text
    assert told[1].key != lost.key


async def test_a_short_loss_is_no_news(told: list[Notice], tmp_path: Any) -> None:
    central = Central(connected=False)
    watch = watching(central, tmp_path)
    await watch.look(NOW)
    central.connected = True
    await watch.look(NOW + timedelta(seconds=20))
    central.connected = False
    await watch.look(NOW + timedelta(seconds=40))
    await watch.look(NOW + timedelta(seconds=60))
    assert told == []


async def test_what_is_remembered_may_be_broken(told: list[Notice], tmp_path: Any) -> None:
    folder = tmp_path / "notices"
    folder.mkdir()
    for text in ("", "[]", '{"central": 3}', '{"central": "x"}', "\udcff"):
        (folder / "outages").write_text(text, errors="surrogateescape")
        assert watching(Central(), tmp_path).outages.told == {}
