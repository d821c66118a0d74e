"""A microphone's response from its correction file. Sign: a file states the microphone's response, so a measurement is
divided by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.correction import Correction, Sensitivity, read
from sweetspot.rigs.units import Float, db, from_db

__all__ = ["Correction", "Sensitivity", "level", "magnitude", "read", "response", "text", "to_dict"]


def magnitude(points: Float, f: Float) -> Float:
    """The microphone's magnitude at ``f`` Hz, linear: levels interpolated on log frequency, held beyond the ends."""
    return np.asarray(from_db(np.interp(np.log(np.maximum(f, 1e-3)), np.log(points[:, 0]), points[:, 1])))


def level(correction: Correction, f: Float) -> Float:
    """The microphone's magnitude at ``f`` Hz, linear."""
    return magnitude(correction.points, f)


def response(correction: Correction, f: Float) -> NDArray[np.complex128]:
    """The microphone's response at ``f`` Hz: its magnitude, and its phase if the file has one.

    Phases are unwrapped along the file, interpolated on log frequency, and held beyond the ends.
    """
    level = magnitude(correction.points, f)
    if correction.phase is None:
        return np.asarray(level, dtype=np.complex128)
    turned = np.unwrap(np.radians(correction.phase))
    phase = np.interp(np.log(np.maximum(f, 1e-3)), np.log(correction.points[:, 0]), turned)
    return np.asarray(level * np.exp(1j * phase))


def to_dict(found: Correction) -> dict[str, Any]:
    """Content of a file for JSON."""
    s = found.sensitivity
    return {
        "maker": found.maker,
        "serial": found.serial,
        "points": len(found.points),
        "band_hz": [float(found.points[0, 0]), float(found.points[-1, 0])],
        "level_db": [float(found.points[:, 1].min()), float(found.points[:, 1].max())],
        "at_1_khz_db": float(db(magnitude(found.points, np.array([1000.0]))[0])),
        "phase": found.phase is not None,
        "sensitivity": None if s is None else {"kind": s.kind, "value": s.value, "gain_db": s.gain_db},
        "sensitivity_mv_per_pa": None if s is None else s.mv_per_pa,
        "notes": list(found.notes),
        "remarks": list(found.remarks),
    }


def text(found: Correction) -> str:
    """The same for a reader."""
    low, high = found.points[[0, -1], 0]
    name = " ".join(filter(None, (found.maker or "maker not named", found.serial and f"number {found.serial}")))
    lines = [
        f"{name}: {len(found.points)} points from {low:g} Hz to {high:g} Hz, "
        f"{'with' if found.phase is not None else 'no'} phase",
        f"level {found.points[:, 1].min():+.2f} to {found.points[:, 1].max():+.2f} dB, "
        f"{float(db(magnitude(found.points, np.array([1000.0]))[0])):+.2f} dB at 1 kHz",
    ]
    if found.sensitivity is None:
        lines.append("no sensitivity in the file: calibrate it with: sweetspot rig calibrate")
    else:
        lines.append(f"sensitivity {found.sensitivity.text()}")
        lines.append(f"    sensitivity_mv_per_pa = {found.sensitivity.mv_per_pa:.4g}")
    lines += [f"note: {remark}" for remark in found.remarks]
    return "\n".join(lines)
