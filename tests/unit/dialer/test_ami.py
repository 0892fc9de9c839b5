"""The manager connection, against a scripted Asterisk."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dialer import ami as module
from dialer import attempt as events
from dialer.ami import Ami, Headers, encode_action
from dialer.pbx import AsteriskPbx
from tests.patience import PATIENCE
from tests.unit.dialer import fake_ami
from tests.unit.dialer.fake_ami import FakeAmi, Message
from zanc_pipeline.common.errors import DataError, UnavailableError


class Recorder:
    """What reached the engine's side."""

    def __init__(self) -> None:
        self.events: list[Headers] = []
        self.connected = self.lost = 0
        self.handler: Callable[[Headers], None] = self.events.append

    def event(self, headers: Headers) -> None:
        self.handler(headers)

    def on_connected(self) -> None:
        self.connected += 1

    def on_lost(self) -> None:
        self.lost += 1


@asynccontextmanager
async def client(
    port: int, recorder: Recorder, *, secret: str = "right", wait: bool = True
) -> AsyncIterator[Ami]:
    ami = Ami(
        host="127.0.0.1",
        port=port,
        user="zanc",
        secret=secret,
        on_event=recorder.event,
        on_connected=recorder.on_connected,
        on_lost=recorder.on_lost,
    )
    task = asyncio.create_task(ami.run())
    try:
        if wait:
            await until(lambda: ami.connected)
        yield ami
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ami.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what is awaited is plain state, written by another thread
            await asyncio.sleep(0.01)


async def test_events_arrive_in_order_and_an_error_in_the_handler_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()

    def handler(headers: Headers) -> None:
        recorder.events.append(headers)
        if headers.get("Number") == "0":
            raise RuntimeError("a bug in our own code")

    recorder.handler = handler
    async with fake_ami.running() as fake, client(fake.port, recorder):
        for number in range(300):
            await fake.send(Event="Test", Number=str(number))
        await until(lambda: len(recorder.events) >= 301)
    numbers = [int(one["Number"]) for one in recorder.events if one["Event"] == "Test"]
    assert numbers == list(range(300))
    assert "the handler of Test failed" in caplog.text


async def test_a_channel_variable_or_a_broken_message_does_not_stall_the_reading() -> None:
    recorder = Recorder()
    async with fake_ami.running() as fake, client(fake.port, recorder):
        await fake.send("Event: Newchannel", "ChanVariable: A=1", "ChanVariable: B", "Uniqueid: x")
        await fake.raw("a line without a colon\r\n\r\n\r\n\r\n: \r\n\r\n")
        await fake.send(Event="After")
        await until(lambda: recorder.events and recorder.events[-1]["Event"] == "After")
    assert [one["Event"] for one in recorder.events] == ["FullyBooted", "Newchannel", "After"]
    assert recorder.events[1]["Uniqueid"] == "x"


async def test_answers_find_their_question_in_whatever_order_they_come() -> None:
    waiting: list[Message] = []

    async def react(fake: FakeAmi, action: Message) -> None:
        waiting.append(action)
        if len(waiting) == 3:
            for one in reversed(waiting):
                await fake.send(Response="Success", ActionID=one["ActionID"], Said=one["Number"])

    async with fake_ami.running() as fake, client(fake.port, Recorder()) as ami:
        fake.react = react
        answers = await asyncio.gather(
            *(ami.ask("Question", [("Number", str(number))]) for number in range(3))
        )
    assert [answer[0]["Said"] for answer in answers] == ["0", "1", "2"]


async def test_a_listing_is_its_response_and_its_events_without_those_of_others() -> None:
    recorder = Recorder()

    async def react(fake: FakeAmi, action: Message) -> None:
        identity = action["ActionID"]
        await fake.send(Response="Success", ActionID=identity, EventList="start")
        await fake.send(Event="CoreShowChannel", ActionID=identity, Uniqueid="1")
        await fake.send(Event="Hangup", Uniqueid="other")
        await fake.send(Event="CoreShowChannel", ActionID=identity, Uniqueid="2")
        await fake.send(Event="Done", ActionID=identity, EventList="Complete")

    async with fake_ami.running() as fake, client(fake.port, recorder) as ami:
        fake.react = react
        answer = await ami.ask("CoreShowChannels", listing=True)
    assert [one.get("Uniqueid") for one in answer] == [None, "1", "2", None]
    assert [one["Event"] for one in recorder.events] == ["FullyBooted", "Hangup"]


async def test_a_question_that_is_never_answered_ends_in_one_line() -> None:
    async with fake_ami.running() as fake, client(fake.port, Recorder()) as ami:
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{fake.port}.*no answer to Question"):
            await ami.ask("Question", timeout_seconds=0.1)


async def test_actions_are_pipelined_without_waiting_for_an_answer() -> None:
    async with fake_ami.running() as fake, client(fake.port, Recorder()) as ami:
        for number in range(500):
            ami.tell("Originate", f"id-{number}", [("Async", "true")])
        await until(lambda: len(fake.actions) == 500)
    assert [one["ActionID"] for one in fake.actions] == [f"id-{n}" for n in range(500)]


async def test_a_lost_connection_is_told_questions_fail_and_it_comes_back() -> None:
    recorder = Recorder()
    async with fake_ami.running() as fake, client(fake.port, recorder) as ami:
        question = asyncio.create_task(ami.ask("Question"))
        await until(lambda: fake.actions)
        fake.drop()
        with pytest.raises(UnavailableError):
            await question
        await until(lambda: recorder.lost == 1)
        with pytest.raises(UnavailableError):
            ami.tell("Originate", "x", [])
        await until(lambda: ami.connected)
    assert (fake.logins, recorder.connected) == (2, 2)


async def test_a_connection_that_dies_silently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)
    recorder = Recorder()
    async with fake_ami.running() as fake, client(fake.port, recorder):
        fake.silent = True
        await until(lambda: recorder.lost >= 1)


async def test_a_wrong_password_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()
    async with fake_ami.running() as fake:
        with caplog.at_level(logging.WARNING):
            async with client(fake.port, recorder, secret="wrong", wait=False):
                await until(lambda: "refuses the user 'zanc' or its password" in caplog.text)
                await asyncio.sleep(1.0)
    assert len(caplog.records) == 1
    assert recorder.connected == 0


async def test_a_pbx_that_is_not_there_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with client(port, Recorder(), wait=False):
            await until(lambda: f"127.0.0.1:{port}" in caplog.text)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "value", ["a\r\nAction: Logoff", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\x85b"]
)
def test_a_value_with_a_control_character_never_reaches_the_pbx(value: str) -> None:
    with pytest.raises(DataError, match="CallerID holds a control character"):
        encode_action([("Action", "Originate"), ("CallerID", value)])


def test_a_header_name_is_checked_too() -> None:
    with pytest.raises(DataError, match="not a header name"):
        encode_action([("Action\r\nX", "y")])


async def test_what_is_dialled_is_checked_before_it_is_sent() -> None:
    pbx = AsteriskPbx(
        name="central",
        host="127.0.0.1",
        port=1,
        user="zanc",
        secret="x",
        log_folder=None,
        on_event=lambda *_: None,
        on_change=lambda: None,
    )
    good = "0" * 32
    for attempt_id, phone, caller_id in (
        (good, "190", "1140028900"),
        (good, "11912345678@other", "1140028900"),
        (good, "11912345678", '"x" <1>'),
        ("a,b", "11912345678", "1140028900"),
    ):
        with pytest.raises(DataError):
            pbx.originate(attempt_id, phone, trunk="carrier", caller_id=caller_id, ring_seconds=20)
    with pytest.raises(DataError):
        pbx.connect(good, "op01,1)")
    with pytest.raises(DataError):
        pbx.hang_up("x")


async def test_a_refusal_to_place_calls_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(fake: FakeAmi, message: Message) -> None:
        await fake.send(Response="Error", ActionID=message["ActionID"], Message="Permission denied")

    async with fake_ami.running() as fake:
        fake.react = refuse
        pbx = AsteriskPbx(
            name="central",
            host="127.0.0.1",
            port=fake.port,
            user="zanc",
            secret="right",
            log_folder=None,
            on_event=lambda *_: None,
            on_change=lambda: None,
        )
        task = asyncio.create_task(pbx.run())
        try:
            await until(lambda: pbx.connected)
            for digit in "01":
                pbx.originate(
                    digit * 32,
                    "11912345678",
                    trunk="carrier",
                    caller_id="1140028900",
                    ring_seconds=20,
                )
            await until(lambda: len(fake.actions) == 2 and "refuses" in caplog.text)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert caplog.text.count("PBX central refuses to place calls: Permission denied") == 1


@asynccontextmanager
async def asterisk(fake: FakeAmi, **options: object) -> AsyncIterator[AsteriskPbx]:
    pbx = AsteriskPbx(
        name="central",
        host="127.0.0.1",
        port=fake.port,
        user="zanc",
        secret="right",
        log_folder=None,
        on_event=lambda *_: None,
        on_change=lambda: None,
        **options,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(pbx.run())
    try:
        yield pbx
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (
            {"version": "11.25.3"},
            "version '11.25.3' is not known: Asterisk 16 to 22 are",
            "11.25.3",
        ),
        ({"version": "FreeSWITCH"}, "version 'FreeSWITCH' is not known", "FreeSWITCH"),
        ({"version": "23.0.0"}, "version '23.0.0' is not known", "23.0.0"),
        ({"contexts": ("default",)}, "no context zanc-answered", "zanc-answered"),
        ({"secret": "other"}, "refuses the user 'zanc' or its password", "a senha"),
        ({"greeting": b"220 smtp\r\n"}, "no manager interface of Asterisk greets", "não responde"),
    ],
    ids=["old", "another program", "too new", "without dialplan", "password", "no manager"],
)
async def test_a_pbx_that_can_not_be_used_is_left_out_with_one_line(
    change: dict[str, object], line: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with fake_ami.running() as fake:
        for name, value in change.items():
            setattr(fake, name, value)
        async with asterisk(fake) as pbx:
            await until(lambda: "it gets no calls" in caplog.text)
            assert not pbx.connected
            assert told in pbx.problem
    [record] = caplog.records
    assert line in record.getMessage()


async def test_a_pbx_without_tls_is_left_out_where_tls_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with fake_ami.running() as fake, asterisk(fake, tls=True) as pbx:
        await until(lambda: "it does not speak TLS" in caplog.text)
        assert pbx.problem == "não fala TLS"
    assert [record.name for record in caplog.records].count("dialer.ami") == 1


@pytest.mark.parametrize("version", ["16.28.0~dfsg-0+deb11u4", "22.10.0", "certified/18.9-cert4"])
async def test_the_versions_that_are_tested_are_used(version: str) -> None:
    async with fake_ami.running() as fake:
        fake.version = version
        async with asterisk(fake) as pbx:
            await until(lambda: pbx.connected)
            assert pbx.version == version


async def test_over_tls_two_threads_use_one_connection(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with (
        fake_ami.running(context) as fake,
        asterisk(fake, tls=True, ca=certificate) as pbx,
    ):
        await until(lambda: pbx.connected)
        for number in range(300):
            pbx.ami.tell("Originate", f"id-{number}", [("Async", "true")])
        await until(lambda: len(fake.actions) == 300)
    assert [one["ActionID"] for one in fake.actions] == [f"id-{n}" for n in range(300)]


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    async with fake_ami.running(context) as fake, asterisk(fake, tls=True):
        await until(lambda: "its certificate is not accepted" in caplog.text)


async def test_a_name_from_the_network_does_not_stall_the_reading() -> None:
    recorder = Recorder()
    async with fake_ami.running() as fake, client(fake.port, recorder):
        await fake.send(Event="Newstate", ConnectedLineName="Channel status will follow")
        await fake.raw("Event: A\r\nX: 1\r\n")
        await asyncio.sleep(0.05)  # a message may come in pieces
        await fake.raw("Y: 2\r\n\r\nEvent: B\r")
        await fake.raw("\n\r\n")
        await until(lambda: recorder.events and recorder.events[-1]["Event"] == "B")
    assert [one["Event"] for one in recorder.events] == ["FullyBooted", "Newstate", "A", "B"]
    assert recorder.events[2]["Y"] == "2"


async def test_times_of_a_pbx_whose_clock_is_off_are_corrected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, events.Event]] = []
    async with fake_ami.running() as fake:
        fake.ahead = 3600.0
        async with asterisk(fake) as pbx:
            pbx.on_event = lambda *event: told.append(event)
            await until(lambda: pbx.connected)
            stamp = f"{time.time() + fake.ahead:.6f}"
            await fake.send(Event="Newchannel", Uniqueid="0" * 32, Timestamp=stamp)
            await until(lambda: told)
            fake.ahead = 0.0  # it is set right while we are connected
            for number in range(2):
                sent = {"Event": "Newchannel", "Uniqueid": f"{number:032x}"}
                await fake.send(**sent, Timestamp=f"{time.time():.6f}")
            await until(lambda: abs(pbx.clock.ahead.total_seconds()) < 60)
            assert len(told) == 3
    assert all(abs(event.at.timestamp() - time.time()) < 60 for _, event in told)
    assert "its clock is +3600" in caplog.text
    assert caplog.text.count("its clock is") == 2


async def test_records_of_a_pbx_whose_clock_is_off_are_corrected_too(tmp_path: Path) -> None:
    attempt, now = "0" * 32, datetime.now(UTC).replace(microsecond=0)
    async with fake_ami.running() as fake:
        fake.ahead = 3600.0
        async with asterisk(fake) as pbx:
            await until(lambda: pbx.connected)
            pbx.log_folder = tmp_path
            (tmp_path / "cdr-csv").mkdir()
            its = f"{now + timedelta(hours=1):%Y-%m-%d %H:%M:%S}"
            row = ["", "", "s", "", "", "", "", "", "", its, its, its, "9", "9", "ANSWERED"]
            line = ",".join([*row, "", attempt, "machine"])
            (tmp_path / "cdr-csv" / "Master.csv").write_text(f"{line}\n")
            records = await pbx.records([attempt])
    assert records is not None
    [record] = records[attempt]
    assert abs((record.ended_at - now).total_seconds()) < 60
    assert record.answered_at == record.ended_at


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that only its owner vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "central")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "central.pem", folder / "central.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
