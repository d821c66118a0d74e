"""Stereo to left, right and centre: the centre is the mid signal without components of one side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from sweetspot.processor.choices import METHODS
from sweetspot.processor.compiled import loop, record
from sweetspot.processor.convolver import compilable
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Real

MONO, STEREO = 1e-8, 1e-6
"""Ratio of side to mid power under which a bin counts as mono, and above which its projection is taken whole."""

NEAR_MIDDLE = 2.5
"""Excess of ``|rho|`` over 1 at which the soft projection takes half; see :func:`weigh`."""

NOISE, NOISE_QUICK = 5.0, 24.0
"""How much power that the soft projection cannot take away counts against the source, and in the low-latency form; 1 is
Wiener's filter, more keeps hard-panned sources farther away."""

TRACE = 2.0**-20
"""Part of the side's power that always counts so: where nothing else is left, rounding decides nothing."""

LEAST_SIDE = 1e-12
"""Side power over mid power under which it is taken as that, so that ``rho`` stays finite."""


class Upmix(Protocol):
    """Left and right in, the programs left, right and centre out, on a stream."""

    amount: float
    """Centre extraction amount, 0 to 1; a change is faded over one frame."""

    @property
    def latency(self) -> int:
        """Constant delay, samples."""
        ...

    def reset(self) -> None:
        """Clear all past input."""
        ...

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, centre."""
        ...


def chosen(settings: UpmixSettings, fs: int, dtype: DTypeLike = np.float64) -> Upmix:
    """The upmix of a filter set's settings.

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


SHORTEST_S = 2.95e-3
"""Longest delay of the low-latency form."""

LOOK_BACK, QUICKER = 8, 0.08
"""Ratio of its frames' length to its delay, and factor on the time constants of its averages: its frames tell
neighbouring harmonics apart less well, but follow them as they come and go."""


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
        """No state to clear."""

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, silence."""
        y = np.zeros((3, x.shape[1]), dtype=self._dtype)
        y[:2] = x
        return y


SOFT, QUICK, PROJECTION, SIMILARITY, PCA = range(5)
RULES = {
    "soft-projection": SOFT,
    "low-latency": QUICK,
    "projection": PROJECTION,
    "similarity": SIMILARITY,
    "pca": PCA,
}
"""Which rule of :func:`weigh` a method takes."""


def weigh(rule: Any, mid: Any, side: Any, averages: Any, decay: Any) -> None:
    """The centre ``C = a M + b S`` of each bin, written over mid; recursive averages ``<.>`` go on from frame to frame.

    With ``alike = max(<M M*> - <S S*>, 0)/(<M M*> + <S S*>)``, the rules are

    - ``PROJECTION``: ``C = M - rho S``, ``rho = <M S*>/<S S*>``: nothing in the centre is correlated with left minus
      right. Side more than 80 dB under mid (:data:`MONO`) counts as none.
    - ``SIMILARITY``: ``C = alike^4 M`` (after Avendano and Jot, 2004): ``alike`` is ``2 Re<L R*>/(<L L*> + <R R*>)``.
    - ``SOFT``: ``C = g (M - k rho S)``, with ``rho = <M S*>/D``, ``D = max(<S S*>, 1e-12 <M M*>, 1e-30)``,
      ``k = 1/(1 + u^4)``, ``u = max(|rho| - 1, 0)/NEAR_MIDDLE``. A source at one side and one in the middle give
      ``|rho| <= 1`` at any levels, and the projection takes the former away. A source near the middle by itself gives
      ``|rho|`` well above 1 (12 at 1.5 dB between left and right, 1.9 at 10 dB): there ``k`` falls, and the source
      stays whole. Sources of power ``l`` and ``r`` at both sides, or ambience, leave ``n = l r/(l + r) = <S S*> max(1 -
      |rho|^2, 0)`` beside a source in the middle of ``p = max(<M M*> - <S S*>, 0)``. ``g = p/(p + NOISE n + TRACE <S
      S*>)`` is Wiener's gain where ``NOISE`` is 1; a voice beside one hard-panned source keeps ``g = 1``.
    - ``PCA``: the principal component of left and right, where it points to the centre and dominates: at angle
      ``phi`` from mid ``C = g cos(phi) (cos(phi) M + sin(phi) S)``, ``g = cos(2 phi)^2 (l1 - l2)/(l1 + l2)``, ``l`` the
      eigenvalues. The sign of the axis cancels out.

    Parameters
    ----------
    mid, side
        ``(tile, 2, lane)``: real and imaginary parts, in any order of bins.
    averages
        ``(tile, 5, lane)``: ``<M S*>`` real and imaginary, ``<S S*>``, ``<M M*>``, and the average of ``n`` of
        ``QUICK``. Products and sums stay apart, so that equal numbers give ratios of exactly 1 and nothing imaginary.
    decay
        What the averages are multiplied by before the frame is added.
    """
    for tile in range(mid.shape[0]):
        real, imag, ss, mm = averages[tile, 0], averages[tile, 1], averages[tile, 2], averages[tile, 3]
        mr, mi, sr, si = mid[tile, 0], mid[tile, 1], side[tile, 0], side[tile, 1]
        for k in range(mr.size):  # a loop for each average becomes vector code: 0.6 of the time of one for all
            real[k] = decay * real[k] + (float(mr[k]) * float(sr[k]) + float(mi[k]) * float(si[k]))
        for k in range(mr.size):
            imag[k] = decay * imag[k] + (float(mi[k]) * float(sr[k]) - float(mr[k]) * float(si[k]))
        for k in range(mr.size):
            ss[k] = decay * ss[k] + (float(sr[k]) * float(sr[k]) + float(si[k]) * float(si[k]))
        for k in range(mr.size):
            mm[k] = decay * mm[k] + (float(mr[k]) * float(mr[k]) + float(mi[k]) * float(mi[k]))
        if rule == SOFT:
            for k in range(mr.size):
                below = max(max(ss[k], LEAST_SIDE * mm[k]), 1e-30)
                re, im = real[k] / below, imag[k] / below
                square, source = re * re + im * im, max(mm[k] - ss[k], 0.0)
                u = max(np.sqrt(square) - 1.0, 0.0) / NEAR_MIDDLE
                gain = source / max(source + ss[k] * (NOISE * max(1.0 - square, 0.0) + TRACE), 1e-30)
                taken = gain / (1.0 + (u * u) * (u * u))
                a, b, c, d = mr[k], mi[k], sr[k], si[k]
                mr[k], mi[k] = gain * a - taken * (re * c - im * d), gain * b - taken * (re * d + im * c)
        elif rule == QUICK:
            rest = averages[tile, 4]
            for k in range(mr.size):
                below = max(max(ss[k], LEAST_SIDE * mm[k]), 1e-30)
                re, im = real[k] / below, imag[k] / below
                square, source = re * re + im * im, max(mm[k] - ss[k], 0.0)
                size, alike = max(np.sqrt(square), 1.0), min(square * below / max(mm[k], 1e-30), 1.0)
                rest[k] += (1.0 - decay) * (ss[k] * (1.0 - square) - rest[k])
                u, noise = (size - 1.0) / NEAR_MIDDLE, NOISE_QUICK * min(max(rest[k], 0.0), ss[k])
                gain = source / max(source + noise + TRACE * ss[k], 1e-30)
                taken = gain * (alike / (1.0 + (u * u) * (u * u)) + (1.0 - alike) / size)
                a, b, c, d = mr[k], mi[k], sr[k], si[k]
                mr[k], mi[k] = gain * a - taken * (re * c - im * d), gain * b - taken * (re * d + im * c)
        elif rule == PROJECTION:
            for k in range(mr.size):
                trust = min(max((ss[k] - MONO * mm[k]) / max((STEREO - MONO) * mm[k], 1e-30), 0.0), 1.0)
                taken = trust / (ss[k] if ss[k] > 0.0 else 1.0)
                a, b, c, d = mr[k], mi[k], sr[k], si[k]
                mr[k], mi[k] = a - taken * (real[k] * c - imag[k] * d), b - taken * (real[k] * d + imag[k] * c)
        elif rule == SIMILARITY:
            for k in range(mr.size):
                alike = max(mm[k] - ss[k], 0.0) / max(mm[k] + ss[k], 1e-30)
                share = (alike * alike) * (alike * alike)
                mr[k], mi[k] = share * mr[k], share * mi[k]
        else:
            for k in range(mr.size):
                spread = max(np.sqrt((mm[k] - ss[k]) * (mm[k] - ss[k]) + 4.0 * real[k] * real[k]), 1e-30)
                cosine = (mm[k] - ss[k]) / spread
                gain = max(cosine, 0.0) * max(cosine, 0.0) * spread / max(mm[k] + ss[k], 1e-30)
                own, other = 0.5 * gain * (1.0 + cosine), gain / spread * real[k]
                mr[k], mi[k] = own * mr[k] + other * sr[k], own * mi[k] + other * si[k]


FRAME = np.dtype([(name, np.int64) for name in ("window", "span", "hop", "at", "phase", "waiting")])
"""Sizes of frame, synthesis and hop, samples; positions of the rings of input and sums; samples since the last
frame."""


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
        here = min(here, memory.window - back)
        centre = sums[memory.phase :]
        for side in range(2):  # loops over rows in one piece become vector code: a third of the time
            row, old, new, given = programs[side, done:], heard[side, back:], heard[side, memory.at :], x[side, done:]
            for i in range(here):
                row[i] = old[i] - centre[i]
            for i in range(here):
                new[i] = given[i]
        row = programs[2, done:]
        for i in range(here):
            row[i] = centre[i]
        for i in range(here):
            centre[i] = 0.0
        done += here
        memory.at = (memory.at + here) % memory.window
        memory.phase = (memory.phase + here) % memory.span
        memory.waiting += here
    return done


def frame(memory: Any, heard: Any, shape: Any, frames: Any) -> Any:
    """The last ``window`` samples as twice mid and side ``(2, window)``, windowed; whether any of them sounds."""
    first = memory.window - memory.at
    for half in range(2):
        start, stop, at = (0, first, memory.at) if half == 0 else (first, memory.window, 0)
        left, right, window = heard[0, at:], heard[1, at:], shape[start:stop]
        mid, side = frames[0, start:], frames[1, start:]
        for i in range(window.size):
            mid[i] = (left[i] + right[i]) * window[i]
        for i in range(window.size):
            side[i] = (left[i] - right[i]) * window[i]
    memory.waiting, i = 0, 0
    while i < memory.window and heard[0, i] == 0.0 and heard[1, i] == 0.0:
        i += 1
    return i < memory.window


def overlap(memory: Any, centre: Any, synthesis: Any, amount: Any, sums: Any) -> None:
    """Add the newest ``span`` samples of a frame of the centre, windowed, ``amount`` times, to the output."""
    skip, first = memory.window - memory.span, memory.span - memory.phase
    for half in range(2):
        start, stop, at = (0, first, memory.phase) if half == 0 else (first, memory.span, 0)
        window, part, total = synthesis[start:stop], centre[skip + start :], sums[at:]
        for i in range(window.size):
            total[i] += amount * window[i] * part[i]


class Centre:
    """Windowed frames of twice mid and side to windowed frames of the centre times the window's length.

    Constant factors are left to the caller. The transform takes the frame's odd frequencies, ``(2m + 1)/2`` cycles
    per frame: folded into ``u[n] = (x[n] + j x[n+B]) exp(j pi n / 2B)``, they are ``B = window/2`` plain complex bins,
    without any at zero or Nyquist that would need care. Here numpy transforms, for any window and precision; in
    :mod:`compiled.centre_kernel` vector code does. The rule between is the same.
    """

    def __init__(self, window: int, dtype: Any) -> None:
        self._half = window // 2
        self._fold = np.exp(0.5j * np.pi * np.arange(self._half) / self._half)
        self.frames, self.out = np.zeros((2, window), dtype=dtype), np.zeros(window, dtype=dtype)
        self.spectra, self.averages = np.zeros((2, 1, 2, self._half)), np.zeros((1, 5, self._half))

    def forward(self) -> None:
        """From ``frames (2, window)`` to ``spectra (2, tile, 2, lane)`` of mid and side."""
        folded = (self.frames[:, : self._half] + 1j * self.frames[:, self._half :]) * self._fold
        bins = np.fft.ifft(folded, norm="forward")
        self.spectra[:, 0, 0], self.spectra[:, 0, 1] = bins.real, bins.imag

    def inverse(self) -> None:
        """From the first of the spectra to ``out (window,)``."""
        centre = np.fft.fft(self.spectra[0, 0, 0] + 1j * self.spectra[0, 0, 1]) * self._fold.conj()
        self.out[: self._half], self.out[self._half :] = centre.real, centre.imag


def _centre(window: int, dtype: Any) -> Any:
    """The compiled form if it supports the arguments and llvmlite is installed, else the one in numpy."""
    if compilable(window // 2, dtype):
        from sweetspot.processor.compiled import CompiledCentre

        return CompiledCentre(window)
    return Centre(window, dtype)


def is_compiled(upmix: Upmix) -> bool:
    """Whether an upmix is one that the compiled block path has: none, or one with compiled transforms."""
    return isinstance(upmix, PassThrough) or (isinstance(upmix, StftUpmix) and not isinstance(upmix.centre, Centre))


class StftUpmix:
    """The centre in the short-time Fourier domain, by a rule of :func:`weigh`.

    With ``M = (L + R)/2`` and ``S = (L - R)/2`` in each bin, and recursive averages ``<.>`` over frames, the centre is
    ``C = a M + b S``. ``L' = L - C`` and ``R' = R - C`` are made in time from the delayed
    input, so that ``L' + C`` and ``R' + C`` rebuild it exactly. Mono has ``S = 0`` and goes wholly to the centre;
    hard-panned has ``M = +-S`` and ``C = 0``, both from the first sample on. A frame of digital silence clears the
    averages.

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
        self.rule, self.centre = RULES[settings.method], _centre(settings.window, self._dtype)
        self.reset()

    @property
    def latency(self) -> int:
        """Constant delay, samples: the span of the synthesis."""
        return self.span

    def reset(self) -> None:
        """Clear all past input."""
        self.heard[:] = 0.0
        self.sums[:] = 0.0
        self.memory.at = self.memory.phase = self.memory.waiting = 0
        self.centre.averages[:] = 0.0

    def process(self, x: Real) -> Real:
        """``(2, n)`` in, ``(3, n)`` out: left, right, centre, :attr:`latency` late."""
        x = np.ascontiguousarray(x, dtype=self._dtype)
        y, done = np.empty((3, x.shape[1]), dtype=self._dtype), 0
        while done < x.shape[1]:
            done = int(loop(advance)(self.memory, x, done, y, self.heard, self.sums))
            if self.memory.waiting == self.memory.hop:
                sounding = loop(frame)(self.memory, self.heard, self.shape, self.centre.frames)
                self._extract(self.decay if sounding else 0.0)
                loop(overlap)(self.memory, self.centre.out, self.synthesis, self.amount, self.sums)
        return y

    def _extract(self, decay: float) -> None:
        """The centre of the frame that lies in ``centre.frames``, left in ``centre.out``."""
        c = self.centre
        c.forward()
        loop(weigh)(self.rule, c.spectra[0], c.spectra[1], c.averages, decay)
        c.inverse()
