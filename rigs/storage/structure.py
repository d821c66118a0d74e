"""Check of an HDF5 file's structure before reading: no external data, no loops, no impossible sizes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage.translation import guarded

DEEPEST = 16
"""Groups within groups."""

MOST = 500_000
"""Objects of a file."""

FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}
"""Filters that are built in; any other would load a plug-in, that is foreign code."""

GZIP_RATIO = 1032
"""Largest compression ratio of gzip (deflate: 258 bytes for 2 bits)."""

SPARE = 1 << 26
"""Extra bytes of a data set, for one with unwritten chunks."""


def check_structure(root: Any, path: Path, size: int) -> None:
    """Refuse a file with external or repeated objects, foreign filters, or impossible sizes.

    Parameters
    ----------
    root
        The open file.
    path
        Its name.
    size
        Its length, bytes.

    Raises
    ------
    BadInput
        Names file and object.
    """
    seen: set[int] = set()
    waiting: list[tuple[Any, str, int]] = [(root, "", 0)]
    while waiting:
        group, name, depth = waiting.pop()
        for member in _members(group, path, name or "/"):
            where = f"{name}/{member}"
            with guarded(path, where):
                found = _hard(group, member, path, where, seen)
                if isinstance(found, h5py.Dataset):
                    _check_data(found, path, where, size)
                elif isinstance(found, h5py.Group):
                    waiting.append((found, where, depth + 1))
                else:
                    raise BadInput(
                        f"{path}: {where}: is a {type(found).__name__}; only groups and data sets are allowed"
                    )
                if depth >= DEEPEST or len(seen) > MOST:
                    raise BadInput(f"{path}: {where}: more than {DEEPEST} groups deep, or more than {MOST} objects")


def _members(group: Any, path: Path, name: str) -> list[str]:
    with guarded(path, name):
        return list(group)


def _hard(group: Any, member: str, path: Path, where: str, seen: set[int]) -> Any:
    """The object, which must be in this file and not have been visited before."""
    link = group.get(member, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = "another file" if isinstance(link, h5py.ExternalLink) else "another place"
        target = getattr(link, "filename", "") or getattr(link, "path", "")
        raise BadInput(f"{path}: {where}: is a link to {kind} ({target!r:.100}); data must be in the file itself")
    found = group[member]
    address = int(h5py.h5o.get_info(found.id).addr)
    if address in seen or found.id == found.file["/"].id:
        raise BadInput(f"{path}: {where}: is linked more than once; every object must have one place")
    seen.add(address)
    return found


def _check_data(data: Any, path: Path, where: str, size: int) -> None:
    made = data.id.get_create_plist()
    if made.get_external_count():
        raise BadInput(f"{path}: {where}: its values lie in another file; data must be in the file itself")
    layout = made.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise BadInput(f"{path}: {where}: is put together from other data sets; data must be in the file itself")
    foreign = [code for code, *_ in map(made.get_filter, range(made.get_nfilters())) if code not in FILTERS]
    if foreign:
        raise BadInput(f"{path}: {where}: is stored with filter {foreign[0]}; {', '.join(FILTERS.values())} are known")
    if data.dtype.kind not in "fiubcSV" and h5py.check_string_dtype(data.dtype) is None:
        raise BadInput(f"{path}: {where}: is of type {data.dtype}; numbers and texts belong here")
    needs = math.prod(data.shape) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if layout == h5py.h5d.CHUNKED:
        chunk = math.prod(data.chunks) * data.dtype.itemsize
        holds = GZIP_RATIO * size + SPARE
        if chunk > holds:
            raise BadInput(f"{path}: {where}: chunks of {chunk:,} bytes do not fit the file's {size:,}")
    else:
        holds = stored if stored else SPARE
    if needs > holds or stored > size:
        raise BadInput(
            f"{path}: {where}: has shape {data.shape}, {needs:,} bytes; the file has {size:,} bytes and cannot hold it"
        )
