"""Bursts in one capture: energy that its deconvolved response cannot have, by band and lag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.judge.noise_power import lower_quantile, upper_quantile
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

ABSENT = 1e-3
"""Power of the first source re that of the loudest in a band, below which that one's decay stands for all: a tweeter
that starts first says nothing of woofers."""

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
    size
        Length of the transforms, samples.
    steps
        Lags in a circle; each ``size / fs / steps`` s.
    f
        ``(band,)`` centres, Hz.
    bins
        First bin and window over the bins of each band.
    arrivals
        Lags at which further sources begin, s (overlapped sweeps): each decays like the first, or in bands where that
        one does not play, like the loudest.
    head
        What is left out at the beginning of the captures, s.
    """

    sweep: Sweep
    size: int
    steps: int
    f: Float
    bins: tuple[tuple[int, NDArray[np.float32]], ...]
    arrivals: tuple[float, ...] = ()
    head: float = 0.0

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


def lags(sweep: Sweep, size: int, arrivals: tuple[float, ...] = (), head: float = 0.0) -> LagBands:
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
    steps = int(fft.next_fast_len(max(round(size / sweep.fs / STEP_S), 8), real=True))
    return LagBands(sweep, size, steps, f, tuple(bins), arrivals, head=head)


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
    turned = transfer * fft.phases(
        2.0 * np.pi * delay * where.sweep.fs / where.size, len(transfer), np.dtype(np.complex64)
    )
    for finer, rows in groupby(range(len(out)), lambda row: -(-len(where.bins[row][1]) // where.steps)):
        alike, samples, half = list(rows), finer * where.steps, finer // 2  # transformed together: they are short
        part = np.zeros((len(alike), samples), dtype=np.complex64)
        for row, (first, window) in zip(part, (where.bins[n] for n in alike), strict=True):
            np.multiply(turned[first : first + len(window)], window, out=row[: len(window)])
        squares = fft.ifft(part, axis=-1, out=part).view(np.float32)  # type: ignore[arg-type]  # its stubs know complex128 alone
        np.square(squares, out=squares)
        ahead, sums = squares[:, 2 * (samples - half) :].sum(axis=-1), np.ones(2 * finer, np.float32)
        out[alike, 0] = ahead + squares[:, : 2 * (finer - half)].sum(axis=-1)  # a lag is the middle of its samples
        later = squares[:, 2 * (finer - half) : 2 * (samples - half)].reshape(len(alike), -1, 2 * finer)
        out[alike, 1:] = later @ sums  # a quarter of the time of a mean over a short axis
        out[alike] /= finer
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Averages:
    """Averages over lags of some seconds, of all captures of one sweep.

    Parameters
    ----------
    rows
        Bands with the same number of lags to a mean, and that number.
    reach
        Lags on each side of the direct sound that it rings for ``(band,)``.
    beside
        Those lags ``(band, lag)``.
    free
        Lags that have neither response nor harmonics, or all where there are too few ``(band, lag)``.
    rank, percentile
        Which of them, in order, gives the noise ``(band,)``, and its quantile re the mean of noise.
    margin
        Over the power that is expected ``(band, 1)``.
    """

    rows: tuple[tuple[NDArray[np.intp], int], ...]
    reach: NDArray[np.intp]
    beside: NDArray[np.bool_]
    free: NDArray[np.bool_]
    rank: NDArray[np.intp]
    percentile: Float
    margin: Float

    def of(self, power: Float) -> Float:
        """Means ``(band, lag)``."""
        mean: Float = np.empty_like(power)
        for rows, width in self.rows:
            mean[rows] = _running_mean(power[rows], width)
        return mean


@lru_cache(maxsize=2 * len(WINDOWS_S))
def _averages(where: LagBands, seconds: float) -> _Averages:
    width = np.maximum(np.round(np.maximum(seconds, 0.5 * where.ringing) / where.step).astype(int), 1) | 1
    smeared = width * where.step
    reach = np.minimum(np.ceil((where.ringing + 0.5 * smeared) / where.step).astype(int), where.steps // 2 - 1)
    lag = np.arange(where.steps)
    beside = np.minimum(lag, where.steps - lag) <= reach[:, None]
    away, total = np.full(where.steps, True), where.steps * where.step
    for order in (1, 2, 3):
        away &= (lag * where.step + where.sweep.rate * np.log(order)) % total > 0.15
    free = away & ~beside
    free[np.count_nonzero(free, axis=1) <= 20] = True
    cells = np.round(np.maximum(SHARE * where.width * smeared, 1.0), 1)
    return _Averages(
        tuple((np.flatnonzero(width == w), int(w)) for w in np.unique(width)),
        reach=reach,
        beside=beside,
        free=free,
        rank=(0.4 * np.count_nonzero(free, axis=1)).astype(int),
        percentile=lower_quantile(cells, 0.4),
        margin=NOISE_MARGIN * upper_quantile(cells, FALSE_ALARM)[:, None],
    )


def _worst(power: Float, where: LagBands, seconds: float) -> tuple[float, float, float]:
    """Time (s, without latency), frequency and ratio of the most prominent cell; without a burst, any up to 1."""
    how = _averages(where, seconds)
    mean = how.of(power)
    ratio = mean / np.maximum(_allowed(mean, where, how), 1e-300)
    band, lag = (int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
    total = where.size / where.sweep.fs
    passed = where.sweep.rate * float(np.log(where.f[band] / where.sweep.swept[0]))
    return (lag * where.step + passed - where.head) % total, float(where.f[band]), float(ratio[band, lag])


def _running_mean(rows: Float, width: int, origin: int = 0) -> Float:
    """Mean of ``(..., lag)`` over this many lags, around each or from ``origin`` on.

    Sums as SciPy's ``uniform_filter1d`` has them, to the last bit, without its start (0.15 s).
    """
    lags = rows.shape[-1]
    first = -(width // 2) - origin
    around = np.take(rows, np.arange(first, first + lags + width - 1), axis=-1, mode="wrap")
    sums = np.empty(rows.shape)
    sums[..., 0] = np.add.accumulate(around[..., :width], axis=-1)[..., -1]
    np.subtract(around[..., width:], around[..., : lags - 1], out=sums[..., 1:])
    np.add.accumulate(sums, axis=-1, out=sums)
    return np.divide(sums, width, out=sums)


def _allowed(mean: Float, where: LagBands, how: _Averages) -> Float:
    """The most power ``(band, lag)`` that response, harmonics and noise may have; less where all have less."""
    first = _references(mean, where, how)
    mean = _each_rolled(mean, -first)
    direct = np.where(how.beside, mean, 0.0).max(axis=1)
    noise = (_noise(mean, how) + FLOOR * direct + FLOOR**1.2 * direct.max())[:, None]
    quiet = noise + np.where(how.beside, direct[:, None], 0.0)
    if np.all(mean <= how.margin * quiet):
        # neighbours only add to it: in an anechoic room that saves their medians, a third of the time
        return np.asarray(how.margin * _each_rolled(quiet, first))
    excess = np.maximum(mean - noise, 0.0)
    like = _median_around(excess / np.maximum(direct, 1e-300)[:, None], where.around) * direct[:, None]
    expected = noise + np.where(how.beside, direct[:, None], NEIGHBOURS_MARGIN * like)
    if np.all(mean <= how.margin * expected):
        # a band's own decay only adds to it: half the time for most captures
        return np.asarray(how.margin * _each_rolled(expected, first))
    decay = _decay(excess, where, how, np.minimum(direct[:, None], EARLY_MARGIN * like), direct)
    decay = np.maximum(decay, NEIGHBOURS_MARGIN * like) if not where.arrivals else decay + NEIGHBOURS_MARGIN * like
    expected = _each_rolled(noise + decay, first)
    mean = _each_rolled(mean, first)
    if np.all(mean <= how.margin * expected):
        return np.asarray(how.margin * expected)  # nor do arrivals take from it
    above = np.maximum(mean - ARRIVED * noise, 0.0)
    begins = (0.0, *where.arrivals)
    if np.any(first):
        expected += np.where(first[:, None] != 0, _arrival(above, decay, direct, where, 0.0, how.reach), 0.0)
    for at in (*where.arrivals, *(at - where.sweep.rate * float(np.log(k)) for at in begins for k in HARMONICS)):
        expected += _arrival(above, decay, direct, where, at, how.reach)
    return np.asarray(how.margin * expected)


def _references(mean: Float, where: LagBands, how: _Averages) -> NDArray[np.intp]:
    """Steps ``(band,)`` at which the source begins whose decay stands for all: the first, or else the loudest."""
    if not where.arrivals:
        return np.zeros(len(mean), dtype=np.intp)
    at = np.array([round(lag / where.step) for lag in (0.0, *where.arrivals)])
    peaks = np.stack([np.where(how.beside, np.roll(mean, -step, axis=1), 0.0).max(axis=1) for step in at])
    return np.asarray(np.where(peaks[0] < ABSENT * peaks.max(axis=0), at[np.argmax(peaks, axis=0)], 0))


def _each_rolled(rows: Float, steps: NDArray[np.intp]) -> Float:
    """``(band, lag)`` with each band moved by its own steps."""
    if not np.any(steps):
        return rows
    lag = (np.arange(rows.shape[1]) - steps[:, None]) % rows.shape[1]
    return np.asarray(np.take_along_axis(rows, lag, axis=1))


def _noise(mean: Float, how: _Averages) -> Float:
    """Noise power ``(band,)``: the median over lags that are neither the response's nor a harmonic's."""
    ranked = np.sort(np.where(how.free, mean, np.inf), axis=1)
    return np.asarray(ranked[np.arange(len(mean)), how.rank] / how.percentile)


def _median_around(x: Float, around: int) -> Float:
    """Median over this many bands on each side, ``(band, lag)``; the ends are mirrored."""
    from scipy import ndimage  # slow to import

    ends = np.pad(x, ((around, around), (0, 0)), mode="symmetric")
    joined = ndimage.median_filter(ends.T.ravel(), size=2 * around + 1)  # in one row: a ninth of the time of two axes
    return np.asarray(joined.reshape(x.shape[1], -1).T[around : around + len(x)])


def _decay(excess: Float, where: LagBands, how: _Averages, early: Float, direct: Float) -> Float:
    """Upper bound of a band's decay, ``(band, lag)``: no more than its power a little earlier."""
    reach = how.reach
    first, last = (round(s / where.step) for s in EARLIER_S)
    width, lag = last - first + 1, np.arange(where.steps)
    gap = (last + 1 + reach)[:, None]  # of a capture too short to have an earlier decay: the direct sound covers it
    earlier = _running_mean(excess, width, -(width // 2))
    lowest = np.minimum.accumulate(np.where(lag >= reach[:, None], earlier, np.inf), axis=1)
    falling = np.concatenate([np.full((len(excess), min(last + 1, where.steps)), np.inf), lowest], axis=1)
    soon = np.maximum(np.take_along_axis(earlier, reach[:, None], axis=1), early)
    out = np.where(lag > gap, falling[:, : where.steps], soon)
    return np.where(how.beside | (gap >= where.steps), direct[:, None], out)


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
