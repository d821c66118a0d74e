"""The spectrum of a few samples of a long impulse response, without transforms of its whole length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float

ORDER = 6
"""Running means over frequency, one after the other, ahead of each step to fewer bins: an even number."""

APART = 130
"""Length of the short response re the samples that are kept: others fold into them by ``APART^-ORDER``, 2e-13."""


def around_zero(spectrum: Complex, size: int, reach: int) -> Complex:
    """The spectrum ``(frequency,)`` of what an impulse response has within ``reach`` samples of time zero.

    What is that short is smooth over frequency: means over some bins each keep it, and hold what lies around multiples
    of the shorter length back. They are made up for in time, and fill the bins between again. For 59,049 samples a
    fifth of the time of two transforms.

    Parameters
    ----------
    spectrum
        Of the impulse response of ``size`` samples, circular.
    """
    means = _means(size, reach)
    h = fft.irfft(means.fewer(spectrum), means.count)
    h[: reach + 1] *= means.gains[reach:]
    h[-reach:] *= means.gains[:reach]
    h[reach + 1 : -reach] = 0.0
    return means.between(fft.rfft(h))


@dataclass(frozen=True, slots=True, eq=False)
class _Means:
    """Running means over bins, for steps of ``step`` of them.

    Parameters
    ----------
    size, step
        Samples of the impulse response; bins to a mean.
    weights
        ``(ORDER, step)``: of the bins from half an ``ORDER`` of steps ahead.
    gains
        What makes up for the means of both ways at the samples from ``-reach`` to ``reach``.
    """

    size: int
    step: int
    weights: Complex
    gains: Float

    @property
    def count(self) -> int:
        """Samples of the short response."""
        return self.size // self.step

    def fewer(self, spectrum: Complex) -> Complex:
        """Means about every ``step``-th bin ``(short frequency,)``."""
        rows = self.count // 2 + ORDER
        around = _extended(spectrum, self.size, ORDER // 2 * self.step, rows * self.step).reshape(rows, self.step)
        means = around @ self.weights.T
        return np.asarray(sum(means[q : rows - ORDER + 1 + q, q] for q in range(ORDER)))

    def between(self, few: Complex) -> Complex:
        """All bins ``(frequency,)`` from every ``step``-th."""
        rows = self.count // 2 + 1
        around = _extended(few, self.count, ORDER // 2 - 1, rows + ORDER - 1)
        windows = np.lib.stride_tricks.sliding_window_view(around, ORDER)
        return np.asarray((windows @ (self.step * self.weights[::-1])).reshape(-1)[: self.size // 2 + 1])


@lru_cache(maxsize=4)
def _means(size: int, reach: int) -> _Means:
    steps = range(1, max(size // (APART * reach), 1) + 1)
    step = max(n for n in steps if size % n == 0)
    mean, weights = np.full(step, 1.0 / step), np.ones(1)
    for _ in range(ORDER):
        weights = np.convolve(weights, mean)
    around = np.zeros(ORDER * step)
    middle = ORDER // 2 * step
    around[middle - len(weights) // 2 : middle + len(weights) // 2 + 1] = weights
    n = np.arange(-reach, reach + 1)
    kept = np.cos(2.0 * np.pi * np.outer(n, np.arange(-middle, middle)) / size) @ around
    return _Means(size, step, around.reshape(ORDER, step).astype(np.complex128), kept**-2.0)


def _extended(spectrum: Complex, size: int, ahead: int, count: int) -> Complex:
    """``count`` bins of the spectrum of ``size`` real samples, from ``ahead`` below 0 Hz on."""
    beyond = size - np.arange(len(spectrum), count - ahead)
    parts = [spectrum[ahead:0:-1].conj(), spectrum, spectrum[beyond].conj()]
    return np.concatenate(parts)[:count]
