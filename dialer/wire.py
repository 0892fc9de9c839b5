"""The socket of a manager (AMI) connection, plain or TLS, as its two threads use it."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

from zanc_pipeline.common.errors import UnavailableError

GREETING = b"Asterisk Call Manager/"
SEND_SECONDS = 5.0
CHUNK = 65536


class LeftOut(UnavailableError):
    """A PBX that can't be used until a person changes something; ``told`` says it in Portuguese.

    ``silent``: or it stands still, and will be as it was.
    """

    def __init__(self, why: str, *, told: str, silent: bool = False) -> None:
        super().__init__("Asterisk", "", why)
        self.told, self.silent = told, silent
        self.args = (why,)


class Wire:
    """A connection to an Asterisk that greeted.

    Raises OSError when nobody is there, LeftOut when it is no manager interface of Asterisk, or no
    TLS is spoken where it should (or none is expected and it is).
    """

    def __init__(
        self, host: str, port: int, *, tls: bool, ca: Path | None, timeout_seconds: float
    ) -> None:
        link = socket.create_connection((host, port), timeout_seconds)
        self._tls = tls
        self._lock = threading.Lock()
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._link = self._secured(link, host, ca) if tls else link
            self._rest = self._greeted(timeout_seconds)
            limit = struct.pack("ll", int(SEND_SECONDS), 0)
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            # Cut off, what was not delivered yet must never arrive: an order to dial that comes
            # late would dial a person of whom it is long known that nothing was dialled.
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._link.settimeout(0 if tls else None)
        except BaseException:
            link.close()
            raise

    @staticmethod
    def _secured(link: socket.socket, host: str, ca: Path | None) -> socket.socket:
        try:
            context = ssl.create_default_context(cafile=ca)
            return context.wrap_socket(link, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            reason = f"its certificate is not accepted: {error.verify_message}"
            raise LeftOut(reason, told="o certificado TLS não é aceito") from None
        except (ssl.SSLError, TimeoutError, ConnectionResetError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise LeftOut(
                f"it does not speak TLS ({reason})",
                told="não fala TLS",
                silent=isinstance(error, TimeoutError),
            ) from None
        except OSError as error:
            if ca is not None and not ca.is_file():
                raise LeftOut(
                    f"{ca} (ami_ca) can't be read", told="falta o certificado da autoridade"
                ) from None
            raise error

    def _greeted(self, seconds: float) -> bytes:
        """What came after the greeting's line."""
        data, deadline = b"", time.monotonic() + seconds
        while b"\n" not in data and len(data) < 200:
            try:
                self._link.settimeout(max(0.01, deadline - time.monotonic()))
                more = self._link.recv(CHUNK)
            except TimeoutError:
                break
            if not more:
                break
            data += more
        greeting, _, rest = data.partition(b"\n")
        if not greeting.startswith(GREETING):
            hint = "" if self._tls else "; if it speaks TLS only, set ami_tls"
            raise LeftOut(
                f"no manager interface of Asterisk greets there{hint}",
                told="não responde como uma central Asterisk",
                silent=not data,
            )
        return rest

    def read(self) -> bytes:
        """The next bytes, empty at the end; raises OSError."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        if not self._tls:
            return self._link.recv(CHUNK)
        while True:
            # OpenSSL lets one thread at a time use a connection.
            with self._lock:
                try:
                    return self._link.recv(CHUNK)
                except ssl.SSLWantReadError:
                    pass
            self._wait(select.POLLIN, None)

    def send(self, data: bytes) -> None:
        """Write it all; raises OSError, also when nobody takes it for ``SEND_SECONDS``."""
        if not self._tls:
            self._link.sendall(data)
            return
        left = memoryview(data)
        while left:
            with self._lock:
                try:
                    left = left[self._link.send(left) :]
                    continue
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
            self._wait(select.POLLOUT, SEND_SECONDS)

    def _wait(self, what: int, seconds: float | None) -> None:
        poll = select.poll()
        poll.register(self._link.fileno(), what)
        if not poll.poll(None if seconds is None else int(seconds * 1000)):
            raise TimeoutError("nobody takes what is sent")

    def shut(self) -> None:
        """End both directions, from any thread; may be called twice."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the socket."""
        self._link.close()
