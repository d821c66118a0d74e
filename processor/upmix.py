"""Stereo to left, right and centre: the centre is what stays of mid after its projection on side is taken away."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import fft

from processor.filterset import UpmixSettings
from processor.partition import compilable
from rigs.errors import BadInput

Real = NDArray[Any]

MONO, STEREO = 1e-8, 1e-6
"""Ratio of side to mid power under which a bin counts as mono, and above which its projection is taken whole."""


class Upmix(Protocol):
    """Left and right in, the programs left, right and centre out, on a stream."""

    @property
    def latency(self) -> int:
        """Constant delay, samples."""
        ...

    def reset(self) -> None:
        """Forget everything heard."""
        ...

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, centre."""
        ...


def chosen(settings: UpmixSettings, fs: int, dtype: DTypeLike = np.float64) -> Upmix:
    """The upmix that a filter set asks for.

    Raises
    ------
    BadInput
        An unknown method, or a setting out of range.
    """
    _check(settings)
    match settings.method:
        case "projection":
            return Projection(settings, fs, dtype)
        case _:
            return Through(dtype)


METHODS = ("projection", "off")


def _check(s: UpmixSettings) -> None:
    if s.method not in METHODS:
        raise BadInput(f"upmix method {s.method!r} is not known; choose one of: {', '.join(METHODS)}")
    if not 0.0 <= s.amount <= 1.0:
        raise BadInput(f"upmix amount is {s.amount:g}; it goes from 0 (no centre) to 1 (all of it)")
    if s.hop < 1 or s.window < 2 * s.hop or s.window % s.hop or s.window % 2:
        raise BadInput(f"upmix window {s.window} and hop {s.hop}: the window must be even and 2, 3, 4 ... hops long")
    if not s.tau_s > 0.0:
        raise BadInput(f"upmix tau_s is {s.tau_s:g}; a time above 0 s is needed (0.1 is usual)")


class Through:
    """Stereo as it is: the centre program stays silent, the phantom centre stays a phantom. No delay."""

    latency = 0

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        self._dtype = np.dtype(dtype)

    def reset(self) -> None:
        """Nothing is kept."""

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, silence."""
        y = np.zeros((3, x.shape[1]), dtype=self._dtype)
        y[:2] = x
        return y


class Centre:
    """Frames of twice mid and side to windowed frames of the centre times the window's length, in numpy.

    Constant factors are left to the caller. The transform takes the frame's odd frequencies, ``(2m + 1)/2`` cycles
    per frame: folded into ``u[n] = (x[n] + j x[n+B]) exp(j pi n / 2B)``, they are ``B = window/2`` plain complex bins,
    without any at zero or Nyquist that would need care. The compiled kernel does the same (:mod:`processor.kernel`).
    """

    def __init__(self, shape: Real) -> None:
        self._shape, self._half = shape, shape.size // 2
        fold = np.exp(0.5j * np.pi * np.arange(self._half) / self._half)
        self._fold = fold.astype(np.complex64 if shape.dtype == np.float32 else np.complex128)
        self.reset()

    def reset(self) -> None:
        """Forget the averages."""
        self._averages = np.zeros((4, self._half))

    def process(self, frames: Real, decays: Real) -> Real:
        """``(count, 2, window)`` in, ``(count, window)`` out; the averages are multiplied by ``decays (count,)``."""
        folded = np.empty((len(frames), 2, self._half), dtype=self._fold.dtype)
        np.multiply(frames[..., : self._half], self._shape[: self._half], out=folded.real)
        np.multiply(frames[..., self._half :], self._shape[self._half :], out=folded.imag)
        folded *= self._fold
        mid, side = np.moveaxis(np.asarray(fft.ifft(folded, norm="forward")), 1, 0)
        rho = self._projections(mid, side, decays).astype(mid.dtype)
        centre = np.asarray(fft.fft(mid - rho * side)) * self._fold.conj()
        return np.concatenate([centre.real, centre.imag], axis=-1)

    def _projections(self, mid: Real, side: Real, decays: Real) -> Real:
        """``rho (count, bin)`` after each frame; the averages go on from frame to frame."""
        mr, mi, sr, si = (part.astype(np.float64) for s in (mid, side) for part in (s.real, s.imag))
        z = np.stack([mr * sr + mi * si, mi * sr - mr * si, sr * sr + si * si, mr * mr + mi * mi], axis=1)
        for frame, decay in zip(z, decays, strict=True):
            frame += decay * self._averages
            self._averages = frame
        self._averages = self._averages.copy()
        ms_real, ms_imag, ss, mm = z.transpose(1, 0, 2)
        trust = np.clip((ss - MONO * mm) / np.maximum((STEREO - MONO) * mm, 1e-200), 0.0, 1.0)
        below = np.where(ss > 0.0, ss, 1.0)
        return np.asarray((ms_real / below + 1j * (ms_imag / below)) * trust)


def _centre(shape: Real) -> Any:
    """The compiled form where it can do what is asked for and llvmlite is installed, else the one in numpy."""
    if compilable(shape.size // 2, shape.dtype):
        from processor.compiled import CompiledCentre

        return CompiledCentre(shape)
    return Centre(shape)


class Projection:
    """Centre by projection in the short-time Fourier domain.

    With ``M = (L + R)/2`` and ``S = (L - R)/2`` in each bin, and recursive averages ``<.>`` over frames,
    ``C = M - rho S`` with ``rho = <M S*>/<S S*>``, so that ``<C S*> = 0``: the centre is not correlated with left
    minus right. ``L' = L - C`` and ``R' = R - C`` are made in time from the delayed input, so that ``L' + C`` and
    ``R' + C`` rebuild it exactly. Mono has ``S = 0`` and goes wholly to the centre; hard-panned has ``M = +-S``,
    ``rho = +-1`` and ``C = 0`` from the first sample on. Side more than 80 dB under mid (:data:`MONO`) counts as none,
    so that dither does not pull the onset of a voice to the sides. A frame of digital silence clears the averages.

    Parameters
    ----------
    settings
        Window, hop, time constant, amount.
    fs
        Sampling rate, Hz.
    dtype
        ``float32`` or ``float64``.
    """

    def __init__(self, settings: UpmixSettings, fs: int, dtype: DTypeLike = np.float64) -> None:
        self.window, self.hop, self.amount = settings.window, settings.hop, settings.amount
        self._dtype = np.dtype(dtype)
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.window) / self.window)
        shape = np.sqrt(hann)
        scale = 0.5 * self.amount * 2.0 * self.hop / self.window * 2.0 / self.window
        self._synthesis = (shape * scale).astype(self._dtype)
        self._decay = float(np.exp(-self.hop / (settings.tau_s * fs)))
        self._centre = _centre(shape.astype(self._dtype))
        self.reset()

    @property
    def latency(self) -> int:
        """Constant delay, samples: one window."""
        return self.window

    def reset(self) -> None:
        """Forget everything heard."""
        self._heard = np.zeros((2, self.window), dtype=self._dtype)
        self._open = np.zeros(self.window, dtype=self._dtype)
        self._ready = np.zeros((3, self.hop), dtype=self._dtype)
        self._centre.reset()
        self._waiting = 0

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, centre, one window late."""
        n = x.shape[1]
        heard = np.concatenate([self._heard, x.astype(self._dtype)], axis=1)
        count = (self._waiting + n) // self.hop
        self._waiting += n - count * self.hop
        if count:
            self._ready = np.concatenate([self._ready, self._programs(heard, count)], axis=1)
        self._heard = heard[:, -(self.window + self._waiting) :].copy()
        y, self._ready = self._ready[:, :n], self._ready[:, n:].copy()
        return np.asarray(y)

    def _programs(self, heard: Real, count: int) -> Real:
        """The next ``count`` hops of left, right and centre that are whole, from the samples not yet framed."""
        end = heard.shape[1] - self._waiting
        start = end - count * self.hop - (self.window - self.hop)
        centre = self._overlapped(self._centres(heard[:, start:end], count), count)
        dry = heard[:, start : start + count * self.hop]
        return np.stack([dry[0] - centre, dry[1] - centre, centre])

    def _centres(self, x: Real, count: int) -> Real:
        """Windowed centre ``(count, window)`` of each frame of ``x (2, samples)``."""
        ms = np.empty_like(x)
        np.add(x[0], x[1], out=ms[0])
        np.subtract(x[0], x[1], out=ms[1])
        part, sample = ms.strides
        shape, strides = (count, 2, self.window), (self.hop * sample, part, sample)
        frames = np.lib.stride_tricks.as_strided(ms, shape, strides, writeable=False)
        sounding = frames.any(axis=(1, 2))
        return np.asarray(self._centre.process(frames, np.where(sounding, self._decay, 0.0)) * self._synthesis)

    def _overlapped(self, frames: Real, count: int) -> Real:
        """Overlap-add; returns the ``count * hop`` samples that no later frame touches."""
        total = np.zeros((count - 1) * self.hop + self.window, dtype=self._dtype)
        total[: self.window] = self._open
        for i, frame in enumerate(frames):
            total[i * self.hop : i * self.hop + self.window] += frame
        self._open = np.concatenate([total[count * self.hop :], np.zeros(self.hop, dtype=self._dtype)])
        return total[: count * self.hop]
