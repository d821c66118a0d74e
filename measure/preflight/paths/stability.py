"""Validity of a capture: two periods that agree, a stationary silence, a stage that returns."""

from __future__ import annotations

import numpy as np

from sweetspot.measure.preflight.paths.multitone import ResponseMatrix
from sweetspot.measure.preflight.paths.path_responses import OCTAVES, LoopbackResponse, PathResponses, within
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, power_db

RESIDUAL_DB = -45.0
"""Of the loopback between two periods; above it samples are lost or disturbed."""

CHANGE_DB = -20.0
"""Of a microphone's octave between two periods, as long as the noise of the silence does not explain it."""

OVER_NOISE_DB = 10.0
BURST_DB = 10.0
"""Loudest stretch of the silence over its quiet ones, 100 Hz and up."""

CLOSURE_HZ = (300.0, 4000.0)


def disturbed(m: ResponseMatrix, loop: LoopbackResponse, rig: Description) -> str | None:
    """Why a capture should be made again, or ``None``; clipping is none of it, for it would clip again."""
    if loop.input is not None and loop.residual_db > RESIDUAL_DB:
        return (
            f"the loopback changes by {loop.residual_db:.0f} dB from one period to the next: samples lost or disturbed"
        )
    for mic in rig.mic:
        row = mic.channel - 1
        if m.clipped[row]:
            continue
        if m.burst_db[row] > BURST_DB:
            return f"{mic.name} had a burst in the silence, {m.burst_db[row]:.0f} dB above the rest of it"
        change, octave = _change(m, row, len(rig.driver))
        if change > CHANGE_DB:
            return f"{mic.name} had a disturbance near {octave:g} Hz: the periods differ by {change:.0f} dB"
    return None


def _change(m: ResponseMatrix, row: int, outputs: int) -> tuple[float, float]:
    """Largest change of an octave from one period to the next, dB, that noise does not explain, and where (Hz)."""
    worst = (-300.0, OCTAVES[0])
    f = [m.comb.frequencies(o) for o in range(outputs)]
    played = [np.abs(s) * 2.0 / m.comb.period for s in m.comb.spectra[:outputs]]
    heard = [np.abs(m.responses[o][row] * played[o]) ** 2 / 2.0 for o in range(outputs)]
    moved = [np.abs(m.changes[o][row] * played[o]) ** 2 / 2.0 for o in range(outputs)]
    for centre in OCTAVES:
        inside = [(g >= centre / np.sqrt(2.0)) & (g < centre * np.sqrt(2.0)) for g in f]
        count = sum(int(i.sum()) for i in inside)
        if count < 8:
            continue
        power = sum(float(h[i].sum()) for h, i in zip(heard, inside, strict=True)) / count
        change = sum(float(c[i].sum()) for c, i in zip(moved, inside, strict=True)) / count
        density = float(np.interp(centre, m.noise_f, m.noise[row]))
        noise = 2.0 * density * m.comb.fs / m.comb.period
        level = float(power_db(change / max(power, 1e-30)))
        if power_db(change / max(noise, 1e-30)) > OVER_NOISE_DB and level > worst[0]:
            worst = (level, centre)
    return worst


def closure_db(first: PathResponses, last: PathResponses, inputs: list[int]) -> Float:
    """Change ``(input, output)`` of each direct sound between two captures that should be the same, dB.

    NaN unless received both times. A turn of a degree moves a driver 9 cm from the axis by 1.5 mm: -25 dB.
    """
    out = np.full((len(inputs), first.arrival.shape[1]), np.nan)
    for i, row in enumerate(inputs):
        for o in range(out.shape[1]):
            if first.there[row, o] and last.there[row, o]:
                weight = within(first.frequencies[o], CLOSURE_HZ)
                change = np.sum(np.abs((last.gated[o][row] - first.gated[o][row]) * weight) ** 2)
                out[i, o] = power_db(change / np.sum(np.abs(first.gated[o][row] * weight) ** 2))
    return out
