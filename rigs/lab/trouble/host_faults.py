"""Faults of the computer in the virtual lab: a full disk, a killed program."""

from __future__ import annotations

import os
import signal
import stat
from importlib import import_module
from typing import Any

from sweetspot.rigs.errors import BadInput

FDS = "/proc/self/fd"
LEAST_BYTES = 1 << 20


class Disk:
    """A disk that fills up, for this process alone.

    A resource limit of the kernel keeps every file of this process from growing beyond the largest that it has open for
    writing (``RLIMIT_FSIZE``): the next write past that point fails in the middle of the program that writes, with
    ``EFBIG`` where a full disk gives ``ENOSPC``. Files of other programs are left alone, and :meth:`free` undoes it.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def fill(self) -> None:
        """From now on no file can grow."""
        if self._before is None:
            resource = _posix("resource")
            self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (_largest(), self._before[1]))

    def free(self) -> None:
        """There is room again."""
        if self._before is not None:
            resource = _posix("resource")
            resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
            self._before = None


def _posix(name: str) -> Any:
    """A module that only POSIX systems have.

    Raises
    ------
    BadInput
        This system is none.
    """
    try:
        return import_module(name)
    except ImportError as fault:
        raise BadInput(f"--fault: a disk that fills up needs the module {name!r}, which this system lacks") from fault


def _largest() -> int:
    """Size of the largest ordinary file that is open for writing, bytes."""
    fcntl = _posix("fcntl")
    sizes = [LEAST_BYTES]
    for name in os.listdir(FDS):
        try:
            about = os.fstat(int(name))
            writes = fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        except OSError:  # the one that listed them is closed again
            continue
        if writes and stat.S_ISREG(about.st_mode):
            sizes.append(about.st_size)
    return max(sizes)


def crash() -> None:
    """End this process at once, as a power cut or the kernel's memory killer would."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
