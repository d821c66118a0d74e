"""Geometry of drivers, ears and microphones: poses, turns and directions.

x ahead of the device, y to its left, z up; azimuth counter-clockwise from x. Metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.units import Float

AXES = ("turn", "x", "y", "yaw", "z", "elevation")
"""Axes of stages, in the order of :class:`Pose`."""


@dataclass(frozen=True, slots=True, repr=False)
class Pose:
    """How the movable things stand.

    Parameters
    ----------
    turn
        Azimuth by which the device is turned, rad, counter-clockwise.
    x, y
        Where the head's centre is, m, from its nominal place straight ahead of the device.
    yaw
        By how much the head is turned, rad, counter-clockwise; at 0 it faces the device.
    z
        How far the head's centre is above its nominal place, m.
    elevation
        By how much the polar microphone is raised on its circle about the device's middle, rad, from where it stands.
    """

    turn: float = 0.0
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    z: float = 0.0
    elevation: float = 0.0

    def __repr__(self) -> str:
        """Fields by name; the lab draws by this text, and a height of nothing does not change what it drew before."""
        names = [n for n in AXES if n not in ("z", "elevation") or getattr(self, n)]
        return f"Pose({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"

    def differing(self, other: Pose, tolerance: float = 1e-6) -> tuple[str, ...]:
        """Names of the axes on which the two poses differ by more than ``tolerance`` (m or rad)."""
        return tuple(f.name for f in fields(self) if abs(getattr(self, f.name) - getattr(other, f.name)) > tolerance)

    def text(self) -> str:
        """The pose in the units of the surface, for messages."""
        height = f"z {100 * self.z:g} cm, " if self.z else ""
        return (
            f"device turned {np.degrees(self.turn):g} deg, head at x {100 * self.x:g} cm, y {100 * self.y:g} cm, "
            f"{height}yaw {np.degrees(self.yaw):g} deg"
            + (f", polar microphone raised by {np.degrees(self.elevation):g} deg" if self.elevation else "")
        )


def turned(points: ArrayLike, angle: float) -> Float:
    """Points ``(..., 3)`` turned about the vertical axis by ``angle`` rad, counter-clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    turn: Float = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(np.asarray(points, dtype=float) @ turn)


def azimuth(points: ArrayLike) -> Float:
    """Azimuth of points ``(..., 3)`` in rad."""
    p = np.asarray(points, dtype=float)
    return np.asarray(np.arctan2(p[..., 1], p[..., 0]))


def wrapped(angle: ArrayLike) -> Float:
    """Angle in rad brought into (-pi, pi]."""
    return np.asarray(np.pi - np.mod(np.pi - np.asarray(angle, dtype=float), 2.0 * np.pi))


def wrapped_deg(angle: ArrayLike) -> Float:
    """Angle in degrees brought into [-180, 180)."""
    return np.asarray((np.asarray(angle, dtype=float) + 180.0) % 360.0 - 180.0)


def nearest(azimuths: ArrayLike, angle: float = 0.0) -> int:
    """Row of the azimuth nearest to an angle, by default straight ahead, rad."""
    return int(np.argmin(np.abs(wrapped(np.asarray(azimuths, dtype=float) - angle))))


def seat(azimuths: ArrayLike) -> float:
    """Azimuth of a listener's seat, rad: the middle one of places around it, 0 where they lie to both sides of 0."""
    a = np.asarray(azimuths, dtype=float)
    aside = a.size > 0 and bool(a.min() > 0.0 or a.max() < 0.0)
    return float(np.quantile(a, 0.5)) if aside else 0.0  # the median's module loads in 20 ms


MIRROR_M = 0.02
"""Two drivers are a mirror pair when neither place differs from the other's mirror image by more, m."""


def mirror_pairs(at: Float) -> list[tuple[int, int]]:
    """Pairs of drivers at ``at (driver, 3)`` m that mirror each other, the one on the listener's left (-y) first.

    No driver is in two pairs: the nearest to mirror images are taken, coaxial drivers in their order.
    """
    off = np.abs(at[:, None] * np.array([1.0, -1.0, 1.0]) - at[None]).max(axis=-1)
    near = [(i, j) for i, j in np.argwhere(off <= MIRROR_M).tolist() if at[i, 1] < -MIRROR_M / 2]
    found: list[tuple[int, int]] = []
    for i, j in sorted(near, key=lambda p: round(float(off[p]), 6)):
        if not any(i in p or j in p for p in found):
            found.append((i, j))
    return sorted(found)


def side_pairs(at: Float) -> list[tuple[int, int]]:
    """The mirror pairs; without one, the pair that comes nearest to one; without drivers on both sides, all pairs."""
    if found := mirror_pairs(at):
        return found
    everyone = range(len(at))
    y = np.array([1.0, -1.0, 1.0])
    across = [(i, j) for i in everyone for j in everyone if at[i, 1] < at[j, 1] and at[i, 1] * at[j, 1] <= 0.0]
    if across:
        return [min(across, key=lambda p: float(np.linalg.norm(at[p[0]] * y - at[p[1]])))]
    return [(i, j) for i in everyone for j in everyone if i != j]
