"""Faults at the head: its place, one ear's gain or response, and a response that changed at both ears."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.verify.diagnose import driver_faults
from sweetspot.calibrate.verify.diagnose.driver_faults import LOWEST_GAIN, Found
from sweetspot.calibrate.verify.diagnose.residual import Residual
from sweetspot.rigs.units import ROOM_SPEED, Complex, Float

MOVED_BAND = (200.0, 2500.0)
"""Band of the fit of a moved head, Hz: above it a few centimetres turn the phase more than once."""

STARTS = ((0.03, 0.0, 0.0), (0.06, 0.0, 0.0), (0.09, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.06, 0.0), (0.0, 0.1, 0.0),
          (0.0, 0.0, 0.1), (0.0, 0.0, 0.25))  # fmt: skip
"""Starting points of the fit of a moved head, also with opposite signs: m, m, rad."""

EAR_M = 0.0875

UNMOVED_M, UNMOVED_SHARE, UNMOVED_RAD = 0.003, 0.3, np.radians(0.5)
"""A head that moved by less to the side (m, and the share of the way nearer or farther), and turned by less, is only
nearer or farther: warmer air does the same."""

OTHER_EAR = 0.01
"""Largest difference of the other ear, re its power, where one ear's cable is named."""

ROOM_K, MOST_KELVIN = 293.0, 15.0
"""Temperature of a room, K; largest change of it that is named."""


def inverted(s: Residual) -> Found:
    """One ear's microphone with its polarity inverted."""
    for ear, name in enumerate(("left", "right")):
        h = s.h.copy()
        h[:, ear] *= -1.0
        text = f"the {name} ear has its polarity inverted: its microphone or cable"
        yield "ear polarity", text, s.left_over(s.predicted(h=h)), 0


def elsewhere(s: Residual) -> Found:
    """One ear's input that carries another microphone: nothing but this ear differs, and no model explains it."""
    q = s.aligned(s.predicted())
    each = [s.power(s.heard[:, ear] - q[:, ear]) for ear in (0, 1)]
    for ear, name in enumerate(("left", "right")):
        if each[1 - ear] < OTHER_EAR * s.power(q[:, 1 - ear]):
            text = f"the {name} ear's input carries something else: its cable is swapped with another microphone's"
            yield "ear cable", text, each[1 - ear], 0


def ear_gain(s: Residual, p: Complex) -> Found:
    """One ear's microphone, or its preamplifier, at another gain."""
    q = s.aligned(p)
    for ear, name in enumerate(("left", "right")):
        g = s.gain(s.heard[:, ear], q[:, ear])
        if not LOWEST_GAIN < g < 1.0 / LOWEST_GAIN:
            continue
        scaled = q.copy()
        scaled[:, ear] *= g
        text = f"the {name} ear is {driver_faults.level(g)}: its microphone's gain or calibration"
        yield "ear gain", text, s.power(s.heard - scaled), 1


def banded(s: Residual, p: Complex) -> Found:
    """One ear's response, or that of everything, changed in a band."""
    q = s.aligned(p)
    for ear, name in enumerate(("left", "right")):
        change = driver_faults.band_change(s, s.heard[:, ear], q[:, ear])
        if change:
            text = f"the {name} ear has changed {change.text}: its microphone, its calibration or an obstruction"
            yield "ear response", text, s.power(s.heard - q) - change.gained, 4
    change = driver_faults.band_change(s, s.heard, q)
    if change:
        text = f"everything has changed {change.text}, at both ears: all drivers, an equaliser or the amplifier"
        yield "response", text, s.power(s.heard - q) - change.gained, 4


def moved(s: Residual, at: Float, distance_m: float) -> Found:
    """The head somewhere else: every path later or earlier by its way, to first order of the geometry.

    The place is fitted in :data:`MOVED_BAND`. Above, it explains what that same place takes away there, or nothing:
    a difference that lies above is not explained by a fit below.
    """
    p = s.predicted()
    back = 0.0 if s.timed else s.lag(np.sum(s.weight * s.heard * p.conj(), axis=(0, 1, 2)))
    heard = s.heard * np.exp(2j * np.pi * s.f * back)
    low, high = s.f <= MOVED_BAND[1], s.f > MOVED_BAND[1]

    def rest(inside: NDArray[np.bool_]) -> Callable[[Float], Float]:
        f, scale, h, w = s.f[inside], np.sqrt(s.weight[inside]), s.h[..., inside], s.w[..., inside]

        def left(x: Float) -> Float:
            r = (heard[..., inside] - np.einsum("pedf,sdf->pesf", h * _turned(x, at, distance_m, f), w)) * scale
            return np.concatenate([r.real.ravel(), r.imag.ravel()])

        return left

    def power(inside: NDArray[np.bool_], x: Float) -> float:
        return float(np.sum(rest(inside)(x) ** 2))

    starts = [(0.0, 0.0, 0.0)] + [tuple(sign * v for v in row) for row in STARTS for sign in (1, -1)]
    coarse = min(starts, key=lambda x: power(low, np.array(x)))
    from scipy.optimize import least_squares  # slow to import

    best = least_squares(rest(low), coarse, x_scale=[0.01, 0.01, 0.05], max_nfev=25).x
    left = power(low, best) + min(power(high, best), power(high, np.zeros(3)))
    yield "head moved", _place(best[0], best[1], best[2], distance_m), left, 3


def _turned(x: Float, at: Float, distance_m: float, f: Float) -> Complex:
    """Effect of a head's displacement ``x`` (m, m, rad) on each path, ``(1, ear, driver, f)``."""
    ears = np.array([[0.0, -EAR_M], [0.0, EAR_M]])  # the listener faces the device: the left ear is at negative y
    turn = np.array([[np.cos(x[2]), -np.sin(x[2])], [np.sin(x[2]), np.cos(x[2])]])
    before = ears + np.array([distance_m, 0.0])
    after = ears @ turn.T + np.array([distance_m + x[0], x[1]])
    way = [np.linalg.norm(e[:, None] - at[None, :, :2], axis=-1) for e in (before, after)]
    late = (way[1] - way[0]) / ROOM_SPEED
    return np.asarray(np.exp(-2j * np.pi * late[None, :, :, None] * f) * (way[0] / way[1])[None, :, :, None])


def _place(x: float, y: float, yaw: float, distance_m: float) -> str:
    away = f"{abs(100 * x):.1f} cm {'farther' if x > 0 else 'nearer'}"
    aside = f"{abs(100 * y):.1f} cm to the {'left' if y > 0 else 'right'}"
    if abs(y) < UNMOVED_M + UNMOVED_SHARE * abs(x) and abs(yaw) < UNMOVED_RAD:
        kelvin = 2.0 * ROOM_K * abs(x) / distance_m  # the speed of sound rises with the root of temperature
        if not 0.5 < kelvin < MOST_KELVIN:
            return f"the head is {away}"
        air = f"the air is {kelvin:.0f} K {'warmer' if x < 0 else 'colder'} than in the session"
        return f"the head is {away}, or {air}"
    side = "left" if yaw > 0 else "right"
    return f"the head is {away} and {aside}, turned by {abs(np.degrees(yaw)):.1f} degrees to the {side}"
