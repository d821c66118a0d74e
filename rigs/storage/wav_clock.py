"""WAV files without a time stamp: the date in the PEAK chunk of float files is set to 0, for reproducible bytes."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path


def without_clock(path: Path) -> None:
    """Set the time stamp of a WAV file's PEAK chunk to 0; any other file stays as it is.

    Writers of float files put a PEAK chunk (EBU/Sound Forge: version, seconds since 1970, peaks) ahead of the samples.

    Parameters
    ----------
    path
        A file that was just written.
    """
    with open(path, "r+b") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            return
        with contextlib.suppress(struct.error):
            while True:
                name, size = struct.unpack("<4sI", file.read(8))
                if name == b"data":
                    return
                if name == b"PEAK":
                    file.seek(4, 1)
                    file.write(bytes(4))
                    return
                file.seek(size + size % 2, 1)
