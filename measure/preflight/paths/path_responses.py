"""Each path of a response matrix: presence, arrival time, polarity and level of each output at each input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.delays import vertex
from sweetspot.measure.preflight.paths.multitone import ResponseMatrix, signal_over_noise
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float, db, from_db, power_db

OCTAVES: tuple[float, ...] = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
HEARD_DB = 10.0
"""SNR of an octave's tones above which an output is detected, dB."""

TIMING_HZ = (400.0, 8000.0)
SIGN_HZ = (200.0, 2000.0)
"""Bands for arrival times and signs, within the driver's band."""

REACH_S = 0.0015
"""Largest delay between two inputs that is looked for, s."""

FIRST_DB = 10.0
"""The first peak of the envelope that is at most so far below its largest is the arrival."""

DIFFUSE_DB = 12.0
"""And it is at least so far above the envelope's median: with many drivers the combs' window is short, and the late
reverberation of a live room, which is everywhere in it, also comes before the direct sound. Its envelope is Rayleigh
distributed: it exceeds this with a probability of 2e-5."""

LEAKED, FEWEST = 0.05, 8
"""Turn of a tone within a period, by which clocks that differ take 0.04 dB of it: those that turn more do not count for
the loopback's gain, but for the lowest few."""

GATE_S = 0.002
COARSE_HZ = 2000.0
FINE = 16
"""Steps of the envelope in one sample at the timing band's width."""


@dataclass(frozen=True, slots=True, eq=False)
class LoopbackResponse:
    """Response of the loopback cable.

    Parameters
    ----------
    input
        Input that receives it, from 0; ``None`` if none.
    latency
        s; 0 if no input receives it.
    gain
        Linear, negative where polarity is inverted.
    ripple_db
        Largest deviation of its magnitude from the median, 20 Hz to 0.42 fs.
    top_db
        Magnitude at 0.42 to 0.45 fs over the median: low when a resampler stands in between.
    drift_ppm
        By how much the recording's clock differs from the player's.
    residual_db
        What changed between the two periods, over the received signal.
    """

    input: int | None
    latency: float = 0.0
    gain: float = 0.0
    ripple_db: float = 0.0
    top_db: float = 0.0
    drift_ppm: float = 0.0
    residual_db: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PathResponses:
    """Outputs at inputs, both in the order of the matrix, without the loopback.

    Parameters
    ----------
    snr_db
        ``(input, output, octave)`` of :data:`OCTAVES`, tones over noise; -300 where the output has no tones.
    level_db
        ``(input, output, octave)`` mean magnitude of the responses, dB re full scale over full scale.
    arrival
        ``(input, output)`` s after the loopback; NaN where the output is not received.
    sign
        ``(input, output)`` -1 to 1: cosine of the phase of the arrival; NaN where it is not received.
    gated
        For each output ``(input, tone)``: its response within 2 ms of the arrival.
    frequencies
        For each output ``(tone,)`` Hz.
    """

    snr_db: Float
    level_db: Float
    arrival: Float
    sign: Float
    gated: tuple[Complex, ...]
    frequencies: tuple[Float, ...]

    @property
    def there(self) -> NDArray[np.bool_]:
        """``(input, output)``: whether it is detected."""
        return np.asarray(self.snr_db.max(axis=-1) > HEARD_DB)


def loop(m: ResponseMatrix, output: int, played: Float, x: NDArray[np.float32], wanted: int) -> LoopbackResponse:
    """The loopback, found by its comb at whichever input has it.

    Parameters
    ----------
    played, x
        ``(samples,)`` what it played, ``(input, samples)`` what was recorded.
    wanted
        Expected input; chosen if it receives the signal at all.
    """
    snr = power_db(signal_over_noise(m, output, 20.0, 0.45 * m.comb.fs, silence_alone=True))
    level = db(np.abs(m.responses[output]).mean(axis=1))
    at = wanted if snr[wanted] > HEARD_DB and level[wanted] > level.max() - 30.0 else int(np.argmax(level))
    if snr[at] < 2 * HEARD_DB:
        return LoopbackResponse(None)
    f, response = m.comb.frequencies(output), m.responses[output][at]
    latency = _delay(played, np.asarray(x[at], dtype=float), f, response, m.comb.fs)
    straight = response * np.exp(2j * np.pi * f * latency)
    middle = float(np.median(np.abs(straight)))
    flat = db(np.abs(straight) / middle)
    change = m.changes[output][at] / 2.0
    period_s = m.comb.period / m.comb.fs
    drift = _drift(np.unwrap(np.angle((response + change) / (response - change))), f, period_s)
    kept = f <= max(LEAKED / max(abs(drift) * period_s, 1e-12), f[min(FEWEST, len(f) - 1)])
    each = np.sqrt(0.5 * (np.abs(response + change) ** 2 + np.abs(response - change) ** 2))  # their mean turns away
    return LoopbackResponse(
        at,
        latency,
        gain=float(np.sign(np.sum(straight[kept].real)) * np.median(each[kept])),
        ripple_db=float(np.max(np.abs(flat[f < 0.42 * m.comb.fs]))),
        top_db=float(np.mean(flat[(f >= 0.42 * m.comb.fs)])),
        drift_ppm=float(1e6 * drift),
        residual_db=float(db(np.linalg.norm(m.changes[output][at]) / np.linalg.norm(response))),
    )


def _drift(turned: Float, f: Float, period_s: float) -> float:
    """Relative clock offset of the recorder, from the phase rotation of the tones between periods.

    Tones below 2 kHz give an estimate; all tones give the precise value, as long as the highest stay within their bins.
    """
    low = f < COARSE_HZ
    rough = -float(np.sum(turned[low] * f[low]) / np.sum(f[low] ** 2) / (2.0 * np.pi * period_s))
    if abs(rough) * f[-1] * period_s > 0.25:
        return rough
    return -float(np.sum(turned * f) / np.sum(f**2) / (2.0 * np.pi * period_s))


def _delay(played: Float, recorded: Float, f: Float, response: Complex, fs: int) -> float:
    """Delay in s: whole samples by correlation of the whole signals, the rest from the phases of the tones."""
    size = fft.next_fast_len(2 * len(played), real=True)
    cross = fft.irfft(fft.rfft(recorded, size) * np.conj(fft.rfft(played, size)), size)[: len(played)]
    whole = int(np.argmax(np.abs(cross))) / fs
    left = response * np.exp(2j * np.pi * f * whole) * np.sign(np.sum((response * np.exp(2j * np.pi * f * whole)).real))
    return whole - float(np.sum(np.angle(left) * f * np.abs(left)) / np.sum(f**2 * np.abs(left)) / (2 * np.pi))


def responses(m: ResponseMatrix, outputs: int, latency: float) -> PathResponses:
    """Responses of the inputs to the first ``outputs`` combs, without ``latency`` (s)."""
    inputs = len(m.noise)
    snr = np.full((inputs, outputs, len(OCTAVES)), -300.0)
    level = np.full((inputs, outputs, len(OCTAVES)), -300.0)
    arrival, signs = np.full((inputs, outputs), np.nan), np.full((inputs, outputs), np.nan)
    gated, frequencies = [], []
    for o in range(outputs):
        f = m.comb.frequencies(o)
        for k, centre in enumerate(OCTAVES):
            low, high = centre / np.sqrt(2.0), centre * np.sqrt(2.0)
            inside = (f >= low) & (f < high)
            if inside.any():
                snr[:, o, k] = power_db(signal_over_noise(m, o, low, high))
                level[:, o, k] = power_db(np.mean(np.abs(m.responses[o][:, inside]) ** 2, axis=1))
        g = m.responses[o] * np.exp(2j * np.pi * f * latency)
        kept = np.zeros_like(g)
        for i in np.flatnonzero(snr[:, o].max(axis=-1) > HEARD_DB):
            arrival[i, o] = first_arrival(g[i], f, m.comb.window_s)
            kept[i] = gate(g[i], f, float(arrival[i, o]), m.comb.window_s)
            signs[i, o] = sign(kept[i], f, float(arrival[i, o]))
        gated.append(kept)
        frequencies.append(f)
    return PathResponses(snr, level, arrival, signs, tuple(gated), tuple(frequencies))


def within(f: Float, band: tuple[float, float]) -> Float:
    """A Hann window ``(tone,)`` over a band, or over all tones if they leave less than two octaves of it."""
    low, high = max(band[0], f[0]), min(band[1], f[-1])
    if not _wide(f, band):
        low, high = f[0], f[-1]
    place = np.clip((f - low) / max(high - low, 1e-9), 0.0, 1.0)
    return np.asarray(np.sin(np.pi * place) ** 2)


def _wide(f: Float, band: tuple[float, float]) -> bool:
    return bool(min(band[1], f[-1]) >= 4 * max(band[0], f[0]))


def in_sign_band(f: Float) -> bool:
    """Whether tones at ``f`` Hz determine a polarity in :data:`SIGN_HZ`; those of tweeters do not."""
    return _wide(f, SIGN_HZ)


def first_arrival(g: Complex, f: Float, window_s: float) -> float:
    """First peak (s) of the envelope of a response ``(tone,)`` at evenly spaced ``f``.

    The envelope is that of the band in which arrivals are timed; its first peak within 10 dB of the largest counts, so
    that a reflection stronger than a shadowed direct sound does not.
    """
    weighted = g * within(f, TIMING_HZ)
    size = fft.next_fast_len(FINE * len(f))
    envelope = np.abs(fft.ifft(weighted, size))
    step = window_s / size
    peaks = (envelope >= np.roll(envelope, 1)) & (envelope > np.roll(envelope, -1))
    least = max(envelope.max() * from_db(-FIRST_DB), np.median(envelope) * from_db(DIFFUSE_DB))
    strong = np.flatnonzero(peaks & (envelope > min(least, 0.9 * envelope.max())))
    late = np.where(
        strong * step > 0.97 * window_s, strong - size, strong
    )  # what comes at zero may seem to come before
    n = int(late[np.argmin(late)])
    return (n + vertex(*(float(envelope[(n + d) % size]) for d in (-1, 0, 1)))) * step


def gate(g: Complex, f: Float, at: float, window_s: float) -> Complex:
    """The response ``(tone,)`` gated to within 2 ms of ``at`` (s)."""
    centred = g * np.exp(2j * np.pi * f * at)
    h = fft.ifft(centred)
    n = np.arange(len(h))
    t = np.minimum(n, len(h) - n) * window_s / len(h)
    taper = np.where(t < GATE_S, np.cos(0.5 * np.pi * t / GATE_S) ** 2, 0.0)
    return np.asarray(fft.fft(h * taper) * np.exp(-2j * np.pi * f * at))


def sign(g: Complex, f: Float, at: float) -> float:
    """Cosine of the phase of an arrival: 1 when pressure rises with the signal, -1 when it falls.

    The phase is the mean over :data:`SIGN_HZ`, for tweeters over the band in which ``at`` (s) was found, re that of a
    second-order high-pass filter at the lowest tone, whose arrival is found alike: its delay is part of ``at``, which
    turns the phase of a tweeter by up to a half turn.
    """
    weight = within(f, SIGN_HZ if in_sign_band(f) else TIMING_HZ)
    s = 1j * f / f[0]
    box = s**2 / (s**2 + np.sqrt(2.0) * s + 1.0)
    own = first_arrival(box, f, 1.0 / float(f[1] - f[0]))
    mean, box_mean = (np.sum(r * np.exp(2j * np.pi * f * t) * weight) for r, t in ((g, at), (box, own)))
    return float(np.real(mean * np.conj(box_mean)) / max(abs(mean) * abs(box_mean), 1e-300))


def apart(one: Complex, other: Complex, f: Float) -> float:
    """Delay (s) of ``one`` re ``other``, both ``(tone,)``, at their largest correlation."""
    cross = one * np.conj(other) * within(f, TIMING_HZ)
    size = fft.next_fast_len(4 * FINE * len(f))
    step = 1.0 / (size * float(f[1] - f[0]))
    n = np.arange(-round(REACH_S / step), round(REACH_S / step) + 1)
    correlation = np.abs(np.real(fft.ifft(cross, size)[n] * np.exp(2j * np.pi * f[0] * n * step)))
    best = int(np.clip(np.argmax(correlation), 1, len(n) - 2))
    return float(n[best] + vertex(*correlation[best - 1 : best + 2].tolist())) * step
