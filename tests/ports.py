"""Free ports for stacks and servers of the tests' own.

All lie below the range from which the system hands out ports to connections (from 32768). What is
handed out here is reserved by a name of an abstract socket, which ends with its process: runs of
the tests side by side never meet, whoever they belong to.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

_SPACING, _MOST = 127, 50
"""With this spacing no port of one stack is a port of another, and all stay below ``_SINGLE``."""
_OF_A_STACK = (5442, 8080, 5500, 2121, 8765, 8780, 5138, 5143, 5160, 5165, 5238, 5260, 5338, 5360)
_SINGLE = range(29_000, 32_768)
_held: dict[int, socket.socket] = {}


@contextmanager
def port_offset() -> Iterator[int]:
    """An offset that moves every port of ``config/stack.yaml`` to where nobody else is.

    It is reserved while the block runs.
    """
    for number in range(10, 10 + _MOST):
        offset = number * _SPACING
        reserved = _reserve(offset)
        if reserved is None:
            continue
        with reserved:
            if all(_free(port + offset) for port in _OF_A_STACK):
                yield offset
                return
    raise RuntimeError("no free range of ports")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now, for TCP and UDP; reserved until the process ends."""
    found: list[int] = []
    for port in _SINGLE:
        if len(found) == count:
            return found
        if port in _held:
            continue
        reserved = _reserve(port)
        if reserved is None:
            continue
        if _free(port):
            _held[port] = reserved
            found.append(port)
        else:
            reserved.close()
    raise RuntimeError("no free ports")


def _reserve(number: int) -> socket.socket | None:
    """A socket whose name stands for ``number``, unless another process has it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.bind(f"\0zanc-test-port-{number}")
    except OSError:
        made.close()
        return None
    return made


def _free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:  # a connection that just ended keeps nobody out
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
