"""One process at a time: a lock that its owner's death releases."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zanc_pipeline.common.errors import ZancError


@contextmanager
def only_one(path: Path, otherwise: ZancError) -> Iterator[None]:
    """Hold the lock file ``path``; raise ``otherwise`` when another process holds it.

    Children do not inherit it: one that a kill left behind keeps nobody out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise otherwise from None
        yield
