"""Stereo virtualisation: near ear all-pass, far ear a delayed low shelf, fitted to a head."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import StereoDesign
from sweetspot.calibrate.plant import FarEar
from sweetspot.rigs import acoustics
from sweetspot.rigs.acoustics import Head, SphereHead
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.layout import azimuth, seat, turned
from sweetspot.rigs.storage import kept_array
from sweetspot.rigs.units import Float, db

FIT_HZ: Float = np.geomspace(200.0, 8000.0, 120)
"""Band in which a far ear is fitted, Hz."""

GRID: Float = np.geomspace(80.0, 18000.0, 200)
"""Frequencies at which a real pair's phantom centre is computed, Hz."""

STEPS, NUDGE, SETTLED, DEADLOCK, FLOOR = 100, 1e-5, 1e-10, 1e12, 1e-6
"""Search for the far ear: largest number of steps, half width of a difference, smallest step, largest damping, and
smallest weight of a parameter re the largest."""


def sphere_ratio(design: StereoDesign, f: Float, c: float) -> NDArray[np.complex128]:
    """Far ear over near ear ``(frequency,)`` of a rigid-sphere head for a source at the reference's angle."""
    return _sphere_ratio(design, np.asarray(f, dtype=np.float64).tobytes(), c)


@lru_cache(maxsize=8)
def _sphere_ratio(design: StereoDesign, f_bytes: bytes, c: float) -> NDArray[np.complex128]:
    """:func:`sphere_ratio`, which follows from the design alone: the same for all units."""
    head = SphereHead(design.head_diameter_m, float(np.radians(design.ears_deg)))
    return frozen("ratio", ratio_of(head, design, np.frombuffer(f_bytes), c), ndim=1, dtype=np.complex128)


def ratio_of(head: Head, design: StereoDesign, f: Float, c: float) -> NDArray[np.complex128]:
    """Far ear over near ear ``(frequency,)`` of a head for the reference: mean in level and phase of its two sides."""
    sides = []
    for side in (1.0, -1.0):
        direction = np.full((1, len(f)), side * np.radians(design.angle_deg))
        ears = head.response(direction, 2.0 * np.pi * f / c, design.distance_m, c)[:, 0]
        far, near = (ears[1], ears[0]) if side > 0.0 else (ears[0], ears[1])
        sides.append(far / near)
    return mean_of_sides(*sides)


def mean_of_sides(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Mean in level and phase of the far ear over the near one for a source on either side ``(frequency,)``."""
    return np.asarray(np.exp(0.5 * (_log(left) + _log(right))))


def _log(ratio: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(np.log(np.abs(ratio)) + 1j * np.unwrap(np.angle(ratio)))


def fit(ratio: NDArray[np.complex128], f: Float) -> FarEar:
    """Fit the three parameters to a ratio far/near: level in dB, and phase below 1.5 kHz.

    Parameters
    ----------
    ratio
        ``(frequency,)`` at ``f`` Hz, evenly spaced over log frequency within about 200 Hz to 8 kHz.
    """
    return _fitted(np.asarray(ratio, dtype=np.complex128).tobytes(), np.asarray(f, dtype=np.float64).tobytes())


@lru_cache(maxsize=8)
def _fitted(ratio_bytes: bytes, f_bytes: bytes) -> FarEar:
    """:func:`fit`, which follows from head and design: the same for all units."""
    ratio, f = np.frombuffer(ratio_bytes, dtype=np.complex128), np.frombuffer(f_bytes)
    low = f < 1500.0
    level, phase = db(ratio), np.unwrap(np.angle(ratio))

    def misfit(p: Float) -> Float:
        model = FarEar(np.exp(p[0]), np.exp(p[1]), p[2] * 1e-4, 0.0).response(f)
        turned = np.angle(model[low] * np.exp(-1j * phase[low]))
        return np.concatenate([db(model) - level, 8.0 * turned])

    found = _least_squares(misfit, np.array([np.log(700.0), np.log(0.4), 2.5]))
    corner, shelf, delay = np.exp(found[0]), np.exp(found[1]), found[2] * 1e-4
    error = float(np.sqrt(np.mean(misfit(found)[: len(f)] ** 2)))
    return FarEar(float(corner), float(shelf), float(delay), error)


def _least_squares(misfit: Callable[[Float], Float], start: Float) -> Float:
    """Parameters of least squares near ``start``, by damped Gauss-Newton steps (Levenberg and Marquardt).

    For a few parameters of the order of one and a smooth misfit; SciPy's solver takes half a second to import.
    """
    p, damping = start, 1e-3
    left = misfit(p)
    for _ in range(STEPS):
        slope = np.stack([(misfit(p + d) - misfit(p - d)) / (2.0 * NUDGE) for d in NUDGE * np.eye(len(p))], axis=-1)
        normal, downhill = slope.T @ slope, slope.T @ left
        own = np.diag(normal)
        step = -np.linalg.solve(normal + damping * np.diag(np.maximum(own, FLOOR * own.max())), downhill)
        new = misfit(p + step)
        if new @ new < left @ left:
            p, left, damping = p + step, new, 0.1 * damping
            if np.max(np.abs(step)) < SETTLED:
                break
        elif damping > DEADLOCK:
            break
        else:
            damping *= 10.0
    return p


def reference(design: StereoDesign, c: float) -> FarEar:
    """The far ear of a stereo reference for a rigid-sphere head, fitted at :data:`FIT_HZ`."""
    return fit(sphere_ratio(design, FIT_HZ, c), FIT_HZ)


def phantom_power(head: Head, positions: NDArray[np.void], design: StereoDesign, distance_m: float, c: float) -> Float:
    """Power of a real pair's phantom over that of one of its speakers at its near ear ``(frequency,)`` at :data:`GRID`.

    Means over the head's positions: a head that moves meets the phantom's notches elsewhere, as it does not with
    loudspeakers that are next to each other.

    Parameters
    ----------
    head
        That measures.
    positions
        Table with ``x``, ``y``, ``yaw_deg`` of the head, m from the middle of the device.
    distance_m
        From the device to the nominal head; the pair stands as far from it, ``angle_deg`` to both sides.
    """
    places = np.stack([positions["x"], positions["y"], np.radians(positions["yaw_deg"])], axis=1)
    if aside := seat(azimuth(places)):  # the pair is in front of the listener's seat
        places = turned(places, -aside) - np.array([0.0, 0.0, aside])
    return _phantom_power(head, places.tobytes(), design.angle_deg, distance_m, c)


@lru_cache(maxsize=4)
def _phantom_power(head: Head, places: bytes, angle_deg: float, distance_m: float, c: float) -> Float:
    """:func:`phantom_power` at places ``(position, 3)``: x, y, yaw; units of a kind are measured at the same ones.

    That of a sphere is kept on disk, for it takes 28 ms.
    """
    if not isinstance(head, SphereHead):
        return _pair_power(head, places, angle_deg, distance_m, c)
    by = f"{np.__version__} {platform.machine()}"
    what = f"{head.radius} {head.ears} {places.hex()} {angle_deg} {distance_m} {c} {by}"
    sources = (Path(__file__), *(Path(acoustics.__file__).with_name(name) for name in ("head.py", "sphere.py")))
    return kept_array("phantom", what, sources, lambda: _pair_power(head, places, angle_deg, distance_m, c))


def _pair_power(head: Head, places: bytes, angle_deg: float, distance_m: float, c: float) -> Float:
    """:func:`phantom_power`, computed."""
    angle = np.radians(angle_deg)
    ahead, aside = distance_m * (1.0 - np.cos(angle)), distance_m * np.sin(angle)
    k, heard = 2.0 * np.pi * GRID / c, []
    for x, y, yaw in np.frombuffer(places).reshape(-1, 3):
        at = np.array([[ahead - x, side * aside - y] for side in (-1.0, 1.0)])
        r = np.hypot(at[:, 0], at[:, 1])
        azimuth = np.arctan2(at[:, 1], at[:, 0]) - np.pi - yaw
        sides = zip(azimuth, r, strict=True)
        ears = [head.response(np.broadcast_to(a, k.shape), k, float(d), c) * np.exp(-1j * k * d) / d for a, d in sides]
        heard.append(np.stack(ears))
    pair = np.stack(heard)
    both = np.mean(np.abs(pair.sum(axis=1)) ** 2, axis=(0, 1))
    near = 0.5 * np.mean(np.abs(pair[:, 0, 0]) ** 2 + np.abs(pair[:, 1, 1]) ** 2, axis=0)
    return frozen("power", both / near, ndim=1)
