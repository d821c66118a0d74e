"""Performance metrics, each defined once, with its source.

Responses of programs at ears are ``(position, ear, program, frequency)``: ears left, right; programs left, right,
centre. The near ear of the left program is the left one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.smooth import band_means, third_octaves
from sweetspot.rigs.layout import nearest, wrapped
from sweetspot.rigs.units import Complex, Float, db, from_db, power_db

SCORED = (800.0, 6300.0)
"""Nominal centres between which cancellation is summed up, Hz."""

NULLS = np.radians([-90.0, 90.0])
"""Directions over which the centre's contrast is stated, rad."""

NEXT_RAD = float(np.radians(15.0))
"""Largest angle from a null to a direction that stands for it, rad."""

CONTRAST_BAND = (400.0, 1600.0)
"""Nominal centres between which it is judged, Hz."""

OCTAVES = ((400.0, 800.0), (800.0, 1600.0), (1600.0, 3200.0), (3200.0, 6400.0), (6400.0, 12000.0))
"""Bands of the comparison between designs, Hz."""


def unvirtualized(heard: Complex, far: Complex) -> Complex:
    """Responses at the ears of the cancellation without virtual loudspeakers, ``(position, ear, 2, frequency)``.

    The left program is ``w_L + v w_R`` and the right one ``w_R + v w_L`` with the virtual far ear ``v``; solving for
    ``w_L`` and ``w_R`` at the ears is exact, since everything from program to ear is linear.

    Parameters
    ----------
    heard
        ``(position, ear, program, frequency)``, at least left and right.
    far
        ``v (frequency,)``.
    """
    return sides_alone(heard[:, :, 0], heard[:, :, 1], far, axis=2)


def sides_alone(left: Complex, right: Complex, far: Complex, axis: int) -> Complex:
    """``w_L`` and ``w_R``, stacked at ``axis``, of what is linear in ``w_L + v w_R`` and in ``w_R + v w_L``."""
    determinant = 1.0 - far**2
    determinant = np.where(np.abs(determinant) < 1e-6, np.inf, determinant)
    return np.stack([left - far * right, right - far * left], axis=axis) / determinant


def near_and_far(pair: Complex) -> tuple[Complex, Complex]:
    """Near-ear and far-ear responses ``(position, side, frequency)`` of ``(position, ear, side, frequency)``."""
    return np.stack([pair[:, 0, 0], pair[:, 1, 1]], axis=1), np.stack([pair[:, 1, 0], pair[:, 0, 1]], axis=1)


def cancellation_db(pair: Complex, f: Float) -> Float:
    """Cancellation ``(position, side, third octave)``, dB: power at the near ear over that at the far ear.

    Each bin is normalised by its own near-ear power before the mean over a band is taken, so that a loud bin does not
    decide the band.
    """
    near, far = near_and_far(pair)
    return -power_db(band_means(np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30), f))


def banded_db(pair: Complex, f: Float, bands: tuple[tuple[float, float], ...] = OCTAVES) -> Float:
    """Cancellation ``(position, side, band)``, dB, as :func:`cancellation_db` in bands of one's own, Hz."""
    near, far = near_and_far(pair)
    leak = np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30)
    return -power_db(np.stack([leak[..., (f >= a) & (f < b)].mean(axis=-1) for a, b in bands], axis=-1))


def effort_db(w: Complex, near: Complex, alone: Complex | Float) -> Float:
    """Array effort ``(frequency,)``, dB: sum of squared weights over that of one driver at the same near-ear level.

    Parameters
    ----------
    w, near
        Weights and near-ear responses ``(frequency, driver)``.
    alone
        Near-ear response of the one driver ``(frequency,)``.
    """
    heard = np.einsum("fd,fd->f", near, w)
    spent = np.sum(np.abs(w) ** 2, axis=1) * np.abs(alone) ** 2
    return power_db(spent / np.maximum(np.abs(heard) ** 2, 1e-30))


def ringing_db(taps: Float, fs: int) -> float:
    """Largest pre-ringing of any filter ``(..., tap)``: more than 5 ms ahead of its peak, over that peak, dB."""
    level = np.abs(taps.reshape(-1, taps.shape[-1]))
    ahead = np.arange(level.shape[1])[None, :] < (np.argmax(level, axis=1) - 0.005 * fs)[:, None]
    return float(db(np.max(np.where(ahead, level, 0.0).max(axis=1) / np.maximum(level.max(axis=1), 1e-30))))


def pre_ringing_db(taps: Float, fs: int) -> float:
    """Energy more than 1 ms ahead of the peak over all of it, dB, of the worst filter ``(..., tap)``.

    Audible pre-echo counts by its energy; the millisecond leaves out what backward masking hides anyway (O. Kirkeby and
    P. A. Nelson, J. Audio Eng. Soc. 47, 583, 1999, on inverse filters that ring ahead). Filters 40 dB weaker than the
    strongest of their program do not count.
    """
    power = taps.reshape(-1, *taps.shape[-2:]) ** 2 if taps.ndim > 1 else taps[None, None] ** 2
    total = power.sum(axis=-1)
    peak = np.argmax(power, axis=-1)
    ahead = np.arange(power.shape[-1]) < (peak - 0.001 * fs)[..., None]
    share = np.where(ahead, power, 0.0).sum(axis=-1) / np.maximum(total, 1e-30)
    loud = total > 1e-4 * total.max(axis=-1, keepdims=True)
    return float(power_db(max(float(np.where(loud, share, 0.0).max()), 1e-30)))


def white_noise_gain_db(w: Complex, near: Complex) -> Float:
    """White-noise gain ``(frequency,)``, dB: near-ear power over that of uncorrelated driver errors.

    ``|g^T w|^2 / (mean |g|^2 sum |w|^2)``, at most ``10 log10`` of the number of drivers (H. Cox, R. M. Zeskind and
    M. M. Owen, IEEE Trans. Acoust. Speech Signal Process. 35, 1365, 1987).

    Parameters
    ----------
    w, near
        Weights and near-ear responses ``(frequency, driver)``.
    """
    heard = np.abs(np.einsum("fd,fd->f", near, w)) ** 2
    alone = np.mean(np.abs(near) ** 2, axis=1) * np.sum(np.abs(w) ** 2, axis=1)
    return power_db(heard / np.maximum(alone, 1e-30))


def condition_db(plant: Complex) -> Float:
    """Condition number ``(frequency,)`` of ``plant (frequency, ear, driver)``, dB: its singular values' ratio.

    What relative errors of the plant may grow by in an exact inverse (D. B. Ward and G. W. Elko, IEEE Signal Process.
    Lett. 6, 106, 1999; T. Takeuchi and P. A. Nelson, J. Acoust. Soc. Am. 112, 2786, 2002).
    """
    s = np.linalg.svd(plant, compute_uv=False)
    return db(s[:, 0] / np.maximum(s[:, -1], 1e-30))


def directivity_index_db(radiated: Complex, azimuths: Float) -> Float:
    """On-axis power over the mean around a ring ``(frequency,)``, dB, of ``radiated (direction, frequency)``.

    The horizontal ring alone: a source that narrows vertically too has a higher index than this (L. L. Beranek,
    Acoustics, 1954, ch. 4; the ring's form as in the prediction of CTA-2034-A's curves). Directions are weighted by
    their arc; a half circle stands for both.
    """
    beside = np.abs(np.sin(azimuths)) > 1e-6
    if len(np.unique(np.sign(np.sin(azimuths[beside])))) == 1:
        azimuths, radiated = np.append(azimuths, -azimuths[beside]), np.concatenate([radiated, radiated[beside]])
    order = np.argsort(wrapped(azimuths))
    turn = wrapped(azimuths)[order]
    gaps = np.diff(np.append(turn, turn[0] + 2.0 * np.pi))
    arc = 0.5 * (gaps + np.roll(gaps, 1)) / (2.0 * np.pi)
    power = np.abs(radiated[order]) ** 2
    on = power[nearest(turn)]
    return power_db(on / np.maximum(arc @ power, 1e-30))


def energy_db(pair: Complex, inside: NDArray[np.bool_]) -> float:
    """Near-ear over far-ear energy within some bins, all positions and sides together, dB, including the room."""
    near, far = near_and_far(pair)
    total = np.sum(np.abs(near[..., inside]) ** 2) / max(float(np.sum(np.abs(far[..., inside]) ** 2)), 1e-30)
    return float(power_db(total))


def direct_to_reverberant_db(direct: Complex, whole: Complex, inside: NDArray[np.bool_]) -> float:
    """Energy of the direct sound over that of all else within some bins, dB; responses ``(..., frequency)``.

    Effort is paid in this ratio: what cancels in two directions goes to all others (ISO 3382-1 states the same of rooms
    by time windows).
    """
    rest = np.sum(np.abs((whole - direct)[..., inside]) ** 2)
    return float(power_db(np.sum(np.abs(direct[..., inside]) ** 2) / max(float(rest), 1e-30)))


def room_limit_db(direct_db: float, reverberant_db: float) -> float:
    """Cancellation that a diffuse room leaves of ``direct_db``, at a direct-to-reverberant ratio at the near ear, dB.

    With ``X`` and ``D`` as powers, ``(1 + 1/D) / (1/X + 1/D)``: both ears get the same reverberant power (D. B. Ward,
    J. Acoust. Soc. Am. 110, 1195, 2001).
    """
    X, D = (float(from_db(v)) ** 2 for v in (direct_db, reverberant_db))
    return float(power_db((1.0 + 1.0 / D) / (1.0 / X + 1.0 / D)))


LEAST_DB = 12.0
"""Cancellation within the sweet spot, dB."""

LEAST_ASIDE_M = 0.005
"""Smallest difference of lateral displacements used for the sweet spot, m."""


def sweet_spot_m(leak: Float, moved: Float) -> float:
    """Lateral displacement of the head at which cancellation falls below :data:`LEAST_DB`, m.

    The far ear's response moves away from zero in proportion to a small displacement, so that its power is ``a + b x^2
    + c y^2 + d yaw^2``; the coefficients, none of them negative, are fitted to all measured positions. The absolute
    criterion is M. R. Bai and C.-C. Lee's (J. Acoust. Soc. Am. 120, 1976, 2006).

    Parameters
    ----------
    leak
        Far-ear over near-ear power ``(position,)``, mean over sides and bands.
    moved
        ``(position, 3)``: x, y (m) and yaw (rad) from the nominal place.

    Returns
    -------
    0 when not even the nominal place reaches it; at most twice the largest displacement that was measured, beyond which
    nothing is known. Not a number where fewer than four positions were measured or none lies to the side: heads that
    were only turned have no information on places.
    """
    if len(leak) < 4 or float(np.ptp(moved[:, 1])) < LEAST_ASIDE_M:
        return float("nan")
    columns = np.column_stack([np.ones(len(leak)), moved**2])
    scale = np.maximum(columns.max(axis=0), 1e-12)
    found = non_negative(columns / scale, leak) / scale
    left = float(from_db(-LEAST_DB)) ** 2 - found[0]
    reach = 2.0 * float(np.abs(moved[:, 1]).max())
    if left <= 0.0:
        return 0.0
    return min(float(np.sqrt(left / max(found[2], 1e-12))), reach)


def non_negative(columns: Float, values: Float) -> Float:
    """Non-negative coefficients ``(column,)`` of few ``columns (row, column)`` with least squared error of ``values``.

    The best of the plain least squares of every choice of columns whose coefficients are none of them negative, among
    which the solution is (C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23).
    """
    found, least = np.zeros(columns.shape[1]), float(values @ values)
    for chosen in product((False, True), repeat=columns.shape[1]):
        some = np.array(chosen)
        if not some.any():
            continue
        share = np.linalg.lstsq(columns[:, some], values, rcond=None)[0]
        rest = columns[:, some] @ share - values
        if np.all(share >= 0.0) and float(rest @ rest) < least:
            least, found = float(rest @ rest), np.zeros(len(some))
            found[some] = share
    return found


def one_driver(h: Complex, drivers: tuple[int, int]) -> Complex:
    """One driver a side, unfiltered: ``(position, ear, 2, frequency)`` of ``h (position, ear, driver, frequency)``."""
    return h[:, :, list(drivers)]


@dataclass(frozen=True, slots=True)
class SideSpread:
    """Mean and 10th percentile of a figure over positions, sides and third octaves, dB."""

    mean: float
    p10: float


def scored(cancellation: Float, low: float = SCORED[0], high: float = SCORED[1]) -> SideSpread:
    """Sum up cancellation ``(position, side, third octave)`` between two nominal centres, Hz."""
    cells = cancellation[..., third_octaves(low, high)]
    return SideSpread(float(np.mean(cells)), float(np.percentile(cells, 10)))


def at_nulls(azimuths: Float, nulls: Float, width: float) -> NDArray[np.bool_]:
    """Directions ``(direction,)`` that represent the nulls: those within ``width`` rad of one of them.

    A null near which no direction was measured (a step of 20 degrees has none at 90) is stood for by the nearest ones
    on either side. Where those are farther than :data:`NEXT_RAD` from one of the nulls, as on half a ring, there are
    none: a contrast with one side alone would be stated for both.
    """
    found = np.zeros(len(azimuths), dtype=bool)
    for null in nulls:
        apart = np.abs(wrapped(azimuths - null))
        reach = width if apart.min() <= width + 1e-6 else float(apart.min())
        if reach > max(width, NEXT_RAD) + 1e-6:
            return np.zeros_like(found)
        found |= apart <= reach + 1e-6
    return found


def contrast_db(radiated: Complex, azimuths: Float, f: Float, nulls: Float, width: float) -> Float:
    """On-axis power over the mean power at the nulls, ``(third octave,)``, dB; see :func:`at_nulls`.

    Parameters
    ----------
    radiated
        ``(direction, frequency)``.
    azimuths, nulls
        rad.
    """
    on = np.abs(radiated[nearest(azimuths)]) ** 2
    off = np.mean(np.abs(radiated[at_nulls(azimuths, nulls, width)]) ** 2, axis=0)
    return -power_db(band_means(off / np.maximum(on, 1e-30), f))


def colouration_db(heard: Complex, wanted: Complex, f: Float) -> Float:
    """Level of a response re the target in third octaves, without its mean, dB, ``(..., third octave)``."""
    level = power_db(band_means(np.abs(heard) ** 2 / np.maximum(np.abs(wanted) ** 2, 1e-30), f))
    return np.asarray(level - level.mean(axis=-1, keepdims=True))
