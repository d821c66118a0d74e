"""Check of free disk space before a session file changes."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from sweetspot.rigs.errors import HardwareTrouble, again

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a file that cannot grow: disk, quota or size limit."""

MARGIN_BYTES = 4 << 20
"""Space that is left free on the disk, so that the file can always be closed whole."""


AT_A_TIME = 64 << 20
"""Bytes that a file is tried to grow by."""


def need(path: Path, wanted: int, what: str) -> None:
    """Check that this many bytes are free beside a session.

    Raises
    ------
    HardwareTrouble
        They are not.
    """
    free = shutil.disk_usage(path.parent).free
    if free < wanted:
        raise HardwareTrouble(
            f"{path.parent}: the disk is full: {free / 1e6:.1f} MB free, {wanted / 1e6:.1f} MB needed for "
            f"{what}. Captures so far are kept; free some space, then: {again(path)}"
        )


def room(path: Path, handle: int, wanted: int, known: int = 0) -> int:
    """Try, before a byte of it changes, whether an open file can grow; it is left as long as it was.

    A quota or a limit only shows when something is written, and a write that fails half-way loses what is not flushed.
    Blocks that were tried are free again only when the system has written its journal, so what follows lies elsewhere:
    a file that was tried for each of 96 captures has 190 extents instead of 4, and takes 0.5 s to be replaced on a disk
    that is mounted with ``discard``.

    Parameters
    ----------
    wanted
        Bytes that it must grow by.
    known
        Length that was found before.

    Returns
    -------
    Length that it can reach: more than is wanted where the disk allows, so that it is seldom tried.

    Raises
    ------
    HardwareTrouble
        It cannot.
    """
    size = os.fstat(handle).st_size
    if size + wanted <= known or not hasattr(os, "posix_fallocate"):
        return known
    more = max(wanted, AT_A_TIME)
    if _refused(handle, size, more) is None:
        return size + more
    fault = _refused(handle, size, wanted)
    if fault is not None:
        words = os.strerror(fault.errno or errno.ENOSPC)
        raise HardwareTrouble(
            f"{path}: the disk is full ({words[0].lower()}{words[1:]}). Captures so far are kept; free some space, "
            f"then: {again(path)}"
        ) from fault
    return size + wanted


def _refused(handle: int, size: int, more: int) -> OSError | None:
    """The system's error when a file is to grow by so many bytes, if it says that there is no room."""
    try:
        os.posix_fallocate(handle, size, more)
    except OSError as fault:
        return fault if fault.errno in FULL else None
    finally:
        os.ftruncate(handle, size)
    return None
