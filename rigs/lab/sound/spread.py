"""Directional spread of a unit's drivers re the model: tilt, position, edge, breakup pattern.

A driver's own field at a direction ``u`` (unit vector from the middle of what it sits in) is multiplied by

``exp(j k s.u) (1 + g exp(-j k d (1 - u.e))) (1 + b.u A(k))``

with ``s`` the displacement of its acoustic centre along its axis, ``g`` an edge (or grille bar) at ``d`` beside it
towards ``e``, which radiates again what reaches it, and ``b`` the weight of a dipole mode of the cone with the
resonance ``A = (s/q) / (1 + s/q + s^2)`` at ``s = j k / k_b``. Tilt and place across the axis turn the axis itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.rigs.lab.sound.driver import drawn
from sweetspot.rigs.rig_file import Description, Driver, SpreadTable
from sweetspot.rigs.units import Complex, Float, from_db

BREAKUP_HZ = 9000.0
"""Default frequency of the cone's dipole mode without ``[lab.breakup]``, Hz."""


@dataclass(frozen=True, slots=True, eq=False)
class DriverSpread:
    """One driver of one unit; all vectors ``(3,)`` in the device's coordinates.

    Parameters
    ----------
    moved
        Displacement of its middle, m.
    tilt
        By how much its axis is turned: a small vector that is added to the axis, rad.
    shift
        The part of ``moved`` along the axis that the body's geometry does not take, m.
    edge
        Level of the edge's radiation, re the driver's.
    edge_m
        Distance of the edge, m.
    towards
        Unit vector to the edge.
    mode
        Weight of the cone's dipole mode, across the axis.
    mode_k, mode_q
        Wavenumber and quality factor of that mode.
    """

    moved: Float
    tilt: Float
    shift: Float
    edge: float
    edge_m: float
    towards: Float
    mode: Float
    mode_k: float
    mode_q: float

    @property
    def reach(self) -> float:
        """Additional extent of the driver's field over direction, m."""
        return self.edge_m + float(np.linalg.norm(self.shift)) + (0.005 if np.any(self.mode) else 0.0)

    def factor(self, u: Float, k: Float) -> Complex:
        """Factor on the field ``(*directions, frequency)`` at unit vectors ``u (*directions, 3)``."""
        shift, towards, mode = (np.asarray(u @ v)[..., None] for v in (self.shift, self.towards, self.mode))
        s = 1j * k / self.mode_k
        resonance = (s / self.mode_q) / (1.0 + s / self.mode_q + s**2)
        edge = self.edge * np.exp(-1j * k * self.edge_m * (1.0 - towards))
        return np.asarray(np.exp(1j * k * shift) * (1.0 + edge) * (1.0 + mode * resonance))


def spread_of_unit(rig: Description, serial: str, axes: Float, c: float) -> tuple[DriverSpread, ...] | None:
    """The spread of a unit's drivers; ``None`` where the lab has no ``[lab.spread]``.

    Parameters
    ----------
    axes
        ``(driver, 3)``: where the drivers face.
    c
        Speed of sound, m/s.
    """
    table = rig.lab.spread
    if table is None:
        return None
    return tuple(_of_driver(rig, table, d, serial, axis, c) for d, axis in zip(rig.driver, axes, strict=True))


def _of_driver(
    rig: Description, table: SpreadTable, driver: Driver, serial: str, axis: Float, c: float
) -> DriverSpread:
    rng = drawn(rig.lab.seed, serial, driver.name, "spread")
    across = _across(axis)
    moved = 1e-3 * table.mount_mm * rng.standard_normal(3)
    tilt = np.radians(table.tilt_deg) * rng.standard_normal(2) @ across
    angle = 2.0 * np.pi * rng.random()
    edge = float(rng.standard_normal()) * (0.0 if table.edge_db is None else float(from_db(table.edge_db)))
    away = 1e-3 * table.edge_mm * float(np.exp(0.3 * rng.standard_normal()))
    mode = table.pattern * rng.standard_normal(2) @ across
    peak = rig.lab.breakup
    at = (peak.frequency_hz if peak else BREAKUP_HZ) * float(
        np.exp(0.01 * table.breakup_percent * rng.standard_normal())
    )
    towards = np.array([np.cos(angle), np.sin(angle)]) @ across
    along = float(moved @ axis) * axis
    return DriverSpread(
        moved,
        tilt,
        shift=along,
        edge=edge,
        edge_m=away,
        towards=towards,
        mode=mode,
        mode_k=2.0 * np.pi * at / c,
        mode_q=peak.q if peak else 6.0,
    )


def _across(axis: Float) -> Float:
    """Two unit vectors across an axis, ``(2, 3)``."""
    other = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    one = np.cross(other, axis)
    one /= np.linalg.norm(one)
    return np.stack([one, np.cross(axis, one)])
