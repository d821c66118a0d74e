"""The guard before the drivers: one look-ahead gain for all of them under the ceiling, and a stop for faults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[Any]

LOOK_AHEAD_S = 1.5e-3
RELEASE_S = 0.08
DC_TIME_S = 0.5
DC_SHARE = 0.5
"""Share of the ceiling that a driver's mean over about :data:`DC_TIME_S` may reach."""
FORGOTTEN = 1e-7
"""Reduction that no longer counts (-140 dB): the guard is exactly transparent again."""


class Guard:
    """Limits, and stops what would harm.

    The gain that each sample needs is ``min(1, ceiling / max over drivers |y|)``. Its largest reduction over the
    look-ahead window is held, released exponentially, and averaged over the same window; each average then covers
    the sample that needs it, so that no sample passes the ceiling and the gain has no steps. All drivers share one
    gain: what reaches the ears keeps its differences. Where nothing passes the ceiling the guard is a pure delay,
    bit for bit.

    A value that is not finite, or an offset above half the ceiling for about half a second, stops the output until
    :meth:`reset`.

    Parameters
    ----------
    drivers
        Number of drivers.
    ceiling
        Largest sample that a driver may be sent, linear, full scale = 1.
    fs
        Sampling rate, Hz.
    """

    def __init__(self, drivers: int, ceiling: float, fs: int) -> None:
        if not 0.0 < ceiling <= 1.0:
            raise ValueError(f"ceiling is {ceiling}: it must lie above 0 and not above full scale (1)")
        self.drivers, self.ceiling = drivers, ceiling
        self.latency = max(1, round(LOOK_AHEAD_S * fs))
        self.release = float(np.log(1.0 / (RELEASE_S * fs) + 1.0))
        self.dc_share = 1.0 / (DC_TIME_S * fs)
        window = np.hanning(self.latency + 3)[1:-1]
        self.average = window / window.sum()
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, and a stop."""
        self._held = np.zeros((self.drivers, self.latency))
        self._needs = np.zeros(self.latency)
        self._reductions = np.zeros(self.latency)
        self._mean = np.zeros(self.drivers)
        self._working = False
        self.stopped = ""
        self.least_gain = 1.0
        self.limited = 0

    def stop(self, reason: str) -> None:
        """Silence the output until :meth:`reset`; the first reason is kept."""
        self.stopped = self.stopped or reason

    def process(self, y: Real) -> Real:
        """``(drivers, n)`` in, ``(drivers, n)`` out, :attr:`latency` samples late; any ``n``."""
        if not self.stopped:
            self._judge(y)
        if self.stopped:
            return np.zeros_like(y)
        n = y.shape[1]
        held = np.concatenate([self._held.astype(y.dtype, copy=False), y], axis=1)
        self._held = held[:, n:]
        reduction = self._reduction(y)
        out = held[:, :n]
        if reduction is None:
            return np.ascontiguousarray(out)
        gain = (1.0 - reduction).astype(y.dtype)
        self.least_gain = min(self.least_gain, float(gain.min(initial=1.0)))
        self.limited += int(np.count_nonzero(reduction > FORGOTTEN))
        limit = not_above(self.ceiling, y.dtype)
        return np.asarray(np.clip(out * gain, -limit, limit))

    def _judge(self, y: Real) -> None:
        """Stop on a fault in this piece."""
        n = y.shape[1]
        if n:
            mean = y.sum(axis=1) / n
            if not np.isfinite(mean).all():  # one bad sample spoils its driver's mean; huge ones may as well
                if not np.isfinite(y).all():
                    self.stop("a driver signal was not finite (NaN or infinity)")
                    return
                mean = y.mean(axis=1, dtype=np.float64)
            self._mean -= math.expm1(-n * self.dc_share) * (mean - self._mean)
        if max(self._mean.max(), -self._mean.min()) > DC_SHARE * self.ceiling:
            worst = int(np.argmax(np.abs(self._mean)))
            self.stop(
                f"driver {worst + 1} was sent a constant offset of {self._mean[worst]:+.3f} "
                f"(limit {DC_SHARE * self.ceiling:.3f} of full scale)"
            )

    def _reduction(self, y: Real) -> NDArray[np.float64] | None:
        """One minus the gain, for the samples that leave now; None where it is zero throughout."""
        if not self._working and max(y.max(initial=0.0), -y.min(initial=0.0)) <= self.ceiling:
            return None  # nothing passes the ceiling, and nothing did within the look-ahead
        n, look = y.shape[1], self.latency
        peaks = np.max(np.abs(y), axis=0, initial=0.0).astype(np.float64)
        excess = peaks > self.ceiling
        needs = np.concatenate([self._needs, np.zeros(n)])
        needs[look:][excess] = 1.0 - self.ceiling / peaks[excess]
        self._needs = needs[n:]
        self._working = bool(needs.any() or self._reductions.any())
        if not self._working:
            return None
        held = np.max(np.lib.stride_tricks.sliding_window_view(needs, look + 1), axis=1) if n else needs[:0]
        reductions = np.concatenate([self._reductions, self._released(held)])
        self._reductions = reductions[n:]
        return np.asarray(np.convolve(reductions, self.average, mode="valid"))

    def _released(self, held: NDArray[np.float64]) -> NDArray[np.float64]:
        """``d[k] = max(held[k], d[k-1] exp(-release))``: a running maximum in the logarithm, without a loop."""
        if not held.size:
            return held
        ramp = self.release * np.arange(1, held.size + 1)
        start = np.log(max(float(self._reductions[-1]), 1e-300))
        level = np.log(np.maximum(held, 1e-300)) + ramp
        falling = np.exp(np.maximum(np.maximum.accumulate(level), start) - ramp)
        return np.where(np.maximum(falling, held) > FORGOTTEN, np.maximum(falling, held), 0.0)


def not_above(limit: float, dtype: Any) -> Any:
    """``limit`` in ``dtype``, rounded towards zero."""
    rounded = np.dtype(dtype).type(limit)
    return np.nextafter(rounded, np.dtype(dtype).type(0.0)) if float(rounded) > limit else rounded
