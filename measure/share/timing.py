"""Responses in time and phase: gate, group delay and its excess over minimum phase, step response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sweetspot.measure.delays import onset
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share.decay import arrival
from sweetspot.measure.smooth import smoothed, thirds_within
from sweetspot.rigs.acoustics import fft, half_cosine
from sweetspot.rigs.names import named
from sweetspot.rigs.units import Float

RISE_S = 0.001
"""How long before the arrival a gate begins to open, s; half of it is a half cosine."""

Table = tuple[list[dict[str, object]], str]
"""Figures of a picture, as rows and as text."""

FALL = 0.25
"""Part of a gate over which it closes, a half cosine."""

PADDED = 4
"""Length of the transform of a minimum phase in lengths of the response: its cepstrum must have died away."""


def gated(ir: ImpulseResponse, seconds: float) -> ImpulseResponse:
    """Responses until ``seconds`` after each arrival, without later reflections; valid from 1/seconds Hz."""
    start = ir.zero + onset(ir.h[..., ir.zero :])[..., None]
    after = (np.arange(ir.h.shape[-1]) - start) / ir.fs
    opened = half_cosine.rise((after + RISE_S) / (0.5 * RISE_S))
    closing = half_cosine.fall((after - (1.0 - FALL) * seconds) / (FALL * seconds))
    return replace(ir, h=ir.h * (opened * closing))


def group_delays(
    h: Float, fs: int, start: int, band: tuple[float, float], octaves: float
) -> tuple[Float, Float, Float]:
    """Frequencies ``(bin,)``, group delay and excess group delay ``(..., bin)`` of responses ``(..., tap)``, s.

    The group delay is ``Re(FFT(n h) / FFT(h))``, without any unwrapping (Oppenheim and Schafer). The excess is what
    is left without that of the minimum phase, from the real cepstrum of the level, which is held beyond ``band``. Both
    are means over ``octaves`` weighted with power.

    Parameters
    ----------
    start
        Tap from which delays count.
    band
        In which the level is known, Hz.
    """
    size = int(fft.next_fast_len(PADDED * h.shape[-1], real=True))
    f = np.asarray(np.fft.rfftfreq(size, 1.0 / fs))
    spectrum = fft.rfft(h, size, axis=-1)
    power = np.abs(spectrum) ** 2
    turned = fft.rfft(h * (np.arange(h.shape[-1]) - start), size, axis=-1)
    weighted = (turned * spectrum.conj()).real / fs
    first, last = int(np.searchsorted(f, band[0])), int(np.searchsorted(f, min(band[1], f[-1]), side="right")) - 1
    known = np.clip(np.arange(len(f)), first, last)
    level = 0.5 * np.log(np.maximum(power[..., known], 1e-300))
    cepstrum = fft.irfft(level, size, axis=-1)
    n = np.arange(size, dtype=float)
    n[(size + 1) // 2 :] = 0.0
    least = fft.rfft(2.0 * n * cepstrum, size, axis=-1).real / fs
    whole = np.maximum(_mean(power, f, octaves), 1e-300)
    return f, _mean(weighted, f, octaves) / whole, _mean(weighted - least * power, f, octaves) / whole


def _mean(x: Float, f: Float, octaves: float) -> Float:
    return smoothed(x, f, octaves) if octaves > 0.0 else x


def table(
    ears: ImpulseResponse, position: int, played: Sequence[tuple[float, float]], band: tuple[float, float]
) -> Table:
    """Group delay and excess in third octaves at one place, ms re its first arrival, and a line for each microphone."""
    h, rows, lines = ears.h[position], list[dict[str, object]](), list[str]()
    start = arrival(h, ears.zero)
    f, *found = group_delays(h, ears.fs, start, ears.band, 1.0 / 3.0)
    for i, mic in enumerate(ears.mics):
        late = []
        for j, driver in enumerate(ears.drivers):
            hz = thirds_within(max(band[0], played[j][0]), min(band[1], played[j][1]))
            delay, excess = (1000.0 * np.interp(hz, f, x[i, j]) for x in found)
            late.append(f"{named(driver)} {np.median(excess):.2f}" if len(hz) else f"{named(driver)} -")
            rows += [
                {"mic": mic, "driver": driver, "hz": a, "group_delay_ms": round(b, 4), "excess_ms": round(c, 4)}
                for a, b, c in zip(hz.tolist(), delay.tolist(), excess.tolist(), strict=True)
            ]
        lines.append(f"{named(mic)}: excess group delay, median over third octaves, ms: {', '.join(late)}")
    return rows, "\n".join(lines)


def step_response(h: Float, fs: int) -> Float:
    """Response ``(..., tap)`` to a unit step, in the unit of ``h`` times s."""
    return np.asarray(np.cumsum(h, axis=-1) / fs)
