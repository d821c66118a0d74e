"""filterset.h5: the only door between filter sets and HDF5, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from sweetspot.processor.bank import StoredBank, read_group, write_group
from sweetspot.processor.filterset import LARGEST_TAP, NO_DETECTORS, FilterSet, UpmixSettings
from sweetspot.processor.plain import on_pair
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import check_name, check_serial
from sweetspot.rigs.storage import Data, File, Group, Kind, as_stored, built
from sweetspot.rigs.storage import write as write_file
from sweetspot.rigs.units import Float

MOST_DB_SPL = 200.0
"""Highest SPL limit of a rig."""

SCHEMA = "sweetspot-filterset"
SCHEMA_VERSION = 1
NAME = "filterset.h5"
"""File name in a run folder."""

CONTENT = "session_content_sha256"
"""Attribute of ``taps``; files of earlier versions lack it."""

_predictions: dict[str, dict[str, Any]] = {}
"""The prediction that was read last, by the SHA-256 of its file's content."""

Tree = Mapping[str, Any]
"""Nested: a mapping is a group, an array or list a dataset, a string or number an attribute."""


def write(
    path: Path,
    filterset: FilterSet,
    prediction: Tree | None = None,
    design_text: str = "",
    bank: StoredBank | None = None,
) -> None:
    """Write a filter set with its prediction for verification, atomically.

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
    bank
        Filters for other places of the listener, if there are any.

    Raises
    ------
    BadInput
        The folder is missing or read-only, or the disk is full; what existed at ``path`` is untouched.
    """

    def build(root: Group) -> None:
        _root(root, filterset)
        _taps(root, filterset)
        if filterset.detectors.size:
            known = {"loudest_db_spl": filterset.loudest_db_spl} if np.isfinite(filterset.loudest_db_spl) else {}
            kept = root.create_data("detectors", filterset.detectors, in_one_piece=True)
            kept.attrs.update(axes="form program tap", **known)
        root.create_group("upmix").attrs.update(**asdict(filterset.upmix))
        _tree(root.create_group("prediction"), prediction or {})
        root.create_data("design", design_text)
        if bank is not None:
            write_group(root.create_group("bank"), bank)

    write_file(path, built(KIND, build))


def read(path: Path) -> FilterSet:
    """Read a filter set from a file, or from the run folder that holds it.

    Raises
    ------
    BadInput
        No such file, no HDF5, another schema, a part missing, changed since it was written, or with values that no
        filter set has.
    """
    with _opened(path) as root:
        return _filterset(root)


def read_bank(path: Path) -> StoredBank:
    """The bank of a file.

    Raises
    ------
    BadInput
        There is none, or as for :func:`read`.
    """
    with _opened(path) as root:
        if "bank" not in root:
            raise BadInput(
                f"{root.path}: has filters for one place and no bank; make one: sweetspot calibrate RUN --bank "
                f"bank.toml"
            )
        return read_group(root.group("bank"), _filterset(root))


def has_bank(path: Path) -> bool:
    """Whether a file holds a bank."""
    with _opened(path) as root:
        return "bank" in root


def read_prediction(path: Path) -> dict[str, Any]:
    """The ``prediction`` given to :func:`write`: groups as dicts, datasets as read-only arrays or lists of strings."""
    with File.read(located(path), KIND) as file:
        kept = file.seal.sha256 if file.seal.state == "sealed" else ""
        if kept and kept in _predictions:
            return _branches(_predictions[kept])
        found = _untree(file.root.group("prediction"))
    if kept:
        _predictions.clear()
        _predictions[kept] = _branches(found)
    return found


def _branches(tree: Tree) -> dict[str, Any]:
    """A tree with dicts and lists of its own, and the same arrays, which nobody can write: 9 MB need no copy."""
    own = {}
    for name, value in tree.items():
        own[name] = _branches(value) if isinstance(value, dict) else value.copy() if isinstance(value, list) else value
    return own


def reference_of(path: Path, filters: FilterSet) -> tuple[int, int]:
    """Drivers, counted from 0, that stand for the left and the right program without filters; by default the first two.

    Raises
    ------
    BadInput
        Those of the file are not two of its drivers.
    """
    kept = read_prediction(path).get("reference", (0, 1))
    with _stored(path):
        left, right = (int(i) for i in kept)
        if not {left, right} <= set(range(len(filters.drivers))):
            raise ValueError(f"reference drivers {left} and {right}, counted from 0, of {len(filters.drivers)}")
    return left, right


def plain_of(path: Path, filters: FilterSet) -> Float:
    """Plain stereo of a unit ``(side, driver, odd number of taps)``, time zero in their middle.

    That which was kept with the filters; of a file that has none, the drivers of :func:`reference_of`.

    Raises
    ------
    BadInput
        It is not of the file's drivers, or holds other than numbers.
    """
    kept = read_prediction(path).get("plain")
    if kept is None:
        return on_pair(reference_of(path, filters), len(filters.drivers))
    with _stored(path):
        sides = np.asarray(kept, dtype=float)
        if sides.ndim != 3 or sides.shape[:2] != (2, len(filters.drivers)) or sides.shape[-1] % 2 == 0:
            raise ValueError(f"plain stereo has the shape {sides.shape}: (2, {len(filters.drivers)}, odd) is wanted")
        if not float(np.max(np.abs(sides), initial=0.0)) <= LARGEST_TAP:
            raise ValueError(f"plain stereo holds values that are not numbers, or above {LARGEST_TAP:g}")
    return sides


def loudness_re_plain(path: Path) -> dict[str, float]:
    """Predicted loudness re plain stereo of each programme, dB; empty if not predicted."""
    kept = predicted_text(path, "loudness")
    with _stored(path):
        return {str(name): float(value) for name, value in json.loads(kept).items()} if kept else {}


def predicted_forms(path: Path) -> list[dict[str, Any]]:
    """Predicted metrics of each form of engines without an upmix; empty if not predicted."""
    kept = predicted_text(path, "forms")
    with _stored(path):
        return list(json.loads(kept)) if kept else []


def _stored(path: Path) -> AbstractContextManager[None]:
    return as_stored(f"{located(path)}: /prediction", "Calibrate again")


def predicted_text(path: Path, name: str) -> str:
    """The first text of a member of the prediction, without the others; empty if it is not there."""
    with _opened(path) as root:
        group = root.group("prediction")
        return next(iter(group.data(name).texts()), "") if name in group else ""


def read_design(path: Path) -> str:
    """The design file that was kept with the filters, verbatim; empty if there was none."""
    with _opened(path) as root:
        return "".join(root.data("design").texts())


def located(path: Path) -> Path:
    """Path of the file; ``path`` may be its run folder.

    Raises
    ------
    BadInput
        There is no file; the message names runs that hold filters.
    """
    if path.is_dir():
        if (path / NAME).is_file():
            return path / NAME
        held = "It has a session.h5: run `sweetspot calibrate` on it first" if (path / "session.h5").is_file() else ""
        raise BadInput(f"{path}: this folder has no {NAME}. {held or 'Give a filterset.h5 or its run folder'}")
    if not path.exists():
        raise BadInput(f"{path}: no such file; a {NAME} or its run folder is needed")
    return path


@cache
def _version() -> str:
    """Of this installation; 1 ms each time it is looked up."""
    from importlib.metadata import version  # slow to import

    return version("sweetspot")


def _root(root: Group, filterset: FilterSet) -> None:
    root.attrs.update(
        sweetspot_version=_version(),
        unit_serial=filterset.unit_serial,
        ceiling=float(filterset.ceiling),
        headroom_db=float(filterset.headroom_db),
        channels=np.asarray(filterset.channels, dtype=np.int64),
    )
    if filterset.held_by:
        root.attrs.update(held_db=float(filterset.held_db), held_by=list(filterset.held_by))


def _taps(root: Group, filterset: FilterSet) -> None:
    root.create_data("taps", filterset.taps, in_one_piece=True).attrs.update(
        fs=int(filterset.fs),
        programs=list(filterset.programs),
        drivers=list(filterset.drivers),
        delay_samples=int(filterset.delay_samples),
        session_sha256=filterset.source,
        **{CONTENT: filterset.source_content},
        axes="program driver tap",
    )


def _filterset(root: Group) -> FilterSet:
    taps, own = root.data("taps"), root.attrs
    if len(taps.shape) != 3:
        raise BadInput(f"{root.path}: /taps has shape {taps.shape}; (program, driver, tap) is needed. Calibrate again")
    whole = {name: _number(root.path, name, of.attrs[name]) for name, of in (("fs", taps), ("delay_samples", taps))}
    channels = [_number(root.path, "channels", c) for c in np.atleast_1d(own["channels"]).tolist()]
    try:
        return FilterSet(
            taps=taps[:],
            fs=whole["fs"],
            drivers=tuple(check_name(n, f"{root.path}: drivers of /taps") for n in taps.attrs.texts("drivers")),
            ceiling=_real(root.path, "ceiling", own["ceiling"]),
            delay_samples=whole["delay_samples"],
            headroom_db=_real(root.path, "headroom_db", own["headroom_db"]),
            channels=tuple(channels),
            source=taps.attrs.text("session_sha256", longest=128),
            source_content=taps.attrs.text(CONTENT, longest=128) if CONTENT in taps.attrs else "",
            unit_serial=check_serial(own.text("unit_serial"), f"{root.path}: unit_serial"),
            upmix=_settings(root.group("upmix")),
            programs=taps.attrs.texts("programs"),
            held_db=_real(root.path, "held_db", own["held_db"]) if "held_by" in own else 0.0,
            held_by=own.texts("held_by") if "held_by" in own else (),
            **_detectors(root),
        )
    except (ValueError, TypeError) as fault:
        raise BadInput(f"{root.path}: {fault}. The file is damaged or was edited: calibrate again") from fault


class _Detectors(TypedDict):
    """Arguments of a filter set."""

    detectors: np.ndarray[Any, Any]
    loudest_db_spl: float


def _detectors(root: Group) -> _Detectors:
    """The detectors of a file and their SPL limit; earlier versions wrote none."""
    if "detectors" not in root:
        return {"detectors": NO_DETECTORS, "loudest_db_spl": float("inf")}
    data, name = root.data("detectors"), "loudest_db_spl"
    limit = data.attrs.number(name, 0.0, MOST_DB_SPL) if name in data.attrs else np.inf
    return {"detectors": data[:], "loudest_db_spl": limit}


def _real(path: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{path}: {name} is {value!r:.80}; a number is needed. Calibrate again")
    return float(value)


def _number(path: Path, name: str, value: Any) -> int:
    real = _real(path, name, value)
    if not np.isfinite(real) or real != int(real):
        raise BadInput(f"{path}: {name} is {value!r:.80}; a whole number is needed. Calibrate again")
    return int(value)


def _settings(group: Group) -> UpmixSettings:
    kinds = {"method": str, "amount": float, "window": int, "hop": int, "tau_s": float}
    with as_stored(f"{group.path}: {group.name}", "Calibrate again"):
        return UpmixSettings(**{f.name: kinds[f.name](group.attrs[f.name]) for f in fields(UpmixSettings)})


def _tree(group: Group, tree: Tree) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _tree(group.create_group(name), value)
        elif isinstance(value, np.ndarray | list | tuple):
            group.create_data(name, value)
        else:
            group.attrs[name] = value


def _untree(group: Group) -> dict[str, Any]:
    tree = group.attrs.items()
    for name in group:
        member = group[name]
        if isinstance(member, Data):
            tree[name] = list(member.texts()) if member.is_text else _finite(member)
        else:
            tree[name] = _untree(member)
    return tree


def _finite(data: Data) -> np.ndarray[Any, Any]:
    """Values of a prediction, of which none is infinite."""
    found = data[:]
    if found.dtype.kind in "fc" and np.isinf(found).any():
        raise BadInput(f"{data.path}: {data.name}: holds a value that is not finite; calibrate again")
    found.setflags(write=False)
    return found


def _check(root: Group) -> None:
    _filterset(root)
    _untree(root.group("prediction"))
    root.data("design").texts()
    if "bank" in root:
        read_group(root.group("bank"), _filterset(root))


KIND = Kind(SCHEMA, SCHEMA_VERSION, f"give a {NAME} made by `sweetspot calibrate`, or calibrate again", _check)


@contextmanager
def _opened(path: Path) -> Iterator[Group]:
    with File.read(located(path), KIND) as file:
        yield file.root
