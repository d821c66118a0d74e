"""Errors of the HDF5 library and the system as one message with the file and the location in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweetspot.rigs.errors import BadInput, DiskFull, HardwareTrouble, SweetspotError
from sweetspot.rigs.storage.atomic import FULL

LONGEST = 160
"""Characters of the library's own words that a message keeps."""


@contextmanager
def guarded(path: Path, what: str) -> Iterator[None]:
    """Around every call of the library: damage of any kind becomes one message.

    Parameters
    ----------
    what
        The object in it, or what is done.

    Raises
    ------
    BadInput
        It cannot be opened or read.
    DiskFull
        The disk is full.
    """
    try:
        yield
    except SweetspotError:
        raise
    except FileExistsError as fault:
        raise BadInput(f"{path}: exists already; it is never overwritten") from fault
    except FileNotFoundError as fault:
        raise BadInput(f"{path}: no such file") from fault
    except OSError as fault:
        raise _of_system(path, what, fault) from fault
    except MemoryError as fault:
        raise BadInput(f"{path}: {what}: is larger than the memory of this computer; the file is damaged") from fault
    except Exception as fault:  # the library raises nearly every kind on damaged files
        raise BadInput(f"{path}: {what}: {_words(fault)}; the file is damaged or was edited") from fault


def in_use(path: Path) -> BadInput:
    """The message on a file that somebody writes."""
    return BadInput(f"{path}: another program has it open for writing; wait until it has finished")


def _of_system(path: Path, what: str, fault: OSError) -> SweetspotError:
    words = _words(fault)
    if fault.errno in FULL or "No space left" in str(fault):
        return DiskFull(path, f"{path}: the disk is full ({words})")
    if isinstance(fault, BlockingIOError) or "unable to lock file" in str(fault):
        return in_use(path)
    if fault.errno == errno.EIO:
        return HardwareTrouble(f"{path}: {what}: the disk cannot read or write it ({words})")
    if fault.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        if not os.access(path, os.R_OK):
            return BadInput(f"{path}: no read permission")
        return BadInput(f"{path}: cannot be written: it or its folder {path.parent} is read-only")
    return BadInput(f"{path}: {what}: cannot be read ({words}); the file is damaged")


def _words(fault: BaseException) -> str:
    text = str(fault.args[0] if isinstance(fault, KeyError) and fault.args else fault).strip()
    line = (text.splitlines() or [type(fault).__name__])[0]
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
