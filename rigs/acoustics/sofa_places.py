"""Places in SOFA files (AES69): cartesian or spherical, in the units that files state, as cartesian in metres."""

from __future__ import annotations

import re

import numpy as np

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float

LENGTHS = {
    name: length
    for names, length in (
        ("metre meter metres meters m", 1.0),
        ("centimetre centimeter centimetres centimeters cm", 0.01),
        ("millimetre millimeter millimetres millimeters mm", 0.001),
    )
    for name in names.split()
}
"""Units of length by the names that files give them, m."""

ANGLES = dict.fromkeys(["degree", "degrees", "deg", "°"], np.pi / 180.0) | dict.fromkeys(
    ["radian", "radians", "rad"], 1.0
)
"""Units of angle by the names that files give them, rad."""

USUAL = {"cartesian": ("metre",) * 3, "spherical": ("degree", "degree", "metre")}
"""Units of a file that states none."""


def cartesian(x: Float, rows: int, kind: str, units: str, where: str, *, otherwise: str) -> Float:
    """Places ``(rows, 3)`` in metres.

    Parameters
    ----------
    x
        As in the file, ``(rows, 3)``, or one row that applies to all.
    rows
        How many are needed.
    kind
        Its attribute ``Type``; empty if the file has none: then units of angle mean spherical, of length cartesian,
        and ``otherwise`` holds where there are no units.
    units
        Its attribute ``Units``.
    where
        File and variable, for messages.

    Raises
    ------
    BadInput
        Another shape; a type or a unit that is not known.
    """
    if x.ndim != 2 or x.shape[1] != 3 or len(x) not in (1, rows):
        raise BadInput(f"{where} has shape {x.shape}; ({rows} or 1, 3) is needed")
    return np.asarray(np.broadcast_to(_in_metres(x, kind, units, where, otherwise), (rows, 3)))


def _in_metres(x: Float, kind: str, units: str, where: str, otherwise: str) -> Float:
    names = tuple(u for u in re.split(r"[,;\s]+", units.strip().lower()) if u)
    stated = kind.strip().lower() or ("spherical" if names and names[0] in ANGLES else "cartesian" if names else "")
    stated = stated or otherwise
    if stated not in USUAL:
        raise BadInput(f"{where}: coordinates of type {stated!r}; cartesian or spherical are needed")
    names = names or USUAL[stated]
    if stated == "cartesian":
        bad = [u for u in names if u not in LENGTHS]
        if bad:
            raise BadInput(f"{where}: unit {bad[0]!r} is not a length; known: {', '.join(LENGTHS)}")
        return np.asarray(x * np.array([LENGTHS[u] for u in (names * 3)[:3]]))
    if len(names) == 2:
        names = (names[0], *names)
    if len(names) != 3 or names[0] not in ANGLES or names[1] not in ANGLES or names[2] not in LENGTHS:
        raise BadInput(
            f"{where}: units {units!r}; angle, angle, length are needed; known: {', '.join((*ANGLES, *LENGTHS))}"
        )
    a, e, r = x[:, 0] * ANGLES[names[0]], x[:, 1] * ANGLES[names[1]], x[:, 2] * LENGTHS[names[2]]
    return np.stack([r * np.cos(e) * np.cos(a), r * np.cos(e) * np.sin(a), r * np.sin(e)], axis=1)


def delay_samples(units: str, fs: float, where: str) -> float:
    """Factor from ``Data.Delay`` in ``units`` to samples; without units they are samples.

    Raises
    ------
    BadInput
        A unit that is not known.
    """
    known = {"": 1.0, "sample": 1.0, "samples": 1.0, "second": fs, "seconds": fs, "s": fs}
    known |= {"millisecond": fs / 1000.0, "milliseconds": fs / 1000.0, "ms": fs / 1000.0}
    unit = units.strip().lower()
    if unit not in known:
        raise BadInput(f"{where}: delays in {units!r}; samples, seconds or milliseconds are needed")
    return known[unit]
