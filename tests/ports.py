"""Free ports for stacks of the tests' own."""

import fcntl
import socket
import tempfile
from pathlib import Path
from typing import IO

_SPACING, _MOST = 127, 50
"""With this spacing no port of one stack is a port of another; all stay below the range from
which the system hands out ports."""
_held: list[IO[str]] = []


def free_port_offset() -> int:
    """An offset that moves every port of ``config/stack.yaml`` to where nobody else is.

    It is reserved until this process ends, so that tests that run side by side never meet.
    """
    folder = Path(tempfile.gettempdir()) / "zanc-test-ports"
    folder.mkdir(exist_ok=True)
    for number in range(10, 10 + _MOST):
        offset = number * _SPACING
        lock = (folder / str(offset)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if all(_free(port + offset) for port in (5442, 8080, 5500, 2121, 8765, 8780, 5138, 5238)):
            _held.append(lock)
            return offset
        lock.close()
    raise RuntimeError("no free range of ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
