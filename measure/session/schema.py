"""Schema of a session file: data sets, shapes, types, names and ranges, checked when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.distortion import ORDERS
from sweetspot.measure.impulse import POSITION
from sweetspot.measure.session import samples
from sweetspot.measure.splice import Part, SpliceNote
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import check_name, check_serial
from sweetspot.rigs.storage import Data, Group
from sweetspot.rigs.units import Float

REMEDY = (
    "give the run folder of a session made by `sweetspot measure`; restore a damaged one from a copy, or measure again"
)
VERIFY_AGAIN = "verify again: sweetspot verify RUN"

FS = (1000, 768_000)
"""Sampling rates, Hz."""

FARTHEST_M = 1000.0
"""Largest coordinate of a position, m."""

LOUDEST_PA = 101_325.0
"""Largest sample of a response, Pa for a full-scale sample: no sound wave in air exceeds the air's own pressure."""

SETS = ("ears", "polar")
UNITS = ("Pa/FS", "relative")
"""Pascal for a full-scale sample; or, for responses measured elsewhere, a level that is not known."""

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, eq=False)
class SetHead:
    """Metadata of a set's responses.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    zero
        Tap of time zero.
    band
        Judged band, Hz.
    positions
        ``(position,)``, see :data:`sweetspot.measure.impulse.POSITION`.
    mics, sources
        Names in the order of the axes.
    """

    fs: int
    zero: int
    unit: str
    band: tuple[float, float]
    positions: NDArray[np.void]
    mics: tuple[str, ...]
    sources: tuple[str, ...]


def check_heads(root: Group) -> dict[str, SetHead]:
    """Check all but the samples; the sets must be consistent. Their metadata by name.

    Raises
    ------
    BadInput
        The first thing that is not as it must be.
    """
    attrs, where = root.attrs, root.path
    check_serial(attrs.text("unit_serial"), f"{where}: unit_serial")
    fs = attrs.integer("fs", *FS)
    attrs.number("temperature_c", -60.0, 100.0)
    for name in ("rig_sha256", "rig_folder", "created_utc", "sweetspot_version"):
        attrs.text(name)
    heads = {
        name: head(root.group(name)) for name in (*SETS, "reference", "templates", "monitor", "device") if name in root
    }
    for name, one in heads.items():
        if f"raw/{name}" not in root:
            raise BadInput(f"{where}: /raw/{name} is missing beside /{name}; the file is incomplete: {REMEDY}")
        if one.fs != fs:
            raise BadInput(f"{where}: /{name}/ir is at {one.fs} Hz, the session at {fs} Hz; both must be the same")
    both = all(name in heads for name in SETS)
    if both and "drivers" in root.group("ears") and heads["ears"].sources != heads["polar"].sources:
        raise BadInput(
            f"{where}: /ears/drivers are {', '.join(heads['ears'].sources)}, "
            f"/polar/drivers {', '.join(heads['polar'].sources)}; both must be the same"
        )
    return heads


def head(group: Group) -> SetHead:
    """Names, places and scales of a set, with the shapes of all its data sets checked.

    Raises
    ------
    BadInput
        Something is missing, has another shape or type, or lies out of range.
    """
    ir = group.data("ir")
    if len(ir.shape) != 4:
        raise BadInput(f"{ir.path}: {ir.name} has shape {ir.shape}; (position, mic, driver, tap) is needed. {REMEDY}")
    fs, zero = ir.attrs.integer("fs", *FS), ir.attrs.integer("zero", 0, max(ir.shape[3] - 1, 0))
    band = np.ravel(ir.attrs["band_hz"])
    if band.dtype.kind not in "fiu" or len(band) != 2 or not 0.0 < band[0] < band[1] <= fs / 2:
        raise BadInput(f"{ir.path}: band_hz of {ir.name} is {band!r:.80}; 0 < low < high <= {fs / 2:g} Hz is needed")
    if (unit := ir.attrs.text("unit")) not in UNITS:
        raise BadInput(f"{ir.path}: unit of {ir.name} is {unit!r:.40}; {' or '.join(map(repr, UNITS))} is needed")
    found = SetHead(
        fs,
        zero,
        unit=unit,
        band=(float(band[0]), float(band[1])),
        positions=_positions(group),
        mics=_names(group, "mics"),
        sources=sources(group),
    )
    named = (len(found.positions), len(found.mics), len(found.sources))
    if ir.shape[:3] != named:
        raise BadInput(
            f"{ir.path}: {ir.name} has shape {ir.shape}; {named} positions, mics, drivers are named. {REMEDY}"
        )
    if (shape := group.data("snr_db").shape) != named:
        raise BadInput(f"{ir.path}: {group.name}/snr_db has shape {shape}; {named} is needed. {REMEDY}")
    return found


def sources(group: Group) -> tuple[str, ...]:
    """Names of a set's drivers, or of its programs."""
    return _names(group, "drivers" if "drivers" in group else "programs")


def _names(group: Group, what: str) -> tuple[str, ...]:
    found = group.data(what).texts()
    for name in found:
        check_name(name, f"{group.path}: {group.name}/{what}")
    if len(set(found)) < len(found):
        raise BadInput(f"{group.path}: {group.name}/{what} has a name twice: {', '.join(found)}")
    return found


def _positions(group: Group) -> NDArray[np.void]:
    data = group.data("positions")
    found = data[:]
    if found.ndim != 1 or found.dtype.names != POSITION.names:
        raise BadInput(f"{data.path}: {data.name} must be a table with the columns {', '.join(POSITION.names or ())}")
    for column in ("azimuth_deg", "x", "y", "z", "yaw_deg"):
        limit = FARTHEST_M if column in "xyz" else 360.0
        values = found[column]
        if values.dtype.kind != "f" or not np.all(np.abs(values) <= limit):
            raise BadInput(f"{data.path}: {column} of {data.name} holds a value beyond {limit:g}, or no number")
    return np.asarray(found)


def recorded(data: Data) -> NDArray[Any]:
    """Samples ``(channel, samples)`` of a raw capture.

    Raises
    ------
    BadInput
        They are none, or not finite.
    """
    try:
        x = samples.restored(data[:], data.attrs.get(samples.FULL_SCALE), data.attrs.get(samples.OFFSET, 0))
    except ValueError as fault:
        raise BadInput(f"{data.path}: {data.name} holds {fault}; {REMEDY}") from fault
    if x.ndim != 2 or not np.isfinite(x).all():
        raise BadInput(f"{data.path}: {data.name} must hold finite samples (channel, samples); {REMEDY}")
    return x


def check_loudness(path: Path, name: str, h: NDArray[Any]) -> None:
    """Refuse responses that no loudspeaker has.

    Raises
    ------
    BadInput
        Shows the largest sample and the limit.
    """
    largest = float(np.nanmax(np.abs(h), initial=0.0))
    if largest > LOUDEST_PA:
        raise BadInput(
            f"{path}: /{name}/ir holds {largest:.3g} Pa for a full-scale sample; at most {LOUDEST_PA:g} Pa (the "
            "pressure of the air) is possible. The file is damaged, or a microphone's sensitivity is wrong"
        )


def check_bins(path: Path, where: str, values: Float, ir: tuple[int, ...]) -> None:
    """Refuse per-bin data of another shape than the responses, below 0 or infinite.

    Raises
    ------
    BadInput
        Names the data set.
    """
    wanted = (*ir[:3], ir[3] // 2 + 1)
    if values.shape != wanted:
        raise BadInput(f"{path}: {where} has shape {values.shape}; {wanted} is needed. {REMEDY}")
    if np.isinf(values).any() or np.any(values < 0.0):
        raise BadInput(f"{path}: {where} holds a value that is infinite or below 0. {REMEDY}")


def record(kind: type[Record], text: Any, where: str) -> Record:
    """A small record that is kept as JSON.

    Raises
    ------
    BadInput
        It is no JSON, or has other fields.
    """
    try:
        return kind(**json.loads(text))
    except (TypeError, ValueError) as fault:
        raise BadInput(f"{where}: cannot be understood ({fault}); {REMEDY}") from fault


def splice(group: Group) -> SpliceNote:
    """Origin of a spliced capture.

    Raises
    ------
    BadInput
        Something is missing, or has another shape or range.
    """
    runs, f, stderr, harmonics = (group.data(name)[:] for name in ("runs", "f_hz", "stderr", "harmonics"))
    weights = group.data("weights")
    whole = runs.ndim == f.ndim == 1 and runs.dtype.kind == "i" and len(runs) > 0 and bool(np.all(runs > 0))
    whole = whole and f.dtype.kind == "f" and bool(np.all(np.diff(f) > 0.0)) and len(f) > 1 and float(f[0]) > 0.0
    whole = whole and stderr.ndim == 3 and stderr.shape[2] == len(f) and harmonics.ndim == 4
    whole = whole and harmonics.shape == (len(stderr), len(ORDERS), *stderr.shape[1:])
    whole = whole and all(np.all(np.isfinite(errors)) and np.all(errors >= 0.0) for errors in (stderr, harmonics))
    if not whole or len(weights.shape) != 4 or weights.shape[0] != len(runs):
        raise BadInput(f"{group.path}: {group.name} is not a record of a splice; {REMEDY}")
    try:
        parts = tuple(Part(**part) for part in json.loads(group.attrs.text("parts", 1 << 16)))
    except (TypeError, ValueError) as fault:
        raise BadInput(f"{group.path}: parts of {group.name} cannot be understood ({fault}); {REMEDY}") from fault
    column = weights.attrs.number("column_s", 1e-4, 10.0)
    errors, harmonics = np.asarray(stderr, dtype=float), np.asarray(harmonics, dtype=float)
    return SpliceNote(tuple(int(r) for r in runs), parts, np.asarray(f), errors, harmonics, column)


def check(root: Group) -> None:
    """Check a whole file, samples included; see :func:`check_heads`."""
    check_heads(root)
    for name in SETS:
        if name not in root:
            continue
        group = root.group(name)
        h = group.data("ir")[:]
        if np.isinf(h).any():
            raise BadInput(f"{root.path}: /{name}/ir holds a value that is infinite. {REMEDY}")
        check_loudness(root.path, name, h)
        for what in ("stderr", "coherence"):
            check_bins(root.path, f"/{name}/{what}", group.data(what)[:], h.shape)
        raw = root.group(f"raw/{name}")
        for key in raw:
            if f"spliced/{name}/{key}" in root:
                splice(root.group(f"spliced/{name}/{key}"))
            if key == "played":
                raw.data(key)[:]
            else:
                recorded(raw.data(key))
                raw.data(key).attrs.items()
