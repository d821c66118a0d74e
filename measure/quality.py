"""Judges a capture before it is kept: every reason for which it may not be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from measure.deconvolve import Complex, Inverse
from rigs.units import db

CLIPPED = 0.9999
QUIET_LOOP_DB = -60.0
RESIDUAL_DB = -50.0
SILENT_SNR_DB = 10.0
KERNEL_S = 0.005
STRETCH_S = 0.005


def clipped(x: NDArray[np.float32], names: tuple[str, ...]) -> str | None:
    """Full-scale samples in any channel of ``x (channel, samples)``."""
    for row, name in zip(x, names, strict=True):
        over = int(np.count_nonzero(np.abs(row) >= CLIPPED))
        if over:
            return f"{name} clipped: {over} samples at full scale; lower sweep.level_dbfs or the preamplifier's gain"
    return None


def loopback(inv: Inverse, recorded: NDArray[np.float32], played: NDArray[np.float32], loop: Complex) -> str | None:
    """Samples lost, repeated or disturbed in the loopback.

    The loopback must be the stimulus through one short filter. That filter is the loopback's own response within 5 ms
    of its peak; what it does not explain is the residual, judged over stretches of 5 ms against the level of the
    loopback. A single missing sample leaves about -10 dB, a clean converter less than -80 dB.

    Parameters
    ----------
    inv
        Inverse of the stimulus.
    recorded, played
        ``(samples,)``, full scale = 1.
    loop
        Transfer function of the loopback.
    """
    level = float(np.sqrt(np.mean(np.asarray(recorded, dtype=float) ** 2)))
    if db(level) < QUIET_LOOP_DB:
        return (
            f"the loopback is silent ({float(db(level)):.0f} dBFS, at least {QUIET_LOOP_DB:.0f} is needed): "
            "check the cable of interface.loopback"
        )
    h = fft.irfft(loop, inv.size)
    peak, reach = int(np.argmax(np.abs(h))), int(KERNEL_S * inv.fs)
    kernel = np.roll(h, reach - peak)[: 2 * reach + 1]
    model = np.roll(fft.irfft(fft.rfft(np.asarray(played, float), inv.size) * fft.rfft(kernel, inv.size)), peak - reach)
    rest = np.asarray(recorded, dtype=float) - model[: len(recorded)]
    rest_spectrum = fft.rfft(rest)
    f = fft.rfftfreq(len(rest), 1.0 / inv.fs)
    rest_spectrum[(f < inv.band[0]) | (f > inv.band[1])] = 0.0
    rest = fft.irfft(rest_spectrum, len(rest))
    size = int(STRETCH_S * inv.fs)
    stretches = rest[: len(rest) // size * size].reshape(-1, size)
    loudest = np.sqrt(np.mean(stretches**2, axis=1))
    worst = int(np.argmax(loudest))
    if db(loudest[worst] / level) > RESIDUAL_DB:
        at = worst * STRETCH_S
        return (
            f"samples lost or disturbed near {at:.2f} s: the loopback differs from what was played by "
            f"{float(db(loudest[worst] / level)):.0f} dB (limit {RESIDUAL_DB:.0f})"
        )
    return None


def silent(snr: NDArray[np.float64], names: tuple[str, ...]) -> str | None:
    """A microphone that heard nothing: ``snr (mic,)`` in dB."""
    for value, name in zip(snr, names, strict=True):
        if value < SILENT_SNR_DB:
            return (
                f"{name} heard nothing: {float(value):.0f} dB above its noise (at least {SILENT_SNR_DB:.0f} are "
                "needed); check the microphone, the amplifier and the patch"
            )
    return None
