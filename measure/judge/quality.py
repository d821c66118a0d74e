"""Quality checks of a capture: every reason to reject it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import Inverse
from sweetspot.measure.judge import disturbance
from sweetspot.measure.judge.burst import LagBands, burst
from sweetspot.measure.judge.kernel import around_zero
from sweetspot.measure.shot import Reason
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, db, power_db

CLIPPED = 0.9999
QUIET_LOOP_DB = -60.0
RESIDUAL_DB = -50.0
SILENT_SNR_DB = 10.0
KERNEL_S = 0.001
STRETCH_S = 0.005
DECAY_S = 0.15

REPEATS_DB = -40.0
"""Level of the difference to the next capture re a capture below which both count as equal, dB."""


def short(x: NDArray[np.float32], samples: int) -> Reason | None:
    """A recording ``(channel, samples)`` that is shorter or longer than the stimulus."""
    if x.shape[-1] == samples:
        return None
    return Reason("length", f"the recording has {x.shape[-1]} of {samples} samples")


def padded(x: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """The recording brought to ``samples``, with silence at its end if need be."""
    if x.shape[-1] == samples:
        return x
    return np.pad(x[:, :samples], ((0, 0), (0, max(samples - x.shape[-1], 0))))


def clipped(x: NDArray[np.float32], names: tuple[str, ...]) -> Reason | None:
    """Full-scale samples in any channel of ``x (channel, samples)``."""
    for row, name in zip(x, names, strict=True):
        over = int(np.count_nonzero(np.abs(row) >= CLIPPED))
        if over:
            todo = "lower sweep.level_dbfs or the preamplifier's gain"
            return Reason("clipped", f"{name} clipped: {over} samples at full scale; {todo}")
    return None


def loopback(inv: Inverse, recorded: NDArray[np.float32], loop: Complex, delay: float, gain: float) -> Reason | None:
    """Samples lost, repeated or disturbed in the loopback.

    The loopback must be the stimulus through one short filter: its own response within 1 ms of its peak, completed
    outside the judged band by its delay and gain. What that does not explain is the residual, judged over stretches of
    5 ms against the level of the loopback. A filter that short cannot follow the jump of phase that a lost or repeated
    sample makes in a sweep: one sample leaves -10 dB in the middle of the band and -38 dB at 100 Hz.

    Parameters
    ----------
    recorded
        ``(samples,)``, full scale = 1.
    loop
        Transfer function of the loopback.
    delay, gain
        Of the loopback, s and linear.
    """
    level = float(np.sqrt(np.mean(np.asarray(recorded, dtype=float) ** 2)))
    if db(level) < QUIET_LOOP_DB:
        return Reason(
            "loopback",
            f"the loopback is silent ({float(db(level)):.0f} dBFS, at least {QUIET_LOOP_DB:.0f} is needed): "
            "check the cable of interface.loopback",
        )
    worst, at = _worst_residual(inv, loop, _completed(inv, loop, delay, gain), len(recorded))
    if db(worst / level) > RESIDUAL_DB:
        return Reason(
            "loopback",
            f"samples lost or disturbed near {at:.2f} s: the loopback differs from what was played by "
            f"{float(db(worst / level)):.0f} dB (limit {RESIDUAL_DB:.0f})",
        )
    return None


def _completed(inv: Inverse, loop: Complex, delay: float, gain: float) -> Complex:
    """Spectrum of the loopback's impulse response within 1 ms of its arrival, as if its band had no ends."""
    late = fft.phases(-2.0 * np.pi * delay * inv.fs / inv.size, len(loop), np.dtype(np.complex128))
    whole = np.full(len(loop), gain, dtype=np.complex128)
    whole[inv.inside] = loop[inv.inside] * late[inv.inside].conj()
    return around_zero(whole, inv.size, int(KERNEL_S * inv.fs)) * late


def _worst_residual(inv: Inverse, loop: Complex, kernel: Complex, samples: int) -> tuple[float, float]:
    """Largest rms over 5 ms of what ``kernel`` does not explain of the loopback's ``samples``, in the band, and its
    time (s)."""
    rest, inside = np.zeros(len(kernel), dtype=np.complex64), inv.inside
    rest[inside] = loop[inside] / inv.exact[inside] - inv.x[inside] * kernel[inside]
    size = int(STRETCH_S * inv.fs)
    stretches = fft.irfft(rest, inv.size)[: samples // size * size].reshape(-1, size)
    loudness = np.sqrt(np.mean(stretches**2, axis=1))
    worst = int(np.argmax(loudness))
    return float(loudness[worst]), worst * STRETCH_S


def silent(snr: NDArray[np.float64], names: tuple[str, ...]) -> Reason | None:
    """A microphone without signal: ``snr (mic,)`` in dB."""
    for value, name in zip(snr, names, strict=True):
        if value < SILENT_SNR_DB:
            return Reason(
                "silent",
                f"no signal at {name}: {float(value):.0f} dB above its noise (at least {SILENT_SNR_DB:.0f} are "
                "needed); check the microphone, the amplifier and the patch",
            )
    return None


def silent_to_all(snr: NDArray[np.float64], names: tuple[str, ...]) -> Reason | None:
    """A microphone without signal of any driver: ``snr (driver, mic)`` in dB of drivers that play together."""
    heard = np.max(snr, axis=0) >= SILENT_SNR_DB
    if heard.all():
        return None
    if not heard.any():
        text = "at any microphone; check the amplifier, the unit's power and the patch"
    else:
        silent = " and ".join(n for n, there in zip(names, heard, strict=True) if not there)
        text = f"at {silent}; check this microphone, its preamplifier and its cable"
    return Reason("silent", f"no signal of any driver {text}")


def disturbed(
    x: NDArray[np.float32],
    transfer: NDArray[np.complexfloating],
    names: tuple[str, ...],
    sweep: Sweep,
    where: LagBands,
    delay: float,
    *,
    last_start: float = 0.0,
    spliced: bool = False,
) -> Reason | None:
    """Lost samples, hum, a burst, or a stage that clips ahead of the converter, in any microphone.

    ``x (mic, samples)`` as recorded, ``transfer (mic, frequency)`` deconvolved; ``last_start`` is when the last of
    overlapped sweeps starts, s. A splice's own noise shows the remaining bursts; none is looked for.
    """
    for row, spectrum, name in zip(x, transfer, names, strict=True):
        at = disturbance.stuck(row)
        if at is not None:
            where_at = f"equal samples at {at / sweep.fs:.2f} s; turn it down"
            return Reason("stuck", f"{name} clipped before the converter: {where_at}")
        held = disturbance.held(row)
        if held is not None:
            still = f"constant for {held[1]} samples at {held[0] / sweep.fs:.2f} s"
            return Reason("lost", f"{name} lost samples: {still}")
        mains = disturbance.hum(row, sweep, delay + last_start, DECAY_S)
        if mains:
            return Reason(
                "hum",
                f"{name} hums: {mains[0]:.0f} Hz and multiples at {mains[1]:.0f} dB re the capture (limit "
                f"{disturbance.HUM_LEVEL_DB:.0f}); check its grounding and its cable",
            )
        found = None if spliced else burst(spectrum, where, delay)
        if found:
            when, f, level = found
            level_text = f"{level:.0f} dB above the limit"
            return Reason("burst", f"burst at {when:.1f} s, {_hertz(f)} in {name}, {level_text}")
    return None


def repeats(before: NDArray[np.float32], x: NDArray[np.float32]) -> bool:
    """Whether two captures ``(channel, samples)`` of the same signal are equal, so that they contain no noise."""
    if before.shape != x.shape:
        return False
    apart, power = (np.sum(np.square(y, dtype=np.float64), axis=1) for y in (x - before, x))
    return bool(np.all(power_db(apart / np.maximum(power, 1e-300)) < REPEATS_DB))


def _hertz(f: float) -> str:
    return f"{f / 1000:.1f} kHz" if f >= 1000 else f"{f:.0f} Hz"
