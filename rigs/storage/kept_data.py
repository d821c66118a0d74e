"""Kind of a file by its content, so that an output never overwrites measured data of another kind."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sweetspot.rigs.errors import BadInput

HDF5 = b"\x89HDF\r\n\x1a\n"
BEGINNINGS = {
    b"RIFF": "a sound file",
    b"RF64": "a sound file",
    b"fLaC": "a sound file",
    b"SQLite format 3\x00": "a table of SQLite",
    b"{": "records (JSON)",
}
RIG = re.compile(rb"^\s*\[\[(driver|mic)\]\]|^\s*\[interface\]", re.MULTILINE)
ANY_HDF5 = "an HDF5 file"
HEAD = 1 << 15
"""Bytes read for it."""


def held(path: Path) -> str:
    """Irreplaceable content of a file, such as ``a session``; else empty."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if any(head[at : at + 8] == HDF5 for at in (0, 512, 1024, 2048, 4096, 8192)):
        return f"{ANY_HDF5} ({schema})" if (schema := _schema(path)) else ANY_HDF5
    for beginning, name in BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    return "a rig file" if RIG.search(head) else ""


def check_alike(old: Path, new: Path, shown: Path) -> None:
    """Refuse to replace a data file by one of another kind; damaged HDF5 is replaced by any HDF5.

    Raises
    ------
    BadInput
        Names what is there.
    """
    there = held(old)
    if there and there != (ours := held(new)) and not (there == ANY_HDF5 and ours.startswith(ANY_HDF5)):
        what = f"; {ours} does not replace it" if ours else ""
        raise BadInput(f"{shown}: holds {there}, which is not what this command writes{what}. Name another file")


def check_apart(source: Path, *outputs: Path) -> None:
    """Refuse to overwrite the input.

    Raises
    ------
    BadInput
        An output is the source itself, by this or another name.
    """
    for out in outputs:
        if os.path.realpath(out) == os.path.realpath(source) or (out.exists() and out.samefile(source)):
            raise BadInput(f"{out}: is the input file; give another name for the output")


def _schema(path: Path) -> str:
    from sweetspot.rigs.storage.hdf5 import schema_of  # h5py is slow to import

    return schema_of(path)
