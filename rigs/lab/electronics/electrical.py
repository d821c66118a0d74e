"""Electronics between samples and sound: crosstalk, hum, varying latency, two drifting clocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.lab.sound import drawn
from sweetspot.rigs.rig_file import JUMP_MAX, Description, Lab
from sweetspot.rigs.units import Float, from_db

HALF = 24
"""Half the length of the interpolation between samples; its look-ahead is part of the latency."""

MANTISSA_BITS = 24
"""Of a sample in single precision, its sign apart: as many as the counts of a converter need."""

PHASES = 1024
SLIP = 4096
"""Samples to which the buffer between two clocks may fill before it is emptied at once."""

SPILL = 64
"""Samples that are repeated when that buffer runs empty."""


def latency_of(lab: Lab, *stream: object) -> int:
    """Latency of one stream in samples: the lab's own and a draw from its spread, by the seed and ``stream``."""
    if not lab.latency_spread_samples:
        return lab.latency_samples
    return lab.latency_samples + int(drawn(lab.seed, "latency", *stream).integers(0, lab.latency_spread_samples + 1))


def digital(x: NDArray[np.float32], lab: Lab) -> NDArray[np.float32]:
    """What the converters deliver of signals, full scale = 1: clipped, and in whole counts.

    Single precision holds every count of up to 24 bits exactly; with more it is only clipped. So it is where the noise
    that the rig states lies below that of rounding (a count over the root of 12): such converters are ideal on purpose.
    """
    x = np.clip(x, -1.0, 1.0)
    counts = np.float32(2.0 ** (lab.converter_bits - 1))  # a power of two: exact
    if lab.converter_bits > MANTISSA_BITS or from_db(lab.converter_noise_dbfs) < 1.0 / (counts * np.sqrt(12.0)):
        return x
    return np.asarray(np.rint(x * counts) / counts)


class SignalLine:
    """The way of samples from the inputs to the program: late, on a clock of its own, with samples lost or repeated.

    The inputs' clock runs faster than the outputs' by ``ppm``: sample ``m`` of the recording is what was there
    ``late + m ppm / (1 + ppm)`` samples before sample ``m`` was played. In between, values come from a windowed sinc
    (48 taps, Kaiser window, 1024 phases with straight lines between them: error below -100 dB up to 0.4 fs). As the
    buffers of real drivers, this one is emptied or filled at a stroke when it runs over or empty.

    Parameters
    ----------
    inputs
        How many channels.
    late
        Samples.
    ppm
        Parts per million.
    before
        ``(inputs, samples)`` input signals before the stream began, padded with silence.
    """

    def __init__(self, inputs: int, late: int, ppm: float = 0.0, before: NDArray[np.float32] | None = None) -> None:
        self.late, self.ppm = late, ppm
        self.kept = late + JUMP_MAX + SLIP + SPILL + 2 * HALF
        self._past = np.zeros((inputs, self.kept), dtype=np.float32)
        if before is not None and before.shape[1]:
            self._past[:, -before.shape[1] :] = before
        self._at = 0
        self._shift = 0

    def process(self, x: NDArray[np.float32], jumps: Sequence[tuple[int, int]] = ()) -> NDArray[np.float32]:
        """The next samples of the recording, as many as ``x (inputs, samples)`` at the inputs now.

        Parameters
        ----------
        jumps
            ``(index, samples)``: from this sample of ``x`` on, so many samples are lost (below 0: repeated).
        """
        there = np.concatenate([self._past, x], axis=1)
        samples = x.shape[1]
        if self.ppm or jumps:
            out = self._read(there, samples, jumps)
        else:
            start = self.kept - self.late + self._shift
            out = there[:, start : start + samples]
        self._past = there[:, samples:].copy() if samples < self.kept else there[:, -self.kept :].copy()
        self._at += samples
        return out

    def _read(self, there: NDArray[np.float32], samples: int, jumps: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        behind = np.full(samples, self.late - self._shift, dtype=np.float64)
        ahead = HALF + 1 if self.ppm else 0
        for index, lost in jumps:
            most = behind[index] - ahead
            behind[index:] -= min(lost, most)
        self._shift = self.late - int(behind[-1]) if samples else self._shift
        m = np.arange(samples)
        if not self.ppm:
            return there[:, self.kept + m - behind.astype(np.int64)]
        behind = _buffered(behind + (self._at + m) * (self.ppm / (1e6 + self.ppm)), self.late)
        return interpolated(there, self.kept + m - behind)


def _buffered(behind: Float, late: int) -> Float:
    """Delay of reading after the buffer was emptied or filled as often as necessary, samples."""
    over = np.ceil(np.maximum(behind - late - SLIP, 0.0) / SLIP)
    empty = np.ceil(np.maximum(HALF + 1 - behind, 0.0) / SPILL)
    return np.asarray(behind - over * SLIP + empty * SPILL)


def interpolated(x: NDArray[np.float32], at: Float) -> NDArray[np.float32]:
    """Values of ``x (channels, samples)`` at fractional indices ``at``; all must lie ``HALF`` inside."""
    base = np.floor(at).astype(np.int64)
    phase = (at - base) * PHASES
    row = phase.astype(np.int64)
    part = (phase - row)[:, None]
    weights = (_KERNEL[row] * (1.0 - part) + _KERNEL[row + 1] * part).astype(np.float32)
    out = np.zeros((len(x), len(at)), dtype=np.float32)
    for k in range(2 * HALF):
        out += x[:, base + (k - HALF + 1)] * weights[:, k]
    return out


def _kernel() -> Float:
    """Windowed sincs ``(phase, tap)`` for fractions from 0 to 1, both included."""
    fraction = np.arange(PHASES + 1)[:, None] / PHASES
    t = np.arange(2 * HALF)[None] - (HALF - 1) - fraction
    fine = np.kaiser(2 * HALF * PHASES + 1, 11.0)
    window = np.interp(t, np.linspace(-HALF, HALF, len(fine)), fine)
    rows = np.sinc(t) * window
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


_KERNEL = _kernel()


def leaked(x: NDArray[np.float32], level_db: float | None) -> NDArray[np.float32]:
    """Channels ``(channel, samples)`` that leak into their neighbours at a level in dB; unchanged without one."""
    if level_db is None:
        return x
    gain = np.float32(from_db(level_db))
    out = x.copy()
    out[1:] += gain * x[:-1]
    out[:-1] += gain * x[1:]
    return out


def hum(rig: Description, start: int, samples: int) -> NDArray[np.float32] | None:
    """The mains in the microphones' cables: ``(samples,)`` full scale = 1, from sample ``start`` of the session.

    Parameters
    ----------
    rig
        With ``[lab.hum]`` (level of the whole, its fundamental, how far its 2nd, 3rd ... harmonics lie under it), or
        without: then nothing.
    start, samples
        Which samples.
    """
    table = rig.lab.hum
    if table is None:
        return None
    levels = np.array([0.0, *table.harmonics_db])
    peaks = from_db(levels) / np.sqrt(np.sum(from_db(levels) ** 2)) * from_db(table.level_dbfs) * 2.0**0.5
    turn = 2.0 * np.pi * table.frequency_hz * (start + np.arange(samples)) / rig.fs
    orders = np.arange(1, len(levels) + 1)
    return np.asarray(np.sum(peaks[:, None] * np.sin(orders[:, None] * (turn + 0.3)), axis=0), dtype=np.float32)
