"""The manager interface over TLS on real Asterisks: with a certificate authority of one's own."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dialer import ami
from dialer import attempt as events
from dialer.pbx import AsteriskPbx
from tests.integration import pbx
from tests.patience import PATIENCE
from tests.ports import free_ports
from zanc_pipeline.stack import asterisk

pytestmark = pytest.mark.integration

ATTEMPT = "a" * 32
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True, kw_only=True)
class Secured:
    """An Asterisk that speaks TLS beside plain text, and who vouches for it."""

    central: asterisk.AsteriskInstance
    tls_port: int
    ca: Path
    other_ca: Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """A certificate authority of the test's own; its key lies beside its certificate."""
    certificate = folder / f"{name}.crt"
    openssl(
        "req", "-x509", *KEY, "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", str(folder / f"{name}.key"), "-out", str(certificate),
    )  # fmt: skip
    return certificate


def certificate(folder: Path, ca: Path, names: str) -> Path:
    """A key and a certificate of ``names`` that ``ca`` signed, in one file as Asterisk reads it."""
    key, request, made = (folder / f"pbx.{kind}" for kind in ("key", "csr", "crt"))
    openssl(
        "req", *KEY, "-nodes", "-subj", "/CN=pbx",
        "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    extensions = folder / "pbx.ext"
    extensions.write_text(f"subjectAltName={names}\n")
    openssl(
        "x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")),
        "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(made),
    )  # fmt: skip
    both = folder / "pbx.pem"
    both.write_text(key.read_text() + made.read_text())
    both.chmod(0o600)
    return both


@pytest.fixture(scope="module", params=[22, 16], ids=["central22", "central16"])
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    """A PBX by itself: no carrier, no phones."""
    folder = tmp_path_factory.mktemp(f"tls{request.param}")
    made = pbx.build_world(folder, central_version=request.param)
    ca, other = authority(folder, "ours"), authority(folder, "theirs")
    file = certificate(folder, ca, "IP:127.0.0.1")
    [port] = free_ports(1)
    manager = made.central.run_dir / "etc" / "manager.conf"
    lines = f"[general]\ntlsenable = yes\ntlsbindaddr = 127.0.0.1:{port}\ntlscertfile = {file}\n"
    manager.write_text(manager.read_text().replace("[general]\n", lines, 1))
    with pbx.run(made.central):
        yield Secured(central=made.central, tls_port=port, ca=ca, other_ca=other)


@asynccontextmanager
async def connecting(
    secured: Secured, *, port: int | None = None, tls: bool = True, ca: Path | None = None
) -> AsyncIterator[tuple[AsteriskPbx, list[events.Event]]]:
    """The dialer's own adapter, and what it hears of the one attempt."""
    heard: list[events.Event] = []
    made = AsteriskPbx(
        name="central",
        host="127.0.0.1",
        port=port or secured.tls_port,
        user=secured.central.ami_user,
        secret=secured.central.ami_secret,
        tls=tls,
        ca=ca,
        log_folder=None,
        on_event=lambda _attempt, event: heard.append(event),
        on_change=lambda: None,
    )
    task = asyncio.create_task(made.run())
    try:
        yield made, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - plain state, written by another task
            await asyncio.sleep(0.02)


async def test_over_tls_a_call_is_ordered_and_followed(secured: Secured) -> None:
    async with connecting(secured, ca=secured.ca) as (central, heard):
        await until(lambda: central.connected)
        assert central.version.startswith(str(secured.central.version))
        central.originate(
            ATTEMPT, "11987654321", trunk="carrier", caller_id="1140028900", ring_seconds=1
        )
        # Nobody is there to take it: it is told how it ended.
        await until(lambda: any(isinstance(one, events.HungUp | events.OriginateFailed)
                                for one in heard))  # fmt: skip
        assert (await central.live()).attempts == {}


@pytest.mark.parametrize(
    ("what", "told", "line"),
    [
        ("another authority", "o certificado TLS não é aceito", "its certificate is not accepted"),
        ("no authority", "o certificado TLS não é aceito", "its certificate is not accepted"),
        ("a file that is not there", "falta o certificado da autoridade", "(ami_ca) can't be read"),
        ("the plain port", "não fala TLS", "it does not speak TLS"),
        ("plain text", "não responde como uma central", "if it speaks TLS only, set ami_tls"),
    ],
)
async def test_what_does_not_fit_is_one_clear_line(
    secured: Secured,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    told: str,
    line: str,
) -> None:
    if what == "plain text":  # nobody greets: that is waited for
        monkeypatch.setattr(ami, "CONNECT_SECONDS", 0.5)
    caplog.set_level(logging.INFO, "dialer")
    given: dict[str, object] = {
        "another authority": {"ca": secured.other_ca},
        "no authority": {},
        "a file that is not there": {"ca": Path("/nowhere/ca.crt")},
        "the plain port": {"ca": secured.ca, "port": secured.central.ami_port},
        "plain text": {"tls": False},
    }[what]
    async with connecting(secured, **given) as (central, _):  # type: ignore[arg-type]
        await until(lambda: "it gets no calls" in caplog.text)
        assert told in central.problem
        assert not central.connected
    [record] = [one for one in caplog.records if one.name.startswith("dialer")]
    assert line in record.getMessage()
