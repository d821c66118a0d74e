"""The checksum of a whole HDF5 file: SHA-256 of everything after its first 512 bytes (user block), stored in these."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Literal

BLOCK = 512
"""Length of an HDF5 user block: the smallest, which the library leaves to its user."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""Signature of HDF5 files (HDF5 file format specification, superblock)."""

_TEXT = re.compile(rb"sweetspot content (open|sha256 [0-9a-f]{64})\n\x00*")

State = Literal["none", "open", "sealed", "changed", "damaged"]


@dataclass(frozen=True, slots=True)
class Seal:
    """The checksum in a file's first bytes, compared with its content.

    Parameters
    ----------
    state
        ``sealed``: the content is what was written. ``changed``: it is not. ``open``: the program that wrote it did not
        close it. ``none``: no checksum, as in files of an earlier version. ``damaged``: the block itself is broken.
    sha256
        Of the content as it was written, hexadecimal; empty without one.
    """

    state: State
    sha256: str = ""


LARGE = 1 << 22
"""Bytes from which a comparison is remembered: a smaller file costs 3 ms and could change within a tick."""

Identity = tuple[int, int, int, int]
"""Device, inode, size and time of the last change of a file: the same under another name."""

_known: dict[Identity, Seal] = {}
"""Large files that this process compared already."""

_hashed: dict[tuple[Identity, int], str] = {}
"""SHA-256 of large files from a byte on, cached in this process."""

_underway: dict[tuple[Identity, int], Thread] = {}
"""Threads that compute one of these."""

AT_ONCE = 1 << 22
"""Bytes read and hashed at a time: after each the thread waits for the interpreter, which loads modules meanwhile."""


def block(sha256: str = "") -> bytes:
    """The user block for a content, or for a file that is being written."""
    return (f"sweetspot content {f'sha256 {sha256}' if sha256 else 'open'}\n").encode().ljust(BLOCK, b"\x00")


def content_of(file: memoryview) -> str:
    """SHA-256 of a file's content in memory, hexadecimal: all that follows its user block."""
    return hashlib.sha256(file[BLOCK:]).hexdigest()


def stated(path: Path) -> Seal:
    """The statement of a file's first bytes, without its content (``sealed`` then means: has a checksum)."""
    with path.open("rb") as file:
        head = file.read(BLOCK)
    if head.startswith(SIGNATURE):
        return Seal("none")
    found = _TEXT.fullmatch(head) if len(head) == BLOCK else None
    if found is None:
        return Seal("damaged")
    return Seal("open") if found[1] == b"open" else Seal("sealed", found[1].split()[1].decode())


def compared(path: Path) -> Seal:
    """The same, with the content compared: 1.5 GB/s, once for each state of a file in a process.

    Raises
    ------
    OSError
        It cannot be read.
    """
    stored = stated(path)
    if stored.state != "sealed":
        return stored
    key = state_of(path)
    known = _known.get(key) if key else None
    if known and known.sha256 == stored.sha256:
        return known
    found = stored if content_sha256(path) == stored.sha256 else Seal("changed", stored.sha256)
    if key:
        _known[key] = found
    return found


def state_of(path: Path) -> Identity | None:
    """Device, inode, size and modification time of a large file; ``None`` for one below :data:`LARGE`."""
    is_ = path.stat()
    return (is_.st_dev, is_.st_ino, is_.st_size, is_.st_mtime_ns) if is_.st_size >= LARGE else None


def is_newer(path: Path, other: Path) -> bool:
    """Whether a file was changed after another was written, or one of them is not there."""
    try:
        return path.stat().st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return True


def content_sha256(path: Path) -> str:
    """SHA-256 of all that follows the user block, hexadecimal."""
    return file_sha256(path, start=BLOCK)


def file_sha256(path: Path, start: int = 0) -> str:
    """SHA-256 of a file from byte ``start`` on, hexadecimal."""
    state = state_of(path)
    if state and (thread := _underway.pop((state, start), None)):
        thread.join()
    if state and (state, start) in _hashed:
        return _hashed[state, start]
    return _sha256(path, (start,), state)[0]


def hash_ahead(path: Path, *, whole: bool = True, content: bool = False) -> None:
    """Begin to compute hashes of a large file in a second thread, for whoever asks for them later.

    Parameters
    ----------
    path
        The file; one that is missing or small is left alone.
    whole
        Whether :func:`file_sha256` is wanted.
    content
        Whether :func:`compared` is.
    """
    with suppress(OSError):
        state = state_of(path)
        starts = [start for start, wanted in ((0, whole), (BLOCK, content)) if wanted]
        starts = [start for start in starts if state and (state, start) not in _hashed | _underway]
        if state and starts:
            hashing = Thread(target=_quietly_hashed, args=(path, starts, state), name="hash", daemon=True)
            _underway.update({(state, start): hashing for start in starts})
            hashing.start()


def _quietly_hashed(path: Path, starts: Sequence[int], state: Identity) -> None:
    """An error is left to whoever asks for the hash, and meets it again."""
    with suppress(OSError):
        _sha256(path, starts, state)


def _sha256(path: Path, starts: Sequence[int], state: Identity | None) -> list[str]:
    """SHA-256 from each of some bytes on, the file read once."""
    digests, at = [hashlib.sha256() for _ in starts], 0
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(min(AT_ONCE, max(os.fstat(file.fileno()).st_size, 1))))
        while count := file.readinto(buffer):
            for start, digest in zip(starts, digests, strict=True):
                digest.update(buffer[max(start - at, 0) : count])
            at += count
    found = [digest.hexdigest() for digest in digests]
    if state:
        _hashed.update({(state, start): one for start, one in zip(starts, found, strict=True)})
    return found


def mark_open(path: Path) -> None:
    """Say that a file is being written: it has no checksum until :func:`close`."""
    _put(path, block())


def close(path: Path) -> None:
    """Keep the checksum of the content as it is now, once all of it is on the disk; this process knows it then."""
    sha256 = content_sha256(path)
    _put(path, block(sha256))
    if state := state_of(path):
        _known[state] = Seal("sealed", sha256)


def _put(path: Path, head: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        os.fsync(file.fileno())
        file.write(head)
        os.fsync(file.fileno())
