"""Impulse responses of a dummy head from a SOFA file (AES69), read through the guarded door to HDF5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.acoustics.sofa_places import cartesian, delay_samples
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import Group, foreign
from sweetspot.rigs.units import Float

REMEDY = "a SOFA file (AES69) with impulse responses to two receivers is needed"

FS_HZ = (8000.0, 768_000.0)
FARTHEST_M = 1000.0

ROUNDED = 9
"""Digits of an angle in degrees that count: what conversion adds is left out."""

LONGEST_DELAY = 1 << 16
"""Samples; 1.4 s at 48 kHz."""

LARGEST = 1e6
"""Largest sample of a response."""


@dataclass(frozen=True, slots=True, eq=False)
class SofaHead:
    """Content of a head's file.

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
        return SofaHead(_delayed(ir, _delays(root, len(ir), fs)), fs, _places(root, len(ir)))


def _numbers(root: Group, name: str) -> Float:
    data = root.data(name)
    found = data[:]
    if found.dtype.kind not in "fiu" or not found.size or not np.isfinite(found).all():
        raise BadInput(f"{data.path}: {name} must hold finite numbers; {REMEDY}")
    return np.asarray(found, dtype=np.float64)


def _delays(root: Group, directions: int, fs: float) -> Float:
    """``Data.Delay`` in samples for each direction and ear, ``(direction, 2)``; zeros where the file has none."""
    if "Data.Delay" not in root:
        return np.zeros((directions, 2))
    found = _numbers(root, "Data.Delay")
    found = found * delay_samples(_attribute(root, "Data.Delay", "Units"), fs, f"{root.path}: Data.Delay")
    found = found[..., 0] if found.ndim == 3 else found
    if found.ndim != 2 or found.shape[0] not in (1, directions) or found.shape[1] != 2:
        raise BadInput(f"{root.path}: Data.Delay has shape {found.shape}; (1 or {directions}, 2) is needed")
    if found.min() < 0.0 or found.max() > LONGEST_DELAY:
        raise BadInput(
            f"{root.path}: Data.Delay runs from {found.min():g} to {found.max():g} samples; "
            f"0 to {LONGEST_DELAY} are needed"
        )
    return np.broadcast_to(found, (directions, 2))


def _attribute(root: Group, variable: str, name: str) -> str:
    return str(root.data(variable).attrs.get(name, ""))


def _vectors(root: Group, name: str, directions: int, otherwise: str) -> Float:
    """A variable of places or directions as cartesian in m, ``(direction, 3)``; one row applies to all."""
    found = _numbers(root, name)
    kind, units = (_attribute(root, name, a) for a in ("Type", "Units"))
    return cartesian(found, directions, kind, units, f"{root.path}: {name}", otherwise=otherwise)


def _places(root: Group, directions: int) -> Float:
    """Spherical positions of the sources re the listener's view, degrees and m, from any coordinates and units.

    ``ListenerPosition`` is where they are counted from, ``ListenerView`` turns them about the vertical; without these
    the listener is in the middle and looks along x.
    """
    x = _vectors(root, "SourcePosition", directions, "spherical")
    if "ListenerPosition" in root:
        x = x - _vectors(root, "ListenerPosition", directions, "cartesian")
    r = np.linalg.norm(x, axis=1)
    if not np.all((r > 0.0) & (r <= FARTHEST_M)):
        raise BadInput(f"{root.path}: SourcePosition holds a distance that is not above 0 and at most {FARTHEST_M:g} m")
    azimuth = np.degrees(np.arctan2(x[:, 1], x[:, 0]))
    if "ListenerView" in root:
        view = _vectors(root, "ListenerView", directions, "cartesian")
        azimuth = azimuth - np.degrees(np.arctan2(view[:, 1], view[:, 0]))
    azimuth = np.mod(np.round(azimuth, ROUNDED), 360.0)
    return np.stack([azimuth, np.round(np.degrees(np.arcsin(x[:, 2] / r)), ROUNDED), r], axis=1)


def _delayed(ir: Float, delays: Float) -> Float:
    """Responses with their delays in them, the shortest one left out; a fraction of a sample by its phase."""
    late = delays - delays.min()
    if not late.any():
        return ir
    n = ir.shape[2] + int(np.ceil(late.max())) + 32
    return fft.delayed(ir, late, n)
