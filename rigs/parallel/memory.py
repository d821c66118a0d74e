"""Memory that this process frees, kept for what it computes next."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = (-1, 1 << 27), (-3, 1 << 25)
"""glibc's parameters by number, and bytes: up to how much freed memory stays, and from which size on it never does."""


@cache
def keep_freed_memory() -> None:
    """Have this process keep what it frees, where its C library is glibc.

    Else arrays are given back to the system and taken from it again, at a page fault each 4 kB: 4,000 a unit of a fleet
    (10 ms), 130,000 a map of the listening zone (170 ms). Dask starts workers with a trim threshold of 64 kB besides: a
    unit took 0.64 s instead of 0.36. A process that is copied should do it afterwards: pages that it keeps are copied
    when either writes them.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        for name, size in TRIM_THRESHOLD, MMAP_THRESHOLD:
            library.mallopt(name, size)
