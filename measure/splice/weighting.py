"""One good capture from several partly disturbed ones, weighted by inverse noise over time and frequency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.splice.frames import (
    FINER,
    FRAME_S,
    PER_OCTAVE,
    averaged_around,
    band_blend,
    band_centres,
    band_edges,
    banded,
    evened,
    fine_frames,
    frame_size,
    frame_times,
    joined,
    shifted,
    short_frames,
)
from sweetspot.measure.splice.note import Part, SpliceNote
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float, from_db, power_db

ITERATIONS = 6
APART = 0.7
"""Share of the difference between captures in a cell's power above which the cell has little of the sweep."""

SHARPER = 2.0
"""Exponent of the shares that attribute a difference to a capture, as residuals of the sweep level them."""

CLEAR = 20.0
"""Required power ratio of the difference to the quietest capture there, which contains at least the sweep."""

DISTURBED = 6.0
"""Power ratio to a capture's noise floor above which a part counts as disturbed."""

LEFT_OUT = 0.3
"""A part is left out of a capture if it has less than this share of the weight that equal captures have."""

SMALLEST_PART = 12
"""Frames times bands of the smallest part that is listed."""

NOISIER = 2.0
"""Ratio of the standard error to that of an undisturbed capture above which another capture is needed, unless it is far
below the response."""

ALIKE_DB = -20.0
"""Level of the difference re the captures, exceeded in at most half of the frames; otherwise more than a disturbance
differs."""

FLOOR = 1e-14
"""Smallest noise power re the loudest cell: the converter's."""

MAP_FRAMES = 4
"""Frames that share a column of the map of weights that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Kept window of a recording around an arrival.

    Parameters
    ----------
    before
        Samples kept ahead of it.
    window
        ``(taps,)``.
    early
        Samples by which it is ahead of the sweep: a harmonic's.
    """

    before: int
    window: Float
    early: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """How recordings pass into responses.

    Parameters
    ----------
    gains
        By which spectra of a recording pass into those of the responses, ``(source, mic, band)``.
    arrivals
        When the sweep reaches time zero, samples ``(source, band)``.
    response, harmonics
        What is kept of a response, and what harmonics 2, 3 ... are read from.
    """

    gains: Float
    arrivals: Float
    response: Cut
    harmonics: tuple[Cut, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Splice:
    """A splice of captures.

    Parameters
    ----------
    x
        ``(channel, samples)``: the microphones, and the loopback of the first capture.
    fs
        Sampling rate, Hz.
    f
        Centres of the bands, Hz ``(band,)``.
    times
        Middle of each frame, s ``(frame,)``.
    weights
        Share ``(capture, mic, frame, band)`` of each capture; they add up to 1.
    noise
        Power of the splice's noise a sample, ``(mic, frame, band)``, as white noise of that density would have.
    doubted
        The same if the difference between captures was shared by the powers that are seen, without
        :data:`SHARPER`: no less than the noise where it is uncertain whose it is.
    floor
        Noise ``(mic, band)`` of an undisturbed capture.
    left_out
        ``(capture, frame, band)``: parts that were left out, in any microphone.
    """

    x: NDArray[np.float32]
    fs: int
    f: Float
    times: Float
    weights: NDArray[np.float32]
    noise: Float
    doubted: Float
    floor: Float
    left_out: NDArray[np.bool_]

    def parts(self, runs: Sequence[int]) -> tuple[Part, ...]:
        """Excluded parts of each capture, as rectangles in time and frequency."""
        from scipy import ndimage  # slow to import

        found = []
        half = 0.5 * FRAME_S
        edge = 2.0 ** (0.5 / PER_OCTAVE)
        for run, mask in zip(runs, self.left_out, strict=True):
            labels, _ = ndimage.label(mask, np.ones((3, 3)))
            for label, box in enumerate(ndimage.find_objects(labels), 1):
                if np.count_nonzero(labels[box] == label) < SMALLEST_PART:
                    continue
                times, bands = self.times[box[0]], self.f[box[1]]
                ends = max(times[0] - half, 0.0), times[-1] + half, bands[0] / edge, bands[-1] * edge
                found.append(Part(run, *(round(float(v), 3) for v in ends)))
        return tuple(found)

    def note(self, runs: Sequence[int], passed: Passed) -> SpliceNote:
        """What is kept of it.

        Parameters
        ----------
        runs
            Of the captures, from 1.
        passed
            How they pass into responses.
        """
        errors, harmonics = [], []
        for gain, at in zip(passed.gains, passed.arrivals, strict=True):
            errors.append(gain * self.error(at, passed.response))
            harmonics.append([gain * self._under(self.doubted, at, one) for one in passed.harmonics])
        column = MAP_FRAMES * float(self.times[1] - self.times[0])
        return SpliceNote(tuple(runs), self.parts(runs), self.f, np.array(errors), np.array(harmonics), column)

    def map(self) -> NDArray[np.float32]:
        """Weights ``(capture, mic, column, band)``, :data:`MAP_FRAMES` frames a column."""
        columns = self.weights.shape[2] // MAP_FRAMES
        kept = self.weights[:, :, : columns * MAP_FRAMES]
        return np.asarray(kept.reshape(*kept.shape[:2], columns, MAP_FRAMES, -1).mean(axis=3), dtype=np.float32)

    def error(self, arrival: Float, cut: Cut) -> Float:
        """Standard error ``(mic, band)`` of the spectrum of a recording's kept window around the sweep's arrival.

        Noise passes into a response's spectrum at ``f`` where the window of the kept response stands when the sweep
        passes ``f``: the variance is the noise power there, summed under the squared window.

        Parameters
        ----------
        arrival
            When the sweep reaches the microphones' time zero at each band, samples ``(band,)``.
        """
        return self._under(self.noise, arrival, cut)

    def needs_more(self, arrival: Float, cut: Cut, level: Float, relative_db: tuple[float, float]) -> bool:
        """Whether another capture is needed: the splice is noisier where it matters than an undisturbed one.

        Parameters
        ----------
        arrival, cut
            As for :meth:`error`.
        level
            Root mean square ``(mic, band)`` of the spectrum that the errors are of.
        relative_db
            How far below it they may be at most: where the noise is known, and at worst.
        """
        floor = np.broadcast_to(self.floor[:, None, :], self.noise.shape)
        usual = NOISIER * self._under(floor, arrival, cut)
        for noise, limit_db in zip((self.noise, self.doubted), relative_db, strict=True):
            allowed = np.maximum(usual, level * from_db(limit_db))
            if np.any(self._under(noise, arrival, cut) > allowed):
                return True
        return False

    def _under(self, noise: Float, arrival: Float, cut: Cut) -> Float:
        """Root of noise powers ``(mic, frame, band)`` summed under the squared window, ``(mic, band)``."""
        frames, window = self.times * self.fs, cut.window
        out = np.empty(noise.shape[::2])
        taps = np.arange(0, len(window), max(len(window) // 64, 1))
        step = len(window) / len(taps)
        for band, start in enumerate(arrival - cut.early - cut.before):
            at = start + taps
            for mic, row in enumerate(noise[:, :, band]):
                out[mic, band] = step * float(np.sum(np.interp(at, frames, row) * window[taps] ** 2))
        return np.sqrt(out)


def spliced(captures: Sequence[NDArray[np.float32]], delays: Sequence[float], fs: int) -> Splice | None:
    """Splice captures ``(channel, samples)`` of the same signal, the loopback last.

    In each cell of a short-time spectrum the captures' weights add up to 1, so that what all of them hold passes
    unchanged whatever the weights are; they only decide which noise passes. They are the inverse of the power of each
    capture's noise, estimated from the differences between captures, in which the signal is absent: ``E |Yi - Yj|^2 =
    Ni + Nj``. Whose of the two the noise is shows in those cells nearby in which the difference is as large as the
    captures themselves: there is no sweep in them.

    Parameters
    ----------
    captures
        At least two.
    delays
        Latency of each, s: all are brought to that of the first.
    fs
        Sampling rate, Hz.

    Returns
    -------
    ``None`` if the captures differ throughout, so that no disturbance is all that is between them.
    """
    size = frame_size(fs)
    window = np.sqrt(0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(size) + 0.5) / size))
    samples = captures[0].shape[1]
    edges = band_edges(size, fs)
    centres = band_centres(edges, size, fs)
    blend = band_blend(centres, np.asarray(fft.rfftfreq(size, 1.0 / fs), dtype=float))
    aligned = [shifted(x[:-1], (delays[0] - late) * fs) for x, late in zip(captures, delays, strict=True)]
    out = np.array(captures[0])
    found = []
    for mic in range(len(out) - 1):
        spectra = np.stack([short_frames(x[mic], window) for x in aligned])
        if not _alike(spectra):
            return None
        fine = np.stack([fine_frames(x[mic], size) for x in aligned])
        one = _weighed(spectra, fine, edges)
        total = sum(y * (w @ blend) for y, w in zip(spectra, one.weights, strict=True))
        out[mic] = joined(np.asarray(total), window, samples)
        found.append(one)
    times = frame_times(len(found[0].noise), size, fs)
    weights = np.stack([one.weights for one in found], axis=1).astype(np.float32)
    unit = 1.0 / np.sum(window**2)
    noise, doubted, floor = (np.stack(n) * unit for n in zip(*(one[1:4] for one in found), strict=True))
    left_out = np.any([one.left_out for one in found], axis=0)
    return Splice(
        out, fs, f=centres, times=times, weights=weights, noise=noise, doubted=doubted, floor=floor, left_out=left_out
    )


def _alike(spectra: NDArray[np.complex64]) -> bool:
    """Whether captures ``(capture, frame, bin)`` are the same in most frames that hold sound."""
    power = np.mean(np.abs(spectra) ** 2, axis=(0, 2))
    apart = np.mean(np.abs(spectra - spectra.mean(axis=0)) ** 2, axis=(0, 2))
    sounding = power > 1e-3 * power.max(initial=0.0)
    ratio = np.median(apart[sounding] / np.maximum(power[sounding], 1e-300)) if sounding.any() else 1.0
    return float(power_db(max(float(ratio), 1e-300))) < ALIKE_DB


def _weighed(spectra: NDArray[np.complex64], fine: NDArray[np.complex64], edges: NDArray[np.intp]) -> _Weighed:
    """How one microphone's spectra ``(capture, frame, bin)`` are put together; ``fine`` by :func:`fine_frames`."""
    count = len(spectra)
    apart = {p: evened(banded(np.abs(spectra[p[0]] - spectra[p[1]]) ** 2, edges)) for p in _pairs(count)}
    whole = np.asarray(sum(apart.values())) / (count - 1)
    nearest = np.stack([np.min([d for pair, d in apart.items() if k in pair], axis=0) for k in range(count)])
    power = float(np.max(np.abs(spectra), initial=0.0)) ** 2
    least = _floor(whole / count, FLOOR * power)
    shares = _shares(fine, edges * FINER)
    sharp = shares**SHARPER / np.sum(shares**SHARPER, axis=0)
    noise, doubted = (np.maximum(np.minimum(share * whole, nearest), least) for share in (sharp, shares))
    if count > 2:
        noise = _noise_of_each(spectra, noise, least, edges)
    weights = 1.0 / noise
    weights /= weights.sum(axis=0)
    left_out = (noise > DISTURBED * least) & (weights < LEFT_OUT / count)
    passed, at_worst = (np.sum(weights**2 * n, axis=0) for n in (noise, doubted))
    return _Weighed(weights, passed, np.maximum(passed, at_worst), least[0], left_out)


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))


def _shares(fine: NDArray[np.complex64], edges: NDArray[np.intp]) -> Float:
    """Whose a difference is: share ``(capture, frame, band)`` of each capture's power in cells that hold no sweep."""
    power = np.abs(fine) ** 2
    pairs = _pairs(len(fine))
    total = np.asarray(sum(np.abs(fine[i] - fine[j]) ** 2 for i, j in pairs)) / (len(fine) - 1)
    bare = (total > APART * power.max(axis=0)) & (total > CLEAR * power.min(axis=0))
    seen = np.stack([averaged_around(banded(np.where(bare, p, 0.0), edges)) for p in power])
    tiny = 1e-30 + 1e-9 * seen.max(initial=0.0)
    return np.asarray((seen + tiny) / np.sum(seen + tiny, axis=0))


def _noise_of_each(spectra: NDArray[np.complex64], noise: Float, least: Float, edges: NDArray[np.intp]) -> Float:
    """Noise ``(capture, frame, band)`` of three or more captures: which of them differ from what the others agree on.

    Restricted maximum likelihood (Patterson and Thompson, Biometrika 58, 545, 1971) by expectation and maximisation:
    the mean weighted with the noise's inverse has the variance ``v``, and each noise is the mean square of what a
    capture differs from it, plus ``v``.
    """
    blend = np.repeat(np.eye(len(edges) - 1, dtype=np.float32), np.diff(edges), axis=1)
    blend = np.pad(blend, ((0, 0), (1, 0)))
    blend[0, 0] = 1.0
    for _ in range(ITERATIONS):
        weights = 1.0 / noise
        left = 1.0 / weights.sum(axis=0)
        weights = (weights * left).astype(np.float32)
        mean = sum(y * (w @ blend) for y, w in zip(spectra, weights, strict=True))
        rest = np.stack([evened(banded(np.abs(y - mean) ** 2, edges)) for y in spectra])
        noise = np.maximum(rest + evened(left), least)
    return noise


class _Weighed(NamedTuple):
    """Weights ``(capture, frame, band)``, noise that passes ``(frame, band)``, floor ``(band,)``, what is left out."""

    weights: Float
    noise: Float
    doubted: Float
    floor: Float
    left_out: NDArray[np.bool_]


def _floor(noise: Float, least: float) -> Float:
    """Noise of an undisturbed capture ``(1, band)``: the lower quartile over frames that hold sound."""
    heard = noise[noise.max(axis=1) > 0.0]
    if not len(heard):
        return np.full((1, noise.shape[1]), max(least, 1e-30))
    return np.asarray(np.maximum(np.quantile(heard, 0.25, axis=0), max(least, 1e-30)))[None, :]
