"""A real Asterisk, 16 or 22, from Debian packages: relocated, without root, on loopback only.

``install`` once, ``render`` before every start, run ``command`` under a supervisor, ask
``healthcheck`` whether it serves.  Three kinds of instance share this code: ``central`` (a PBX of
the call centre), ``carrier`` (the simulated telephone network) and ``phones`` (the operators').
Their configuration is the templates under ``dialer/asterisk``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zanc_pipeline.common.errors import StackError
from zanc_pipeline.stack import debian

Kind = Literal["central", "carrier", "phones"]
Version = Literal[16, 22]

SUITES: Mapping[Version, str] = {16: "bullseye", 22: "sid"}
TEMPLATES = Path(__file__).parents[2] / "dialer" / "asterisk"

LOOPBACK = "127.0.0.1"
"""Where every Asterisk of ours listens, whatever ``host`` the other processes have."""

_SOCKET_LIMIT = 107
_SAFE_PATH = re.compile(r"[A-Za-z0-9/._+-]+")
_SAFE_VALUE = re.compile(r"[A-Za-z0-9._+:-]+")

_COMMON_MODULES = (
    "res_timing_timerfd",
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_pubsub",
    "res_pjsip_sdp_rtp",
    "res_pjsip_caller_id",
    "res_pjsip_nat",
    "res_pjsip_rfc3326",
    "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_endpoint_identifier_ip",
    "res_rtp_asterisk",
    "chan_pjsip",
    "codec_alaw",
    "format_wav",
    "func_rand",
    "func_timeout",
    "app_verbose",
    "app_playback",
    "pbx_config",
)
_OWN_MODULES: Mapping[Kind, tuple[str, ...]] = {
    "central": (
        "res_pjsip_endpoint_identifier_user",
        "res_pjsip_registrar",
        "bridge_simple",
        "bridge_native_rtp",
        "func_cdr",
        "func_channel",
        "cdr_csv",
        "cel_custom",
        "app_amd",
        "app_chanspy",
        "res_rtp_multicast",  # chan_rtp does not load without it
        "chan_rtp",
        "app_dial",
        "app_mixmonitor",
        "app_stack",
        "app_userevent",
    ),
    "carrier": ("res_speech", "res_agi", "func_cdr", "cdr_csv"),
    "phones": ("res_pjsip_outbound_registration",),
}
# Beside those: 22 moved what writes the lines of cel_custom into a module of its own.
_MODULES_OF_22: Mapping[Kind, tuple[str, ...]] = {"central": ("res_cdrel_custom",)}
_OWN_TEMPLATES: Mapping[Kind, tuple[str, ...]] = {
    "central": ("extensions", "pjsip", "manager", "amd", "cel", "cel_custom"),
    "carrier": ("extensions", "pjsip"),
    "phones": ("extensions", "pjsip"),
}
_SHARED_TEMPLATES = (
    "asterisk",
    "modules",
    "logger",
    "cdr",
    "rtp",
    "pjproject",
    "manager",
    "indications",
)
# Asked for at every start, by the core or by a module above; absence is a warning.
_EMPTY_CONFIGS = (
    "stasis",
    "cel",
    "ccss",
    "features",
    "udptl",
    "acl",
    "dsp",
    "codecs",
    "cli",
    "cli_permissions",
    "http",
    "sorcery",
    "extconfig",
    "res_stun_monitor",
    "say",
    "dnsmgr",
    "enum",
    "aeap",
)


@dataclass(frozen=True, kw_only=True)
class AsteriskInstance:
    """One Asterisk process: what it is, where it lives and which loopback ports are its own.

    ``extra`` by name; every secret and name may hold only letters, digits and ``. _ + -``:

    - all: ``speech_dir`` (the folder of ``zanc_pipeline.world.speech.ensure_speech``);
    - central: ``carrier_port``, ``trunk_secret``, ``operator_secrets`` (operator → password, in
      order) and ``operators`` (how many of them, all by default), optionally ``sip_host`` (where
      SIP and RTP listen, loopback by default), ``carrier_host``, ``trunk_user``, ``trunks`` (names
      of its SIP endpoints towards the carrier), ``peers`` (the other PBXs, through which operators
      are reached whose phones are registered there: name → host:port), ``peer_secret``,
      ``answer_wait``, ``listening_wait`` and ``operator_ring`` (seconds);
    - carrier: ``trunk_secret``, ``agi_port``, optionally ``trunk_user``;
    - phones: ``central_ports`` (PBX → its SIP port: every phone registers at each of them unless
      ``homes``, operator → PBX, names its only one), ``operator_secrets``, ``operators`` likewise,
      optionally ``talk_min`` and ``talk_max``: an operator ends a call after a random whole number
      of seconds between the two if the other side has not.
    """

    name: str
    version: Version
    install_root: Path
    run_dir: Path
    sip_port: int
    ami_port: int
    rtp_start: int
    rtp_end: int
    ami_user: str
    ami_secret: str = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Kind:
        """What it is: whatever is named neither carrier nor phones is a PBX of the call centre."""
        match self.name:
            case "carrier" | "phones":
                return self.name
        return "central"

    @property
    def cdr_path(self) -> Path:
        """Where its call detail records go (CSV, no header); absent before the first call."""
        return self.run_dir / "log" / "cdr-csv" / "Master.csv"

    @property
    def log_path(self) -> Path:
        """Its own notices, warnings and errors."""
        return self.run_dir / "log" / "messages"


@dataclass(frozen=True, kw_only=True)
class CdrRow:
    """One row of an Asterisk's call detail records. Times are UTC, ``YYYY-MM-DD HH:MM:SS``."""

    source: str
    destination: str
    channel: str
    start: str
    answer: str
    end: str
    duration: int
    billsec: int
    disposition: str
    uniqueid: str
    userfield: str


def operator_names(count: int) -> list[str]:
    """``op01`` … ``opNN``."""
    return [f"op{number:02d}" for number in range(1, count + 1)]


def install(version: Version, root: Path, progress: debian.Progress = lambda _line: None) -> Path:
    """Fetch Asterisk ``version`` under ``root``, once; returns ``root``. Raises StackError."""
    return debian.fetch(["asterisk"], SUITES[version], root, progress=progress)


def command(instance: AsteriskInstance) -> list[str]:
    """The foreground command line; it ends on SIGTERM."""
    return [*_asterisk(instance), "-f", "-C", str(_base(instance) / "etc" / "asterisk.conf")]


def cli_command(instance: AsteriskInstance, line: str) -> list[str]:
    """The command that has the running instance execute one line of Asterisk's console."""
    return [
        *_asterisk(instance),
        "-C",
        str(_base(instance) / "etc" / "asterisk.conf"),
        "-rx",
        line,
    ]


def render(instance: AsteriskInstance) -> None:
    """Write the whole configuration under ``run_dir`` (readable by its owner only).

    Raises StackError when a value can't be written safely into an Asterisk configuration.
    """
    run_dir, base = instance.run_dir, _base(instance)
    values = _values(instance, base)
    for folder in (
        "etc",
        "var",
        "data",
        "data/agi-bin",
        "data/sounds",
        "spool",
        "run",
        "log",
        "log/cdr-csv",
        "log/cel-custom",
    ):
        (run_dir / folder).mkdir(parents=True, exist_ok=True)
    run_dir.chmod(0o700)
    if base != run_dir:
        _private_folder(base)
        for folder in ("etc", "var", "data", "spool", "log"):
            _link(base / folder, run_dir / folder)
        (base / "run").mkdir(exist_ok=True)
    _link(base / "install", instance.install_root)
    # Modules find the description of their own options there, and refuse to load without.
    _link(
        base / "data" / "documentation", instance.install_root / "usr/share/asterisk/documentation"
    )
    _link(base / "data" / "sounds" / "zanc", Path(instance.extra["speech_dir"]))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML; every value is checked by _values
    )
    own = _OWN_TEMPLATES[instance.kind]
    for template in own:
        text = environment.get_template(f"{instance.kind}/{template}.conf.j2").render(values)
        _write_private(run_dir / "etc" / f"{template}.conf", text)
    for template in _SHARED_TEMPLATES:
        if template not in own:
            text = environment.get_template(f"common/{template}.conf.j2").render(values)
            _write_private(run_dir / "etc" / f"{template}.conf", text)
    empty = environment.get_template("common/empty.conf.j2").render()
    for config in set(_EMPTY_CONFIGS).difference(own):
        _write_private(run_dir / "etc" / f"{config}.conf", empty)


def healthcheck(instance: AsteriskInstance, timeout_seconds: float = 3.0) -> None:
    """Log in to its manager interface and wait until it has booted; raises StackError if not."""
    where = f"Asterisk {instance.name} ({LOOPBACK}:{instance.ami_port})"
    deadline = time.monotonic() + timeout_seconds
    login = (
        f"Action: Login\r\nActionID: health\r\nUsername: {instance.ami_user}\r\n"
        f"Secret: {instance.ami_secret}\r\nEvents: system\r\n\r\n"
    )
    received = b""
    try:
        with socket.create_connection((LOOPBACK, instance.ami_port), timeout_seconds) as link:
            link.sendall(login.encode())
            while b"FullyBooted" not in received:
                if b"Response: Error" in received:
                    raise StackError(f"{where} refuses its user {instance.ami_user}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise StackError(f"{where} has not booted after {timeout_seconds:.0f} s")
                link.settimeout(left)
                chunk = link.recv(65536)
                if not chunk:
                    raise StackError(f"{where} closed the connection")
                received += chunk
            link.sendall(b"Action: Logoff\r\n\r\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StackError(f"{where} does not answer: {reason}") from error


def remove_short_folder(instance: AsteriskInstance) -> None:
    """Remove the folder under the temporary folder that stood in for a long path, if any."""
    base = _base(instance)
    if base != instance.run_dir:
        shutil.rmtree(base, ignore_errors=True)


def read_cdr(path: Path) -> Iterator[CdrRow]:
    """Every call detail record so far; none if the file isn't there yet."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        for row in csv.reader(lines):
            if len(row) >= 18:
                yield CdrRow(
                    source=row[1],
                    destination=row[2],
                    channel=row[5],
                    start=row[9],
                    answer=row[10],
                    end=row[11],
                    duration=int(row[12] or 0),
                    billsec=int(row[13] or 0),
                    disposition=row[14],
                    uniqueid=row[16],
                    userfield=row[17],
                )


def _values(instance: AsteriskInstance, base: Path) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "sip_host": LOOPBACK,
        "carrier_host": LOOPBACK,
        "trunk_user": "zanc",
        "answer_wait": 2,
        "listening_wait": 3.7,
        "operator_ring": 4,
        "trunks": ("carrier",),
        "peers": {},
        "peer_secret": "none",
        "central_ports": {},
        "homes": {},
        "talk_min": 20,
        "talk_max": 60,
        "talks": 6,
        "lines": 6,
    }
    secrets: Mapping[str, str] = instance.extra.get("operator_secrets", {})
    count = int(instance.extra.get("operators", len(secrets)))
    operators = list(secrets.items())[:count]
    if len(operators) < count:
        raise StackError(f"{count} operators, but passwords for {len(operators)} only")
    values: dict[str, Any] = {
        **defaults,
        **{key: value for key, value in instance.extra.items() if key != "operator_secrets"},
        "name": instance.name,
        "sip_port": instance.sip_port,
        "ami_port": instance.ami_port,
        "rtp_start": instance.rtp_start,
        "rtp_end": instance.rtp_end,
        "ami_user": instance.ami_user,
        "ami_secret": instance.ami_secret,
    }
    pairs: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += [(key, part) for pair in value.items() for part in pair]
        elif isinstance(value, tuple):
            pairs += [(key, part) for part in value]
        elif key != "speech_dir":
            pairs.append((key, value))
    for operator, secret in operators:
        if re.fullmatch(r"op[0-9A-Za-z]+", operator) is None:
            raise StackError(f"operator {operator!r}: a name is 'op' and letters or digits")
        pairs.append((f"password of {operator}", secret))
    for key, value in pairs:
        if _SAFE_VALUE.fullmatch(str(value)) is None:
            raise StackError(
                f"Asterisk {instance.name}: {key} may hold only letters, digits and . _ + : -"
            )
    modules = [*_COMMON_MODULES, *_OWN_MODULES[instance.kind]]
    if instance.version == 22:
        modules += _MODULES_OF_22.get(instance.kind, ())
    return {
        **values,
        "base": base,
        "module_folder": _module_folder(instance.install_root),
        "modules": modules,
        "operators": operators,
    }


def _base(instance: AsteriskInstance) -> Path:
    """The folder by whose name Asterisk knows its files.

    It is ``run_dir`` unless that is too long for a unix socket or holds a character that its
    configuration can't; then it is a short private folder of links to it.
    """
    run_dir = str(instance.run_dir)
    if (
        len(f"{run_dir}/run/asterisk.ctl") <= _SOCKET_LIMIT
        and _SAFE_PATH.fullmatch(run_dir) is not None
    ):
        return instance.run_dir
    digest = hashlib.sha256(run_dir.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"zanc-{os.getuid()}-{digest}"


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StackError(f"{folder} belongs to somebody else; remove it and try again")
    folder.chmod(0o700)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.readlink() == target.absolute():
            return
        link.unlink()
    link.symlink_to(target.absolute())


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)


def _asterisk(instance: AsteriskInstance) -> list[str]:
    return debian.relocated(instance.install_root, "usr/sbin/asterisk")


def _module_folder(root: Path) -> str:
    candidates = [root / "usr/lib/asterisk/modules", *root.glob("usr/lib/*/asterisk/modules")]
    for folder in candidates:
        if (folder / "pbx_config.so").exists():
            return str(folder.relative_to(root))
    raise StackError(f"no Asterisk is installed under {root}; run the installation again")
