"""Correction files from the disk, read alike by every command."""

from __future__ import annotations

from pathlib import Path

from sweetspot.measure.correction.reader import Correction, read
from sweetspot.rigs.errors import BadInput


def text_of(path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16, else Latin-1, which makers use for comments.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise BadInput(f"{path}: cannot be read: {fault.strerror}") from fault
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    even, odd = raw[:400:2], raw[1:400:2]
    if len(odd) > 4 and odd.count(0) > 0.9 * len(odd):
        return raw.decode("utf-16-le", errors="replace")
    if len(even) > 4 and even.count(0) > 0.9 * len(even):
        return raw.decode("utf-16-be", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def load(path: Path) -> Correction:
    """Read a correction file.

    Raises
    ------
    BadInput
        It cannot be read, or is none; names the line.
    """
    return read(text_of(path), str(path))
