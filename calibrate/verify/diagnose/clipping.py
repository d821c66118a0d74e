"""The verification's sweeps through filters and a later stage that clips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import inverse
from sweetspot.measure.plan import Plan
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

AHEAD = 64
"""Samples kept ahead of time zero: band limits ring to both sides."""


def filters_of(
    plan: Plan, drivers: NDArray[np.float64], levels: tuple[float, ...], taps: int
) -> Callable[[float, Float], Complex]:
    """Linear parts of clipped filters: ``(share, frequencies) -> (stimulus, driver, frequency)``.

    The sweep is deconvolved from what each driver plays of it, cut off at ``share`` of the largest sample of all; the
    harmonics, which come out ahead of time zero, are left aside, as they are where responses are measured.

    Parameters
    ----------
    plan
        Of the ears, for the sweep.
    drivers
        What the drivers are given of each stimulus ``(stimulus, driver, samples)``, full scale = 1.
    levels
        Level of each stimulus over the plan's, linear.
    taps
        How long the filters are.
    """
    inv = inverse(plan.sweep, plan.played, drivers.shape[-1])
    top = float(np.max(np.abs(drivers)))
    kept = taps + 2 * AHEAD

    def at(share: float, f: Float) -> Complex:
        cut = np.clip(drivers, -share * top, share * top)
        spectra = inv.spectrum(cut) / np.array(levels)[:, None, None]
        h = np.roll(fft.irfft(spectra, inv.size), AHEAD, axis=-1)[..., :kept]
        phase = np.exp(-2j * np.pi * np.outer(np.arange(kept) - AHEAD, f) / inv.fs)
        return np.asarray(h @ phase)

    return at
