"""A PBX (central) as the engine sees it, and Asterisk as one."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Protocol

from dialer import attempt as events
from dialer.ami import Ami, Headers, number_of
from dialer.pbx_clock import PbxClock
from dialer.rules import check_number
from dialer.truth import Record, moments_of, read_causes, read_records
from dialer.wire import LeftOut
from zanc_pipeline.common.errors import DataError, UnavailableError

log = logging.getLogger(__name__)

ANSWERED_CONTEXT = "zanc-answered"
OPERATOR_CONTEXT = "zanc-operator"
LISTENING_CONTEXT = "zanc-listening"
SUPERVISOR_CONTEXT, LISTEN_CONTEXT = "zanc-supervisor", "zanc-listen-in"

ATTEMPT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
OPERATOR_ID = re.compile(r"op[0-9]{2,4}", re.ASCII)
TRUNK_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
OLDEST, NEWEST = 16, 22
"""Versions of Asterisk between which what we use of it is the same; both ends are in the tests."""
BOOT_SECONDS = 10.0
_VERSION = re.compile(r"(?:certified/|GIT-)?(\d+)[.-]", re.ASCII)
_STATE_RINGING, _STATE_UP = 5, 6
_REASON_RANG_OUT = "3"
FAILED_SECONDS = 1.0
"""Asterisk tells the failure of an order by another way than what happens to its channel: on a
loaded PBX either could overtake the other. So a failure waits for the news that there is a channel
at all, and a hangup without a cause for the news that the phone rang until the limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveCalls:
    """The channels that a PBX has now: what each attempt's channel proves about it."""

    at: datetime
    started_at: datetime
    attempts: dict[str, tuple[events.Event, ...]]


class Pbx(Protocol):
    """What the engine needs of a PBX. Times are aware."""

    name: str
    version: str
    """As it says itself, empty before it did."""
    log_folder: Path | None
    """Where its call records lie, and its recordings beside them; None when out of reach."""

    @property
    def connected(self) -> bool:
        """Whether calls can be placed now."""

    @property
    def problem(self) -> str:
        """Why not, in Portuguese."""

    @property
    def dead(self) -> bool:
        """Whether nobody listens at its address: its process is gone, and all of its calls."""

    def originate(
        self,
        attempt_id: str,
        phone: str,
        *,
        trunk: str,
        caller_id: str,
        ring_seconds: int,
        record: bool = False,
    ) -> None:
        """Place a call; what becomes of it comes as events. Raises UnavailableError, DataError.

        ``record``: the conversation goes to ``<attempt id>.wav`` in the PBX's folder.
        """

    def connect(self, attempt_id: str, operator: str) -> None:
        """Move the call to the operator's phone."""

    def hang_up(self, attempt_id: str) -> None:
        """End the call."""

    def listen(self, attempt_id: str, listener: str) -> None:
        """Ring the phone ``listener``, which then hears the call and is not heard in it."""

    async def live(self) -> LiveCalls:
        """Ask for its channels; raises UnavailableError."""

    async def records(self, attempts: Collection[str]) -> dict[str, list[Record]] | None:
        """Call detail records of ``attempts``; None when they can't be read."""


def translate(headers: Headers, at: datetime) -> tuple[str, events.Event] | None:
    """The attempt and the event that an AMI event tells of, or None when it concerns none.

    ``at`` is when it happened, by our clock.
    """
    match headers.get("Event"):
        case "UserEvent":
            return _user_event(headers, at)
        case "OriginateResponse":
            attempt_id = headers.get("ActionID", "")
            if headers.get("Response") == "Success":
                return attempt_id, events.Answered(at=at)
            rang_out = headers.get("Reason") == _REASON_RANG_OUT
            return attempt_id, events.OriginateFailed(at=at, rang_out=rang_out)
        case "Newchannel":
            return headers.get("Uniqueid", ""), events.Created(at=at)
        case "Newstate":
            state = number_of(headers, "ChannelState")
            if state == _STATE_RINGING:
                return headers.get("Uniqueid", ""), events.Ringing(at=at)
            if state == _STATE_UP:
                return headers.get("Uniqueid", ""), events.Answered(at=at)
        case "Hangup":
            cause = number_of(headers, "Cause")
            return headers.get("Uniqueid", ""), events.HungUp(at=at, cause=cause)
    return None


def may_be_early(event: events.Event) -> bool:
    """Whether what came before it may be told after it."""
    match event:
        case events.OriginateFailed(rang_out=rang_out):
            return not rang_out
        case events.HungUp(cause=cause):
            return cause == 0
    return False


def _user_event(headers: Headers, at: datetime) -> tuple[str, events.Event] | None:
    attempt_id, operator = headers.get("Attempt", ""), headers.get("Operator", "")
    match headers.get("UserEvent"):
        case "ZancDetected":
            machine = headers.get("Status") == "MACHINE"
            return attempt_id, events.Detected(at=at, machine=machine)
        case "ZancConnected":
            return attempt_id, events.Connected(at=at, operator=operator)
        case "ZancOperatorGone":
            talked = headers.get("Status") == "ANSWER"
            return attempt_id, events.OperatorGone(at=at, operator=operator, talked=talked)
        case "ZancAbandoned":
            return attempt_id, events.GivenUp(at=at)
    return None


def channel_events(
    channels: list[Headers], now: datetime, ahead: timedelta = timedelta()
) -> dict[str, tuple[events.Event, ...]]:
    """What a list of channels (CoreShowChannel events) proves about each attempt among them.

    Only what is certain: a channel in a bridge talks to the operator that shares the bridge; one in
    ``Wait`` of the answered context was taken for a person; one in ``Playback`` hears the safe
    message; one that is up is answered. Since when is told by its account code (``moments_of``),
    by a clock that is ``ahead`` of ours; of one that does not tell, it is since ``now``.
    """
    by_bridge: dict[str, str] = {}
    for channel in channels:
        name = channel.get("Channel", "").removeprefix("PJSIP/").rpartition("-")[0]
        if channel.get("BridgeId") and OPERATOR_ID.fullmatch(name):
            by_bridge[channel["BridgeId"]] = name
    found: dict[str, tuple[events.Event, ...]] = {}
    for channel in channels:
        attempt_id = channel.get("Uniqueid", "")
        if ATTEMPT_ID.fullmatch(attempt_id):
            found[attempt_id] = _proofs(channel, by_bridge, now, ahead)
    return found


def _proofs(
    channel: Headers, by_bridge: dict[str, str], now: datetime, ahead: timedelta
) -> tuple[events.Event, ...]:
    state = number_of(channel, "ChannelState")
    operator = by_bridge.get(channel.get("BridgeId", ""))
    called = channel.get("Exten", "")
    bridged = channel.get("BridgeId") and channel.get("Context") == OPERATOR_CONTEXT
    if bridged and OPERATOR_ID.fullmatch(called):  # it may talk through another PBX
        operator = operator or called
    created = events.Created(at=now)
    answered_at, connected_at = (
        now if moment is None else min(moment - ahead, now)
        for moment in moments_of(channel.get("AccountCode", ""))
    )
    if operator is not None:
        connected = events.Connected(at=connected_at, operator=operator)
        return (created, events.Answered(at=min(answered_at, connected_at)), connected)
    if state == _STATE_RINGING:
        return (created, events.Ringing(at=now))
    if state != _STATE_UP:
        return (created,)
    answered = events.Answered(at=answered_at)
    if channel.get("Context") == ANSWERED_CONTEXT:
        match channel.get("Application", "").lower():
            case "wait":
                return (created, answered, events.Detected(at=now, machine=False))
            case "playback":
                return (created, answered, events.GivenUp(at=now))
    return (created, answered)


@dataclass
class AsteriskPbx:
    """An Asterisk with the dialplan of ``dialer/asterisk/central``, 16 to 22.

    ``on_event`` gets (attempt id, event) of calls, ``on_change`` is called when the connection
    comes or goes. ``log_folder`` holds its call detail records and its channel event log, None when
    that is out of our reach.
    """

    name: str
    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    log_folder: Path | None
    on_event: Callable[[str, events.Event], None]
    on_change: Callable[[], None]
    tls: bool = False
    ca: Path | None = None
    heard: bool = False
    """Whether we tell by the sound who answered (``dialer.alo``) instead of its own detection."""
    version: str = field(default="", init=False)
    ami: Ami = field(init=False)
    _booted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    clock: PbxClock = field(init=False)
    _boot_at: datetime | None = field(default=None, init=False)
    _started_at: datetime | None = field(default=None, init=False)
    _sequence: int = field(default=0, init=False)
    _refusal: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.ami = Ami(
            host=self.host,
            port=self.port,
            user=self.user,
            secret=self.secret,
            on_event=self._event,
            on_connected=self.on_change,
            on_lost=self._lost,
            prepare=self._prepare,
            tls=self.tls,
            ca=self.ca,
        )
        self.clock = PbxClock(self.name, self._ping)

    @property
    def connected(self) -> bool:
        """Logged in, and the PBX said that it has booted."""
        return self.ami.connected and self._started_at is not None

    @property
    def problem(self) -> str:
        """Why it is not connected, in Portuguese."""
        return self.ami.problem

    @property
    def dead(self) -> bool:
        """Whether nobody listens at its address."""
        return self.ami.refusing

    async def run(self) -> None:
        """Stay connected until cancelled."""
        try:
            await self.ami.run()
        finally:
            self.ami.close()

    async def _prepare(self) -> None:
        """Look whether it is a PBX that we can use; raises LeftOut when it is none.

        Raises UnavailableError while it boots: only afterwards it knows its dialplan.
        """
        self._started_at = None
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                await self._booted.wait()
        except TimeoutError:
            raise UnavailableError("Asterisk", self.ami.address, "it has not booted yet") from None
        finally:
            self._booted.clear()
        [told] = await self.ami.ask("CoreSettings")
        self.version = told.get("AsteriskVersion", "")
        number = _VERSION.match(self.version)
        if number is None or not OLDEST <= int(number[1]) <= NEWEST:
            raise LeftOut(
                f"version '{self.version}' is not known: Asterisk {OLDEST} to {NEWEST} are",
                told=f"versão {self.version or 'desconhecida'}: servem as de {OLDEST} a {NEWEST}",
            )
        for context in (ANSWERED_CONTEXT, OPERATOR_CONTEXT):
            answer = await self.ami.ask("ShowDialPlan", [("Context", context)], listing=True)
            if answer[0].get("Response") != "Success":
                raise LeftOut(
                    f"its dialplan has no context {context}: see dialer/asterisk/central",
                    told=f"falta o contexto {context} no plano de discagem",
                )
        await self.clock.compare()
        self._started_at = self._boot_at

    async def _ping(self) -> Headers:
        return (await self.ami.ask("Ping"))[0]

    def originate(
        self,
        attempt_id: str,
        phone: str,
        *,
        trunk: str,
        caller_id: str,
        ring_seconds: int,
        record: bool = False,
    ) -> None:
        """Ask for a call from the answered context to ``phone`` through ``trunk``."""
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        _check(TRUNK_NAME, trunk, "trunk")
        self.ami.tell(
            "Originate",
            attempt_id,
            [
                ("Channel", f"PJSIP/{check_number(phone)}@{trunk}"),
                ("ChannelId", attempt_id),
                ("Context", ANSWERED_CONTEXT),
                ("Exten", "s"),
                ("Priority", "1"),
                ("Timeout", str(ring_seconds * 1000)),
                ("CallerID", check_number(caller_id)),
                ("Variable", f"ZANC_ATTEMPT={attempt_id}"),
                *([("Variable", "ZANC_RECORD=1")] if record else []),
                *([("Variable", "ZANC_ALO=1")] if self.heard else []),
                ("Async", "true"),
            ],
        )

    def connect(self, attempt_id: str, operator: str) -> None:
        """Redirect the call to the operator's extension."""
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        _check(OPERATOR_ID, operator, "operator")
        self.ami.tell(
            "Redirect",
            self._action_id(),
            [
                ("Channel", attempt_id),
                ("Context", OPERATOR_CONTEXT),
                ("Exten", operator),
                ("Priority", "1"),
            ],
        )

    def hang_up(self, attempt_id: str) -> None:
        """Hang the call's channel up."""
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        self.ami.tell("Hangup", self._action_id(), [("Channel", attempt_id), ("Cause", "16")])

    def listen(self, attempt_id: str, listener: str) -> None:
        """Ring the phone of a supervisor, who then hears both sides of the call."""
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        _check(OPERATOR_ID, listener, "phone")
        self.ami.tell(
            "Originate",
            self._action_id(),
            [
                ("Channel", f"Local/{listener}@{SUPERVISOR_CONTEXT}/n"),
                ("Context", LISTEN_CONTEXT),
                ("Exten", "s"),
                ("Priority", "1"),
                ("Timeout", "20000"),
                ("Variable", f"ZANC_LISTEN={attempt_id}"),
                ("Async", "true"),
            ],
        )

    def hear(self, attempt_id: str, address: str, port: int) -> None:
        """Send what the called person says, as RTP in G.711 A-law, to a UDP port of ours.

        Nobody on the call hears anything of it; it ends with the call.
        """
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        self.ami.tell(
            "Originate",
            self._action_id(),
            [
                ("Channel", f"UnicastRTP/{ip_address(address)}:{port}/c(alaw)"),
                ("ChannelId", f"ear-{attempt_id}"),
                ("Application", "ChanSpy"),
                ("Data", f"{attempt_id},uqosE"),
                ("Async", "true"),
            ],
        )

    def answered_by(self, attempt_id: str, verdict: Literal["human", "machine"]) -> None:
        """Tell the dialplan who answered a call that waits in ``zanc-listening``; hear no more."""
        self.hear_no_more(attempt_id)
        self.ami.tell(
            "Redirect",
            self._action_id(),
            [
                ("Channel", attempt_id),
                ("Context", LISTENING_CONTEXT),
                ("Exten", verdict),
                ("Priority", "1"),
            ],
        )

    def hear_no_more(self, attempt_id: str) -> None:
        """End what ``hear`` began; the call goes on."""
        _check(ATTEMPT_ID, attempt_id, "attempt id")
        self.ami.tell("Hangup", self._action_id(), [("Channel", f"ear-{attempt_id}")])

    async def live(self) -> LiveCalls:
        """Its channels now."""
        started_at = self._started_at
        if started_at is None:
            raise UnavailableError("Asterisk", self.ami.address, "it has not booted yet")
        await self.clock.compare()
        answer = await self.ami.ask("CoreShowChannels", listing=True)
        if answer[0].get("Response") != "Success":
            reason = answer[0].get("Message", "")
            raise UnavailableError("Asterisk", self.ami.address, f"it lists no channels: {reason}")
        now = datetime.now(UTC)
        found = channel_events(answer[1:], now, self.clock.ahead)
        return LiveCalls(at=now, started_at=started_at, attempts=found)

    async def records(self, attempts: Collection[str]) -> dict[str, list[Record]] | None:
        """Its records of ``attempts``; None when there is no file of ours to read."""
        if self.log_folder is None or not (self.log_folder / "cdr-csv").is_dir():
            return None
        try:
            found = await asyncio.to_thread(_records, self.log_folder, frozenset(attempts))
        except OSError as error:
            log.warning("PBX %s: its call records can't be read: %s", self.name, error)
            return None
        return {
            attempt: [_by_our_clock(row, self.clock.ahead) for row in rows]
            for attempt, rows in found.items()
        }

    def _action_id(self) -> str:
        self._sequence += 1
        return f"do-{self._sequence}"

    def _event(self, headers: Headers) -> None:
        now = datetime.now(UTC)
        if headers.get("Event") == "FullyBooted":
            self._boot_at = now - timedelta(seconds=number_of(headers, "Uptime"))
            self._booted.set()
            return
        if headers.get("Response") == "Error" and "Event" not in headers:
            self._refused(headers)
            return
        told = translate(headers, self.clock.moment(headers, now))
        if told is None or not ATTEMPT_ID.fullmatch(told[0]):
            return
        if may_be_early(told[1]):
            asyncio.get_running_loop().call_later(FAILED_SECONDS, self.on_event, *told)
        else:
            self.on_event(*told)

    def _refused(self, headers: Headers) -> None:
        """It takes no order to dial: end the attempt, and tell once why."""
        reason, attempt_id = headers.get("Message", ""), headers.get("ActionID", "")
        if not ATTEMPT_ID.fullmatch(attempt_id):
            return
        if reason != self._refusal:
            log.warning("PBX %s refuses to place calls: %s", self.name, reason)
            self._refusal = reason
        self.on_event(attempt_id, events.Refused(at=datetime.now(UTC), reason=reason))

    def _lost(self) -> None:
        self._started_at = None
        self.on_change()


def _records(log_folder: Path, attempts: frozenset[str]) -> dict[str, list[Record]]:
    records = read_records(log_folder / "cdr-csv" / "Master.csv", attempts)
    causes = read_causes(log_folder / "cel-custom" / "hangups.csv", attempts)
    return {
        attempt: [replace(row, cause=causes.get(attempt)) for row in rows]
        for attempt, rows in records.items()
    }


def _by_our_clock(row: Record, ahead: timedelta) -> Record:
    def ours(moment: datetime | None) -> datetime | None:
        return None if moment is None else moment - ahead

    return replace(
        row,
        answered_at=ours(row.answered_at),
        connected_at=ours(row.connected_at),
        ended_at=row.ended_at - ahead,
    )


def _check(pattern: re.Pattern[str], value: str, what: str) -> None:
    if pattern.fullmatch(value) is None:
        raise DataError(f"{value!r} is not a valid {what}")
