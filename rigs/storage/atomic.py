"""Atomic file writes: written beside their target, synced to the disk, and renamed in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage.kept_data import check_alike

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a file that cannot grow: disk, quota or size limit."""

SYNC_FILE_RANGE_WRITE = 2
"""Of the system: begin to write, and do not wait."""


def cause(fault: OSError, path: Path) -> str:
    """Why a file cannot be written, in words that lead to the remedy.

    Parameters
    ----------
    path
        The file that was to be written.
    """
    words = (fault.strerror or str(fault) or type(fault).__name__).lower()
    words += ": or see ulimit -f" if fault.errno == errno.EFBIG else ""
    if fault.errno in FULL or "no space left" in words:
        return f"the disk is full ({words}); make room and run it again"
    if fault.errno == errno.EROFS:
        return f"{path.parent} is on a read-only disk; choose another folder"
    if fault.errno in (errno.EACCES, errno.EPERM):
        return f"cannot be written: {path.parent} is read-only for this user"
    if fault.errno == errno.ENOTDIR:
        return f"cannot be written: {path.parent} is a file, or inside one; give a folder"
    if fault.errno == errno.ENOENT:
        return f"the folder {path.parent} does not exist; create it first"
    if fault.errno == errno.ENAMETOOLONG:
        return "its name is too long for this disk"
    return f"cannot be written: {words}"


@contextmanager
def replacing(path: Path, suffix: str = "", *, synced: bool = True) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; when the block ends well it takes its place in one step.

    Whatever goes wrong, the file that was there stays as it was, the temporary one is removed where the disk allows
    it, and the removal raises nothing. What a killed program left behind is removed by the next one.

    Parameters
    ----------
    path
        Where the file belongs; a link is followed.
    suffix
        Ending of the temporary name, for writers that choose their format by it.
    synced
        Whether to wait until the file is on the disk; needless for pictures, which can be drawn again.

    Raises
    ------
    BadInput
        The true cause: a full or read-only disk, a missing folder, something there that is no file or holds data of
        another kind.
    """
    if path.name == "-":
        raise BadInput(f"{path}: nothing is written to the standard output; give a file name")
    place = Path(os.path.realpath(path))
    part = place.with_name(f".{place.name[:120]}.{_owner()}-{secrets.token_hex(4)}.part{suffix}")
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            raise BadInput(f"{path}: is a {'folder' if place.is_dir() else 'device'}; give a file name")
        _sweep(place)
        yield part
        if synced:
            to_disk(part)
        if place.exists():
            check_alike(place, part, path)
        os.replace(part, place)
        if synced:
            to_disk(place.parent)
    except OSError as fault:
        raise BadInput(f"{path}: {cause(fault, path)}; the old file is unchanged") from fault
    finally:
        discard(part)


def check_place(path: Path) -> None:
    """Refuse a file that cannot be written, ahead of the work for it.

    Raises
    ------
    BadInput
        The folder does not exist, or the name is that of a folder.
    """
    if not path.parent.is_dir():
        raise BadInput(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; give a file name")


def write(path: Path, content: bytes | str) -> None:
    """Write a file in one step, see :func:`replacing`; text is UTF-8 with the newlines that it holds."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def append(path: Path, line: str) -> None:
    """Append one line and bring it to the disk; a partial last line is set aside first.

    A program that was killed, or a disk that was full, may have left a line without its end. It is moved to
    ``NAME.partial`` beside the file, so that every line of the file is whole. When this line cannot be written whole,
    the file is cut back to its former length.

    Parameters
    ----------
    path
        Text file, made if it is missing.
    line
        With or without its newline; newlines inside are the caller's.

    Raises
    ------
    BadInput
        The true cause.
    """
    data = (line if line.endswith("\n") else f"{line}\n").encode("utf-8")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            end = _mended(path, handle)
            _added(handle, data, end)
        finally:
            os.close(handle)
    except OSError as fault:
        raise BadInput(f"{path}: {cause(fault, path)}; the line was not added") from fault


def _added(handle: int, data: bytes, end: int) -> None:
    """Write at the end and bring it to the disk; cut back to ``end`` when that fails half-way."""
    try:
        done = 0
        while done < len(data):
            done += os.write(handle, data[done:])
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, end)
        raise


def move(path: Path, place: Path) -> None:
    """Give a whole file another name in the same folder, in one step.

    Raises
    ------
    BadInput
        The true cause.
    """
    try:
        to_disk(path)
        os.replace(path, place)
    except OSError as fault:
        raise BadInput(f"{place}: {cause(fault, place)}; {path.name} has the new content") from fault


def keep_aside(path: Path, aside: Path) -> None:
    """Give a file a second name that remains when the first is replaced; a copy if there are no hard links.

    Raises
    ------
    BadInput
        The true cause.
    """
    discard(aside)
    try:
        os.link(path, aside)
    except OSError:
        try:
            shutil.copy2(path, aside)
        except OSError as fault:
            discard(aside)
            raise BadInput(f"{aside}: {cause(fault, aside)}") from fault


def discard(path: Path) -> None:
    """Remove a file if possible; raises nothing."""
    with contextlib.suppress(OSError):
        path.unlink()


def _mended(path: Path, handle: int) -> int:
    """Length of a file after a partial last line was set aside."""
    end = os.fstat(handle).st_size
    whole = end
    while whole:
        start = max(0, whole - 4096)
        found = _read_at(handle, start, whole - start).rfind(b"\n")
        if found >= 0:
            whole = start + found + 1
            break
        whole = start
    if whole < end:
        with open(path.with_name(f"{path.name}.partial"), "ab") as aside:
            aside.write(_read_at(handle, whole, end - whole) + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        os.ftruncate(handle, whole)
    return whole


def _read_at(handle: int, place: int, count: int) -> bytes:
    """Bytes of a file from a place on; ``os.pread`` is not everywhere."""
    os.lseek(handle, place, os.SEEK_SET)
    return os.read(handle, count)


def to_disk(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk; folders of some systems do not know how."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def begin_to_disk(handle: int, place: int, size: int) -> bool:
    """Have the system begin to write a part of a file, without waiting, so that :func:`to_disk` finds little to do.

    Returns whether it did: not every C library has ``sync_file_range``.
    """
    begin = _begin_writing()
    return begin is not None and begin(handle, place, size, SYNC_FILE_RANGE_WRITE) == 0


@cache
def _begin_writing() -> Any:
    """``sync_file_range`` of the C library, if there is one."""
    import ctypes  # slow to import

    function = getattr(ctypes.CDLL(None), "sync_file_range", None) if os.name == "posix" else None
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


def _owner() -> str:
    """This process, among those of all computers that share the disk."""
    return f"{platform.node().split('.')[0][:32]}-{os.getpid()}"


def _sweep(place: Path) -> None:
    """Remove the temporary files that killed programs of this computer left beside ``place``."""
    head = f".{place.name[:120]}.{_owner().rsplit('-', 1)[0]}-"
    with contextlib.suppress(OSError):
        for entry in os.scandir(place.parent):
            if entry.name.startswith(head) and ".part" in entry.name:
                pid = entry.name[len(head) :].split("-")[0]
                if pid.isdigit() and not alive(int(pid)):
                    discard(Path(entry.path))


def alive(pid: int) -> bool:
    """Whether a process of this computer lives; taken as living on Windows, where signal 0 is a Ctrl-C to it."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
