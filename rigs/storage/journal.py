"""Changes of an HDF5 file that no crash can tear: each step is complete on the disk, or the file is as it was before.

The HDF5 library changes its tables at several places of a file, one after the other; a process that ends between two of
these writes leaves a file that nothing opens. Here, what lies beyond the length of the last complete state is written
directly, as nothing refers to it yet. What lies within is collected in memory, and brought to the disk when the library
flushes: first all of it into a journal beside the file (``NAME.journal``), then into the file. The journal stays until
the next one, or until the file is closed, as only then the changes are surely on the disk: two waits for it a flush.
Whoever opens the file next applies a journal that was left. (The redo log of databases; see J. Gray, A. Reuter,
"Transaction Processing", 1993, chapter 10.)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import signal
import struct
import threading
from _thread import interrupt_main
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from sweetspot.rigs.storage import seal
from sweetspot.rigs.storage.atomic import discard, to_disk

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

HEAD = b"sweetspot journal 1\n"
"""First bytes of a journal; the SHA-256 of the rest follows, then a line of JSON and the bytes themselves."""

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""System errors of a file that may be read only."""

AGAIN_S = 0.01
"""Time after which an interrupt that came within a call of the library is tried again, s."""

Change = tuple[int, bytes]
"""First byte in the file, and the bytes from there on."""


def beside(path: Path) -> Path:
    """The journal of a file."""
    return path.with_name(f"{path.name}.journal")


def recover(path: Path) -> None:
    """Apply the journal that a crash left beside a file, and remove it.

    A journal beside a file that was closed since (its user block holds a checksum) belongs to an earlier file of that
    name; it is removed only, as is one that is not whole: of such a one nothing was applied.

    Raises
    ------
    OSError
        It cannot be read or applied: the file is in use (``BlockingIOError``), or read-only and without these changes.
        Nothing is lost then.
    ValueError
        It does not fit the file.
    """
    if not beside(path).exists():
        return
    try:
        file = path.open("r+b", buffering=0)
    except OSError as fault:
        if fault.errno in READ_ONLY and _is_applied(path):
            return
        raise
    with file:
        _lock(file.fileno())
        _recovered(path, file.fileno())


class JournaledFile(io.RawIOBase):
    """An open file for the HDF5 library's file-object driver, changed as this module says; locked against others.

    After an error nothing is brought to the disk any more, and the last complete state stays. The library never sees an
    error of a write, which it may meet where it cannot report it (and its own tables would be wrong then); the next
    :meth:`flush` raises it.

    Parameters
    ----------
    path
        An existing file.

    Raises
    ------
    OSError
        It cannot be opened, or another process has it open for writing (``BlockingIOError``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("r+b", buffering=0)
        try:
            _lock(self.fileno())
            _recovered(path, self.fileno())
            self._whole = self._end = os.fstat(self.fileno()).st_size
        except BaseException:
            self._file.close()
            raise
        self._place = 0
        self._changes: list[Change] = []
        self._fault: OSError | None = None
        self._given_up, self._applied = False, True
        self._before = _watch_interrupts()

    def fileno(self) -> int:
        """The system's handle."""
        return self._file.fileno()

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte, counted from the start, from here or from the end."""
        self._place = (0, self._place, self._end)[whence] + offset
        return self._place

    @property
    def failed(self) -> bool:
        """Whether writing to disk has ended."""
        return self._given_up or self._fault is not None

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; what lies beyond the end is zero."""
        view = memoryview(buffer).cast("B")
        found = _read(self.fileno(), self._place, view)
        view[found:] = bytes(len(view) - found)
        for start, data in self._changes:
            low, high = max(start, self._place), min(start + len(data), self._place + len(view))
            if low < high:
                view[low - self._place : high - self._place] = data[low - start : high - start]
        self._place += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write bytes: beyond the last complete state at once, within it by the next :meth:`flush`."""
        view = memoryview(data).cast("B")
        within = max(0, min(len(view), self._whole - self._place))
        if within < len(view) and not self.failed:
            with self._kept():
                _write(self.fileno(), self._place + within, view[within:])
        if self.failed:
            within = len(view)
        if within:
            self._changes.append((self._place, bytes(view[:within])))
        self._place += len(view)
        self._end = max(self._end, self._place)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length; the last complete state is cut by the next :meth:`flush` only."""
        self._end = self._place if size is None else size
        if self._end >= self._whole and not self.failed:
            with self._kept():
                os.ftruncate(self.fileno(), self._end)
        return self._end

    def flush(self) -> None:
        """Bring all changes to the disk, in one step.

        Raises
        ------
        OSError
            They are not there, and will not be: this call failed, or one before did.
        """
        if self.closed or self._given_up:
            return
        if not self.failed:
            with self._kept():
                if self._changes or self._end < self._whole:
                    self._commit()
                self._whole = self._end  # nothing refers to bytes that are new
        if self._fault is not None:
            raise self._fault

    def _commit(self) -> None:
        os.fsync(self.fileno())  # the changes before, too: their journal is overwritten now
        _write_journal(beside(self.path), _journal(self._changes, self._end))
        self._whole, self._applied = self._end, False
        _apply(self.fileno(), self._changes, self._end)
        self._changes, self._applied = [], True

    def give_up(self) -> None:
        """Bring no further change to the disk, and raise nothing more: the library can close what it has open."""
        self._given_up = True

    def close(self) -> None:
        """Give the file back; what was not flushed is left out."""
        if not self.closed:
            try:
                super().close()  # flushes
            finally:
                _end_watch(self._before)
                with contextlib.suppress(OSError):
                    if self.failed:
                        os.ftruncate(self.fileno(), self._whole)
                    if self._applied and beside(self.path).exists():
                        os.fsync(self.fileno())
                        discard(beside(self.path))
                self._file.close()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Around a change of the disk: an error is kept for :meth:`flush`."""
        try:
            yield
        except OSError as fault:
            self._fault = fault
        except BaseException:
            self._fault = OSError(errno.EINTR, "interrupted within a change of the file")
            raise


def _lock(handle: int) -> None:
    """As the library locks a file that it writes; without effect on disks and systems that cannot."""
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass


def _recovered(path: Path, handle: int) -> None:
    """See :func:`recover`; the file is open and locked."""
    if (found := _left(path, handle)) is not None:
        _apply(handle, *found)
        os.fsync(handle)
    beside(path).unlink(missing_ok=True)


def _is_applied(path: Path) -> bool:
    """Whether a file has all changes of its journal already."""
    with path.open("rb", buffering=0) as file:
        changes, _ = _left(path, file.fileno()) or ([], 0)
        there = [bytearray(len(data)) for _, data in changes]
        for (start, _), held in zip(changes, there, strict=True):
            _read(file.fileno(), start, memoryview(held))
    return all(held == data for held, (_, data) in zip(there, changes, strict=True))


def _left(path: Path, handle: int) -> tuple[list[Change], int] | None:
    """Changes and length that the journal of an open file holds; ``None`` where nothing of it is to be applied."""
    try:
        text = beside(path).read_bytes()
    except FileNotFoundError:
        return None
    found = _parsed(text, os.fstat(handle).st_size)
    return found if seal.stated(path).state in ("open", "none") else None


def _write_journal(path: Path, text: bytes) -> None:
    """A whole journal on the disk, or none."""
    new = not path.exists()
    try:
        with path.open("wb", buffering=0) as file:
            _write(file.fileno(), 0, memoryview(text))
            os.fsync(file.fileno())
        if new:
            to_disk(path.parent)
    except OSError:
        discard(path)
        raise


def _journal(changes: Sequence[Change], end: int) -> bytes:
    head = json.dumps({"end": end, "changes": [(start, len(data)) for start, data in changes]}).encode()
    body = struct.pack("<Q", len(head)) + head + b"".join(data for _, data in changes)
    return HEAD + hashlib.sha256(body).digest() + body


def _parsed(text: bytes, size: int) -> tuple[list[Change], int] | None:
    """Changes and length in a journal of a file of ``size`` bytes; ``None`` where the journal is not whole."""
    digest, body = text[len(HEAD) : len(HEAD) + 32], text[len(HEAD) + 32 :]
    if not text.startswith(HEAD) or hashlib.sha256(body).digest() != digest:
        return None
    (length,) = struct.unpack_from("<Q", body)
    head = json.loads(body[8 : 8 + length])
    changes, place = [], 8 + length
    for start, count in head["changes"]:
        if not 0 <= start <= start + count <= size:
            raise ValueError("its journal does not fit")
        changes.append((start, body[place : place + count]))
        place += count
    if not 0 <= head["end"] <= size:
        raise ValueError("its journal does not fit")
    return changes, head["end"]


def _apply(handle: int, changes: Sequence[Change], end: int) -> None:
    """Bring changes into a file; may be done again."""
    for start, data in changes:
        _write(handle, start, memoryview(data))
    os.ftruncate(handle, end)


def _read(handle: int, place: int, view: memoryview) -> int:
    """Read into a buffer from a place on; the count of bytes that were there."""
    os.lseek(handle, place, os.SEEK_SET)
    done = 0
    while done < len(view):
        part = os.read(handle, len(view) - done)
        if not part:
            break
        view[done : done + len(part)] = part
        done += len(part)
    return done


def _write(handle: int, place: int, view: memoryview) -> None:
    os.lseek(handle, place, os.SEEK_SET)
    while len(view):
        view = view[os.write(handle, view) :]


def _watch_interrupts() -> Any:
    """Have Ctrl-C wait until the library has returned; what was there before, or ``None`` where it is left."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return None
    return signal.signal(signal.SIGINT, _interrupted)


def _end_watch(before: Any) -> None:
    main = threading.current_thread() is threading.main_thread()
    if before is not None and main and signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, before)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Ctrl-C: as ever, but not within a call that the library makes here; then a moment later."""
    inside: FrameType | None = frame
    while inside is not None and inside.f_code.co_filename != __file__:
        inside = inside.f_back
    if inside is None:
        signal.default_int_handler(number, frame)
        return
    later = threading.Timer(AGAIN_S, interrupt_main)
    later.daemon = True
    later.start()
