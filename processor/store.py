"""filterset.h5: the only door between filter sets and HDF5, written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.rigs.errors import BadInput

SCHEMA = "sweetspot-filterset"
SCHEMA_VERSION = 1
NAME = "filterset.h5"
"""What the file is called in a run folder."""

Tree = Mapping[str, Any]
"""Nested: a mapping is a group, an array or list a dataset, a string or number an attribute."""


def write(path: Path, filterset: FilterSet, prediction: Tree | None = None, design_text: str = "") -> None:
    """Write a filter set, with what verification will compare with; the old file stays until the new one is whole.

    Same input, same bytes: nothing in the file depends on the clock.

    Parameters
    ----------
    path
        Where; the folder must exist.
    filterset
        Filters and settings.
    prediction
        Kept under ``/prediction``: mappings become groups, arrays and lists datasets, the rest attributes.
    design_text
        The design file that led to it, verbatim.

    Raises
    ------
    BadInput
        The folder is missing or read-only, or the disk is full; what existed at ``path`` is untouched.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        _root(file, filterset)
        _taps(file, filterset)
        file.create_group("upmix").attrs.update(asdict(filterset.upmix))
        _tree(file.create_group("prediction"), prediction or {})
        file.create_dataset("design", data=design_text, track_times=False)
    _replace(path, buffer.getvalue())


def read(path: Path) -> FilterSet:
    """Read a filter set from a file, or from the run folder that holds it.

    Raises
    ------
    BadInput
        No such file, no HDF5, another schema, a part missing, or taps that are not finite.
    """
    with _opened(path) as (file, where):
        return _filterset(file, where)


def read_prediction(path: Path) -> dict[str, Any]:
    """What :func:`write` was given as ``prediction``: groups as dicts, datasets as arrays or lists of strings."""
    with _opened(path) as (file, where):
        return _untree(_member(file, "prediction", where))


def read_design(path: Path) -> str:
    """The design file that was kept with the filters, verbatim; empty if there was none."""
    with _opened(path) as (file, where):
        return str(_member(file, "design", where).asstr()[()])


def located(path: Path) -> Path:
    """The file itself, where ``path`` may be the run folder that holds it.

    Raises
    ------
    BadInput
        Nothing is there; says which runs hold filters when some do.
    """
    if path.is_dir():
        if (path / NAME).is_file():
            return path / NAME
        held = "session.h5 is there: run `sweetspot calibrate` on it first" if (path / "session.h5").is_file() else ""
        raise BadInput(f"{path}: this folder holds no {NAME}. {held or 'Name a filterset.h5 or the run folder of one'}")
    if not path.exists():
        raise BadInput(f"{path}: no such file; a {NAME} or the run folder that holds it is needed")
    return path


def _root(file: Any, filterset: FilterSet) -> None:
    file.attrs.update(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        sweetspot_version=version("sweetspot"),
        unit_serial=filterset.unit_serial,
        ceiling=float(filterset.ceiling),
        headroom_db=float(filterset.headroom_db),
        channels=np.asarray(filterset.channels, dtype=np.int64),
    )


def _taps(file: Any, filterset: FilterSet) -> None:
    taps = file.create_dataset("taps", data=filterset.taps, track_times=False)
    taps.attrs.update(
        fs=int(filterset.fs),
        programs=list(filterset.programs),
        drivers=list(filterset.drivers),
        delay_samples=int(filterset.delay_samples),
        session_sha256=filterset.source,
        axes="program driver tap",
    )


def _filterset(file: Any, where: Path) -> FilterSet:
    taps = _member(file, "taps", where)
    root, own = _attributes(file, where, "/"), _attributes(taps, where, "/taps")
    if taps.ndim != 3:
        raise BadInput(f"{where}: /taps has shape {taps.shape}; (program, driver, tap) is needed. Calibrate again")
    try:
        return FilterSet(
            taps=taps[:],
            fs=int(own("fs")),
            drivers=tuple(map(str, own("drivers"))),
            ceiling=float(root("ceiling")),
            delay_samples=int(own("delay_samples")),
            headroom_db=float(root("headroom_db")),
            channels=tuple(map(int, root("channels"))),
            source=str(own("session_sha256")),
            unit_serial=str(root("unit_serial")),
            upmix=_settings(_member(file, "upmix", where), where),
            programs=tuple(map(str, own("programs"))),
        )
    except (ValueError, TypeError) as fault:
        raise BadInput(f"{where}: {fault}. The file is damaged or was edited: calibrate again") from fault


def _settings(group: Any, where: Path) -> UpmixSettings:
    get = _attributes(group, where, "/upmix")
    kinds = {"method": str, "amount": float, "window": int, "hop": int, "tau_s": float}
    return UpmixSettings(**{f.name: kinds[f.name](get(f.name)) for f in fields(UpmixSettings)})


def _member(file: Any, name: str, where: Path) -> Any:
    if name not in file:
        held = ", ".join(sorted(file)) or "nothing"
        raise BadInput(f"{where}: /{name} is missing (it holds {held}); the file is not whole: calibrate again")
    return file[name]


def _attributes(owner: Any, where: Path, what: str) -> Any:
    def get(name: str) -> Any:
        if name not in owner.attrs:
            held = ", ".join(sorted(owner.attrs)) or "none"
            raise BadInput(f"{where}: attribute {name} of {what} is missing (there: {held}); calibrate again")
        return owner.attrs[name]

    return get


def _tree(group: Any, tree: Tree) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _tree(group.create_group(name), value)
        elif isinstance(value, np.ndarray | list | tuple):
            group.create_dataset(name, data=_storable(value), track_times=False)
        else:
            group.attrs[name] = value


def _storable(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "U" else array


def _untree(group: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {k: v.item() if isinstance(v, np.generic) else v for k, v in group.attrs.items()}
    for name, member in group.items():
        if isinstance(member, h5py.Group):
            tree[name] = _untree(member)
        elif h5py.check_string_dtype(member.dtype) is not None:
            tree[name] = member.asstr()[()].tolist()
        else:
            tree[name] = member[()]
    return tree


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Path]]:
    where = located(path)
    try:
        file = h5py.File(where, "r")
    except OSError as fault:
        why = "may not be read by this user" if not os.access(where, os.R_OK) else "is no HDF5 file, or is damaged"
        raise BadInput(f"{where}: {why}; a {NAME} made by `sweetspot calibrate` is needed") from fault
    with file:
        found, number = file.attrs.get("schema"), file.attrs.get("schema_version")
        if found != SCHEMA or number != SCHEMA_VERSION:
            raise BadInput(
                f"{where}: schema is {found!r} version {number}; {SCHEMA!r} version {SCHEMA_VERSION} is needed. "
                f"Name the {NAME} that `sweetspot calibrate` made"
            )
        yield file, where


def _replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path`` in one step, after it has reached the disk."""
    fresh = path.with_name(f".{path.name}.part")
    try:
        with open(fresh, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, path)
    except OSError as fault:
        raise BadInput(_why(path, fault, len(data))) from fault
    finally:
        fresh.unlink(missing_ok=True)


def _why(path: Path, fault: OSError, size: int) -> str:
    match fault.errno:
        case errno.ENOSPC:
            return f"{path}: the disk is full ({size / 1e6:.1f} MB needed); make room and run it again"
        case errno.ENOENT:
            return f"{path}: the folder {path.parent} does not exist; make it first"
        case _:
            return f"{path}: cannot be written: {fault.strerror}"
