"""Ends the stack when the ``zanc up`` that is starting it is killed before it is done.

Runs as one of the supervised processes, so that a killed ``up`` never leaves half a stack.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil


def watch(pid: int, *, every_seconds: float = 0.5) -> None:
    """Wait for the end of process ``pid``, then stop the supervisor that is our parent."""
    try:
        starter = psutil.Process(pid)
        while starter.is_running() and starter.status() != psutil.STATUS_ZOMBIE:
            time.sleep(every_seconds)
    except psutil.NoSuchProcess:
        pass
    os.kill(os.getppid(), signal.SIGTERM)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
