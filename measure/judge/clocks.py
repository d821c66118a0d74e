"""Two clocks: offset of the inputs' clock re the outputs', from the loopback, and responses corrected for it. Inputs
that run faster by ``d`` write ``y[m] = p(m / (1 + d))``: an exponential sweep is ``d L ln(f / f1)`` late at the
frequency ``f``, increasingly over its length, and the loopback's phase bends by ``2 pi f`` times that. From a fit of
this phase come the latency and ``d``; a stimulus stretched like the recording then gives responses on one clock,
slightly too slow, which are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebfit, chebvander
from numpy.typing import NDArray

from sweetspot.measure import delays
from sweetspot.measure.deconvolve import Inverse
from sweetspot.measure.shot import Reason
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

SAME_PPM = 0.2
"""Less than this between two clocks is taken for one."""
HIGHEST_PPM = 1000.0
"""More is no drift of quartz clocks but another sampling rate."""
SPREAD_PPM = 5.0
"""Largest difference of drift within a set, ppm."""
UNEXPLAINED = 0.15
"""Largest residual of the phase's bend for a drift; with more it is lost samples or a filter."""
STEP_PPM = 0.02
"""Step in which stimuli are stretched, so that few are made; the rest is corrected in the phase."""
LOWEST_HZ = 300.0
"""The converters' own phase bends below."""
BINS = 8192
"""As many are fitted, of those there are: the phase bends slowly."""
HALF, BETA = 64, 10.0
"""Half the length (samples) and shape of the windowed sinc between samples."""
PIECE = 1 << 14
DEGREE = 23
"""Degree of the series for that sinc between two samples."""


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """How the inputs' clock stands to the outputs'.

    Parameters
    ----------
    ppm
        By how much the inputs run faster, parts per million.
    error_ppm
        Standard error of that.
    unexplained
        Share of the bend of the loopback's phase (root mean square) that it leaves.
    """

    ppm: float
    error_ppm: float
    unexplained: float

    @property
    def is_there(self) -> bool:
        """Whether there are two clocks, with certainty."""
        return abs(self.ppm) > max(SAME_PPM, 5.0 * self.error_ppm) and self.unexplained < UNEXPLAINED

    def refused(self, others: Sequence[float] = ()) -> Reason | None:
        """Why it cannot be corrected; ``others`` are the drifts of the set's earlier captures, ppm."""
        if self.is_there and abs(self.ppm) > HIGHEST_PPM:
            return Reason(
                "clocks",
                f"the inputs' clock runs {self.ppm:+.0f} ppm off the outputs' (limit {HIGHEST_PPM:g}): the sampling "
                f"rates differ; set both devices to the same one",
            )
        before = float(np.median(others)) if others else self.ppm
        if abs(self.ppm - before) > SPREAD_PPM:
            return Reason(
                "clocks",
                f"the inputs' clock runs {self.ppm:+.1f} ppm off the outputs', {before:+.1f} ppm before (limit "
                f"{SPREAD_PPM:g} apart): it drifts; use one device for both, or a common word clock",
            )
        return None


def of_loopback(inv: Inverse, sweep: Sweep, loop: Complex, coarse: float | None = None) -> ClockDrift:
    """The drift that a loopback's transfer function ``(frequency,)`` shows.

    The phase left by the peak's delay (``coarse``, s, where it is known) is fitted with
    ``-2 pi f (a + d L ln(f / f1))``, weighted with the power.
    """
    if not np.any(loop):
        return ClockDrift(0.0, 0.0, 1.0)
    coarse = delays.peak_s(loop, inv.size, inv.fs) if coarse is None else coarse
    bins, scale, law = _bent(inv, sweep)
    early = fft.phases(2.0 * np.pi * coarse * inv.fs / inv.size, bins.stop, np.dtype(np.complex128))[bins]
    part = loop[bins] * early
    phase, weight = delays.unwrapped(np.angle(part)), np.abs(part)
    weight /= np.max(weight)
    scaled = law * weight[:, None]
    wanted, gram = phase * weight, scaled.T @ scaled
    moments = scaled.T @ wanted
    fitted, straight = np.linalg.solve(gram, moments), np.linalg.solve(gram[:2, :2], moments[:2])
    left, bend = (float(np.sum((wanted - x) ** 2)) for x in (scaled @ fitted, scaled[:, :2] @ straight))
    error = np.sqrt(left / max(len(part) - 3, 1) * np.linalg.inv(gram)[2, 2]) / scale[2]
    share = float(np.sqrt(left / max(bend, 1e-300)))
    return ClockDrift(1e6 * float(fitted[2] / scale[2]), 1e6 * float(error), share)


@lru_cache(maxsize=4)
def _bent(inv: Inverse, sweep: Sweep) -> tuple[slice, Float, Float]:
    """Bins that are fitted, and what their phases are fitted with ``(bin, 3)``: scales and scaled columns."""
    lowest = max(inv.band[0], min(LOWEST_HZ, inv.band[1] / 8.0))
    first, end = int(np.searchsorted(inv.f, lowest)), inv.inside.stop
    bins = slice(first, end, max(1, (end - first) // BINS))
    f = inv.f[bins]
    law = np.stack([np.ones_like(f), -2.0 * np.pi * f, -2.0 * np.pi * f * sweep.rate * np.log(f / sweep.swept[0])], 1)
    scale = np.max(np.abs(law), axis=0)
    return bins, scale, law / scale


def stretched(x: NDArray[np.floating], ppm: float) -> Float:
    """``x (samples,)`` as recorded by inputs that run faster by ``ppm``: its values at ``m / (1 + d)``."""
    return _read(np.asarray(x, dtype=float), np.arange(len(x)) / (1.0 + 1e-6 * ppm))


def stepped(ppm: float) -> float:
    """The nearest of the drifts by which stimuli are stretched."""
    return STEP_PPM * round(ppm / STEP_PPM)


def unbent(transfer: NDArray[np.complexfloating], inv: Inverse, sweep: Sweep, ppm: float) -> Complex:
    """Transfer functions ``(..., frequency)`` without the phase of a drift that is left, a fraction of a ppm."""
    f = np.maximum(inv.f, 1e-3)
    late = 1e-6 * ppm * sweep.rate * np.log(np.clip(f, *sweep.swept) / sweep.swept[0])
    return np.asarray(transfer * np.exp(2j * np.pi * f * late).astype(transfer.dtype))


def at_one_rate(whole: NDArray[np.floating], before: int, samples: int, ppm: float) -> NDArray[np.floating]:
    """The first ``samples`` of circular responses ``(..., size)`` with time zero at ``before``, as the outputs count.

    What the inputs wrote at ``n (1 + d)`` after time zero belongs at ``n``.
    """
    at = (np.arange(samples) - before) * (1.0 + 1e-6 * ppm) + before
    rows = whole.reshape(-1, whole.shape[-1])
    around = np.concatenate([rows[:, -HALF - 1 :], rows[:, : samples + 2 * HALF]], axis=1)
    out = np.stack([_read(np.asarray(row, dtype=np.float64), np.asarray(at + HALF + 1)) for row in around])
    return out.reshape(*whole.shape[:-1], samples).astype(whole.dtype)


@lru_cache(maxsize=1)
def _kernel() -> Float:
    """Windowed sinc at each tap ``(coefficient, tap)`` as Chebyshev series over the part of a sample, from -1 to 1.

    An entire function of it: at this degree the series has the kernel's own rounding, for a fifth of the time.
    """
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    t = 0.5 * (nodes[:, None] + 1.0) - np.arange(1 - HALF, HALF + 1)
    values = np.sinc(t) * np.i0(BETA * np.sqrt(np.maximum(1.0 - (t / HALF) ** 2, 0.0))) / np.i0(BETA)
    return np.asarray(chebfit(nodes, values, DEGREE))


def _read(x: Float, at: Float) -> Float:
    """Values of ``x`` between its samples, by a windowed sinc; silence before and after."""
    padded = np.concatenate([np.zeros(HALF), x, np.zeros(HALF + 1)])
    taps = np.arange(1 - HALF, HALF + 1)
    out = np.empty(len(at))
    for start in range(0, len(at), PIECE):
        here = at[start : start + PIECE]
        whole = np.floor(here).astype(int)
        kernel = chebvander(2.0 * (here - whole) - 1.0, DEGREE) @ _kernel()
        rows = np.clip(whole[:, None] + taps + HALF, 0, len(padded) - 1)
        out[start : start + PIECE] = np.einsum("nt,nt->n", kernel, padded[rows])
    return out
