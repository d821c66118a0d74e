"""One writer at a time: a lock beside a run folder or an output file, released when its process ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage.atomic import cause, discard

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: no lock, see :func:`alone`
    fcntl = None  # type: ignore[assignment]

UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""System errors of disks without locks."""

APPEND_S = 10.0
"""How long a line of a shared record waits for others to write theirs, s; one takes milliseconds."""
AGAIN_S = 0.02

_held: dict[Path, int] = {}
"""Locks of this process with their counts: a command may call another one's steps."""


@contextmanager
def alone(target: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only process that writes a run folder or an output file.

    The lock is the system's own (``flock``) on a hidden file beside the target, with pid, computer and command inside
    for the message. The system releases it when the process ends, so that no crash leaves a lock behind. On network
    disks it holds as far as the disk's own locks do (NFS from version 3 with its lock service, version 4, SMB); a disk
    without any, and systems without ``flock``, work unlocked.

    Parameters
    ----------
    target
        Folder, which holds its lock as ``.lock``; or file, whose lock is ``.NAME.lock`` beside it.
    wait_s
        How long to wait for another process, s.

    Raises
    ------
    BadInput
        Another process holds it; names its pid, computer and command. Or the lock cannot be made.
    """
    place = Path(os.path.realpath(target))
    file = place / ".lock" if place.is_dir() else place.with_name(f".{place.name[:120]}.lock")
    if fcntl is None or file in _held:
        _held[file] = _held.get(file, 0) + 1
        try:
            yield
        finally:
            _held[file] -= 1
            if not _held[file]:
                del _held[file]
        return
    handle = _taken(file, target, time.monotonic() + wait_s)
    _held[file] = 1
    try:
        yield
    finally:
        del _held[file]
        if handle is not None:
            discard(file)
            with contextlib.suppress(OSError):
                os.close(handle)


@contextmanager
def alone_in(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only process that writes into a folder, which is created if missing; see :func:`alone`.

    Raises
    ------
    BadInput
        Another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{folder}: {cause(fault, folder)}") from fault
    with alone(folder, wait_s):
        yield


def _taken(file: Path, target: Path, until: float) -> int | None:
    """Handle of the locked file, tried until a time of the monotonic clock; ``None`` on a disk without locks."""
    while True:
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise BadInput(f"{target}: {cause(fault, file)} (its lock {file.name} cannot be made)") from fault
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(file).st_ino == os.fstat(handle).st_ino:
                _sign(handle)
                return handle
            os.close(handle)  # its owner let go and removed it between the two calls: once more
        except FileNotFoundError:
            os.close(handle)
        except OSError as fault:
            owner = _owner(handle)
            os.close(handle)
            if fault.errno in UNSUPPORTED:
                return None
            if time.monotonic() < until:
                time.sleep(AGAIN_S)
                continue
            raise BadInput(f"{target}: in use by {owner}; wait until it has finished, or end it") from fault


def _sign(handle: int) -> None:
    """Write who holds the lock; a full disk only costs the message its names."""
    arguments = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:300]
    signed = {"pid": os.getpid(), "host": platform.node(), "command": arguments}
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(signed).encode(), 0)


def _owner(handle: int) -> str:
    """Who holds a lock, for a message."""
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return f"process {int(found['pid'])} on {found['host']!s:.64}: {found['command']!s:.300}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
