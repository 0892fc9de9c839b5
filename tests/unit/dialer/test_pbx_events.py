"""What Asterisk says, translated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dialer import attempt as events
from dialer.ami import Headers
from dialer.pbx import channel_events, may_be_early, translate
from dialer.pbx_clock import PbxClock

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
ID = "0" * 32


@pytest.mark.parametrize(
    ("headers", "event"),
    [
        ({"Event": "Newchannel", "Uniqueid": ID}, events.Created(at=NOW)),
        ({"Event": "Newstate", "Uniqueid": ID, "ChannelState": "5"}, events.Ringing(at=NOW)),
        ({"Event": "Newstate", "Uniqueid": ID, "ChannelState": "6"}, events.Answered(at=NOW)),
        ({"Event": "Hangup", "Uniqueid": ID, "Cause": "17"}, events.HungUp(at=NOW, cause=17)),
        ({"Event": "Hangup", "Uniqueid": ID}, events.HungUp(at=NOW, cause=0)),
        (
            {
                "Event": "OriginateResponse",
                "ActionID": ID,
                "Response": "Failure",
                "Uniqueid": "<null>",
            },
            events.OriginateFailed(at=NOW),
        ),
        (
            {"Event": "OriginateResponse", "ActionID": ID, "Response": "Success"},
            events.Answered(at=NOW),
        ),
        (
            {"Event": "UserEvent", "UserEvent": "ZancDetected", "Attempt": ID, "Status": "MACHINE"},
            events.Detected(at=NOW, machine=True),
        ),
        (
            {"Event": "UserEvent", "UserEvent": "ZancDetected", "Attempt": ID, "Status": "NOTSURE"},
            events.Detected(at=NOW, machine=False),
        ),
        (
            {"Event": "UserEvent", "UserEvent": "ZancConnected", "Attempt": ID, "Operator": "op03"},
            events.Connected(at=NOW, operator="op03"),
        ),
        (
            {
                "Event": "UserEvent",
                "UserEvent": "ZancOperatorGone",
                "Attempt": ID,
                "Operator": "op03",
                "Status": "NOANSWER",
            },
            events.OperatorGone(at=NOW, operator="op03", talked=False),
        ),
        (
            {"Event": "UserEvent", "UserEvent": "ZancAbandoned", "Attempt": ID},
            events.GivenUp(at=NOW),
        ),
    ],
)
def test_an_event_of_asterisk_becomes_one_of_the_attempt(
    headers: Headers, event: events.Event
) -> None:
    assert translate(headers, NOW) == (ID, event)


@pytest.mark.parametrize(
    "headers",
    [{"Event": "DeviceStateChange"}, {"Event": "UserEvent", "UserEvent": "Other"}, {"Event": "X"}],
)
def test_other_events_concern_no_attempt(headers: Headers) -> None:
    assert translate(headers, NOW) is None


def test_the_time_is_the_one_at_which_it_happened_by_our_clock() -> None:
    clock = PbxClock("central", cast(Any, None))
    clock.ahead = timedelta(seconds=10)
    stamp = (NOW + timedelta(seconds=9.5)).timestamp()
    assert clock.moment({"Timestamp": f"{stamp:.6f}"}, NOW) == NOW - timedelta(seconds=0.5)
    assert clock.moment({}, NOW) == clock.moment({"Timestamp": "?"}, NOW) == NOW


@pytest.mark.parametrize(
    ("event", "early"),
    [
        (events.OriginateFailed(at=NOW), True),  # the news of its channel may come yet
        (events.OriginateFailed(at=NOW, rang_out=True), False),
        (events.HungUp(at=NOW, cause=0), True),  # that it rang until the limit may come yet
        (events.HungUp(at=NOW, cause=16), False),
        (events.Answered(at=NOW), False),
    ],
)
def test_what_tells_nothing_by_itself_waits_for_what_may_come_after_it(
    event: events.Event, early: bool
) -> None:
    assert may_be_early(event) is early


def channel(**values: str) -> Headers:
    return {"Channel": "PJSIP/carrier-00000001", "Uniqueid": ID, "ChannelState": "6", **values}


@pytest.mark.parametrize(
    ("channels", "proofs"),
    [
        ([channel(ChannelState="0")], ()),
        ([channel(ChannelState="5")], (events.Ringing(at=NOW),)),
        ([channel(Context="zanc-answered", Application="AMD")], (events.Answered(at=NOW),)),
        (
            [channel(Context="zanc-answered", Application="Wait")],
            (events.Answered(at=NOW), events.Detected(at=NOW, machine=False)),
        ),
        (
            [channel(Context="zanc-answered", Application="Playback")],
            (events.Answered(at=NOW), events.GivenUp(at=NOW)),
        ),
        (
            [
                channel(BridgeId="b1", Context="zanc-operator"),
                {"Channel": "PJSIP/op04-00000002", "Uniqueid": "1.2", "BridgeId": "b1"},
            ],
            (events.Answered(at=NOW), events.Connected(at=NOW, operator="op04")),
        ),
    ],
    ids=["down", "ringing", "detecting", "person waits", "safe message", "talks"],
)
def test_a_live_channel_proves_where_its_call_stands(
    channels: list[Headers], proofs: tuple[events.Event, ...]
) -> None:
    assert channel_events(channels, NOW) == {ID: (events.Created(at=NOW), *proofs)}


def test_since_when_somebody_talks_is_told_by_the_account_code() -> None:
    began = NOW.timestamp() - 60
    talking = channel(
        BridgeId="b1", Context="zanc-operator", Exten="op04",
        AccountCode=f"{began:.3f}-{began + 2.5:.3f}",
    )  # fmt: skip
    ahead = timedelta(seconds=10)
    _, answered, connected = channel_events([talking], NOW, ahead)[ID]
    assert answered.at == NOW - timedelta(seconds=70)
    assert connected == events.Connected(at=NOW - timedelta(seconds=67.5), operator="op04")
    # What another dialplan wrote there tells nothing, nor does what has not happened yet.
    for strange in ("credor-7", "-", f"{began + 999:.3f}-{began + 999:.3f}"):
        _, answered, connected = channel_events([talking | {"AccountCode": strange}], NOW)[ID]
        assert (answered.at, connected.at) == (NOW, NOW)


def test_channels_of_others_prove_nothing() -> None:
    other = {"Channel": "PJSIP/op01-00000001", "Uniqueid": "1795438800.4", "ChannelState": "6"}
    assert channel_events([other], NOW) == {}
