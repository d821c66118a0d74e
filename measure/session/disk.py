"""Check of free disk space before a session file changes."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from sweetspot.rigs.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a file that cannot grow: disk, quota or size limit."""

MARGIN_BYTES = 4 << 20
"""Space that is left free on the disk, so that the file can always be closed whole."""


def need(path: Path, wanted: int, what: str) -> None:
    """Check that this many bytes are free beside a session.

    Raises
    ------
    DiskFull
        They are not.
    """
    free = shutil.disk_usage(path.parent).free
    if free < wanted:
        raise DiskFull(
            path,
            f"{path.parent}: the disk is full: {free / 1e6:.1f} MB free, {wanted / 1e6:.1f} MB needed for {what}",
        )


def try_to_grow(path: Path, handle: int, wanted: int) -> None:
    """Try, before a byte of it changes, whether an open file can grow; it is left as long as it was.

    A quota or a limit only shows when something is written, and a write that fails half-way leaves a file that nothing
    reads.

    Raises
    ------
    DiskFull
        It cannot.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    size = os.fstat(handle).st_size
    try:
        os.posix_fallocate(handle, size, wanted)
        os.ftruncate(handle, size)
    except OSError as fault:
        if fault.errno in FULL:
            words = os.strerror(fault.errno or errno.ENOSPC)
            raise DiskFull(path, f"{path}: the disk is full ({words[0].lower()}{words[1:]})") from fault
