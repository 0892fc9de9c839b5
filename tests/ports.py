"""Free ports for stacks of the tests' own."""

import os
import socket


def free_port_offset() -> int:
    """An offset that moves every port of ``config/stack.yaml`` to a range that is free now."""
    for offset in range(20000 + (os.getpid() % 50) * 200, 40000, 200):
        if all(_free(port + offset) for port in (5442, 8080, 5500, 2121, 8765, 8780, 5138, 5238)):
            return offset
    raise RuntimeError("no free range of ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
