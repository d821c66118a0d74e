"""Measured late energy of the room from each driver, and the effort limit of the sides that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.design import CrosstalkDesign, Design, towards_width
from sweetspot.calibrate.filters.sides import FLOOR, Cost
from sweetspot.calibrate.plant import gate, grid, transform
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.units import Complex, Float, power_db

LATE_S = 0.005
"""Time after the first arrival that separates the room from the direct sound, s."""

BAND = (400.0, 6400.0)
"""Where direct and late energy are compared, Hz."""

SPEND_DB = (2.7, 6.35, 8.5)
"""Late energy over that of a driver of mean late energy which the sides may have below :data:`TURN_HZ`: where depth is
preferred, balanced, and where width is."""

LESS_ABOVE_DB = 6.0
"""Reduction above that frequency, dB: the interaural delays that give width are below it."""

TURN_HZ = (1200.0, 2000.0)
"""Between these the one goes over into the other, straight over log frequency."""

LEAST_SLOPE = 1e-3
"""Gain of a protection filter that designs see at least."""

LIVE_DB = -15.0
"""Late over direct energy above which the room limits the design, dB."""


def late_power(ears: ImpulseResponse, f: Float) -> Complex | None:
    """Late energy ``(frequency, driver, driver)`` at the ears, mean of positions and ears, third octaves.

    ``w^H R w`` is the energy that weights ``w`` bring back from the room. It is measured, with the directivity of the
    unit, the walls and the places of both in it. ``None`` where next to nothing comes back.

    Parameters
    ----------
    ears
        Design positions.
    """
    first = gate.first_arrival(ears)
    h = ears.h[:, :2]
    late = h - gate.until(h, ears.zero, ears.fs, first + LATE_S)
    n = grid(ears.fs)
    H, whole = transform(late, n, ears.zero), transform(h - late, n, ears.zero)
    inside = (f >= BAND[0]) & (f <= BAND[1])
    energy = [float(np.sum(np.abs(x[..., inside]) ** 2)) for x in (H, whole)]
    if float(power_db(np.array(energy[0] / max(energy[1], 1e-300)))) < LIVE_DB:
        return None
    R = np.einsum("pemf,penf->mnf", H.conj(), H, optimize=True) / (H.shape[0] * H.shape[1])
    return np.moveaxis(smoothed(R.real, f) + 1j * smoothed(R.imag, f), 2, 0)


def mirrored(late: Complex, pairs: Sequence[tuple[int, int]]) -> Complex:
    """The mean of late energy ``(frequency, driver, driver)`` and of that with mirror pairs swapped.

    A centre that follows what the two halves of a room give back differently would lean to a side.
    """
    swapped = np.arange(late.shape[1])
    for left, right in pairs:
        swapped[[left, right]] = right, left
    return np.asarray(0.5 * (late + late[:, swapped][:, :, swapped]))


def as_cost(late: Complex, own: Float) -> Complex:
    """The late energy as a cost; a driver of mean late energy costs 1, and :data:`FLOOR` of its own cost is added."""
    mean = np.trace(late, axis1=1, axis2=2).real / late.shape[1]
    beside = FLOOR * np.minimum(own, 1.0) + np.maximum(own - 1.0, 0.0)
    return np.asarray(late / np.maximum(mean, 1e-300)[:, None, None] + beside[:, :, None] * np.eye(own.shape[1]))


def allowed_db(prefer: float, f: Float) -> Float:
    """Effort limit ``(frequency,)`` in late energy, dB: the point on the front of width against depth.

    Parameters
    ----------
    prefer
        From 0 (depth) to 1 (width).
    """
    low = np.interp(prefer, (0.0, 0.5, 1.0), SPEND_DB)
    share = np.log(np.maximum(f, 1.0) / TURN_HZ[0]) / np.log(TURN_HZ[1] / TURN_HZ[0])
    return np.asarray(low - LESS_ABOVE_DB * np.clip(share, 0.0, 1.0))


def asked(design: Design, allowed: Float | None) -> tuple[CrosstalkDesign, bool]:
    """Goals of the sides, and whether heads are weighted for the worst: see :func:`towards_width`.

    In a live room, which limits the effort to ``allowed``, more cancellation of the direct sound costs depth and gives
    no width: there ``image.prefer`` moves that limit alone.
    """
    if allowed is not None:
        return design.crosstalk, False
    return towards_width(design), design.image.beyond > 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """What the sides' designs spend, and what the room gives back.

    Parameters
    ----------
    cost
        ``(frequency, driver)`` or ``(frequency, driver, driver)``.
    allowed
        Limit of it ``(frequency,)``, dB; ``None`` where the design's own holds.
    late
        Late energy ``(frequency, driver, driver)`` of the drivers behind their protection filters; ``None`` where none
        counts.
    """

    cost: Cost
    allowed: Float | None = None
    late: Complex | None = None


def spent(
    ears: ImpulseResponse, f: Float, wish: Design, own: Float, otherwise: Cost, slopes: Float | None = None
) -> Spent:
    """Cost of the sides' designs and its limit: the room's late energy if the room is live.

    A ``crosstalk.cost`` other than "auto" is kept, and so is a room without late energy: ``otherwise`` without a limit.

    Parameters
    ----------
    ears
        Design positions.
    own
        The drivers' own cost.
    slopes
        Gain ``(driver, frequency)`` of the protection filters that the drivers stand behind.
    """
    late = late_power(ears, f) if wish.crosstalk.cost == "auto" else None
    if late is None:
        return Spent(otherwise)
    if slopes is not None:
        gain = np.maximum(slopes.T, LEAST_SLOPE)
        late = late * gain[:, :, None] * gain[:, None, :]
    return Spent(as_cost(late, own), allowed_db(wish.image.share, f), late)
