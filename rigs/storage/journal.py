"""Changes of an HDF5 file that no crash can tear: each step is complete on the disk, or the file is as it was before.

The HDF5 library changes its tables at several places of a file, one after the other; a process that ends between two of
these writes leaves a file that nothing opens. Here, what lies beyond the length of the last complete state is written
directly, as nothing refers to it yet. What lies within is collected in memory, and brought to the disk when the library
flushes: first all of it into a journal beside the file (``NAME.journal``), then into the file, then the journal goes.
Whoever opens the file next applies a journal that was left. (The redo log of databases; see J. Gray, A. Reuter,
"Transaction Processing", 1993, chapter 10.)
"""

from __future__ import annotations

import contextlib
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

from sweetspot.rigs.storage.atomic import discard, write

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

HEAD = b"sweetspot journal 1\n"
"""First bytes of a journal; the SHA-256 of the rest follows, then a line of JSON and the bytes themselves."""

AGAIN_S = 0.01
"""Time after which an interrupt that came within a call of the library is tried again, s."""

Change = tuple[int, bytes]
"""First byte in the file, and the bytes from there on."""


def beside(path: Path) -> Path:
    """The journal of a file."""
    return path.with_name(f"{path.name}.journal")


def recover(path: Path) -> None:
    """Apply the journal that a crash left beside a file; the file must not be in use.

    Raises
    ------
    OSError
        It cannot be read or applied: a disk that is read-only or full. Nothing is lost then.
    """
    journal = beside(path)
    try:
        text = journal.read_bytes()
    except FileNotFoundError:
        return
    if (found := _parsed(text)) is not None:
        with path.open("r+b", buffering=0) as file:
            _apply(file.fileno(), *found)
    journal.unlink()


class JournaledFile(io.RawIOBase):
    """An open file for the HDF5 library's file-object driver, changed as this module says; locked against others.

    After an error or an interrupt within a call nothing is brought to the disk any more: the library's tables in memory
    may be wrong then, and the last complete state stays.

    Parameters
    ----------
    path
        An existing file without a journal (:func:`recover`).

    Raises
    ------
    OSError
        It cannot be opened, or another process has it open for writing (``BlockingIOError``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("r+b", buffering=0)
        self._place = 0
        self._changes: list[Change] = []
        self._whole = self._end = os.fstat(self.fileno()).st_size
        self.failed = False
        try:
            self._lock()
        except BaseException:
            self._file.close()
            raise
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
        start = (0, self._place, self._end)[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; what lies beyond the end is zero."""
        with self._failing():
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
        with self._failing():
            view = memoryview(data).cast("B")
            within = max(0, min(len(view), self._whole - self._place))
            if within:
                self._changes.append((self._place, bytes(view[:within])))
            if within < len(view):
                _write(self.fileno(), self._place + within, view[within:])
            self._place += len(view)
            self._end = max(self._end, self._place)
            return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length; the last complete state is cut by the next :meth:`flush` only."""
        with self._failing():
            self._end = self._place if size is None else size
            if self._end >= self._whole:
                os.ftruncate(self.fileno(), self._end)
            return self._end

    def flush(self) -> None:
        """Bring all changes to the disk, in one step."""
        if self.closed or self.failed:
            return
        with self._failing():
            if not self._changes and self._end == self._whole:
                return
            if not self._changes and self._end > self._whole:  # nothing refers to the new bytes
                self._whole = self._end
                return
            os.fsync(self.fileno())
            write(beside(self.path), _journal(self._changes, self._end))
            _apply(self.fileno(), self._changes, self._end)
            discard(beside(self.path))
            self._changes, self._whole = [], self._end

    def close(self) -> None:
        """Give the file back; what was not flushed is left out."""
        if not self.closed:
            super().close()  # flushes
            _end_watch(self._before)
            with contextlib.suppress(OSError):
                if self.failed:
                    os.ftruncate(self.fileno(), self._whole)
            self._file.close()

    def _lock(self) -> None:
        """As the library locks a file that it writes."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # a disk without locks

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Remember that a call failed."""
        try:
            yield
        except BaseException:
            self.failed = True
            raise


def _journal(changes: Sequence[Change], end: int) -> bytes:
    head = json.dumps({"end": end, "changes": [(start, len(data)) for start, data in changes]}).encode()
    body = struct.pack("<Q", len(head)) + head + b"".join(data for _, data in changes)
    return HEAD + hashlib.sha256(body).digest() + body


def _parsed(text: bytes) -> tuple[list[Change], int] | None:
    """Changes and length of a journal; ``None`` where it is not whole: then none of it was applied."""
    digest, body = text[len(HEAD) : len(HEAD) + 32], text[len(HEAD) + 32 :]
    if not text.startswith(HEAD) or hashlib.sha256(body).digest() != digest:
        return None
    (length,) = struct.unpack_from("<Q", body)
    head = json.loads(body[8 : 8 + length])
    changes, place = [], 8 + length
    for start, count in head["changes"]:
        changes.append((start, body[place : place + count]))
        place += count
    return changes, head["end"]


def _apply(handle: int, changes: Sequence[Change], end: int) -> None:
    """Bring changes into a file; may be done again."""
    for start, data in changes:
        _write(handle, start, memoryview(data))
    os.ftruncate(handle, end)
    os.fsync(handle)


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
