"""Impulse responses of a dummy head from a SOFA file (AES69), read through the guarded door to HDF5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import Group, foreign
from sweetspot.rigs.units import Float

REMEDY = "a SOFA file (AES69) with impulse responses to two receivers is needed"

UNITS = {
    "metre": 1.0,
    "meter": 1.0,
    "m": 1.0,
    "centimetre": 0.01,
    "cm": 0.01,
    "millimetre": 0.001,
    "mm": 0.001,
    "degree": 1.0,
    "degrees": 1.0,
    "deg": 1.0,
    "radian": 180.0 / np.pi,
    "radians": 180.0 / np.pi,
    "rad": 180.0 / np.pi,
}
"""In m, or degrees."""

FS_HZ = (8000.0, 768_000.0)
FARTHEST_M = 1000.0

LONGEST_DELAY = 1 << 16
"""Samples; 1.4 s at 48 kHz."""

LARGEST = 1e6
"""Largest sample of a response."""


@dataclass(frozen=True, slots=True, eq=False)
class SofaHead:
    """What a file holds of a head.

    Parameters
    ----------
    ir
        ``(direction, 2, tap)``, with the delays of ``Data.Delay`` in it.
    fs
        Sampling rate, Hz.
    places
        Azimuth and elevation, degrees, and distance, m, of the sources: ``(direction, 3)``.
    """

    ir: Float
    fs: float
    places: Float


def read_head(path: Path) -> SofaHead:
    """Read the responses of a head.

    Raises
    ------
    BadInput
        The file is missing, damaged, no SOFA file, or holds other data; names the variable.
    """
    with foreign(path, REMEDY) as root:
        ir = _numbers(root, "Data.IR")
        if ir.ndim != 3 or ir.shape[1] != 2 or not ir.shape[2]:
            raise BadInput(
                f"{path}: Data.IR has shape {ir.shape}; (directions, 2 ears, taps) of finite values is needed"
            )
        if np.abs(ir).max() > LARGEST:
            raise BadInput(f"{path}: Data.IR holds {np.abs(ir).max():.3g}; at most {LARGEST:g} is needed")
        fs = float(np.ravel(_numbers(root, "Data.SamplingRate"))[0])
        if not FS_HZ[0] <= fs <= FS_HZ[1]:
            raise BadInput(f"{path}: Data.SamplingRate is {fs:g} Hz; {FS_HZ[0]:g} to {FS_HZ[1]:g} Hz are needed")
        return SofaHead(_delayed(ir, _delays(root, len(ir))), fs, _places(root, len(ir)))


def _numbers(root: Group, name: str) -> Float:
    data = root.data(name)
    found = data[:]
    if found.dtype.kind not in "fiu" or not found.size or not np.isfinite(found).all():
        raise BadInput(f"{data.path}: {name} must hold finite numbers; {REMEDY}")
    return np.asarray(found, dtype=np.float64)


def _delays(root: Group, directions: int) -> Float:
    """``Data.Delay`` in samples for each direction and ear, ``(direction, 2)``; zeros where the file has none."""
    if "Data.Delay" not in root:
        return np.zeros((directions, 2))
    found = _numbers(root, "Data.Delay")
    if found.ndim != 2 or found.shape[0] not in (1, directions) or found.shape[1] != 2:
        raise BadInput(f"{root.path}: Data.Delay has shape {found.shape}; (1 or {directions}, 2) is needed")
    if found.min() < 0.0 or found.max() > LONGEST_DELAY:
        raise BadInput(
            f"{root.path}: Data.Delay runs from {found.min():g} to {found.max():g} samples; "
            f"0 to {LONGEST_DELAY} are needed"
        )
    return np.broadcast_to(found, (directions, 2))


def _places(root: Group, directions: int) -> Float:
    """Spherical positions of the sources re the listener's view, degrees and m, from any coordinates and units.

    ``ListenerView`` turns them about the vertical; without it the listener looks along x.
    """
    data, found = root.data("SourcePosition"), _numbers(root, "SourcePosition")
    if found.shape != (directions, 3):
        raise BadInput(f"{root.path}: SourcePosition has shape {found.shape}; ({directions}, 3) is needed")
    units = [u for u in re.split(r"[,\s]+", str(data.attrs.get("Units", "")).lower()) if u]
    cartesian = str(data.attrs.get("Type", "spherical")).lower() == "cartesian"
    usual = ["metre"] * 3 if cartesian else ["degree", "degree", "metre"]
    units = (units * 3)[:3] if cartesian and units else units if len(units) == 3 else usual
    if unknown := [u for u in units if u not in UNITS]:
        raise BadInput(f"{root.path}: SourcePosition is in {unknown[0]!r}; known units: {', '.join(UNITS)}")
    found = found * np.array([UNITS[u] for u in units])
    if cartesian:
        x, y, z = found.T
        r = np.sqrt(x**2 + y**2 + z**2)
        up = np.arcsin(np.divide(z, r, out=np.zeros_like(r), where=r > 0.0))
        found = np.stack([np.degrees(np.arctan2(y, x)), np.degrees(up), r], axis=1)
    if "ListenerView" in root and (view := _numbers(root, "ListenerView")).shape in ((1, 3), (directions, 3)):
        spherical = str(root.data("ListenerView").attrs.get("Type", "cartesian")).lower() == "spherical"
        turned = view[:, 0] if spherical else np.degrees(np.arctan2(view[:, 1], view[:, 0]))
        found[:, 0] = np.mod(found[:, 0] - turned, 360.0) if turned.any() else found[:, 0]
    if not np.all((found[:, 2] > 0.0) & (found[:, 2] <= FARTHEST_M)) or np.abs(found[:, :2]).max() > 360.0:
        raise BadInput(
            f"{root.path}: SourcePosition holds an angle beyond 360 degrees, or a distance that is not above 0 and at "
            f"most {FARTHEST_M:g} m"
        )
    return found


def _delayed(ir: Float, delays: Float) -> Float:
    """Responses with their delays in them, the shortest one left out; a fraction of a sample by its phase."""
    late = delays - delays.min()
    if not late.any():
        return ir
    n = ir.shape[2] + int(np.ceil(late.max())) + 32
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(n) * late[:, :, None])
    return np.asarray(np.fft.irfft(np.fft.rfft(ir, n, axis=2) * turn, n, axis=2))
