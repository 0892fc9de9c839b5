"""What becomes of memory that numpy lets go."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 128 * 1024 * 1024
_LARGEST_HELD = 32 * 1024 * 1024
"""The most that glibc allows for ``M_MMAP_THRESHOLD`` (mallopt(3))."""


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 128 MB of freed memory for this process's next arrays.

    It returns every large array to the system else, which clears each page again when the next
    batch of rows asks for the same: a sixth of the time that a file takes. Nothing happens where
    the C library has no ``mallopt``.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_HELD)
