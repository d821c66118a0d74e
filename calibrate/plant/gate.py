"""The gate: window length over frequency, the first reflection, and the lowest frequency resolved.

A window of ``T(f) = min(cycles / f, gate)`` after the direct sound keeps what the device and the head do and leaves the
room out (measurement practice: the right edge comes before the first reflection, the lowest frequency that is resolved
is ``1 / gate``). Windows are real and depend on time and frequency alone, never on the driver or the ear: averaging
over neighbouring frequencies, which is what a shorter window does, goes on about each driver's own arrival, so that it
smooths without blurring the phase between drivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant.spectrum import advance, frequencies, grid, transform
from sweetspot.measure.delays import onset
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Complex, Float, from_db

LEAD_S = 0.002
"""Kept length of a response before its arrival, s."""

LEAST_S = 0.0008
"""Shortest gate, s: earlier reflections are taken as the device's or the head's."""

LOOKED_HZ = (700.0, 9000.0)
"""Band in which reflections are searched, Hz: below it the direct sound rings, above it noise is near."""

SMOOTHED_S = 0.0002
"""Over which the energy of a response is smoothed for that."""

SETTLED_S = 0.008
"""After which what a response was cut off at is gone behind that band's filter: below -70 dB."""

HEARD_DB = -20.0
"""A reflection is at least this loud re the direct sound."""

RISE_DB = 8.0
"""Rise of energy after the direct sound's decay that marks a reflection, dB."""

HEARD, RISE = (float(from_db(db)) ** 2 for db in (HEARD_DB, RISE_DB))
"""Both as power ratios."""

DIRECT_DB = -10.0
"""Peak re the loudest path of a microphone below which a path (a shadowed driver) is ignored, dB."""

ENOUGH = 0.5
"""Share of paths in which a reflection is seen before it counts as one."""

NARROW_DB = 30.0
"""A driver whose peak is this far below the loudest one's has a narrow band at low frequencies: no arrival to go by."""

SHARE = 10.0
"""Percentile of the times found that becomes the gate."""

FADE_S = 0.001
"""Fade-out of responses through filters, s."""

STEP = 2.0
"""Ratio of the lengths of neighbouring windows, between which the spectra are interpolated."""


@dataclass(frozen=True, slots=True)
class Gate:
    """How a set is gated.

    Parameters
    ----------
    seconds
        Length after a driver's arrival; the window falls over its last half.
    cycles
        At high frequencies the window is this many periods long.
    reflection_s
        First reflection after the direct sound; ``None`` when none was found, or looked for, within the gate.
    """

    seconds: float
    cycles: float
    reflection_s: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < np.inf:
            raise ValueError(f"a gate of {self.seconds} s: more than 0 s are needed")

    @property
    def lowest(self) -> float:
        """Lowest frequency that the gate resolves, Hz: ``1 / seconds``."""
        return 1.0 / self.seconds

    def to_dict(self) -> dict[str, float]:
        """For a file."""
        return {"seconds": self.seconds, "cycles": self.cycles, "reflection_s": self.reflection_s or 0.0}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Gate:
        """From a file."""
        return cls(float(kept["seconds"]), float(kept["cycles"]), float(kept["reflection_s"]) or None)

    @property
    def text(self) -> str:
        """One line for a reader."""
        if self.reflection_s is None:
            why = "no reflection before its end"
        elif self.reflection_s < LEAST_S:
            soonest = f"{1000 * LEAST_S:.1f} ms"
            why = f"the shortest: within {soonest} comes a reflection, or a shadowed driver's sound around the body"
        else:
            why = f"the first reflection comes {1000 * self.reflection_s:.2f} ms after the direct sound"
        return (
            f"gate {1000 * self.seconds:.2f} ms ({why}), {self.cycles:g} periods at most; valid from {self.lowest:.0f} "
            f"Hz"
        )


class GateWish(Protocol):
    """Settings of a gate, from the ``[filter]`` table of a design.toml."""

    @property
    def gate_ms(self) -> float:
        """Longest, ms."""

    @property
    def gate_cycles(self) -> float:
        """Periods that the window holds at high frequencies."""

    @property
    def gate_to(self) -> str:
        """``"reflection"`` ends it before the first one; ``"fixed"`` does not."""


def chosen(ir: ImpulseResponse, wish: GateWish) -> Gate:
    """The gate of a set: of the design's length, but ending before the first reflection unless it is fixed."""
    seconds, cycles = wish.gate_ms / 1000.0, wish.gate_cycles
    found = first_reflection(ir, seconds) if wish.gate_to == "reflection" else None
    if found is None:
        return Gate(seconds, cycles)
    return Gate(float(np.clip(found, LEAST_S, seconds)), cycles, found)


@lru_cache(maxsize=4)
def first_reflection(ir: ImpulseResponse, within_s: float) -> float | None:
    """When the room begins, s after the direct sound; ``None`` when nothing comes back within ``within_s``.

    In each path that is not shadowed, the energy from 700 Hz to 9 kHz, smoothed over 0.2 ms, falls after the direct
    sound; a reflection is where it has risen again by 8 dB to no less than -20 dB re the direct sound. Most paths must
    show one; a late percentile would let some through, so that an early one is taken.
    """
    level, step = _energy(ir, within_s)
    peak = np.argmax(level, axis=-1)
    loudness = np.take_along_axis(level, peak[..., None], axis=-1)[..., 0]
    clear = loudness >= float(from_db(DIRECT_DB)) ** 2 * loudness.max(axis=(0, 2), keepdims=True)
    rows, starts = level[clear], peak[clear]
    reach = round(within_s / step)
    times = [_rise(row[p : p + reach + 1] / row[p], step) for row, p in zip(rows, starts, strict=True)]
    seen = [t for t in times if t is not None]
    if len(seen) < ENOUGH * len(times):
        return None
    return float(np.percentile(seen, SHARE))


def _energy(ir: ImpulseResponse, within_s: float) -> tuple[Float, float]:
    """Smoothed energy ``(position, mic, driver, sample)`` of that band, and its step, s.

    It ends where nobody looks any more: ``within_s`` after the latest peak, with time for the filter to settle. That
    leaves a third of a response.
    """
    peaks = [int(np.argmax(np.abs(h), axis=-1).max()) for h in ir.h]
    n = min(fft.next_fast_len(max(peaks) + 1 + round((within_s + SETTLED_S) * ir.fs), real=True), ir.h.shape[-1])
    f = np.fft.rfftfreq(n, 1.0 / ir.fs)
    low, high = LOOKED_HZ
    band = 1.0 / ((1.0 + (low / np.maximum(f, 1.0)) ** 4) * (1.0 + (f / high) ** 4))
    width = max(round(SMOOTHED_S * ir.fs), 1)
    found = np.empty((*ir.h.shape[:3], n - width))
    for h, level in zip(ir.h, found, strict=True):  # one position fits the cache: half the time
        spectrum = np.fft.rfft(h[..., :n], axis=-1)
        spectrum *= band
        total = np.fft.irfft(spectrum, n, axis=-1)
        np.cumsum(np.square(total, out=total), axis=-1, out=total)
        np.subtract(total[..., width:], total[..., :-width], out=level)
    return found, 1.0 / ir.fs


def _rise(level: Float, step: float) -> float | None:
    """When a level re its start, after falling, begins to rise to a reflection, s."""
    floor = np.minimum.accumulate(level)
    risen = (level >= HEARD) & (level >= RISE * floor)
    risen[: round(LEAST_S / step)] = False
    if not risen.any():
        return None
    return step * float(np.argmax(risen))


@lru_cache(maxsize=8)
def arrivals(ir: ImpulseResponse) -> tuple[Float, Float]:
    """First and last arrival over microphones ``(position, driver)``, s: where a response exceeds a tenth of its peak.

    Raises
    ------
    BadInput
        A driver is silent at a position, by name.
    """
    sounds = ir.h.any(axis=-1)
    if not sounds.all():
        position, mic, driver = (int(i) for i in np.argwhere(~sounds)[0])
        raise BadInput(
            f"driver {ir.drivers[driver]!r} is silent at {ir.mics[mic]!r}, position {position + 1}: measure it again"
        )
    at = (onset(ir.h) - ir.zero) / ir.fs
    return at.min(axis=1), at.max(axis=1)


def first_arrival(ir: ImpulseResponse) -> Float:
    """Arrival of the direct sound ``(position,)``, s: of the first driver within :data:`NARROW_DB` of the loudest.

    A subwoofer's response rises for a long time; by itself it would arrive before the others' sound leaves.
    """
    peak = np.abs(ir.h).max(axis=(1, 3))
    heard = peak >= from_db(-NARROW_DB) * peak.max(axis=1, keepdims=True)
    return np.asarray(np.where(heard, arrivals(ir)[0], np.inf).min(axis=1))


def lengths(gate: Gate, highest_hz: float) -> Float:
    """Lengths of the windows that are used, s, longest first."""
    shortest = min(gate.seconds, max(gate.cycles / highest_hz, LEAST_S))
    count = int(np.ceil(np.log(gate.seconds / shortest) / np.log(STEP) - 1e-9)) + 1
    return np.asarray(gate.seconds * STEP ** -np.arange(count, dtype=float))


def shares(gate: Gate, f: Float) -> tuple[Float, Float]:
    """Lengths ``(window,)`` and the share of each at every frequency ``(window, frequency)``; they sum to 1."""
    T = lengths(gate, float(f[-1]))
    wanted = np.clip(gate.cycles / np.maximum(f, 1e-9), T[-1], T[0])
    place = np.log(T[0] / wanted) / np.log(STEP)
    part = np.clip(1.0 - np.abs(place[None, :] - np.arange(len(T))[:, None]), 0.0, 1.0)
    return T, part / part.sum(axis=0)


def window(t: Float, first: Float, last: Float, seconds: float) -> Float:
    """Window ``(..., tap)``: rises within 2 ms ahead of ``first``, falls as half a Hann to ``last + seconds``."""
    rise = np.clip((t - (first[..., None] - LEAD_S)) / (0.5 * LEAD_S), 0.0, 1.0)
    fall = np.clip((last[..., None] + seconds - t) / (0.5 * seconds), 0.0, 1.0)
    return np.asarray(np.sin(0.5 * np.pi * rise) ** 2 * np.sin(0.5 * np.pi * fall) ** 2)


@lru_cache(maxsize=4)
def spectra(ir: ImpulseResponse, gate: Gate, drivers: tuple[int, ...] | None = None) -> Complex:
    """Gated spectra ``(position, mic, driver, frequency)`` on the grid, Pa/FS; those of the last sets are kept.

    At each position a driver has one window for all microphones, from 2 ms ahead of its first arrival to the gate after
    its last one; where no reflection is near, all drivers of the set share one. ``drivers`` are those wanted, if not
    all.

    Raises
    ------
    BadInput
        A driver is silent at a position, by name.
    """
    stretch, windows = _windows(ir, gate)
    h, n, f = ir.h[..., stretch], grid(ir.fs), frequencies(ir.fs)
    if drivers is not None:
        h, windows = h[:, :, list(drivers)], windows if windows.shape[1] == 1 else windows[:, list(drivers)]
    zero = ir.zero - stretch.start
    _, share = shares(gate, f)
    out = np.zeros((*h.shape[:3], len(f)), dtype=np.complex128)
    for one, part in zip(np.moveaxis(windows, -2, 0), share, strict=True):
        used = np.flatnonzero(part)
        if len(used):
            some = slice(used[0], used[-1] + 1)
            gated = transform(h * one[:, None], n)[..., some]
            out[..., some] += part[some] * gated
    out *= advance(n, zero)
    out.flags.writeable = False
    return out


@lru_cache(maxsize=1)
def energy(ir: ImpulseResponse, gate: Gate) -> Float:
    """Transmitted share of stationary noise: ``sum_t w^2``, ``(position, driver, frequency)``, read-only; that of the
    last set is kept.

    Noise of power ``S`` in each bin of the transform of ``N`` samples has ``S / N`` times this after the gate.
    """
    (_, windows), (_, share) = _windows(ir, gate), shares(gate, frequencies(ir.fs))
    gram = windows @ np.swapaxes(windows, -1, -2)
    found = np.einsum("kf,pdkl,lf->pdf", share, gram, share, optimize=True)
    found = np.broadcast_to(found, (len(found), len(ir.drivers), found.shape[-1]))
    return np.asarray(found)


@lru_cache(maxsize=4)
def _windows(ir: ImpulseResponse, gate: Gate) -> tuple[slice, Float]:
    """The stretch of a set that any window touches, and the windows on it ``(position, driver, window, tap)``.

    Their second axis has length 1 where all drivers share a window. Spectra and their noise need the same.
    """
    first, last = arrivals(ir)
    if gate.reflection_s is None:
        first, last = first.min(axis=1, keepdims=True), last.max(axis=1, keepdims=True)
    start = max(int(np.floor((first.min() - LEAD_S) * ir.fs)) + ir.zero, 0)
    stop = min(int(np.ceil((last.max() + gate.seconds) * ir.fs)) + ir.zero + 1, ir.h.shape[-1])
    t = (np.arange(start, stop) - ir.zero) / ir.fs
    T = lengths(gate, float(frequencies(ir.fs)[-1]))
    return slice(start, stop), np.stack([window(t, first, last, float(s)) for s in T], axis=-2)


def until(h: Float, zero: int, fs: int, end: Float) -> Float:
    """Responses ``(position, ..., tap)`` that are whole until ``end (position,)`` s and gone 1 ms later."""
    t = (np.arange(h.shape[-1]) - zero) / fs
    fall = np.clip((end[:, None] + FADE_S - t) / FADE_S, 0.0, 1.0)
    return np.asarray(h * (np.sin(0.5 * np.pi * fall) ** 2).reshape(len(h), *[1] * (h.ndim - 2), h.shape[-1]))


def last_tap(zero: int, fs: int, end: Float) -> int:
    """Number of taps beyond which :func:`until` leaves nothing."""
    return zero + int(np.ceil((float(end.max()) + FADE_S) * fs)) + 1


def resolved(lowest: float) -> NDArray[np.bool_]:
    """Third octaves that lie wholly above the lowest frequency that a gate resolves ``(band,)``."""
    return np.asarray(band_edges(THIRD_OCTAVES)[0] >= 0.999 * lowest)
