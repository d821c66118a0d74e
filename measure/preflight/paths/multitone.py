"""One comb of tones per output, interleaved: a single capture of two seconds holds the whole output-to-input matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.judge import disturbance
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.protection import Protection
from sweetspot.rigs.units import Complex, Float, power_db

PERIOD_S = 0.7
WINDOW_S = 0.04
"""The combs repeat after the first, or as long as it takes for each pair's response to have the second for itself."""

SILENCE_S = 0.4
"""Ahead of the combs, for the noise, at least."""

SETTLE_S = 0.35
"""Time from the first tone to the first evaluated period, s: longer than latency and the room's decay."""

FADE_S = 0.01
PINK_FROM_HZ = 100.0
"""Above it tones lose 3 dB an octave: as much power in each octave, which spares tweeters."""


@dataclass(frozen=True, slots=True, eq=False)
class Comb:
    """Combs on some outputs.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    period
        Samples after which every comb repeats.
    spacing
        Bins between two tones of an output; bins are ``fs / period`` apart.
    tones
        Bins of each output's tones, ``(tone,)`` each, rising.
    spectra
        What each output plays at its tones over one period, ``(tone,)`` complex each, as ``rfft`` gives it.
    y
        ``(output, samples)``: silence, combs from :attr:`silence` on, two periods that count at the end.
    silence
        Samples of silence at the beginning.
    """

    fs: int
    period: int
    spacing: int
    tones: tuple[NDArray[np.intp], ...]
    spectra: tuple[Complex, ...]
    y: NDArray[np.float32]
    silence: int

    def frequencies(self, output: int) -> Float:
        """Frequencies of an output's tones, Hz."""
        return np.asarray(self.tones[output] * (self.fs / self.period))

    @property
    def window_s(self) -> float:
        """Longest response without time aliasing, s."""
        return self.period / self.spacing / self.fs

    @property
    def counted(self) -> tuple[slice, slice]:
        """The two periods that count."""
        end = self.y.shape[1] - round(FADE_S * self.fs)
        return slice(end - 2 * self.period, end - self.period), slice(end - self.period, end)


def combs(
    bands: Sequence[tuple[float, float]],
    fs: int,
    peak: float,
    shapes: Sequence[Protection] = (),
    *,
    silence_s: float = SILENCE_S,
) -> Comb:
    """One comb for each band (Hz), each with the given peak (linear), or less by the limits of the drivers.

    The first outputs are those of ``shapes``: their combs pass the protection filters, and begin half way up them.

    Output ``o`` of ``n`` plays the bins that leave ``o`` when divided by ``n + 1``; those that leave ``n`` stay empty.
    Phases are Schroeder's for the tones' powers (IEEE Trans. Inf. Theory 16, 85, 1970), which keeps the crest low.
    """
    spacing = len(bands) + 1
    period = fft.next_fast_len(round(max(PERIOD_S, WINDOW_S * spacing) * fs), real=True)
    silence, length = round(silence_s * fs), round((SETTLE_S + FADE_S) * fs) + 2 * period
    fade = round(FADE_S * fs)
    ramp = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade) ** 2
    tones, spectra = [], []
    y = np.zeros((len(bands), silence + length), dtype=np.float32)
    for output, band in enumerate(bands):
        shape = shapes[output] if output < len(shapes) else None
        bins = _bins(output, spacing, (shape.half_hz(band[0]), band[1]) if shape else band, fs / period)
        spectrum = np.zeros(period // 2 + 1, dtype=np.complex128)
        spectrum[bins] = _schroeder(np.minimum(1.0, np.sqrt(PINK_FROM_HZ / (bins * fs / period))))
        one = fft.irfft(spectrum, period)
        spectrum[bins] *= shape.slope(bins * (fs / period)) if shape else 1.0
        scale = (min(peak, shape.sine) if shape else peak) / float(np.max(np.abs(fft.irfft(spectrum, period))))
        at = np.arange(length) - (length - fade - 2 * period)  # the periods that count begin at a whole period
        played = scale * one[at % period]
        played[:fade] *= ramp
        played[-fade:] *= ramp[::-1]
        y[output, silence:] = shape.shaped(played) if shape else played
        tones.append(bins)
        spectra.append(scale * spectrum[bins])
    return Comb(fs, period, spacing=spacing, tones=tuple(tones), spectra=tuple(spectra), y=y, silence=silence)


def _bins(output: int, spacing: int, band: tuple[float, float], step: float) -> NDArray[np.intp]:
    """Bins of a residue class within a band; at least eight, though the band be narrow."""
    first = int(np.ceil(band[0] / step))
    first += (output - first) % spacing
    count = max(8, int((band[1] / step - first) // spacing) + 1)
    return np.asarray(first + spacing * np.arange(count), dtype=np.intp)


def _schroeder(amplitude: Float) -> Complex:
    """Phases for a low crest, from the cumulated powers."""
    power = amplitude**2 / np.sum(amplitude**2)
    before = np.concatenate([[0.0], np.cumsum(power)[:-1]])
    return np.asarray(amplitude * np.exp(-2j * np.pi * np.cumsum(before)))


@dataclass(frozen=True, slots=True, eq=False)
class ResponseMatrix:
    """Responses of every input to every output.

    Parameters
    ----------
    responses
        For each output, ``(input, tone)`` complex: recorded over played, the interface's latency included.
    changes
        For each output, ``(input, tone)`` complex: how far the second period differs from the first, over played.
    noise
        Power spectral density of the silence, ``(input, bin)``, full scale squared per Hz; the bins are those of
        :attr:`noise_f`.
    noise_f
        Hz.
    residue
        Power at the bins that no comb plays, while all play, ``(input, empty bin)``: noise, decays that are not over,
        distortion. The bins are those of :attr:`residue_f`.
    residue_f
        Hz.
    burst_db
        Loudest 50 ms of the silence over its quiet quarter, 100 Hz and up, dB, ``(input,)``.
    clipped
        Samples at full scale, ``(input,)``.
    mains
        ``(input, 2)``: fundamental of mains hum in the silence, Hz, and power of its lines; 0 and 0 without.
    still
        Whether an input gave the same value all the time, ``(input,)``: nothing is converted there.
    """

    comb: Comb
    responses: tuple[Complex, ...]
    changes: tuple[Complex, ...]
    noise: Float
    noise_f: Float
    residue: Float
    residue_f: Float
    burst_db: Float
    clipped: NDArray[np.intp]
    still: NDArray[np.bool_]
    mains: Float


FULL = 0.9999
NOISE_SEGMENT_S = 0.05
BURST_FROM_HZ = 100.0


def matrix(comb: Comb, x: NDArray[np.float32]) -> ResponseMatrix:
    """The matrix in a recording ``(input, samples)`` of a comb."""
    first, second = (fft.rfft(np.asarray(x[:, part], dtype=float), axis=-1) for part in comb.counted)
    mean, change = (first + second) / 2.0, second - first
    silent = np.asarray(x[:, : comb.silence], dtype=float)
    pieces, f = _densities(silent, comb.fs)
    loudness = pieces[..., f >= BURST_FROM_HZ].sum(axis=-1)
    quiet = np.quantile(loudness, 0.25, axis=1)
    empty = np.arange(comb.spacing - 1, comb.period // 2, comb.spacing)
    return ResponseMatrix(
        comb,
        tuple(mean[:, b] / s for b, s in zip(comb.tones, comb.spectra, strict=True)),
        changes=tuple(change[:, b] / s for b, s in zip(comb.tones, comb.spectra, strict=True)),
        noise=np.asarray(pieces.mean(axis=1)),
        noise_f=f,
        residue=np.asarray(2.0 * np.abs(mean[:, empty] / comb.period) ** 2),
        residue_f=np.asarray(empty * (comb.fs / comb.period)),
        burst_db=power_db(loudness.max(axis=1) / np.maximum(quiet, 1e-30)),
        clipped=np.count_nonzero(np.abs(x) >= FULL, axis=1).astype(np.intp),
        still=np.ptp(x, axis=1) == 0.0,
        mains=np.array([disturbance.mains_of(row, comb.fs) for row in silent]),
    )


def _densities(x: Float, fs: int) -> tuple[Float, Float]:
    """Power spectral densities ``(input, window, bin)`` in Hann windows of 50 ms, each overlapping the next by half."""
    size = round(NOISE_SEGMENT_S * fs)
    pieces = np.lib.stride_tricks.sliding_window_view(x, size, axis=-1)[:, :: size // 2]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    flat = pieces - pieces.mean(axis=-1, keepdims=True)
    power = np.abs(fft.rfft(flat * window, axis=-1)) ** 2 * 2.0 / (fs * np.sum(window**2))
    return np.asarray(power), np.asarray(fft.rfftfreq(size, 1.0 / fs))


def signal_over_noise(m: ResponseMatrix, output: int, low: float, high: float, silence_alone: bool = False) -> Float:
    """Power of an output's tones at each input over the other power in these bins, ``(input,)``, within a band.

    What else: the noise of the silence, or what bins hold that no comb plays, whichever is more;
    or ``silence_alone``, for an output whose own samples may be lost or disturbed.
    """
    f = m.comb.frequencies(output)
    inside = (f >= low) & (f <= high)
    if not inside.any():
        return np.zeros(len(m.noise))
    played = np.abs(m.comb.spectra[output][inside]) * 2.0 / m.comb.period  # amplitude of each tone
    power = np.mean(np.abs(m.responses[output][:, inside] * played) ** 2 / 2.0, axis=1)
    density = np.stack([np.interp(f[inside], m.noise_f, row) for row in m.noise])
    bin_noise = np.mean(density, axis=1) * m.comb.fs / m.comb.period / 2.0  # halved by the mean of two periods
    near = (m.residue_f >= 0.8 * low) & (m.residue_f <= 1.25 * high)
    left = np.mean(m.residue[:, near], axis=1) if near.any() and not silence_alone else 0.0
    return np.asarray(power / np.maximum(np.maximum(bin_noise, left), 1e-30))
