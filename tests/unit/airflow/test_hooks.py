"""The dialer's client: its answers as values, its refusals as our errors in one line."""

from __future__ import annotations

import pytest

from tests.unit.airflow.fake_dialer import FakeDialer
from zanc_pipeline.airflow.hooks import DialerClient
from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError, UnavailableError
from zanc_pipeline.common.settings import Settings


def test_it_presents_the_stacks_token(place: Settings, dialer: FakeDialer) -> None:
    DialerClient(place).campaigns()
    assert dialer.token == f"Bearer {place.secret('dialer_token')}"


def test_an_unknown_campaign_is_none(place: Settings, dialer: FakeDialer) -> None:
    assert DialerClient(place).campaign("geral-20261123-0a1b2c3d") is None


def test_it_reads_all_pages_of_attempts(place: Settings, dialer: FakeDialer) -> None:
    dialer.campaigns["c1"] = {"id": "c1", "status": "finished"}
    dialer.attempts["c1"] = [{"id": f"a{n:04}"} for n in range(1203)]
    assert list(DialerClient(place).attempts("c1")) == dialer.attempts["c1"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ConfigError),
        (403, ConfigError),
        (409, ConflictError),
        (422, DataError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
def test_refusals_are_grouped_by_how_one_recovers(
    place: Settings, dialer: FakeDialer, status: int, error: type[Exception]
) -> None:
    dialer.answer_with = status, {"error": "no"}
    with pytest.raises(error, match=dialer.url):
        DialerClient(place).submit("c1", {})


def test_an_answer_that_is_not_json_is_a_part_in_trouble(
    place: Settings, dialer: FakeDialer
) -> None:
    dialer.answer_with = 200, "<html>"
    with pytest.raises(UnavailableError, match="not JSON"):
        DialerClient(place).campaigns()


def test_a_dialer_that_is_down_is_named_with_its_address(place: Settings) -> None:
    place.dialer.url = "http://127.0.0.1:9"
    with pytest.raises(UnavailableError, match=r"The dialer at http://127\.0\.0\.1:9 does not"):
        DialerClient(place).campaigns()


@pytest.mark.parametrize("campaign_id", ["", "../secrets", "a b", "a/b", "ção"])
def test_no_path_is_made_of_what_is_not_an_id(
    place: Settings, dialer: FakeDialer, campaign_id: str
) -> None:
    with pytest.raises(DataError, match="not a campaign id"):
        DialerClient(place).stop(campaign_id)
    assert dialer.requests == []
