"""Bursts in one capture: energy that its deconvolved response cannot have, by band and lag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float, from_db, power_db

PER_OCTAVE = 6
STEP_S = 0.01
WINDOWS_S = (0.04, 0.16)
"""Averaging lengths over lag of a band's power: short near the decay, long for faint bursts."""

FALSE_ALARM = 1e-10
NOISE_MARGIN = 1.6
"""Over the quantile of stationary noise: real noise floors breathe by a decibel or two."""

LONGEST_S = 0.1
"""Longest burst to which the median over bands is insensitive: in a fast sweep it crosses more bands per lag."""

ARRIVED = 3.0
"""Power ratio to the noise above which a harmonic counts."""

NEIGHBOURS_MARGIN = 2.0
"""Largest power ratio of a band's decay to the median of its neighbours'."""

EARLY_MARGIN = 8.0
"""The same soon after the direct sound, where a band has no earlier decay to compare with."""

EARLIER_S = (0.09, 0.13)
FLOOR = 3e-8
"""Residual of converter and sweep ends re the direct sound (power), without noise."""

HARMONICS = tuple(range(2, 10))
DIRECT_S = 0.03
HALF_WIDTH = 2.0 ** (1.0 / 5.0)
"""A band reaches from its centre divided by this to its centre times this."""

SHARE = 0.381
"""Of a band's width that counts for its noise: ``(integral G^2)^2 / integral G^4`` of a squared Hann window."""

CYCLES = 5.0
"""A band's own ringing, in cycles of its width, on both sides of an arrival."""


@dataclass(frozen=True, slots=True, eq=False)
class LagBands:
    """Bands and lags of the captures of one sweep.

    Parameters
    ----------
    sweep
        What plays.
    size
        Length of the transforms, samples.
    steps
        Lags in a circle; each ``size / fs / steps`` s.
    f
        ``(band,)`` centres, Hz.
    bins
        First bin and window over the bins of each band.
    arrivals
        Lags at which further sources begin, s (overlapped sweeps): each decays like the first.
    """

    sweep: Sweep
    size: int
    steps: int
    f: Float
    bins: tuple[tuple[int, NDArray[np.float32]], ...]
    arrivals: tuple[float, ...] = ()

    @property
    def step(self) -> float:
        """Distance of lags, s."""
        return self.size / self.sweep.fs / self.steps

    @property
    def around(self) -> int:
        """Bands on each side for the median of a response at a lag: an octave, or twice a burst's extent."""
        octaves = LONGEST_S / self.sweep.rate / float(np.log(2.0)) + 2.0 * float(np.log2(HALF_WIDTH))
        return min(max(PER_OCTAVE, round(PER_OCTAVE * 1.2 * octaves)), len(self.f) // 2)

    @property
    def width(self) -> Float:
        """Width of each band between its zeros, Hz ``(band,)``."""
        return np.asarray(self.f * (HALF_WIDTH - 1.0 / HALF_WIDTH))

    @property
    def ringing(self) -> Float:
        """Ringing of each band on both sides of an arrival, s ``(band,)``."""
        return np.asarray(np.maximum(DIRECT_S, CYCLES / self.width))


def lags(sweep: Sweep, size: int, arrivals: tuple[float, ...] = ()) -> LagBands:
    """The bands of a sixth of an octave within the judged band, each with the square of a Hann window."""
    low, high = sweep.band
    octaves = float(np.log2(high / low / HALF_WIDTH**2))
    f = low * HALF_WIDTH * 2.0 ** (np.arange(int(octaves * PER_OCTAVE) + 1) / PER_OCTAVE)
    spacing = sweep.fs / size
    bins = []
    for centre in f:
        ends = centre * np.array([1.0 / HALF_WIDTH, HALF_WIDTH]) / spacing
        first, last = int(np.ceil(ends[0])), int(np.floor(ends[1]))
        place = (np.arange(first, last + 1) - ends[0]) / (ends[1] - ends[0])
        bins.append((first, (np.sin(np.pi * place) ** 4).astype(np.float32)))
    return LagBands(sweep, size, max(round(size / sweep.fs / STEP_S), 8), f, tuple(bins), arrivals)


def burst(transfer: NDArray[np.complexfloating], where: LagBands, delay: float) -> tuple[float, float, float] | None:
    """A burst in one microphone's capture: time (s), frequency (Hz), level above the limit (dB).

    Deconvolution puts the response at lag 0 and after, the harmonics at ``-L ln k``, and leaves noise at all other
    lags. A burst is short in time, so that over frequency it wanders through the lags as the sweep does, whereas all
    that belongs to the response stays at its lag. So in each band the power at a lag must not pass the sum of

    - the band's noise, by the quantile of a chi-square variate and a margin;
    - what the bands within an octave have at this lag (median, relative to their direct sound), or what the band
      itself had 0.12 to 0.3 s earlier, whichever is more: decays do not rise;
    - the decay of each harmonic: that of the response, from the harmonic's own level.

    Parameters
    ----------
    transfer
        ``(frequency,)``: the capture's spectrum over the stimulus's.
    where
        Bands and lags.
    delay
        Latency of the interface, s.
    """
    power = _powers(transfer, where, delay)
    worst: tuple[float, float, float] | None = None
    for seconds in WINDOWS_S:
        found = _worst(power, where, seconds)
        if found[2] > 1.0 and (worst is None or found[2] > worst[2]):
            worst = found
    if worst is None:
        return None
    return worst[0] + delay, worst[1], float(power_db(worst[2]))


def _powers(transfer: NDArray[np.complexfloating], where: LagBands, delay: float) -> Float:
    """Power ``(band, lag)`` of the response, lag 0 first."""
    out = np.empty((len(where.f), where.steps))
    for row, (first, window) in enumerate(where.bins):
        f = (first + np.arange(len(window))) * (where.sweep.fs / where.size)
        part = transfer[first : first + len(window)] * window * np.exp(2j * np.pi * f * delay)
        finer = -(-len(window) // where.steps)
        envelope = fft.ifft(part, finer * where.steps)
        energy = np.abs(np.roll(envelope, finer // 2)) ** 2
        out[row] = energy.reshape(where.steps, finer).mean(axis=1)
    return out


def _worst(power: Float, where: LagBands, seconds: float) -> tuple[float, float, float]:
    """Time (s, without latency), frequency and ratio of the most prominent cell."""
    from scipy import ndimage  # slow to import

    width = np.maximum(np.round(np.maximum(seconds, 0.5 * where.ringing) / where.step).astype(int), 1) | 1
    mean = np.stack([ndimage.uniform_filter1d(row, int(w), mode="wrap") for row, w in zip(power, width, strict=True)])
    cells = np.maximum(SHARE * where.width * width * where.step, 1.0)
    allowed = _allowed(mean, where, cells, width * where.step)
    ratio = mean / np.maximum(allowed, 1e-300)
    band, lag = (int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
    total = where.size / where.sweep.fs
    passed = where.sweep.rate * float(np.log(where.f[band] / where.sweep.swept[0]))
    return (lag * where.step + passed) % total, float(where.f[band]), float(ratio[band, lag])


def _allowed(mean: Float, where: LagBands, cells: Float, smeared: Float) -> Float:
    """The most power ``(band, lag)`` that response, harmonics and noise may have."""
    reach = np.minimum(np.ceil((where.ringing + 0.5 * smeared) / where.step).astype(int), where.steps // 2 - 1)
    direct = np.array([max(row[: r + 1].max(), row[-r:].max()) for row, r in zip(mean, reach, strict=True)])
    noise = (_noise(mean, where, cells, reach) + FLOOR * direct + FLOOR**1.2 * direct.max())[:, None]
    excess = np.maximum(mean - noise, 0.0)
    like = _median_around(excess / np.maximum(direct, 1e-300)[:, None], where.around) * direct[:, None]
    decay = _decay(excess, where, reach, np.minimum(direct[:, None], EARLY_MARGIN * like), direct)
    decay = np.maximum(decay, NEIGHBOURS_MARGIN * like) if not where.arrivals else decay + NEIGHBOURS_MARGIN * like
    expected = noise + decay
    above = np.maximum(mean - ARRIVED * noise, 0.0)
    begins = (0.0, *where.arrivals)
    for lag in (*where.arrivals, *(at - where.sweep.rate * float(np.log(k)) for at in begins for k in HARMONICS)):
        expected += _arrival(above, decay, direct, where, lag, reach)
    return np.asarray(NOISE_MARGIN * _quantiles(tuple(np.round(cells, 1)))[:, None] * expected)


def _noise(mean: Float, where: LagBands, cells: Float, reach: NDArray[np.intp]) -> Float:
    """Noise power ``(band,)``: the median over lags that are neither the response's nor a harmonic's."""
    lag = np.arange(where.steps) * where.step
    total = where.steps * where.step
    away = np.full(where.steps, True)
    for order in (1, 2, 3):
        away &= (lag + where.sweep.rate * np.log(order)) % total > 0.15
    out = np.empty(len(mean))
    for row, (values, r) in enumerate(zip(mean, reach, strict=True)):
        use = away.copy()
        use[-r:] = use[: r + 1] = False
        chosen = values[use] if np.count_nonzero(use) > 20 else values
        rank = int(0.4 * len(chosen))
        out[row] = np.partition(chosen, rank)[rank]
    return out / _ppf(tuple(np.round(cells, 1)))


@cache
def _ppf(cells: tuple[float, ...]) -> Float:
    """40th percentile ``(band,)`` of the mean of this many cells of unit noise."""
    from scipy import special  # slow to import

    return np.asarray(special.gammaincinv(cells, 0.4) / np.array(cells))


@cache
def _quantiles(cells: tuple[float, ...]) -> Float:
    """Quantile ``(band,)`` of the mean of this many cells of unit noise."""
    from scipy import special  # slow to import

    return np.asarray(special.gammainccinv(cells, FALSE_ALARM) / np.array(cells))


def _median_around(x: Float, around: int) -> Float:
    """Median over this many bands on each side, ``(band, lag)``."""
    from scipy import ndimage  # slow to import

    return np.asarray(ndimage.median_filter(x, size=(2 * around + 1, 1), mode="reflect"))


def _decay(excess: Float, where: LagBands, reach: NDArray[np.intp], early: Float, direct: Float) -> Float:
    """Upper bound of a band's decay, ``(band, lag)``: no more than its power a little earlier."""
    from scipy import ndimage  # slow to import

    first, last = (round(s / where.step) for s in EARLIER_S)
    out = np.zeros_like(excess)
    width = last - first + 1
    for row, r in enumerate(int(n) for n in reach):
        gap = first + width + r
        if gap >= where.steps:  # a capture too short to have an earlier decay: the direct sound covers it
            out[row] = direct[row]
            continue
        earlier = ndimage.uniform_filter1d(excess[row], width, origin=-(width // 2), mode="wrap")
        out[row, gap:] = np.minimum.accumulate(earlier[r : where.steps - first - width])
        out[row, : gap + 1] = np.maximum(out[row, gap], early[row, : gap + 1])
        out[row, : r + 1] = out[row, -r:] = direct[row]
    return out


def _arrival(above: Float, decay: Float, direct: Float, where: LagBands, lag: float, reach: NDArray[np.intp]) -> Float:
    """Upper bound for a further arrival at ``lag`` s: the response's decay from the arrival's level."""
    at = round(lag / where.step)
    far = int(reach.max())
    near = np.take(above, np.arange(at - far, at + far + 1), axis=1, mode="wrap")
    inside = np.abs(np.arange(-far, far + 1))[None, :] <= reach[:, None]
    peak = np.where(inside, near, 0.0).max(axis=1)
    usual = _median_around(peak[:, None], where.around)[:, 0]
    level = np.minimum(peak, float(from_db(12.0)) ** 2 * usual) / np.maximum(direct, 1e-300)
    return np.asarray(level[:, None] * np.roll(decay, at, axis=1))
