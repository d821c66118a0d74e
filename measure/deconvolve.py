"""The inverse of a sweep: from a recording to a response, with time zero taken from the loopback."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import delays
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft, half_cosine
from sweetspot.rigs.arrays import median
from sweetspot.rigs.units import Complex, Float

Spectra = NDArray[np.complexfloating]
"""Spectra in the precision of the recording."""

NOISE_SHARE = 0.1
"""Share of the noise that limits bins outside the judged band: less of it gives less ringing there and more noise."""

MANY = 1 << 19
"""Samples of recordings in single precision from which on their transform is worth the start of SciPy."""


@dataclass(frozen=True, slots=True, eq=False)
class Inverse:
    """The regularised inverse of a stimulus.

    Parameters
    ----------
    w
        Complex spectrum ``(frequency,)`` to multiply a recording's with; nothing outside the swept band.
    exact
        The same without its guard bands: ``conj(X) / |X|^2`` everywhere, for :meth:`transfer`.
    sides
        What :meth:`transfer` does below and above the judged band.
    x
        Spectrum ``(frequency,)`` of the stimulus.
    size
        Length of the transform, samples.
    fs
        Sampling rate, Hz.
    band
        Judged band, Hz.
    f
        Frequencies of the bins, Hz.
    space
        For transforms.
    """

    w: Complex
    exact: Complex
    sides: tuple[Side, Side]
    x: Complex
    size: int
    fs: int
    band: tuple[float, float]
    f: Float
    space: WorkSpace = field(default_factory=lambda: WorkSpace())

    @property
    def inside(self) -> slice:
        """The bins of the judged band."""
        low, high = self.band
        return slice(int(np.searchsorted(self.f, low)), int(np.searchsorted(self.f, high, side="right")))

    def spectrum(self, x: NDArray[np.floating]) -> Complex:
        """Transfer functions ``(..., frequency)`` from the stimulus to recordings ``x (..., samples)``."""
        return np.asarray(fft.rfft(np.asarray(x, dtype=np.float64), self.size, axis=-1) * self.w)

    def within(self, transfer: Spectra) -> Spectra:
        """Transfer functions ``(..., frequency)`` faded to nothing over the guard bands."""
        guard = np.real(self.w / np.where(self.exact == 0.0, 1.0, self.exact))
        return np.asarray(transfer * guard.astype(np.float32))

    def recorded(self, x: NDArray[np.floating]) -> Spectra:
        """Spectra ``(channel, frequency)`` of recordings ``x (channel, samples)``, in the precision of ``x``."""
        if x.dtype == np.float32 and len(x) * self.size >= MANY:
            return self.space.transformed(x, self.size)
        return np.asarray(fft.rfft(x, self.size, axis=-1))

    def transfer(self, y: Spectra) -> Spectra:
        """Transfer functions ``(channel, frequency)`` of :meth:`recorded` spectra ``y``, as wide as noise allows.

        They take the place of ``y``, which is overwritten: a capture's spectra are too large to be kept twice.

        ``H = Y conj(X) / (|X|^2 + eps)``. Within the judged band ``eps`` is 120 dB below its median energy, which is
        exact. Outside it is the channel's noise over the squared response at the band's edge (Wiener's quotient), read
        off the bins beyond the swept band: a clean recording keeps what little the fades excite there, and so rings
        less within the kept response; a noisy one is cut where its noise takes over.
        """
        below, above = self.sides
        inside = slice(below.bins.stop, above.bins.start)
        exact = self.exact[inside].astype(y.dtype)
        for row in y:
            weights = [side.weight(row) for side in self.sides]
            row[inside] *= exact
            for side, weight in zip(self.sides, weights, strict=True):
                row[side.bins] *= weight
        return y


class WorkSpace:
    """Memory for spectra, which is used again.

    Where other work had large arrays in between, new memory costs a third of the time of a deconvolution (2 us for each
    page). One set is kept; whoever comes while it is in use gets another.
    """

    def __init__(self) -> None:
        self._handed: deque[NDArray[np.float32]] = deque(maxlen=1)

    def transformed(self, x: NDArray[np.float32], size: int) -> Spectra:
        """Spectra ``(channel, frequency)`` of ``x (channel, samples)``, transformed where they stand.

        Their memory is used again once nothing refers to it any more.
        """
        from scipy.fftpack import rfft  # the only one in place; in single precision it takes a quarter of NumPy's time

        held = self._unused(len(x), 2 * (size // 2 + 1))
        signal = held[:, 1 : size + 1]
        signal[:, : x.shape[1]] = x[:, :size]
        signal[:, x.shape[1] :] = 0.0
        made = rfft(signal, axis=-1, overwrite_x=True)
        if not np.may_share_memory(made, signal):
            signal[:] = made
        held[:, 0], held[:, 1] = held[:, 1], 0.0  # from 0 Hz on real and imaginary parts alternate
        held[:, size + 1 :] = 0.0
        return held.view(np.complex64)

    def _unused(self, rows: int, columns: int) -> NDArray[np.float32]:
        """Rows that nobody else refers to: those of the last time, or new ones."""
        try:
            held = self._handed.pop()
        except IndexError:
            held = np.empty((rows, columns), dtype=np.float32)
        if sys.getrefcount(held) > _LONE or held.shape != (rows, columns):
            held = np.empty((rows, columns), dtype=np.float32)
        self._handed.append(held)
        return held


def _lone() -> int:
    held = np.empty(0)
    return sys.getrefcount(held)


_LONE = _lone()
"""References that are counted of an array which only one function knows, in this version of Python."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The bins on one side of the judged band, and the bins that give the noise limit there.

    Parameters
    ----------
    bins, edge, beyond
        Which they are; those next to them within the band; and those that the sweep does not reach.
    conj, energy
        Of the stimulus on the bins: ``conj(X)`` and ``|X|^2`` (with a floor).
    ramp
        How much the noise counts on each of the bins.
    edge_energy, beyond_energy
        Mean ``|X|^2`` there.
    """

    bins: slice
    edge: slice
    beyond: slice
    conj: Complex
    energy: Float
    ramp: Float
    least: float
    edge_energy: float
    beyond_energy: float

    def weight(self, y: Spectra) -> Spectra:
        """Weights of the bins of one recorded spectrum ``y (frequency,)``, in its precision."""
        heard = float(np.mean(_energy(y[self.edge]))) / self.edge_energy
        rest = float(np.mean(_energy(y[self.beyond]))) - heard * self.beyond_energy
        noise = NOISE_SHARE * max(rest, 0.0) / max(heard, 1e-300)
        eps = min(max(noise, 1e4 * self.least), 10.0 * self.edge_energy)
        kind = y.real.dtype
        divided = 1.0 / (self.energy.astype(kind) + kind.type(eps) * self.ramp.astype(kind))
        return np.asarray(self.conj.astype(y.dtype) * divided)


def _energy(x: Spectra) -> Float:
    return np.asarray(x.real**2 + x.imag**2, dtype=np.float64)


def _sides(f: Float, x: Complex, sweep: Sweep, least: float) -> tuple[Side, Side]:
    """Below and above the judged band; the noise counts fully from halfway (over log f) to the swept band's ends."""
    (low, high), (first, last) = sweep.band, sweep.swept
    a, b = (int(i) for i in np.searchsorted(f, (low, high)))
    far = min(1.02 * last, 0.5 * (last + f[-1]))
    edges = slice(a, int(np.searchsorted(f, 1.2 * low))), slice(int(np.searchsorted(f, 0.95 * high)), b)
    beyond = slice(0, max(int(np.searchsorted(f, 0.4 * first)), 2)), slice(int(np.searchsorted(f, far)), len(f))
    below = np.log(low / np.maximum(f[:a], 1e-3)) / (0.5 * np.log(low / first))
    above = np.log(f[b:] / high) / (0.5 * np.log(last / high))
    energy = _energy(x)
    one, other = (
        Side(
            bins,
            edge,
            beyond=out,
            conj=np.conj(x[bins]),
            energy=energy[bins] + least,
            ramp=half_cosine.rise(ramp),
            least=least,
            edge_energy=float(np.mean(energy[edge])),
            beyond_energy=float(np.mean(energy[out])),
        )
        for bins, edge, out, ramp in zip((slice(0, a), slice(b, len(f))), edges, beyond, (below, above), strict=True)
    )
    return one, other


def inverse(sweep: Sweep, played: NDArray[np.float32], samples: int) -> Inverse:
    """Inverse of the stimulus: exact within the judged band, faded to zero at the ends of the swept band.

    ``W = G conj(X) / (|X|^2 + eps)`` with ``eps`` 120 dB below the band's median energy (Kirkeby and Nelson 1999) and
    ``G`` a half cosine over log frequency in each guard band, zero outside the swept band.

    Parameters
    ----------
    sweep
        Tells the bands.
    played
        ``(samples,)``: the stimulus as it was sent out, silence at the end included: responses must have died away
        within it, since the transform is circular.
    samples
        Length of the recordings that will be transformed.
    """
    size = int(fft.next_fast_len(max(samples, len(played)), real=True))
    x = np.asarray(fft.rfft(np.asarray(played, dtype=np.float64), size))
    f = np.asarray(fft.rfftfreq(size, 1.0 / sweep.fs))
    inside = (f >= sweep.band[0]) & (f <= sweep.band[1])
    energy = _energy(x)
    least = 1e-12 * median(energy[inside])
    exact = np.asarray(np.conj(x) / (energy + least), dtype=np.complex128)
    sides = _sides(f, x, sweep, least)
    return Inverse(
        np.asarray(_guarded(f, sweep) * exact),
        exact,
        sides=sides,
        x=x,
        size=size,
        fs=sweep.fs,
        band=sweep.band,
        f=f,
    )


def _guarded(f: Float, sweep: Sweep) -> Float:
    """1 in the judged band, 0 outside the swept one, half a cosine over log frequency between."""
    log_f = np.log(np.maximum(f, 1e-3))
    (low, high), (first, last) = np.log(sweep.band), np.log(sweep.swept)
    return half_cosine.rise((log_f - first) / (low - first)) * half_cosine.rise((last - log_f) / (last - high))


def loopback_delay(inv: Inverse, loop: Complex, coarse: float | None = None) -> tuple[float, float]:
    """Delay (s, to a small fraction of a sample) and gain (linear) of the loopback's transfer function.

    The coarse delay is the peak of the impulse response (``coarse``, s, where it is known); the fine one is the slope
    of the remaining phase over the judged band, weighted with the squared magnitude. A loopback without any signal has
    delay and gain 0.
    """
    if not np.any(loop):
        return 0.0, 0.0
    coarse = delays.peak_s(loop, inv.size, inv.fs) if coarse is None else coarse
    early = fft.phases(2.0 * np.pi * coarse * inv.fs / inv.size, inv.inside.stop, np.dtype(np.complex128))
    rest = loop[inv.inside] * early[inv.inside]
    return coarse + delays.slope_s(rest, inv.f[inv.inside]), float(np.sqrt(np.vdot(rest, rest).real / len(rest)))


def circular(inv: Inverse, transfer: Spectra, delay: float, before: int) -> NDArray[np.floating]:
    """Circular responses ``(..., size)`` with time zero at tap ``before``, not windowed.

    ``delay``, the latency of the interface by the loopback (s), is removed from ``transfer (..., frequency)``.
    """
    step = 2.0 * np.pi * (delay * inv.fs - before) / inv.size
    turned = transfer * fft.phases(step, transfer.shape[-1], transfer.dtype)
    return np.asarray(fft.irfft(turned, inv.size, axis=-1))


def edges(before: int, after: int) -> Float:
    """A window that is 1 but for half a cosine over the outer part of each side (half before, a tenth after)."""
    return half_cosine.window(before + after, before // 2, after // 10)
