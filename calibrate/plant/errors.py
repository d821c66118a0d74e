"""Error loading from the measurement itself: the error of each path, its sources, and its effect on the design.

A design must not rely on paths that it does not know. With independent errors of variance ``s_d^2`` in the path of
driver ``d``, the expected covariance at the far ear is ``E[R] = R + diag(s^2)``, which is regularisation by
measurement: each driver, position and bin gets as much as its errors require. Three sources add up.

noise
    Standard error of each bin, kept with the session: noise of the captures or spread between repeats, whichever is
    larger, as much of it as the gate lets through.
drift
    How well the set closes on itself: the reference position at the end against the same at the beginning, beyond what
    noise explains.
tolerance
    What the unit may change by after it was measured (``crosstalk.tolerance_db`` of the design): gain and phase, each
    with this standard deviation, ``2 (sigma / 8.686)^2`` of the path's power.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import gate as gates
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.spectrum import frequencies
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float, power_db

NEPER_DB = 8.686
"""dB in one neper: 20 / ln 10."""

SOURCES = ("noise", "drift", "tolerance")
TEXTS = {"noise": "measurement noise", "drift": "drift during the session", "tolerance": "unit tolerance"}


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementError:
    """Measurement errors of a set.

    Parameters
    ----------
    stderr
        Standard error ``(position, mic, driver, bin)`` of the ``rfft`` of each kept response, Pa/FS.
    drift
        Squared relative error that all bins of a band share: of every path, from how the set closes; or of each path
        ``(position, mic, driver, frequency)`` on the grid, from how a set was estimated. 0 for a set that was not
        closed.
    """

    stderr: Float
    drift: float | Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stderr", frozen("standard errors", self.stderr, ndim=4))

    def at(self, rows: Any) -> MeasurementError:
        """Of these positions only."""
        return MeasurementError(self.stderr[rows], self.drift if isinstance(self.drift, float) else self.drift[rows])

    def whole(self, ir: ImpulseResponse) -> Float:
        """Variance ``(position, mic, driver, frequency)`` of the spectra of whole responses, on the grid, (Pa/FS)^2."""
        return self._on_grid(ir)

    def within(self, ir: ImpulseResponse, share: Float) -> Float:
        """The same of windowed responses.

        Parameters
        ----------
        share
            Energy of the window ``sum w^2`` over the kept samples, to be broadcast against the variance.
        """
        return np.asarray(self._on_grid(ir) * share)

    def until(self, ir: ImpulseResponse, end: Float) -> Float:
        """The same of responses until ``end (position,)`` s, see :func:`gate.until`."""
        part = (ir.zero / ir.fs + end + 0.5 * gates.FADE_S) * ir.fs / ir.h.shape[-1]
        return self.within(ir, np.clip(part, 0.0, 1.0)[:, None, None, None])

    def gated(self, ir: ImpulseResponse, gate: Gate) -> Float:
        """The same behind a gate, read-only; that of the last sets is kept."""
        return _gated(self, ir, gate)

    def relative(self, ir: ImpulseResponse, gate: Gate, h: Complex) -> Float:
        """Squared relative error of each gated path: noise and drift."""
        return np.asarray(self.gated(ir, gate) / np.maximum(np.abs(h) ** 2, 1e-30) + self.drift)

    def _on_grid(self, ir: ImpulseResponse) -> Float:
        """The bins' variance at the frequencies of the grid, nearest bin: it was smoothed over more than that."""
        f = frequencies(ir.fs)
        nearest = np.clip(np.round(f * ir.h.shape[-1] / ir.fs).astype(int), 0, self.stderr.shape[-1] - 1)
        found = np.take(self.stderr, nearest, axis=-1)
        return np.asarray(np.square(found, out=found))


@lru_cache(maxsize=2)
def _gated(error: MeasurementError, ir: ImpulseResponse, gate: Gate) -> Float:
    found = error.within(ir, gates.energy(ir, gate)[:, None] / ir.h.shape[-1])
    found.setflags(write=False)
    return found


@dataclass(frozen=True, slots=True)
class ErrorBand:
    """Loading of one third octave, mean over far ears, positions and drivers, dB re the path's own power.

    Parameters
    ----------
    f
        Nominal centre, Hz.
    noise_db, drift_db, tolerance_db
        Each source alone.
    total_db
        All of them.
    """

    f: float
    noise_db: float
    drift_db: float
    tolerance_db: float
    total_db: float
    largest: str

    @property
    def levels(self) -> tuple[float, float, float, float]:
        """Noise, drift, tolerance and total."""
        return self.noise_db, self.drift_db, self.tolerance_db, self.total_db


def error_of(tolerance_db: float) -> float:
    """Squared relative error of a path whose gain and phase are each off by this much, dB (one sigma).

    ``2 (sigma / 8.686)^2``: as much in phase (radians) as in level (nepers).
    """
    return 2.0 * (tolerance_db / NEPER_DB) ** 2


def drift_of(closure_db: float, snr_db: float) -> float:
    """Squared relative error by drift alone, from how a set closes on itself.

    Two captures with noise of their own differ even if nothing drifts, by twice the noise over the signal; only what
    they differ by beyond that is drift.

    Parameters
    ----------
    closure_db
        Energy of the difference between the reference position's responses at the end and the beginning, re the first.
    snr_db
        Signal to noise of the first.
    """
    return float(max(10.0 ** (closure_db / 10.0) - 2.0 * 10.0 ** (-snr_db / 10.0), 0.0))


def on_grid(relative: Float, fs: int, taps: int) -> Float:
    """Squared relative errors ``(..., bin)`` at the frequencies of the grid, nearest bin."""
    nearest = np.clip(np.round(frequencies(fs) * taps / fs).astype(int), 0, relative.shape[-1] - 1)
    return np.asarray(relative[..., nearest])


def bands(h: Complex, f: Float, noise: Float, drift: float | Float, tolerance_db: float) -> tuple[ErrorBand, ...]:
    """The loading by third octaves.

    Parameters
    ----------
    h
        Gated paths ``(position, mic, driver, frequency)``.
    noise
        Their squared relative errors, noise and drift together.
    drift
        The part of it that is drift, or that an estimate misses.
    """
    power = np.abs(h) ** 2
    mean = band_means(power.mean(axis=(0, 1, 2)), f)
    without = np.maximum(noise - drift, 0.0)
    parts = {
        "noise": band_means((without * power).mean(axis=(0, 1, 2)), f) / np.maximum(mean, 1e-30),
        "drift": band_means((drift * power).mean(axis=(0, 1, 2)), f) / np.maximum(mean, 1e-30),
        "tolerance": np.full(len(mean), error_of(tolerance_db)),
    }
    out = []
    for i, centre in enumerate(THIRD_OCTAVES):
        each = {name: float(parts[name][i]) for name in SOURCES}
        level = {f"{name}_db": float(power_db(max(value, 1e-20))) for name, value in each.items()}
        total = float(power_db(max(sum(each.values()), 1e-20)))
        out.append(ErrorBand(float(centre), **level, total_db=total, largest=max(each, key=lambda n: each[n])))
    return tuple(out)


def text(found: tuple[ErrorBand, ...]) -> str:
    """Which loading was used, and why, in two sentences."""
    counts = {name: sum(b.largest == name for b in found) for name in SOURCES}
    most = max(counts, key=lambda n: counts[n])
    low, high = (f"{figure(b.total_db for b in found):.1f}" for figure in (min, max))
    reach = low if low == high else f"{low} to {high}"
    where = "all bands" if counts[most] == len(found) else f"{counts[most]} of {len(found)} third octaves"
    return f"Error loading {reach} dB re each path's power; regularisation set by {TEXTS[most]} in {where}"


def table(found: tuple[ErrorBand, ...]) -> str:
    """The bands as text."""
    head = f"{'Hz':>6} {'noise':>7} {'drift':>7} {'toler.':>7} {'total':>7}  largest"
    rows = [f"{b.f:6g} " + " ".join(f"{level(v):>7}" for v in b.levels) + f"  {b.largest}" for b in found]
    return "\n".join(["Error loading in third octaves, dB re each path's power", head, *rows])


def level(value_db: float) -> str:
    """A level for a reader; below -150 dB it is none at all."""
    return "none" if value_db < -150.0 else f"{value_db:.1f}"


def to_dict(found: tuple[ErrorBand, ...]) -> list[dict[str, Any]]:
    """The bands as plain data."""
    return [asdict(b) for b in found]
