"""Residual between measured and predicted responses, on the bins used for diagnosis. The prediction is ``p = sum_d H_d
W_d``, with the measured paths ``H`` and the filters ``W``. If the processor's latency is unknown, a common delay is
fitted too, so that latency alone makes no difference. Bins weigh by the inverse power at the near ear, so that no band
counts more for being loud; those in noise count less, and those beyond :data:`BAND` not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import MeasurementError, gate, grid, spectra, transform
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Complex, Float, power_db

BAND = (200.0, 5000.0)
"""Band in which measured and predicted are compared, Hz."""

FALLS = 0.9
"""Share of a kept response from which its window falls (:func:`sweetspot.measure.deconvolve.edges`)."""

SILENT = 1e-3
"""Frequencies below this share of the median power are weighted as if they had it: what lies below all
drivers' bands is neither played nor predicted."""

NOISE_KNOWN = 0.1
"""Standard uncertainty of the power that noise is expected to have, relative."""

LEAST_OWN = 0.1
"""Least share of a difference that is taken as its own and not the noise's."""

CLEAR_OF_NOISE = 300.0
"""Frequencies whose power is less than so many times that of their noise are weighted as if they had it: where a unit
hardly plays, noise counts for little."""

AS_PREDICTED = 0.01
"""Largest difference of the direct sound, re its power, at which it is as predicted."""

THIN = 4
"""Step of the bins: causes are smooth, and responses of a few ms need no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Data of the fits of causes; ``f`` are the bins in :data:`BAND`.

    Parameters
    ----------
    h
        Paths ``(position, ear, driver, f)``.
    w
        Filters ``(stimulus, driver, f)``: left, right, both.
    heard
        ``(position, ear, stimulus, f)``.
    f
        Hz.
    weight
        ``(f,)``.
    fs
        Hz.
    timed
        Whether the processor's latency is known: then a common delay is a difference too.
    at
        The filters ``(stimulus, driver, f)`` at any frequencies, where they are known beyond the scene's bins.
    early
        Measured minus predicted until the direct sound has passed, as ``heard``; ``None`` without a gate.
    clipped
        The filters as they act on the sweeps that were played when every driver is cut off at a share of its largest
        sample; ``None`` where the sweeps are not known.
    share
        Part of what both sides have in common that goes to the centre program.
    noise, early_noise
        Variance of measured minus predicted by noise, as ``heard``, and of ``early``; 0 where it is not known.
    gated
        Direct sound of the paths, as ``h``; ``None`` without a gate.
    """

    h: Complex
    w: Complex
    heard: Complex
    f: Float
    weight: Float
    fs: int
    timed: bool = True
    at: Callable[[Float], Complex] | None = None
    early: Complex | None = None
    clipped: Callable[[float], Complex] | None = None
    share: float = 0.0
    noise: Float = field(default_factory=lambda: np.zeros(()))
    early_noise: Float = field(default_factory=lambda: np.zeros(()))
    gated: Complex | None = None

    def predicted(self, h: Complex | None = None, w: Complex | None = None) -> Complex:
        """Response of these paths and filters, ``(position, ear, stimulus, f)``."""
        return np.asarray(np.einsum("pedf,sdf->pesf", self.h if h is None else h, self.w if w is None else w))

    def power(self, x: Complex) -> float:
        """Weighted power."""
        return float(np.sum(self.weight * np.abs(x) ** 2))

    def direct(self, above: float) -> Residual | None:
        """The direct sound alone, if its difference is more than ``above``, re its power; ``None`` if not, or without
        a gate."""
        if self.early is None or self.gated is None:
            return None
        p = self.predicted(h=self.gated)
        s = replace(self, h=self.gated, heard=p + self.early, noise=self.early_noise, early=None, gated=None)
        return s if own_power(s, s.left_over(p)) > above * s.power(p) else None

    def variance(self, noise: Float) -> float:
        """Weighted power that such a variance is expected to have."""
        return float(np.sum(self.weight * np.broadcast_to(noise, self.heard.shape)))

    def gain(self, target: Complex, part: Complex) -> float:
        """Real factor of ``part`` that fits ``target`` best."""
        return float(np.sum(self.weight * (part.conj() * target).real) / max(self.power(part), 1e-300))

    def left_over(self, p: Complex) -> float:
        """Weighted residual power of ``p``, after the best common delay."""
        return self.power(self.heard - self.aligned(p))

    def aligned(self, p: Complex) -> Complex:
        """``p`` with the common delay (within a few ms) of the best fit."""
        if self.timed:
            return p
        cross = np.sum(self.weight * self.heard * p.conj(), axis=(0, 1, 2))
        return np.asarray(p * np.exp(-2j * np.pi * self.f * self.lag(cross)))

    def lag(self, cross: Complex) -> float:
        """Delay in s at which ``sum Re(cross exp(2j pi f t))`` is largest, within half a period of the bins."""
        n, step = 1 << 13, float(self.f[1] - self.f[0])
        grid = np.zeros(n, dtype=np.complex128)
        grid[np.round((self.f - self.f[0]) / step).astype(int)] = cross
        late = np.fft.fftfreq(n, step)
        at = float(late[int(np.argmax((np.fft.ifft(grid) * np.exp(2j * np.pi * self.f[0] * late)).real))])
        for _ in range(4):  # Newton's steps to the top
            turned = cross * np.exp(2j * np.pi * self.f * at)
            slope = -np.sum(2.0 * np.pi * self.f * turned.imag)
            curve = -np.sum((2.0 * np.pi * self.f) ** 2 * turned.real)
            at += float(np.clip(-slope / curve, -2e-5, 2e-5)) if curve < 0 else 0.0
        return at


def of(
    ears: ImpulseResponse,
    heard: ImpulseResponse,
    filters: FilterSet,
    share: float,
    *,
    timed: bool = True,
    end: Float | None = None,
    clipped: Callable[[float, Float], Complex] | None = None,
    errors: tuple[MeasurementError, MeasurementError] | None = None,
    window: gate.Gate | None = None,
) -> Residual:
    """Combine measured paths, filters and measured responses.

    Parameters
    ----------
    ears
        The session's scoring positions.
    heard
        The verification's, with the stimuli in the place of drivers.
    filters
        What should have been deployed.
    share
        Part of what both sides have in common that goes to the centre, see :func:`predict.expected`.
    end
        End of the direct sound at each position, s.
    clipped
        Filters of the stimuli at frequencies, when drivers are cut off at a share of their largest sample.
    errors
        Of ``ears`` and of ``heard``; without them no noise is expected.
    window
        Gate of the direct sound of the paths.
    """
    paths, f = spectra(ears)
    inside = np.flatnonzero((f >= BAND[0]) & (f <= BAND[1]))[::THIN]
    h, f = paths[..., inside], f[inside]

    def at(frequencies: Float) -> Complex:
        return stimuli(np.asarray(filters.response(frequencies), dtype=np.complex128), share)

    w = at(f)
    near = np.mean([np.abs(np.einsum("pdf,df->pf", h[:, e], w[e])) ** 2 for e in (0, 1)], axis=(0, 1))
    apart = _apart(ears, heard, stimuli(filters.taps, share))
    known = np.full(len(h), _known_s(ears))
    whole = _until(apart, heard, known)[..., inside]
    early = None if end is None else _until(apart, heard, end)[..., inside]

    def noise(until: Float | None) -> Float:
        if errors is None or until is None:
            return np.zeros(())
        own, again = (e.until(ir, until)[..., inside] for e, ir in zip(errors, (ears, heard), strict=True))
        return np.asarray(np.einsum("sdf,pedf->pesf", np.abs(w) ** 2, own) + again)

    loud = noise(known)
    return Residual(
        h,
        w,
        heard=np.einsum("pedf,sdf->pesf", h, w) + whole,
        f=f,
        weight=weight_of(near, f, loud.mean(axis=(0, 1, 2)) if loud.ndim else 0.0),
        fs=ears.fs,
        timed=timed,
        at=at,
        early=early,
        clipped=None if clipped is None else lambda level: clipped(level, f),
        share=share,
        noise=loud,
        early_noise=noise(end),
        gated=None if window is None else gate.spectra(ears, window)[..., inside],
    )


def weight_of(near: Float, f: Float, noise: Float | float = 0.0) -> Float:
    """Weight of each frequency by the power ``(frequency,)`` at the near ears: all third octaves count equally, but
    those less that are not :data:`CLEAR_OF_NOISE`, of this variance.
    """
    floor = np.maximum(max(SILENT * float(np.median(near)), 1e-30), CLEAR_OF_NOISE * np.asarray(noise))
    return np.asarray(1.0 / np.maximum(near, floor) / f)


def _apart(ears: ImpulseResponse, heard: ImpulseResponse, taps: Float) -> Float:
    """Measured minus predicted ``(position, ear, stimulus, tap)``, without time aliasing, by the taps of ``heard``.

    Time zero is another tap of ``ears`` where these were imported, or measured by an earlier version.
    """
    n = 1 << (ears.h.shape[-1] + taps.shape[-1] - 1).bit_length()
    both = np.einsum("pedf,sdf->pesf", np.fft.rfft(ears.h, n, axis=-1), np.fft.rfft(taps, n, axis=-1))
    wanted, later = np.fft.irfft(both, n, axis=-1), heard.zero - ears.zero
    if later:
        wanted = np.pad(wanted[..., max(-later, 0) :], [(0, 0)] * 3 + [(max(later, 0), 0)])
    taken = min(wanted.shape[-1], heard.h.shape[-1])
    return np.asarray(heard.h[..., :taken] - wanted[..., :taken])


def _known_s(ears: ImpulseResponse) -> float:
    """Time until which measured paths are complete, s: then the kept window starts to fade.

    Filters are causal, so that a prediction is exact until then. Reverberation beyond it is measured, but not
    predicted: it repeats, and is no difference.
    """
    return float((FALLS * ears.h.shape[-1] - ears.zero) / ears.fs - gate.FADE_S)


def _until(apart: Float, heard: ImpulseResponse, end: Float) -> Complex:
    """Spectra of a difference until ``end (position,)`` s."""
    return transform(gate.until(apart, heard.zero, heard.fs, end), grid(heard.fs), heard.zero)


def stimuli(programs: NDArray[np.inexact[Any]], share: float) -> NDArray[Any]:
    """Filters of left, right, centre ``(3, driver, f or tap)`` as those of the stimuli left, right, both."""
    left, right, centre = programs
    return np.stack([left, right, share * centre + (1.0 - share) * (left + right)])


def disagreement_db(s: Residual) -> float:
    """Weighted power of measured minus predicted re predicted, dB, without a common delay and what noise adds."""
    p = s.predicted()
    return float(power_db(own_power(s, s.left_over(p)) / max(s.power(p), 1e-300)))


def own_power(s: Residual, power: float) -> float:
    """What is left of the power of a difference without that of the noise."""
    return max(power - s.variance(s.noise), LEAST_OWN * power)


def uncertainty_db(s: Residual, coverage: float, limit_db: float) -> float:
    """Standard uncertainty of :func:`disagreement_db` by noise, dB, towards a limit.

    With the variance ``v`` of each bin's noise and the weight ``w`` the noise has the power ``sum w v``, which scatters
    by ``sum (w v)^2`` and is known within :data:`NOISE_KNOWN`; its product with a difference ``d`` of the unit scatters
    by ``2 sum w^2 |d|^2 v``.
    """
    apart = s.heard - s.aligned(s.predicted())
    noise = np.broadcast_to(s.noise, apart.shape)
    own, squares = np.maximum(np.abs(apart) ** 2 - noise, 0.0), s.weight**2 * noise
    scatter = np.sum(squares * (noise + 2.0 * own)) + (NOISE_KNOWN * s.variance(s.noise)) ** 2
    found, most = own_power(s, s.power(apart)), coverage * float(np.sqrt(scatter))
    if not most or not found:  # a recording that is the prediction itself
        return 0.0
    whole = max(s.power(s.predicted()), 1e-300)
    above = power_db(found / whole) > limit_db
    worst = max(found - most, 1e-6 * found) if above else found + most
    return float(abs(power_db(worst / whole) - power_db(found / whole))) / coverage
