"""WAV files written into a pipe: their header does not state the length, the file size does."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import BinaryIO

UNKNOWN = (0, 0xFFFFFFFF)
"""Sizes that writers leave in a header when they cannot go back to it."""

STREAMED = 0x7FFFF000
"""Size in a header, in bytes, from which it means an unknown length."""


class MendedWave(io.RawIOBase):
    """View of a WAV file with the sizes of its header filled in; the file is not changed.

    Parameters
    ----------
    file
        Open for reading.
    data_at
        Where the samples begin.
    size
        Bytes of the file.
    """

    def __init__(self, file: BinaryIO, data_at: int, size: int) -> None:
        self._file = file
        header = bytearray(file.read(data_at))
        header[4:8] = struct.pack("<I", min(size - 8, 0xFFFFFFFE))
        header[data_at - 4 : data_at] = struct.pack("<I", min(size - data_at, 0xFFFFFFFE))
        self._header = bytes(header)
        file.seek(0)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As of a file, the header mended."""
        at = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        if at < len(self._header):
            part = self._header[at : at + len(data)]
            data[: len(part)] = part
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()


def streamed_from(path: Path) -> int | None:
    """Start of the samples of a WAV file without length in its header; ``None`` for any other file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        riff = file.read(12)
        if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            return None
        closed = struct.unpack("<I", riff[4:8])[0] == size - 8
        while len(head := file.read(8)) == 8:
            name, length = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"data":
                return file.tell() if length in UNKNOWN and size > file.tell() and not closed else None
            file.seek(length + length % 2, io.SEEK_CUR)
    return None


def mended_wave(path: Path) -> MendedWave | None:
    """The file with a whole header, or ``None`` if it has one."""
    begins = streamed_from(path)
    return None if begins is None else MendedWave(path.open("rb"), begins, path.stat().st_size)


def broken_off(info: str) -> str:
    """``1536000 bytes, 4912 are there`` from libsndfile's notes; a stream's size, unknown when it began, is no cut."""
    found = re.search(r"^data\s*: (\d+) \(should be (\d+)\)", info, re.MULTILINE)
    if not found or int(found[1]) >= STREAMED or int(found[1]) <= int(found[2]):
        return ""
    return f"{found[1]} bytes, {found[2]} are there"
