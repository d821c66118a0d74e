"""Stereo to left, right and centre: the centre is what stays of mid when what is at a side is taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sweetspot.processor.compiled import jitted, record
from sweetspot.processor.convolver import compilable
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.errors import BadInput

Real = NDArray[Any]

MONO, STEREO = 1e-8, 1e-6
"""Ratio of side to mid power under which a bin counts as mono, and above which its projection is taken whole."""

NEAR_MIDDLE = 2.5
"""How far ``|rho|`` passes 1 where the soft projection takes half; see :func:`soft_projection`."""

LEAST_SIDE = 1e-12
"""Side power over mid power under which it is taken as that, so that ``rho`` stays finite."""


class Upmix(Protocol):
    """Left and right in, the programs left, right and centre out, on a stream."""

    amount: float
    """How much of the centre is moved to its program, 0 to 1; a change is faded over one frame."""

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
        case "off":
            return PassThrough(dtype)
        case "low-latency":
            return StftUpmix(*_short(settings, fs), dtype)
        case _:
            return StftUpmix(settings, fs, None, dtype)


METHODS = ("soft-projection", "low-latency", "projection", "similarity", "pca", "off")


SHORTEST_S = 2.95e-3
"""Longest delay of the low-latency form."""

LOOK_BACK, QUICKER = 8, 0.5
"""Its frames reach back so many times as far as its delay, and its averages take that share of the time."""


def _short(settings: UpmixSettings, fs: int) -> tuple[UpmixSettings, int, int]:
    """A delay of at most 3 ms, a power of two, in steps of half of it."""
    span = 1 << int(np.log2(SHORTEST_S * fs))
    short = replace(settings, window=LOOK_BACK * span, hop=span // 2, tau_s=QUICKER * settings.tau_s)
    return short, fs, span


def windows(window: int, span: int) -> tuple[Real, Real]:
    """Analysis and synthesis windows ``(window,)`` and ``(span,)``, whose product is a Hann window of ``span`` samples.

    With ``span`` as long as the frame both are its root. A shorter one looks back over the whole frame but gives only
    its newest samples: the analysis window rises slowly and falls fast (after Mauler and Martin, 2007).
    """
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(span) / span)
    rise = window - span // 2
    analysis = np.sqrt(0.5 - 0.5 * np.cos(np.pi * np.arange(window) / rise))
    analysis[rise:] = np.sqrt(hann[span // 2 :])
    below = analysis[window - span :]
    return analysis, np.divide(hann, below, out=np.zeros(span), where=below > 0.0)


def _check(s: UpmixSettings) -> None:
    if s.method not in METHODS:
        raise BadInput(f"upmix method {s.method!r} is not known; choose one of: {', '.join(METHODS)}")
    if not 0.0 <= s.amount <= 1.0:
        raise BadInput(f"upmix amount is {s.amount:g}; it goes from 0 (no centre) to 1 (all of it)")
    if s.hop < 1 or s.window < 2 * s.hop or s.window % s.hop or s.window % 2:
        raise BadInput(f"upmix window {s.window} and hop {s.hop}: the window must be even and 2, 3, 4 ... hops long")
    if not s.tau_s > 0.0:
        raise BadInput(f"upmix tau_s is {s.tau_s:g}; a time above 0 s is needed (0.1 is usual)")


class PassThrough:
    """Stereo as it is: the centre program stays silent, the phantom centre stays a phantom. No delay."""

    latency = 0

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        self._dtype = np.dtype(dtype)
        self.amount = 0.0

    def reset(self) -> None:
        """Nothing is kept."""

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, silence."""
        y = np.zeros((3, x.shape[1]), dtype=self._dtype)
        y[:2] = x
        return y


Weights = tuple[Real, Real]
"""``a`` and ``b`` of ``C = a M + b S``, for each frame and bin."""


def projection(ms: Real, ss: Real, mm: Real) -> Weights:
    """``C = M - rho S``, ``rho = <M S*>/<S S*>``: nothing in the centre is correlated with left minus right."""
    trust = np.clip((ss - MONO * mm) / np.maximum((STEREO - MONO) * mm, 1e-200), 0.0, 1.0)
    below = np.where(ss > 0.0, ss, 1.0)
    return np.ones_like(mm), -(ms.real / below + 1j * (ms.imag / below)) * trust


def similarity(ms: Real, ss: Real, mm: Real) -> Weights:
    """``C = psi^4 M`` with ``psi = 2 Re<L R*>/(<L L*> + <R R*>)``, not below 0 (after Avendano and Jot, 2004).

    In mid and side, ``psi = (<M M*> - <S S*>)/(<M M*> + <S S*>)``. The fourth power keeps neighbours out.
    """
    psi = np.maximum(mm - ss, 0.0) / np.maximum(mm + ss, 1e-200)
    return psi**4, np.zeros_like(mm)


def soft_projection(ms: Real, ss: Real, mm: Real) -> Weights:
    """``C = psi (M - k rho S)``: a projection that lets go of sources near the middle, with the similarity as a gain.

    For each bin, with the recursive averages ``<.>`` of the frames up to this one::

        D   = max(<S S*>, 1e-12 <M M*>, 1e-30)
        rho = <M S*> / D
        u   = max(|rho| - 1, 0) / NEAR_MIDDLE
        k   = 1 / (1 + u^4)
        psi = max(<M M*> - <S S*>, 0) / max(<M M*> + <S S*>, 1e-30)

    A source at one side and one in the middle give ``|rho| <= 1`` at any levels, and the projection takes the former
    away. A source near the middle by itself gives ``|rho|`` well above 1 (12 at 1.5 dB between left and right, 1.9 at
    10 dB): there ``k`` falls, and the source stays whole, where the plain projection would take all of it away.
    ``psi`` is 1 in the middle and 0 at a side, and what share of a bin is no ambience.
    """
    below = np.maximum(np.maximum(ss, LEAST_SIDE * mm), 1e-30)
    real, imag = ms.real / below, ms.imag / below
    u = np.maximum(np.sqrt(real * real + imag * imag) - 1.0, 0.0) / NEAR_MIDDLE
    psi = np.maximum(mm - ss, 0.0) / np.maximum(mm + ss, 1e-30)
    gain = psi / (1.0 + (u * u) * (u * u))
    return psi, -(gain * real + 1j * (gain * imag))


def principal(ms: Real, ss: Real, mm: Real) -> Weights:
    """The principal component of left and right, as far as it points to the centre and dominates.

    With the axis at angle ``phi`` from mid, ``C = g cos(phi) (cos(phi) M + sin(phi) S)`` and
    ``g = cos(2 phi)^2 (l1 - l2)/(l1 + l2)``, ``l`` the eigenvalues. The sign of the axis cancels out.
    """
    spread = np.hypot(mm - ss, 2.0 * ms.real)
    below = np.maximum(spread, 1e-200)
    cosine, sine = (mm - ss) / below, 2.0 * ms.real / below
    gain = np.maximum(cosine, 0.0) ** 2 * spread / np.maximum(mm + ss, 1e-200)
    return gain * 0.5 * (1.0 + cosine), gain * 0.5 * sine


def fusible(up: Upmix) -> bool:
    """Whether the compiled block path has this upmix."""
    return isinstance(up, PassThrough) or (isinstance(up, StftUpmix) and not isinstance(up.centre, Centre))


RULES = {
    "soft-projection": soft_projection,
    "low-latency": soft_projection,
    "projection": projection,
    "similarity": similarity,
    "pca": principal,
}


FRAME = np.dtype([(name, np.int64) for name in ("window", "span", "hop", "at", "phase", "waiting")])
"""Sizes of frame, synthesis and hop, samples; where the rings of input and sums stand; samples since the last frame."""


def advance(memory: Any, x: Any, done: Any, programs: Any, heard: Any, sums: Any) -> Any:
    """Samples from ``done`` on, until a frame is due or ``x`` ends; returns where it stopped.

    Left and right are the input of ``span`` samples ago without the centre, so that both rebuild it exactly.

    Parameters
    ----------
    memory
        A record of :data:`FRAME`; a frame is due when ``waiting`` has become ``hop``.
    x, programs
        ``(2, n)`` in, ``(3, n)`` out: left, right, centre.
    heard, sums
        Memory too, rings: the last frame ``(2, window)``, and the sums of the centre's frames ``(span,)``.
    """
    while done < x.shape[1] and memory.waiting < memory.hop:
        here = min(x.shape[1] - done, memory.hop - memory.waiting)
        here = min(here, memory.window - memory.at, memory.span - memory.phase)
        back = memory.at - memory.span if memory.at >= memory.span else memory.at - memory.span + memory.window
        for i in range(here):
            old = back + i if back + i < memory.window else back + i - memory.window
            centre = sums[memory.phase + i]
            programs[0, done + i], programs[1, done + i] = heard[0, old] - centre, heard[1, old] - centre
            programs[2, done + i] = centre
            sums[memory.phase + i] = 0.0
            heard[0, memory.at + i], heard[1, memory.at + i] = x[0, done + i], x[1, done + i]
        done += here
        memory.at = (memory.at + here) % memory.window
        memory.phase = (memory.phase + here) % memory.span
        memory.waiting += here
    return done


def frame(memory: Any, heard: Any, shape: Any, frames: Any) -> Any:
    """The last ``window`` samples as twice mid and side ``(2, window)``, windowed; whether any of them sounds."""
    sounding, first = False, memory.window - memory.at
    for half in range(2):
        start, stop, shift = (0, first, memory.at) if half == 0 else (first, memory.window, -first)
        for i in range(start, stop):
            mid = heard[0, i + shift] + heard[1, i + shift]
            side = heard[0, i + shift] - heard[1, i + shift]
            frames[0, i], frames[1, i] = mid * shape[i], side * shape[i]
            sounding |= (mid != 0.0) | (side != 0.0)
    memory.waiting = 0
    return sounding


def overlap(memory: Any, centre: Any, synthesis: Any, amount: Any, sums: Any) -> None:
    """Add the newest ``span`` samples of a frame of the centre, windowed, ``amount`` times, to what is to be played."""
    skip, first = memory.window - memory.span, memory.span - memory.phase
    for half in range(2):
        start, stop, shift = (0, first, memory.phase) if half == 0 else (first, memory.span, -first)
        for i in range(start, stop):
            sums[i + shift] += amount * synthesis[i] * centre[skip + i]


class Centre:
    """Windowed frames of twice mid and side to windowed frames of the centre times the window's length, in numpy.

    Constant factors are left to the caller. The transform takes the frame's odd frequencies, ``(2m + 1)/2`` cycles
    per frame: folded into ``u[n] = (x[n] + j x[n+B]) exp(j pi n / 2B)``, they are ``B = window/2`` plain complex bins,
    without any at zero or Nyquist that would need care. The compiled kernel (:mod:`compiled.centre_kernel`) does
    the same.
    """

    def __init__(self, window: int, rule: Callable[[Real, Real, Real], Weights], dtype: Any) -> None:
        self._half, self._rule = window // 2, rule
        fold = np.exp(0.5j * np.pi * np.arange(self._half) / self._half)
        self._fold = fold.astype(np.complex64 if dtype == np.float32 else np.complex128)
        self.frames, self.out = np.zeros((2, window), dtype=dtype), np.zeros(window, dtype=dtype)
        self.reset()

    def reset(self) -> None:
        """Forget the averages."""
        self._averages = np.zeros((4, self._half))

    def run(self, decay: float) -> None:
        """From ``frames (2, window)`` to ``out (window,)``; the averages are multiplied by ``decay`` before."""
        half = self._half
        folded = (self.frames[:, :half] + 1j * self.frames[:, half:]) * self._fold
        mid, side = np.asarray(np.fft.ifft(folded, norm="forward"))
        a, b = (weight.astype(mid.dtype) for weight in self._rule(*self._averaged(mid, side, decay)))
        centre = np.asarray(np.fft.fft(a * mid + b * side)) * self._fold.conj()
        self.out[:half], self.out[half:] = centre.real, centre.imag

    def _averaged(self, mid: Real, side: Real, decay: float) -> tuple[Real, Real, Real]:
        """``<M S*>``, ``<S S*>`` and ``<M M*>``, each ``(bin,)``, with this frame.

        Products and sums stay apart, so that equal numbers give ratios of exactly 1 and nothing imaginary.
        """
        mr, mi, sr, si = (part.astype(np.float64) for s in (mid, side) for part in (s.real, s.imag))
        z = np.stack([mr * sr + mi * si, mi * sr - mr * si, sr * sr + si * si, mr * mr + mi * mi])
        z += decay * self._averages
        self._averages = z
        return z[0] + 1j * z[1], z[2], z[3]


def _centre(window: int, method: str, dtype: Any) -> Any:
    """The compiled form where it can do what is asked for and llvmlite is installed, else the one in numpy."""
    if compilable(window // 2, dtype):
        from sweetspot.processor.compiled import CompiledCentre

        return CompiledCentre(window, method)
    return Centre(window, RULES[method], dtype)


class StftUpmix:
    """The centre in the short-time Fourier domain, by one of :data:`RULES`.

    With ``M = (L + R)/2`` and ``S = (L - R)/2`` in each bin, and recursive averages ``<.>`` over frames, the centre is
    ``C = a M + b S``. ``L' = L - C`` and ``R' = R - C`` are made in time from the delayed
    input, so that ``L' + C`` and ``R' + C`` rebuild it exactly. Mono has ``S = 0`` and goes wholly to the centre;
    hard-panned has ``M = +-S`` and ``C = 0``, both from the first sample on. For the projection, side more than 80 dB
    under mid (:data:`MONO`) counts as none, so that dither does not pull the onset of a voice to the sides. A frame of
    digital silence clears the averages.

    Parameters
    ----------
    settings
        Window, hop, time constant, amount.
    fs
        Sampling rate, Hz.
    span
        Newest samples of a frame that are given: the delay; by default all. See :func:`windows`.
    dtype
        ``float32`` or ``float64``.
    """

    def __init__(
        self, settings: UpmixSettings, fs: int, span: int | None = None, dtype: DTypeLike = np.float64
    ) -> None:
        self._dtype = np.dtype(dtype)
        self.memory = record(FRAME)
        self.window, self.hop, self.span = settings.window, settings.hop, span or settings.window
        self.memory.window, self.memory.hop, self.memory.span = self.window, self.hop, self.span
        analysis, synthesis = windows(self.window, self.span)
        self.shape = analysis.astype(self._dtype)
        self.synthesis = (synthesis * 2.0 * (self.hop / self.span) / self.window).astype(self._dtype)
        self.heard, self.sums = np.zeros((2, self.window), dtype=self._dtype), np.zeros(self.span, dtype=self._dtype)
        self.amount = settings.amount
        self.decay = float(np.exp(-self.hop / (settings.tau_s * fs)))
        self.centre = _centre(settings.window, settings.method, self._dtype)
        self.reset()

    @property
    def latency(self) -> int:
        """Constant delay, samples: the span of the synthesis."""
        return self.span

    def reset(self) -> None:
        """Forget everything heard."""
        self.heard[:] = 0.0
        self.sums[:] = 0.0
        self.memory.at = self.memory.phase = self.memory.waiting = 0
        self.centre.reset()

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, centre, :attr:`latency` late."""
        x = np.ascontiguousarray(x, dtype=self._dtype)
        y, done = np.empty((3, x.shape[1]), dtype=self._dtype), 0
        while done < x.shape[1]:
            done = jitted(advance)(self.memory, x, done, y, self.heard, self.sums)
            if self.memory.waiting == self.memory.hop:
                sounding = jitted(frame)(self.memory, self.heard, self.shape, self.centre.frames)
                self.centre.run(self.decay if sounding else 0.0)
                jitted(overlap)(self.memory, self.centre.out, self.synthesis, self.amount, self.sums)
        return y
