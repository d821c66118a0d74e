"""PNG files from pixels: chunks and compression by the format's specification."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.drawing.colours import CLEAR

_RGB, _INDEXED = 2, 3
_LEVEL = 6
_QUICK = 2
"""Compression of whole pictures: level 6 takes three times as long for 0.9 of the bytes."""


def rgb(pixels: NDArray[np.uint8], dpi: float) -> bytes:
    """A file of pixels ``(row, column, 3)``."""
    each = round(dpi / 0.0254)
    return _file(pixels.reshape(len(pixels), -1), pixels.shape[1], _RGB, _QUICK,
                 [(b"pHYs", struct.pack(">IIB", each, each, 1))])  # fmt: skip


def indexed(cells: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """A file of cells ``(row, column)`` that are numbers of a palette ``(number, 3)``; the last number is clear."""
    more = [(b"PLTE", palette.tobytes())]
    if (cells == CLEAR).any():
        more.append((b"tRNS", bytes([255] * CLEAR + [0])))
    return _file(cells, cells.shape[1], _INDEXED, _LEVEL, more)


def _file(rows: NDArray[np.uint8], width: int, kind: int, level: int, more: list[tuple[bytes, bytes]]) -> bytes:
    head = struct.pack(">II", width, len(rows)) + bytes([8, kind, 0, 0, 0])
    lines = np.hstack([np.zeros((len(rows), 1), dtype=np.uint8), rows])  # each line begins with its filter: none
    chunks = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(lines.tobytes(), level)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
